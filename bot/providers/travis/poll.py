"""The poll of an owner's repositories: what runs, and which of them have a new newest build."""

import msgspec

from bot.core.errors import NotFound
from bot.core.models import Build, BuildFilter, BuildKey, Changes, Watched
from bot.http.client import Query
from bot.providers.base.cursor import PollCursor
from bot.providers.base.listing import parse_items
from bot.providers.base.partial import first_error, in_turn, read_some
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
        unlisted = watched.unfinished - running.keys()
        to_list: list[str] = []
        for pipeline in in_turn(watched.pipelines, cursor.behind):
            before, now = cursor.marks.get(pipeline), newest.get(pipeline, "")
            if before is None or build_of(before) != build_of(now):
                to_list.append(pipeline)
            elif before != now:  # it ended, or was run again and has ended already
                unlisted |= {self._client.key(pipeline, build_of(now))}
        lists = await read_some(to_list, self._builds)
        builds = {build.key: build for listed in lists.results for build in listed}
        builds |= running  # the lists of repositories were read later, but report less
        missing = [key for key in sorted(unlisted - running.keys()) if key.pipeline not in lists.left]
        singly = await read_some(missing, self._whole, group=lambda key: key.pipeline)
        builds |= {key: build for key, build in singly.answers if build is not None}
        changed = tuple(
            build for build in builds.values() if build.pipeline in watched.pipelines or build.key in watched.unfinished
        )
        behind = {*lists.left, *(key.pipeline for key in singly.left)}
        marks = {pipeline: now for pipeline, now in newest.items() if pipeline not in behind}
        marks |= {pipeline: cursor.marks[pipeline] for pipeline in behind & cursor.marks.keys()}
        following = TravisCursor(marks=marks, behind=tuple(sorted(behind)))
        return Changes(builds=changed, cursor=following.encode(), held=first_error(lists.error, singly.error))

    async def _builds(self, pipeline: str) -> list[Build]:
        return [build async for build in self._client.builds(pipeline, BuildFilter(limit=POLL_PAGE))]

    async def _whole(self, key: BuildKey) -> Build | None:
        try:
            return await self._client.whole(key.pipeline, key.id)
        except NotFound:
            return None

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
