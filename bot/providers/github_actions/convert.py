"""GitHub's objects in our words: pure readers and state maps."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import timedelta
from urllib.parse import quote

from bot.core.models import (
    Approval,
    Artifact,
    Build,
    Conclusion,
    Issue,
    IssueKind,
    Job,
    Person,
    Pipeline,
    Starter,
    Status,
    Trigger,
)
from bot.providers.base.convert import StateMap, state_from, with_jobs
from bot.providers.base.logs import clean_log
from bot.providers.base.times import latest, parse_time
from bot.providers.github_actions import wire
from bot.providers.github_actions.urls import WORKFLOWS

STATES: StateMap = {
    "requested": (Status.QUEUED, None),
    "queued": (Status.QUEUED, None),
    "pending": (Status.QUEUED, None),
    "waiting": (Status.IN_PROGRESS, None),
    "in_progress": (Status.IN_PROGRESS, None),
    # a run of a fork's pull request that nobody has let in: it reads completed, and nothing of it has run
    "action_required": (Status.IN_PROGRESS, None),
    "completed": (Status.COMPLETED, None),
    "success": (Status.COMPLETED, Conclusion.PASSED),
    "neutral": (Status.COMPLETED, Conclusion.PASSED),
    "failure": (Status.COMPLETED, Conclusion.FAILED),
    "startup_failure": (Status.COMPLETED, Conclusion.FAILED),
    "timed_out": (Status.COMPLETED, Conclusion.TIMEOUT),
    "cancelled": (Status.COMPLETED, Conclusion.CANCELLED),
    "stale": (Status.COMPLETED, Conclusion.CANCELLED),
    "skipped": (Status.COMPLETED, Conclusion.SKIPPED),
}
JOB_STATES: StateMap = {**STATES, "waiting": (Status.QUEUED, None)}
WAITING = frozenset({"waiting", "action_required"})
"""The states that a person ends."""
RED = frozenset({"failure", "timed_out", "startup_failure"})
TRIGGERS: Mapping[str, Trigger] = {
    "push": Trigger.PUSH,
    "create": Trigger.PUSH,
    "delete": Trigger.PUSH,
    "release": Trigger.PUSH,
    "page_build": Trigger.PUSH,
    "pull_request": Trigger.MERGE_REQUEST,
    "pull_request_target": Trigger.MERGE_REQUEST,
    "pull_request_review": Trigger.MERGE_REQUEST,
    "pull_request_review_comment": Trigger.MERGE_REQUEST,
    "merge_group": Trigger.MERGE_REQUEST,
    "schedule": Trigger.CRON,
    "repository_dispatch": Trigger.API,
    "workflow_run": Trigger.API,
    "workflow_call": Trigger.API,
    "deployment": Trigger.API,
    "deployment_status": Trigger.API,
    "check_run": Trigger.API,
    "check_suite": Trigger.API,
    "status": Trigger.API,
}
LISTED: Mapping[str, str] = {"timeout": "timed_out", "skipped": "skipped"}
"""Our words that one of the list's own says exactly; the list takes one, so the others are told apart here."""
FORK_GATE = "fork"
ENVIRONMENT_GATE = "environment/"
NO_FILE = ".github"
"""The path of annotations that belong to no file."""


def pipeline(it: wire.Workflow, repository: str, default_branch: str | None = None) -> Pipeline:
    """Return a workflow as ours: its number makes the id, its file's name the path."""
    path = it.path or ""
    file = path.removeprefix(WORKFLOWS) if path.startswith(WORKFLOWS) else ""
    return Pipeline(
        id=f"{repository}/{it.id}",
        path=f"{repository}/{file or it.id}",
        name=it.name or file or str(it.id),
        group=repository,
        default_branch=default_branch or None,
        repository=repository,
        web_url=it.html_url,
        enabled=it.state in {None, "active"},
    )


def raw_state(status: str | None, conclusion: str | None) -> str | None:
    """Return GitHub's own word: the conclusion of what is completed, else the status."""
    return conclusion if status == "completed" and conclusion else status


