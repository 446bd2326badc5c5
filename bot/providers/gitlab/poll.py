"""What changed in many projects: one GraphQL question for fifty of them, else one REST list for each."""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Protocol, TypeVar

import msgspec

from bot.core.clock import Clock
from bot.core.errors import AuthFailed, NotFound, ProviderError, Rejected, UnexpectedResponse
from bot.core.models import Build, BuildKey, Changes, Watched
from bot.http.client import Api
from bot.providers.base.listing import SEARCH_PAGES
from bot.providers.base.times import parse_time
from bot.providers.gitlab import wire
from bot.providers.gitlab.graphql import PROJECTS_AT_ONCE, Found, Graph, TooComplex, instant, server_time

OVERLAP_SECONDS: Final = 120  # a change may be committed after the moment it bears, and clocks differ
SWEEP_SECONDS: Final = 60
FIRST_LOOK: Final = 3
PER_PAGE: Final = 100
GRAPHQL_REST: Final = timedelta(hours=1)
"""How long GraphQL is left alone after it refused."""

T = TypeVar("T")
R = TypeVar("R")


class Cursor(msgspec.Struct):
    """Where the poll stands, kept as JSON between ticks.

    `at` is when each project was last asked about, by the server's clock, in seconds. `seen` is the state of each
    build in the overlap, so that a look finds only news. `swept` is when unfinished builds were last read singly.
    """

    at: dict[str, int] = {}
    seen: dict[str, str] = {}
    swept: int = 0

    @classmethod
    def read(cls, text: str | None) -> "Cursor":
        """Return a cursor; a missing or unreadable one begins anew."""
        try:
            return msgspec.json.decode(text or "{}", type=cls)
        except (msgspec.DecodeError, msgspec.ValidationError):
            return cls()

    def text(self) -> str:
        """Return the cursor as it is kept."""
        return msgspec.json.encode(self).decode()


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """What a look at one project found; `error` where the project could not be seen."""

    project: str
    runs: tuple[tuple[wire.PipelineRun, wire.Commit | None], ...] = ()
    at: int | None = None
    error: ProviderError | None = None


class Reads(Protocol):
    """The part of the adapter that the poll needs."""

    def at(self, pipeline: str, *rest: str) -> str:
        """Return the path of a project's resource."""

    async def whole(self, it: wire.PipelineRun, pipeline: str, commit: wire.Commit | None = None) -> Build:
        """Return a build with what a list leaves out."""

    async def build(self, pipeline: str, build: str) -> Build:
        """Return one build as it stands now."""

    async def build_or_none(self, key: BuildKey) -> Build | None:
        """Return a build, or None where it is gone."""

    async def each(self, send: Callable[[T], Awaitable[R]], items: Iterable[T]) -> list[R]:
        """Return what `act` gives for each item, several at a time."""


