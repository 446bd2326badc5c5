"""Buildkite's objects as they come, and their readers: pure, no requests."""

import json
import logging
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.utils import parseaddr
from typing import Self, TypeVar
from urllib.parse import unquote, urlsplit

import httpx
import msgspec

from bot.errors import UnexpectedResponse
from bot.http import Quota, Reply
from bot.models import (
    Artifact,
    Build,
    BuildKey,
    Conclusion,
    Gate,
    Issue,
    IssueKind,
    Job,
    Outcome,
    Person,
    Pipeline,
    Starter,
    Status,
    TestCase,
    Trigger,
)
from bot.providers.base import StateMap, Wire, latest, moment, state_from

log = logging.getLogger(__name__)

T = TypeVar("T")

STATES: StateMap = {
    "creating": (Status.QUEUED, None),
    "scheduled": (Status.QUEUED, None),
    "running": (Status.IN_PROGRESS, None),
    "failing": (Status.IN_PROGRESS, None),
    "canceling": (Status.IN_PROGRESS, None),
    "blocked": (Status.IN_PROGRESS, None),
    "waiting": (Status.IN_PROGRESS, None),
    "waiting_failed": (Status.COMPLETED, Conclusion.FAILED),
    "passed": (Status.COMPLETED, Conclusion.PASSED),
    "failed": (Status.COMPLETED, Conclusion.FAILED),
    "canceled": (Status.COMPLETED, Conclusion.CANCELLED),
    "skipped": (Status.COMPLETED, Conclusion.SKIPPED),
    "not_run": (Status.COMPLETED, Conclusion.SKIPPED),
}
JOB_STATES: StateMap = {
    "pending": (Status.QUEUED, None),
    "waiting": (Status.QUEUED, None),
    "blocked": (Status.QUEUED, None),
    "limiting": (Status.QUEUED, None),
    "limited": (Status.QUEUED, None),
    "platform_limiting": (Status.QUEUED, None),
    "platform_limited": (Status.QUEUED, None),
    "scheduled": (Status.QUEUED, None),
    "reserved": (Status.QUEUED, None),
    "assigned": (Status.QUEUED, None),
    "accepted": (Status.QUEUED, None),
    "running": (Status.IN_PROGRESS, None),
    "canceling": (Status.IN_PROGRESS, None),
    "timing_out": (Status.IN_PROGRESS, None),
    "passed": (Status.COMPLETED, Conclusion.PASSED),
    "unblocked": (Status.COMPLETED, Conclusion.PASSED),
    "failed": (Status.COMPLETED, Conclusion.FAILED),
    # these three never ran: what stood before them failed
    "waiting_failed": (Status.COMPLETED, Conclusion.SKIPPED),
    "blocked_failed": (Status.COMPLETED, Conclusion.SKIPPED),
    "unblocked_failed": (Status.COMPLETED, Conclusion.SKIPPED),
    "canceled": (Status.COMPLETED, Conclusion.CANCELLED),
    "timed_out": (Status.COMPLETED, Conclusion.TIMEOUT),
    "expired": (Status.COMPLETED, Conclusion.TIMEOUT),
    "skipped": (Status.COMPLETED, Conclusion.SKIPPED),
    "broken": (Status.COMPLETED, Conclusion.SKIPPED),
}
BROKEN = ("failed", "timed_out", "expired")
"""The job states that make a build fail."""
LISTED_STATES = STATES.keys() - {"waiting", "waiting_failed"}
"""What the build list's `state[]` accepts."""
TRIGGERS: Mapping[str, Trigger] = {
    "webhook": Trigger.PUSH,
    "api": Trigger.API,
    "trigger_job": Trigger.API,
    "ui": Trigger.WEB,
    "schedule": Trigger.CRON,
}
QUOTAS = ("RateLimit-", "RateLimit-User-")
"""The two sets of limit headers: the organization's and the user's. Both hold."""
FALLBACK_WAIT_SECONDS = 60.0


class TokenUser(Wire):
    """Whose token it is."""

    name: str | None = None
    email: str | None = None


class Token(Wire):
    """GET /v2/access-token."""

    scopes: list[str]
    expires_at: str | None = None
    user: TokenUser | None = None


