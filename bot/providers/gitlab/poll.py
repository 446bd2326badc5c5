"""What changed in many projects: one GraphQL question for fifty of them, else one REST list for each."""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import msgspec

from bot.core.clock import Clock
from bot.core.errors import AuthFailed, NotFound, ProviderError, Rejected, UnexpectedResponse
from bot.core.models import Build, BuildKey, Changes, Watched
from bot.http.client import ApiClient
from bot.providers.base.cursor import PollCursor
from bot.providers.base.listing import SEARCH_PAGES, parse_items
from bot.providers.base.times import parse_time
from bot.providers.gitlab import urls, wire
from bot.providers.gitlab.client import PER_PAGE, GitLabClient
from bot.providers.gitlab.graphql import PROJECTS_AT_ONCE, Graph, ProjectChanges, TooComplex, instant, server_time

log = logging.getLogger(__name__)

OVERLAP_SECONDS: Final = 120  # a change may be committed after the time it bears, and clocks differ
SWEEP_SECONDS: Final = 60
FIRST_BUILDS: Final = 3
GRAPHQL_REST: Final = timedelta(hours=1)
"""How long GraphQL is left alone after it refused."""


class Cursor(PollCursor, frozen=True):
    """Where the poll stands.

    `at` is when each project was last asked about, by the server's clock, in seconds. `seen` is the state of each
    build in the overlap, so that a poll yields only what is new. `swept` is when unfinished builds were last read singly.
    """

    at: dict[str, int] = msgspec.field(default_factory=dict)
    seen: dict[str, str] = msgspec.field(default_factory=dict)
    swept: int = 0


class NewestPages(PollCursor, frozen=True):
    """Where the poll of API v3 stands: for each project the state of each build on its newest page."""

    at: dict[str, dict[str, str]] = msgspec.field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """What one project answered; `error` where it could not be seen."""

    project: str
    runs: tuple[tuple[wire.PipelineRun, wire.Commit | None], ...] = ()
    at: int | None = None
    error: ProviderError | None = None


ReadWhole = Callable[[wire.PipelineRun, str, wire.Commit | None], Awaitable[Build]]
"""Completes a run of a project with what a list leaves out, with its commit where that is known."""
ReadBuild = Callable[[str, str], Awaitable[Build]]
ReadBuildOrNone = Callable[[BuildKey], Awaitable[Build | None]]


class Poll:
    """The account-wide poll of one connection."""

    def __init__(
        self,
        client: GitLabClient,
        api: ApiClient,
        graph: Graph,
        clock: Clock,
        whole: ReadWhole,
        build: ReadBuild,
        build_or_none: ReadBuildOrNone,
    ) -> None:
        self._whole = whole
        self._build = build
        self._build_or_none = build_or_none
        self._client = client
        self._api = api
        self._graph = graph
        self._clock = clock
        self._rest_until: datetime | None = None

    async def changes(self, cursor: str | None, watched: Watched) -> Changes:
        """Return builds that changed since the cursor.

        Requests per tick: one for each fifty projects (GraphQL) or one for each project (REST, where GraphQL is
        refused), plus one to three for each changed build (its details under REST, its commit and its failed jobs
        where they are not known yet). Once a minute unfinished builds that showed no change are read singly, those of
        projects nobody watches at every tick. A project's first poll costs one list and its newest three builds.
        """
        previous = Cursor.decode(cursor) or Cursor()
        now = int(self._clock().timestamp())
        new = sorted(each for each in watched.pipelines if each not in previous.at)
        old = sorted(each for each in watched.pipelines if each in previous.at)
        answers = await self._client.each(self._first, new)
        answers += await self._again(old, previous)
        if answers and all(each.error for each in answers):
            raise next(each.error for each in answers if each.error)
        seen = {str(run.id): _mark(run) for each in answers for run, _ in each.runs}
        news = [
            (each.project, run, commit)
            for each in answers
            for run, commit in each.runs
            if previous.seen.get(str(run.id)) != _mark(run)
        ]
        builds = {build.key: build for build in await self._client.each(self._detail, news) if build is not None}
        sweep = now - previous.swept >= SWEEP_SECONDS
        missing = [
            key
            for key in sorted(watched.unfinished - builds.keys())
            if (sweep and key.id not in seen) or key.pipeline not in watched.pipelines
        ]
        for build in await self._client.each(self._build_or_none, missing):
            if build is not None:
                builds[build.key] = build
        reached = {each.project: each.at if each.at is not None else now for each in answers if each.error is None}
        kept = {each: previous.at[each] for each in old if each not in reached}
        after = Cursor(at={**kept, **reached}, seen=seen, swept=now if sweep else previous.swept)
        return Changes(builds=tuple(builds.values()), cursor=after.encode())

    async def _detail(self, news: tuple[str, wire.PipelineRun, wire.Commit | None]) -> Build | None:
        project, run, commit = news
        try:
            if commit is not None:
                return await self._whole(run, project, commit)
            return await self._build(project, str(run.id))
        except NotFound:  # deleted since the list was made
            return None
        except UnexpectedResponse as exc:  # one odd build spoils no poll
            log.warning("a build of a poll does not read", extra={"error": str(exc), "build": run.id})
            return None

    async def _again(self, projects: list[str], previous: Cursor) -> list[Answered]:
        """Ask about projects that were asked about before, in fifties where GraphQL answers."""
        if not projects:
            return []
        now = self._clock()
        if self._rest_until is None or now >= self._rest_until:
            try:
                return await self._by_graph(projects, previous)
            except (Rejected, NotFound, AuthFailed, UnexpectedResponse):
                self._rest_until = now + GRAPHQL_REST
        return await self._by_rest(projects, previous)

    async def _by_graph(self, projects: list[str], previous: Cursor) -> list[Answered]:
        answers: list[Answered] = []
        size = PROJECTS_AT_ONCE
        left = list(projects)
        while left:
            batch = left[:size]
            since = instant(min(previous.at[each] for each in batch) - OVERLAP_SECONDS)
            try:
                answered, at = await self._graph.changed(batch, since)
            except TooComplex:
                if len(batch) == 1:
                    raise
                size = len(batch) // 2
                continue
            left = left[size:]
            shown = {each.project: each for each in answered}
            whole = [each for each in batch if each in shown and not shown[each].more]
            answers += [_answered(shown[each], at) for each in whole]
            # a project that GraphQL hides, or where more happened than it shows, is asked about by itself
            answers += await self._by_rest([each for each in batch if each not in whole], previous)
        return answers

    async def _by_rest(self, projects: list[str], previous: Cursor) -> list[Answered]:
        async def ask(project: str) -> Answered:
            query: dict[str, str | int] = {
                "updated_after": instant(previous.at[project] - OVERLAP_SECONDS),
                "order_by": "updated_at",
                "sort": "asc",
                "per_page": PER_PAGE,
            }
            return await self._list(project, query, SEARCH_PAGES)

        return await self._client.each(ask, projects)

    async def _first(self, project: str) -> Answered:
        return await self._list(project, {"per_page": FIRST_BUILDS}, 1)

    async def _list(self, project: str, query: dict[str, str | int], ceiling: int) -> Answered:
        runs: list[tuple[wire.PipelineRun, wire.Commit | None]] = []
        at: int | None = None
        try:
            replies = self._api.replies(
                urls.project_route(project, "pipelines"), query, next_page=urls.next_page, ceiling=ceiling
            )
            async for reply in replies:
                at = at if at is not None else server_time(reply)
                runs += [(run, None) for run in parse_items(reply.items(), wire.PipelineRun.of)]
        except NotFound as exc:
            return Answered(project=project, error=exc)
        except AuthFailed as exc:
            if exc.status != 403:
                raise
            return Answered(project=project, error=exc)  # one project's CI is switched off: the others go on
        return Answered(project=project, runs=tuple(runs), at=at)


