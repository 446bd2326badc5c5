"""Truto's objects in our words: pure readers. `remote_data` fills what the unified model leaves out."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from urllib.parse import quote

import msgspec

from bot.core.models import (
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
from bot.providers.base.convert import repository, state_from
from bot.providers.base.listing import parse_items
from bot.providers.base.times import parse_time
from bot.providers.truto import wire
from bot.providers.truto.integrations import Integration
from bot.providers.truto.states import REMOTE, SET_UP, STATES, TRIGGERS, WAITING

WORST_FIRST = (Conclusion.FAILED, Conclusion.TIMEOUT, Conclusion.CANCELLED, Conclusion.PARTIAL, Conclusion.PASSED)
_REF = re.compile(r"^refs/(heads|tags|pull)/(.+)$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where an object comes from."""

    connection: str
    integration: Integration
    pipeline: str
    owner: str = ""


@dataclass(frozen=True, slots=True)
class Remote:
    """What the system beneath said, by our names."""

    integration: Integration
    data: object

    def at(self, path: str) -> object:
        """Return a member by its dotted path, None where there is none."""
        here = self.data
        for name in path.split("."):
            here = here.get(name) if isinstance(here, dict) else None
        return here

    def text(self, field: str) -> str | None:
        """Return a field as text."""
        for path in REMOTE[self.integration].get(field, ()):
            found = self.at(path)
            if isinstance(found, int) and not isinstance(found, bool):
                return str(found)
            if isinstance(found, str) and found:
                return found
        return None

    def when(self, field: str) -> datetime | None:
        """Return a field as a time."""
        for path in REMOTE[self.integration].get(field, ()):
            found = self.at(path)
            if isinstance(found, str | int | float) and not isinstance(found, bool) and (at := parse_time(found)):
                return at
        return None

    def link(self, *paths: str) -> str | None:
        """Return the first of the members that is a web address."""
        for path in paths:
            found = self.at(path)
            if isinstance(found, str) and found.startswith(("https://", "http://")):
                return found
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How something stands."""

    status: Status
    conclusion: Conclusion | None
    raw: str | None
    waiting: bool


def build(it: wire.BuildWire, place: Place) -> Build:
    """Return a build as ours."""
    remote = Remote(place.integration, it.remote_data)
    stands = standing(it, remote)
    branch, tag, pull_request = refs(it, remote)
    number = number_of(it, remote)
    author, email = remote.text("author"), remote.text("email")
    by = it.triggered_by or remote.text("triggered_by")
    return Build(
        connection=place.connection,
        pipeline=place.pipeline,
        id=str(it.id),
        number=number,
        attempt=it.attempts,
        name=it.name or remote.text("name"),
        workflow=remote.text("workflow") or it.workflow,
        repo=it.repo or remote.text("repo"),
        branch=branch,
        tag=tag,
        pull_request=pull_request,
        target_branch=remote.text("target_branch"),
        commit=it.commit or remote.text("commit"),
        message=remote.text("message"),
        author=Person(name=author, email=email) if author or email else None,
        status=stands.status,
        conclusion=stands.conclusion,
        raw_state=stands.raw,
        waiting=stands.waiting,
        trigger=trigger(it.trigger or remote.text("trigger")),
        triggered_by=by,
        triggered_by_type=starter(it.triggered_by_type, by),
        created_at=parse_time(it.created_at) or remote.when("created_at"),
        started_at=parse_time(it.started_at) or remote.when("started_at"),
        completed_at=_end(it, remote, stands),
        updated_at=parse_time(it.updated_at) or remote.when("updated_at"),
        web_url=remote.link(*REMOTE[place.integration].get("web_url", ())) or page(place, str(it.id), number, remote),
    )


def _end(it: wire.BuildWire, remote: Remote, stands: Standing) -> datetime | None:
    if stands.status is not Status.COMPLETED:
        return None
    return parse_time(it.completed_at) or remote.when("completed_at")


def standing(it: wire.BuildWire | wire.JobWire, remote: Remote) -> Standing:
    """Return how a build or a job stands: its conclusion says, unless its status says that it is still open."""
    ended = it.conclusion or remote.text("conclusion")
    going = it.status or remote.text("status")
    if remote.integration is Integration.JENKINS and remote.at("building") is True:
        ended, going = None, "in_progress"  # freestyle builds have a result before they end
    if ended in {"none", "None"}:
        ended = None
    so_far = state_from(going, STATES)[0] if going else None
    is_set_up = remote.integration is Integration.CIRCLECI and going == SET_UP
    # an unknown status beside a conclusion says nothing against it
    if ended and (so_far in {None, Status.COMPLETED} or is_set_up or going not in STATES):
        word: str | None = ended
        status, conclusion = state_from(ended, STATES, finished=True)
    else:
        word = going
        status, conclusion = state_from(going, STATES, finished=bool(it.completed_at))
    if is_set_up and not ended:
        status = Status.IN_PROGRESS
    waits = {(word or "").lower(), (remote.text("stage") or "").lower()} & WAITING
    return Standing(
        status=status, conclusion=conclusion, raw=word, waiting=bool(waits) and status is not Status.COMPLETED
    )


def refs(it: wire.BuildWire, remote: Remote) -> tuple[str | None, str | None, str | None]:
    """Return what was built as branch, tag and pull request."""
    tag, pull_request = remote.text("tag"), remote.text("pull_request")
    branch = it.branch or remote.text("branch")
    if remote.integration is Integration.BITBUCKET:
        is_tag = remote.at("target.ref_type") in ("tag", "annotated_tag")  # may be unhashable
        tag = tag if is_tag else None
        branch = None if is_tag else branch
    found = _REF.match(branch or "")
    if found is None:
        return branch, tag, pull_request
    match found[1]:
        case "heads":
            return found[2], tag, pull_request
        case "tags":
            return None, found[2], pull_request
        case _:
            source = remote.at("triggerInfo")
            named = source.get("pr.sourceBranch") if isinstance(source, dict) else None
            head = named.removeprefix("refs/heads/") if isinstance(named, str) else None
            return head, tag, found[2].partition("/")[0]


def number_of(it: wire.BuildWire, remote: Remote) -> int | None:
    """Return the build's number, None where it is none: it is never made up."""
    for told in (it.number, remote.text("number")):
        if isinstance(told, int) and told >= 0:
            return told
        if isinstance(told, str) and told.isdecimal() and len(told) < 19:
            return int(told)
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