class Organization(Wire):
    """GET /v2/organizations/{org}."""

    slug: str
    name: str | None = None


class PipelineWire(Wire):
    """A pipeline, whole or as it stands inside a build."""

    slug: str
    name: str | None = None
    default_branch: str | None = None
    repository: str | None = None
    web_url: str | None = None
    archived_at: str | None = None


class PersonWire(Wire):
    """A creator or an author."""

    name: str | None = None
    email: str | None = None


class PullRequest(Wire):
    """A build's pull request; an empty object where there is none."""

    id: str | int | None = None
    base: str | None = None
    repository: str | None = None


class Origin(Wire):
    """The build that a rebuild was made from."""

    number: int | None = None


class JobCounts(Wire):
    """Only `GET build` has it; it counts all jobs, whatever the query says."""

    states: dict[str, int] = msgspec.field(default_factory=dict)


class Suite(Wire):
    """The test suite of a run."""

    slug: str | None = None


class Run(Wire):
    """A run of a test suite, as a build names it."""

    id: str | None = None
    suite: Suite | None = None


class Engine(Wire):
    """A build's test runs, where asked for."""

    runs: list[Run] | None = None


class BuildWire(Wire):
    """A build. `env` and `meta_data` may hold secrets: they are read for a rebuild only, and never shown."""

    number: int
    state: str
    id: str = ""
    url: str | None = None
    web_url: str | None = None
    blocked: bool | None = None
    message: str | None = None
    commit: str | None = None
    branch: str | None = None
    source: str | None = None
    creator: PersonWire | None = None
    author: PersonWire | str | None = None
    pull_request: PullRequest | None = None
    rebuilt_from: Origin | None = None
    pipeline: PipelineWire | None = None
    job_state_counts: JobCounts | None = None
    test_engine: Engine | None = None
    env: dict[str, object] | None = None
    meta_data: dict[str, object] | None = None
    created_at: str | None = None
    started_at: str | None = None
    failing_at: str | None = None
    finished_at: str | None = None


class Retried(Wire):
    """What `retry_failed_jobs` adds to the build."""

    retried_jobs_count: int | None = None


class JobWire(Wire):
    """A job: a script, a trigger, a manual step (gate) or a waiter."""

    id: str
    state: str | None = None
    type: str | None = None
    name: str | None = None
    label: str | None = None
    group_key: str | None = None
    web_url: str | None = None
    soft_failed: bool | None = None
    retried: bool | None = None
    exit_status: int | None = None
    signal_reason: str | None = None
    broken_reason: str | None = None
    unblockable: bool | None = None
    created_at: str | None = None
    started_at: str | None = None
    finished_at: str | None = None


class JobLinks(Wire):
    """Where the job list goes on."""

    next: str | None = None


class JobPage(Wire):
    """A page of the job list, but for its items."""

    links: JobLinks | None = None


class ArtifactWire(Wire):
    """An artifact."""

    id: str
    job_id: str | None = None
    path: str | None = None
    filename: str | None = None
    state: str | None = None
    mime_type: str | None = None
    file_size: int | None = None


class Annotation(Wire):
    """A note on a build, without its body."""

    context: str | None = None
    style: str | None = None


class BuildTest(Wire):
    """A test of a build, with how often it ran and how that ended."""

    name: str | None = None
    scope: str | None = None
    location: str | None = None
    duration_avg: float | None = None
    executions_count_by_result: dict[str, int] | None = None


class FailedExecution(Wire):
    """One failed run of one test."""

    test_name: str | None = None
    failure_reason: str | None = None


class HookBuild(Wire):
    """A build as a webhook names it."""

    number: int
    url: str | None = None


class HookPipeline(Wire):
    """A pipeline as a webhook names it."""

    slug: str | None = None


class Hook(Wire):
    """A webhook's body."""

    event: str
    build: HookBuild | None = None
    pipeline: HookPipeline | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """What the address of a build in the API says."""

    organization: str
    pipeline: str


_PLACE = re.compile(r"/v2/organizations/([^/?#]+)/pipelines/([^/?#]+)(?:/builds/\d+)?/?$")


