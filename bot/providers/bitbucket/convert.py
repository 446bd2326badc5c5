"""Bitbucket's objects as models: state maps and converters. Pure."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from email.utils import parseaddr

from bot.core.models import (
    Approval,
    Build,
    Commit,
    Conclusion,
    FilterField,
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
from bot.providers.base.convert import noreply_login, state_from, with_jobs
from bot.providers.base.times import parse_time
from bot.providers.base.words import BITBUCKET_STATES, BITBUCKET_STEP_STATES, BITBUCKET_TRIGGERS
from bot.providers.bitbucket import urls, wire
from bot.providers.bitbucket.details import build_details

LIST_FILTERS = frozenset({FilterField.BRANCH, FilterField.COMMIT})
"""By what Bitbucket narrows its list; also by some single states."""
STATES = BITBUCKET_STATES
STEP_STATES = BITBUCKET_STEP_STATES
PULL_REQUEST_TARGET = "pipeline_pullrequest_target"
BRANCH_REFS = frozenset({"branch", "named_branch"})
TAG_REFS = frozenset({"tag", "annotated_tag"})
LONGEST_SECONDS = 10.0**9
WAITING = frozenset({"PAUSED", "HALTED"})
LISTED_STATES: Mapping[str, str] = {"passed": "PASSED", "cancelled": "STOPPED"}
"""The words of ours that one value of the list's `status` covers; it takes only one."""
TRIGGERS = BITBUCKET_TRIGGERS
MANUAL_STEP = "pipeline_step_trigger_manual"
SEVERE = frozenset({"CRITICAL", "HIGH"})
SETTLED = frozenset({"PASSED", "SKIPPED", "IGNORED"})
"""The results of an annotation that complain about nothing."""

_STATE_TYPE = re.compile(r"^pipeline_(?:step_)?state_(?:(?:completed|in_progress|pending)_)?")
_TRIGGER_TYPE = re.compile(r"^pipeline_(?:step_)?trigger_")
_DURATION = re.compile(r"PT(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?")


