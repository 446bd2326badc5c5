"""CircleCI's objects in our words: pure readers and state maps."""

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

import httpx

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
from bot.http.client import Quota
from bot.providers.base.convert import StateMap, repository, state_from
from bot.providers.base.times import latest, parse_time
from bot.providers.circleci import urls, wire

STATES: StateMap = {
    # a pipeline's own
    "setup-pending": (Status.QUEUED, None),
    "setup": (Status.IN_PROGRESS, None),
    "pending": (Status.QUEUED, None),
    "created": (Status.QUEUED, None),
    "errored": (Status.COMPLETED, Conclusion.FAILED),
    # its workflows'
    "queued": (Status.QUEUED, None),
    "running": (Status.IN_PROGRESS, None),
    "failing": (Status.IN_PROGRESS, None),
    "on_hold": (Status.IN_PROGRESS, None),
    "success": (Status.COMPLETED, Conclusion.PASSED),
    "failed": (Status.COMPLETED, Conclusion.FAILED),
    "error": (Status.COMPLETED, Conclusion.FAILED),
    "unauthorized": (Status.COMPLETED, Conclusion.FAILED),
    "canceled": (Status.COMPLETED, Conclusion.CANCELLED),
    "not_run": (Status.COMPLETED, Conclusion.SKIPPED),
}
JOB_STATES: StateMap = {
    "blocked": (Status.QUEUED, None),
    "queued": (Status.QUEUED, None),
    "not_running": (Status.QUEUED, None),
    "running": (Status.IN_PROGRESS, None),
    "on_hold": (Status.IN_PROGRESS, None),
    "success": (Status.COMPLETED, Conclusion.PASSED),
    "failed": (Status.COMPLETED, Conclusion.FAILED),
    "infrastructure_fail": (Status.COMPLETED, Conclusion.FAILED),
    "unauthorized": (Status.COMPLETED, Conclusion.FAILED),
    "terminated-unknown": (Status.COMPLETED, Conclusion.FAILED),
    "timedout": (Status.COMPLETED, Conclusion.TIMEOUT),
    "canceled": (Status.COMPLETED, Conclusion.CANCELLED),
    "not_run": (Status.COMPLETED, Conclusion.SKIPPED),
    "retried": (Status.COMPLETED, Conclusion.RETRIED),
}
REASONS: Mapping[str, str] = {
    "failed": "failed",
    "timedout": "timed out",
    "infrastructure_fail": "failed for a fault of CircleCI's machines",
    "unauthorized": "may not use a context",
    "terminated-unknown": "ended for an unknown reason",
}
TRIGGERS: Mapping[str, Trigger] = {
    "api": Trigger.API,
    "scheduled_pipeline": Trigger.CRON,
    "schedule": Trigger.CRON,
    "explicit": Trigger.WEB,
}
RANK = (Conclusion.FAILED, Conclusion.CANCELLED, None, Conclusion.PASSED, Conclusion.SKIPPED)
"""Which workflow's end is the build's: the first of these that any of them has."""
UNMATCHED_AFTER = timedelta(minutes=10)
"""A pipeline that has no workflow after this long matched no filter."""
RERUN_WITHIN = timedelta(minutes=2)
"""How long an automatic rerun that the configuration promises is waited for."""


def quota(headers: httpx.Headers, now: datetime) -> Quota | None:
    """Return what the headers say is left; `Reset` is in seconds from now."""
    names = ("RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset")
    limit, remaining, reset = (_whole(headers.get(name)) for name in names)
    if limit is None or remaining is None:
        return None
    return Quota(limit=limit, remaining=remaining, resets_at=None if reset is None else now + timedelta(seconds=reset))


def _whole(value: str | None) -> int | None:
    return int(value) if value is not None and re.fullmatch(r"[0-9]{1,6}", value) else None


def project(it: wire.Project, page: str) -> Pipeline:
    """Return a project as ours; its short slug is its id."""
    slug = urls.short(it.slug)
    about = it.vcs_info or wire.VcsInfo()
    return Pipeline(
        id=slug,
        path=slug,
        name=it.name or slug.rpartition("/")[2],
        group=it.organization_name,
        default_branch=about.default_branch or None,
        repository=repository(about.vcs_url),
        web_url=urls.project_page(page, slug),
    )


def followed(it: wire.V1Project, page: str) -> Pipeline | None:
    """Return a project of v1.1's list as ours, None where it has no slug that v2 takes."""
    slug = urls.v1_slug(it.vcs_type, it.username, it.reponame, it.vcs_url)
    if slug is None:
        return None
    about = wire.VcsInfo(vcs_url=None if slug.startswith("circleci/") else it.vcs_url, default_branch=it.default_branch)
    return project(wire.Project(slug=slug, name=it.reponame, organization_name=it.username, vcs_info=about), page)