def page(place: Place, build: str, number: int | None, remote: Remote) -> str | None:
    """Return a build's page where its address follows from what is known; Truto itself has no such pages."""
    pipeline, owner = quote(place.pipeline), quote(place.owner)
    match place.integration:
        case Integration.GITHUB:
            return f"https://github.com/{owner}/{pipeline}/actions/runs/{quote(build)}"
        case Integration.BITBUCKET if number is not None:
            return f"https://bitbucket.org/{owner}/{pipeline}/pipelines/results/{number}"
        case Integration.CIRCLECI if number is not None:
            return f"https://app.circleci.com/pipelines/{_long_slug(place.pipeline)}/{number}"
        case Integration.TRAVIS if "/" in (slug := remote.text("repo") or place.pipeline):
            return f"https://app.travis-ci.com/github/{quote(slug)}/builds/{quote(build)}"
        case _:
            return None


def _long_slug(slug: str) -> str:
    head, _, rest = slug.partition("/")
    long = {"gh": "github", "bb": "bitbucket"}.get(head, quote(head))
    return f"{long}/{quote(rest)}"


def job(it: wire.JobWire, place: Place, build: str) -> Job:
    """Return a job as ours."""
    remote = Remote(place.integration, it.remote_data)
    stands = standing(it, remote)
    return Job(
        id=str(it.id),
        build=build,
        pipeline=place.pipeline,
        name=it.name or "a job without a name",
        stage=_string(remote.at("stage.name")),
        status=stands.status,
        conclusion=stands.conclusion,
        raw_state=stands.raw,
        tolerated=remote.at("allow_failure") is True,
        retried=stands.conclusion is Conclusion.RETRIED,
        created_at=parse_time(it.created_at),
        started_at=parse_time(it.started_at),
        completed_at=parse_time(it.completed_at) if stands.status is Status.COMPLETED else None,
        web_url=remote.link("html_url", "web_url"),
    )


