"""Builds and their jobs, with whoever made them and how much is wrong with them."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Self

from bot.core.models.cleaning import clean_fields
from bot.core.models.refs import Ref, RefKind
from bot.core.models.states import Conclusion, Starter, Status, Trigger
from bot.core.text import clean_message, clean_name, step_name, valid


@dataclass(frozen=True, slots=True, kw_only=True)
class IssueCounts:
    """Counts of a build's errors, warnings and failed tests; `None` where the system does not report them."""

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Somebody as a CI system or git names them."""

    name: str | None = None
    email: str | None = None
    login: str | None = None

    def __post_init__(self) -> None:
        """Clean and cut what others wrote."""
        clean_fields(self, clean_name, "name", "email", "login")


@dataclass(frozen=True, slots=True, kw_only=True)
class Build:
    """One run of a pipeline.

    `id` is what the provider's calls take, `number` what people say. `attempt` counts attempts where the system
    does. `raw_state` is the vendor's own word, `reason` what it says beyond our conclusion (`errored`, `cancelled by a
    newer build`). `waiting` says that an approval is open. `jobs` counts jobs by the words of `Status` and `Conclusion`.
    `details` is what else the vendor reports, by a plain name: coverage, runner, stage. `rebuilt_from` is the id of the
    build of the same pipeline that this one was made from, where the system tells or the bot made it, `first_built_at`
    when that one was created, if it is of the same commit. `job` names the job of the pipeline that the build is, where it
    is no more than one. `head_commit` is the newest commit of the pull request itself, where the system reports it:
    several build a merge of that commit, which is `commit` then and differs from one system to the next.
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
    head_commit: str | None = None
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
        clean_fields(self, clean_name, "name", "job", "workflow", "triggered_by", "raw_state")
        clean_fields(self, valid, "branch", "tag", "target_branch", "repo", "web_url")
        clean_fields(self, clean_message, "message")

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
        clean_fields(self, step_name, "name", "stage")
        clean_fields(self, clean_name, "key", "variant", "runner", "raw_state")
        clean_fields(self, clean_message, "reason")

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
        clean_fields(self, clean_name, "subject", "author")
