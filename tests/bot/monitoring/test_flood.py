"""More builds than a vendor's limit allows requests: what is held back, in which order, and that it ends."""

from collections.abc import Callable
from datetime import datetime, timedelta

import httpx
import pytest
from typing_extensions import override

from bot.core.clock import Clock
from bot.core.models import Build, BuildKey, Changes, IssueCounts, Watched
from bot.http.budget import Budgeted, Purpose
from bot.http.client import ApiClient
from bot.http.quota import Quota
from bot.monitoring.budgets import SharedBudgets
from bot.providers.base.capabilities import Capability
from bot.store import Store
from tests.bot.monitoring.test_poller import Harness
from tests.bot.store.rows import CONNECTION, NOW, ago, ended
from tests.bot.works import PLAIN, Works
from tests.set_clock import SetClock

ALLOWED = 60
BUILDS = 90


class Vendor:
    """A CI system that answers a number of requests a minute and refuses the others."""

    def __init__(self, now: Clock) -> None:
        self._now = now
        self._minute = NOW
        self.left = ALLOWED
        self.answered: list[str] = []
        self.refused: list[str] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        now = self._now()
        if now - self._minute >= timedelta(minutes=1):
            self._minute, self.left = now, ALLOWED
        resets = str(60 - int((now - self._minute).total_seconds()))
        what = request.url.path.rpartition("/")[2]
        if self.left <= 0:
            self.refused.append(what)
            return httpx.Response(429, headers={"left": "0", "resets": resets, "retry-after": resets})
        self.left -= 1
        self.answered.append(what)
        return httpx.Response(200, json={}, headers={"left": str(self.left), "resets": resets})


def read_quota(headers: httpx.Headers, now: datetime) -> Quota:
    return Quota(
        limit=ALLOWED, remaining=int(headers["left"]), resets_at=now + timedelta(seconds=int(headers["resets"]))
    )


class LimitedWorks(Works):
    """The Works behind a real client."""

    def __init__(self, now: Callable[[], datetime], vendor: Vendor) -> None:
        super().__init__(now, can=PLAIN | {Capability.COUNTS})
        client = httpx.AsyncClient(transport=httpx.MockTransport(vendor))
        self._api = ApiClient(
            client, base_url="https://ci.example", provider="The Works", clock=now, read_quota=read_quota
        )

    @property
    @override
    def quota(self) -> Quota | None:
        return self._api.quota

    @override
    async def changes(self, cursor: str | None, watched: Watched) -> Changes:
        await self._api.get("changes")
        return await super().changes(cursor, watched)

    @override
    async def counts(self, build: Build) -> IssueCounts:
        await self._api.get("counts")
        return IssueCounts(errors=1)

    async def command(self) -> None:
        """Ask something for a person."""
        await self._api.get("command")


async def test_a_flood_of_ends_holds_counts_back_and_neither_polls_nor_commands(
    store: Store, set_clock: SetClock
) -> None:
    harness = Harness(store, set_clock)
    vendor = Vendor(set_clock)
    works = LimitedWorks(set_clock, vendor)
    works.history = harness.works.history
    harness.open[CONNECTION] = works
    held: list[tuple[str, Purpose, int]] = []
    budgets = SharedBudgets(
        store,
        budgets=lambda: {CONNECTION: works.budget},
        clock=set_clock,
        owner="w",
        held=lambda *now: held.append(now),
    )
    await harness.follow()
    for number in range(BUILDS):
        works.put(ended(f"b{number}", number=number, completed_at=ago(seconds=BUILDS - number)))
    commands = 0
    for second in range(0, 20 * 60, 10):
        await works.command()
        commands += 1
        await harness.tick(seconds=10)
        await budgets.share()
        if second == 60:
            polled = vendor.answered.count("changes")
            assert polled >= 1
    assert vendor.answered.count("command") == commands
    assert vendor.refused == []
    assert vendor.answered.count("changes") >= 10
    keys = [BuildKey(connection=CONNECTION, pipeline=ended().pipeline, id=f"b{number}") for number in range(BUILDS)]
    attempts = [await store.attempts.get(key, 1) for key in keys]
    assert all(attempt is not None and attempt.counts_due_at is None for attempt in attempts)
    assert sum(bool(attempt and attempt.counts) for attempt in attempts) > BUILDS * 0.9