def pipeline(repository: wire.Repository) -> Pipeline:
    """Return a repository as a pipeline; its UUID is its id, its slug what people type."""
    slug = repository.slug or (repository.full_name or "").rpartition("/")[2] or repository.uuid
    return Pipeline(
        id=repository.uuid,
        path=slug,
        name=repository.name or slug,
        group=repository.project.name if repository.project else None,
        default_branch=(repository.mainbranch.name if repository.mainbranch else None) or None,
        repository=repository.full_name,
        web_url=repository.links.html.href if repository.links and repository.links.html else None,
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


def _word(state: wire.State | wire.Word | None) -> str | None:
    return (state.name or _STATE_TYPE.sub("", state.type or "").upper() or None) if state is not None else None


def build(
    run: wire.PipelineRun,
    connection: str,
    pipeline: str,
    commit: wire.Commit | None = None,
    *,
    by_duration: bool = False,
    site: str = urls.SITE,
) -> Build:
    """Return a run as a build; `commit` is what the repository reports of its commit, `site` where its page lies.

    Its pipeline is the repository that the run names; `pipeline` is the one that was asked for. With `by_duration` the
    start of a finished run is its end less its duration, for listings that do not read its steps.
    """
    raw = state_word(run.state)
    done = bool(run.completed_on) or _is_completed(run.state)
    status, conclusion = state_from(raw, STATES, finished=done)
    completed_at = parse_time(run.completed_on) if status is Status.COMPLETED else None
    target = run.target or wire.Target()
    kind = (target.ref_type or "").lower()
    of_request = target.type == PULL_REQUEST_TARGET
    request = pull_request(target)
    source = (target.source if request else None) if of_request else target.ref_name if kind in BRANCH_REFS else None
    about = commit or target.commit or wire.Commit()
    return Build(
        connection=connection,
        pipeline=pipeline_id(run.repository, pipeline),
        id=run.uuid,
        number=run.build_number,
        attempt=run.run_number,
        name=selector_name(target.selector),
        workflow=selector_name(target.selector, ":"),
        repo=run.repository.full_name if run.repository else None,
        branch=source or None,
        tag=target.ref_name if kind in TAG_REFS and not of_request else None,
        pull_request=request,
        target_branch=(target.destination or None) if of_request else None,
        commit=target.commit.hash if target.commit else None,
        head_commit=target.commit.hash if target.commit and of_request else None,
        message=about.message or None,
        author=author(about.author),
        status=status,
        conclusion=conclusion,
        raw_state=raw,
        waiting=status is not Status.COMPLETED and is_waiting(run.state),
        trigger=Trigger.MERGE_REQUEST if of_request else trigger(run),
        triggered_by=run.creator.display_name or run.creator.nickname if run.creator else None,
        triggered_by_type=starter(run.creator),
        created_at=parse_time(run.created_on),
        started_at=_start_by_duration(completed_at, run.duration_in_seconds) if by_duration else None,
        completed_at=completed_at,
        updated_at=completed_at,
        web_url=page(run, site),
        details=build_details(run),
    )


def pipeline_id(repository: wire.RepositoryName | None, pipeline: str) -> str:
    """Return the UUID of the repository that a run names, else the one that was asked for."""
    uuid = repository.uuid if repository else None
    return pipeline if not uuid or uuid.strip("{}").lower() == pipeline.strip("{}").lower() else uuid


def pull_request(target: wire.Target) -> str | None:
    """Return the number of the pull request that a run builds, None for other runs or where it is not reported."""
    if target.type != PULL_REQUEST_TARGET or target.pullrequest is None or target.pullrequest.id is None:
        return None
    return str(target.pullrequest.id) or None


def _start_by_duration(completed_at: datetime | None, seconds: float | None) -> datetime | None:
    if completed_at is None or seconds is None or not 0 < seconds < LONGEST_SECONDS:
        return None
    return completed_at - timedelta(seconds=seconds)


def selector_name(selector: wire.Selector | None, between: str = ": ") -> str | None:
    """Return which definition of the yml ran."""
    if selector is None or not selector.type:
        return None
    return f"{selector.type}{between}{selector.pattern}" if selector.pattern else selector.type


def page(run: wire.PipelineRun, site: str = urls.SITE) -> str | None:
    """Return a run's page below `site`."""
    return urls.run_page(run.repository.full_name if run.repository else None, run.build_number, site)


def trigger(run: wire.PipelineRun) -> Trigger:
    """Return what made the run start; what an app started by hand was started by API."""
    by_word = TRIGGERS.get(trigger_word(run), Trigger.UNKNOWN)
    return Trigger.API if by_word is Trigger.WEB and starter(run.creator) is Starter.BOT else by_word


def trigger_word(run: wire.PipelineRun) -> str:
    """Return Bitbucket's word for what made the run start, in capitals; empty where it is not reported."""
    if run.trigger is None:
        return ""
    return (run.trigger.name or _TRIGGER_TYPE.sub("", run.trigger.type or "")).upper()


def starter(creator: wire.Account | None) -> Starter | None:
    """Return whether a person or an app started the run; a team may be either."""
    match creator.type if creator else None:
        case "user":
            return Starter.USER
        case "app_user":
            return Starter.BOT
        case _:
            return None


def commit(raw: wire.Commit) -> Commit:
    """Return a commit of a repository."""
    wrote = author(raw.author)
    subject = (raw.message or "").strip().partition("\n")[0]
    return Commit(sha=raw.hash or "", subject=subject, author=(wrote.name or "") if wrote else "")


def author(commit_author: wire.CommitAuthor | None) -> Person | None:
    """Return who wrote the commit, with the login that a noreply address holds."""
    raw = commit_author.raw if commit_author else None
    if not raw:
        return None
    name, email = parseaddr(raw)
    if "@" not in email:
        return Person(name=raw)
    return Person(name=name or raw, email=email, login=noreply_login(email))


def with_steps(build: Build, steps: Sequence[wire.Step]) -> Build:
    """Return the build with what its steps report: when its newest attempt began, which attempt it is, its jobs by state.

    A step that was not run again keeps the number of an earlier attempt and does not report when the newest one began.
    """
    if not steps:
        return build
    newest = max((step.run_number for step in steps if step.run_number is not None), default=None)
    starts = [
        started
        for step in steps
        if newest in {None, step.run_number}
        and state_word(step.state) not in {"NOT_RUN", "SKIPPED"}
        and (started := parse_time(step.started_on)) is not None
    ]
    counted = with_jobs(build, marked_attempts(job(step, build, None) for step in steps))
    attempt = build.attempt if newest is None else max(newest, build.attempt or newest)
    return replace(counted, attempt=attempt, started_at=min(starts, default=None))


def job(step: wire.Step, build: Build, page: str | None) -> Job:
    """Return a step as a job."""
    raw = state_word(step.state)
    status, conclusion = state_from(raw, STEP_STATES, finished=bool(step.completed_on) or _is_completed(step.state))
    return Job(
        id=step.uuid,
        build=build.id,
        pipeline=build.pipeline,
        name=step_name(step),
        status=status,
        conclusion=conclusion,
        raw_state=raw,
        attempt=step.run_number if step.run_number and step.run_number > 1 else None,
        reason=reason(step.state),
        started_at=parse_time(step.started_on),
        completed_at=parse_time(step.completed_on) if status is Status.COMPLETED else None,
        web_url=urls.step_page(page, step.uuid),
    )


def marked_attempts(jobs: Iterable[Job]) -> tuple[Job, ...]:
    """Return steps; those whose name a later run of the same pipeline has again are marked as retried."""
    steps = list(jobs)
    newest: dict[str, int] = {}
    for step in steps:
        newest[step.name] = max(newest.get(step.name, 1), step.attempt or 1)
    return tuple(replace(step, retried=(step.attempt or 1) < newest[step.name]) for step in steps)


def step_name(step: wire.Step) -> str:
    """Return what people call a step."""
    return step.name or "a step without a name"


def reason(state: wire.State | None) -> str | None:
    """Return what the vendor says about an error."""
    error = state.result.error if state and state.result else None
    return (error.message if error else None) or None


def is_done(step: wire.Step) -> bool:
    """Return whether a step ran to an end: only then can it have a test report."""
    status, conclusion = state_from(state_word(step.state), STEP_STATES, finished=bool(step.completed_on))
    return status is Status.COMPLETED and conclusion is not Conclusion.SKIPPED


def has_failed(step: wire.Step) -> bool:
    """Return whether a step failed."""
    return state_from(state_word(step.state), STEP_STATES)[1] in {Conclusion.FAILED, Conclusion.TIMEOUT}


def approval(steps: Iterable[wire.Step], build: Build) -> Approval | None:
    """Return what a waiting run waits for: its first step that has not ended."""
    open_steps = (step for step in steps if state_from(state_word(step.state), STEP_STATES)[0] is not Status.COMPLETED)
    step = next(open_steps, None)
    if step is None or not build.waiting:
        return None
    manual = step.trigger is not None and step.trigger.type == MANUAL_STEP
    return Approval(
        id=step.uuid,
        build=build.id,
        pipeline=build.pipeline,
        name=step_name(step),
        instructions="Bitbucket's API cannot run a manual step. Open its page and run it there."
        if manual
        else "Bitbucket has halted this step, and its API cannot resume it. Open its page: it says why.",
        url=urls.step_page(build.web_url, step.uuid),
    )


def step_issue(step: wire.Step, page: str | None) -> Issue:
    """Return a failed step as an issue."""
    why = reason(step.state) or (state_word(step.state) or "failed").lower().replace("_", " ")
    name = step_name(step)
    return Issue(kind=IssueKind.ERROR, message=f"{name}: {why}", job=name, url=urls.step_page(page, step.uuid))


def is_annotation(annotation: wire.Annotation) -> bool:
    """Return whether an annotation complains about something."""
    return (annotation.result or "").upper() not in SETTLED


def annotation_issue(annotation: wire.Annotation, report: wire.Report) -> Issue:
    """Return an annotation as an issue: critical and high ones are errors."""
    severe = (annotation.severity or "").upper() in SEVERE
    what = annotation.summary or (annotation.annotation_type or "a finding").lower().replace("_", " ")
    return Issue(
        kind=IssueKind.ERROR if severe else IssueKind.ANALYZER_WARNING,
        message=f"{report.title}: {what}" if report.title else what,
        file=annotation.path,
        line=annotation.line or None,
        url=annotation.link,
    )


def test(case: wire.Case, step: str) -> TestCase:
    """Return a test of the step that is called `step`."""
    match (case.status or "").upper():
        case "SUCCESSFUL" | "PASSED":
            outcome = Outcome.PASSED
        case "FAILED" | "ERROR":
            outcome = Outcome.FAILED
        case "SKIPPED":
            outcome = Outcome.SKIPPED
        case _:
            outcome = Outcome.UNKNOWN
    return TestCase(
        name=case.name or case.fully_qualified_name or "a test without a name",
        outcome=outcome,
        class_name=case.package_name or None,
        detail=step,
        seconds=seconds(case.duration),
    )


def errors(build: Build, steps: Sequence[wire.Step], severe: int) -> int | None:
    """Return how many errors a build has: failed steps, its own error, severe findings; None for one without steps.

    A build whose steps are not reported may have failed in any number of them.
    """
    own = build.raw_state == "ERROR"
    if not steps and not own and build.conclusion is not Conclusion.PASSED:
        return None
    return sum(map(has_failed, steps)) + own + severe


def seconds(duration: str | None) -> float | None:
    """Return an ISO 8601 duration of hours, minutes and seconds in seconds."""
    match = _DURATION.fullmatch(duration or "")
    if match is None or not any(match.groups()):
        return None
    hours, minutes, rest = (float(part or 0) for part in match.groups())
    return hours * 3600 + minutes * 60 + rest
