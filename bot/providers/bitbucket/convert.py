"""Bitbucket's objects in our words: pure readers and state maps."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from email.utils import parseaddr
from urllib.parse import quote

from bot.core.models import (
    Approval,
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
from bot.providers.base.convert import StateMap, state_from, with_jobs
from bot.providers.base.times import parse_time
from bot.providers.bitbucket import wire

SITE = "https://bitbucket.org"

STATES: StateMap = {
    "PARSING": (Status.QUEUED, None),
    "PENDING": (Status.QUEUED, None),
    "IN_PROGRESS": (Status.IN_PROGRESS, None),
    "RUNNING": (Status.IN_PROGRESS, None),
    "BUILDING": (Status.IN_PROGRESS, None),
    "PAUSED": (Status.IN_PROGRESS, None),
    "HALTED": (Status.IN_PROGRESS, None),
    "COMPLETED": (Status.COMPLETED, None),
    "SUCCESSFUL": (Status.COMPLETED, Conclusion.PASSED),
    "FAILED": (Status.COMPLETED, Conclusion.FAILED),
    "ERROR": (Status.COMPLETED, Conclusion.FAILED),
    "STOPPED": (Status.COMPLETED, Conclusion.CANCELLED),
    # a manual step that nobody ran in time
    "EXPIRED": (Status.COMPLETED, Conclusion.TIMEOUT),
    # spellings that clients guard against
    "PASSED": (Status.COMPLETED, Conclusion.PASSED),
    "SUCCEEDED": (Status.COMPLETED, Conclusion.PASSED),
    "CANCELLED": (Status.COMPLETED, Conclusion.CANCELLED),
}
STEP_STATES: StateMap = {
    **STATES,
    "READY": (Status.QUEUED, None),
    "PAUSED": (Status.QUEUED, None),
    "HALTED": (Status.QUEUED, None),
    "STARTING_AGENT": (Status.IN_PROGRESS, None),
    "CLONING": (Status.IN_PROGRESS, None),
    "PULLING_IMAGES": (Status.IN_PROGRESS, None),
    "DOWNLOADING_CACHES": (Status.IN_PROGRESS, None),
    "DOWNLOADING_ARTIFACTS": (Status.IN_PROGRESS, None),
    "PARSING_TEST_RESULTS": (Status.IN_PROGRESS, None),
    "UPLOADING_CACHES": (Status.IN_PROGRESS, None),
    "UPLOADING_ARTIFACTS": (Status.IN_PROGRESS, None),
    "COMPLETING_LOGS": (Status.IN_PROGRESS, None),
    "NOT_RUN": (Status.COMPLETED, Conclusion.SKIPPED),
    "SKIPPED": (Status.COMPLETED, Conclusion.SKIPPED),
    "SYSTEM_ERROR": (Status.COMPLETED, Conclusion.FAILED),
    "USER_ERROR": (Status.COMPLETED, Conclusion.FAILED),
}
WAITING = frozenset({"PAUSED", "HALTED"})
LISTED_STATES: Mapping[str, str] = {"passed": "PASSED", "cancelled": "STOPPED"}
"""The words of ours that one value of the list's `status` covers; it takes only one."""
TRIGGERS: Mapping[str, Trigger] = {
    "PUSH": Trigger.PUSH,
    "MANUAL": Trigger.WEB,
    "SCHEDULE": Trigger.CRON,
    "SCHEDULED": Trigger.CRON,
    "PARENT_STEP": Trigger.API,
}
MANUAL_STEP = "pipeline_step_trigger_manual"
SEVERE = frozenset({"CRITICAL", "HIGH"})
SETTLED = frozenset({"PASSED", "SKIPPED", "IGNORED"})
"""The results of an annotation that complain about nothing."""

_STATE_TYPE = re.compile(r"^pipeline_(?:step_)?state_(?:(?:completed|in_progress|pending)_)?")
_TRIGGER_TYPE = re.compile(r"^pipeline_(?:step_)?trigger_")
_DURATION = re.compile(r"PT(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?")


def next_page(reply: Reply) -> str | None:
    """Return where a list goes on: a link in the body."""
    return wire.Next.of(reply.raw).next or None


def pipeline(it: wire.Repository) -> Pipeline:
    """Return a repository as a pipeline; its UUID is its id, its slug what people type."""
    slug = it.slug or (it.full_name or "").rpartition("/")[2] or it.uuid
    return Pipeline(
        id=it.uuid,
        path=slug,
        name=it.name or slug,
        group=it.project.name if it.project else None,
        default_branch=(it.mainbranch.name if it.mainbranch else None) or None,
        repository=it.full_name,
        web_url=it.links.html.href if it.links and it.links.html else None,
    )


