"""Wire objects as the bot's models: pure."""

import re
from collections.abc import Iterable

import httpx

from bot.core.models import (
    Build,
    Conclusion,
    FilterField,
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
from bot.http.reply import Reply
from bot.providers.base.convert import state_from
from bot.providers.base.logs import clean_log
from bot.providers.base.start_message import commit_message
from bot.providers.base.times import parse_time
from bot.providers.base.words import TRAVIS_STATES, TRAVIS_TRIGGERS
from bot.providers.travis import wire
from bot.providers.travis.details import build_details
from bot.providers.travis.urls import Site

LIST_FILTERS = frozenset({FilterField.BRANCH, FilterField.STATE})
"""By what Travis CI narrows its list of builds."""
STATES = TRAVIS_STATES
BROKEN = frozenset({"failed", "errored", "canceled"})
ERRORED = "could not be set up, or ran out of time"
LISTED = STATES.keys() - {"configured", "finished", "queued"}
"""The states that builds have; the others are jobs' or history."""
FILTERABLE = {word.value for word in (*Status, *Conclusion)}
TRIGGERS = TRAVIS_TRIGGERS

_FOLD_MARKS = re.compile(r"travis_(?:fold|time):(?:start|end):[^\r\n]*\r?(?:\x1b\[0K)?")


def next_page(reply: Reply, member: str) -> str | None:
    """Return the next page's address while pages are full. The answer's own link lacks what stands before the path."""
    url = httpx.URL(reply.url)
    limit, offset = (int(url.params.get(name, "0")) for name in ("limit", "offset"))
    if len(reply.items(member)) < limit:
        return None
    return str(url.copy_set_param("offset", str(offset + limit)))


def pipeline(repository: wire.Repository, site: Site) -> Pipeline:
    """Return a repository as a pipeline: its number is the id, `owner/name` what people type."""
    slug = repository.slug or str(repository.id)
    return Pipeline(
        id=str(repository.id),
        path=slug,
        name=repository.name or slug,
        group=slug.partition("/")[0] if "/" in slug else None,
        default_branch=(repository.default_branch.name if repository.default_branch else None) or None,
        repository=repository.slug,
        web_url=site.page(repository.slug, repository.vcs_type),
        enabled=repository.active is not False,
    )


def is_pull_request(build: wire.Build) -> bool:
    """Return whether a build is a pull request's."""
    return build.event_type == "pull_request" or build.pull_request_number is not None


def build(raw: wire.Build, connection: str, pipeline: str, slug: str | None, site: Site) -> Build:
    """Return a build. `pipeline` and `slug` are used where the answer, a list's item, names no repository.

    Of a pull request Travis reports the branch it goes into, not the one it comes from, nor whether it is a fork's.
    """
    status, conclusion = state_from(raw.state, STATES, finished=bool(raw.finished_at))
    of_request = is_pull_request(raw)
    branch = (raw.branch.name if raw.branch else None) or None
    tag = (raw.tag.name if raw.tag else None) or None
    commit = raw.commit or wire.Commit()
    creator, repository = raw.created_by, raw.repository
    slug = (repository.slug if repository else None) or slug
    host = (repository.vcs_type if repository else None) or (creator.vcs_type if creator else None)
    return Build(
        connection=connection,
        pipeline=str(repository.id) if repository else pipeline,
        id=str(raw.id),
        number=number(raw.number),
        repo=slug,
        branch=None if of_request or tag else branch,
        tag=None if of_request else tag,
        pull_request=str(raw.pull_request_number) if raw.pull_request_number is not None else None,
        target_branch=branch if of_request else None,
        commit=commit.sha or None,
        message=commit_message(commit.message),
        author=Person(name=commit.author.name) if commit.author and commit.author.name else None,
        status=status,
        conclusion=conclusion,
        raw_state=raw.state,
        reason=ERRORED if raw.state == "errored" else None,
        trigger=TRIGGERS.get(raw.event_type or "", Trigger.UNKNOWN),
        triggered_by=(creator.login or creator.name if creator else None) or None,
        triggered_by_type=starter(raw),
        started_at=parse_time(raw.started_at),
        completed_at=parse_time(raw.finished_at) if status is Status.COMPLETED else None,
        updated_at=parse_time(raw.updated_at),
        web_url=site.page(slug, host, "builds", str(raw.id)),
        details=build_details(raw),
    )


def number(text: str | int | None) -> int | None:
    """Return a build's number, which most answers write as text."""
    if isinstance(text, int):
        return text if text > 0 else None
    return int(text) if text and text.isascii() and text.isdecimal() and len(text) <= 12 else None


def starter(build: wire.Build) -> Starter | None:
    """Return whether a person started the build; a nightly one bears the owner's name."""
    if build.event_type == "cron":
        return Starter.BOT
    return Starter.USER if build.created_by else None


def job(raw: wire.Job, build: str, pipeline: str, site: Site) -> Job:
    """Return a job, with the repository that Travis says it is of, else `pipeline`."""
    status, conclusion = state_from(raw.state, STATES, finished=bool(raw.finished_at))
    repository = raw.repository
    return Job(
        id=str(raw.id),
        build=build,
        pipeline=str(repository.id) if repository else pipeline,
        name=job_name(raw),
        stage=raw.stage.name if raw.stage else None,
        status=status,
        conclusion=conclusion,
        raw_state=raw.state,
        tolerated=bool(raw.allow_failure),
        reason=ERRORED if raw.state == "errored" else None,
        runner=raw.queue or None,
        created_at=parse_time(raw.created_at),
        started_at=parse_time(raw.started_at),
        completed_at=parse_time(raw.finished_at) if status is Status.COMPLETED else None,
        details={"machine": raw.vm_size} if raw.vm_size else {},
        web_url=site.page(repository.slug, repository.vcs_type, "jobs", str(raw.id)) if repository else None,
    )


def job_name(job: wire.Job) -> str:
    """Return what people call a job: its name in the settings, else its number."""
    name = job.config.name if job.config else None
    return name if isinstance(name, str) and name else f"Job {job.number or job.id}"


def has_failed(job: Job) -> bool:
    """Return whether a job failed, allowed to or not."""
    return job.conclusion is Conclusion.FAILED


def may_restart(job: Job) -> bool:
    """Return whether a retry of failed jobs means this one."""
    return job.raw_state in BROKEN


def issue(job: Job) -> Issue:
    """Return a failed job as an issue: a warning where it is allowed to fail."""
    return Issue(
        kind=IssueKind.WARNING if job.tolerated else IssueKind.ERROR,
        message=f"{job.name}: {job.reason or 'failed'}",
        job=job.name,
        url=job.web_url,
    )


def counts(jobs: Iterable[Job]) -> IssueCounts:
    """Return issue counts: errors are failed jobs, warnings those allowed to fail. Without jobs nothing is known."""
    all_jobs = list(jobs)
    if not all_jobs:
        return IssueCounts()
    failed = [job for job in all_jobs if has_failed(job)]
    return IssueCounts(errors=sum(not job.tolerated for job in failed), warnings=sum(job.tolerated for job in failed))


def log_text(data: bytes | str) -> str:
    """Return a log without colours and without the marks by which Travis's page folds it."""
    text = data.decode("utf-8", "replace") if isinstance(data, bytes) else data
    return clean_log(_FOLD_MARKS.sub("", text))


def raw_states(words: Iterable[str]) -> list[str]:
    """Return the states to filter a list by so that every build in `words` (ours) is in it; none where it can't be."""
    ours = set(words)
    if not ours <= FILTERABLE:
        return []
    return sorted(
        raw
        for raw, (status, conclusion) in STATES.items()
        if raw in LISTED and (status.value in ours or (conclusion is not None and conclusion.value in ours))
    )


def setting_errors(messages: Iterable[wire.Message]) -> str | None:
    """Return the errors Travis reports in a request's settings, in its own words."""
    texts = [
        f"{message.key} {message.code}" if message.key else message.code
        for message in messages
        if message.level in {"error", "alert"} and message.code
    ]
    return ", ".join(texts[:3]).replace("_", " ") or None
