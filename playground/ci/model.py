"""The model of the simulation, free of any vendor: people, repositories, pipelines, builds, jobs and their output."""

import random
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum


class JobState(StrEnum):
    """How a job stands. MANUAL: it waits for an approval."""

    CREATED = "created"
    QUEUED = "queued"
    RUNNING = "running"
    PASSED = "passed"
    FAILED = "failed"
    CANCELED = "canceled"
    TIMEOUT = "timeout"
    SKIPPED = "skipped"
    MANUAL = "manual"
    UNBLOCKED = "unblocked"

    @property
    def final(self) -> bool:
        """Whether nothing more happens to the job by itself."""
        return self not in {JobState.CREATED, JobState.QUEUED, JobState.RUNNING, JobState.MANUAL}

    @property
    def bad(self) -> bool:
        """Whether the job ended badly."""
        return self in {JobState.FAILED, JobState.TIMEOUT}


class BuildState(StrEnum):
    """How a build stands. WAITING: nothing runs on without a person."""

    QUEUED = "queued"
    RUNNING = "running"
    WAITING = "waiting"
    FINISHED = "finished"


class Result(StrEnum):
    """How a build ended."""

    PASSED = "passed"
    FAILED = "failed"
    CANCELED = "canceled"
    TIMEOUT = "timeout"


class Outcome(StrEnum):
    """How a build is going to end."""

    PASS = "pass"  # noqa: S105 - an outcome
    FAIL = "fail"
    TEST_FAILURE = "test_failure"
    WARNINGS = "warnings"
    ERROR = "error"
    TIMEOUT = "timeout"


class ApprovalKind(StrEnum):
    """How a step waits for a person: INSTANT has no work of its own, MANUAL runs then, OPTIONAL holds nothing up."""

    INSTANT = "instant"
    MANUAL = "manual"
    OPTIONAL = "optional"


class Source(StrEnum):
    """What made a build start."""

    PUSH = "push"
    PULL = "pull"
    SCHEDULE = "schedule"
    API = "api"
    WEB = "web"
    REBUILD = "rebuild"


class IssueKind(StrEnum):
    """The kind of an issue that a job reports."""

    ERROR = "error"
    WARNING = "warning"
    ANALYZER_WARNING = "analyzer_warning"
    TEST_FAILURE = "test_failure"


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Somebody who commits and starts builds."""

    name: str
    email: str
    number: int

    @property
    def login(self) -> str:
        """Return the part before the @."""
        return self.email.partition("@")[0]

    @property
    def uid(self) -> str:
        """Return a UUID that stays the same from start to start."""
        return str(uuid.uuid5(uuid.NAMESPACE_URL, f"mailto:{self.email}"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit:
    """A commit; `at` in seconds since the epoch."""

    sha: str
    message: str
    author: Person
    at: float
    parent: str

    @property
    def title(self) -> str:
        """Return the first line of the message."""
        return self.message.splitlines()[0] if self.message.strip() else ""


@dataclass(slots=True, kw_only=True)
class Pull:
    """A pull request, merge request."""

    number: int
    title: str
    branch: str
    target: str
    author: Person
    uid: str
    closed: bool = False


@dataclass(slots=True, kw_only=True)
class Repo:
    """A repository: heads of branches and tags, and pull requests by number."""

    owner: str
    name: str
    number: int
    uid: str
    default_branch: str
    branches: dict[str, Commit] = field(default_factory=dict)
    tags: dict[str, Commit] = field(default_factory=dict)
    pulls: dict[int, Pull] = field(default_factory=dict)
    commits: dict[str, Commit] = field(default_factory=dict)
    breaking: set[str] = field(default_factory=set)
    """Commits that broke what passed before: builds of them and of their descendants fail."""

    @property
    def slug(self) -> str:
        """Return `owner/name`."""
        return f"{self.owner}/{self.name}"

    def find(self, ref: str) -> tuple[Commit, bool] | None:
        """Return the commit that a branch, tag, SHA or its start names, and whether the ref is a tag."""
        if ref in self.branches:
            return self.branches[ref], False
        if ref in self.tags:
            return self.tags[ref], True
        if len(ref) >= 7:
            for sha, commit in self.commits.items():
                if sha.startswith(ref.lower()):
                    return commit, False
        return None

    def is_broken(self, commit: Commit) -> bool:
        """Return whether a commit, or one before it, broke what passed before."""
        current: Commit | None = commit
        while current is not None:
            if current.sha in self.breaking:
                return True
            current = self.commits.get(current.parent)
        return False

    def ref_uid(self, kind: str, name: str) -> str:
        """Return a UUID for a branch or tag that stays the same as long as its name."""
        return str(uuid.uuid5(uuid.UUID(self.uid), f"{kind}/{name}"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """A value that an approval asks for."""

    key: str
    label: str
    options: tuple[str, ...] = ()
    default: str | None = None
    required: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A job of the pipeline's definition. `warnings` is how many it usually prints, `tests` how many it runs."""

    name: str
    stage: str
    seconds: tuple[float, float] = (5.0, 10.0)
    command: str = "make"
    approval: ApprovalKind | None = None
    fields: tuple[Field, ...] = ()
    prompt: str = ""
    tests: int = 0
    warnings: int = 0
    analyzer_warnings: int = 0
    tolerated: bool = False
    artifacts: tuple[str, ...] = ()
    kind: str = ""


