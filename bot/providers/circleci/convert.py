"""CircleCI's objects as the bot's models, and the state maps. Pure."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from bot.core.errors import NotFound, UnexpectedResponse
from bot.core.models import (
    Approval,
    Artifact,
    Build,
    Conclusion,
    FilterField,
    Issue,
    IssueCounts,
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
from bot.providers.base.convert import noreply_login, repository, state_from
from bot.providers.base.times import latest, parse_time
from bot.providers.base.words import CIRCLECI_JOB_STATES, CIRCLECI_STATES, CIRCLECI_TRIGGERS
from bot.providers.circleci import urls, wire
from bot.providers.circleci.details import build_details
from bot.providers.circleci.errors import LABEL
from bot.providers.circleci.urls import Urls

LIST_FILTERS = frozenset({FilterField.BRANCH})
"""By what CircleCI narrows its list of pipelines."""
BEFORE_WORKFLOWS = frozenset({"setup-pending", "pending", "created"})
"""States of a pipeline that has no workflow to cancel or to run again."""
STATES = CIRCLECI_STATES
JOB_STATES = CIRCLECI_JOB_STATES
REASONS: Mapping[str, str] = {
    "failed": "failed",
    "timedout": "timed out",
    "infrastructure_fail": "failed for a fault of CircleCI's machines",
    "unauthorized": "may not use a context",
    "terminated-unknown": "ended for an unknown reason",
}
TRIGGERS = CIRCLECI_TRIGGERS
RANK = (Conclusion.FAILED, Conclusion.CANCELLED, None, Conclusion.PASSED, Conclusion.SKIPPED)
"""Which workflow's end is the build's: the first of these that any of them has."""
UNMATCHED_AFTER = timedelta(minutes=10)
"""A pipeline that has no workflow after this long matched no filter."""
RERUN_WITHIN = timedelta(minutes=2)
"""How long an automatic rerun that the configuration promises is waited for."""


def pipeline(raw: wire.Project, pages: Urls) -> Pipeline:
    """Return a project as a pipeline; its short slug is its id. An unknown default branch is None."""
    slug = urls.short(raw.slug)
    about = raw.vcs_info or wire.VcsInfo()
    return Pipeline(
        id=slug,
        path=slug,
        name=raw.name or slug.rpartition("/")[2],
        group=raw.organization_name,
        default_branch=about.default_branch or None,
        repository=repository(about.vcs_url),
        web_url=pages.project_page(slug),
    )


def followed(raw: wire.V1Project, pages: Urls) -> Pipeline | None:
    """Return a project of v1.1's list as a pipeline, None where it has no slug that v2 takes."""
    slug = urls.v1_slug(raw.vcs_type, raw.username, raw.reponame, raw.vcs_url)
    if slug is None or not urls.is_within(slug, pages.organization):
        return None
    url = None if slug.startswith("circleci/") else raw.vcs_url
    about = wire.VcsInfo(vcs_url=url, default_branch=raw.default_branch)
    project = wire.Project(slug=slug, name=raw.reponame, organization_name=raw.username, vcs_info=about)
    return pipeline(project, pages)


# workflows


def newest(workflows: Iterable[wire.Workflow]) -> list[wire.Workflow]:
    """Return the newest workflow of each name, oldest name first."""
    by_name: dict[str, wire.Workflow] = {}
    for workflow in sorted(workflows, key=lambda each: each.created_at or ""):
        by_name[_name(workflow)] = workflow
    return list(by_name.values())


def current(workflows: Iterable[wire.Workflow]) -> list[wire.Workflow]:
    """Return the workflows that make the result: the newest of each name, those of the set-up left out."""
    return [workflow for workflow in newest(workflows) if workflow.tag != "setup"]


def is_open(raw: wire.Workflow) -> bool:
    """Return whether a workflow has not come to its end."""
    return state_from(raw.status, STATES, finished=bool(raw.stopped_at))[0] is not Status.COMPLETED


@dataclass(frozen=True, slots=True, kw_only=True)
class Rerun:
    """Which workflows run again, and the body that says how much of them."""

    workflows: Sequence[wire.Workflow]
    body: Mapping[str, object]


