"""The poll of a project: what has ended, what runs, and what waits for an approval."""

from collections.abc import Collection, Iterable
from datetime import datetime, timedelta

from bot.core.errors import AuthFailed
from bot.core.models import Build, BuildKey, Changes, Status, Watched
from bot.http.client import Query
from bot.providers.azure_devops import convert, wire
from bot.providers.azure_devops.client import GONE, PER_PAGE, Service
from bot.providers.azure_devops.cursor import Cursor
from bot.providers.base.listing import parse_items

BUILD_IDS = 100
JUDGED = 50
"""How many timelines are read at a time, at most."""
QUEUED_EVERY = 3
"""Every how many ticks the queue is listed: what stands there begins by itself."""
OVERLAP = timedelta(minutes=3)


class Poll:
    """What `changes` asks."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def changes(self, text: str | None, watched: Watched, now: datetime) -> Changes:
        """Return what may have changed in the projects watched; an end is told once, but for unfinished builds."""
        at = Cursor.read(text, now)
        found: list[Build] = []
        told: set[str] = set()
        pipelines = watched.pipelines | {key.pipeline for key in watched.unfinished}
        for project in sorted({_project(pipeline) for pipeline in pipelines}):
            mine = frozenset(key for key in watched.unfinished if _project(key.pipeline) == project)
            listed = await self._listed(project, at, mine)
            known = [it for it in listed if it.pipeline in watched.pipelines or it.key in mine]
            told |= {_end(it) for it in known if it.completed}
            ended = [it for it in known if it.completed and (_end(it) not in at.told or it.key in mine)]
            found += await self._with_timelines(ended)
            found += await self._with_approvals(project, [it for it in known if not it.completed])
        return Changes(builds=tuple(found), cursor=at.moved_on(now, told))

    async def _listed(self, project: str, at: Cursor, unfinished: Collection[BuildKey]) -> list[Build]:
        """Return what has ended since, what runs and, at times, what is queued; then what is unfinished and unseen."""
        since = f"{at.since - OVERLAP:%Y-%m-%dT%H:%M:%SZ}"
        asked: list[Query] = [
            {"statusFilter": "completed", "queryOrder": "finishTimeDescending", "minTime": since, "$top": PER_PAGE},
            {"statusFilter": "inProgress", "queryOrder": "queueTimeDescending", "$top": PER_PAGE},
        ]
        if at.tick % QUEUED_EVERY == 0:
            asked.append({"statusFilter": "notStarted", "queryOrder": "queueTimeDescending", "$top": PER_PAGE})
        found: dict[BuildKey, Build] = {}
        for query in asked:
            found |= {it.key: it for it in await self._all(project, query)}  # read later, so it knows better
        unseen = sorted(key.id for key in unfinished if key not in found)
        for first in range(0, len(unseen), BUILD_IDS):
            query = {"buildIds": ",".join(unseen[first : first + BUILD_IDS]), "$top": BUILD_IDS}
            found |= {it.key: it for it in await self._all(project, query)}
        return list(found.values())

    async def _all(self, project: str, query: Query) -> list[Build]:
        path = self._service.at(project, "build/builds")
        return [
            it
            async for page in self._service.pages(path, query)
            for it in parse_items(page, lambda payload: self._service.read(payload, project))
        ]

    async def _with_timelines(self, builds: Iterable[Build]) -> list[Build]:
        """Return builds with their jobs; after a long night only the first fifty, red ones before others."""
        ordered = sorted(builds, key=lambda it: it.conclusion not in convert.RAN_OUT)
        return [await self._service.judged(it) if n < JUDGED else it for n, it in enumerate(ordered)]

    async def _with_approvals(self, project: str, builds: list[Build]) -> list[Build]:
        """Return unfinished builds, saying which of them wait for an approval."""
        if not any(it.status is Status.IN_PROGRESS for it in builds):
            return builds
        try:
            query: Query = {"state": "pending", "top": PER_PAGE}
            listed = await self._service.get(self._service.at(project, "pipelines/approvals"), query)
            pending = list(parse_items(listed.items("value"), wire.Approval.of))
        except (AuthFailed, *GONE):
            return await self._with_timelines(builds)
        owners = {str(it.pipeline.owner.id) for it in pending if it.pipeline and it.pipeline.owner}
        if len(pending) < PER_PAGE and all(it.pipeline and it.pipeline.owner for it in pending):
            held = [it for it in builds if it.id in owners]
            return [it for it in builds if it.id not in owners] + await self._with_timelines(held)
        return await self._with_timelines(builds)


def _project(pipeline: str) -> str:
    return pipeline.partition("/")[0]


def _end(build: Build) -> str:
    return f"{build.id}@{build.completed_at.isoformat() if build.completed_at else ''}"