@dataclass(slots=True, kw_only=True)
class Pipeline:
    """What can be built. `counter` names the series its build numbers come from; `parameters` are asked for at a start."""

    system: str
    path: str
    name: str
    number: int
    uid: str
    repo: Repo
    steps: tuple[Step, ...]
    language: str
    pattern: tuple[Outcome, ...]
    weights: Mapping[Outcome, int]
    sources: tuple[Source, ...] = (Source.PUSH,)
    group: str = ""
    counter: str = ""
    created_at: float = 0.0
    enabled: bool = True
    test_classes: tuple[tuple[str, str], ...] = ()
    parameters: tuple[Field, ...] = ()
    builds: list["Build"] = field(default_factory=list)

    @property
    def stages(self) -> tuple[str, ...]:
        """Return the stages in the order they run."""
        return tuple(dict.fromkeys(step.stage for step in self.steps))


@dataclass(frozen=True, slots=True, kw_only=True)
class Issue:
    """An error, warning or test failure that a job reports."""

    uid: str
    kind: IssueKind
    message: str
    file: str | None = None
    line: int | None = None
    category: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Test:
    """One test that a job ran; `outcome` is passed, failed or skipped."""

    uid: str
    class_name: str
    name: str
    file: str
    line: int
    outcome: str
    seconds: float
    message: str | None = None
    trace: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """A file that a job left, with its bytes."""

    uid: str
    number: int
    path: str
    kind: str
    mime: str
    content: bytes


@dataclass(slots=True, kw_only=True, eq=False)
class Job:
    """A job of a build; `attempt` counts its own runs, `build_attempt` is the build's attempt it belongs to. Times in seconds since 1970; `ends_at` is planned while it runs."""

    step: Step
    uid: str
    number: int
    attempt: int
    build_attempt: int
    created_at: float
    state: JobState = JobState.CREATED
    queued_at: float | None = None
    starts_at: float | None = None
    started_at: float | None = None
    ends_at: float | None = None
    finished_at: float | None = None
    canceling: bool = False
    reason: str | None = None
    retried: bool = False
    retried_in: str | None = None
    retry_of: str | None = None
    retried_by: Person | None = None
    decided_by: Person | None = None
    comment: str = ""
    issues: tuple[Issue, ...] = ()
    tests: tuple[Test, ...] = ()
    artifacts: tuple[Artifact, ...] = ()
    erased_at: float | None = None

    @property
    def soft_failed(self) -> bool:
        """Whether it failed where failing is allowed."""
        return self.step.tolerated and self.state.bad

    @property
    def awaits_approval(self) -> bool:
        """Whether it waits for a person now."""
        return self.state is JobState.MANUAL

    def count(self, kind: IssueKind) -> int:
        """Return how many issues of one kind the job has."""
        return sum(1 for issue in self.issues if issue.kind is kind)


@dataclass(slots=True, kw_only=True, eq=False)
class Build:
    """One run of a pipeline. `past` holds earlier attempts: how each ended, when it started and finished."""

    pipeline: Pipeline
    uid: str
    id: int
    number: int
    commit: Commit
    message: str
    source: Source
    creator: Person | None
    created_at: float
    queued_until: float
    outcome: Outcome
    branch: str | None = None
    tag: str | None = None
    pull: Pull | None = None
    env: dict[str, str] = field(default_factory=dict)
    meta: dict[str, str] = field(default_factory=dict)
    clean: bool = False
    state: BuildState = BuildState.QUEUED
    result: Result | None = None
    attempt: int = 1
    jobs: list[Job] = field(default_factory=list)
    victim: Job | None = None
    started_at: float | None = None
    failing_at: float | None = None
    finished_at: float | None = None
    updated_at: float = 0.0
    attempt_started_at: float | None = None
    canceling: bool = False
    cancel_reason: str | None = None
    rebuilt_from: "Build | None" = None
    unattended: bool = False
    queue_id: int = 0
    past: dict[int, tuple[Result | None, float | None, float | None]] = field(default_factory=dict)

    @property
    def finished(self) -> bool:
        """Whether the build has ended (it may reopen)."""
        return self.state is BuildState.FINISHED

    @property
    def ref(self) -> str:
        """Return the branch or tag that was built."""
        return self.tag or self.branch or ""

    @property
    def current(self) -> list[Job]:
        """Return the jobs that no retry has replaced, in order."""
        return [job for job in self.jobs if not job.retried]

    @property
    def approvals(self) -> list[Job]:
        """Return the jobs that wait for a person now."""
        return [job for job in self.current if job.awaits_approval]

    @property
    def errored(self) -> bool:
        """Whether trouble of the service, not of the code, ended the build."""
        return any(job.reason == "infrastructure" for job in self.current)

    def count(self, kind: IssueKind) -> int:
        """Return how many issues of one kind the build has."""
        return sum(job.count(kind) for job in self.current)

    def tests(self) -> Iterator[tuple[Job, Test]]:
        """Yield the tests that ran, with their job."""
        for job in self.current:
            for test in job.tests:
                yield job, test

    def job(self, key: str) -> Job | None:
        """Return the job with a UUID or number."""
        return next((job for job in self.jobs if key in {job.uid, str(job.number)}), None)


def iso(at: float | None) -> str | None:
    """Return a time as vendors write it: UTC with milliseconds and a Z."""
    return None if at is None else stamp(at)


def stamp(at: float) -> str:
    """Return a known time as vendors write it."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def spaced(at: float | None) -> str | None:
    """Return a time in the older form `2026-03-01 10:00:00 UTC`."""
    return None if at is None else datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def new_uid(rng: random.Random) -> str:
    """Return a UUID drawn from `rng`, so that the same seed gives the same ids."""
    return str(uuid.UUID(int=rng.getrandbits(128), version=4))
