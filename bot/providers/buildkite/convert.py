"""Buildkite's states, and its objects as the bot's models. Pure."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import parseaddr

from bot.core.errors import UnexpectedResponse
from bot.core.models import (
    Account,
    Approval,
    Artifact,
    Build,
    BuildFilter,
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
from bot.core.text import step_name
from bot.http.client import Query
from bot.providers.base.convert import StateMap, repository, state_from
from bot.providers.base.scopes import compare_scopes
from bot.providers.base.start_message import commit_message
from bot.providers.base.times import latest, parse_time
from bot.providers.base.urls import is_uuid
from bot.providers.buildkite import wire
from bot.providers.buildkite.details import build_details, job_details
from bot.providers.buildkite.options import SCOPES
from bot.providers.buildkite.urls import place_of

LIST_FILTERS = frozenset(FilterField) - {FilterField.BY, FilterField.FINISHED_UNTIL}
"""By what Buildkite narrows its lists of builds."""
STATES: StateMap = {
    "creating": (Status.QUEUED, None),
    "scheduled": (Status.QUEUED, None),
    "running": (Status.IN_PROGRESS, None),
    "failing": (Status.IN_PROGRESS, None),
    "paused": (Status.IN_PROGRESS, None),
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
EXPIRY_WARNING = timedelta(days=14)
CANCELLABLE = frozenset({"scheduled", "running", "failing"})
"""The build states in which Buildkite takes a cancel; others are answered with 422."""
GONE = frozenset({"deleted", "expired", "error"})
"""The states of artifacts that can't be downloaded."""
LISTED_STATES = STATES.keys() - {"waiting", "waiting_failed", "paused"}
"""What the build list's `state[]` accepts."""
TRIGGERS: Mapping[str, Trigger] = {
    "webhook": Trigger.PUSH,
    "api": Trigger.API,
    "trigger_job": Trigger.API,
    "ui": Trigger.WEB,
    "schedule": Trigger.CRON,
}


_FORK_BRANCH = re.compile(r"^([A-Za-z0-9][A-Za-z0-9-]{0,38}):(.+)$")


def account(token: wire.Token, organization: str, now: datetime) -> Account:
    """Return whose token it is, which scopes it lacks and whether it ends within two weeks."""
    scopes = compare_scopes(SCOPES, token.scopes)
    warnings = []
    ends = parse_time(token.expires_at)
    if ends is not None and ends - now < EXPIRY_WARNING:
        warnings.append(f"The token ends on {ends:%Y-%m-%d}.")
    return Account(
        name=(token.user.name or token.user.email if token.user else None) or "a token",
        detail=organization,
        granted=scopes.granted,
        missing=scopes.missing,
        without=scopes.without,
        warnings=tuple(warnings),
        expires_at=ends,
    )


def pipeline(raw: wire.PipelineWire) -> Pipeline:
    """Return a pipeline as ours; its slug is its id."""
    return Pipeline(
        id=raw.slug,
        path=raw.slug,
        name=raw.name or raw.slug,
        default_branch=raw.default_branch or None,
        repository=repository(raw.repository),
        web_url=raw.web_url,
        enabled=raw.archived_at is None,
    )