def state_word(state: wire.State | None) -> str | None:
    """Return the one word that says most: the result of what is completed, the stage of what runs, else the state."""
    if state is None:
        return None
    word = _word(state)
    if _is_completed(state):
        return _word(state.result) or word
    if is_waiting(state) or (word or "").upper() == "IN_PROGRESS":
        return _word(state.stage) or word
    return word


def is_waiting(state: wire.State | None) -> bool:
    """Return whether somebody has to let a pipeline or a step go on."""
    stage = _word(state.stage) if state is not None and not _is_completed(state) else None
    return (stage or "").upper() in WAITING


def _is_completed(state: wire.State | None) -> bool:
    return (_word(state) or "").upper() == "COMPLETED"


def _word(it: wire.State | wire.Word | None) -> str | None:
    return (it.name or _STATE_TYPE.sub("", it.type or "").upper() or None) if it is not None else None


def build(it: wire.PipelineRun, connection: str, pipeline: str, commit: wire.Commit | None = None) -> Build:
    """Return a pipeline's run as a build; `commit` is what the repository tells of its commit."""
    raw = state_word(it.state)
    done = bool(it.completed_on) or _is_completed(it.state)
    status, conclusion = state_from(raw, STATES, finished=done)
    completed_at = parse_time(it.completed_on) if status is Status.COMPLETED else None
    target = it.target or wire.Target()
    kind = (target.ref_type or "").lower()
    of_request = target.type == "pipeline_pullrequest_target"
    on_branch = target.ref_name if kind in {"branch", "named_branch"} else None
    known = commit or target.commit or wire.Commit()
    return Build(
        connection=connection,
        pipeline=pipeline,
        id=it.uuid,
        number=it.build_number,
        name=selector_name(target.selector),
        workflow=selector_name(target.selector, ":"),
        repo=it.repository.full_name if it.repository else None,
        branch=(target.source if of_request else on_branch) or None,
        tag=target.ref_name if kind in {"tag", "annotated_tag"} else None,
        pull_request=str(target.pullrequest.id) if target.pullrequest and target.pullrequest.id is not None else None,
        target_branch=target.destination or None,
        commit=target.commit.hash if target.commit else None,
        message=known.message or None,
        author=author(known.author),
        status=status,
        conclusion=conclusion,
        raw_state=raw,
        waiting=status is not Status.COMPLETED and is_waiting(it.state),
        trigger=Trigger.MERGE_REQUEST if of_request else trigger(it),
        triggered_by=it.creator.display_name or it.creator.nickname if it.creator else None,
        triggered_by_type=starter(it.creator),
        created_at=parse_time(it.created_on),
        completed_at=completed_at,
        updated_at=completed_at,
        web_url=page(it),
    )


def selector_name(selector: wire.Selector | None, between: str = ": ") -> str | None:
    """Return which definition of the yml ran."""
    if selector is None or not selector.type:
        return None
    return f"{selector.type}{between}{selector.pattern}" if selector.pattern else selector.type


def page(it: wire.PipelineRun) -> str | None:
    """Return a run's page; the answer's own links may name a host that nobody reaches."""
    if it.repository is None or not it.repository.full_name or it.build_number is None:
        return None
    return f"{SITE}/{quote(it.repository.full_name)}/pipelines/results/{it.build_number}"


def trigger(it: wire.PipelineRun) -> Trigger:
    """Return what made the run start; what an app started by hand was started by API."""
    if it.trigger is None:
        return Trigger.UNKNOWN
    word = (it.trigger.name or _TRIGGER_TYPE.sub("", it.trigger.type or "")).upper()
    read = TRIGGERS.get(word, Trigger.UNKNOWN)
    return Trigger.API if read is Trigger.WEB and starter(it.creator) is Starter.BOT else read


def starter(creator: wire.Account | None) -> Starter | None:
    """Return whether a person or an app started the run; a team may be either."""
    match creator.type if creator else None:
        case "user":
            return Starter.USER
        case "app_user":
            return Starter.BOT
        case _:
            return None


def author(it: wire.CommitAuthor | None) -> Person | None:
    """Return who wrote the commit."""
    raw = it.raw if it else None
    if not raw:
        return None
    name, email = parseaddr(raw)
    return Person(name=name or raw, email=email) if "@" in email else Person(name=raw)


def with_steps(build: Build, steps: Sequence[wire.Step]) -> Build:
    """Return the build with what its steps tell: when its newest attempt began, which attempt it is, its jobs by state."""
    if not steps:
        return build
    attempts = [step.run_number for step in steps if step.run_number is not None]
    newest = max(attempts, default=None)
    began = [
        at
        for step in steps
        if newest in {None, step.run_number}
        and state_word(step.state) not in {"NOT_RUN", "SKIPPED"}
        and (at := parse_time(step.started_on)) is not None
    ]
    counted = with_jobs(build, (job(step, build, None) for step in steps))
    return replace(counted, attempt=newest, started_at=min(began, default=None))