def place(url: str | None) -> Place | None:
    """Return the organization and the pipeline that a build's `url` names."""
    found = _PLACE.search(url or "")
    return Place(organization=unquote(found[1]), pipeline=unquote(found[2])) if found else None


def read_pipeline(it: PipelineWire) -> Pipeline:
    """Return a pipeline as ours; its slug is its id."""
    return Pipeline(
        id=it.slug,
        path=it.slug,
        name=it.name or it.slug,
        default_branch=it.default_branch or None,
        repository=repository(it.repository),
        web_url=it.web_url,
        enabled=it.archived_at is None,
    )


_GIT_URL = re.compile(r"^(?:[a-z+]+://)?(?:[^@/]+@)?[^/:]+(?::\d+)?[/:](.+?)(?:\.git)?/?$")


def repository(url: str | None) -> str | None:
    """Return `owner/name` of a git address; what is no address stays as it is."""
    found = _GIT_URL.match(url or "")
    return found[1].lstrip("/") if found else url or None


def read_build(it: BuildWire, connection: str, pipeline: str | None = None) -> Build:
    """Return a build as ours.

    A blocked build does not say so in its state: `blocked` stands beside the state it had before, often `passed`.
    """
    status, conclusion = state_from(it.state, STATES, finished=bool(it.finished_at))
    waiting = it.state == "blocked" or bool(it.blocked)
    if waiting and conclusion in {Conclusion.CANCELLED, Conclusion.SKIPPED}:
        waiting = False
    elif waiting and conclusion is not Conclusion.FAILED:
        status, conclusion = Status.IN_PROGRESS, None
    states = it.job_state_counts.states if it.job_state_counts else None
    if conclusion is Conclusion.FAILED and states and only_timed_out(states):
        conclusion = Conclusion.TIMEOUT
    at = place(it.url)
    slug = pipeline or (it.pipeline.slug if it.pipeline else None) or (at.pipeline if at else None)
    if slug is None:
        raise UnexpectedResponse("Buildkite sent a build that names no pipeline.", provider="Buildkite")
    request = it.pull_request.id if it.pull_request else None
    finished = moment(it.finished_at)
    return Build(
        connection=connection,
        pipeline=slug,
        id=str(it.number),
        number=it.number,
        name=it.pipeline.name if it.pipeline else None,
        repo=repository(it.pipeline.repository) if it.pipeline else None,
        branch=it.branch or None,
        pull_request=str(request) if request else None,
        target_branch=(it.pull_request.base or None) if it.pull_request else None,
        commit=it.commit if it.commit != "HEAD" else None,
        message=it.message or None,
        author=author(it),
        status=status,
        conclusion=conclusion,
        raw_state=it.state,
        waiting=waiting,
        trigger=trigger(it),
        triggered_by=(it.creator.name or it.creator.email) if it.creator else None,
        triggered_by_type=starter(it),
        created_at=moment(it.created_at),
        started_at=moment(it.started_at),
        completed_at=finished if status is Status.COMPLETED else None,
        updated_at=latest(*map(moment, (it.created_at, it.started_at, it.failing_at, it.finished_at))),
        web_url=it.web_url,
        jobs=job_words(states) if states is not None else None,
    )


def only_timed_out(states: Mapping[str, int]) -> bool:
    """Return whether every failed job ran out of time."""
    return not states.get("failed") and bool(states.get("timed_out") or states.get("expired"))


def job_words(states: Mapping[str, int]) -> dict[str, int]:
    """Return Buildkite's counts by job state in our words."""
    words: dict[str, int] = {}
    for raw, count in states.items():
        status, conclusion = state_from(raw, JOB_STATES)
        word = (conclusion or status).value
        words[word] = words.get(word, 0) + count
    return words


def author(it: BuildWire) -> Person | None:
    """Return who wrote the commit: an object, or a bare `Name <address>` in some deliveries."""
    match it.author:
        case PersonWire(name=name, email=email) if name or email:
            return Person(name=name or None, email=email or None)
        case str(text) if text:
            name, email = parseaddr(text)
            return Person(name=name or text, email=email or None) if "@" in email else Person(name=text)
        case _:
            return None


