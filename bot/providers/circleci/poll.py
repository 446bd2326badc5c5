"""The poll of a whole organization."""

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Annotated

import msgspec

from bot.core.clock import Clock
from bot.core.errors import NotFound
from bot.core.models import Build, BuildKey, Changes, Watched
from bot.providers.base.cursor import PollCursor
from bot.providers.base.memory import AbsentOperations
from bot.providers.base.partial import first_error, read_some
from bot.providers.base.times import parse_time
from bot.providers.circleci import urls, wire
from bot.providers.circleci.client import CircleCIClient

OVERLAP = timedelta(minutes=3)
"""How far back a new build may still appear in the list."""
FIRST_POLL = timedelta(hours=1)
CHANGE_PAGES = 10
MOST_RERUNS = 20
AT_ONCE = 8
RECENT_JOBS = "recent-builds"

BuildOrNone = Callable[[BuildKey], Awaitable[Build | None]]
Tell = Callable[[wire.PipelineWire, Sequence[wire.Workflow]], Awaitable[Build]]


class Cursor(PollCursor, frozen=True):
    """Since when builds are new, which of them were seen, and which workflows are known: another one is a rerun.

    `runs` is None before the first poll: what ran before is no news.
    """

    since: Annotated[datetime, msgspec.Meta(tz=True)] | None = None
    seen: frozenset[str] = frozenset()
    runs: frozenset[str] | None = None


class Poll:
    """Asks for what changed in one organization. `tell` makes a build of a pipeline and its workflows."""

    def __init__(self, client: CircleCIClient, tell: Tell, clock: Clock, *, connection: str) -> None:
        self._client = client
        self._tell = tell
        self._clock = clock
        self._connection = connection
        self._absent = AbsentOperations(clock)

    async def changes(self, cursor: str | None, watched: Watched, build_or_none: BuildOrNone) -> Changes:
        """Return what changed since the cursor: two requests, and one for each watched build that is new or unfinished.

        An unfinished build that has left the list of the newest costs one more. A rerun of a finished one does not
        move it in that list: it shows as a workflow not known yet among the recent jobs, and costs three requests once.
        """
        if not watched.pipelines and not watched.unfinished:
            return Changes(builds=(), cursor=cursor)
        state = Cursor.decode(cursor) or Cursor()
        since = state.since or self._clock() - FIRST_POLL
        oldest = since - OVERLAP
        names = {
            urls.fold(pipeline): pipeline
            for pipeline in {key.pipeline for key in watched.unfinished} | watched.pipelines
        }
        open_ids = {key.id for key in watched.unfinished}
        newest = [raw async for raw in self._newest(oldest)]
        due = [
            raw
            for raw in newest
            if urls.fold(raw.project_slug) in names
            and (raw.id in open_ids or (raw.id not in state.seen and (parse_time(raw.created_at) or since) >= oldest))
        ]
        reading = await read_some(
            sorted(due, key=lambda raw: raw.created_at or ""),
            self._read,
            group=lambda raw: urls.fold(raw.project_slug),
            at_once=AT_ONCE,
        )
        builds = {raw.id: build for raw, (build, _) in reading.answers}
        runs = {workflow for _, (_, workflows) in reading.answers for workflow in workflows}
        left = {raw.id for raw in reading.left}
        odd = {raw.id for raw in reading.odd}
        behind = {urls.fold(raw.project_slug) for raw in reading.left}
        missing = sorted(
            key for key in watched.unfinished if key.id not in builds and urls.fold(key.pipeline) not in behind
        )
        singly = await read_some(missing, build_or_none, at_once=AT_ONCE)
        builds |= {build.id: build for build in singly.results if build is not None}
        is_short = first_error(reading.error, singly.error) is not None or bool(reading.left)
        listing = await read_some([] if is_short else [names], self._recent_runs)
        recent = {run for runs_listed in listing.results for run in runs_listed}
        unknown = recent - runs - state.runs if state.runs is not None else set()
        read_already = frozenset(builds)

        async def rerun(run: str) -> Build | None:
            return await self._of_run(run, names, read_already, build_or_none)

        reruns = await read_some(sorted(unknown)[:MOST_RERUNS], rerun, at_once=AT_ONCE)
        builds |= {build.id: build for build in reruns.results if build is not None}
        created = [time for raw in newest if (time := parse_time(raw.created_at)) is not None]
        moved = max([since, *created]) if not left else since
        following = Cursor(
            behind=tuple(sorted(behind)),
            since=moved,
            seen=frozenset(
                raw.id
                for raw in newest
                if raw.id not in left | odd and (parse_time(raw.created_at) or moved) >= moved - OVERLAP
            ),
            runs=frozenset((recent | runs) - (unknown - {run for run, _ in reruns.answers}))
            if listing.answers
            else state.runs and state.runs | runs,
        )
        # a project is watched under one spelling of its name
        changed = (
            replace(build, pipeline=names.get(urls.fold(build.pipeline), build.pipeline)) for build in builds.values()
        )
        held = first_error(reading.error, singly.error, listing.error, reruns.error)
        return Changes(builds=tuple(changed), cursor=following.encode(), held=held)

    async def _read(self, raw: wire.PipelineWire) -> tuple[Build, list[str]]:
        """Return a build and the ids of its workflows."""
        workflows = await self._client.workflows(raw.id)
        return await self._tell(raw, workflows), [workflow.id for workflow in workflows]

    async def _newest(self, oldest: datetime) -> AsyncIterator[wire.PipelineWire]:
        """Yield the organization's newest builds, back to those that cannot be news any more."""
        async for page in self._client.organization_builds(CHANGE_PAGES):
            for raw in page:
                yield raw
            created = [time for raw in page if (time := parse_time(raw.created_at)) is not None]
            if not created or min(created) < oldest:
                return

    async def _recent_runs(self, names: Collection[str]) -> set[str]:
        """Return the workflows of the recent jobs of watched projects, and of projects that v1.1 does not report by id.

        A server may not have that list: then reruns are known by webhook only.
        """
        if RECENT_JOBS in self._absent:
            return set()
        try:
            jobs = await self._client.recent_jobs()
        except NotFound:
            self._absent.add(RECENT_JOBS)
            return set()
        runs: set[str] = set()
        for raw in jobs:
            slug = urls.v1_slug(raw.vcs_type, raw.username, raw.reponame, raw.vcs_url)
            if raw.workflows and raw.workflows.workflow_id and (slug is None or urls.fold(slug) in names):
                runs.add(raw.workflows.workflow_id)
        return runs

    async def _of_run(
        self, run: str, names: Collection[str], build_ids: frozenset[str], build_or_none: BuildOrNone
    ) -> Build | None:
        """Return the build that a workflow belongs to, unless it is no watched project's or known already."""
        try:
            raw = await self._client.workflow(run)
        except NotFound:
            return None
        if not raw.pipeline_id or raw.pipeline_id in build_ids or urls.fold(raw.project_slug or "") not in names:
            return None
        key = BuildKey(connection=self._connection, pipeline=raw.project_slug or "", id=raw.pipeline_id)
        return await build_or_none(key)
