"""What a run complains of: the annotations of its jobs, or the marked lines of their logs where checks are closed.

Fine-grained tokens can't be given the permission to read checks; classic ones and Apps can.
"""

import asyncio
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import zip_longest
from typing import Protocol

import httpx

from bot.core.clock import Clock
from bot.core.errors import AuthFailed, NotFound
from bot.core.models import Conclusion, Issue, IssueCounts, IssueKind, Job
from bot.http.client import Api, Query
from bot.providers.github_actions import convert, wire
from bot.providers.github_actions.urls import Place

PER_PAGE = 100
CHECK_PAGES = 10
ANNOTATION_PAGES = 3
MOST_ANNOTATED = 50
MOST_LOGS = 5
LOG_BYTES = 64 * 1024 * 1024
LINE_BYTES = 64 * 1024
CHECKS_REST = timedelta(hours=1)
"""How long the checks are left alone after they were refused."""


class Reads(Protocol):
    """The part of the adapter that this needs."""

    def place(self, pipeline: str) -> Place:
        """Return where a pipeline is."""

    async def suite(self, pipeline: str, build: str) -> int | None:
        """Return the check suite of a run."""

    async def jobs(self, pipeline: str, build: str) -> tuple[Job, ...]:
        """Return a run's jobs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Noted:
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


class Complaints:
    """The issues of one connection's runs."""

    def __init__(self, reads: Reads, api: Api, *, clock: Clock) -> None:
        self._reads = reads
        self._api = api
        self._clock = clock
        self._closed_until: datetime | None = None

    async def issues(self, pipeline: str, build: str) -> tuple[Issue, ...]:
        """Return a run's errors, then its warnings; a failed job without errors of its own is one."""
        noted = await self._annotated(pipeline, build)
        found = _noted_issues(noted) if noted is not None else await self._logged_issues(pipeline, build)
        return tuple(sorted(found, key=lambda issue: issue.kind is not IssueKind.ERROR))

    async def counts(self, pipeline: str, build: str, conclusion: Conclusion | None) -> IssueCounts:
        """Return how many errors and warnings `issues` has; unknown what was not all read."""
        noted = await self._annotated(pipeline, build)
        if noted is None:
            return await self._counted_from_logs(pipeline, build, conclusion)
        if not noted and conclusion is not Conclusion.PASSED:
            return IssueCounts()  # a workflow that does not even start has no checks
        issues = _noted_issues(noted)
        unread = [one for one in noted if not one.was_read]
        return IssueCounts(
            errors=None if any(one.is_red for one in unread) else _errors(issues),
            warnings=None if unread else len(issues) - _errors(issues),
        )

    async def _annotated(self, pipeline: str, build: str) -> list[_Noted] | None:
        """Return the run's check runs, failed ones first, with their annotations; None where checks are closed."""
        if self._closed_until is not None and self._clock() < self._closed_until:
            return None
        suite = await self._reads.suite(pipeline, build)
        if suite is None:
            return None
        root = self._reads.place(pipeline).root
        path = f"{root}/check-suites/{suite}/check-runs"
        query: Query = {"filter": "latest", "per_page": PER_PAGE}
        try:
            pages = self._api.pages(path, query, member="check_runs", ceiling=CHECK_PAGES)
            runs = [wire.CheckRun.of(it) async for page in pages for it in page]
            runs.sort(key=lambda run: run.conclusion not in convert.RED)
            noisy = [run for run in runs if run.output is None or run.output.annotations_count != 0]
            read_now = noisy[:MOST_ANNOTATED]
            notes = await asyncio.gather(*(self._annotations(root, run) for run in read_now))
        except AuthFailed as exc:
            if exc.status != httpx.codes.FORBIDDEN:
                raise
            self._closed_until = self._clock() + CHECKS_REST
            return None
        found = {run.id: mine for run, mine in zip(read_now, notes, strict=True)}
        unread = {run.id for run in noisy[MOST_ANNOTATED:]}
        return [_Noted(run=run, notes=found.get(run.id, ()), was_read=run.id not in unread) for run in runs]

    async def _annotations(self, root: str, run: wire.CheckRun) -> tuple[wire.Annotation, ...]:
        path = f"{root}/check-runs/{run.id}/annotations"
        pages = self._api.pages(path, {"per_page": PER_PAGE}, ceiling=ANNOTATION_PAGES)
        return tuple([wire.Annotation.of(it) async for page in pages for it in page])

    async def _logged_issues(self, pipeline: str, build: str) -> list[Issue]:
        failed = _failed(await self._reads.jobs(pipeline, build))
        return _marked_issues(failed, await self._logs(failed))

    async def _counted_from_logs(self, pipeline: str, build: str, conclusion: Conclusion | None) -> IssueCounts:
        """Return errors from the failed jobs' logs; warnings only where these were all the logs there are."""
        jobs = await self._reads.jobs(pipeline, build)
        if not jobs and conclusion is not Conclusion.PASSED:
            return IssueCounts()
        failed = _failed(jobs)
        logs = await self._logs(failed)
        issues = _marked_issues(failed, logs)
        is_all = len(logs) == len(jobs) and None not in logs
        return IssueCounts(
            errors=_errors(issues) if len(failed) == len(logs) else None,
            warnings=len(issues) - _errors(issues) if is_all else None,
        )

    async def _logs(self, failed: list[Job]) -> list[list[Issue] | None]:
        return await asyncio.gather(*(self._marked(job) for job in failed[:MOST_LOGS]))

    async def _marked(self, job: Job) -> list[Issue] | None:
        """Return the errors and warnings that stand in a job's log; None where there is no log."""
        found: list[Issue] = []
        rest = b""
        path = f"{self._reads.place(job.pipeline).root}/actions/jobs/{job.id}/logs"
        try:
            async with aclosing(self._api.download(path, cap=LOG_BYTES)) as chunks:
                async for chunk in chunks:
                    *lines, rest = (rest + chunk).split(b"\n")
                    rest = rest[:LINE_BYTES]
                    found += _of_lines(lines, job)
        except (NotFound, AuthFailed):
            return None
        return [*found, *_of_lines([rest], job)]


def _noted_issues(noted: list[_Noted]) -> list[Issue]:
    found: list[Issue] = []
    for one in noted:
        mine = one.issues()
        if one.is_red and not _errors(mine):
            reason = (one.run.conclusion or "").replace("_", " ")
            mine.append(convert.failed_issue(one.run.name, reason, one.run.html_url))
        found += mine
    return found


def _marked_issues(failed: list[Job], logs: list[list[Issue] | None]) -> list[Issue]:
    found: list[Issue] = []
    for job, marked in zip_longest(failed, logs):
        mine = marked or []
        if not _errors(mine):
            found.append(convert.failed_issue(job.name, job.reason, job.web_url))
        found += mine
    return found


def _errors(issues: list[Issue]) -> int:
    return sum(issue.kind is IssueKind.ERROR for issue in issues)


def _failed(jobs: tuple[Job, ...]) -> list[Job]:
    return [job for job in jobs if job.conclusion is not None and job.conclusion.is_red]


def _of_lines(lines: list[bytes], job: Job) -> list[Issue]:
    return [
        Issue(kind=found[0], message=found[1] or job.name, job=job.name, url=job.web_url)
        for line in lines
        if (found := convert.marked(line)) is not None
    ]
