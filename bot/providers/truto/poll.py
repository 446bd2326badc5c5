"""The poll of one pipeline after another: Truto has no list for a whole account."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta

import msgspec

from bot.core.clock import Clock
from bot.core.errors import AuthFailed, NotFound
from bot.core.models import Build, BuildKey, Changes, Status, Watched
from bot.providers.base.cursor import PollCursor
from bot.providers.base.partial import first_error, in_turn, raise_error, read_some
from bot.providers.truto.client import SET_UP_STATES, Client
from bot.providers.truto.errors import RECONNECT
from bot.providers.truto.options import LABEL

POLL_PAGES = 5
IDS_KEPT = 30
ASK_AGAIN_AFTER = timedelta(minutes=1)


class TrutoCursor(PollCursor, frozen=True):
    """For each pipeline the ids of the newest builds that the last poll saw, and whether each was completed."""

    seen: Mapping[str, Mapping[str, bool]] = msgspec.field(default_factory=dict)

    def builds_of(self, pipeline: str) -> frozenset[str]:
        """Return the ids of the builds that the last poll saw."""
        return frozenset(self.seen.get(pipeline, {}))

    def completed(self, pipeline: str) -> frozenset[str]:
        """Return the ids of the builds that the last poll saw completed."""
        return frozenset(build for build, done in self.seen.get(pipeline, {}).items() if done)


class Poll:
    """The requests of `changes`."""

    def __init__(self, client: Client, clock: Clock) -> None:
        self._client = client
        self._clock = clock
        self._refused_at: datetime | None = None

    async def changes(self, text: str | None, watched: Watched) -> Changes:
        """Return the newest builds of each watched pipeline, and unfinished ones further down."""
        await self._check_connected()
        cursor = TrutoCursor.decode(text) or TrutoCursor()

        async def recent(pipeline: str) -> list[Build]:
            return await self._recent(pipeline, cursor)

        try:
            lists = await read_some(in_turn(watched.pipelines, cursor.behind), recent)
            if not lists.answers:
                raise_error(lists.error)
            builds = {build.key: build for listed in lists.results for build in listed if build.raw_state is not None}
            missing = [key for key in sorted(watched.unfinished - builds.keys()) if key.pipeline not in lists.left]
            singly = await read_some(missing, self._build)
        except AuthFailed as exc:
            if exc.hint == RECONNECT:
                self._refused_at = self._clock()
            raise
        builds |= {key: build for key, build in singly.answers if build is not None}
        seen = {pipeline: cursor.seen[pipeline] for pipeline in lists.left if pipeline in cursor.seen}
        seen |= {
            pipeline: {build.id: build.completed for build in listed[:IDS_KEPT]} for pipeline, listed in lists.answers
        }
        following = TrutoCursor(seen=seen, behind=tuple(sorted(lists.left)))
        held = first_error(lists.error, singly.error)
        return Changes(builds=tuple(builds.values()), cursor=following.encode(), held=held)

    async def _build(self, key: BuildKey) -> Build | None:
        try:
            return await self._client.build(key.pipeline, key.id)
        except NotFound:
            return None

    async def _recent(self, pipeline: str, cursor: TrutoCursor) -> list[Build]:
        """Return the newest builds, back to the first page that shows one seen before."""
        known_ids, completed = cursor.builds_of(pipeline), cursor.completed(pipeline)
        builds: list[Build] = []
        async for page in self._client.newest_pages(pipeline, ceiling=POLL_PAGES if known_ids else 1):
            for listed in page:
                if listed.raw_state in SET_UP_STATES and listed.id in completed:
                    # seen to its end before, and the list could not show another
                    builds.append(replace(listed, raw_state=None, status=Status.COMPLETED))
                else:
                    builds.append(await self._client.settled(listed))
            if known_ids & {build.id for build in builds}:
                break
        return builds

    async def _check_connected(self) -> None:
        """Raise AuthFailed while the connection waits for somebody to reconnect it; only Truto is asked, once a minute."""
        if self._refused_at is None:
            return
        now = self._clock()
        if now - self._refused_at < ASK_AGAIN_AFTER:
            raise AuthFailed(
                f"{self._client.system} refused the credentials of {LABEL}'s connection.",
                provider=LABEL,
                status=401,
                hint=RECONNECT,
            )
        self._refused_at = now
        self._client.refuse_disconnected(await self._client.account())
        self._refused_at = None
