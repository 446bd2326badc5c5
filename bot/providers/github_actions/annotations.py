"""Issues of a run: the annotations of its jobs, or the marked lines of their logs where checks are closed.

Fine-grained tokens can't be given the permission to read checks; classic ones and Apps can.
"""

import asyncio
from contextlib import aclosing
from dataclasses import dataclass
from datetime import timedelta
from itertools import zip_longest

import httpx
from cachetools import TTLCache

from bot.core.clock import Clock
from bot.core.errors import AuthFailed, NotFound
from bot.core.models import Conclusion, Issue, IssueCounts, IssueKind, Job
from bot.http.client import ApiClient, Query
from bot.providers.base.listing import parse_items
from bot.providers.github_actions import convert, logs, wire
from bot.providers.github_actions.client import Client
from bot.providers.github_actions.convert import PER_PAGE
from bot.providers.github_actions.urls import Location

CHECK_PAGES = 10
ANNOTATION_PAGES = 3
MOST_ANNOTATED = 50
MOST_LOGS = 5
LOG_BYTES = 64 * 1024 * 1024
LINE_BYTES = 64 * 1024
CLOSED_LIFE = timedelta(hours=1)
"""How long the checks of a repository are not asked for after they were refused."""
MOST_CLOSED = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class _CheckedJob:
    """A check run with its annotations, unless there were too many check runs to read all of theirs."""

    run: wire.CheckRun
    notes: tuple[wire.Annotation, ...] = ()
    was_read: bool = True

    @property
    def is_red(self) -> bool:
        """Whether the job failed."""
        return self.run.conclusion in convert.RED

    def issues(self) -> list[Issue]:
        """Return the annotations that are errors or warnings."""
        return [issue for note in self.notes if (issue := convert.annotation_issue(note, self.run)) is not None]