def trigger(it: BuildWire) -> Trigger:
    """Return what made the build start."""
    if it.source == "webhook" and it.pull_request and it.pull_request.id:
        return Trigger.MERGE_REQUEST
    return TRIGGERS.get(it.source or "", Trigger.UNKNOWN)


def starter(it: BuildWire) -> Starter | None:
    """Return whether a person started the build."""
    if it.source in {"schedule", "trigger_job"}:
        return Starter.BOT
    return Starter.USER if it.creator else None


def read_job(it: JobWire, pipeline: str, build: str) -> Job:
    """Return a job as ours."""
    status, conclusion = state_from(it.state, JOB_STATES, finished=bool(it.finished_at))
    return Job(
        id=it.id,
        build=build,
        pipeline=pipeline,
        name=job_name(it),
        stage=it.group_key,
        status=status,
        conclusion=Conclusion.RETRIED if it.retried else conclusion,
        raw_state=it.state,
        tolerated=bool(it.soft_failed),
        retried=bool(it.retried),
        reason=job_reason(it),
        created_at=moment(it.created_at),
        started_at=moment(it.started_at),
        completed_at=moment(it.finished_at),
        web_url=it.web_url,
    )


def job_name(it: JobWire) -> str:
    """Return what people call a job; steps without a name are called by their kind."""
    return it.name or it.label or f"{it.type or 'unnamed'} step"


def job_reason(it: JobWire) -> str | None:
    """Return why a job ended as it did."""
    if it.broken_reason or it.signal_reason:
        return (it.broken_reason or it.signal_reason or "").replace("_", " ")
    return f"exit status {it.exit_status}" if it.exit_status else None


def ended_badly(it: JobWire) -> bool:
    """Return whether a job failed for good; `state[]=failed` also brings jobs that failed early and still run."""
    return it.state in BROKEN and not it.retried


def job_issue(it: JobWire, page: str) -> Issue:
    """Return a failed job as an issue: a tolerated failure is a warning."""
    words = {"timed_out": "timed out", "expired": "expired before an agent took it"}
    said = words.get(it.state or "") or job_reason(it) or "failed"
    name = job_name(it)
    return Issue(
        kind=IssueKind.WARNING if it.soft_failed else IssueKind.ERROR,
        message=f"{name}: {said}",
        job=name,
        url=it.web_url or f"{page}#{it.id}",
    )


def read_gate(it: JobWire, pipeline: str, build: str, page: str) -> Gate:
    """Return a manual step as a gate. Its fields are not told; its page shows them."""
    name = it.label or it.name or "Blocked step"
    return Gate(id=it.id, build=build, pipeline=pipeline, name=name, url=it.web_url or f"{page}#{it.id}")


def read_artifact(it: ArtifactWire, pipeline: str, build: str) -> Artifact:
    """Return an artifact as ours; its address needs the token, so it is none for people."""
    return Artifact(
        id=it.id,
        build=build,
        pipeline=pipeline,
        name=it.path or it.filename or it.id,
        job=it.job_id,
        size_bytes=it.file_size,
        kind=it.mime_type,
    )


def read_test(it: BuildTest, reason: str | None) -> TestCase:
    """Return a test as ours: failed if any of its runs in this build failed."""
    by_result = it.executions_count_by_result or {}
    failed, runs = by_result.get("failed", 0), sum(by_result.values())
    if failed:
        outcome = Outcome.FAILED
    elif by_result.get("passed"):
        outcome = Outcome.PASSED
    elif by_result.get("skipped"):
        outcome = Outcome.SKIPPED
    else:
        outcome = Outcome.UNKNOWN
    return TestCase(
        name=it.name or it.location or "a test without a name",
        outcome=outcome,
        class_name=it.scope or None,
        detail=f"failed in {failed} of {runs} runs" if failed and runs > 1 else None,
        seconds=it.duration_avg,
        message=reason,
        file=it.location,
    )


