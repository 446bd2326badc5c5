"""GitLab's states, and its objects as the bot's models. Pure."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Final

from bot.core.models import (
    Account,
    Approval,
    Artifact,
    Build,
    BuildFilter,
    Commit,
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
from bot.providers.base.convert import StateMap, state_from
from bot.providers.base.listing import parse_items
from bot.providers.base.scopes import ComparedScopes, compare_scopes
from bot.providers.base.times import parse_time
from bot.providers.base.urls import web_page
from bot.providers.gitlab import wire
from bot.providers.gitlab.details import build_details, old_details
from bot.providers.gitlab.options import SCOPES

STATES: Final[StateMap] = MappingProxyType(
    {  # pipelines and jobs share the words; GraphQL sends them in capitals
        "created": (Status.QUEUED, None),
        "waiting_for_resource": (Status.QUEUED, None),
        "preparing": (Status.QUEUED, None),
        "waiting_for_callback": (Status.QUEUED, None),
        "pending": (Status.QUEUED, None),
        "scheduled": (Status.QUEUED, None),  # a delayed job waits for its time
        "running": (Status.IN_PROGRESS, None),
        "canceling": (Status.IN_PROGRESS, None),
        "manual": (Status.IN_PROGRESS, None),  # nothing left to run without a person
        "success": (Status.COMPLETED, Conclusion.PASSED),
        "failed": (Status.COMPLETED, Conclusion.FAILED),
        "canceled": (Status.COMPLETED, Conclusion.CANCELLED),
        "skipped": (Status.COMPLETED, Conclusion.SKIPPED),
    }
)

TRIGGERS: Final[Mapping[str, Trigger]] = MappingProxyType(
    {
        "push": Trigger.PUSH,
        "merge_request_event": Trigger.MERGE_REQUEST,
        "external_pull_request_event": Trigger.MERGE_REQUEST,
        "web": Trigger.WEB,
        "webide": Trigger.WEB,
        "schedule": Trigger.CRON,
        "pipeline_execution_policy_schedule": Trigger.CRON,
        "api": Trigger.API,
        "trigger": Trigger.API,
        "pipeline": Trigger.API,
        "parent_pipeline": Trigger.API,
        "chat": Trigger.API,
        "external": Trigger.API,
    }
)

MACHINES: Final = frozenset(
    {"schedule", "pipeline_execution_policy_schedule", "trigger", "pipeline", "parent_pipeline"}
)
TIMEOUTS: Final = frozenset({"job_execution_timeout", "stuck_or_timeout_failure"})
WITH_WARNINGS: Final = frozenset({"success-with-warnings", "success_with_warnings"})

EXPIRY_WARNING: Final = timedelta(days=14)
NARROWED: Final[Mapping[frozenset[str], str]] = MappingProxyType(
    {
        frozenset({"passed"}): "success",
        frozenset({"failed"}): "failed",
        frozenset({"cancelled"}): "canceled",
        frozenset({"skipped"}): "skipped",
        frozenset({"blocked"}): "manual",
    }
)
OLD_SCOPES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "passed": "success",
        "success": "success",
        "failed": "failed",
        "timeout": "failed",
        "cancelled": "canceled",
        "canceled": "canceled",
        "pending": "pending",
        "running": "running",
        "in_progress": "running",
    }
)
"""Words for states (ours and GitLab's) by which v3 narrows a list, and its `scope` for each."""

PER_PAGE: Final = 100
LIST_FILTERS: Final = frozenset(FilterField) - {FilterField.BY, FilterField.UNTIL, FilterField.FINISHED_UNTIL}
"""By what GitLab narrows its list of pipelines: times by when a pipeline was last changed."""
OLD_LIST_FILTERS: Final = frozenset({FilterField.COMMIT, FilterField.STATE})

_BOT = re.compile(r"^(?:project|group)_\d+_bot(?:_|\d|$)|^service_account_")
_MERGE_REQUEST = re.compile(r"^refs/merge-requests/(\d+)/(head|merge|train)$")


def commit(sent: wire.Commit) -> Commit:
    """Return a commit of a comparison."""
    title = sent.title or (sent.message or "").partition("\n")[0]
    return Commit(sha=sent.id, subject=title, author=sent.author_name or "", url=sent.web_url)


def account(token: wire.Token, user: wire.User, version: str | None, now: datetime) -> Account:
    """Return whose token it is, which scopes it lacks and whether it ends within two weeks."""
    scopes = compare_scopes(SCOPES, token.scopes) if token.scopes else ComparedScopes()
    ends = parse_time(token.expires_at)
    warnings = (f"The token ends on {ends:%d %B %Y}.",) if ends and ends - now < EXPIRY_WARNING else ()
    return Account(
        name=user.username or user.name or token.name or "unknown",
        detail=f"GitLab {version}" if version else None,
        granted=scopes.granted,
        missing=scopes.missing,
        warnings=warnings,
        expires_at=ends,
    )


def project(raw: wire.Project) -> Pipeline:
    """Return a project as what can be built."""
    path = raw.path_with_namespace
    switched_off = raw.archived is True or raw.jobs_enabled is False or raw.builds_enabled is False
    return Pipeline(
        id=str(raw.id),
        path=path,
        name=raw.name or path.rpartition("/")[2],
        group=path.rpartition("/")[0] or None,
        default_branch=raw.default_branch,
        repository=path,
        web_url=raw.web_url,
        enabled=not switched_off,
    )


def build(raw: wire.PipelineRun, *, connection: str, pipeline: str, root: str) -> Build:
    """Return a pipeline as a build. A list item has neither its user nor its times; they stay unknown.

    A list does not distinguish tags from branches either; what it names is read as a branch.
    """
    word = (raw.status or "").lower()
    status, conclusion = state_from(word, STATES, finished=raw.finished_at is not None)
    done = status is Status.COMPLETED
    merge = _MERGE_REQUEST.match(raw.ref or "")
    tag = raw.ref if raw.tag else None
    group = raw.detailed_status.group if raw.detailed_status else None
    clean = conclusion is Conclusion.PASSED
    login = raw.user.username if raw.user else None
    return Build(
        connection=connection,
        pipeline=str(raw.project_id) if raw.project_id is not None else pipeline,
        id=str(raw.id),
        number=raw.iid,
        name=raw.name,
        repo=repository(raw.web_url, root),
        branch=None if merge or tag else raw.ref,
        tag=tag,
        pull_request=merge[1] if merge else None,
        commit=raw.sha,
        head_commit=raw.sha if merge and merge[2] == "head" else None,
        status=status,
        conclusion=conclusion,
        raw_state=word or None,
        waiting=word == "manual",
        trigger=TRIGGERS.get((raw.source or "").lower(), Trigger.UNKNOWN),
        triggered_by=login,
        triggered_by_type=starter(raw.source, login),
        created_at=parse_time(raw.created_at),
        started_at=parse_time(raw.started_at),
        completed_at=parse_time(raw.finished_at) if done else None,  # a retried pipeline keeps the old end for a while
        updated_at=parse_time(raw.updated_at),
        web_url=raw.web_url,
        issues=IssueCounts(
            errors=0 if clean and (group == "success" or group in WITH_WARNINGS) else None,
            warnings=0 if clean and group == "success" else None,
        ),
        details=build_details(raw),
    )


def list_query(build_filter: BuildFilter, commit: str | None) -> dict[str, str | int | None]:
    """Return as much of a filter as every version of v4 takes; `commit` is a whole one.

    Times are bounds of the last change: what was made or ended later was changed later.
    """
    status = one_status(build_filter.states)
    bounds = [at for at in (build_filter.since, build_filter.finished_since) if at is not None]
    by_vendor = {FilterField.BRANCH, FilterField.COMMIT, *({FilterField.STATE} if status else ())}
    is_narrowed = build_filter.fields <= by_vendor
    return {
        "ref": build_filter.branch,
        "sha": commit,
        "status": status,
        "updated_after": max(bounds).astimezone(UTC).isoformat() if bounds else None,
        "per_page": min(max(build_filter.limit, 1), PER_PAGE) if is_narrowed else PER_PAGE,
    }


def one_status(states: frozenset[str]) -> str | None:
    """Return the one status by which GitLab can narrow a list so that it holds all of `states`, or None."""
    return NARROWED.get(states) or (next(iter(states)) if len(states) == 1 and states <= STATES.keys() else None)


def starter(source: str | None, login: str | None) -> Starter | None:
    """Return whether a person or a machine started a pipeline, from its source and its user's name."""
    if (source or "").lower() in MACHINES or _BOT.match(login or ""):
        return Starter.BOT
    return Starter.USER if login else None


def repository(web_url: str | None, root: str) -> str | None:
    """Return `group/project` from the address of a pipeline below the server's root."""
    if web_url is None or not web_url.startswith(f"{root}/"):
        return None
    path = re.split(r"/(?:-/)?(?:pipelines|builds|jobs)/", web_url.removeprefix(f"{root}/"), maxsplit=1)
    return path[0] if len(path) == 2 else None


def author(raw: wire.Commit) -> Person | None:
    """Return who wrote a commit."""
    if raw.author_name is None and raw.author_email is None:
        return None
    return Person(name=raw.author_name, email=raw.author_email)


def job(raw: wire.JobRun, *, build_id: str, pipeline: str, retried: bool = False) -> Job:
    """Return a job. GitLab gives sound jobs a failure reason too; only a failed job keeps its own."""
    word = (raw.status or "").lower()
    status, conclusion = state_from(word, STATES, finished=raw.finished_at is not None)
    failed = conclusion is Conclusion.FAILED
    return Job(
        id=str(raw.id),
        build=build_id,
        pipeline=pipeline,
        name=raw.name or str(raw.id),
        stage=raw.stage,
        status=status,
        conclusion=Conclusion.TIMEOUT if failed and raw.failure_reason in TIMEOUTS else conclusion,
        raw_state=word or None,
        tolerated=bool(raw.allow_failure),
        retried=retried,
        reason=raw.failure_reason if failed else None,
        runner=(raw.runner.description or raw.runner.name) if raw.runner else None,
        created_at=parse_time(raw.created_at),
        runnable_at=_runnable_at(raw),
        started_at=parse_time(raw.started_at),
        completed_at=parse_time(raw.finished_at) if status is Status.COMPLETED else None,
        web_url=raw.web_url,
        details=job_details(raw),
    )


def _runnable_at(raw: wire.JobRun) -> datetime | None:
    """Return when a job was ready for a runner: GitLab reports how long it stood in the queue before its start."""
    started = parse_time(raw.started_at)
    if started is None or raw.queued_duration is None or raw.queued_duration < 0:
        return None
    return started - timedelta(seconds=raw.queued_duration)


def job_details(raw: wire.JobRun) -> dict[str, str]:
    """Return a job's coverage, its runner's tags and when it was erased."""
    erased = parse_time(raw.erased_at)
    details = {
        "coverage": None if raw.coverage is None else f"{raw.coverage:g} %",
        "runner tags": ", ".join(raw.tag_list or ()),
        "erased": f"{erased:%Y-%m-%d %H:%M} UTC" if erased else None,
    }
    return {name: text for name, text in details.items() if text}


def jobs(raws: Iterable[wire.JobRun], build_id: str, pipeline: str) -> list[Job]:
    """Return all tries of all jobs, oldest first; those that a later one of the same name replaced are marked."""
    in_order = sorted({raw.id: raw for raw in raws}.values(), key=lambda each: each.id)
    newest = {raw.id for raw in current(in_order)}
    return [job(raw, build_id=build_id, pipeline=pipeline, retried=raw.id not in newest) for raw in in_order]


def current(jobs: Iterable[wire.JobRun]) -> list[wire.JobRun]:
    """Return the latest try of each job, oldest first."""
    newest: dict[tuple[str | None, str | None], wire.JobRun] = {}
    for raw in sorted(jobs, key=lambda each: each.id):
        newest[raw.stage, raw.name] = raw
    return sorted(newest.values(), key=lambda each: each.id)


def files(raw: wire.JobRun, *, build_id: str, pipeline: str) -> list[Artifact]:
    """Return the files of one job. `metadata` is GitLab's own index of the archive, of no use to a person."""
    page = f"{raw.web_url}/artifacts/download" if raw.web_url else None
    return [
        Artifact(
            id=f"{raw.id}/{kind}",
            build=build_id,
            pipeline=pipeline,
            name=each.filename or kind,
            job=raw.name,
            size_bytes=each.size,
            kind=kind,
            url=page and (page if kind == "archive" else f"{page}?file_type={kind}"),
        )
        for each in raw.artifacts or ()
        if (kind := each.file_type or "archive") != "metadata"
    ]


def failures(jobs: Iterable[Job]) -> tuple[int, int]:
    """Return how many jobs failed for good, and how many that were allowed to."""
    red = [each for each in jobs if each.conclusion in {Conclusion.FAILED, Conclusion.TIMEOUT}]
    tolerated = sum(each.tolerated for each in red)
    return len(red) - tolerated, tolerated


def timed_out(jobs: Iterable[Job]) -> bool:
    """Return whether every job that failed for good ran out of time."""
    hard = [each.conclusion for each in jobs if not each.tolerated and each.conclusion is not None]
    red = [each for each in hard if each in {Conclusion.FAILED, Conclusion.TIMEOUT}]
    return bool(red) and all(each is Conclusion.TIMEOUT for each in red)


def cases(payload: object) -> tuple[TestCase, ...]:
    """Return a test report's cases, failed ones first. A suite that could not be read is one unknown case."""
    tests: list[TestCase] = []
    for suite in parse_items(wire.Report.of(payload).test_suites or [], wire.Suite.of):
        if suite.suite_error:
            tests.append(
                TestCase(
                    name=suite.name or "report",
                    outcome=Outcome.UNKNOWN,
                    detail=suite.name,
                    message=f"GitLab could not read this report: {suite.suite_error}",
                )
            )
        tests += [_case(each, suite.name) for each in parse_items(suite.test_cases or [], wire.Case.of)]
    order = {Outcome.FAILED: 0, Outcome.UNKNOWN: 1}
    return tuple(sorted(tests, key=lambda each: order.get(each.outcome, 2)))


OUTCOMES: Final[Mapping[str, Outcome]] = MappingProxyType(
    {
        "success": Outcome.PASSED,
        "failed": Outcome.FAILED,
        "error": Outcome.FAILED,
        "skipped": Outcome.SKIPPED,
    }
)


def _case(raw: wire.Case, suite: str | None) -> TestCase:
    outcome = OUTCOMES.get(raw.status or "", Outcome.UNKNOWN)
    printed = printed_text(raw.system_output) or raw.stack_trace
    return TestCase(
        name=raw.name or "unnamed test",
        outcome=outcome,
        class_name=raw.classname,
        detail=suite,
        seconds=raw.execution_time,
        message=None if outcome is Outcome.PASSED else printed,
        file=raw.file,
    )


def printed_text(output: object) -> str | None:
    """Return what a test printed: GitLab gives a text, an object with a message, or a list of either."""
    match output:
        case str():
            return output.strip() or None
        case dict():
            parts = [printed_text(value) for value in (output.get("message"), output.get("type")) if value is not None]
            return ": ".join(part for part in reversed(parts) if part) or None
        case list():
            return "\n".join(part for each in output if (part := printed_text(each))) or None
        case _:
            return None


def test_counts(payload: object) -> IssueCounts:
    """Return the counts of a test summary. An unreadable or empty report says nothing; both stay unknown."""
    raw = wire.Summary.of(payload)
    suites = parse_items(raw.test_suites or [], wire.Suite.of)
    broken = bool(raw.total.suite_error) or any(suite.suite_error for suite in suites)
    if broken or not raw.total.count or raw.total.failed is None:
        return IssueCounts()
    return IssueCounts(test_failures=raw.total.failed + (raw.total.error or 0), tests_total=raw.total.count)


def with_commit(build: Build, commit: wire.Commit) -> Build:
    """Return a build with its commit's message and author."""
    return replace(build, message=commit.message or commit.title, author=author(commit))


def source_branch(merge_request: wire.MergeRequest) -> str | None:
    """Return the source branch of a merge request within one project; a fork's is none of ours."""
    source, target = merge_request.source_project_id, merge_request.target_project_id
    return merge_request.source_branch if source is not None and source == target else None


def with_merge_request(build: Build, merge_request: wire.MergeRequest) -> Build:
    """Return a merge request's build with the branches of it.

    A fork's `main` is not ours: its branch stays unknown, the number of the merge request says enough.
    """
    source, target = merge_request.source_project_id, merge_request.target_project_id
    return replace(
        build,
        branch=source_branch(merge_request),
        target_branch=merge_request.target_branch,
        from_fork=None if source is None or target is None else source != target,
    )


def with_failed_jobs(build: Build, jobs: Iterable[Job]) -> Build:
    """Return a failed build with its counts, and as timed out where every job that failed for good ran out of time."""
    jobs = tuple(jobs)
    errors, warnings = failures(jobs)
    if errors:
        build = replace(build, issues=replace(build.issues, errors=errors, warnings=warnings))
    return replace(build, conclusion=Conclusion.TIMEOUT) if timed_out(jobs) else build


def job_issue(job: Job) -> Issue:
    """Return a failed job as an issue: one that may fail is a warning."""
    return Issue(
        kind=IssueKind.WARNING if job.tolerated else IssueKind.ERROR,
        message=(job.reason or "failed").replace("_", " "),
        job=job.name,
        url=job.web_url,
    )


def is_red(job: Job) -> bool:
    """Return whether a job failed or ran out of time."""
    return job.conclusion in {Conclusion.FAILED, Conclusion.TIMEOUT}


def file_issue(raw: wire.PipelineRun) -> Issue:
    """Return the fault of a pipeline's file as an issue."""
    return Issue(kind=IssueKind.ERROR, message=raw.yaml_errors or "", file=".gitlab-ci.yml", url=raw.web_url)


def test_issue(test: TestCase) -> Issue:
    """Return a failed test as an issue."""
    return Issue(
        kind=IssueKind.TEST_FAILURE,
        message=f"{test.name}: {test.message}" if test.message else test.name,
        job=test.detail,
        file=test.file,
    )


def approval(raw: wire.JobRun, deployment: wire.Deployment | None, *, build: str, pipeline: str) -> Approval:
    """Return a manual job as an approval, or the deployment that waits for one. Only a deployment can be rejected."""
    place = deployment.environment.name if deployment and deployment.environment else None
    return Approval(
        id=f"deployment/{deployment.id}" if deployment else f"job/{raw.id}",
        build=build,
        pipeline=pipeline,
        name=raw.name or str(raw.id),
        can_reject=deployment is not None,
        instructions=f"Deployment to {place}" if place else None,
        url=raw.web_url,
    )


# API v3


def old_scope(states: frozenset[str]) -> dict[str, str | list[str]]:
    """Return the `scope` that holds all builds in `states`, one word or several; none where v3 cannot narrow so far."""
    words = sorted({OLD_SCOPES[state] for state in states}) if states <= OLD_SCOPES.keys() else []
    return {"scope": words[0]} if len(words) == 1 else {"scope[]": words} if words else {}


def old_build(raw: wire.OldBuild, *, connection: str, project: Pipeline) -> Build:
    """Return a build of API v3 as ours. `details` holds its stage, coverage, runner and the commit's time."""
    word = (raw.status or "").lower()
    status, conclusion = state_from(word, STATES, finished=raw.finished_at is not None)
    login = (raw.user.username or raw.user.name) if raw.user else None
    return Build(
        connection=connection,
        pipeline=project.id,
        id=str(raw.id),
        number=raw.id,
        name=raw.name,
        repo=project.path or None,
        branch=None if raw.tag else raw.ref,
        tag=raw.ref if raw.tag else None,
        commit=raw.commit.id if raw.commit else None,
        message=(raw.commit.message or raw.commit.title) if raw.commit else None,
        author=author(raw.commit) if raw.commit else None,
        status=status,
        conclusion=conclusion,
        raw_state=word or None,
        waiting=word == "manual",
        triggered_by=login,
        triggered_by_type=starter(None, login),
        created_at=parse_time(raw.created_at),
        started_at=parse_time(raw.started_at),
        completed_at=parse_time(raw.finished_at) if status is Status.COMPLETED else None,
        web_url=old_page(raw, project),
        details=old_details(raw),
        job=raw.name,
    )


def old_job(raw: wire.OldBuild, *, project: Pipeline) -> Job:
    """Return a build of API v3 as its own only job."""
    seen = wire.JobRun(
        id=raw.id,
        status=raw.status,
        name=raw.name,
        stage=raw.stage,
        created_at=raw.created_at,
        started_at=raw.started_at,
        finished_at=raw.finished_at,
        erased_at=raw.erased_at,
        coverage=raw.coverage,
        runner=raw.runner,
        web_url=old_page(raw, project),
    )
    return job(seen, build_id=str(raw.id), pipeline=project.id)


def old_files(raw: wire.OldBuild, *, project: Pipeline) -> list[Artifact]:
    """Return the one archive a build of API v3 may have left."""
    file = raw.artifacts_file
    if file is None or not file.filename:
        return []
    archive = wire.JobFile(file_type="archive", filename=file.filename, size=file.size)
    seen = wire.JobRun(id=raw.id, name=raw.name, artifacts=[archive], web_url=old_page(raw, project))
    return files(seen, build_id=str(raw.id), pipeline=project.id)


def old_page(raw: wire.OldBuild, project: Pipeline) -> str | None:
    """Return the address of the page of a build of API v3."""
    return web_page(project.web_url, "builds", raw.id) if project.web_url else None