# workflows


def newest(workflows: Iterable[wire.Workflow]) -> list[wire.Workflow]:
    """Return the newest workflow of each name, oldest name first."""
    by_name: dict[str, wire.Workflow] = {}
    for it in sorted(workflows, key=lambda one: one.created_at or ""):
        by_name[_name(it)] = it
    return list(by_name.values())


def current(workflows: Sequence[wire.Workflow]) -> list[wire.Workflow]:
    """Return the workflows that make the result: the newest of each name, those of the set-up left out."""
    return [it for it in newest(workflows) if it.tag != "setup"]


def is_open(it: wire.Workflow) -> bool:
    """Return whether a workflow has not come to its end."""
    return state_from(it.status, STATES, finished=bool(it.stopped_at))[0] is not Status.COMPLETED


def will_rerun(it: wire.Workflow, now: datetime) -> bool:
    """Return whether CircleCI is about to run a failed workflow again by itself, as its configuration asks."""
    stopped = parse_time(it.stopped_at)
    return (
        it.status == "failed"
        and (it.auto_rerun_number or 0) < (it.max_auto_reruns or 0)
        and stopped is not None
        and now - stopped < RERUN_WITHIN
    )


def attempts(workflows: Sequence[wire.Workflow]) -> list[list[wire.Workflow]]:
    """Return the workflows by attempt.

    An attempt begins with a rerun: of a workflow that has run in this attempt already, or after all before it had ended.
    """
    found: list[list[wire.Workflow]] = []
    earlier: list[wire.Workflow] = []
    for it in sorted((one for one in workflows if one.tag != "setup"), key=lambda one: one.created_at or ""):
        begun = parse_time(it.created_at)
        stops = [parse_time(one.stopped_at) for one in earlier]
        is_after_all = begun is not None and all(at is not None and at < begun for at in stops)
        is_in_attempt = bool(found) and any(_name(one) == _name(it) for one in found[-1])
        is_rerun = any(_name(one) == _name(it) for one in earlier)
        if not found or is_in_attempt or (is_rerun and is_after_all):
            found.append([])
        found[-1].append(it)
        earlier.append(it)
    return found


def _name(it: wire.Workflow) -> str:
    return it.name or it.id


def result(
    it: wire.PipelineWire, workflows: Sequence[wire.Workflow], now: datetime
) -> tuple[Status, Conclusion | None, str | None]:
    """Return how a pipeline stands by its newest workflows, and the word that decided it."""
    if it.state == "errored":
        return (*STATES["errored"], it.state)
    listed = current(workflows)
    if not listed:
        return _without_workflows(it, workflows, now)
    stand = [(one, *state_from(one.status, STATES, finished=bool(one.stopped_at))) for one in listed]
    going = [(one, status) for one, status, _ in stand if status is not Status.COMPLETED]
    if going:
        is_queued = len(going) == len(stand) and all(status is Status.QUEUED for _, status in going)
        telling = next((one for one, _ in going if one.status in {"on_hold", "failing"}), going[0][0])
        return (Status.QUEUED if is_queued else Status.IN_PROGRESS), None, telling.status
    again = next((one for one in listed if will_rerun(one, now)), None)
    if again is not None:
        return Status.IN_PROGRESS, None, again.status
    worst = min(stand, key=lambda one: RANK.index(one[2]))
    return Status.COMPLETED, worst[2], worst[0].status


def _without_workflows(
    it: wire.PipelineWire, workflows: Sequence[wire.Workflow], now: datetime
) -> tuple[Status, Conclusion | None, str | None]:
    setup = newest(workflows)
    bad = next((one for one in setup if not is_open(one) and one.status != "success"), None)
    if bad is not None:
        return (*state_from(bad.status, STATES, finished=True), bad.status)
    if any(is_open(one) for one in setup):
        return Status.IN_PROGRESS, None, it.state
    created = parse_time(it.created_at)
    if it.state == "created" and created is not None and now - created > UNMATCHED_AFTER:
        return Status.COMPLETED, Conclusion.SKIPPED, it.state
    return (*state_from(it.state, STATES), it.state)


# builds


def branch(it: wire.PipelineWire) -> str | None:
    """Return the branch that was built; that of a pull request from a fork is called `pull/N`."""
    git = it.trigger_parameters.git if it.trigger_parameters else None
    return (it.vcs.branch if it.vcs else None) or (git.branch if git else None) or None


