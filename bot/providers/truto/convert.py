"""Wire objects as the bot's models: pure. `remote_data` fills what the unified model leaves out."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from bot.core.models import (
    Artifact,
    Build,
    Conclusion,
    Issue,
    IssueCounts,
    IssueKind,
    Job,
    Person,
    Pipeline,
    Starter,
    Status,
    Trigger,
)
from bot.core.text import folded
from bot.providers.base.convert import StateMap, noreply_login, repository, state_from
from bot.providers.base.times import parse_time
from bot.providers.base.words import (
    AZURE_RECORD_STATES,
    AZURE_STATES,
    AZURE_TRIGGERS,
    BITBUCKET_STATES,
    BITBUCKET_STEP_STATES,
    BITBUCKET_TRIGGERS,
    CIRCLECI_JOB_STATES,
    CIRCLECI_STATES,
    CIRCLECI_TRIGGERS,
    GITHUB_STATES,
    GITHUB_TRIGGERS,
    JENKINS_STATES,
    JENKINS_TRIGGERS,
    TRAVIS_STATES,
    TRAVIS_TRIGGERS,
)
from bot.providers.truto import wire
from bot.providers.truto.options import Integration
from bot.providers.truto.urls import Place, build_page
from bot.providers.truto.wire import REMOTE, Remote

WORST_FIRST = (Conclusion.FAILED, Conclusion.TIMEOUT, Conclusion.CANCELLED, Conclusion.PARTIAL, Conclusion.PASSED)
_REF = re.compile(r"^refs/(heads|tags|pull)/(.+)$")
_PULL_BRANCH = re.compile(r"pull/(\d{1,12})(?:/(?:head|merge))?")
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


_UNIFIED: StateMap = {
    "queued": (Status.QUEUED, None),
    "in_progress": (Status.IN_PROGRESS, None),
    "completed": (Status.COMPLETED, None),
    "passed": (Status.COMPLETED, Conclusion.PASSED),
    "failed": (Status.COMPLETED, Conclusion.FAILED),
    "cancelled": (Status.COMPLETED, Conclusion.CANCELLED),
    "timeout": (Status.COMPLETED, Conclusion.TIMEOUT),
    "skipped": (Status.COMPLETED, Conclusion.SKIPPED),
    "retried": (Status.COMPLETED, Conclusion.RETRIED),
    "partial": (Status.COMPLETED, Conclusion.PARTIAL),
}
STATES: StateMap = {
    **AZURE_RECORD_STATES,
    **AZURE_STATES,
    **BITBUCKET_STEP_STATES,
    **BITBUCKET_STATES,
    **CIRCLECI_JOB_STATES,
    **CIRCLECI_STATES,
    **GITHUB_STATES,
    **JENKINS_STATES,
    **TRAVIS_STATES,
    **_UNIFIED,
}
"""Words that several systems share mean the same in all of them."""

WAITING = frozenset({"waiting", "action_required", "on_hold", "paused", "halted"})
"""The words that say that a person has to act (lower case)."""
IDS_OF_ALL_PIPELINES = frozenset({Integration.AZURE, Integration.CIRCLECI, Integration.TRAVIS})
"""The systems whose ids name builds of all pipelines; at the others the routes hold the pipeline."""
SET_UP = "created"
"""CircleCI's word for a pipeline that was set up, whatever became of its workflows since."""

TRIGGERS: Mapping[str, Trigger] = {
    **{trigger.value: trigger for trigger in Trigger},
    **{
        word.lower(): trigger
        for words in (
            AZURE_TRIGGERS,
            BITBUCKET_TRIGGERS,
            CIRCLECI_TRIGGERS,
            GITHUB_TRIGGERS,
            JENKINS_TRIGGERS,
            TRAVIS_TRIGGERS,
        )
        for word, trigger in words.items()
    },
    # names that only Truto gives
    "workflow_dispatch": Trigger.WEB,
    "pipeline_trigger_schedule": Trigger.CRON,
    "pipeline_trigger_push": Trigger.PUSH,
    "pipeline_trigger_manual": Trigger.WEB,
    "webhook": Trigger.PUSH,
}
"""What made a build start, by the last part of the word in lower case."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How something stands."""

    status: Status
    conclusion: Conclusion | None
    raw: str | None
    waiting: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """What a build was made of, by the fields of `Build`."""

    branch: str | None = None
    tag: str | None = None
    pull_request: str | None = None
    target_branch: str | None = None
    from_fork: bool | None = None