def build(raw: wire.BuildWire, connection: str, repositories: Mapping[str, str]) -> Build:
    """Return a build as ours, in the pipeline that its own address or its pipeline object names.

    `repositories` are the known repositories of pipelines by their slugs; they distinguish forks.

    A blocked build does not say so in its state: `blocked` stands beside the state it had before, often `passed`.
    Then it is in progress and waits for a person; one that failed already stays failed and waits, too.
    """
    status, conclusion = state_from(raw.state, STATES, finished=bool(raw.finished_at))
    waiting = raw.state == "blocked" or bool(raw.blocked)
    if waiting and conclusion in {Conclusion.CANCELLED, Conclusion.SKIPPED}:
        waiting = False
    elif waiting and conclusion is not Conclusion.FAILED:
        status, conclusion = Status.IN_PROGRESS, None
    states = raw.job_state_counts.states if raw.job_state_counts else None
    if conclusion is Conclusion.FAILED and states and only_timed_out(states):
        conclusion = Conclusion.TIMEOUT
    finished = parse_time(raw.finished_at)
    pull_request = pull_request_of(raw)
    tag = raw.tag or None
    slug = pipeline_of(raw)
    repo = (repository(raw.pipeline.repository) if raw.pipeline else None) or repositories.get(slug)
    return Build(
        connection=connection,
        pipeline=slug,
        id=str(raw.number),
        number=raw.number,
        name=raw.pipeline.name if raw.pipeline else None,
        repo=repo,
        branch=None if tag and raw.branch in {tag, None, ""} else raw.branch or None,
        tag=tag,
        pull_request=pull_request,
        target_branch=(raw.pull_request.base or None) if pull_request and raw.pull_request else None,
        from_fork=is_fork(raw, repo) if pull_request else None,
        commit=raw.commit if raw.commit != "HEAD" else None,
        head_commit=raw.commit if raw.commit != "HEAD" and pull_request else None,
        message=commit_message(raw.message),
        author=author(raw),
        status=status,
        conclusion=conclusion,
        raw_state=raw.state,
        waiting=waiting,
        trigger=trigger(raw),
        triggered_by=(raw.creator.name or raw.creator.email) if raw.creator else None,
        triggered_by_type=starter(raw),
        created_at=parse_time(raw.created_at),
        started_at=parse_time(raw.started_at),
        completed_at=finished if status is Status.COMPLETED else None,
        updated_at=latest(*map(parse_time, (raw.created_at, raw.started_at, raw.failing_at, raw.finished_at))),
        web_url=raw.web_url,
        reason=raw.cancel_reason if conclusion is Conclusion.CANCELLED else None,
        jobs=job_words(states) if states is not None else None,
        details=build_details(raw),
        rebuilt_from=str(raw.rebuilt_from.number) if raw.rebuilt_from and raw.rebuilt_from.number else None,
    )


def with_organization(build: Build, raw: wire.BuildWire, own: str) -> Build:
    """Return a build of another organization with that one's name before its pipeline's slug; an own one as it is.

    The connection lists such builds, but reaches none of them: its routes are those of its own organization.
    """
    place = place_of(raw.url)
    if place is None or place.organization.casefold() == own.casefold():
        return build
    return replace(build, pipeline=f"{place.organization}/{build.pipeline}")


def pipeline_of(raw: wire.BuildWire) -> str:
    """Return the slug of the pipeline a build belongs to. Raises UnexpectedResponse where it names none."""
    place = place_of(raw.url)
    slug = (raw.pipeline.slug if raw.pipeline else None) or (place.pipeline if place else None)
    if slug is None:
        raise UnexpectedResponse("Buildkite sent a build that names no pipeline.", provider="Buildkite")
    return slug


def pull_request_of(raw: wire.BuildWire) -> str | None:
    """Return the number of the pull request a build is for; the object is empty where there is none."""
    number = raw.pull_request.id if raw.pull_request else None
    return str(number) if number and str(number).lower() != "false" else None


def is_fork(raw: wire.BuildWire, home: str | None) -> bool | None:
    """Return whether a pull request comes from a fork, None where neither its branch nor its repository says.

    `home` is the pipeline's own repository, where known. Buildkite writes a fork's branch as `owner:branch` where the
    pipeline is set so.
    """
    theirs = repository(raw.pull_request.repository) if raw.pull_request else None
    if theirs and home:
        return theirs.casefold() != home.casefold()
    match = _FORK_BRANCH.match(raw.branch or "")
    return True if match and theirs and theirs.casefold().startswith(f"{match[1].casefold()}/") else None


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


def author(raw: wire.BuildWire) -> Person | None:
    """Return who wrote the commit: an object, or a bare `Name <address>` in some deliveries."""
    match raw.author:
        case wire.PersonWire(name=name, email=email) if name or email:
            return Person(name=name or None, email=email or None)
        case str(text) if text:
            name, email = parseaddr(text)
            return Person(name=name or text, email=email or None) if "@" in email else Person(name=text)
        case _:
            return None


def trigger(raw: wire.BuildWire) -> Trigger:
    """Return what made the build start."""
    if raw.source == "webhook" and raw.pull_request and raw.pull_request.id:
        return Trigger.MERGE_REQUEST
    return TRIGGERS.get(raw.source or "", Trigger.UNKNOWN)


def starter(raw: wire.BuildWire) -> Starter | None:
    """Return whether a person started the build."""
    if raw.source in {"schedule", "trigger_job"}:
        return Starter.BOT
    return Starter.USER if raw.creator else None


