"""CircleCI's words and objects as ours: pure readers."""

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from bot.models import (
    Artifact,
    Build,
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
from bot.providers.base import StateMap, latest, moment, state_from
from bot.providers.circleci import wire

STATES: StateMap = {
    "success": (Status.COMPLETED, Conclusion.PASSED),
    "failed": (Status.COMPLETED, Conclusion.FAILED),
    "error": (Status.COMPLETED, Conclusion.FAILED),
    "unauthorized": (Status.COMPLETED, Conclusion.FAILED),
    "canceled": (Status.COMPLETED, Conclusion.CANCELLED),
    "not_run": (Status.COMPLETED, Conclusion.SKIPPED),
    "queued": (Status.QUEUED, None),
    "running": (Status.IN_PROGRESS, None),
    "failing": (Status.IN_PROGRESS, None),
    "on_hold": (Status.IN_PROGRESS, None),
    "infrastructure_fail": (Status.COMPLETED, Conclusion.FAILED),
    "terminated-unknown": (Status.COMPLETED, Conclusion.FAILED),
    "timedout": (Status.COMPLETED, Conclusion.TIMEOUT),
    "retried": (Status.COMPLETED, Conclusion.RETRIED),
    "not_running": (Status.QUEUED, None),
    "blocked": (Status.QUEUED, None),
    "scheduled": (Status.QUEUED, None),
    "fixed": (Status.COMPLETED, Conclusion.PASSED),
    "no_tests": (Status.COMPLETED, Conclusion.SKIPPED),
}
"""Workflows and jobs share their words; `fixed`, `scheduled` and `no_tests` are v1.1's."""

TRIGGERS: Mapping[str, Trigger] = {
    "webhook": Trigger.PUSH,
    "api": Trigger.API,
    "scheduled_pipeline": Trigger.CRON,
    "schedule": Trigger.CRON,
    "explicit": Trigger.WEB,
}
UNMATCHED_AFTER = timedelta(minutes=10)
"""A pipeline without any workflow after this long matched no filter."""
WORST = (Conclusion.FAILED, Conclusion.TIMEOUT, Conclusion.CANCELLED, Conclusion.PASSED, Conclusion.SKIPPED)
BROKEN = frozenset({"failed", "timedout", "infrastructure_fail", "unauthorized", "terminated-unknown"})
LONG = {"gh": "github", "bb": "bitbucket"}
SHORT = {long: short for short, long in LONG.items()}


def short_slug(slug: str) -> str:
    """Return a project's slug in the short form: `gh/acme/web`."""
    head, _, rest = slug.strip("/").partition("/")
    return f"{SHORT.get(head, head)}/{rest}"


def long_slug(slug: str) -> str:
    """Return a project's slug in the long form: `github/acme/web`."""
    head, _, rest = slug.partition("/")
    return f"{LONG.get(head, head)}/{rest}"


def followed(it: wire.Followed) -> Pipeline:
    """Return a project of v1.1's list."""
    slug = short_slug(f"{it.vcs_type or 'github'}/{it.username}/{it.reponame}")
    return Pipeline(
        id=slug,
        path=slug,
        name=it.reponame,
        group=it.username,
        default_branch=it.default_branch or None,
        repository=it.vcs_url,
        web_url=f"https://app.circleci.com/pipelines/{long_slug(slug)}",
    )


def project(it: wire.Project) -> Pipeline:
    """Return a project of v2."""
    slug = short_slug(it.slug)
    return Pipeline(
        id=slug,
        path=slug,
        name=it.name or slug.rsplit("/", 1)[-1],
        group=it.organization_name,
        default_branch=it.vcs_info.default_branch if it.vcs_info else None,
        repository=it.vcs_info.vcs_url if it.vcs_info else None,
        web_url=f"https://app.circleci.com/pipelines/{long_slug(slug)}",
    )


def newest(workflows: Iterable[wire.Workflow]) -> list[wire.Workflow]:
    """Return the newest workflow of each name, set-up ones left out: only these give the result."""
    by_name: dict[str, wire.Workflow] = {}
    for it in sorted(workflows, key=lambda one: one.created_at or ""):
        if it.tag != "setup":
            by_name[it.name or it.id] = it
    return list(by_name.values())


def attempts(workflows: Iterable[wire.Workflow]) -> int:
    """Return how often the workflow that ran most often ran."""
    counts: dict[str, int] = {}
    for it in workflows:
        counts[it.name or it.id] = counts.get(it.name or it.id, 0) + 1
    return max(counts.values(), default=1)


def result(
    it: wire.PipelineWire, current: Sequence[wire.Workflow], now: datetime
) -> tuple[Status, Conclusion | None, str | None]:
    """Return how a pipeline stands, by its newest workflows, and the word that decided it."""
    if it.state == "errored":
        return Status.COMPLETED, Conclusion.FAILED, "errored"
    if not current:
        created = moment(it.created_at)
        is_stale = it.state == "created" and created is not None and now - created > UNMATCHED_AFTER
        return (Status.COMPLETED, Conclusion.SKIPPED, it.state) if is_stale else (Status.QUEUED, None, it.state)
    read = [(one, *state_from(one.status, STATES, finished=one.stopped_at is not None)) for one in current]
    going = [(one, status) for one, status, _conclusion in read if status is not Status.COMPLETED]
    if going:
        held = next((one for one, _status in going if one.status == "on_hold"), going[0][0])
        all_queued = all(status is Status.QUEUED for one, status, _conclusion in read)
        return (Status.QUEUED if all_queued else Status.IN_PROGRESS), None, held.status
    for worst in WORST:
        for one, _status, conclusion in read:
            if conclusion is worst:
                return Status.COMPLETED, worst, one.status
    return Status.COMPLETED, None, read[0][0].status


def build(
    it: wire.PipelineWire, workflows: Sequence[wire.Workflow], *, connection: str, pipeline: str, now: datetime
) -> Build:
    """Return a pipeline with its workflows as one build."""
    current = newest(workflows)
    status, conclusion, raw = result(it, current, now)
    vcs = it.vcs or wire.Vcs()
    git = _part(it.trigger_parameters, "git")
    ended = [moment(one.stopped_at) for one in current]
    is_over = status is Status.COMPLETED
    begun = [at for one in current if (at := moment(one.created_at)) is not None]
    login = it.trigger.actor.login if it.trigger and it.trigger.actor else None
    trigger = _trigger(it, vcs)
    message = "\n\n".join(part for part in (_subject(vcs, it), _body(vcs)) if part)
    return Build(
        connection=connection,
        pipeline=pipeline,
        id=it.id,
        number=it.number,
        attempt=attempts(workflows),
        workflow=", ".join(one.name for one in current if one.name) or None,
        repo=pipeline.partition("/")[2] or None,
        branch=vcs.branch or git.get("branch") or None,
        tag=vcs.tag or git.get("tag") or None,
        pull_request=_review(vcs),
        commit=vcs.revision or git.get("checkout_sha") or None,
        message=message or None,
        author=_author(it),
        status=status,
        conclusion=conclusion,
        raw_state=raw,
        waiting=not is_over and any(one.status == "on_hold" for one in current),
        trigger=trigger,
        triggered_by=login or None,
        triggered_by_type=_starter(login, trigger),
        created_at=moment(it.created_at),
        started_at=min(begun, default=None),
        completed_at=latest(*ended, moment(it.updated_at) if not current else None) if is_over else None,
        updated_at=latest(moment(it.created_at), moment(it.updated_at), *begun, *ended),
        web_url=f"https://app.circleci.com/pipelines/{long_slug(pipeline)}/{it.number}" if it.number else None,
    )


def _part(parameters: Mapping[str, Any] | None, name: str) -> dict[str, str]:
    part = (parameters or {}).get(name)
    return {str(key): value for key, value in part.items() if isinstance(value, str)} if isinstance(part, dict) else {}


def _subject(vcs: wire.Vcs, it: wire.PipelineWire) -> str:
    if vcs.commit and vcs.commit.subject:
        return vcs.commit.subject
    for name in ("github_app", "gitlab"):
        said = _part(it.trigger_parameters, name).get("commit_message") or _part(it.trigger_parameters, name).get(
            "commit_title"
        )
        if said:
            return said
    return ""


def _body(vcs: wire.Vcs) -> str:
    return vcs.commit.body or "" if vcs.commit else ""


def _author(it: wire.PipelineWire) -> Person | None:
    for name in ("github_app", "gitlab"):
        part = _part(it.trigger_parameters, name)
        who, email = part.get("commit_author_name"), part.get("commit_author_email")
        if who or email:
            return Person(name=who or None, email=email or None)
    return None


def _review(vcs: wire.Vcs) -> str | None:
    if vcs.review_id:
        return vcs.review_id
    found = re.search(r"/(\d+)/?$", vcs.review_url or "")
    return found[1] if found else None


def _trigger(it: wire.PipelineWire, vcs: wire.Vcs) -> Trigger:
    kind = (it.trigger.type if it.trigger else None) or ""
    event = _part(it.trigger_parameters, "circleci").get("event_type", "")
    known = TRIGGERS.get(kind)
    is_review = bool(vcs.review_id or vcs.review_url) or "pull" in event or "merge" in event
    if known is Trigger.PUSH or known is None:
        if is_review:
            return Trigger.MERGE_REQUEST
        return Trigger.PUSH if known is Trigger.PUSH or event == "push" else Trigger.UNKNOWN
    return known


def _starter(login: str | None, trigger: Trigger) -> Starter | None:
    if trigger is Trigger.CRON or (login or "").endswith("[bot]"):
        return Starter.BOT
    return Starter.USER if login else None


def job_id(workflow: str, it: wire.JobWire) -> str:
    """Return a job's id in the bot: its workflow, its own id and its number, which CircleCI's routes ask for by turns."""
    return f"{workflow}/{it.id}/{it.job_number or ''}"


def job_number(job: str) -> str:
    """Return the number in a job's id, "" where it has none."""
    return job.rsplit("/", 1)[-1] if job.count("/") == 2 else ""


def job(it: wire.JobWire, workflow: wire.Workflow, *, pipeline: str, build_id: str, number: int | None) -> Job:
    """Return a job."""
    status, conclusion = state_from(it.status, STATES, finished=it.stopped_at is not None)
    page = f"https://app.circleci.com/pipelines/{long_slug(pipeline)}/{number}/workflows/{workflow.id}"
    return Job(
        id=job_id(workflow.id, it),
        build=build_id,
        pipeline=pipeline,
        name=it.name or it.id,
        stage=workflow.name,
        status=status,
        conclusion=conclusion,
        raw_state=it.status,
        started_at=moment(it.started_at),
        completed_at=moment(it.stopped_at),
        web_url=(f"{page}/jobs/{it.job_number}" if it.job_number else page) if number else None,
    )


def gate(it: wire.JobWire, workflow: wire.Workflow, *, pipeline: str, build_id: str, page: str | None) -> Gate:
    """Return an approval job that waits."""
    return Gate(
        id=f"{workflow.id}/{it.approval_request_id or it.id}",
        build=build_id,
        pipeline=pipeline,
        name=it.name or "approval",
        job=it.id,
        url=f"{page}/workflows/{workflow.id}" if page else None,
    )


def artifact(it: wire.ArtifactWire, job_: Job) -> Artifact:
    """Return a file of a job; its address wants the token, so people get none."""
    return Artifact(id=it.url, build=job_.build, pipeline=job_.pipeline, name=it.path, job=job_.name)


def test(it: wire.TestWire, job_: Job) -> TestCase:
    """Return a test of a job."""
    word = (it.result or "").lower()
    outcome = Outcome.UNKNOWN
    if word.startswith(("fail", "error")):
        outcome = Outcome.FAILED
    elif word == "success":
        outcome = Outcome.PASSED
    elif word == "skipped":
        outcome = Outcome.SKIPPED
    return TestCase(
        name=it.name or "(unnamed)",
        outcome=outcome,
        class_name=it.classname or None,
        detail=job_.name,
        seconds=it.run_time,
        message=it.message or None,
        file=it.file or None,
    )


def job_issue(it: Job) -> Issue:
    """Return a job that broke as an error."""
    return Issue(
        kind=IssueKind.ERROR,
        message=f"{it.name}: {(it.raw_state or 'failed').replace('_', ' ')}",
        job=it.name,
        url=it.web_url,
    )


def test_issue(it: TestCase) -> Issue:
    """Return a failed test as an issue."""
    name = f"{it.class_name}.{it.name}" if it.class_name else it.name
    first = (it.message or "").strip().splitlines()
    return Issue(
        kind=IssueKind.TEST_FAILURE,
        message=f"{name}: {first[0]}" if first else name,
        job=it.detail,
        file=it.file,
    )