def build(raw: wire.BuildWire, place: Place) -> Build:
    """Return a build of the place's pipeline; `check_place` says whether it is of another."""
    remote = Remote(place.integration, raw.remote_data)
    stands = standing(raw, remote)
    why = trigger(raw.trigger or remote.text("trigger"))
    source = source_of(raw, remote, why)
    number, workflow = number_of(raw, remote), workflow_of(raw, remote)
    author, email = remote.text("author"), remote.text("email")
    starter_name = raw.triggered_by or remote.text("triggered_by")
    return Build(
        connection=place.connection,
        pipeline=place.pipeline,
        id=str(raw.id),
        number=number,
        label=label_of(raw, remote),
        attempt=raw.attempts,
        name=raw.name or remote.text("name"),
        workflow=workflow,
        repo=raw.repo or remote.text("repo"),
        branch=source.branch,
        tag=source.tag,
        pull_request=source.pull_request,
        target_branch=source.target_branch,
        from_fork=source.from_fork,
        commit=raw.commit or remote.text("commit"),
        head_commit=_head_commit(raw, remote, source),
        message=remote.text("message"),
        author=Person(name=author, email=email, login=noreply_login(email)) if author or email else None,
        status=stands.status,
        conclusion=stands.conclusion,
        raw_state=stands.raw,
        waiting=stands.waiting,
        trigger=why,
        triggered_by=starter_name,
        triggered_by_type=starter(raw.triggered_by_type, starter_name),
        created_at=parse_time(raw.created_at) or remote.when("created_at"),
        started_at=parse_time(raw.started_at) or remote.when("started_at"),
        completed_at=_end(raw, remote, stands),
        updated_at=parse_time(raw.updated_at) or remote.when("updated_at"),
        web_url=remote.link(*REMOTE[place.integration].get("web_url", ()))
        or build_page(place, str(raw.id), number, remote.text("repo")),
        details=build_details(raw, why, workflow),
    )


def build_details(raw: wire.BuildWire, why: Trigger, workflow: str | None) -> dict[str, str]:
    """Return what Truto says of a build beyond our fields: the system's own ids, a trigger of its own.

    `workflow` is what the build calls its workflow.
    """
    details = {
        "id at the CI system": str(raw.build) if raw.build is not None and str(raw.build) != str(raw.id) else None,
        "id of the workflow": raw.workflow if raw.workflow != workflow else None,
        "trigger": raw.trigger if why is Trigger.UNKNOWN else None,
        "started by a": raw.triggered_by_type if raw.triggered_by_type not in {"user", "bot"} else None,
    }
    return {name: text for name, text in details.items() if text}


def workflow_of(raw: wire.BuildWire, remote: Remote) -> str | None:
    """Return the workflow that ran, which distinguishes builds of a repository: by its name, a bare id only for want of it."""
    workflow = remote.text("workflow") or raw.workflow
    return (raw.name or remote.text("name") or workflow) if workflow and workflow.isdecimal() else workflow


def _end(raw: wire.BuildWire, remote: Remote, stands: Standing) -> datetime | None:
    if stands.status is not Status.COMPLETED:
        return None
    return parse_time(raw.completed_at) or remote.when("completed_at")


def owner_of(raw: wire.BuildWire, place: Place) -> str | None:
    """Return the pipeline that the system says a build is of, where it is another than the place's; else None.

    Asked only of the systems whose ids name builds of all pipelines: CircleCI, Travis CI, and Azure DevOps, whose
    repositories share their project's ids. The others' routes hold the pipeline.
    """
    remote = Remote(place.integration, raw.remote_data)
    match place.integration:
        case Integration.CIRCLECI:
            names = [remote.at("project_slug")]
        case Integration.TRAVIS:
            names = [remote.at("repository.slug"), remote.at("repository.id")]
        case Integration.AZURE if not place.is_whole_workspace:
            names = [remote.at("repository.name"), remote.at("repository.id")]
        case _:
            return None
    own = [str(name) for name in names if isinstance(name, str | int) and name != ""]
    comparable = [name for name in own if _name_kind(name) == _name_kind(place.pipeline)]
    return own[0] if comparable and folded(place.pipeline) not in map(folded, comparable) else None


def _name_kind(name: str) -> str:
    """Return what kind of name a repository's is; names of two kinds can't be compared."""
    return "number" if name.isdecimal() else "uuid" if _UUID.fullmatch(name) else "name"