async def test_counts_that_no_budget_allows_end_as_not_available(store: Store, set_clock: SetClock) -> None:
    harness = Harness(store, set_clock)
    harness.works.capabilities = PLAIN | {Capability.COUNTS}
    await harness.follow()
    harness.works.left = Quota(limit=100, remaining=3, resets_at=NOW + timedelta(hours=9))
    harness.works.put(ended())
    await harness.tick()
    await harness.tick(seconds=1)
    (row,) = await harness.notifications()
    assert row.due_at == harness.clock()
    attempt = await store.attempts.get(ended().key, 1)
    assert attempt is not None
    assert (attempt.counts_due_at, attempt.counts_tries) == (None, -1)
    assert harness.works.took("counts") == []


async def test_a_short_wait_for_the_budget_is_no_try(store: Store, set_clock: SetClock) -> None:
    harness = Harness(store, set_clock)
    harness.works.capabilities = PLAIN | {Capability.COUNTS}
    harness.works.read_counts["b1"] = IssueCounts(errors=4)
    await harness.follow()
    harness.works.put(ended())
    await harness.tick()
    for _minute in range(6):
        harness.works.left = Quota(limit=100, remaining=3, resets_at=set_clock() + timedelta(seconds=101))
        await harness.tick(seconds=51)
        attempt = await store.attempts.get(ended().key, 1)
        assert attempt is not None
        assert attempt.counts_tries == 0
        assert attempt.counts_due_at is not None
    harness.works.left = None
    await harness.tick(seconds=60)
    attempt = await store.attempts.get(ended().key, 1)
    assert attempt is not None
    assert '"errors":4' in attempt.counts


# between processes


def budgets_of(works: Works) -> Callable[[], dict[str, Budgeted]]:
    return lambda: {CONNECTION: works.budget}


async def test_processes_share_what_they_know_and_a_shortage_is_said_once(
    store: Store, set_clock: SetClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    vendor = Vendor(set_clock)
    works = [LimitedWorks(set_clock, vendor) for _process in range(2)]
    shared = [
        SharedBudgets(store, budgets=budgets_of(process), clock=set_clock, owner=f"p{number}")
        for number, process in enumerate(works)
    ]
    for _request in range(ALLOWED - 4):
        await works[0].command()
    for process in shared:
        await process.share()
    assert works[1].wait(Purpose.POLL) > 0
    assert works[1].wait(Purpose.COMMAND) == 0
    works[0].budget.held[Purpose.COUNTS] += 3
    for _share in range(3):
        await shared[0].share()
    works[0].budget.held[Purpose.POLL] += 2
    for _minute in range(4):
        set_clock.go(minutes=1)
        await shared[0].share()
    words = [(record.message, getattr(record, "held", None)) for record in caplog.records if "limit" in record.message]
    assert words == [
        ("requests are held back: little is left of a limit", None),
        ("a limit is wide enough again", 5),
    ]


async def test_a_process_that_spends_nothing_writes_nothing(store: Store, set_clock: SetClock) -> None:
    works = LimitedWorks(set_clock, Vendor(set_clock))
    shared = SharedBudgets(store, budgets=lambda: {CONNECTION: works.budget}, clock=set_clock, owner="p")
    await shared.share()
    assert await store.budgets.of_others("other", ago(days=1)) == []
    await works.command()
    await shared.share()
    set_clock.go(minutes=2)
    for _share in range(2):
        await shared.share()
        set_clock.go(seconds=3)
    (row,) = await store.budgets.of_others("other", ago(days=1))
    assert (row.calls, row.at) == (0, NOW + timedelta(minutes=2))
