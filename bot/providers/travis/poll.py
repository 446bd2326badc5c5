"""The poll of an owner's repositories: what runs, and which of them have a new newest build."""

import msgspec

from bot.core.errors import NotFound
from bot.core.models import Build, BuildFilter, BuildKey, Changes, Watched
from bot.http.client import Query
from bot.providers.base.cursor import PollCursor
from bot.providers.base.listing import parse_items
from bot.providers.travis import wire
from bot.providers.travis.client import Client

POLL_PAGE = 25
POLL_PAGES = 4
NEWEST_BUILDS: Query = {
    "repository.active": True,
    "sort_by": "current_build:desc",
    "limit": POLL_PAGE,
    "skip_count": True,
    "include": "repository.last_started_build",
}


def mark(newest: wire.LastBuild | None) -> str:
    """Return a text that changes when a repository's newest build does; empty without a build."""
    return f"{newest.id} {newest.finished_at or newest.state or ''}".strip() if newest else ""


def build_of(mark_text: str) -> str:
    """Return the id of the build that a mark is about; empty where there was none."""
    return mark_text.partition(" ")[0]


class TravisCursor(PollCursor, frozen=True):
    """The newest build of each watched repository, as `mark` writes it."""

    marks: dict[str, str] = msgspec.field(default_factory=dict)


class Poll:
    """The requests of `changes`."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def changes(self, text: str | None, watched: Watched) -> Changes:
        """Return the builds that run, those of repositories with a new newest build, and those that ended since."""
        cursor = TravisCursor.decode(text) or TravisCursor()
        running = {build.key: build for build in await self._client.active()}
        newest = await self._newest(cursor, watched.pipelines)
        builds: dict[BuildKey, Build] = {}
        unlisted = watched.unfinished - running.keys()
        for pipeline in sorted(watched.pipelines):
            before, now = cursor.marks.get(pipeline), newest.get(pipeline, "")
            if before is None or build_of(before) != build_of(now):
                async for build in self._client.builds(pipeline, BuildFilter(limit=POLL_PAGE)):
                    builds[build.key] = build
            elif before != now:  # it ended, or was run again and has ended already
                unlisted |= {self._client.key(pipeline, build_of(now))}
        builds |= running  # the lists of repositories were read later, but report less
        for key in sorted(unlisted - running.keys()):
            try:
                builds[key] = await self._client.whole(key.pipeline, key.id)
            except NotFound:
                continue
        changed = tuple(
            build for build in builds.values() if build.pipeline in watched.pipelines or build.key in watched.unfinished
        )
        return Changes(builds=changed, cursor=TravisCursor(marks=newest).encode())

    async def _newest(self, cursor: TravisCursor, pipelines: frozenset[str]) -> dict[str, str]:
        """Return each watched repository's mark; further pages are read while every repository of a page has news."""
        marks = {pipeline: cursor.marks.get(pipeline, "") for pipeline in pipelines}
        async for page in self._client.repositories(NEWEST_BUILDS, ceiling=POLL_PAGES):
            all_news = bool(cursor.marks)
            for repository in parse_items(page, wire.Repository.of):
                pipeline, now = self._client.read_pipeline(repository).id, mark(repository.last_started_build)
                all_news = all_news and now != cursor.marks.get(pipeline)
                if pipeline in marks:
                    marks[pipeline] = now
            if not all_news:
                break
        return marks
