"""What the bot talks about: builds and their parts, free of any CI system's words.

Every field but a key may be unknown. Unknown is `None`, never zero and never a guess.
"""

import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Self

from typing_extensions import override

from bot.core.errors import UsageError
from bot.core.text import clean_message, clean_name, composed, folded, holds_name, step_name, valid


class Status(StrEnum):
    """How far a build or a job has come."""

    QUEUED = "queued"
    IN_PROGRESS = "in_progress"
    COMPLETED = "completed"


class Conclusion(StrEnum):
    """How a completed build or job ended. `None` beside COMPLETED: in a word we do not know."""

    PASSED = "passed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    TIMEOUT = "timeout"
    SKIPPED = "skipped"
    RETRIED = "retried"
    PARTIAL = "partial"

    @property
    def is_red(self) -> bool:
        """Whether somebody has to mend something."""
        return self in {Conclusion.FAILED, Conclusion.TIMEOUT, Conclusion.PARTIAL}


NO_RESULT = frozenset({Conclusion.CANCELLED, Conclusion.SKIPPED, Conclusion.RETRIED})
"""How a build ends without a result: it says nothing about the code."""

SHORT_KINDS = {
    "gh": "github_actions",
    "github": "github_actions",
    "gl": "gitlab",
    "bk": "buildkite",
    "xc": "xcode_cloud",
    "az": "azure_devops",
    "bb": "bitbucket",
    "cc": "circleci",
}
"""Short names of kinds of CI systems that people may type: `bk:web`, `me handle gh:ana`."""


class Trigger(StrEnum):
    """What made a build start."""

    PUSH = "push"
    MERGE_REQUEST = "merge_request"
    API = "api"
    CRON = "cron"
    WEB = "web"
    UNKNOWN = "unknown"


class RefKind(StrEnum):
    """The kinds of places in a repository that can be built."""

    BRANCH = "branch"
    TAG = "tag"
    COMMIT = "commit"
    PULL_REQUEST = "pull_request"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ref:
    """A place in a repository. `name` is a branch, a tag, a SHA or a pull request's number.

    `job` narrows the history of a place to the builds of one job, where a build is no more than that.
    """

    kind: RefKind
    name: str
    title: str | None = None
    job: str | None = None

    @override
    def __str__(self) -> str:
        """Return the ref as a person types it after `@`."""
        match self.kind:
            case RefKind.TAG:
                return f"tag:{self.name}"
            case RefKind.PULL_REQUEST:
                return f"pr:{self.name}"
            case RefKind.COMMIT:
                return self.name if is_sha(self.name) else f"commit:{self.name}"
            case RefKind.BRANCH:
                read = parse_ref(self.name) if self.name.strip() else self
                return self.name if (read.kind, read.name) == (self.kind, self.name) else f"branch:{self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class IssueCounts:
    """Counts of what a build complained about; `None` where the system does not report them."""

    errors: int | None = None
    warnings: int | None = None
    analyzer_warnings: int | None = None
    test_failures: int | None = None
    tests_total: int | None = None

    @property
    def known(self) -> bool:
        """Whether any count is known."""
        return any(
            count is not None for count in (self.errors, self.warnings, self.analyzer_warnings, self.test_failures)
        )

    def filled(self, other: Self) -> Self:
        """Return these counts with the unknown ones taken from `other`."""
        return type(self)(
            errors=self.errors if self.errors is not None else other.errors,
            warnings=self.warnings if self.warnings is not None else other.warnings,
            analyzer_warnings=self.analyzer_warnings if self.analyzer_warnings is not None else other.analyzer_warnings,
            test_failures=self.test_failures if self.test_failures is not None else other.test_failures,
            tests_total=self.tests_total if self.tests_total is not None else other.tests_total,
        )


ISSUE_COUNTS = ("errors", "warnings", "analyzer_warnings", "test_failures")
"""The counts that say how much is wrong with a build."""


