"""Pipelines, and what is asked and answered about many builds at once."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from bot.core.errors import ProviderError
from bot.core.models.builds import Build, BuildKey, Person
from bot.core.models.cleaning import clean_fields
from bot.core.models.refs import RefKind
from bot.core.text import clean_name, composed, folded, holds_name, step_name


@dataclass(frozen=True, slots=True, kw_only=True)
class Pipeline:
    """What can be built: an Xcode Cloud workflow, a GitLab project, a Jenkins job.

    `id` is what the provider's own calls take and does not change when somebody renames the thing (where the
    system has such an id). `path` is what people type after `connection:`. `group` is the product, folder or
    project it stands in.
    """

    id: str
    path: str
    name: str
    group: str | None = None
    default_branch: str | None = None
    repository: str | None = None
    web_url: str | None = None
    enabled: bool = True

    def __post_init__(self) -> None:
        """Clean and cut what others wrote."""
        clean_fields(self, step_name, "name")
        clean_fields(self, clean_name, "group")

    @property
    def full_name(self) -> str:
        """Return the name with what the pipeline stands in: `Aurora iOS / Nightly`."""
        if self.group and not holds_name(self.name, self.group):
            return f"{self.group} / {self.name}"
        return self.name


class FilterField(StrEnum):
    """What lists of builds are narrowed by, as people type it after `--`."""

    BRANCH = "branch"
    COMMIT = "commit"
    STATE = "state"
    BY = "by"
    SINCE = "since"
    UNTIL = "until"
    FINISHED_SINCE = "finished-since"
    FINISHED_UNTIL = "finished-until"


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildFilter:
    """Which builds of a pipeline to list, newest first. Providers filter at the vendor where they can, else here.

    `branch` lists the branch's own builds: those of pull requests, forks and tags are left out. `states` are our words
    or the vendor's. `by` are names, e-mail addresses or logins of who started a build or wrote its commit, any of which
    fits; words of a name are enough. `since` and `until` are about when a build was made, `finished_since` and
    `finished_until` about its end; the later bound is excluded. `options` are what else the vendor's list takes, by the
    names in `Provider.list_options`.
    """

    branch: str | None = None
    commit: str | None = None
    states: frozenset[str] = frozenset()
    by: frozenset[str] = frozenset()
    since: datetime | None = None
    until: datetime | None = None
    finished_since: datetime | None = None
    finished_until: datetime | None = None
    options: Mapping[str, str] = field(default_factory=dict)
    limit: int = 30

    @property
    def fields(self) -> frozenset[FilterField]:
        """Return what the list is narrowed by."""
        values = {
            FilterField.BRANCH: self.branch,
            FilterField.COMMIT: self.commit,
            FilterField.STATE: self.states,
            FilterField.BY: self.by,
            FilterField.SINCE: self.since,
            FilterField.UNTIL: self.until,
            FilterField.FINISHED_SINCE: self.finished_since,
            FilterField.FINISHED_UNTIL: self.finished_until,
        }
        return frozenset(name for name, value in values.items() if value)

    def is_past(self, build: Build) -> bool:
        """Return whether a newest-first list holds nothing more that passes, once it has come to this build."""
        made_at = build.created_at or build.started_at
        return self.since is not None and made_at is not None and made_at < self.since

    def lacks(self, build: Build) -> bool:
        """Return whether a listed build leaves out what this filter asks of it, so that it has to be read singly."""
        by_end = self.finished_since or self.finished_until
        return bool(
            (by_end and build.completed and build.completed_at is None)
            or (self.by and build.triggered_by is None and build.author is None)
        )

    def admits(self, build: Build) -> bool:
        """Return whether a build passes. A short SHA matches the start of a commit."""
        if self.branch is not None and not self._is_of_branch(build, self.branch):
            return False
        if self.commit is not None and not (build.commit or "").startswith(self.commit.lower()):
            return False
        if self.by and not self._is_by_one_of(build):
            return False
        if not _lies_within(build.created_at or build.started_at, self.since, self.until):
            return False
        if not _lies_within(build.completed_at, self.finished_since, self.finished_until):
            return False
        if not self.states:
            return True
        words = {build.status.value, build.conclusion.value if build.conclusion else "unknown"}
        if build.raw_state:
            words.add(build.raw_state.lower())  # the vendor's own word
        if build.waiting:
            words.add("blocked")
        return bool(words & self.states)

    def _is_by_one_of(self, build: Build) -> bool:
        author = build.author or Person()
        names = (build.triggered_by, author.name, author.email, author.login)
        words = [frozenset(folded(name).split()) for name in names if name]
        return any(frozenset(folded(part).split()) <= named for part in self.by for named in words)

    @staticmethod
    def _is_of_branch(build: Build, branch: str) -> bool:
        ref = build.history_ref
        return ref is not None and ref.kind is RefKind.BRANCH and composed(ref.name) == composed(branch)


def _lies_within(at: datetime | None, since: datetime | None, until: datetime | None) -> bool:
    """Return whether a time lies between two bounds; one that is not known lies within none."""
    if since is None and until is None:
        return True
    return at is not None and (since is None or at >= since) and (until is None or at < until)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """A right that credentials may have: `purpose` completes "is for". `also` spells or includes it elsewhere."""

    name: str
    purpose: str
    also: tuple[str, ...] = ()
    optional: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """What a check of a connection found: whose token it is, which scopes it has and lacks, when it ends.

    All three tuples of scopes are empty where the system does not report scopes. `without` are optional ones.
    """

    name: str
    detail: str | None = None
    granted: tuple[Scope, ...] = ()
    missing: tuple[Scope, ...] = ()
    without: tuple[Scope, ...] = ()
    warnings: tuple[str, ...] = ()
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookEvent:
    """A webhook event: poll this build (without one, this pipeline; without either, everything)."""

    delivery: str
    pipeline: str | None = None
    build: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """What a poll target is asked about: pipelines by id, and the builds known to be unfinished in each."""

    pipelines: frozenset[str]
    unfinished: frozenset[BuildKey] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """Builds that may have changed since the cursor, and the cursor to come back with.

    `held` is why some of them were not read (None: nothing, or only the time): the cursor brings them again.
    """

    builds: tuple[Build, ...]
    cursor: str | None
    held: ProviderError | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """What a pasted URL points at. `pipeline` is a path or id as `Provider.pipeline` takes it."""

    pipeline: str
    build: str | None = None
    number: int | None = None
    job: str | None = None
