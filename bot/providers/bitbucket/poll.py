"""The poll of repositories: the newest runs of each, with details of those that changed."""

from dataclasses import dataclass

import msgspec

from bot.core.errors import NotFound, ProviderError
from bot.core.models import Build, BuildKey, Changes, Watched
from bot.providers.base.cursor import PollCursor
from bot.providers.base.listing import parse_items
from bot.providers.base.partial import first_error, in_turn, raise_error, read_some
from bot.providers.bitbucket import wire
from bot.providers.bitbucket.client import NEWEST_FIRST, POLL_PAGE, Client

POLL_PAGES = 10


class BitbucketCursor(PollCursor, frozen=True):
    """When each repository's newest run was created (as Bitbucket writes it), and how each listed run stood."""

    newest: dict[str, str] = msgspec.field(default_factory=dict)
    seen: dict[str, str] = msgspec.field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class _RepositoryPoll:
    """What the poll of one repository came to; `is_behind` where runs are left for the next one."""

    builds: tuple[Build, ...]
    seen: dict[str, str]
    newest: str
    is_behind: bool
    error: ProviderError | None


class Poll:
    """The requests of `changes`."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def changes(self, text: str | None, watched: Watched) -> Changes:
        """Return the newest runs of the watched repositories, and unfinished ones further down."""
        cursor = BitbucketCursor.decode(text) or BitbucketCursor()

        async def read(pipeline: str) -> _RepositoryPoll:
            return await self._repository(pipeline, cursor, watched)

        polls = await read_some(in_turn(watched.pipelines, cursor.behind), read)
        if not polls.answers:
            raise_error(polls.error)
        builds = {build.key: build for poll in polls.results for build in poll.builds}
        newest = {pipeline: poll.newest for pipeline, poll in polls.answers}
        seen = {uuid: stand for poll in polls.results for uuid, stand in poll.seen.items()}
        if polls.left:
            newest |= {pipeline: cursor.newest[pipeline] for pipeline in polls.left if pipeline in cursor.newest}
            seen = {**cursor.seen, **seen}
        behind = {*polls.left, *(pipeline for pipeline, poll in polls.answers if poll.is_behind)}
        missing = [key for key in sorted(watched.unfinished - builds.keys()) if key.pipeline not in behind]
        singly = await read_some(missing, self._single)
        builds |= {key: build for key, build in singly.answers if build is not None}
        following = BitbucketCursor(newest=newest, seen=seen, behind=tuple(sorted(behind)))
        held = first_error(polls.error, *(poll.error for poll in polls.results), singly.error)
        return Changes(builds=tuple(builds.values()), cursor=following.encode(), held=held)

    async def _repository(self, pipeline: str, cursor: BitbucketCursor, watched: Watched) -> _RepositoryPoll:
        """Read a repository's newest runs, with the details of those that changed since."""
        since = cursor.newest.get(pipeline)
        runs = await self._runs(pipeline, since)
        stands = {run.uuid: _stand(self._client.read(run, pipeline)) for run in runs}

        async def read(run: wire.PipelineRun) -> Build:
            build = self._client.read(run, pipeline)
            is_news = cursor.seen.get(run.uuid) != stands[run.uuid]
            is_first_poll = since is None and build.key not in watched.unfinished
            return await self._client.whole(run, pipeline) if is_news and not is_first_poll else build

        reading = await read_some(sorted(runs, key=_end), read, group=lambda _run: pipeline)
        left = {run.uuid for run in reading.left}
        newest = max((run.created_on or "" for run in runs), default="")
        return _RepositoryPoll(
            builds=tuple(reading.results),
            seen={uuid: stand for uuid, stand in stands.items() if uuid not in left},
            newest=since or "" if left else max(since or "", newest),
            is_behind=bool(left),
            error=reading.error,
        )

    async def _single(self, key: BuildKey) -> Build | None:
        try:
            return await self._client.whole(await self._client.run(key.pipeline, key.id), key.pipeline)
        except NotFound:
            return None

    async def _runs(self, pipeline: str, since: str | None) -> list[wire.PipelineRun]:
        """Return the newest thirty runs, and those before them down to `since` if that is further."""
        runs: list[wire.PipelineRun] = []
        query = {**NEWEST_FIRST, "pagelen": POLL_PAGE}
        async for page in self._client.pages(self._client.path(pipeline, "pipelines"), query, ceiling=POLL_PAGES):
            runs += parse_items(page, wire.PipelineRun.of)
            if not since or any((run.created_on or "") <= since for run in runs):
                break
        return runs


def _end(run: wire.PipelineRun) -> tuple[str, str]:
    """Return what sorts runs by their end; those that run come first."""
    return (run.completed_on or "", run.created_on or "")


def _stand(build: Build) -> str:
    """Return a text that is another one when a build has changed."""
    ended = build.completed_at.isoformat() if build.completed_at else ""
    return f"{build.raw_state or ''} {ended}".strip()