def job(raw: wire.JobWire, pipeline: str, build: str) -> Job:
    """Return a job as ours."""
    status, conclusion = state_from(raw.state, JOB_STATES, finished=bool(raw.finished_at))
    return Job(
        id=raw.id,
        build=build,
        pipeline=pipeline,
        name=job_name(raw),
        key=raw.step_key,
        variant=job_variant(raw),
        stage=raw.group_key,
        status=status,
        conclusion=Conclusion.RETRIED if raw.retried else conclusion,
        raw_state=raw.state,
        tolerated=bool(raw.soft_failed),
        retried=bool(raw.retried),
        replaced_by=raw.retried_in_job_id,
        attempt=raw.retries_count + 1 if raw.retries_count else None,
        reason=job_reason(raw),
        runner=(raw.agent.name or raw.agent.hostname) if raw.agent else None,
        created_at=parse_time(raw.created_at),
        runnable_at=parse_time(raw.runnable_at),
        started_at=parse_time(raw.started_at),
        completed_at=parse_time(raw.finished_at),
        web_url=raw.web_url,
        details=job_details(raw),
    )


def job_variant(raw: wire.JobWire) -> str | None:
    """Return what distinguishes a job from others of its step: its matrix's values, its place in a parallel group."""
    match raw.matrix:
        case Mapping() as axes:
            values = ", ".join(f"{axis}={value}" for axis, value in axes.items())
        case None:
            values = ""
        case value:
            values = str(value)
    of_group = raw.parallel_group_index is not None and raw.parallel_group_total
    place = f"{(raw.parallel_group_index or 0) + 1} of {raw.parallel_group_total}" if of_group else ""
    return ", ".join(part for part in (values, place) if part) or None


def job_name(raw: wire.JobWire) -> str:
    """Return what people call a job; steps without a name are called by their kind."""
    return step_name(raw.name or raw.label or f"{raw.type or 'unnamed'} step")


def job_names(jobs: Iterable[wire.JobWire]) -> Mapping[str, str]:
    """Return what people call jobs, by their UUIDs."""
    return {job.id: job_name(job) for job in jobs}


def job_reason(raw: wire.JobWire) -> str | None:
    """Return why a job ended as it did."""
    if raw.broken_reason or raw.signal_reason:
        return (raw.broken_reason or raw.signal_reason or "").replace("_", " ")
    return f"exit status {raw.exit_status}" if raw.exit_status else None


def ended_badly(raw: wire.JobWire) -> bool:
    """Return whether a job failed for good; `state[]=failed` also brings jobs that failed early and still run."""
    return raw.state in BROKEN and not raw.retried


def job_issue(raw: wire.JobWire, page: str) -> Issue:
    """Return a failed job as an issue: a tolerated failure is a warning."""
    words = {"timed_out": "timed out", "expired": "expired before an agent took it"}
    return Issue(
        kind=IssueKind.WARNING if raw.soft_failed else IssueKind.ERROR,
        message=words.get(raw.state or "") or job_reason(raw) or "failed",
        job=job_name(raw),
        url=raw.web_url or f"{page}#{raw.id}",
    )


def may_have_broken_jobs(raw: wire.BuildWire) -> bool:
    """Return whether a build's own counts of jobs allow for failed ones."""
    states = raw.job_state_counts.states if raw.job_state_counts else None
    return states is None or any(states.get(state) for state in BROKEN)


def counts(jobs: Iterable[wire.JobWire], notes: Iterable[wire.Annotation], *, failed_tests: int | None) -> IssueCounts:
    """Return failed jobs as errors, soft failures and warning annotations as warnings; analyzer warnings are unknown."""
    broken = [job for job in jobs if ended_badly(job)]
    soft = sum(bool(job.soft_failed) for job in broken)
    return IssueCounts(
        errors=len(broken) - soft,
        warnings=soft + sum(note.style == "warning" for note in notes),
        test_failures=failed_tests,
    )


def annotation_issue(note: wire.Annotation, page: str) -> Issue | None:
    """Return an annotation of the styles error and warning as an issue."""
    kind = {"error": IssueKind.ERROR, "warning": IssueKind.WARNING}.get(note.style or "")
    return Issue(kind=kind, message=note.context or "an annotation without a name", url=page) if kind else None


def issues(jobs: Iterable[wire.JobWire], notes: Iterable[wire.Annotation], page: str) -> tuple[Issue, ...]:
    """Return failed jobs and annotations as issues, errors first."""
    listed = [job_issue(job, page) for job in jobs if ended_badly(job)]
    listed += [issue for note in notes if (issue := annotation_issue(note, page)) is not None]
    return tuple(sorted(listed, key=lambda issue: issue.kind is not IssueKind.ERROR))