def build(it: wire.Run, connection: str, pipeline: str) -> Build:
    """Return a run as ours. Its end is the last time it changed: only its jobs know better."""
    raw = raw_state(it.status, it.conclusion)
    status, conclusion = state_from(raw, STATES, finished=it.status == "completed")
    branch, tag = _place(it)
    request = it.pull_requests[0] if it.pull_requests and trigger(it) is Trigger.MERGE_REQUEST else None
    who = it.triggering_actor or it.actor
    return Build(
        connection=connection,
        pipeline=pipeline,
        id=str(it.id),
        number=it.run_number,
        attempt=it.run_attempt,
        name=it.name,
        workflow=file_of(it.path),
        repo=it.repository.full_name if it.repository else None,
        branch=branch,
        tag=tag,
        pull_request=str(request.number) if request and request.number is not None else None,
        target_branch=request.base.ref if request and request.base else None,
        commit=it.head_sha or None,
        message=(it.head_commit.message if it.head_commit else None) or it.display_title or None,
        author=_author(it),
        status=status,
        conclusion=conclusion,
        raw_state=raw,
        waiting=raw in WAITING,
        trigger=trigger(it),
        triggered_by=who.login if who else None,
        triggered_by_type=_starter(it, who),
        created_at=parse_time(it.created_at),
        started_at=parse_time(it.run_started_at) if status is not Status.QUEUED else None,
        completed_at=parse_time(it.updated_at) if status is Status.COMPLETED else None,
        updated_at=parse_time(it.updated_at),
        web_url=it.html_url,
    )


def with_its_jobs(build: Build, jobs: Iterable[Job]) -> Build:
    """Return a build with its jobs counted; a completed one with its real end, and partial where a tolerated job failed."""
    known = tuple(jobs)
    if not known:
        return build
    counted = with_jobs(build, known)
    conclusion = counted.conclusion
    if conclusion is Conclusion.PASSED and any(job.conclusion is not None and job.conclusion.is_red for job in known):
        conclusion = Conclusion.PARTIAL
    if not build.completed:
        return counted
    ended = latest(*(job.completed_at for job in known))
    return replace(counted, conclusion=conclusion, completed_at=ended or build.completed_at)


def _place(it: wire.Run) -> tuple[str | None, str | None]:
    """Return the branch and the tag of a run; only some runs of tags say that it is one."""
    ref = (it.path or "").partition("@")[2]
    if ref.startswith("refs/tags/"):
        return None, ref.removeprefix("refs/tags/")
    if it.event == "release":
        return None, it.head_branch or None
    return it.head_branch or None, None


def file_of(path: str | None) -> str | None:
    """Return a workflow's file, without the directory that all of them stand in and without a ref."""
    return (path or "").partition("@")[0].removeprefix(WORKFLOWS) or None


def trigger(it: wire.Run) -> Trigger:
    """Return what made a run start. A dispatch by a person may be the button or a call: GitHub does not tell."""
    if it.event == "workflow_dispatch":
        who = it.actor or it.triggering_actor
        return Trigger.API if who is not None and who.type == "Bot" else Trigger.WEB
    return TRIGGERS.get(it.event or "", Trigger.UNKNOWN)


def _starter(it: wire.Run, who: wire.User | None) -> Starter | None:
    if it.event == "schedule" and (it.run_attempt or 1) == 1:
        return Starter.BOT
    if who is None or not who.login:
        return None
    return Starter.BOT if who.type == "Bot" or who.login.endswith("[bot]") else Starter.USER


def _author(it: wire.Run) -> Person | None:
    who = it.head_commit.author if it.head_commit else None
    return Person(name=who.name or None, email=who.email or None) if who and (who.name or who.email) else None


def job(it: wire.JobWire, pipeline: str, build: str) -> Job:
    """Return a job as ours. A queued one reads started when it was created."""
    raw = raw_state(it.status, it.conclusion)
    status, conclusion = state_from(raw, JOB_STATES, finished=it.status == "completed")
    return Job(
        id=str(it.id),
        build=build,
        pipeline=pipeline,
        name=it.name or f"job {it.id}",
        status=status,
        conclusion=conclusion,
        raw_state=raw,
        reason=job_reason(it),
        created_at=parse_time(it.created_at),
        started_at=parse_time(it.started_at) if status is not Status.QUEUED else None,
        completed_at=parse_time(it.completed_at) if status is Status.COMPLETED else None,
        web_url=it.html_url,
    )


def job_reason(it: wire.JobWire) -> str | None:
    """Return which step of a job failed first."""
    failed = (step for step in it.steps or () if step.conclusion in RED)
    first = next(failed, None)
    return f"step “{first.name}” failed" if first and first.name else None


