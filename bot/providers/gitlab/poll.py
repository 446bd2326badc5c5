"""What changed in many projects: one GraphQL question for fifty of them, else one REST list for each."""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import msgspec

from bot.core.clock import Clock
from bot.core.errors import (
    AuthFailed,
    NotFound,
    ProviderError,
    RateLimited,
    Rejected,
    Unavailable,
    UnexpectedResponse,
)
from bot.core.models import Build, BuildKey, Changes, Watched
from bot.http.client import ApiClient
from bot.providers.base.cursor import PollCursor
from bot.providers.base.listing import SEARCH_PAGES, parse_items
from bot.providers.base.partial import PartialRead, first_error, in_turn, raise_error, read_some
from bot.providers.base.times import parse_time
from bot.providers.gitlab import urls, wire
from bot.providers.gitlab.client import AT_ONCE, PER_PAGE, GitLabClient
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


@dataclass(frozen=True, slots=True, kw_only=True)
class News:
    """A run that changed since the last poll, with its commit where that is known."""

    project: str
    run: wire.PipelineRun
    commit: wire.Commit | None

    def of_project(self) -> str:
        """Return the project whose runs are recorded in order."""
        return self.project


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
        turn = in_turn(watched.pipelines, previous.behind)
        first = await read_some([each for each in turn if each not in previous.at], self._first, at_once=AT_ONCE)
        again = await self._again([each for each in turn if each in previous.at], previous)
        answers = [*first.results, *again.results]
        if not answers:
            raise_error(first.error, again.error)
        if answers and all(each.error for each in answers):
            raise next(each.error for each in answers if each.error)
        news = [
            News(project=each.project, run=run, commit=commit)
            for each in answers
            for run, commit in sorted(each.runs, key=_moved)
            if previous.seen.get(str(run.id)) != _mark(run)
        ]
        details = await read_some(news, self._detail, group=News.of_project, at_once=AT_ONCE)
        builds = {build.key: build for build in details.results if build is not None}
        left = {str(each.run.id) for each in details.left}
        seen = {str(run.id): _mark(run) for each in answers for run, _ in each.runs if str(run.id) not in left}
        behind = {each.project for each in details.left}
        sweep = now - previous.swept >= SWEEP_SECONDS
        missing = [
            key
            for key in sorted(watched.unfinished - builds.keys())
            if ((sweep and key.id not in seen) or key.pipeline not in watched.pipelines) and key.pipeline not in behind
        ]
        singly = await read_some(missing, self._build_or_none, at_once=AT_ONCE)
        builds |= {build.key: build for build in singly.results if build is not None}
        reached = {
            each.project: each.at if each.at is not None else now
            for each in answers
            if each.error is None and each.project not in behind
        }
        kept = {each: at for each, at in previous.at.items() if each in watched.pipelines and each not in reached}
        after = Cursor(
            at={**kept, **reached},
            seen=seen if not (first.left or again.left) else {**previous.seen, **seen},
            swept=now if sweep and not singly.left else previous.swept,
            behind=tuple(sorted({*first.left, *again.left, *behind})),
        )
        held = first_error(first.error, again.error, details.error, singly.error)
        return Changes(builds=tuple(builds.values()), cursor=after.encode(), held=held)

    async def _detail(self, news: News) -> Build | None:
        run = news.run
        try:
            if news.commit is not None:
                return await self._whole(run, news.project, news.commit)
            return await self._build(news.project, str(run.id))
        except NotFound:  # deleted since the list was made
            return None
        except UnexpectedResponse as exc:  # one odd build spoils no poll
            log.warning("a build of a poll does not read", extra={"error": str(exc), "build": run.id})
            return None

    async def _again(self, projects: list[str], previous: Cursor) -> PartialRead[str, Answered]:
        """Ask about projects that were asked about before, in fifties where GraphQL answers."""
        if not projects:
            return PartialRead()
        now = self._clock()
        if self._rest_until is None or now >= self._rest_until:
            try:
                return await self._by_graph(projects, previous)
            except (Rejected, NotFound, AuthFailed, UnexpectedResponse):
                self._rest_until = now + GRAPHQL_REST
        return await self._by_rest(projects, previous)

    async def _by_graph(self, projects: list[str], previous: Cursor) -> PartialRead[str, Answered]:
        answers: list[tuple[str, Answered]] = []
        alone: list[str] = []
        size = PROJECTS_AT_ONCE
        left = list(projects)
        error: ProviderError | None = None
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
            except (RateLimited, Unavailable) as exc:
                error = exc
                break
            left = left[size:]
            whole = {each.project: each for each in answered if not each.more}
            answers += [(each, _answered(whole[each], at)) for each in batch if each in whole]
            alone += [each for each in batch if each not in whole]
        # a project that GraphQL hides, or where more happened than it shows, is asked about by itself
        rest = await self._by_rest(alone, previous)
        return PartialRead(
            answers=(*answers, *rest.answers),
            left=(*left, *rest.left),
            error=error if error is not None else rest.error,
        )

    async def _by_rest(self, projects: list[str], previous: Cursor) -> PartialRead[str, Answered]:
        async def ask(project: str) -> Answered:
            query: dict[str, str | int] = {
                "updated_after": instant(previous.at[project] - OVERLAP_SECONDS),
                "order_by": "updated_at",
                "sort": "asc",
                "per_page": PER_PAGE,
            }
            return await self._list(project, query, SEARCH_PAGES)

        return await read_some(projects, ask, at_once=AT_ONCE)

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