class Poll:
    """The account-wide poll of one connection."""

    def __init__(self, reads: Reads, api: Api, graph: Graph, clock: Clock) -> None:
        self._reads = reads
        self._api = api
        self._graph = graph
        self._clock = clock
        self._rest_until: datetime | None = None

    async def changes(self, cursor: str | None, watched: Watched) -> Changes:
        """Return builds that changed since the cursor.

        Requests per tick: one for each fifty projects (GraphQL) or one for each project (REST, where GraphQL is
        refused), plus one to three for each changed build (its details under REST, its commit and its failed jobs
        where they are not known yet). Once a minute unfinished builds that showed no change are read singly, those of
        projects nobody watches at every tick. A project's first look costs one list and its newest three builds.
        """
        known = Cursor.read(cursor)
        now = int(self._clock().timestamp())
        new = sorted(each for each in watched.pipelines if each not in known.at)
        old = sorted(each for each in watched.pipelines if each in known.at)
        looks = await self._reads.each(self._first, new)
        looks += await self._again(old, known)
        if looks and all(each.error for each in looks):
            raise next(each.error for each in looks if each.error)
        seen = {str(run.id): _mark(run) for confirm in looks for run, _ in confirm.runs}
        news = [
            (confirm.project, run, commit)
            for confirm in looks
            for run, commit in confirm.runs
            if known.seen.get(str(run.id)) != _mark(run)
        ]
        builds = {build.key: build for build in await self._reads.each(self._detail, news) if build is not None}
        sweep = now - known.swept >= SWEEP_SECONDS
        missing = [
            key
            for key in sorted(watched.unfinished - builds.keys())
            if (sweep and key.id not in seen) or key.pipeline not in watched.pipelines
        ]
        for build in await self._reads.each(self._reads.build_or_none, missing):
            if build is not None:
                builds[build.key] = build
        reached = {
            confirm.project: confirm.at if confirm.at is not None else now for confirm in looks if confirm.error is None
        }
        kept = {each: known.at[each] for each in old if each not in reached}
        after = Cursor(at={**kept, **reached}, seen=seen, swept=now if sweep else known.swept)
        return Changes(builds=tuple(builds.values()), cursor=after.text())

    async def _detail(self, news: tuple[str, wire.PipelineRun, wire.Commit | None]) -> Build | None:
        project, run, commit = news
        try:
            if commit is not None:
                return await self._reads.whole(run, project, commit)
            return await self._reads.build(project, str(run.id))
        except NotFound:  # deleted since the list was made
            return None

    async def _again(self, projects: list[str], known: Cursor) -> list[Looked]:
        """Look at projects looked at before, in fifties where GraphQL answers."""
        if not projects:
            return []
        now = self._clock()
        if self._rest_until is None or now >= self._rest_until:
            try:
                return await self._by_graph(projects, known)
            except (Rejected, NotFound, AuthFailed, UnexpectedResponse):
                self._rest_until = now + GRAPHQL_REST
        return await self._by_rest(projects, known)

    async def _by_graph(self, projects: list[str], known: Cursor) -> list[Looked]:
        looks: list[Looked] = []
        size = PROJECTS_AT_ONCE
        left = list(projects)
        while left:
            batch = left[:size]
            since = instant(min(known.at[each] for each in batch) - OVERLAP_SECONDS)
            try:
                found, at = await self._graph.changed(batch, since)
            except TooComplex:
                if len(batch) == 1:
                    raise
                size = len(batch) // 2
                continue
            left = left[size:]
            shown = {each.project: each for each in found}
            whole = [each for each in batch if each in shown and not shown[each].more]
            looks += [_looked(shown[each], at) for each in whole]
            # a project that GraphQL hides, or where more happened than it shows, is asked about by itself
            looks += await self._by_rest([each for each in batch if each not in whole], known)
        return looks

    async def _by_rest(self, projects: list[str], known: Cursor) -> list[Looked]:
        async def confirm(project: str) -> Looked:
            query: dict[str, str | int] = {
                "updated_after": instant(known.at[project] - OVERLAP_SECONDS),
                "order_by": "updated_at",
                "sort": "asc",
                "per_page": PER_PAGE,
            }
            return await self._list(project, query, SEARCH_PAGES)

        return await self._reads.each(confirm, projects)

    async def _first(self, project: str) -> Looked:
        return await self._list(project, {"per_page": FIRST_LOOK}, 1)

    async def _list(self, project: str, query: dict[str, str | int], ceiling: int) -> Looked:
        runs: list[tuple[wire.PipelineRun, wire.Commit | None]] = []
        at: int | None = None
        try:
            replies = self._api.replies(
                self._reads.at(project, "pipelines"), query, next_page=wire.next_page, ceiling=ceiling
            )
            async for reply in replies:
                at = at if at is not None else server_time(reply)
                runs += [(wire.PipelineRun.of(item), None) for item in reply.items()]
        except NotFound as exc:
            return Looked(project=project, error=exc)
        except AuthFailed as exc:
            if exc.status != 403:
                raise
            return Looked(project=project, error=exc)  # one project's CI is switched off: the others go on
        return Looked(project=project, runs=tuple(runs), at=at)


def _looked(found: Found, at: int | None) -> Looked:
    # without a commit the build is read singly, so give each an empty one rather than none
    return Looked(
        project=found.project,
        runs=tuple((run, commit or wire.Commit(id=run.sha or "")) for run, commit in found.runs),
        at=at,
    )


def _mark(run: wire.PipelineRun) -> str:
    """Return what tells one state of a build from the next. GraphQL's times have whole seconds, so the word counts."""
    at = parse_time(run.updated_at)
    return f"{(run.status or '').lower()} {int(at.timestamp()) if at else ''}"