def standing(raw: wire.BuildWire | wire.JobWire, remote: Remote) -> Standing:
    """Return how a build or a job stands: its conclusion says, unless its status says that it is still open."""
    ended = raw.conclusion or remote.text("conclusion")
    state = raw.status or remote.text("status")
    if remote.integration is Integration.JENKINS and remote.at("building") is True:
        ended, state = None, "in_progress"  # freestyle builds have a result before they end
    if ended in {"none", "None"}:
        ended = None
    progress = state_from(state, STATES)[0] if state else None
    is_set_up = remote.integration is Integration.CIRCLECI and state == SET_UP
    # an unknown status beside a conclusion says nothing against it
    if ended and (progress in {None, Status.COMPLETED} or is_set_up or state not in STATES):
        word: str | None = ended
        status, conclusion = state_from(ended, STATES, finished=True)
    else:
        word = state
        status, conclusion = state_from(state, STATES, finished=bool(raw.completed_at))
    if is_set_up and not ended:
        status = Status.IN_PROGRESS
    waits = {(word or "").lower(), (remote.text("stage") or "").lower()} & WAITING
    return Standing(
        status=status, conclusion=conclusion, raw=word, waiting=bool(waits) and status is not Status.COMPLETED
    )


def source_of(raw: wire.BuildWire, remote: Remote, why: Trigger) -> Source:
    """Return what was built, from the system's own fields.

    A pull request's build is no branch's: where its number is not reported it has no branch either.
    """
    match remote.integration:
        case Integration.AZURE:
            source = _azure_source(raw.branch or remote.text("branch"), remote.at("triggerInfo"))
        case Integration.BITBUCKET:
            source = _bitbucket_source(raw, remote)
        case Integration.CIRCLECI:
            source = _circleci_source(raw, remote)
        case Integration.GITHUB:
            source = _github_source(raw, remote)
        case Integration.TRAVIS:
            source = _travis_source(raw, remote)
        case _:
            source = Source(branch=raw.branch)
    if why is Trigger.MERGE_REQUEST and source.pull_request is None:
        return replace(source, branch=None, tag=None)
    return source


def _head_commit(raw: wire.BuildWire, remote: Remote, source: Source) -> str | None:
    """Return the newest commit of the pull request that was built, of systems that report it."""
    if source.pull_request is None:
        return None
    if remote.integration is Integration.AZURE:
        about = remote.at("triggerInfo")
        head = about.get("pr.sourceSha") if isinstance(about, dict) else None
        return head if isinstance(head, str) else None
    is_reported = remote.integration in {Integration.BITBUCKET, Integration.GITHUB}
    return (raw.commit or remote.text("commit")) if is_reported else None


def _azure_source(ref: str | None, about: object) -> Source:
    match = _REF.match(ref or "")
    if match is None:
        return Source(branch=ref)
    if match[1] != "pull":
        return Source(branch=match[2]) if match[1] == "heads" else Source(tag=match[2])
    texts = {name: value for name, value in about.items() if isinstance(value, str)} if isinstance(about, dict) else {}
    return Source(
        branch=texts.get("pr.sourceBranch", "").removeprefix("refs/heads/") or None,
        pull_request=match[2].partition("/")[0],
        target_branch=texts.get("pr.targetBranch", "").removeprefix("refs/heads/") or None,
        from_fork={"true": True, "false": False}.get(texts.get("pr.isFork", "").lower()),
    )


def _bitbucket_source(raw: wire.BuildWire, remote: Remote) -> Source:
    if remote.at("target.ref_type") in ("tag", "annotated_tag"):  # may be unhashable
        return Source(tag=remote.text("tag"))
    branch = raw.branch or remote.text("branch")
    number = remote.text("pull_request")
    if number is None:
        return Source(branch=branch)
    return Source(branch=branch, pull_request=number, target_branch=remote.text("target_branch"))


def _circleci_source(raw: wire.BuildWire, remote: Remote) -> Source:
    branch, tag = raw.branch or remote.text("branch"), remote.text("tag")
    origin, target = remote.at("vcs.origin_repository_url"), remote.at("vcs.target_repository_url")
    is_fork = origin != target if isinstance(origin, str) and isinstance(target, str) else None
    of_fork = _PULL_BRANCH.fullmatch(branch or "")
    if of_fork:
        return Source(pull_request=of_fork[1], from_fork=True)
    if tag:
        return Source(tag=tag)
    return Source(branch=branch, pull_request=remote.text("pull_request"), from_fork=is_fork or None)