def _string(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def issue(it: Job) -> Issue:
    """Return a failed job as an issue: a tolerated failure is a warning."""
    said = "timed out" if it.conclusion is Conclusion.TIMEOUT else "failed"
    kind = IssueKind.WARNING if it.tolerated else IssueKind.ERROR
    return Issue(kind=kind, message=f"{it.name}: {said}", job=it.name, url=it.web_url)


def ended_badly(it: Job) -> bool:
    """Return whether a job failed for good."""
    return it.conclusion in {Conclusion.FAILED, Conclusion.TIMEOUT} and not it.retried


def from_jobs(build: Build, jobs: Iterable[Job]) -> Build:
    """Return a build that stands as its jobs do, for the system whose builds tell only that they were set up."""
    current = [job for job in jobs if not job.retried]
    if not current:
        return build
    waiting = any((job.raw_state or "").lower() in WAITING for job in current)
    if any(job.status is not Status.COMPLETED for job in current):
        started = any(job.status is not Status.QUEUED for job in current)
        return replace(build, status=Status.IN_PROGRESS if started else Status.QUEUED, waiting=waiting)
    ends = {job.conclusion for job in current}
    conclusion = next((one for one in WORST_FIRST if one in ends), Conclusion.SKIPPED if None not in ends else None)
    ended = [job.completed_at for job in current if job.completed_at]
    begun = [job.started_at for job in current if job.started_at]
    return replace(
        build,
        status=Status.COMPLETED,
        conclusion=conclusion,
        raw_state=conclusion.value if conclusion else build.raw_state,
        started_at=build.started_at or min(begun, default=None),
        completed_at=build.completed_at or max(ended, default=None),
    )


def artifact(it: wire.ArtifactWire, place: Place, build: str) -> Artifact:
    """Return an artifact as ours. GitHub's address is for programs only."""
    is_for_people = place.integration is not Integration.GITHUB
    url = it.download_url if is_for_people and (it.download_url or "").startswith("https://") else None
    return Artifact(
        id=str(it.id),
        build=build,
        pipeline=place.pipeline,
        name=it.name or str(it.id),
        size_bytes=it.size_in_bytes,
        url=url,
    )


def pipeline(it: wire.NamedWire, integration: Integration, group: str) -> Pipeline | None:
    """Return a repository or a job as a pipeline; None where it has neither id nor name."""
    # GitHub's calls take the name, the others the id
    known = it.name or it.id if integration is Integration.GITHUB else it.id or it.name
    if known is None or known == "":
        return None
    key = str(known)
    remote = Remote(integration, it.remote_data)
    return Pipeline(
        id=key,
        path=key if "/" in key or integration is Integration.JENKINS else it.name or key,
        name=it.name or key,
        group=group or None,
        default_branch=(it.default_branch or "").removeprefix("refs/heads/") or None,
        repository=repository(it.vcs_url),
        web_url=remote.link("html_url", "_links.web.href", "webUrl", "links.html.href", "url"),
        enabled=it.status != "inactive",
    )


def circleci_number(it: wire.JobWire) -> int | None:
    """Return the number by which CircleCI's artifacts are asked for."""
    number = Remote(Integration.CIRCLECI, it.remote_data).at("job_number")
    return number if isinstance(number, int) and not isinstance(number, bool) else None


def newest_workflows(answer: msgspec.Raw) -> list[wire.WorkflowWire]:
    """Return CircleCI's workflows of a pipeline, of each name the newest: older ones were run again."""
    try:
        items = msgspec.json.decode(answer, type=list[msgspec.Raw])
    except msgspec.ValidationError:
        items = wire.WorkflowPage.of(answer).items
    newest: dict[str, wire.WorkflowWire] = {}
    for it in sorted(parse_items(items, wire.WorkflowWire.of), key=lambda one: one.created_at or ""):
        if it.tag != "setup":
            newest[it.name or it.id] = it
    return list(newest.values())


def is_open(state: str | None) -> bool:
    """Return whether a workflow is not at its end."""
    return state_from(state, STATES)[0] is not Status.COMPLETED


def has_failed(state: str | None) -> bool:
    """Return whether a workflow failed."""
    return state_from(state, STATES)[1] is Conclusion.FAILED


def may_run_again(it: Job) -> bool:
    """Return whether Travis CI's failed-only retry means this job."""
    return it.conclusion in {Conclusion.FAILED, Conclusion.TIMEOUT, Conclusion.CANCELLED}