def job(it: wire.Step, build: Build, page: str | None) -> Job:
    """Return a step as a job."""
    raw = state_word(it.state)
    status, conclusion = state_from(raw, STEP_STATES, finished=bool(it.completed_on) or _is_completed(it.state))
    return Job(
        id=it.uuid,
        build=build.id,
        pipeline=build.pipeline,
        name=step_name(it),
        status=status,
        conclusion=conclusion,
        raw_state=raw,
        reason=reason(it.state),
        started_at=parse_time(it.started_on),
        completed_at=parse_time(it.completed_on) if status is Status.COMPLETED else None,
        web_url=step_page(it, page),
    )


def step_name(it: wire.Step) -> str:
    """Return what people call a step."""
    return it.name or "a step without a name"


def step_page(it: wire.Step, page: str | None) -> str | None:
    """Return a step's page below its run's."""
    return f"{page}/steps/{quote(it.uuid, safe='')}" if page else None


def reason(state: wire.State | None) -> str | None:
    """Return what the vendor says about an error."""
    error = state.result.error if state and state.result else None
    return (error.message if error else None) or None


def is_done(it: wire.Step) -> bool:
    """Return whether a step ran to an end: only then can it have a test report."""
    status, conclusion = state_from(state_word(it.state), STEP_STATES, finished=bool(it.completed_on))
    return status is Status.COMPLETED and conclusion is not Conclusion.SKIPPED


def has_failed(it: wire.Step) -> bool:
    """Return whether a step failed."""
    return state_from(state_word(it.state), STEP_STATES)[1] in {Conclusion.FAILED, Conclusion.TIMEOUT}


def approval(steps: Iterable[wire.Step], build: Build) -> Approval | None:
    """Return what a waiting run waits for: its first step that has not ended."""
    left = (step for step in steps if state_from(state_word(step.state), STEP_STATES)[0] is not Status.COMPLETED)
    it = next(left, None)
    if it is None or not build.waiting:
        return None
    manual = it.trigger is not None and it.trigger.type == MANUAL_STEP
    return Approval(
        id=it.uuid,
        build=build.id,
        pipeline=build.pipeline,
        name=step_name(it),
        job=it.uuid,
        instructions="Bitbucket's API cannot run a manual step. Open its page and run it there."
        if manual
        else "Bitbucket has halted this step, and its API cannot resume it. Open its page: it says why.",
        url=step_page(it, build.web_url),
    )


def step_issue(it: wire.Step, page: str | None) -> Issue:
    """Return a failed step as an issue."""
    said = reason(it.state) or (state_word(it.state) or "failed").lower().replace("_", " ")
    name = step_name(it)
    return Issue(kind=IssueKind.ERROR, message=f"{name}: {said}", job=name, url=step_page(it, page))


def is_annotation(it: wire.Annotation) -> bool:
    """Return whether an annotation complains about something."""
    return (it.result or "").upper() not in SETTLED


def annotation_issue(it: wire.Annotation, report: wire.Report) -> Issue:
    """Return an annotation as an issue: critical and high ones are errors."""
    severe = (it.severity or "").upper() in SEVERE
    what = it.summary or (it.annotation_type or "a finding").lower().replace("_", " ")
    return Issue(
        kind=IssueKind.ERROR if severe else IssueKind.ANALYZER_WARNING,
        message=f"{report.title}: {what}" if report.title else what,
        file=it.path,
        line=it.line or None,
        url=it.link,
    )


def test(it: wire.Case, step: str) -> TestCase:
    """Return a test as ours."""
    match (it.status or "").upper():
        case "SUCCESSFUL" | "PASSED":
            outcome = Outcome.PASSED
        case "FAILED" | "ERROR":
            outcome = Outcome.FAILED
        case "SKIPPED":
            outcome = Outcome.SKIPPED
        case _:
            outcome = Outcome.UNKNOWN
    return TestCase(
        name=it.name or it.fully_qualified_name or "a test without a name",
        outcome=outcome,
        class_name=it.package_name or None,
        detail=step,
        seconds=seconds(it.duration),
    )


def seconds(duration: str | None) -> float | None:
    """Return an ISO 8601 duration of hours, minutes and seconds in seconds."""
    found = _DURATION.fullmatch(duration or "")
    if found is None or not any(found.groups()):
        return None
    hours, minutes, rest = (float(part or 0) for part in found.groups())
    return hours * 3600 + minutes * 60 + rest