def tag(it: wire.PipelineWire) -> str | None:
    """Return the tag that was built."""
    git = it.trigger_parameters.git if it.trigger_parameters else None
    return (it.vcs.tag if it.vcs else None) or (git.tag if git else None) or None


def commit(it: wire.PipelineWire) -> str | None:
    """Return the commit that was built."""
    git = it.trigger_parameters.git if it.trigger_parameters else None
    return (it.vcs.revision if it.vcs else None) or (git.checkout_sha if git else None) or None


def build(
    it: wire.PipelineWire,
    workflows: Sequence[wire.Workflow],
    *,
    connection: str,
    page: str,
    now: datetime,
    held: bool = False,
) -> Build:
    """Return a pipeline with its workflows as one build; `held` says that a job was found waiting for a person."""
    slug = urls.short(it.project_slug)
    status, conclusion, word = result(it, workflows, now)
    is_over = status is Status.COMPLETED
    listed = current(workflows) or newest(workflows)
    by_attempt = attempts(workflows)
    started = min((at for one in (by_attempt or [listed])[-1] if (at := parse_time(one.created_at))), default=None)
    ended = latest(*(parse_time(one.stopped_at) for one in listed))
    if not listed:
        ended = parse_time(it.updated_at) or parse_time(it.created_at)
    vcs = it.vcs or wire.Vcs()
    git = (it.trigger_parameters.git if it.trigger_parameters else None) or wire.GitParameters()
    login = (it.trigger.actor.login if it.trigger and it.trigger.actor else None) or None
    made_by = trigger(it)
    return Build(
        connection=connection,
        pipeline=slug,
        id=it.id,
        number=it.number,
        attempt=len(by_attempt) or None,
        workflow=", ".join(one.name for one in listed if one.name) or None,
        repo=repository(vcs.target_repository_url) or repository(git.checkout_url),
        branch=branch(it),
        tag=tag(it),
        pull_request=pull_request(it),
        commit=commit(it),
        message=message(it),
        author=author(it),
        status=status,
        conclusion=conclusion,
        raw_state=word,
        waiting=not is_over and (held or any(one.status == "on_hold" for one in listed)),
        trigger=made_by,
        triggered_by=login,
        triggered_by_type=starter(login, made_by),
        created_at=parse_time(it.created_at),
        started_at=started if status is not Status.QUEUED else None,
        completed_at=ended if is_over else None,
        updated_at=latest(
            *map(parse_time, (it.created_at, it.updated_at)),
            *(parse_time(at) for one in workflows for at in (one.created_at, one.stopped_at)),
        ),
        web_url=f"{urls.project_page(page, slug)}/{it.number}" if it.number is not None else None,
    )


def message(it: wire.PipelineWire) -> str | None:
    """Return the commit's message."""
    told = it.vcs.commit if it.vcs else None
    if told and told.subject:
        return f"{told.subject}\n\n{told.body}" if told.body else told.subject
    host = _host(it)
    return host.commit_message or host.commit_title or None


def author(it: wire.PipelineWire) -> Person | None:
    """Return who wrote the commit, where the trigger tells it."""
    host = _host(it)
    name, email = host.commit_author_name or None, host.commit_author_email or None
    return Person(name=name, email=email) if name or email else None


def _host(it: wire.PipelineWire) -> wire.HostParameters:
    told = it.trigger_parameters or wire.TriggerParameters()
    return told.github_app or told.gitlab or wire.HostParameters()


def pull_request(it: wire.PipelineWire) -> str | None:
    """Return the number of the pull request, as the review, its address or the branch's name tells it."""
    vcs = it.vcs or wire.Vcs()
    found = re.search(r"/([0-9]+)/?$", vcs.review_url or "") or re.match(r"pull/([0-9]+)(?:/|$)", branch(it) or "")
    return vcs.review_id or (found[1] if found else None)


def trigger(it: wire.PipelineWire) -> Trigger:
    """Return what made the build start; a kind that is not known is told by the event behind it, else is a push."""
    kind = (it.trigger.type if it.trigger else None) or ""
    if not kind:
        return Trigger.UNKNOWN
    if kind in TRIGGERS:
        return TRIGGERS[kind]
    about = it.trigger_parameters.circleci if it.trigger_parameters else None
    event = ((about.event_type if about else None) or "").lower()
    if event in TRIGGERS:
        return TRIGGERS[event]
    if (it.vcs and (it.vcs.review_id or it.vcs.review_url)) or "pull" in event or "merge" in event:
        return Trigger.MERGE_REQUEST
    return Trigger.PUSH