def _github_source(raw: wire.BuildWire, remote: Remote) -> Source:
    branch = raw.branch or remote.text("branch")
    event = raw.trigger or remote.text("trigger")
    own, head = remote.at("repository.full_name"), remote.at("head_repository.full_name")
    from_fork = own != head if isinstance(own, str) and isinstance(head, str) else None
    full_ref = _REF.match(branch or "")
    if full_ref and full_ref[1] == "pull":
        return Source(pull_request=full_ref[2].partition("/")[0], from_fork=from_fork)
    if full_ref and full_ref[1] == "tags":
        return Source(tag=full_ref[2])
    branch = full_ref[2] if full_ref else branch
    if trigger(event) is not Trigger.MERGE_REQUEST or event == "merge_group":
        return Source(branch=branch, from_fork=from_fork if event != "push" and from_fork else None)
    listed = remote.at("pull_requests")
    first = listed[0] if isinstance(listed, list) and listed else None
    number = first.get("number") if isinstance(first, dict) else None
    base = first.get("base") if isinstance(first, dict) else None
    target = base.get("ref") if isinstance(base, dict) else None
    return Source(
        branch=branch,
        pull_request=str(number) if isinstance(number, int) else None,
        target_branch=target if isinstance(target, str) else None,
        from_fork=from_fork,
    )


def _travis_source(raw: wire.BuildWire, remote: Remote) -> Source:
    branch, tag, number = raw.branch or remote.text("branch"), remote.text("tag"), remote.text("pull_request")
    if number is not None or remote.at("event_type") == "pull_request":
        return Source(pull_request=number, target_branch=branch)
    return Source(tag=tag) if tag else Source(branch=branch)


def label_of(raw: wire.BuildWire, remote: Remote) -> str | None:
    """Return the text that people call a build by, where that is no number: Azure DevOps' `20260815.3`."""
    if remote.integration is not Integration.AZURE:
        return None
    told = remote.at("buildNumber")
    label = told if isinstance(told, str) else raw.number if isinstance(raw.number, str) else raw.name
    return label if isinstance(label, str) and label and not label.isdecimal() else None


def number_of(raw: wire.BuildWire, remote: Remote) -> int | None:
    """Return the build's number, None where it is none: it is never made up."""
    for number in (raw.number, remote.text("number")):
        if isinstance(number, int) and number >= 0:
            return number
        if isinstance(number, str) and number.isascii() and number.isdecimal() and len(number) < 19:
            return int(number)
    return None


def trigger(word: str | None) -> Trigger:
    """Return what made a build start, from Truto's word or the system's own (`hudson.model.Cause$UserIdCause`)."""
    last = re.split(r"[.$]", (word or "").strip())[-1].lower()
    return TRIGGERS.get(last, Trigger.UNKNOWN)


def starter(kind: str | None, name: str | None) -> Starter | None:
    """Return whether a person or a machine started a build."""
    match (kind or "").lower():
        case "bot" | "app_user":
            return Starter.BOT
        case "user":
            return Starter.BOT if name and name.endswith("[bot]") else Starter.USER
        case _:
            return None


def job(raw: wire.JobWire, place: Place, build: str) -> Job:
    """Return a job as ours."""
    remote = Remote(place.integration, raw.remote_data)
    stands = standing(raw, remote)
    return Job(
        id=str(raw.id),
        build=build,
        pipeline=place.pipeline,
        name=raw.name or "a job without a name",
        stage=_string(remote.at("stage.name")),
        status=stands.status,
        conclusion=stands.conclusion,
        raw_state=stands.raw,
        tolerated=remote.at("allow_failure") is True,
        retried=stands.conclusion is Conclusion.RETRIED,
        created_at=parse_time(raw.created_at),
        started_at=parse_time(raw.started_at),
        completed_at=parse_time(raw.completed_at) if stands.status is Status.COMPLETED else None,
        web_url=remote.link("html_url", "web_url"),
    )


def build_of_job(raw: wire.JobWire) -> str | None:
    """Return the id of the build that a job of GitHub names, None where it names none."""
    build = raw.build if raw.build is not None else Remote(Integration.GITHUB, raw.remote_data).at("run_id")
    return str(build) if isinstance(build, str | int) and build != "" else None


