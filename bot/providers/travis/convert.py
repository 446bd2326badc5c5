"""Travis's objects in our words: pure readers and state maps."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import quote

import httpx

from bot.core.models import Build, Conclusion, Issue, IssueKind, Job, Person, Pipeline, Starter, Status, Trigger
from bot.http.client import Reply
from bot.providers.base.convert import StateMap, state_from
from bot.providers.base.logs import clean_log
from bot.providers.base.times import parse_time
from bot.providers.travis import wire

STATES: StateMap = {
    "created": (Status.QUEUED, None),
    "queued": (Status.QUEUED, None),
    "received": (Status.QUEUED, None),
    "configured": (Status.IN_PROGRESS, None),
    "started": (Status.IN_PROGRESS, None),
    "passed": (Status.COMPLETED, Conclusion.PASSED),
    "failed": (Status.COMPLETED, Conclusion.FAILED),
    # a problem before the script, or a time-out: there is no word for that one
    "errored": (Status.COMPLETED, Conclusion.FAILED),
    "canceled": (Status.COMPLETED, Conclusion.CANCELLED),
    "finished": (Status.COMPLETED, None),
}
BROKEN = frozenset({"failed", "errored", "canceled"})
TRIGGERS: Mapping[str, Trigger] = {
    "push": Trigger.PUSH,
    "pull_request": Trigger.MERGE_REQUEST,
    "api": Trigger.API,
    "cron": Trigger.CRON,
}
HOSTS: Mapping[str, str] = {
    "github": "github",
    "bitbucket": "bitbucket",
    "gitlab": "gitlab",
    "assembla": "assembla",
}
"""The first part of a page's address, by the first part of what Travis calls the code host."""

