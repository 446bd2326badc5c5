"""What changed since the last look: lanes, leases, taps, catching up, outages.

A lane is a connection, or its part that needs a poll of its own. Any number of workers share the lanes by leases in
the store. A tap and a tick both end in `look`.
"""

import asyncio
import logging
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import msgspec

from bot import notices
from bot.clock import Clock
from bot.errors import BotError, NotFound, ProviderError, RateLimited
from bot.http import Quota
from bot.models import Build, BuildKey, Changes, Issue, Watched
from bot.providers.base import AnyProvider, Capability
from bot.store import Recorded, Store
from bot.store.tables import LaneRow, NoticeRow, RoundRow
from bot.tasks import Tasks

log = logging.getLogger(__name__)

LEASE_SECONDS = 120.0
LOOK_SECONDS = 90.0
COUNTS_SECONDS = 25.0
BATCH = 50
MOST_AT_ONCE = 200
TICK_SECONDS = 0.5
OUTAGE_AFTER = timedelta(minutes=10)
COUNTS_AGAIN = (15.0, 60.0, 300.0)
SHARE_OF_QUOTA = 0.5
LONGEST_PAUSE_SECONDS = 900.0
FAILURES_KEPT = 3

Decide = Callable[[Sequence[Recorded]], Sequence[NoticeRow]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How often to look: `busy_seconds` while a watched build is unfinished, `idle_seconds` else."""

    busy_seconds: float = 10.0
    idle_seconds: float = 60.0


def pause_seconds(pace: Pace, *, busy: bool, quota: Quota | None, spent: int, now: datetime) -> float:
    """Return how long to wait before the next look, without jitter.

    A look that costs `spent` requests must leave half of the quota to others: below half, the next look waits for
    the reset; above, looks are spread so that they would not use more than the half.
    """
    wanted = pace.busy_seconds if busy else pace.idle_seconds
    if quota is None or quota.limit <= 0:
        return wanted
    free = quota.remaining - quota.limit * SHARE_OF_QUOTA
    left = (quota.resets_at - now) / timedelta(seconds=1) if quota.resets_at else 60.0
    if left <= 0:
        return wanted
    if free <= 0:
        return min(max(wanted, left), LONGEST_PAUSE_SECONDS)
    looks = free / max(spent, 1)
    return min(max(wanted, left / looks), LONGEST_PAUSE_SECONDS)


class Watcher:
    """The poller. `provider_of` returns a connection by name (None where it is gone)."""

    def __init__(
        self,
        store: Store,
        *,
        provider_of: Callable[[str], AnyProvider | None],
        pace: Pace,
        clock: Clock,
        owner: str,
        wake_outbox: Callable[[], None],
        looked: Callable[[str, str, float], None] = lambda _kind, _outcome, _seconds: None,
    ) -> None:
        self._store = store
        self._provider_of = provider_of
        self._pace = pace
        self._clock = clock
        self._owner = owner
        self._wake_outbox = wake_outbox
        self._looked = looked
        self._awake = asyncio.Event()
        self._tasks = Tasks(MOST_AT_ONCE)
        self._jitter = random.Random()  # noqa: S311 - spreads polls, hides nothing
        self.last_tick: datetime | None = None

    def wake(self) -> None:
        """Look at due lanes now rather than at the next tick."""
        self._awake.set()

    async def run(self) -> None:
        """Watch until cancelled; a slow look holds up no other."""
        try:
            while True:
                self._awake.clear()
                if await self.tick() and self._tasks.free:
                    continue
                try:
                    async with asyncio.timeout(TICK_SECONDS):
                        await self._awake.wait()
                except TimeoutError:
                    pass
        finally:
            await self._tasks.drain(0)

    async def tick(self) -> bool:
        """Start a look at every due lane and the fetching of due counts; return whether there was anything to do."""
        now = self._clock()
        self.last_tick = now
        room = min(self._tasks.free, BATCH)
        if not room:
            return False
        lanes = await self._store.claim_lanes(self._owner, now=now, lease_seconds=LEASE_SECONDS, limit=room)
        owed = await self._store.rounds_wanting_counts(now, room)
        for lane in lanes:
            self._tasks.start(self.look(lane), f"look at {lane.connection}")
        for round_ in owed:
            self._tasks.start(self._count(round_), f"count {round_.connection}")
        return bool(lanes or owed)

    async def settle(self) -> None:
        """Wait until everything started has ended."""
        await self._tasks.drain()

    async def look(self, lane: LaneRow) -> None:
        """Look at one claimed lane: what taps named, and the whole poll where that is due."""
        started = self._clock()
        provider = self._provider_of(lane.connection)
        if provider is None:
            await self._store.drop_lane(lane.connection, lane.part)
            return
        before = provider.requests
        try:
            async with asyncio.timeout(LOOK_SECONDS):
                changes = await self._ask(lane, provider, started)
        except TimeoutError:
            await self._failed(lane, provider, f"{provider.label} took longer than {LOOK_SECONDS:.0f} s.", None)
            return
        except ProviderError as exc:
            await self._failed(lane, provider, str(exc), exc)
            return
        recorded = await self.record(changes.builds, provider)
        pipelines, unfinished = await self._store.watched(lane.connection)
        now = self._clock()
        mine = [key for key in unfinished if provider.lane(key.pipeline) == lane.part]
        busy = bool(mine)
        polled = changes.cursor is not None or lane.poll_at <= started
        spent = provider.requests - before
        seconds = pause_seconds(self._pace, busy=busy, quota=provider.quota, spent=spent, now=now)
        seconds *= self._jitter.uniform(0.9, 1.1)
        poll_at = now + timedelta(seconds=seconds) if polled else min(lane.poll_at, now + timedelta(seconds=seconds))
        if not pipelines and not unfinished:
            await self._store.drop_lane(lane.connection, lane.part)
            return
        await self._store.release_lane(
            lane,
            cursor=changes.cursor,
            due_at=poll_at,
            poll_at=poll_at,
            interval_seconds=seconds,
            error=None,
            now=now,
        )
        if lane.failing_since is not None:
            await self._recovered(lane, provider)
        self._looked(provider.kind, "ok", (now - started) / timedelta(seconds=1))
        if recorded:
            self._wake_outbox()

    async def _ask(self, lane: LaneRow, provider: AnyProvider, now: datetime) -> Changes:
        hinted = [
            BuildKey(connection=lane.connection, pipeline=p, id=b)
            for p, b in await self._store.take_hints(lane.id or 0)
        ]
        builds: list[Build] = []
        for key in hinted:
            build = await provider.build_or_none(key)
            if build is not None:
                builds.append(build)
        cursor: str | None = None
        if lane.poll_at <= now:
            pipelines, unfinished = await self._store.watched(lane.connection)
            watched = Watched(
                pipelines=frozenset(p for p in pipelines if provider.lane(p) == lane.part),
                unfinished=frozenset(key for key in unfinished if provider.lane(key.pipeline) == lane.part),
            )
            if watched.pipelines or watched.unfinished:
                changes = await provider.changes(lane.cursor or None, watched)
                keep = watched.pipelines | {key.pipeline for key in watched.unfinished}
                builds += [build for build in changes.builds if build.pipeline in keep]
                cursor = changes.cursor or ""
                builds += await self._stragglers(provider, watched, builds)
        return Changes(builds=tuple(builds), cursor=cursor)

    async def _stragglers(self, provider: AnyProvider, watched: Watched, seen: Sequence[Build]) -> list[Build]:
        """Return unfinished builds that a poll of finished and active builds no longer lists: they ended unseen."""
        if not provider.can(Capability.ACCOUNT_POLL):
            return []
        missing = sorted(watched.unfinished - {build.key for build in seen})[:BATCH]
        found = [await provider.build_or_none(key) for key in missing]
        gone = [key for key, build in zip(missing, found, strict=True) if build is None]
        for key in gone:
            await self._store.forget_build(key)
        return [build for build in found if build is not None]

    async def record(self, builds: Sequence[Build], provider: AnyProvider) -> list[Recorded]:
        """Write what was seen, with the notices it makes, and fetch the counts of rounds that have just ended."""
        if not builds:
            return []
        now = self._clock()
        can_count, can_list = provider.can(Capability.COUNTS), provider.can(Capability.ISSUES)

        def decide(batch: Sequence[Recorded]) -> Sequence[NoticeRow]:
            return notices.decide(batch, now=now, can_count=can_count, can_list=can_list)

        recorded = await self._store.record(
            builds, decide, now=now, counts_after=timedelta(0) if can_count or can_list else None
        )
        if recorded:
            self._wake_outbox()
        if any(one.finished is not None for one in recorded):
            self._awake.set()  # their counts are due now
        return recorded

    async def _count(self, round_: RoundRow) -> None:
        provider = self._provider_of(round_.connection)
        key = BuildKey(connection=round_.connection, pipeline=round_.pipeline, id=round_.build)
        known = await self._store.build(key)
        if provider is None or known is None:
            await self._store.give_up_counts(round_.id or 0)
            return
        build = known[0]
        try:
            async with asyncio.timeout(COUNTS_SECONDS):
                counts = await provider.counts(build) if provider.can(Capability.COUNTS) else build.issues
                failures = await self._failures(provider, build)
        except (ProviderError, TimeoutError) as exc:
            log.info("issue counts could not be read", extra={"connection": round_.connection, "why": str(exc)})
            if round_.counts_tries >= len(COUNTS_AGAIN) or isinstance(exc, NotFound):
                await self._store.give_up_counts(round_.id or 0)
            return
        await self._store.set_counts(
            key,
            round_.round,
            counts,
            self._clock(),
            failures=msgspec.json.encode(failures[:FAILURES_KEPT]).decode() if failures else "",
            failures_total=len(failures),
        )
        self._wake_outbox()

    async def _failures(self, provider: AnyProvider, build: Build) -> Sequence[Issue]:
        is_red = build.conclusion is not None and build.conclusion.is_red
        if not is_red or not provider.can(Capability.ISSUES):
            return ()
        try:
            found = await provider.issues(build.pipeline, build.id)
        except ProviderError:
            return ()
        kinds = ("test_failure", "error")
        return sorted(
            (issue for issue in found if issue.kind.value in kinds), key=lambda issue: kinds.index(issue.kind.value)
        )

    async def _failed(self, lane: LaneRow, provider: AnyProvider, said: str, exc: BotError | None) -> None:
        now = self._clock()
        if lane.failing_since is None:
            log.info("a connection fails", extra={"connection": lane.connection, "why": said})
        since = lane.failing_since or now
        failing = (now - since) / timedelta(seconds=1)
        seconds = min(max(self._pace.busy_seconds, failing / 4), 60.0) * self._jitter.uniform(0.9, 1.1)
        if isinstance(exc, RateLimited):
            seconds = max(seconds, min(exc.retry_after, LONGEST_PAUSE_SECONDS) * self._jitter.uniform(1.0, 1.1))
        due = now + timedelta(seconds=seconds)
        await self._store.release_lane(
            lane, cursor=None, due_at=due, poll_at=due, interval_seconds=seconds, error=said, now=now
        )
        self._looked(provider.kind, type(exc).__name__ if exc else "timeout", 0.0)
        if lane.told_at is None and now - since >= OUTAGE_AFTER:
            await self._tell(lane, since, said, over=False)
            await self._store.lane_told(lane.id or 0, now)

    async def _recovered(self, lane: LaneRow, provider: AnyProvider) -> None:
        log.info("a connection works again", extra={"connection": lane.connection})
        if lane.told_at is not None and lane.failing_since is not None:
            await self._tell(lane, lane.failing_since, provider.label, over=True)

    async def _tell(self, lane: LaneRow, since: datetime, said: str, *, over: bool) -> None:
        links = [link for link in await self._store.all_links() if link.connection == lane.connection]
        channels = sorted({(link.team, link.channel) for link in links if link.subscribed and not link.paused_reason})
        rows = notices.outage_rows(channels, lane.connection, since, said, over=over, now=self._clock())
        await self._store.add_notices(rows)
        self._wake_outbox()
