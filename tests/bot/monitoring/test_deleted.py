"""A connection that is deleted while it is polled leaves nothing behind, whatever the poll had in hand."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import select
from typing_extensions import override

from bot.core.models import Build, BuildFilter, Changes, Conclusion, IssueCounts, Watched
from bot.monitoring.poller import LEASE_SECONDS
from bot.providers.base.capabilities import Capability
from bot.store import Store
from bot.store.tables import metadata
from tests.bot.monitoring.test_poller import Harness
from tests.bot.store.rows import CONNECTION, NOW, PIPELINE, TEAM, ago, ended, running
from tests.bot.works import PLAIN, Works
from tests.set_clock import SetClock

ANSWERS = ("changes", "build", "counts", "builds")


class DeletedMeanwhile(Works):
    """A CI system whose connection is deleted while it prepares one of its answers."""

    def __init__(self, clock: SetClock, store: Store, during: str) -> None:
        super().__init__(clock, can=PLAIN | {Capability.COUNTS})
        self._store = store
        self.during = during
        self.deleted: list[str] = []

    async def _answers(self, answer: str) -> None:
        if answer == self.during:
            self.deleted.append(answer)
            await self._store.forgetting.connection(CONNECTION)

    @override
    async def changes(self, cursor: str | None, watched: Watched) -> Changes:
        await self._answers("changes")
        polled = await super().changes(cursor, watched)
        return replace(polled, builds=tuple(build for build in polled.builds if not build.id.startswith("old")))

    @override
    async def build(self, pipeline: str, build: str) -> Build:
        await self._answers("build")
        return await super().build(pipeline, build)

    @override
    async def counts(self, build: Build) -> IssueCounts:
        await self._answers("counts")
        return IssueCounts(errors=3)

    @override
    async def builds(self, pipeline: str, wanted: BuildFilter) -> AsyncIterator[Build]:
        await self._answers("builds")
        async for build in super().builds(pipeline, wanted):
            yield build


async def left_behind(store: Store) -> list[str]:
    """Return each row of the database that names the connection."""
    rows: list[str] = []
    async with store.read() as db:
        for table in metadata().sorted_tables:
            found = await db.execute(select(table))
            rows += [f"{table.name}: {row}" for row in map(tuple, found) if CONNECTION in map(str, row)]
    return rows


@pytest.fixture
def harness(store: Store, set_clock: SetClock) -> Harness:
    return Harness(store, set_clock)


@pytest.mark.parametrize("during", ANSWERS)
async def test_a_connection_that_is_deleted_during_a_poll_leaves_nothing_behind(
    harness: Harness, store: Store, set_clock: SetClock, during: str
) -> None:
    works = DeletedMeanwhile(set_clock, store, "")
    harness.open[CONNECTION] = works
    works.history[PIPELINE] = [running("b1")]
    await harness.follow()
    await harness.tick()
    old = [ended(f"old{n}", completed_at=ago(days=n), created_at=ago(days=n)) for n in range(1, 3)]
    works.history[PIPELINE] = [ended("b1", conclusion=Conclusion.FAILED), running("b2"), *old]
    await store.polling.request(CONNECTION, "", [(PIPELINE, "b2")], full=during != "build", now=set_clock())
    works.during = during
    await harness.poll_when_due()
    for _tick in range(3):
        await harness.tick(seconds=LEASE_SECONDS)
    assert set(works.deleted) == {during}
    assert await left_behind(store) == []


async def test_a_poll_that_was_taken_over_writes_nothing(harness: Harness, store: Store, set_clock: SetClock) -> None:
    await harness.follow()
    [stale] = await store.polling.claim("dead", now=set_clock(), lease_seconds=LEASE_SECONDS, limit=1)
    later = NOW + timedelta(seconds=LEASE_SECONDS)
    assert await store.polling.claim("w1", now=later, lease_seconds=LEASE_SECONDS, limit=1)
    assert await harness.poller.record([running("b1")], harness.works, claimed=stale) == []
    assert await store.notifications.in_channel(TEAM, "C1", ago(days=9)) == []
    assert [recorded.build.id for recorded in await harness.poller.record([running("b1")], harness.works)] == ["b1"]