def approval(raw: wire.JobWire, pipeline: str, build: str, page: str) -> Approval:
    """Return a manual step as an approval. Its fields are not reported; its page shows them."""
    name = raw.label or raw.name or "Blocked step"
    return Approval(id=raw.id, build=build, pipeline=pipeline, name=name, url=raw.web_url or f"{page}#{raw.id}")


def artifact(raw: wire.ArtifactWire, pipeline: str, build: str, job_names: Mapping[str, str]) -> Artifact:
    """Return an artifact as ours; its address needs the token, so it is none for people.

    Its id is `<job's UUID>/<own UUID>`: it is downloaded below its job. `job_names` are names by UUID.
    """
    return Artifact(
        id=f"{raw.job_id}/{raw.id}",
        build=build,
        pipeline=pipeline,
        name=raw.path or raw.filename or raw.id,
        job=job_names.get(raw.job_id or ""),
        size_bytes=raw.file_size,
        kind=raw.mime_type,
    )


def test(raw: wire.BuildTest, reason: str | None) -> TestCase:
    """Return a test as ours: failed if any of its runs in this build failed."""
    by_result = raw.executions_count_by_result or {}
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
        name=raw.name or raw.location or "a test without a name",
        outcome=outcome,
        class_name=raw.scope or None,
        detail=f"failed in {failed} of {runs} runs" if failed and runs > 1 else None,
        seconds=raw.duration_avg,
        message=reason,
        file=raw.location,
    )


LIST_OPTIONS: Mapping[str, str] = {
    "include_retried_jobs": "true to count jobs that a retry replaced, too",
    "exclude_jobs": "false to have the jobs sent with each build",
    "exclude_pipeline": "false to have the pipeline sent with each build",
    "include_paused": "true to list builds that are paused, too",
    "creator": "the UUID of the user who made the build",
    "all_organizations": "true to list the builds of every organization of the token's user",
    "meta_data.": "and a key: only builds whose meta-data hold this value; also `--meta KEY=VALUE`",
}
"""What `list builds` takes beside the filters that every system has."""
META = "meta_data."
ALL_ORGANIZATIONS = "all_organizations"


def list_query(build_filter: BuildFilter, most: int) -> Query:
    """Return a filter as Buildkite's lists take it. Whole commits and users' UUIDs only; the rest is looked for here."""
    commit = (build_filter.commit or "").lower()
    is_whole = len(commit) == 40
    creator = next((part for part in build_filter.by if is_uuid(part)), None)
    by_vendor = LIST_FILTERS - (frozenset() if is_whole else {FilterField.COMMIT})
    is_narrowed = build_filter.fields <= by_vendor | ({FilterField.BY} if creator else frozenset())
    return {
        "per_page": min(max(build_filter.limit, 1), most) if is_narrowed else most,
        "branch": build_filter.branch,
        "commit": commit if is_whole else None,
        "state[]": sorted(raw_states(build_filter.states)),
        "creator": creator,
        "created_from": _iso(build_filter.since),
        "created_to": _iso(build_filter.until),
        "finished_from": _iso(build_filter.finished_since),
        **{
            f"meta_data[{name.removeprefix(META)}]" if name.startswith(META) else name: value
            for name, value in build_filter.options.items()
            if name != ALL_ORGANIZATIONS
        },
    }


def without_creator(build_filter: BuildFilter) -> BuildFilter:
    """Return a filter without the user whom Buildkite looks for by UUID: a build names its creator in words."""
    return replace(build_filter, by=frozenset()) if names_creator(build_filter) else build_filter


def names_creator(build_filter: BuildFilter) -> bool:
    """Return whether a filter names a user of Buildkite by UUID, as the list takes it."""
    return any(is_uuid(part) for part in build_filter.by)


def is_everywhere(build_filter: BuildFilter) -> bool:
    """Return whether the builds of every organization of the token's user are asked for."""
    return build_filter.options.get(ALL_ORGANIZATIONS, "").lower() in {"true", "yes", "1", "on"}


def _iso(at: datetime | None) -> str | None:
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z") if at else None


def raw_states(states: Iterable[str]) -> set[str]:
    """Return the states to ask the list for, so that all builds in `states` are among the answers.

    `states` are our words or Buildkite's own (`canceled`, `scheduled`, `failing`).
    """
    words = set(states)
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