_HOST = re.compile(r"^[A-Z][a-z]+")
_MARKS = re.compile(r"travis_(?:fold|time):(?:start|end):[^\r\n]*\r?(?:\x1b\[0K)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """Where pages for people are. An installation of one's own has the code host in no address."""

    root: str
    with_host: bool

    def page(self, slug: str | None, vcs_type: str | None, *parts: str) -> str | None:
        """Return a page below a repository's, or None where its name is not known."""
        if not slug:
            return None
        host = code_host(vcs_type)
        return "/".join((self.root, *((host,) if self.with_host else ()), quote(slug), *parts))


def code_host(vcs_type: str | None) -> str:
    """Return the code host as addresses have it: `GithubRepository` and `GithubUser` are `github`."""
    found = _HOST.match(vcs_type or "")
    return HOSTS.get(found[0].lower() if found else "", "github")


def next_page(reply: Reply, member: str) -> str | None:
    """Return where a list goes on: while its pages are full. The answer's own link lacks what stands before the path."""
    url = httpx.URL(reply.url)
    limit, offset = (int(url.params.get(name, "0")) for name in ("limit", "offset"))
    if len(reply.items(member)) < limit:
        return None
    return str(url.copy_set_param("offset", str(offset + limit)))


def pipeline(it: wire.Repository, site: Site) -> Pipeline:
    """Return a repository as a pipeline; its number is its id, its slug what people type."""
    slug = it.slug or str(it.id)
    return Pipeline(
        id=str(it.id),
        path=slug,
        name=it.name or slug,
        group=slug.partition("/")[0] if "/" in slug else None,
        default_branch=(it.default_branch.name if it.default_branch else None) or None,
        repository=it.slug,
        web_url=site.page(it.slug, it.vcs_type),
        enabled=it.active is not False,
    )


def build(it: wire.Build, connection: str, pipeline: str, slug: str | None, site: Site) -> Build:
    """Return a build as ours. Of a pull request Travis tells the branch it goes into, not the one it comes from."""
    status, conclusion = state_from(it.state, STATES, finished=bool(it.finished_at))
    of_request = it.event_type == "pull_request"
    branch = (it.branch.name if it.branch else None) or None
    tag = (it.tag.name if it.tag else None) or None
    commit = it.commit or wire.Commit()
    by = it.created_by
    return Build(
        connection=connection,
        pipeline=pipeline,
        id=str(it.id),
        number=number(it.number),
        repo=slug,
        branch=None if of_request or tag else branch,
        tag=tag,
        pull_request=str(it.pull_request_number) if it.pull_request_number is not None else None,
        target_branch=branch if of_request else None,
        commit=commit.sha or None,
        message=commit.message or None,
        author=Person(name=commit.author.name) if commit.author and commit.author.name else None,
        status=status,
        conclusion=conclusion,
        raw_state=it.state,
        trigger=TRIGGERS.get(it.event_type or "", Trigger.UNKNOWN),
        triggered_by=(by.login or by.name if by else None) or None,
        triggered_by_type=starter(it),
        started_at=parse_time(it.started_at),
        completed_at=parse_time(it.finished_at) if status is Status.COMPLETED else None,
        updated_at=parse_time(it.updated_at),
        web_url=site.page(slug, by.vcs_type if by else None, "builds", str(it.id)),
    )


def number(text: str | int | None) -> int | None:
    """Return a build's number: text in most answers."""
    if isinstance(text, int):
        return text if text > 0 else None
    return int(text) if text and text.isdecimal() and len(text) <= 12 else None


def starter(it: wire.Build) -> Starter | None:
    """Return whether a person started the build; a nightly one bears the owner's name."""
    if it.event_type == "cron":
        return Starter.BOT
    return Starter.USER if it.created_by else None


def job(it: wire.Job, build: str, pipeline: str, site: Site) -> Job:
    """Return a job as ours."""
    status, conclusion = state_from(it.state, STATES, finished=bool(it.finished_at))
    repository = it.repository
    return Job(
        id=str(it.id),
        build=build,
        pipeline=pipeline,
        name=job_name(it),
        stage=it.stage.name if it.stage else None,
        status=status,
        conclusion=conclusion,
        raw_state=it.state,
        tolerated=bool(it.allow_failure),
        reason="could not be set up, or ran out of time" if it.state == "errored" else None,
        created_at=parse_time(it.created_at),
        started_at=parse_time(it.started_at),
        completed_at=parse_time(it.finished_at) if status is Status.COMPLETED else None,
        web_url=site.page(repository.slug, repository.vcs_type, "jobs", str(it.id)) if repository else None,
    )


def job_name(it: wire.Job) -> str:
    """Return what people call a job: its name in the settings, else its number."""
    name = it.config.name if it.config else None
    return name if isinstance(name, str) and name else f"Job {it.number or it.id}"


def is_error(it: Job) -> bool:
    """Return whether a job failed, allowed to or not."""
    return it.conclusion is Conclusion.FAILED


def issue(it: Job) -> Issue:
    """Return a failed job as an issue: where it may fail, that is a warning."""
    return Issue(
        kind=IssueKind.WARNING if it.tolerated else IssueKind.ERROR,
        message=f"{it.name}: {it.reason or 'failed'}",
        job=it.name,
        url=it.web_url,
    )


def log_text(data: bytes | str) -> str:
    """Return a log without colours and without the marks by which Travis's page folds it."""
    text = data.decode("utf-8", "replace") if isinstance(data, bytes) else data
    return clean_log(_MARKS.sub("", text))


def raw_states(wanted: Iterable[str]) -> list[str]:
    """Return the states to ask a list for, so that all builds in `wanted` (our words) are among the answers."""
    words = set(wanted)
    if "unknown" in words:
        return []
    listed = STATES.keys() - {"configured", "finished", "queued"}
    return sorted(
        raw
        for raw, (status, conclusion) in STATES.items()
        if raw in listed and (status.value in words or (conclusion is not None and conclusion.value in words))
    )


def messages(found: Iterable[wire.Message]) -> str | None:
    """Return what Travis has against a request's settings, in its own words."""
    said = [f"{it.key} {it.code}" if it.key else it.code for it in found if it.level in {"error", "alert"} and it.code]
    return ", ".join(said[:3]).replace("_", " ") or None
