"""The poll of a whole organization."""

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime, timedelta
from typing import Annotated

import httpx
import msgspec

from bot.core.clock import Clock
from bot.core.errors import Rejected
from bot.core.models import Build, BuildKey, Changes, Watched
from bot.http.client import Query
from bot.providers.base.cursor import PollCursor
from bot.providers.base.partial import read_some
from bot.providers.buildkite.client import BuildkiteClient

ACTIVE = ("creating", "scheduled", "running", "failing", "canceling")
OVERLAP = timedelta(minutes=3)
BACKLOG = timedelta(days=30)
WAITING_PAGES = 3
WAITING_EVERY = 5
"""Every how many ticks the waiting builds are listed: they never end by themselves and change rarely."""


class Cursor(PollCursor, frozen=True):
    """Since when builds are asked for, at which tick, and which watched builds wait for a person."""

    since: Annotated[datetime, msgspec.Meta(tz=True)] | None = None
    tick: int = 0
    waiting: frozenset[str] = frozenset()


def waiting_key(key: BuildKey) -> str:
    """Return a build's name within this connection, as the cursor keeps it."""
    return f"{key.pipeline}#{key.id}"


class Poll:
    """Asks for what changed in one organization."""

    def __init__(self, client: BuildkiteClient, read: Callable[[msgspec.Raw], Build], clock: Clock) -> None:
        self._client = client
        self._read = read
        self._clock = clock

    async def changes(
        self, cursor: str | None, watched: Watched, build_or_none: Callable[[BuildKey], Awaitable[Build | None]]
    ) -> Changes:
        """Return what changed since the cursor. Two requests a tick, three every fifth; more only for long lists.

        One more for each unfinished build that no list shows (skipped, or waiting since).
        """
        now = self._clock()
        state = Cursor.decode(cursor) or Cursor()
        builds: dict[BuildKey, Build] = {}
        async for build in self._finished_since((state.since or now) - OVERLAP):
            builds[build.key] = build
        async for build in self._listed({"state[]": ACTIVE}):
            builds[build.key] = build  # read later than the finished ones
        if state.tick % WAITING_EVERY == 0:
            recent: Query = {"state[]": ("blocked",), "created_from": (now - BACKLOG).isoformat()}
            async for build in self._listed(recent, ceiling=WAITING_PAGES):
                builds[build.key] = build
        unlisted = watched.unfinished - builds.keys()
        still_waiting = {key for key in unlisted if waiting_key(key) in state.waiting}
        singly = await read_some(sorted(unlisted - still_waiting), build_or_none)
        builds |= {key: build for key, build in singly.answers if build is not None}
        changed = tuple(
            build for build in builds.values() if build.pipeline in watched.pipelines or build.key in watched.unfinished
        )
        waiting = {waiting_key(key) for key in still_waiting} | {
            waiting_key(build.key) for build in changed if build.waiting and not build.completed
        }
        following = Cursor(since=now, tick=state.tick + 1, waiting=frozenset(waiting))
        return Changes(builds=changed, cursor=following.encode(), held=singly.error)

    async def _listed(self, query: Query, *, ceiling: int = 100) -> AsyncIterator[Build]:
        async for build in self._client.all_builds(self._read, query, ceiling=ceiling):
            yield build

    async def _finished_since(self, since: datetime) -> AsyncIterator[Build]:
        """Yield what finished. The list is sorted by creation, so all of it is read.

        Deep pages are refused with 400: then the list goes on with what was created up to the oldest build seen.
        """
        narrowed: Query = {}
        oldest: datetime | None = None
        while True:
            reached = oldest
            try:
                async for build in self._listed({"finished_from": since.isoformat(), **narrowed}):
                    oldest = min(filter(None, (oldest, build.created_at)), default=None)
                    yield build
            except Rejected as exc:
                if exc.status != httpx.codes.BAD_REQUEST or oldest is None or oldest == reached:
                    raise
                narrowed = {"created_from": (since - BACKLOG).isoformat(), "created_to": oldest.isoformat()}
            else:
                return
