"""One person holds a pipeline of a workspace, whichever process wrote it first, until it ends."""

import asyncio
from dataclasses import replace
from datetime import timedelta

from bot.store import Store
from bot.store.rows import NewHold
from tests.bot.store.rows import CONNECTION, NOW, PIPELINE, TEAM
from tests.set_clock import SetClock

HOLD = NewHold(team=TEAM, connection=CONNECTION, pipeline=PIPELINE, user="U1", reason="a", made_at=NOW)
HERE = (TEAM, CONNECTION, PIPELINE)


async def test_one_of_many_processes_takes_a_hold(store: Store, other: Store) -> None:
    takes = [each.holds.take(replace(HOLD, user=f"U{n}")) for n in range(3) for each in (store, other)]
    (holder,) = {row.user for row in await asyncio.gather(*takes)}
    assert [row.user for row in await store.holds.of_pipeline(*HERE)] == [holder]
    assert await store.holds.of_pipeline("T-other", CONNECTION, PIPELINE) == []


async def test_ones_own_hold_is_renewed_and_keeps_its_beginning(store: Store) -> None:
    before = await store.holds.take(HOLD)
    after = await store.holds.take(replace(HOLD, reason="b", made_at=NOW + timedelta(hours=1)))
    assert after == replace(before, reason="b")


async def test_a_hold_that_is_over_is_free_to_take_and_is_forgotten(store: Store, set_clock: SetClock) -> None:
    set_clock.now = NOW
    await store.holds.take(replace(HOLD, until=NOW + timedelta(hours=1)))
    set_clock.go(hours=1)
    assert await store.holds.of_team(TEAM) == []
    assert (await store.holds.take(replace(HOLD, user="U2", until=set_clock.now + timedelta(hours=1)))).user == "U2"
    set_clock.go(hours=1)
    assert [row.user for row in await store.holds.take_ended(set_clock.now, limit=9)] == ["U2"]
    assert await store.holds.take_ended(set_clock.now, limit=9) == []


async def test_a_hold_is_released_once_and_only_as_it_was_read(store: Store) -> None:
    row = await store.holds.take(HOLD)
    assert not await store.holds.release(replace(row, user="U2"))
    assert await store.holds.release(row)
    assert not await store.holds.release(row)
