"""Buildkite's objects in our words: pure readers and state maps."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from email.utils import parseaddr
from urllib.parse import unquote

from bot.core.errors import UnexpectedResponse
from bot.core.models import (
    Approval,
    Artifact,
    Build,
    Conclusion,
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
from bot.http.client import Reply
from bot.providers.base.convert import StateMap, repository, state_from
from bot.providers.base.times import latest, parse_time
from bot.providers.buildkite import wire

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


def pipeline(it: wire.PipelineWire) -> Pipeline:
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


def build(it: wire.BuildWire, connection: str, pipeline: str | None = None) -> Build:
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
    finished = parse_time(it.finished_at)
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
        created_at=parse_time(it.created_at),
        started_at=parse_time(it.started_at),
        completed_at=finished if status is Status.COMPLETED else None,
        updated_at=latest(*map(parse_time, (it.created_at, it.started_at, it.failing_at, it.finished_at))),
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


def author(it: wire.BuildWire) -> Person | None:
    """Return who wrote the commit: an object, or a bare `Name <address>` in some deliveries."""
    match it.author:
        case wire.PersonWire(name=name, email=email) if name or email:
            return Person(name=name or None, email=email or None)
        case str(text) if text:
            name, email = parseaddr(text)
            return Person(name=name or text, email=email or None) if "@" in email else Person(name=text)
        case _:
            return None


def trigger(it: wire.BuildWire) -> Trigger:
    """Return what made the build start."""
    if it.source == "webhook" and it.pull_request and it.pull_request.id:
        return Trigger.MERGE_REQUEST
    return TRIGGERS.get(it.source or "", Trigger.UNKNOWN)


def starter(it: wire.BuildWire) -> Starter | None:
    """Return whether a person started the build."""
    if it.source in {"schedule", "trigger_job"}:
        return Starter.BOT
    return Starter.USER if it.creator else None


def job(it: wire.JobWire, pipeline: str, build: str) -> Job:
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
        created_at=parse_time(it.created_at),
        started_at=parse_time(it.started_at),
        completed_at=parse_time(it.finished_at),
        web_url=it.web_url,
    )


def job_name(it: wire.JobWire) -> str:
    """Return what people call a job; steps without a name are called by their kind."""
    return it.name or it.label or f"{it.type or 'unnamed'} step"


def job_reason(it: wire.JobWire) -> str | None:
    """Return why a job ended as it did."""
    if it.broken_reason or it.signal_reason:
        return (it.broken_reason or it.signal_reason or "").replace("_", " ")
    return f"exit status {it.exit_status}" if it.exit_status else None


def ended_badly(it: wire.JobWire) -> bool:
    """Return whether a job failed for good; `state[]=failed` also brings jobs that failed early and still run."""
    return it.state in BROKEN and not it.retried


def job_issue(it: wire.JobWire, page: str) -> Issue:
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


def approval(it: wire.JobWire, pipeline: str, build: str, page: str) -> Approval:
    """Return a manual step as an approval. Its fields are not told; its page shows them."""
    name = it.label or it.name or "Blocked step"
    return Approval(id=it.id, build=build, pipeline=pipeline, name=name, url=it.web_url or f"{page}#{it.id}")


def artifact(it: wire.ArtifactWire, pipeline: str, build: str) -> Artifact:
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


def test(it: wire.BuildTest, reason: str | None) -> TestCase:
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


def next_jobs(reply: Reply) -> str | None:
    """Return where the job list goes on: a link in the body, unlike all other lists."""
    links = wire.JobPage.of(reply.raw).links
    return links.next if links else None


def raw_states(wanted: Iterable[str]) -> set[str]:
    """Return the states to ask the list for, so that all builds in `wanted` (our words) are among the answers."""
    words = set(wanted)
    if not words or "unknown" in words:
        return set()
    if "timeout" in words:  # a build that timed out reads failed
        words.add("failed")
    return {
        raw
        for raw, (status, conclusion) in STATES.items()
        if raw in LISTED_STATES
        and (status.value in words or (conclusion and conclusion.value in words) or raw in words)
    }
