"""The poll of projects: which builds ended, which run, which wait for an approval."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated

import msgspec

from bot.core.errors import AuthFailed, NotFound, ProviderError, RateLimited
from bot.core.models import Build, BuildKey, Changes, Status, Watched
from bot.http.client import Query
from bot.providers.azure_devops import wire
from bot.providers.azure_devops.client import PER_PAGE, REFUSED, Client
from bot.providers.azure_devops.convert import STOPPED_EARLY
from bot.providers.azure_devops.urls import project_path
from bot.providers.base.cursor import PollCursor
from bot.providers.base.listing import parse_items
from bot.providers.base.partial import PartialRead, first_error, in_turn, raise_error, read_some

BUILD_IDS = 100
TIMELINES = 50
"""How many timelines of finished builds a poll reads, at most."""
QUEUE_EVERY = 3
"""The queue is listed at every third poll: what stands there begins by itself."""
APPROVALS = "approvals"
OVERLAP = timedelta(minutes=3)

AwareTime = Annotated[datetime, msgspec.Meta(tz=True)]


class AzureCursor(PollCursor, frozen=True):
    """Since when ends are listed (None at the first poll), how many polls there were, and which ends were reported."""

    since: AwareTime | None = None
    tick: int = 0
    reported: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class _ProjectPoll:
    """What the poll of one project came to; `is_whole` unless ends are left for the next one."""

    builds: tuple[Build, ...]
    reported: frozenset[str]
    is_whole: bool
    error: ProviderError | None


class Poll:
    """The requests of `changes`."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def changes(self, text: str | None, watched: Watched, now: datetime) -> Changes:
        """Return what may have changed in the watched projects; an end is reported once, but for unfinished builds."""
        cursor = AzureCursor.decode(text) or AzureCursor()
        pipelines = watched.pipelines | {key.pipeline for key in watched.unfinished}
        projects = in_turn({_project(pipeline) for pipeline in pipelines}, cursor.behind)

        async def read(project: str) -> _ProjectPoll:
            unfinished = frozenset(key for key in watched.unfinished if _project(key.pipeline) == project)
            listed = await self._listed(project, cursor, unfinished, now)
            builds = [build for build in listed if build.pipeline in watched.pipelines or build.key in unfinished]
            ended = [
                build
                for build in builds
                if build.completed and (_end(build) not in cursor.reported or build.key in unfinished)
            ]
            timelines = await self._with_timelines(ended)
            held = await self._with_approvals(project, [build for build in builds if not build.completed])
            left = {build.key for build in timelines.left}
            return _ProjectPoll(
                builds=(*timelines.results, *held.results),
                reported=frozenset(_end(build) for build in builds if build.completed and build.key not in left),
                is_whole=not left,
                error=first_error(timelines.error, held.error),
            )

        polls = await read_some(projects, read)
        if not polls.answers:
            raise_error(polls.error)
        behind = {*polls.left, *(project for project, poll in polls.answers if not poll.is_whole)}
        reported = frozenset(end for poll in polls.results for end in poll.reported)
        following = AzureCursor(
            since=now if not behind else cursor.since or now,
            tick=cursor.tick + 1,
            reported=reported if not behind else reported | cursor.reported,
            behind=tuple(sorted(behind)),
        )
        return Changes(
            builds=tuple(build for poll in polls.results for build in poll.builds),
            cursor=following.encode(),
            held=first_error(polls.error, *(poll.error for poll in polls.results)),
        )

    async def _listed(
        self, project: str, cursor: AzureCursor, unfinished: Collection[BuildKey], now: datetime
    ) -> list[Build]:
        """Return what ended since, what runs and, at times, the queue; then unfinished builds that no list shows."""
        since = f"{(cursor.since or now) - OVERLAP:%Y-%m-%dT%H:%M:%SZ}"
        queries: list[Query] = [
            {"statusFilter": "completed", "queryOrder": "finishTimeDescending", "minTime": since, "$top": PER_PAGE},
            {"statusFilter": "inProgress", "queryOrder": "queueTimeDescending", "$top": PER_PAGE},
        ]
        if cursor.tick % QUEUE_EVERY == 0:
            queries.append({"statusFilter": "notStarted", "queryOrder": "queueTimeDescending", "$top": PER_PAGE})
        builds: dict[BuildKey, Build] = {}
        for query in queries:
            builds |= {build.key: build for build in await self._builds(project, query)}  # the later answer is newer
        unseen = sorted(key.id for key in unfinished if key not in builds)
        for first in range(0, len(unseen), BUILD_IDS):
            query = {"buildIds": ",".join(unseen[first : first + BUILD_IDS]), "$top": BUILD_IDS}
            builds |= {build.key: build for build in await self._builds(project, query)}
        return list(builds.values())

    async def _builds(self, project: str, query: Query) -> list[Build]:
        return [
            build
            async for page in self._client.pages(project_path(project, "build", "builds"), query)
            for build in parse_items(page, lambda payload: self._client.read(payload, project))
        ]

    async def _with_timelines(self, builds: Iterable[Build]) -> PartialRead[Build, Build]:
        """Return builds with their jobs; of many that ended at once only the first fifty, red ones before others."""
        ordered = sorted(builds, key=lambda build: build.conclusion not in STOPPED_EARLY)
        plain = frozenset(build.key for build in ordered[TIMELINES:])

        async def read(build: Build) -> Build:
            return build if build.key in plain else await self._client.with_timeline(build)

        in_order = sorted(ordered, key=lambda build: (build.completed_at is None, build.completed_at, build.id))
        return await read_some(in_order, read, group=lambda build: build.pipeline)

    async def _with_approvals(self, project: str, builds: list[Build]) -> PartialRead[Build, Build]:
        """Return unfinished builds, saying which of them wait for an approval."""
        if not any(build.status is Status.IN_PROGRESS for build in builds):
            return PartialRead(answers=tuple((build, build) for build in builds))
        if APPROVALS in self._client.absent:
            return await self._with_timelines(builds)
        try:
            query: Query = {"state": "pending", "top": PER_PAGE}
            listed = await self._client.get(project_path(project, "pipelines", "approvals"), query)
            pending = list(parse_items(listed.items("value"), wire.Approval.of))
        except RateLimited as exc:
            return PartialRead(left=tuple(builds), error=exc)
        except REFUSED as exc:
            if isinstance(exc, AuthFailed | NotFound):
                self._client.absent.add(APPROVALS)
            return await self._with_timelines(builds)
        owners = {str(item.pipeline.owner.id) for item in pending if item.pipeline and item.pipeline.owner}
        if len(pending) < PER_PAGE and all(item.pipeline and item.pipeline.owner for item in pending):
            others = tuple((build, build) for build in builds if build.id not in owners)
            held = await self._with_timelines([build for build in builds if build.id in owners])
            return PartialRead(answers=(*others, *held.answers), left=held.left, error=held.error)
        return await self._with_timelines(builds)


def _project(pipeline: str) -> str:
    return pipeline.partition("/")[0]


def _end(build: Build) -> str:
    return f"{build.id}@{build.completed_at.isoformat() if build.completed_at else ''}"