def rerun(workflows: Sequence[wire.Workflow], *, failed_only: bool) -> Rerun:
    """Return which of the current workflows run again: the failed ones, else the cancelled ones; or all that are over."""
    if not failed_only:
        return Rerun(workflows=[each for each in workflows if not is_open(each)], body={})
    for word in (Conclusion.FAILED, Conclusion.CANCELLED):
        ended = [each for each in workflows if STATES.get(each.status or "") == (Status.COMPLETED, word)]
        if ended:
            return Rerun(workflows=ended, body={"from_failed": True})
    return Rerun(workflows=(), body={})


def rerun_of_job(pairs: Iterable[tuple[wire.Workflow, wire.JobWire]], job: str) -> Rerun:
    """Return what runs a job again, named by its number or its UUID. Raises NotFound where no workflow has it."""
    for workflow, raw in pairs:
        if job in {job_id(raw), raw.id}:
            return Rerun(workflows=[workflow], body={"jobs": [raw.id]})
    raise NotFound("This build has no such job any more.", provider=LABEL)


def will_rerun(raw: wire.Workflow, now: datetime) -> bool:
    """Return whether CircleCI is about to run a failed workflow again by itself, as its configuration asks."""
    stopped = parse_time(raw.stopped_at)
    return (
        raw.status == "failed"
        and (raw.auto_rerun_number or 0) < (raw.max_auto_reruns or 0)
        and stopped is not None
        and now - stopped < RERUN_WITHIN
    )


def attempts(workflows: Sequence[wire.Workflow]) -> list[list[wire.Workflow]]:
    """Return the workflows by attempt.

    An attempt begins with a rerun: of a workflow that has run in this attempt already, or after all before it had ended.
    """
    by_attempt: list[list[wire.Workflow]] = []
    earlier: list[wire.Workflow] = []
    for workflow in sorted((each for each in workflows if each.tag != "setup"), key=lambda each: each.created_at or ""):
        created = parse_time(workflow.created_at)
        stops = [parse_time(each.stopped_at) for each in earlier]
        is_after_all = created is not None and all(stop is not None and stop < created for stop in stops)
        is_in_attempt = bool(by_attempt) and any(_name(each) == _name(workflow) for each in by_attempt[-1])
        is_rerun = any(_name(each) == _name(workflow) for each in earlier)
        if not by_attempt or is_in_attempt or (is_rerun and is_after_all):
            by_attempt.append([])
        by_attempt[-1].append(workflow)
        earlier.append(workflow)
    return by_attempt


def _name(raw: wire.Workflow) -> str:
    return raw.name or raw.id


def result(
    raw: wire.PipelineWire, workflows: Sequence[wire.Workflow], now: datetime
) -> tuple[Status, Conclusion | None, str | None]:
    """Return how a pipeline stands by its newest workflows, and the vendor's word that decided it."""
    if raw.state == "errored":
        return (*STATES["errored"], raw.state)
    listed = current(workflows)
    if not listed:
        return _without_workflows(raw, workflows, now)
    states = [
        (workflow, *state_from(workflow.status, STATES, finished=bool(workflow.stopped_at))) for workflow in listed
    ]
    unfinished = [(workflow, status) for workflow, status, _ in states if status is not Status.COMPLETED]
    if unfinished:
        is_queued = len(unfinished) == len(states) and all(status is Status.QUEUED for _, status in unfinished)
        first = unfinished[0][0]
        telling = next((workflow for workflow, _ in unfinished if workflow.status in {"on_hold", "failing"}), first)
        return (Status.QUEUED if is_queued else Status.IN_PROGRESS), None, telling.status
    again = next((workflow for workflow in listed if will_rerun(workflow, now)), None)
    if again is not None:
        return Status.IN_PROGRESS, None, again.status
    workflow, _, conclusion = min(states, key=lambda state: RANK.index(state[2]))
    return Status.COMPLETED, conclusion, workflow.status


def _without_workflows(
    raw: wire.PipelineWire, workflows: Sequence[wire.Workflow], now: datetime
) -> tuple[Status, Conclusion | None, str | None]:
    setup = newest(workflows)
    bad = next((workflow for workflow in setup if not is_open(workflow) and workflow.status != "success"), None)
    if bad is not None:
        return (*state_from(bad.status, STATES, finished=True), bad.status)
    if any(map(is_open, setup)):
        return Status.IN_PROGRESS, None, raw.state
    created = parse_time(raw.created_at)
    if raw.state == "created" and created is not None and now - created > UNMATCHED_AFTER:
        return Status.COMPLETED, Conclusion.SKIPPED, raw.state
    return (*state_from(raw.state, STATES), raw.state)