def _moved(entry: tuple[wire.PipelineRun, wire.Commit | None]) -> tuple[float, int]:
    """Return what sorts runs by their last change."""
    run, _ = entry
    at = parse_time(run.updated_at)
    return (at.timestamp() if at else 0.0, run.id)


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
        previous = NewestPages.decode(cursor) or NewestPages()
        marks = previous.at
        pages = await read_some(in_turn(watched.pipelines, previous.behind), self._page, at_once=AT_ONCE)
        if not pages.answers:
            raise_error(pages.error)
        errors = [page.error for page in pages.results if page.error is not None]
        if errors and len(errors) == len(pages.results):
            raise errors[0]
        news = [
            OldNews(project=page.project, build=raw)
            for page in pages.results
            for raw in sorted(page.builds, key=_old_end)
            if marks.get(page.project, {}).get(str(raw.id)) != _old_mark(raw)
        ]
        read = await read_some(news, self._read_news, group=OldNews.of_project, at_once=AT_ONCE)
        builds = {build.key: build for build in read.results}
        after = {project: marks[project] for project in watched.pipelines if project in marks}
        for page in pages.results:
            if page.error is None:
                after[page.project] = {str(raw.id): _old_mark(raw) for raw in page.builds}
        for left in read.left:
            after[left.project].pop(str(left.build.id), None)
        behind = {left.project for left in read.left}
        missing = [
            key
            for key in sorted(watched.unfinished - builds.keys())
            if (key.id not in after.get(key.pipeline, {}) or key.pipeline not in watched.pipelines)
            and key.pipeline not in behind
        ]
        singly = await read_some(missing, build_or_none, at_once=AT_ONCE)
        builds |= {build.key: build for build in singly.results if build is not None}
        following = NewestPages(at=after, behind=tuple(sorted({*pages.left, *behind})))
        held = first_error(pages.error, read.error, singly.error)
        return Changes(builds=tuple(builds.values()), cursor=following.encode(), held=held)

    async def _read_news(self, news: "OldNews") -> Build:
        return await self._read(news.build, news.project)

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


@dataclass(frozen=True, slots=True, kw_only=True)
class OldNews:
    """A build of API v3 that changed since the last poll."""

    project: str
    build: wire.OldBuild

    def of_project(self) -> str:
        """Return the project whose builds are recorded in order."""
        return self.project


def _old_end(raw: wire.OldBuild) -> tuple[str, int]:
    """Return what sorts builds of v3 by their end."""
    return (raw.finished_at or raw.started_at or "", raw.id)


def _old_mark(raw: wire.OldBuild) -> str:
    """Return what distinguishes one state of a v3 build from the next: a build run again keeps its id."""
    return f"{(raw.status or '').lower()} {raw.started_at or ''} {raw.finished_at or ''}".strip()