def _string(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def issue(job: Job) -> Issue:
    """Return a failed job as an issue: a tolerated failure is a warning."""
    words = "timed out" if job.conclusion is Conclusion.TIMEOUT else "failed"
    kind = IssueKind.WARNING if job.tolerated else IssueKind.ERROR
    return Issue(kind=kind, message=f"{job.name}: {words}", job=job.name, url=job.web_url)


def issues(jobs: Iterable[Job]) -> tuple[Issue, ...]:
    """Return failed jobs as issues, errors first."""
    failed = [issue(job) for job in jobs if has_failed(job)]
    return tuple(sorted(failed, key=lambda each: each.kind is not IssueKind.ERROR))


def counts(jobs: Iterable[Job], *, tells_tolerated: bool) -> IssueCounts:
    """Return issue counts: errors are failed jobs, warnings those allowed to fail, where the system reports these.

    Without jobs nothing is known.
    """
    all_jobs = list(jobs)
    if not all_jobs:
        return IssueCounts()
    failed = [job for job in all_jobs if has_failed(job)]
    tolerated = sum(job.tolerated for job in failed)
    return IssueCounts(errors=len(failed) - tolerated, warnings=tolerated if tells_tolerated else None)


def has_failed(job: Job) -> bool:
    """Return whether a job failed for good."""
    return job.conclusion in {Conclusion.FAILED, Conclusion.TIMEOUT} and not job.retried


def from_jobs(build: Build, jobs: Iterable[Job]) -> Build:
    """Return a build that stands as its jobs do, for the system whose builds report only that they were set up."""
    current = [job for job in jobs if not job.retried]
    if not current:
        return build
    waiting = any((job.raw_state or "").lower() in WAITING for job in current)
    if any(job.status is not Status.COMPLETED for job in current):
        started = any(job.status is not Status.QUEUED for job in current)
        return replace(build, status=Status.IN_PROGRESS if started else Status.QUEUED, waiting=waiting)
    ends = {job.conclusion for job in current}
    conclusion = next((end for end in WORST_FIRST if end in ends), Conclusion.SKIPPED if None not in ends else None)
    ends_at = [job.completed_at for job in current if job.completed_at]
    starts_at = [job.started_at for job in current if job.started_at]
    return replace(
        build,
        status=Status.COMPLETED,
        conclusion=conclusion,
        raw_state=conclusion.value if conclusion else build.raw_state,
        started_at=build.started_at or min(starts_at, default=None),
        completed_at=build.completed_at or max(ends_at, default=None),
    )


def artifact(raw: wire.ArtifactWire, place: Place, build: str) -> Artifact:
    """Return an artifact as ours. GitHub's address is for programs only."""
    is_for_people = place.integration is not Integration.GITHUB
    url = raw.download_url if is_for_people and (raw.download_url or "").startswith("https://") else None
    return Artifact(
        id=str(raw.id),
        build=build,
        pipeline=place.pipeline,
        name=raw.name or str(raw.id),
        size_bytes=raw.size_in_bytes,
        url=url,
    )


def pipeline(raw: wire.NamedWire, integration: Integration, group: str) -> Pipeline | None:
    """Return a repository or a job as a pipeline; None where it has neither id nor name."""
    # GitHub's calls take the name, the others the id
    name = raw.name or raw.id if integration is Integration.GITHUB else raw.id or raw.name
    if name is None or name == "":
        return None
    key = str(name)
    remote = Remote(integration, raw.remote_data)
    return Pipeline(
        id=key,
        path=key if "/" in key or integration is Integration.JENKINS else raw.name or key,
        name=raw.name or key,
        group=group or None,
        default_branch=(raw.default_branch or "").removeprefix("refs/heads/") or None,
        repository=repository(raw.vcs_url),
        web_url=remote.link("html_url", "_links.web.href", "webUrl", "links.html.href", "url"),
        enabled=raw.status != "inactive",
    )


def circleci_number(raw: wire.JobWire) -> int | None:
    """Return the number by which CircleCI's artifacts are asked for."""
    number = Remote(Integration.CIRCLECI, raw.remote_data).at("job_number")
    return number if isinstance(number, int) and not isinstance(number, bool) else None


def may_run_again(job: Job) -> bool:
    """Return whether Travis CI's failed-only retry means this job."""
    return job.conclusion in {Conclusion.FAILED, Conclusion.TIMEOUT, Conclusion.CANCELLED}
