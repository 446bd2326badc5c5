"""Poll what changed: poll targets and their leases, webhook events, catching up after a downtime.

A poll target is a connection, or its part that needs a poll of its own. Any number of workers share the poll targets by
leases in the store. A webhook event and a tick both end in `poll`.
"""

import asyncio
import contextlib
import logging
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from bot.core.clock import Clock
from bot.core.errors import BotError, BudgetSpent, ProviderError, RateLimited, Unavailable
from bot.core.models import Build, BuildKey, Changes, Watched
from bot.core.tasks import Tasks
from bot.core.tracing import traced
from bot.http.budget import Purpose, spending
from bot.http.quota import Quota
from bot.monitoring.catalogue import Catalogue
from bot.monitoring.details import LEASE_SECONDS as DETAILS_LEASE_SECONDS
from bot.monitoring.details import Details
from bot.monitoring.outages import Outages
from bot.monitoring.recorder import Recorder
from bot.providers.base.capabilities import Capability
from bot.providers.base.cursor import PollCursor
from bot.providers.base.partial import first_error, read_some
from bot.providers.base.provider import AnyProvider
from bot.store import Recorded, Store
from bot.store.rows import AttemptRow, PollTargetRow

log = logging.getLogger(__name__)

LEASE_SECONDS = 25.0
"""A dead process's poll targets go to another one by then."""
RENEW_SECONDS = 8.0
POLL_SECONDS = 90.0
BATCH = 50
MOST_AT_ONCE = 200
TICK_SECONDS = 0.5
GONE_SECONDS = 60.0
ENSURE_SECONDS = 300.0
SHARE_OF_QUOTA = 0.5
SHARE_AT_FULL_PACE = 0.75
"""Above this share of the quota a connection with running builds is polled at its busy pace."""
LONGEST_PAUSE_SECONDS = 900.0
MOST_NEIGHBOURS = 5
WHOLE_AGAIN = timedelta(seconds=4)
"""How soon the whole is read again for webhook events whose builds can't be told alone."""
LEAST_SINGLY, MOST_SINGLY = 5, 40
"""How many unfinished builds a poll may have to read one by one: fewer after one for which the budget was too small."""
SHORT_PAUSE_SECONDS = 25.0
"""After a poll for which the budget was too small: until about half a minute's requests are free again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How often to poll: `busy_seconds` while a watched build is unfinished, `idle_seconds` else."""

    busy_seconds: float = 10.0
    idle_seconds: float = 60.0


def pause_seconds(pace: Pace, *, busy: bool, quota: Quota | None, spent: int, now: datetime) -> float:
    """Return how long to wait before the next poll, without jitter.

    A poll that costs `spent` requests must leave half of the quota to others: below half, the next poll waits for
    the reset; above, polls are spread so that they would not use more than the half. While builds run and most of the
    quota is left, it is spent on them at the busy pace: quiet hours have saved it for that.
    """
    seconds = pace.busy_seconds if busy else pace.idle_seconds
    if quota is None or quota.limit <= 0:
        return seconds
    if busy and quota.remaining >= quota.limit * SHARE_AT_FULL_PACE:
        return seconds
    free = quota.remaining - quota.limit * SHARE_OF_QUOTA
    left = (quota.resets_at - now) / timedelta(seconds=1) if quota.resets_at else 60.0
    if left <= 0:
        return seconds
    if free <= 0:
        return min(max(seconds, left), LONGEST_PAUSE_SECONDS)
    polls = free / max(spent, 1)
    return min(max(seconds, left / polls), LONGEST_PAUSE_SECONDS)


def _is_behind(poll_target: PollTargetRow) -> bool:
    """Return whether the last poll of a target had no budget for some of its pipelines."""
    cursor = PollCursor.decode(poll_target.cursor)
    return cursor is not None and bool(cursor.behind)