# builds


def _git(raw: wire.PipelineWire) -> wire.GitParameters:
    return (raw.trigger_parameters.git if raw.trigger_parameters else None) or wire.GitParameters()


def branch(raw: wire.PipelineWire) -> str | None:
    """Return the branch that was built, None for a tag; that of a pull request from a fork is name_of `pull/N`."""
    return None if tag(raw) else (raw.vcs.branch if raw.vcs else None) or _git(raw).branch or None


def tag(raw: wire.PipelineWire) -> str | None:
    """Return the tag that was built."""
    return (raw.vcs.tag if raw.vcs else None) or _git(raw).tag or None


def commit(raw: wire.PipelineWire) -> str | None:
    """Return the commit that was built."""
    return (raw.vcs.revision if raw.vcs else None) or _git(raw).checkout_sha or None


def head_commit(raw: wire.PipelineWire) -> str | None:
    """Return the newest commit of the pull request that was built; None where `pull/N/merge` was."""
    is_merge = (branch(raw) or "").endswith("/merge") or (_git(raw).ref or "").endswith("/merge")
    return commit(raw) if pull_request(raw) and not is_merge else None


def pull_request(raw: wire.PipelineWire) -> str | None:
    """Return the number of the pull request, as the review, its address or the name of the ref reports it."""
    vcs = raw.vcs or wire.Vcs()
    match = (
        re.search(r"/([0-9]+)/?$", vcs.review_url or "")
        or re.match(r"pull/([0-9]+)(?:/|$)", branch(raw) or "")
        or re.match(r"refs/(?:pull|merge-requests)/([0-9]+)/", _git(raw).ref or "")
    )
    return vcs.review_id or (match[1] if match else None)


def from_fork(raw: wire.PipelineWire) -> bool | None:
    """Return whether a pull request comes from a fork: CircleCI names the fork as the origin and the parent as the target.

    None for a build of no pull request, and where one of the two is not reported.
    """
    vcs = raw.vcs or wire.Vcs()
    origin, target = repository(vcs.origin_repository_url), repository(vcs.target_repository_url)
    if origin and target and origin.lower() != target.lower():
        return True
    return False if origin and target and pull_request(raw) else None


def build(
    raw: wire.PipelineWire,
    workflows: Sequence[wire.Workflow],
    *,
    connection: str,
    pages: Urls,
    now: datetime,
    held: bool = False,
) -> Build:
    """Return a pipeline with its workflows as one build; `held` says that a job was found waiting for a person."""
    slug = urls.short(raw.project_slug)
    status, conclusion, word = result(raw, workflows, now)
    is_over = status is Status.COMPLETED
    listed = current(workflows) or newest(workflows)
    by_attempt = attempts(workflows)
    starts = [parse_time(workflow.created_at) for workflow in (by_attempt or [listed])[-1]]
    ended = latest(*(parse_time(workflow.stopped_at) for workflow in listed))
    if not listed:
        ended = parse_time(raw.updated_at) or parse_time(raw.created_at)
    login = (raw.trigger.actor.login if raw.trigger and raw.trigger.actor else None) or None
    made_by = trigger(raw)
    target = raw.vcs.target_repository_url if raw.vcs else None
    return Build(
        connection=connection,
        pipeline=slug,
        id=raw.id,
        number=raw.number,
        attempt=len(by_attempt) or None,
        workflow=", ".join(workflow.name for workflow in listed if workflow.name) or None,
        repo=repository(target) or repository(_git(raw).checkout_url),
        branch=branch(raw),
        tag=tag(raw),
        pull_request=pull_request(raw),
        from_fork=from_fork(raw),
        commit=commit(raw),
        head_commit=head_commit(raw),
        message=message(raw),
        author=author(raw),
        status=status,
        conclusion=conclusion,
        raw_state=word,
        waiting=not is_over and (held or any(workflow.status == "on_hold" for workflow in listed)),
        trigger=made_by,
        triggered_by=login,
        triggered_by_type=starter(login, made_by),
        created_at=parse_time(raw.created_at),
        started_at=min(filter(None, starts), default=None) if status is not Status.QUEUED else None,
        completed_at=ended if is_over else None,
        updated_at=latest(
            *map(parse_time, (raw.created_at, raw.updated_at)),
            *(parse_time(time) for workflow in workflows for time in (workflow.created_at, workflow.stopped_at)),
        ),
        web_url=pages.build_page(slug, raw.number),
        details=build_details(raw),
    )