def _answered(changes: ProjectChanges, at: int | None) -> Answered:
    # without a commit the build is read singly, so give each an empty one rather than none
    return Answered(
        project=changes.project,
        runs=tuple((run, commit or wire.Commit(id=run.sha or "")) for run, commit in changes.runs),
        at=at,
    )


def _mark(run: wire.PipelineRun) -> str:
    """Return what distinguishes one state of a build from the next. GraphQL's times have whole seconds, so the word counts."""
    at = parse_time(run.updated_at)
    return f"{(run.status or '').lower()} {int(at.timestamp()) if at else ''}"


class NewestPagePoll:
    """The poll of API v3, which cannot be asked what changed since a time."""

    def __init__(self, client: GitLabClient, read: Callable[[wire.OldBuild, str], Awaitable[Build]]) -> None:
        self._client = client
        self._read = read

    async def changes(self, cursor: str | None, watched: Watched, build_or_none: ReadBuildOrNone) -> Changes:
        """Return what the newest page of each project shows anew, and unfinished builds that are not on it.

        Requests per tick: one for each project, and one for each unfinished build off its page.
        """
        marks = (NewestPages.decode(cursor) or NewestPages()).at
        projects = sorted(watched.pipelines)
        pages = await self._client.each(self._page, projects)
        errors = [page.error for page in pages if page.error is not None]
        if errors and len(errors) == len(pages):
            raise errors[0]
        builds: dict[BuildKey, Build] = {}
        after: dict[str, dict[str, str]] = {}
        for page in pages:
            before = marks.get(page.project, {})
            if page.error is not None:
                after[page.project] = before
                continue
            after[page.project] = {str(raw.id): _old_mark(raw) for raw in page.builds}
            for raw in page.builds:
                if before.get(str(raw.id)) != _old_mark(raw):
                    build = await self._read(raw, page.project)
                    builds[build.key] = build
        missing = [
            key
            for key in sorted(watched.unfinished - builds.keys())
            if key.id not in after.get(key.pipeline, {}) or key.pipeline not in watched.pipelines
        ]
        for straggler in await self._client.each(build_or_none, missing):
            if straggler is not None:
                builds[straggler.key] = straggler
        return Changes(builds=tuple(builds.values()), cursor=NewestPages(at=after).encode())

    async def _page(self, project: str) -> "OldPage":
        """Return the newest page of a project, or why it could not be seen."""
        try:
            return OldPage(project=project, builds=tuple(await self._client.newest_old_builds(project)))
        except NotFound as exc:
            return OldPage(project=project, error=exc)
        except AuthFailed as exc:
            if exc.status != 403:
                raise
            return OldPage(project=project, error=exc)


@dataclass(frozen=True, slots=True, kw_only=True)
class OldPage:
    """The newest builds of one project of API v3; `error` where they could not be seen."""

    project: str
    builds: tuple[wire.OldBuild, ...] = ()
    error: ProviderError | None = None


def _old_mark(raw: wire.OldBuild) -> str:
    """Return what distinguishes one state of a v3 build from the next: a build run again keeps its id."""
    return f"{(raw.status or '').lower()} {raw.started_at or ''} {raw.finished_at or ''}".strip()