class Poller:
    """The poller.

    `provider_of` returns a connection by name (None where it is gone), `find` looks for
    one that is missed in the store, `sees` says whether a workspace may see one.
    """

    def __init__(
        self,
        store: Store,
        *,
        provider_of: Callable[[str], AnyProvider | None],
        find: Callable[[str], Awaitable[AnyProvider | None]] | None = None,
        pace: Pace,
        clock: Clock,
        owner: str,
        wake_outbox: Callable[[], None],
        sees: Callable[[str, str], bool] = lambda _team, _connection: True,
        polled: Callable[[str, str, float], None] = lambda _kind, _outcome, _seconds: None,
    ) -> None:
        self._store = store
        self._provider_of = provider_of
        self._find = find
        self._pace = pace
        self._clock = clock
        self._owner = owner
        self._wake_outbox = wake_outbox
        self._sees = sees
        self._polled = polled
        self._recorder = Recorder(store, clock=clock, sees=sees)
        self._details = Details(store, self._recorder, provider_of=provider_of, clock=clock)
        self._outages = Outages(store, clock=clock, sees=sees)
        self._catalogue = Catalogue(store, provider_of=provider_of, clock=clock)
        self._ensure_at: datetime | None = None
        self._awake = asyncio.Event()
        self._tasks = Tasks(MOST_AT_ONCE)
        self._polling: set[int] = set()
        self._singly: dict[int, int] = {}
        self._whole_at: dict[int, datetime] = {}
        self._hurried: set[int] = set()
        self._renewed_at = clock()
        self._jitter = random.Random()  # noqa: S311 - spreads polls, hides nothing
        self.last_tick: datetime | None = None

    def wake(self) -> None:
        """Poll due targets now rather than at the next tick."""
        self._awake.set()

    async def run(self) -> None:
        """Poll until cancelled; a slow poll holds up no other, and a database that is away only delays."""
        is_first = True
        try:
            while True:
                self._awake.clear()
                is_busy = False
                try:
                    if is_first and self._store.dialect == "sqlite":
                        # SQLite has one worker: whoever leased something before this start is gone.
                        await self._store.polling.release_leases()
                        await self._store.attempts.release_leases(self._clock())
                    is_first = False
                    is_busy = await self.tick()
                except BotError as exc:
                    log.warning("the poller can't read what is due", extra={"why": str(exc)})
                if is_busy and self._tasks.free:
                    continue
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(TICK_SECONDS):
                        await self._awake.wait()
        finally:
            await self._tasks.drain(0)

    async def tick(self) -> bool:
        """Start the poll of every due target and the reading of due details; return whether there was anything to do."""
        now = self._clock()
        self.last_tick = now
        await self._renew_leases(now)
        if self._ensure_at is None or now >= self._ensure_at:
            self._ensure_at = now + timedelta(seconds=ENSURE_SECONDS)
            await self.ensure_poll_targets()
            self._tasks.start(self._refresh_catalogue(), "refresh linked pipelines")
        capacity = min(self._tasks.free, BATCH)
        if not capacity:
            return False
        poll_targets = await self._store.polling.claim(
            self._owner, now=now, lease_seconds=LEASE_SECONDS, limit=capacity
        )
        owed = await self._store.attempts.claim_uncounted(now, capacity, DETAILS_LEASE_SECONDS)
        for poll_target in poll_targets:
            self._tasks.start(self.poll(poll_target), f"poll {poll_target.connection}")
        for attempt in owed:
            self._tasks.start(self._read_details(attempt), f"details {attempt.connection}")
        return bool(poll_targets or owed)

    async def _renew_leases(self, now: datetime) -> None:
        """Keep the leases of what is being polled, before they end."""
        if now - self._renewed_at >= timedelta(seconds=RENEW_SECONDS):
            self._renewed_at = now
            if self._polling:
                await self._store.polling.renew(self._owner, self._polling, now + timedelta(seconds=LEASE_SECONDS))

    async def ensure_poll_targets(self) -> None:
        """Make the poll targets that are missing for what is watched, as after a change of the configuration."""
        existing = {(poll_target.connection, poll_target.part) for poll_target in await self._store.polling.targets()}
        for connection, pipeline in await self._store.polling.watched_pipelines():
            provider = await self._look_up(connection)
            if provider is not None and (target := (connection, provider.poll_target(pipeline))) not in existing:
                existing.add(target)
                await self._store.polling.ensure(*target, now=self._clock())

    async def _refresh_catalogue(self) -> None:
        with spending(Purpose.COUNTS):
            is_changed = await self._catalogue.refresh()
        if is_changed:
            self._wake_outbox()

    async def _look_up(self, connection: str) -> AnyProvider | None:
        """Return a connection by name, as another process may just have made it."""
        provider = self._provider_of(connection)
        return provider if provider is not None or self._find is None else await self._find(connection)

    async def _read_details(self, attempt: AttemptRow) -> None:
        with spending(Purpose.COUNTS):
            await self._look_up(attempt.connection)
            await self._details.read(attempt)
        self._wake_outbox()

    async def settle(self) -> None:
        """Wait until everything started has ended."""
        await self._tasks.drain()

    async def poll(self, poll_target: PollTargetRow) -> None:
        """Poll one claimed target: what webhook events named, and the whole where that is due."""
        self._polling.add(poll_target.id)
        try:
            with traced(f"p{poll_target.id}-{poll_target.fence}"):
                await self._poll(poll_target)
        except asyncio.CancelledError:
            # A stop: whoever starts next need not wait for the lease to end.
            now = self._clock()
            await self._give_back(poll_target, now, now, error=poll_target.last_error or None)
            raise
        finally:
            self._polling.discard(poll_target.id)

    async def _poll(self, poll_target: PollTargetRow) -> None:
        started = self._clock()
        provider = await self._look_up(poll_target.connection)
        if provider is None:
            await self._gone(poll_target, started)
            return
        try:
            with spending(Purpose.POLL) as spent:
                async with asyncio.timeout(POLL_SECONDS):
                    changes = await self._read_changes(poll_target, provider, started)
        except TimeoutError:
            await self._failed(poll_target, provider, f"{provider.label} took longer than {POLL_SECONDS:.0f} s.", None)
            return
        except ProviderError as exc:
            await self._failed(poll_target, provider, str(exc), exc)
            return
        if poll_target.failing_since is not None and await self._outages.recovered(poll_target, provider):
            self._wake_outbox()  # posted before what finished meanwhile
        await self.record(changes.builds, provider, claimed=poll_target)
        watched = await self._watched(poll_target, provider)
        if not watched.pipelines and not watched.unfinished:
            await self._drop(poll_target, provider)
            return
        now = self._clock()
        polled = changes.cursor is not None or poll_target.poll_at <= started
        is_busy = bool(watched.unfinished) or (changes.held is not None and not polled)
        seconds = pause_seconds(self._pace, busy=is_busy, quota=provider.quota, spent=spent.requests, now=now)
        if isinstance(changes.held, RateLimited):
            seconds = max(seconds, self._quiet_seconds(poll_target, changes.held))
        seconds *= self._jitter.uniform(0.9, 1.1)
        next_at = now + timedelta(seconds=seconds)
        poll_at = next_at if polled else min(poll_target.poll_at, next_at)
        if poll_target.id in self._hurried:
            self._hurried.discard(poll_target.id)
            poll_at = min(poll_at, now + WHOLE_AGAIN)
        await self._store.polling.release(
            poll_target,
            cursor=changes.cursor,
            due_at=poll_at,
            poll_at=poll_at,
            interval_seconds=seconds,
            error=None,
            now=now,
        )
        self._polled(provider.kind, "ok" if changes.held is None else "partial", (now - started) / timedelta(seconds=1))
        if poll_target.id in self._singly and changes.held is None:
            self._singly[poll_target.id] = min(2 * self._singly[poll_target.id], MOST_SINGLY)

    async def _watched(self, poll_target: PollTargetRow, provider: AnyProvider) -> Watched:
        """Return what is watched of a poll target."""
        pipelines, unfinished = await self._store.polling.watched(poll_target.connection)
        return Watched(
            pipelines=frozenset(p for p in pipelines if provider.poll_target(p) == poll_target.part),
            unfinished=frozenset(key for key in unfinished if provider.poll_target(key.pipeline) == poll_target.part),
        )

    def _some(self, poll_target: PollTargetRow, watched: Watched) -> Watched:
        """Return what a poll asks for: where many builds are unfinished, other ones each time."""
        most = self._singly.get(poll_target.id, MOST_SINGLY)
        if len(watched.unfinished) <= most:
            return watched
        of_links = sorted(key for key in watched.unfinished if key.pipeline in watched.pipelines)
        alone = sorted(watched.unfinished.difference(of_links))  # no list of a link has them: they come first
        first = self._jitter.sample(alone, k=min(len(alone), most))
        then = self._jitter.sample(of_links, k=min(len(of_links), max(most - len(first), LEAST_SINGLY)))
        return replace(watched, unfinished=frozenset((*first, *then)))

    async def _gone(self, poll_target: PollTargetRow, now: datetime) -> None:
        """Leave a poll target alone whose connection this process does not know: it was taken out, or has just been made."""
        pipelines, unfinished = await self._store.polling.watched(poll_target.connection)
        if not pipelines and not unfinished:
            await self._store.polling.drop(poll_target.connection, poll_target.part)
            return
        await self._give_back(
            poll_target,
            now,
            now + timedelta(seconds=GONE_SECONDS),
            error=f"There is no connection `{poll_target.connection}`.",
        )

    async def _drop(self, poll_target: PollTargetRow, provider: AnyProvider) -> None:
        """Drop a poll target that nobody follows any more, unless somebody began to follow it meanwhile."""
        await self._store.polling.drop(poll_target.connection, poll_target.part)
        watched = await self._watched(poll_target, provider)
        if watched.pipelines or watched.unfinished:
            await self._store.polling.ensure(poll_target.connection, poll_target.part, now=self._clock())

    async def _give_back(
        self, poll_target: PollTargetRow, now: datetime, due_at: datetime, *, error: str | None
    ) -> bool:
        return await self._store.polling.release(
            poll_target,
            cursor=None,
            due_at=due_at,
            poll_at=due_at,
            interval_seconds=max((due_at - now) / timedelta(seconds=1), 0.0),
            error=error,
            now=now,
        )

    async def _read_changes(self, poll_target: PollTargetRow, provider: AnyProvider, now: datetime) -> Changes:
        """Return what a poll shows: only what webhook events named, or the whole where that is due.

        The whole is read, too, where an event named an end and many others may have ended before it: ends are recorded
        in order.
        """
        hints = await self._store.polling.take_hints(poll_target)
        is_due = poll_target.poll_at <= now
        if not hints and not is_due:
            return Changes(builds=(), cursor=None)
        watched = await self._watched(poll_target, provider)
        keys = [BuildKey(connection=poll_target.connection, pipeline=pipeline, id=id_) for pipeline, id_ in hints]
        named = [key for key in keys if await self._matters(key, watched)]
        if not is_due:
            if _is_behind(poll_target):
                return Changes(builds=(), cursor=None)  # ends are recorded in order: the next poll reads these, too
            changes = await self._named(named, watched, provider)
            if changes is not None:
                return changes
            if now - self._whole_at.get(poll_target.id, datetime.min.replace(tzinfo=UTC)) < WHOLE_AGAIN:
                self._hurried.add(poll_target.id)
                return Changes(builds=(), cursor=None)
        if not watched.pipelines and not watched.unfinished:
            return await self._named(named, watched, provider) or Changes(builds=(), cursor=None)
        self._whole_at[poll_target.id] = now
        some = self._some(poll_target, watched)
        changes = await provider.changes(poll_target.cursor or None, some)
        builds = [
            build for build in changes.builds if build.pipeline in watched.pipelines or build.key in watched.unfinished
        ]
        stragglers, error = await self._stragglers(provider, some, builds)
        builds += stragglers
        held = first_error(changes.held, error)
        if held is None:  # else the next poll finds them by itself, after what it could not read now
            missing = sorted(set(named) - {build.key for build in builds})
            rest = await read_some(missing, provider.build_or_none)
            builds += [build for build in rest.results if build is not None]
            held = rest.error
        if not builds and isinstance(held, Unavailable):
            raise held
        return Changes(builds=tuple(builds), cursor=changes.cursor or "", held=held)

    async def _named(self, named: Sequence[BuildKey], watched: Watched, provider: AnyProvider) -> Changes | None:
        """Return the builds that webhook events name; None where the whole has to be read for the order of their ends.

        Builds of the same pipelines that ran at the last poll may have ended before: at most five are read.
        """
        read = await read_some(named, provider.build_or_none)
        builds = [build for build in read.results if build is not None]
        ended = {build.pipeline for build in builds if build.completed}
        running = sorted({key for key in watched.unfinished if key.pipeline in ended} - {build.key for build in builds})
        if len(running) > MOST_NEIGHBOURS:
            return None
        neighbours = await read_some(running, provider.build_or_none)
        unknown = {key.pipeline for key in neighbours.left}
        builds = [build for build in builds if not (build.completed and build.pipeline in unknown)]
        builds += [build for build in neighbours.results if build is not None and build.completed]
        # what had no budget is read at the next poll, which finds it by itself
        return Changes(builds=tuple(builds), cursor=None, held=first_error(read.error, neighbours.error))

    async def _matters(self, key: BuildKey, watched: Watched) -> bool:
        """Return whether a build that a webhook event names is tracked: webhooks of a whole account name all its builds."""
        if key.pipeline in watched.pipelines or key in watched.unfinished:
            return True
        return await self._store.builds.get(key) is not None

    async def _stragglers(
        self, provider: AnyProvider, watched: Watched, seen: Sequence[Build]
    ) -> tuple[list[Build], ProviderError | None]:
        """Return unfinished builds that a poll of finished and active builds no longer lists, and why not all were read.

        They ended between two polls.
        """
        if not provider.can(Capability.ACCOUNT_POLL):
            return [], None
        missing = sorted(watched.unfinished - {build.key for build in seen})[:BATCH]
        read = await read_some(missing, provider.build_or_none)
        for key, build in read.answers:
            if build is None:
                await self._store.recording.stop_tracking(key)
        return [build for build in read.results if build is not None], read.error

    async def record(
        self, builds: Sequence[Build], provider: AnyProvider, *, claimed: PollTargetRow | None = None
    ) -> list[Recorded]:
        """Persist polled builds with the notifications they cause; details of attempts that ended are read soon."""
        recorded = await self._recorder.record(builds, provider, claimed=claimed)
        if recorded:
            self._wake_outbox()
        if any(item.finished is not None for item in recorded):
            self._awake.set()  # their details are due now
        return recorded

    def _quiet_seconds(self, poll_target: PollTargetRow, exc: RateLimited) -> float:
        """Return how long to leave a connection alone after a limit; the next polls read fewer builds singly."""
        seconds = min(exc.retry_after, LONGEST_PAUSE_SECONDS) * self._jitter.uniform(1.0, 1.1)
        if isinstance(exc, BudgetSpent):
            seconds = max(seconds, SHORT_PAUSE_SECONDS)
            self._singly[poll_target.id] = max(self._singly.get(poll_target.id, MOST_SINGLY) // 2, LEAST_SINGLY)
        return seconds

    async def _failed(
        self, poll_target: PollTargetRow, provider: AnyProvider, reason: str, exc: BotError | None
    ) -> None:
        now = self._clock()
        failing = (now - (poll_target.failing_since or now)) / timedelta(seconds=1)
        seconds = min(max(self._pace.busy_seconds, failing / 4), 60.0) * self._jitter.uniform(0.9, 1.1)
        if isinstance(exc, RateLimited):
            seconds = max(seconds, self._quiet_seconds(poll_target, exc))
        self._polled(provider.kind, type(exc).__name__ if exc else "timeout", 0.0)
        if not await self._give_back(poll_target, now, now + timedelta(seconds=seconds), error=reason):
            return
        if await self._outages.failed(poll_target, provider, reason):
            self._wake_outbox()
