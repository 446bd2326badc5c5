"""The poll of a whole server: one `tree` for the newest build of each watched job."""

import logging
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping
from datetime import timedelta
from typing import Self

import msgspec

from bot.core.clock import Clock
from bot.core.errors import NotFound, UnexpectedResponse
from bot.core.models import Build, BuildKey, Changes, Watched
from bot.providers.base.cursor import PollCursor
from bot.providers.base.listing import parse_items
from bot.providers.base.partial import first_error, in_turn, read_some
from bot.providers.jenkins import convert, urls, wire
from bot.providers.jenkins.client import Server

log = logging.getLogger(__name__)

GAP = 100
FINISHED_LATELY = timedelta(minutes=3)
_LAST = "name,fullName,property[_class],lastBuild[number,building,result,timestamp,duration]"


class Mark(msgspec.Struct, frozen=True, array_like=True):
    """How a job's newest build stood: its number (0: never built) and its result ("" while it runs)."""

    number: int
    result: str = ""

    @classmethod
    def of(cls, last: wire.LastBuild | None) -> Self:
        """Return how a newest build stands."""
        if last is None:
            return cls(number=0)
        return cls(number=last.number, result="" if last.building else last.result or "")

    @property
    def is_running(self) -> bool:
        """Whether there is a build that had not ended."""
        return self.number > 0 and not self.result


class Cursor(PollCursor, frozen=True):
    """How the newest build of each watched job stood, by the job's full name."""

    marks: dict[str, Mark] = msgspec.field(default_factory=dict)


class Poll:
    """Asks one server for what changed. `read` reads one build, `convert` makes one of a list's item."""

    def __init__(
        self,
        server: Server,
        *,
        read: Callable[[str, str], Awaitable[Build]],
        convert: Callable[[msgspec.Raw, str], Build],
        clock: Clock,
    ) -> None:
        self._server = server
        self._read = read
        self._convert = convert
        self._clock = clock

    async def changes(
        self, cursor: str | None, watched: Watched, build_or_none: Callable[[BuildKey], Awaitable[Build | None]]
    ) -> Changes:
        """Return what changed since the cursor: one request for the whole server, from the narrowest folder of all jobs.

        One more for each job whose newest build moved (it reads all builds since), and one for each unfinished build.
        """
        for key in watched.unfinished:
            item = urls.waiting_item(key.id)
            if item is not None:
                self._server.aliases.setdefault((key.pipeline, item), None)
        previous = Cursor.decode(cursor) or Cursor()
        before = previous.marks
        newest = await self._newest(watched.pipelines)
        changed = [job for job in in_turn(newest, previous.behind) if before.get(job) != Mark.of(newest[job])]

        async def read(job: str) -> list[Build] | None:
            last = newest[job]
            try:
                return await self._moved(job, last, before.get(job)) if last is not None else []
            except (NotFound, UnexpectedResponse) as exc:
                log.warning("a job's builds can't be read", extra={"job": job, "why": str(exc)})
                return None

        jobs = await read_some(changed, read)
        builds = {build.key: build for moved in jobs.results for build in moved or ()}
        marks = {job: mark for job, mark in before.items() if job in watched.pipelines}
        marks |= {job: Mark.of(newest[job]) for job, moved in jobs.answers if moved is not None}
        missing = [key for key in sorted(watched.unfinished - builds.keys()) if key.pipeline not in jobs.left]
        singly = await read_some(missing, build_or_none)
        builds |= {build.key: build for build in singly.results if build is not None}
        following = Cursor(marks=marks, behind=tuple(sorted(jobs.left)))
        held = first_error(jobs.error, singly.error)
        return Changes(builds=tuple(builds.values()), cursor=following.encode(), held=held)

    async def _newest(self, watched: frozenset[str]) -> Mapping[str, wire.LastBuild | None]:
        jobs = {job for job in watched if urls.place_of_name(job) is not None}
        if not jobs:
            return {}
        folder = common_folder(jobs)
        try:
            root = await self._server.of_folder(folder, tree(folder, jobs))
        except NotFound:
            if not folder:
                raise
            folder = ""  # it was deleted or renamed: what else is watched must not suffer
            root = await self._server.of_folder("", tree(folder, jobs))
        items = dict(items_in(wire.Item.of(root), folder))
        for job in jobs & items.keys():
            self._server.learn(job, items[job].property)
        return {job: items[job].last_build for job in jobs & items.keys()}

    async def _moved(self, job: str, last: wire.LastBuild, before: Mark | None) -> list[Build]:
        """Return a job's builds since the mark. A job seen for the first time reports what runs or has just ended."""
        if before is None:
            ended = convert.ended_at(last)
            is_old = not last.building and (ended is None or ended < self._clock() - FINISHED_LATELY)
            return [] if is_old else [await self._read(job, str(last.number))]
        gap = last.number - before.number + before.is_running
        if gap <= 1:
            return [await self._read(job, str(last.number))]
        builds: list[Build] = []
        asked_for = 0
        while asked_for < min(gap, GAP):
            # The newest ones are counted from the newest of now: a build that has begun meanwhile pushes one out.
            asked_for = min(gap, GAP)
            listed = wire.Builds.of(await self._server.of_job(job, f"builds[{wire.RUN}]{{0,{asked_for}}}"))
            builds = list(parse_items(listed.builds or (), lambda raw: self._convert(raw, job)))
            newest = max((build.number for build in builds if build.number is not None), default=0)
            gap = newest - before.number + before.is_running
        return builds


def common_folder(jobs: Collection[str]) -> str:
    """Return the narrowest folder that holds all jobs ("" is the server), or the job itself where it is the only one."""
    paths = [job.split("/") for job in jobs]
    shared: list[str] = []
    for steps in zip(*paths, strict=False):
        if len(set(steps)) > 1:
            break
        shared.append(steps[0])
    return "/".join(shared)


def tree(folder: str, jobs: Collection[str]) -> str:
    """Return the `tree` that reaches every job from a folder: nesting is explicit, and no deeper than they stand."""
    above = len(folder.split("/")) if folder else 0
    fields = _LAST
    for _ in range(max((len(job.split("/")) - above for job in jobs), default=0)):
        fields = f"{_LAST},jobs[{fields}]"
    return fields


def items_in(raw: wire.Item, name: str) -> Iterator[tuple[str, wire.Item]]:
    """Yield each job and folder from an item on, by full name."""
    if name:
        yield name, raw
    for full_name, inside in convert.jobs_in(raw, name):
        yield from items_in(inside, full_name)