def starter(login: str | None, made_by: Trigger) -> Starter | None:
    """Return whether a person started the build."""
    if made_by is Trigger.CRON or (login or "").endswith("[bot]"):
        return Starter.BOT
    return Starter.USER if login else None


# parts of a build


def job_id(it: wire.JobWire) -> str:
    """Return what names a job: its number, as its page and most calls have it; before it starts it has only an id."""
    return it.id if it.job_number is None else str(it.job_number)


def is_number(job: str) -> bool:
    """Return whether a job's id is its number."""
    return re.fullmatch(r"[0-9]{1,18}", job) is not None


def job(it: wire.JobWire, workflow: wire.Workflow, build_: wire.PipelineWire, page: str) -> Job:
    """Return a job as ours; its stage is its workflow."""
    status, conclusion = state_from(it.status, JOB_STATES, finished=bool(it.stopped_at))
    slug = urls.short(build_.project_slug)
    at = urls.workflow_page(page, slug, build_.number, workflow.id)
    return Job(
        id=job_id(it),
        build=build_.id,
        pipeline=slug,
        name=it.name or "a job without a name",
        stage=workflow.name,
        status=status,
        conclusion=conclusion,
        raw_state=it.status,
        reason=REASONS.get(it.status or "") if it.status != "failed" else None,
        started_at=parse_time(it.started_at),
        completed_at=parse_time(it.stopped_at),
        web_url=f"{at}/jobs/{it.job_number}" if at and it.job_number is not None else at,
    )


def is_approval(it: wire.JobWire) -> bool:
    """Return whether a job waits for a person."""
    return it.type == "approval" and it.status == "on_hold"


def approval(it: wire.JobWire, workflow: wire.Workflow, build_: wire.PipelineWire, page: str) -> Approval:
    """Return an approval job as an approval."""
    slug = urls.short(build_.project_slug)
    return Approval(
        id=it.approval_request_id or it.id,
        build=build_.id,
        pipeline=slug,
        name=it.name or "an approval without a name",
        job=job_id(it),
        url=urls.workflow_page(page, slug, build_.number, workflow.id),
    )


def artifact_id(job_: str, it: wire.ArtifactWire) -> str:
    """Return what names an artifact: its job, the machine it comes from and its path."""
    return f"{job_}/{it.node_index or 0}/{it.path}"


def artifact(it: wire.ArtifactWire, of: Job) -> Artifact:
    """Return an artifact as ours; people who are signed in can open its address."""
    return Artifact(
        id=artifact_id(of.id, it), build=of.build, pipeline=of.pipeline, name=it.path, job=of.id, url=it.url
    )


def test(it: wire.TestWire, of: Job) -> TestCase:
    """Return a test as ours."""
    word = (it.result or "").lower()
    if word.startswith(("fail", "error")):
        outcome = Outcome.FAILED
    else:
        outcome = {"success": Outcome.PASSED, "skipped": Outcome.SKIPPED}.get(word, Outcome.UNKNOWN)
    return TestCase(
        name=it.name or "a test without a name",
        outcome=outcome,
        class_name=it.classname or None,
        detail=of.name,
        seconds=it.run_time,
        message=it.message or None,
        file=it.file or None,
    )


def job_issue(it: Job) -> Issue:
    """Return a job that ended badly as an issue."""
    said = REASONS.get(it.raw_state or "", "failed")
    return Issue(kind=IssueKind.ERROR, message=f"{it.name}: {said}", job=it.name, url=it.web_url)


def test_issue(it: TestCase) -> Issue:
    """Return a failed test as an issue."""
    first = next(iter((it.message or "").strip().splitlines()), "")
    return Issue(
        kind=IssueKind.TEST_FAILURE,
        message=f"{it.name}: {first}" if first else it.name,
        job=it.detail,
        file=it.file,
    )


def fault(it: wire.Fault, url: str | None) -> Issue:
    """Return what kept a pipeline from being set up as an issue."""
    return Issue(kind=IssueKind.ERROR, message=f"{it.type or 'error'}: {it.message or 'no reason given'}", url=url)


def telling(steps: Iterable[wire.V1Step], most: int) -> tuple[list[wire.V1Action], bool]:
    """Return the actions whose output tells most, and whether there are others before them.

    The last one that failed, on the first machine where one did; else the last `most` of the first machine.
    """
    actions = [it for step in steps for it in step.actions or () if it.output_url or it.has_output]
    failed = [it for it in actions if it.failed]
    machine = min((it.index or 0 for it in failed or actions), default=0)
    here = [it for it in actions if (it.index or 0) == machine]
    chosen = [it for it in failed if (it.index or 0) == machine][-1:] or here[-most:]
    return chosen, len(here) > len(chosen)