def annotation_issue(it: wire.Annotation, run: wire.CheckRun) -> Issue | None:
    """Return an annotation as an issue; notifications are none."""
    match it.annotation_level:
        case "failure":
            kind = IssueKind.ERROR
        case "warning":
            kind = IssueKind.WARNING
        case _:
            return None
    said = it.message or it.title or "an annotation without words"
    return Issue(
        kind=kind,
        message=f"{it.title}: {said}" if it.title and it.message and it.title != it.message else said,
        job=run.name,
        file=it.path if it.path and it.path != NO_FILE else None,
        line=it.start_line if it.path and it.path != NO_FILE else None,
        url=run.html_url or run.details_url,
    )


def failed_issue(name: str | None, reason: str | None, url: str | None) -> Issue:
    """Return a failed job that says nothing of its own as an issue."""
    return Issue(kind=IssueKind.ERROR, message=f"{name or 'A job'}: {reason or 'failed'}", job=name, url=url)


def approval(it: wire.Pending, pipeline: str, build: str, page: str, *, by_app: bool) -> Approval:
    """Return a deployment that waits as an approval. Who may let it go on, and what else it waits for, is in its words."""
    name = it.environment.name or f"environment {it.environment.id}"
    reviewers = tuple(
        who
        for one in it.reviewers or ()
        if one.reviewer and (who := one.reviewer.login or one.reviewer.name or one.reviewer.slug)
    )
    allowed = it.current_user_can_approve is True and not by_app
    return Approval(
        id=f"{ENVIRONMENT_GATE}{it.environment.id}",
        build=build,
        pipeline=pipeline,
        name=name,
        approvers=reviewers,
        can_reject=allowed,
        instructions=_instructions(it, reviewers, allowed=allowed),
        url=page,
    )


def _instructions(it: wire.Pending, reviewers: tuple[str, ...], *, allowed: bool) -> str | None:
    started = parse_time(it.wait_timer_started_at)
    said = []
    if it.wait_timer and started is not None:
        said.append(
            f"Its wait timer ends at {started + timedelta(minutes=min(it.wait_timer, 43_200)):%Y-%m-%d %H:%M} UTC."
        )
    if reviewers and not allowed:
        said.append("Only its reviewers can decide, on the run's page; this connection is none of them.")
    elif not reviewers and not it.wait_timer:
        said.append("A protection rule of another app decides.")
    return " ".join(said) or None


def fork_approval(pipeline: str, build: str, page: str) -> Approval:
    """Return the approval that a run of a newcomer's fork waits for."""
    return Approval(
        id=FORK_GATE,
        build=build,
        pipeline=pipeline,
        name="Run the workflows of a fork",
        instructions="The pull request comes from a first-time contributor. Read its changes before you let it run.",
        url=page,
    )


def artifact(it: wire.ArtifactWire, pipeline: str, build: str, page: str) -> Artifact:
    """Return an artifact as ours. Its page is for people who are signed in at GitHub."""
    return Artifact(
        id=str(it.id),
        build=build,
        pipeline=pipeline,
        name=it.name or str(it.id),
        size_bytes=it.size_in_bytes,
        kind="zip",
        url=f"{page}/artifacts/{quote(str(it.id), safe='')}",
    )


_STAMP = re.compile(r"^\ufeff?\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z ?", re.MULTILINE)
_MARK = re.compile(
    r"^(?:##\[|::)(group|endgroup|error|warning|notice|debug|command|section)(?: [^\]:\n]*)?(?:\]|::)", re.MULTILINE
)
_GROUP_END = re.compile(r"^##\[endgroup\]\n?", re.MULTILINE)
_ERROR, _WARNING = "##[error]", "##[warning]"


def plain_log(data: bytes) -> str:
    """Return a log without the times and the marks of its lines; errors and warnings keep their word."""

    def word(found: re.Match[str]) -> str:
        return {"error": "Error: ", "warning": "Warning: "}.get(found[1], "")

    return _MARK.sub(word, _GROUP_END.sub("", _STAMP.sub("", clean_log(data))))


def marked(line: bytes) -> tuple[IssueKind, str] | None:
    """Return the error or warning that a line of a log is, if it is one."""
    text = _STAMP.sub("", clean_log(line)).strip()
    for mark, kind in ((_ERROR, IssueKind.ERROR), (_WARNING, IssueKind.WARNING)):
        if text.startswith(mark):
            return kind, text.removeprefix(mark).strip()[:500]
    return None