def _clean(subject: object, clean: Callable[[str], str], *fields: str) -> None:
    """Replace text fields of a frozen value by what `clean` makes of them; None stays."""
    for field_name in fields:
        text = getattr(subject, field_name)
        if text is not None and (cleaned := clean(text)) is not text:
            object.__setattr__(subject, field_name, cleaned)


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Somebody as a CI system or git names them."""

    name: str | None = None
    email: str | None = None
    login: str | None = None

    def __post_init__(self) -> None:
        """Clean and cut what others wrote."""
        _clean(self, clean_name, "name", "email", "login")


class Starter(StrEnum):
    """Whether a person or a machine started a build."""

    USER = "user"
    BOT = "bot"


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
        _clean(self, step_name, "name")
        _clean(self, clean_name, "group")

    @property
    def full_name(self) -> str:
        """Return the name with what the pipeline stands in: `Aurora iOS / Nightly`."""
        if self.group and not holds_name(self.name, self.group):
            return f"{self.group} / {self.name}"
        return self.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Build:
    """One run of a pipeline.

    `id` is what the provider's calls take, `number` what people say. `attempt` counts attempts where the system
    does. `raw_state` is the vendor's own word, `reason` what it says beyond our conclusion (`errored`, `cancelled by a
    newer build`). `waiting` says that an approval is open. `jobs` counts jobs by the words of `Status` and `Conclusion`.
    `details` is what else the vendor reports, by a plain name: coverage, runner, stage. `rebuilt_from` is the id of the
    build of the same pipeline that this one was made from, where the system tells or the bot made it, `first_built_at`
    when that one was created, if it is of the same commit. `job` names the job of the pipeline that the build is, where it
    is no more than one.
    """

    connection: str
    pipeline: str
    id: str
    number: int | None = None
    label: str | None = None
    attempt: int | None = None
    name: str | None = None
    workflow: str | None = None
    repo: str | None = None
    branch: str | None = None
    tag: str | None = None
    pull_request: str | None = None
    target_branch: str | None = None
    from_fork: bool | None = None
    commit: str | None = None
    message: str | None = None
    author: Person | None = None
    status: Status = Status.QUEUED
    conclusion: Conclusion | None = None
    raw_state: str | None = None
    reason: str | None = None
    waiting: bool = False
    trigger: Trigger = Trigger.UNKNOWN
    triggered_by: str | None = None
    triggered_by_type: Starter | None = None
    created_at: datetime | None = None
    started_at: datetime | None = None
    completed_at: datetime | None = None
    updated_at: datetime | None = None
    web_url: str | None = None
    issues: IssueCounts = field(default_factory=IssueCounts)
    jobs: Mapping[str, int] | None = None
    details: Mapping[str, str] = field(default_factory=dict)
    rebuilt_from: str | None = None
    first_built_at: datetime | None = None
    job: str | None = None

    def __post_init__(self) -> None:
        """Clean and cut what others wrote."""
        if self.details:
            object.__setattr__(self, "details", {name: clean_name(text) for name, text in self.details.items()})
        _clean(self, clean_name, "name", "job", "workflow", "triggered_by", "raw_state")
        _clean(self, valid, "branch", "tag", "target_branch", "repo", "web_url")
        _clean(self, clean_message, "message")

    @property
    def key(self) -> "BuildKey":
        """Return what names this build everywhere in the bot."""
        return BuildKey(connection=self.connection, pipeline=self.pipeline, id=self.id)

    @property
    def completed(self) -> bool:
        """Whether the build has come to its end (it may reopen)."""
        return self.status is Status.COMPLETED

    @property
    def subject(self) -> str | None:
        """Return the first line of the commit message."""
        lines = (self.message or "").strip().splitlines()
        return lines[0].strip() if lines else None

    @property
    def ref(self) -> str | None:
        """Return what was built as people read it: a branch, else a tag, else a pull request, else a short SHA."""
        if self.branch:
            return self.branch
        if self.tag:
            return self.tag
        if self.pull_request:
            return f"!{self.pull_request}"
        return self.commit[:8] if self.commit else None

    @property
    def history_ref(self) -> Ref | None:
        """Return the ref whose history this build belongs to, or None where it belongs to none.

        This is the one rule about forks. A pull request's build never belongs to a branch, whatever its branch is called,
        and where a fork's pull request names no number, to nothing. Systems that do not tell where a commit comes from
        still tell that a pull request triggered the build: a fork can build here in no other way, so an unknown origin
        is a push to our own repository only where no pull request is named as the cause. A build without any ref has no
        history. Where a build is a single job, it is compared with builds of that job alone.
        """
        if self.pull_request:
            return Ref(kind=RefKind.PULL_REQUEST, name=self.pull_request, job=self.job)
        if self.from_fork or self.trigger is Trigger.MERGE_REQUEST:
            return None
        if self.tag:
            return Ref(kind=RefKind.TAG, name=self.tag, job=self.job)
        return Ref(kind=RefKind.BRANCH, name=self.branch, job=self.job) if self.branch else None

    @property
    def seconds(self) -> float | None:
        """Return how long the build ran, from its start to its end."""
        if self.started_at is None or self.completed_at is None:
            return None
        return max((self.completed_at - self.started_at) / timedelta(seconds=1), 0.0)

    @property
    def waited_seconds(self) -> float | None:
        """Return how long the build stood in the queue."""
        if self.created_at is None or self.started_at is None:
            return None
        return max((self.started_at - self.created_at) / timedelta(seconds=1), 0.0)

    def with_issues(self, issues: IssueCounts) -> "Build":
        """Return this build with other issue counts."""
        return replace(self, issues=issues)


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class BuildKey:
    """What names a build: its connection, its pipeline's id and its own id."""

    connection: str
    pipeline: str
    id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A part of a build: a GitLab job, an Xcode Cloud action, a Jenkins stage.

    `key` is the name that the pipeline's file gives the step. `variant` distinguishes jobs of one name: a matrix's
    values, a part of a parallel job. `runner` is the machine or agent that took it, `runnable_at` when it was ready for
    one. `tolerated` says that its failure does not make the build fail. `retried` says that another attempt took its
    place: the one whose id is `replaced_by`, where the system says so. `details` is what else the vendor reports.
    """

    id: str
    build: str
    pipeline: str
    name: str
    key: str | None = None
    variant: str | None = None
    stage: str | None = None
    status: Status = Status.QUEUED
    conclusion: Conclusion | None = None
    raw_state: str | None = None
    tolerated: bool = False
    retried: bool = False
    replaced_by: str | None = None
    attempt: int | None = None
    reason: str | None = None
    runner: str | None = None
    issues: IssueCounts = field(default_factory=IssueCounts)
    created_at: datetime | None = None
    runnable_at: datetime | None = None
    started_at: datetime | None = None
    completed_at: datetime | None = None
    web_url: str | None = None
    details: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Clean and cut what others wrote."""
        if self.details:
            object.__setattr__(self, "details", {name: clean_name(text) for name, text in self.details.items()})
        _clean(self, step_name, "name", "stage")
        _clean(self, clean_name, "key", "variant", "runner", "raw_state")
        _clean(self, clean_message, "reason")

    @property
    def seconds(self) -> float | None:
        """Return how long the job ran."""
        if self.started_at is None or self.completed_at is None:
            return None
        return max((self.completed_at - self.started_at) / timedelta(seconds=1), 0.0)

    @property
    def waited_seconds(self) -> float | None:
        """Return how long the job waited for a runner: from when it was ready, else from when it was made."""
        ready_at = self.runnable_at or self.created_at
        if ready_at is None or self.started_at is None:
            return None
        return max((self.started_at - ready_at) / timedelta(seconds=1), 0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit:
    """A commit of a repository. `author` is a name."""

    sha: str
    subject: str = ""
    author: str = ""
    url: str | None = None

    def __post_init__(self) -> None:
        """Clean and cut what others wrote."""
        _clean(self, clean_name, "subject", "author")


class IssueKind(StrEnum):
    """The four kinds of issues a build reports."""

    ERROR = "error"
    WARNING = "warning"
    ANALYZER_WARNING = "analyzer_warning"
    TEST_FAILURE = "test_failure"


@dataclass(frozen=True, slots=True, kw_only=True)
class Issue:
    """One complaint of a build."""

    kind: IssueKind
    message: str
    job: str | None = None
    file: str | None = None
    line: int | None = None
    url: str | None = None
    category: str | None = None

    def __post_init__(self) -> None:
        """Clean and cut what others wrote."""
        _clean(self, clean_message, "message")
        _clean(self, step_name, "job")
        _clean(self, clean_name, "file", "category")


class Outcome(StrEnum):
    """How one test ended."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class TestCase:
    """One test of a build. `seconds` is its duration, `detail` where it ran (device, job, suite)."""

    __test__ = False

    name: str
    outcome: Outcome
    class_name: str | None = None
    detail: str | None = None
    seconds: float | None = None
    message: str | None = None
    file: str | None = None

    def __post_init__(self) -> None:
        """Clean and cut what others wrote."""
        _clean(self, clean_name, "name", "class_name", "file")
        _clean(self, step_name, "detail")
        _clean(self, clean_message, "message")


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """A file that a build left. `kind` is the vendor's word; `url` only where a person's browser may open it."""

    id: str
    build: str
    pipeline: str
    name: str
    job: str | None = None
    size_bytes: int | None = None
    kind: str | None = None
    url: str | None = None

    def __post_init__(self) -> None:
        """Clean and cut what others wrote."""
        _clean(self, clean_name, "name", "job")


class ParameterType(StrEnum):
    """How a parameter is asked for."""

    TEXT = "text"
    NUMBER = "number"
    BOOLEAN = "boolean"
    CHOICE = "choice"
    MULTIPLE = "multiple"
    SECRET = "secret"  # noqa: S105 - the name of a kind of field


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """A value that a pipeline or an approval takes. `choices` are (value, label)."""

    name: str
    type: ParameterType = ParameterType.TEXT
    label: str | None = None
    choices: tuple[tuple[str, str], ...] = ()
    default: str | None = None
    required: bool = False
    help: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """A step that waits for a person."""

    id: str
    build: str
    pipeline: str
    name: str
    job: str | None = None
    fields: tuple[Parameter, ...] = ()
    approvers: tuple[str, ...] = ()
    can_reject: bool = False
    instructions: str | None = None
    url: str | None = None

    def __post_init__(self) -> None:
        """Clean and cut what others wrote."""
        _clean(self, step_name, "name", "job")
        _clean(self, clean_message, "instructions")


@dataclass(frozen=True, slots=True, kw_only=True)
class StartRequest:
    """The build that a person requests.

    `parameters` are the KEY=VALUE pairs as typed. `options` are the provider's named extras (`clean`,
    `pull_request`, …) as `Provider.start_options` lists them; an adapter refuses one it does not know by name.
    """

    ref: Ref | None = None
    commit: str | None = None
    parameters: Mapping[str, str] = field(default_factory=dict)
    message: str | None = None
    options: Mapping[str, str] = field(default_factory=dict)
    requested_by: str | None = None
    requested_by_email: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StartTarget:
    """What a start request makes the CI system build: the names as they will be sent, None where not sent.

    Permissions are judged on this, not on what was typed. A bare commit is sent under a branch: that one is named.
    `also` are further refs that the request names, such as the branch whose configuration is run.
    """

    branch: str | None = None
    tag: str | None = None
    commit: str | None = None
    pull_request: str | None = None
    also: tuple[str, ...] = ()


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
class Account:
    """What a check of a connection found: whose token it is, what it lacks, when it ends."""

    name: str
    detail: str | None = None
    missing: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Log:
    """The end of a job's log, oldest line first, cleaned of colours. `truncated` says that there is more above."""

    text: str
    truncated: bool = False
    job: str | None = None
    url: str | None = None


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
    """Builds that may have changed since the cursor, and the cursor to come back with."""

    builds: tuple[Build, ...]
    cursor: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """What a pasted URL points at. `pipeline` is a path or id as `Provider.pipeline` takes it."""

    pipeline: str
    build: str | None = None
    number: int | None = None
    job: str | None = None


def parse_ref(words: str) -> Ref:
    """Read a ref as a person types it: a branch, `tag:NAME`, `pr:N` or `!N`, or a SHA of 7 to 40 hex digits."""
    text = words.strip()
    if not text:
        message = "A ref is missing after `@`."
        raise UsageError(message, hint="Write a branch, `tag:NAME`, `pr:N` or a commit's SHA.")
    if text.startswith("!") and text[1:].isdigit():
        return Ref(kind=RefKind.PULL_REQUEST, name=text[1:])
    head, colon, rest = text.partition(":")
    if colon and rest:
        match head.lower():
            case "tag":
                return Ref(kind=RefKind.TAG, name=rest)
            case "pr" | "mr":
                return Ref(kind=RefKind.PULL_REQUEST, name=rest.removeprefix("#").removeprefix("!"))
            case "branch":
                return Ref(kind=RefKind.BRANCH, name=rest)
            case "commit" | "sha":
                return Ref(kind=RefKind.COMMIT, name=rest)
            case _:
                pass
    if is_sha(text):
        return Ref(kind=RefKind.COMMIT, name=text.lower())
    return Ref(kind=RefKind.BRANCH, name=text)


def is_sha(text: str) -> bool:
    """Return whether a text reads as a commit: 7 to 40 hex digits, one of them a figure (`deadbeef` is a branch)."""
    return (
        7 <= len(text) <= 40
        and all(c in "0123456789abcdefABCDEF" for c in text)
        and (any(c.isdigit() for c in text) or len(text) == 40)
    )


class Change(StrEnum):
    """How an attempt compares with the one before it on the same pipeline and branch."""

    FIRST = "first"
    BROKEN = "broken"
    FIXED = "fixed"
    STILL_FAILING = "still-failing"
    STILL_PASSING = "still-passing"
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Transition:
    """What a finished attempt means beside the earlier ones of its pipeline and branch.

    `baseline` are the counts of the last finished, not cancelled attempt (None: there is none). `streak` counts red
    attempts in a row with this one while it is red; on BROKEN it counts the green ones before, on FIXED the red ones.
    `red_since` is the number of the first red build of the streak, `red_seconds` the time since its end.
    `usual_seconds` is the median duration of earlier passed attempts. `is_rerun` says that the result before this one
    is of the same commit. `is_outdated` says that a newer build of the ref has ended: `newer` is the newest one's number,
    and `is_newer_by_commit` says that it is newer by its commit alone: this one was made after it, from an older commit.
    `target` is the branch whose counts are the baseline of a pull request without earlier builds. `is_surely_first`
    says that the CI system knows no earlier build of the ref either.
    """

    change: Change = Change.NONE
    baseline: IssueCounts | None = None
    streak: int = 0
    red_since: int | None = None
    red_seconds: float | None = None
    usual_seconds: float | None = None
    worse: bool = False
    better: bool = False
    is_rerun: bool = False
    is_outdated: bool = False
    newer: int | None = None
    newer_conclusion: Conclusion | None = None
    is_newer_by_commit: bool = False
    target: str | None = None
    target_conclusion: Conclusion | None = None
    is_surely_first: bool = False

    def delta(self, now: IssueCounts, name: str) -> int | None:
        """Return how much a count (`errors`, `warnings`, …) moved against the baseline, None where either is unknown."""
        after: int | None = getattr(now, name)
        before: int | None = getattr(self.baseline, name) if self.baseline else None
        return None if after is None or before is None else after - before

    def with_counts(self, counts: IssueCounts) -> "Transition":
        """Return this with `worse` and `better` as counts say: worse where one grew, better where one fell, none grew.

        An attempt that says nothing about the code is neither.
        """
        if self.change is Change.NONE:
            return self
        deltas = [delta for name in ISSUE_COUNTS if (delta := self.delta(counts, name))]
        worse = any(delta > 0 for delta in deltas)
        return replace(self, worse=worse, better=bool(deltas) and not worse)


def spoken(connection: str, pipeline: str, *, ref: Ref | None = None, number: int | None = None) -> str:
    """Return a target as one could type it: `connection:pipeline@ref#number`, in long flags where a name needs them."""
    name = f"{connection}:{pipeline}"
    plain = not any(c in name or (ref is not None and c in str(ref)) for c in "@#\"'\\ =<>&—")
    if plain:
        return name + (f"@{ref}" if ref else "") + (f"#{number}" if number is not None else "")
    words = [f"--pipeline {shlex.quote(name)}"]
    if ref:
        words.append(f"--ref {shlex.quote(str(ref))}")
    if number is not None:
        words.append(f"--build {number}")
    return " ".join(words)
