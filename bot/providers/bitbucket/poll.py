"""The poll of repositories: the newest runs of each, with details of those that changed."""

import msgspec

from bot.core.errors import NotFound
from bot.core.models import Build, BuildKey, Changes, Watched
from bot.providers.base.cursor import PollCursor
from bot.providers.base.listing import parse_items
from bot.providers.bitbucket import wire
from bot.providers.bitbucket.client import NEWEST_FIRST, POLL_PAGE, Client

POLL_PAGES = 10


class BitbucketCursor(PollCursor, frozen=True):
    """When each repository's newest run was created (as Bitbucket writes it), and how each listed run stood."""

    newest: dict[str, str] = msgspec.field(default_factory=dict)
    seen: dict[str, str] = msgspec.field(default_factory=dict)


class Poll:
    """The requests of `changes`."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def changes(self, text: str | None, watched: Watched) -> Changes:
        """Return the newest runs of the watched repositories, and unfinished ones further down."""
        cursor = BitbucketCursor.decode(text) or BitbucketCursor()
        builds: dict[BuildKey, Build] = {}
        newest: dict[str, str] = {}
        seen: dict[str, str] = {}
        for pipeline in sorted(watched.pipelines):
            since = cursor.newest.get(pipeline)
            newest[pipeline] = since or ""
            for run in await self._runs(pipeline, since):
                build = self._client.read(run, pipeline)
                seen[run.uuid] = _stand(build)
                newest[pipeline] = max(newest[pipeline], run.created_on or "")
                is_news = cursor.seen.get(run.uuid) != seen[run.uuid]
                is_first_poll = since is None and build.key not in watched.unfinished
                builds[build.key] = await self._client.whole(run, pipeline) if is_news and not is_first_poll else build
        for key in sorted(watched.unfinished - builds.keys()):
            try:
                builds[key] = await self._client.whole(await self._client.run(key.pipeline, key.id), key.pipeline)
            except NotFound:
                continue
        return Changes(builds=tuple(builds.values()), cursor=BitbucketCursor(newest=newest, seen=seen).encode())

    async def _runs(self, pipeline: str, since: str | None) -> list[wire.PipelineRun]:
        """Return the newest thirty runs, and those before them down to `since` if that is further."""
        runs: list[wire.PipelineRun] = []
        query = {**NEWEST_FIRST, "pagelen": POLL_PAGE}
        async for page in self._client.pages(self._client.path(pipeline, "pipelines"), query, ceiling=POLL_PAGES):
            runs += parse_items(page, wire.PipelineRun.of)
            if not since or any((run.created_on or "") <= since for run in runs):
                break
        return runs


def _stand(build: Build) -> str:
    """Return a text that is another one when a build has changed."""
    ended = build.completed_at.isoformat() if build.completed_at else ""
    return f"{build.raw_state or ''} {ended}".strip()