def readable(items: Iterable[msgspec.Raw], read: Callable[[msgspec.Raw], T]) -> Iterator[T]:
    """Yield what reads: one odd item spoils only itself. Raises the last error where nothing reads."""
    odd: UnexpectedResponse | None = None
    good = False
    for item in items:
        try:
            it = read(item)
        except UnexpectedResponse as exc:
            odd = exc
            log.warning("an item of Buildkite's list does not read", extra={"error": str(exc)})
            continue
        good = True
        yield it
    if odd is not None and not good:
        raise odd


def next_jobs(reply: Reply) -> str | None:
    """Return where the job list goes on: a link in the body, unlike all other lists."""
    links = JobPage.of(reply.raw).links
    return links.next if links else None


def quota(headers: httpx.Headers, prefix: str, now: datetime) -> Quota | None:
    """Return one set of the limit headers. `Reset` is in seconds from now."""
    limit, remaining, reset = (_whole(headers.get(f"{prefix}{name}")) for name in ("Limit", "Remaining", "Reset"))
    if limit is None or remaining is None:
        return None
    resets_at = None if reset is None else now + timedelta(seconds=reset)
    return Quota(limit=limit, remaining=remaining, resets_at=resets_at)


class LimitBody(Wire):
    """What a 429 says in its body."""

    reset: float | None = None


def wait_seconds(reply: Reply) -> float:
    """Return how long a 429 asks to wait: the longest of its body and of the exhausted sets, and a second more."""
    waits = [
        float(reset)
        for prefix in QUOTAS
        if _whole(reply.headers.get(f"{prefix}Remaining")) == 0
        and (reset := _whole(reply.headers.get(f"{prefix}Reset"))) is not None
    ]
    try:
        told = msgspec.json.decode(reply.content, type=LimitBody).reset
    except (msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError, RecursionError):
        told = None
    if told is not None and 0 <= told <= 3600:
        waits.append(told)
    return max(waits) + 1 if waits else FALLBACK_WAIT_SECONDS


def _whole(value: str | None) -> int | None:
    return int(value) if value is not None and value.isdecimal() and len(value) < 10 else None


def scope_of(url: str) -> str:
    """Return the scope that a refused request would have needed, from its address."""
    path = urlsplit(url).path
    for part, scope in (
        ("/analytics/", "read_suites"),
        ("/log", "read_build_logs"),
        ("/artifacts", "read_artifacts"),
        ("/cancel", "write_builds"),
        ("/rebuild", "write_builds"),
        ("/retry", "write_builds"),
        ("/unblock", "write_builds"),
        ("/builds", "read_builds (write_builds to start one)"),
        ("/pipelines", "read_pipelines"),
    ):
        if part in path:
            return scope
    return "read_organizations"


def raw_states(wanted: Iterable[str]) -> set[str]:
    """Return the states to ask the list for, so that all builds in `wanted` (our words) are among the answers."""
    words = set(wanted)
    if not words or "unknown" in words:
        return set()
    if "timeout" in words:  # a build that timed out reads failed
        words.add("failed")
    if words & {"blocked", "in_progress"}:  # a blocked build may read anything
        words |= {"in_progress", "passed", "blocked"}
    return {
        raw
        for raw, (status, conclusion) in STATES.items()
        if raw in LISTED_STATES
        and (status.value in words or (conclusion and conclusion.value in words) or raw in words)
    }


def short(key: BuildKey) -> str:
    """Return a build's place in this connection, as the cursor keeps it."""
    return f"{key.pipeline}/{key.id}"


class Cursor(msgspec.Struct, frozen=True):
    """Where `changes` stands: since when, at which tick, and which watched builds wait for a person."""

    since: datetime
    tick: int = 0
    waiting: frozenset[str] = frozenset()

    @classmethod
    def read(cls, text: str | None, now: datetime) -> Self:
        """Return the cursor; one that does not read begins now."""
        try:
            cursor = msgspec.json.decode(text or "", type=cls)
        except (msgspec.DecodeError, msgspec.ValidationError):
            return cls(since=now)
        return cursor if cursor.since.tzinfo is not None else cls(since=now)

    def moved_on(self, now: datetime, waiting: Iterable[str]) -> str:
        """Return the next tick's cursor as text."""
        return json.dumps({"since": now.isoformat(), "tick": self.tick + 1, "waiting": sorted(waiting)})