def from_start(raw: wire.Started, slug: str, source: Mapping[str, str]) -> wire.PipelineWire:
    """Return a pipeline as its start reports it."""
    return wire.PipelineWire(
        id=raw.id or "",
        project_slug=slug,
        number=raw.number,
        state=raw.state,
        created_at=raw.created_at,
        trigger=wire.TriggerWire(type=Trigger.API.value),
        vcs=wire.Vcs(branch=source.get("branch"), tag=source.get("tag")),
    )


def name_of(raw: wire.PipelineWire) -> str:
    """Return what people call a build."""
    return raw.id if raw.number is None else f"#{raw.number}"


def message(raw: wire.PipelineWire) -> str | None:
    """Return the commit's message."""
    words = raw.vcs.commit if raw.vcs else None
    if words and words.subject:
        return f"{words.subject}\n\n{words.body}" if words.body else words.subject
    host = _host(raw)
    return host.commit_message or host.commit_title or None


def author(raw: wire.PipelineWire) -> Person | None:
    """Return who wrote the commit, where CircleCI reports it, with the login that a no-reply address of GitHub holds."""
    host = _host(raw)
    about = (raw.vcs.commit.author if raw.vcs and raw.vcs.commit else None) or wire.AuthorWire()
    name = about.name or host.commit_author_name or None
    email = about.email or host.commit_author_email or None
    login = about.login or noreply_login(email)
    return Person(name=name, email=email, login=login) if name or email or login else None


def _host(raw: wire.PipelineWire) -> wire.HostParameters:
    parameters = raw.trigger_parameters or wire.TriggerParameters()
    return parameters.github_app or parameters.gitlab or wire.HostParameters()


def trigger(raw: wire.PipelineWire) -> Trigger:
    """Return what made the build start; a kind that is not known is recognized by the event behind it, else is a push."""
    kind = (raw.trigger.type if raw.trigger else None) or ""
    if not kind:
        return Trigger.UNKNOWN
    if kind in TRIGGERS:
        return TRIGGERS[kind]
    about = raw.trigger_parameters.circleci if raw.trigger_parameters else None
    event = ((about.event_type if about else None) or "").lower()
    if event in TRIGGERS:
        return TRIGGERS[event]
    if (raw.vcs and (raw.vcs.review_id or raw.vcs.review_url)) or "pull" in event or "merge" in event:
        return Trigger.MERGE_REQUEST
    return Trigger.PUSH


def starter(login: str | None, made_by: Trigger) -> Starter | None:
    """Return whether a person started the build."""
    if made_by is Trigger.CRON or (login or "").endswith("[bot]"):
        return Starter.BOT
    return Starter.USER if login else None


# parts of a build


def job_id(raw: wire.JobWire) -> str:
    """Return what names a job: its number, as its page and most calls have it; before it starts it has only an id."""
    return raw.id if raw.job_number is None else str(raw.job_number)


def job(raw: wire.JobWire, workflow: wire.Workflow, parent: wire.PipelineWire, pages: Urls) -> Job:
    """Return a job of a workflow; its stage is its workflow."""
    status, conclusion = state_from(raw.status, JOB_STATES, finished=bool(raw.stopped_at))
    slug = urls.short(parent.project_slug)
    return Job(
        id=job_id(raw),
        build=parent.id,
        pipeline=slug,
        name=raw.name or "a job without a name",
        stage=workflow.name,
        status=status,
        conclusion=conclusion,
        raw_state=raw.status,
        reason=REASONS.get(raw.status or "") if raw.status != "failed" else None,
        started_at=parse_time(raw.started_at),
        completed_at=parse_time(raw.stopped_at),
        web_url=pages.workflow_page(slug, parent.number, workflow.id, raw.job_number),
    )


def jobs_of_attempts(
    pairs: Iterable[tuple[wire.Workflow, wire.JobWire]],
    parent: wire.PipelineWire,
    pages: Urls,
    newest_workflows: Iterable[wire.Workflow],
) -> tuple[Job, ...]:
    """Return the jobs of all workflows; those of workflows that ran again are marked as retried."""
    current_ids = {workflow.id for workflow in newest_workflows}
    return tuple(
        replace(job(raw, workflow, parent, pages), retried=workflow.id not in current_ids) for workflow, raw in pairs
    )