class Annotations:
    """The issues of one connection's runs."""

    def __init__(self, api: ApiClient, client: Client, *, clock: Clock) -> None:
        self._api = api
        self._client = client
        self._closed: TTLCache[str, bool] = TTLCache(
            MOST_CLOSED, ttl=CLOSED_LIFE.total_seconds(), timer=lambda: clock().timestamp()
        )

    async def issues(self, pipeline: str, build: str) -> tuple[Issue, ...]:
        """Return a run's errors, then its warnings; a failed job without errors of its own is one."""
        checked = await self._annotated(pipeline, build)
        issues = _checked_issues(checked) if checked is not None else await self._logged_issues(pipeline, build)
        return tuple(sorted(issues, key=lambda issue: issue.kind is not IssueKind.ERROR))

    async def counts(self, pipeline: str, build: str, conclusion: Conclusion | None) -> IssueCounts:
        """Return how many errors and warnings `issues` has; unknown what was not all read."""
        checked = await self._annotated(pipeline, build)
        if checked is None:
            return await self._counted_from_logs(pipeline, build, conclusion)
        if not checked and conclusion is not Conclusion.PASSED:
            return IssueCounts()  # a workflow that does not even start has no checks
        issues = _checked_issues(checked)
        unread = [job for job in checked if not job.was_read]
        return IssueCounts(
            errors=None if any(job.is_red for job in unread) else _errors(issues),
            warnings=None if unread else len(issues) - _errors(issues),
        )

    async def _annotated(self, pipeline: str, build: str) -> list[_CheckedJob] | None:
        """Return the run's check runs, failed ones first, with their annotations; None where checks are closed."""
        at = self._client.location(pipeline)
        if at.repository in self._closed:
            return None
        suite = await self._client.check_suite(pipeline, build)
        if suite is None:
            return None
        path = at.path("check-suites", suite, "check-runs")
        query: Query = {"filter": "latest", "per_page": PER_PAGE}
        try:
            pages = self._api.pages(path, query, member="check_runs", ceiling=CHECK_PAGES)
            runs = [run async for page in pages for run in parse_items(page, wire.CheckRun.of)]
            runs.sort(key=lambda run: run.conclusion not in convert.RED)
            noisy = [run for run in runs if run.output is None or run.output.annotations_count != 0]
            to_read = noisy[:MOST_ANNOTATED]
            notes = await asyncio.gather(*(self._annotations(at, run) for run in to_read))
        except AuthFailed as exc:
            if exc.status != httpx.codes.FORBIDDEN:
                raise
            self._closed[at.repository] = True
            return None
        notes_of = {run.id: own for run, own in zip(to_read, notes, strict=True)}
        unread = {run.id for run in noisy[MOST_ANNOTATED:]}
        return [_CheckedJob(run=run, notes=notes_of.get(run.id, ()), was_read=run.id not in unread) for run in runs]

    async def _annotations(self, at: Location, run: wire.CheckRun) -> tuple[wire.Annotation, ...]:
        path = at.path("check-runs", run.id, "annotations")
        pages = self._api.pages(path, {"per_page": PER_PAGE}, ceiling=ANNOTATION_PAGES)
        return tuple([note async for page in pages for note in parse_items(page, wire.Annotation.of)])

    async def _logged_issues(self, pipeline: str, build: str) -> list[Issue]:
        failed = _failed(await self._client.jobs(pipeline, build))
        return _marked_issues(failed, await self._logs(failed))

    async def _counted_from_logs(self, pipeline: str, build: str, conclusion: Conclusion | None) -> IssueCounts:
        """Return errors from the failed jobs' logs; warnings only where these were all the logs there are."""
        jobs = await self._client.jobs(pipeline, build)
        if not jobs and conclusion is not Conclusion.PASSED:
            return IssueCounts()
        failed = _failed(jobs)
        found_in_logs = await self._logs(failed)
        issues = _marked_issues(failed, found_in_logs)
        is_all = len(found_in_logs) == len(jobs) and None not in found_in_logs
        return IssueCounts(
            errors=_errors(issues) if len(failed) == len(found_in_logs) else None,
            warnings=len(issues) - _errors(issues) if is_all else None,
        )

    async def _logs(self, failed: list[Job]) -> list[list[Issue] | None]:
        return await asyncio.gather(*(self._marked(job) for job in failed[:MOST_LOGS]))

    async def _marked(self, job: Job) -> list[Issue] | None:
        """Return the errors and warnings that stand in a job's log; None where there is no log."""
        issues: list[Issue] = []
        rest = b""
        path = self._client.location(job.pipeline).job(job.id, "logs")
        try:
            async with aclosing(self._api.download(path, cap=LOG_BYTES)) as chunks:
                async for chunk in chunks:
                    *lines, rest = (rest + chunk).split(b"\n")
                    rest = rest[:LINE_BYTES]
                    issues += _of_lines(lines, job)
        except (NotFound, AuthFailed):
            return None
        return [*issues, *_of_lines([rest], job)]


def _checked_issues(checked: list[_CheckedJob]) -> list[Issue]:
    issues: list[Issue] = []
    for job in checked:
        own = job.issues()
        if job.is_red and not _errors(own):
            reason = (job.run.conclusion or "").replace("_", " ")
            own.append(convert.failed_issue(job.run.name, reason, job.run.html_url))
        issues += own
    return issues


def _marked_issues(failed: list[Job], found_in_logs: list[list[Issue] | None]) -> list[Issue]:
    issues: list[Issue] = []
    for job, marked in zip_longest(failed, found_in_logs):
        own = marked or []
        if not _errors(own):
            issues.append(convert.failed_issue(job.name, job.reason, job.web_url))
        issues += own
    return issues


def _errors(issues: list[Issue]) -> int:
    return sum(issue.kind is IssueKind.ERROR for issue in issues)


def _failed(jobs: tuple[Job, ...]) -> list[Job]:
    return [job for job in jobs if job.conclusion is not None and job.conclusion.is_red]


def _of_lines(lines: list[bytes], job: Job) -> list[Issue]:
    return [
        Issue(kind=kind, message=message or job.name, job=job.name, url=job.web_url)
        for kind, message in filter(None, map(logs.marked, lines))
    ]