def is_broken(job: Job) -> bool:
    """Return whether a job ended badly."""
    return job.conclusion in {Conclusion.FAILED, Conclusion.TIMEOUT}


def jobs_that_ran(jobs: Iterable[Job]) -> list[Job]:
    """Return the jobs that may have left something, broken ones first."""
    with_files = [job for job in jobs if urls.is_number(job.id) and job.conclusion is not Conclusion.SKIPPED]
    return sorted(with_files, key=lambda job: not is_broken(job))


def is_approval(raw: wire.JobWire) -> bool:
    """Return whether a job waits for a person."""
    return raw.type == "approval" and raw.status == "on_hold"


def approval_id(raw: wire.JobWire) -> str:
    """Return what names an approval."""
    return raw.approval_request_id or raw.id


def approval(raw: wire.JobWire, workflow: wire.Workflow, parent: wire.PipelineWire, pages: Urls) -> Approval:
    """Return an approval job as an approval."""
    slug = urls.short(parent.project_slug)
    return Approval(
        id=approval_id(raw),
        build=parent.id,
        pipeline=slug,
        name=raw.name or "an approval without a name",
        url=pages.workflow_page(slug, parent.number, workflow.id),
    )


def artifact_id(job: str, raw: wire.ArtifactWire) -> str:
    """Return what names an artifact: its job, the machine it comes from and its path."""
    return f"{job}/{raw.node_index or 0}/{raw.path}"


def artifact(raw: wire.ArtifactWire, job: Job) -> Artifact:
    """Return a job's file as an artifact; people who are signed in can open its address."""
    return Artifact(
        id=artifact_id(job.id, raw), build=job.build, pipeline=job.pipeline, name=raw.path, job=job.id, url=raw.url
    )


def test(raw: wire.TestWire, job: Job) -> TestCase:
    """Return a test of a job."""
    word = (raw.result or "").lower()
    if word.startswith(("fail", "error")):
        outcome = Outcome.FAILED
    else:
        outcome = {"success": Outcome.PASSED, "skipped": Outcome.SKIPPED}.get(word, Outcome.UNKNOWN)
    return TestCase(
        name=raw.name or "a test without a name",
        outcome=outcome,
        class_name=raw.classname or None,
        detail=job.name,
        seconds=raw.run_time,
        message=raw.message or None,
        file=raw.file or None,
    )


def job_issue(job: Job) -> Issue:
    """Return a job that ended badly as an issue."""
    reason = REASONS.get(job.raw_state or "", "failed")
    return Issue(kind=IssueKind.ERROR, message=f"{job.name}: {reason}", job=job.name, url=job.web_url)


def test_issue(case: TestCase) -> Issue:
    """Return a failed test as an issue."""
    first = next(iter((case.message or "").strip().splitlines()), "")
    return Issue(
        kind=IssueKind.TEST_FAILURE,
        message=f"{case.name}: {first}" if first else case.name,
        job=case.detail,
        file=case.file,
    )


def faults(raw: wire.PipelineWire, pages: Urls) -> list[Issue]:
    """Return what kept a pipeline from being set up as issues; one that does not read is left out."""
    url = pages.build_page(raw.project_slug, raw.number)
    issues = []
    for payload in raw.errors or ():
        try:
            fault = wire.Fault.of(payload)
        except UnexpectedResponse:
            continue
        if fault.type or fault.message:
            words = f"{fault.type or 'error'}: {fault.message or 'no reason given'}"
            issues.append(Issue(kind=IssueKind.ERROR, message=words, url=url))
    return issues


def counts(faults: int, jobs: Sequence[Job], tests: Sequence[TestCase], *, all_tests: bool) -> IssueCounts:
    """Return a build's counts: errors are jobs that ended badly and faults of the configuration.

    CircleCI knows no warnings. Failed tests are unknown, not none, where no job stored its results; `all_tests` says
    that the tests of every job were read.
    """
    return IssueCounts(
        errors=sum(map(is_broken, jobs)) + faults,
        test_failures=sum(test.outcome is Outcome.FAILED for test in tests) if tests else None,
        tests_total=len(tests) if tests and all_tests else None,
    )
