import asyncio
from datetime import datetime, timedelta
from typing import Any

from bot.store import Store
from bot.store.rows import DigestRow, NewDigest, NewSchedule, ScheduleRow
from tests.bot.store.rows import CHANNEL, NOW, TEAM

DAY = timedelta(days=1)


def schedule(**fields: Any) -> NewSchedule:
    whole: dict[str, Any] = {
        "team": TEAM,
        "channel": CHANNEL,
        "user": "U1",
        "words": "every day at noon",
        "cron": "0 12 * * *",
        "tz": "UTC",
        "command": "run app",
        "next_at": NOW,
        "created_at": NOW,
        **fields,
    }
    return NewSchedule(**whole)


def digest(**fields: Any) -> NewDigest:
    whole: dict[str, Any] = {
        "team": TEAM,
        "channel": CHANNEL,
        "period": "daily",
        "cron": "0 12 * * *",
        "tz": "UTC",
        "next_at": NOW,
        "made_by": "U1",
        "made_at": NOW,
        **fields,
    }
    return NewDigest(**whole)


def tomorrow(row: ScheduleRow | DigestRow) -> datetime:
    return row.next_at + DAY


async def test_schedules_of_a_channel_come_and_go(store: Store) -> None:
    one = await store.schedules.add(schedule())
    await store.schedules.add(schedule(channel="C2"))
    two = await store.schedules.add(schedule(command="run web"))
    assert one.id is not None
    assert two.id is not None
    assert [row.command for row in await store.schedules.of_channel(TEAM, CHANNEL)] == ["run app", "run web"]
    assert not await store.schedules.remove(one.id, TEAM, "C2")
    assert await store.schedules.remove(one.id, TEAM, CHANNEL)
    assert not await store.schedules.remove(one.id, TEAM, CHANNEL)
    await store.schedules.set_outcome(two.id, "started #7")
    (row,) = await store.schedules.of_channel(TEAM, CHANNEL)
    assert row.last_outcome == "started #7"


async def test_a_schedule_is_claimed_once_when_it_is_due_and_moves_on(store: Store, other: Store) -> None:
    for number in range(12):
        await store.schedules.add(schedule(command=f"run {number}"))
    await store.schedules.add(schedule(next_at=NOW + DAY, command="later"))
    claimed = await asyncio.gather(*(one.schedules.claim(NOW, 3, tomorrow) for one in (store, other) * 6))
    rows = [row for some in claimed for row in some]
    assert sorted(row.command for row in rows) == sorted(f"run {number}" for number in range(12))
    assert {row.next_at for row in rows} == {NOW}
    kept = await store.schedules.of_channel(TEAM, CHANNEL)
    assert {row.next_at for row in kept} == {NOW + DAY}
    assert {row.last_at for row in kept} == {NOW, None}
    assert await store.schedules.claim(NOW, 99, tomorrow) == []


async def test_a_channel_has_one_digest_for_a_period(store: Store) -> None:
    await store.digests.set(digest())
    await store.digests.set(digest(cron="0 9 * * *"))
    await store.digests.set(digest(period="weekly"))
    await store.digests.set(digest(channel="C2"))
    assert [(row.period, row.cron) for row in await store.digests.of_channel(TEAM, CHANNEL)] == [
        ("daily", "0 9 * * *"),
        ("weekly", "0 12 * * *"),
    ]
    assert await store.digests.remove(TEAM, CHANNEL, "weekly")
    assert await store.digests.remove(TEAM, CHANNEL)
    assert not await store.digests.remove(TEAM, CHANNEL)
    assert len(await store.digests.of_channel(TEAM, "C2")) == 1


async def test_a_digest_goes_out_once_for_its_time_even_when_it_is_set_again(store: Store, other: Store) -> None:
    await store.digests.set(digest())
    claimed = await asyncio.gather(*(one.digests.claim(NOW, 9, tomorrow) for one in (store, other) * 3))
    (row,) = [row for some in claimed for row in some]
    assert (row.next_at, row.sent_for) == (NOW, NOW.isoformat())
    await store.digests.set(digest())
    assert await store.digests.claim(NOW, 9, tomorrow) == []
    (row,) = await store.digests.claim(NOW + DAY, 9, tomorrow)
    assert row.next_at == NOW + DAY


async def test_what_was_claimed_by_a_clock_that_ran_ahead_is_found_and_brought_back(store: Store) -> None:
    for number in range(2):
        await store.schedules.add(schedule(command=f"run {number}", next_at=NOW + number * 9 * DAY))
        await store.digests.set(digest(channel=f"C{number}", next_at=NOW + number * 9 * DAY))
    await store.schedules.claim(NOW + DAY, 9, lambda row: row.next_at + 2 * DAY)
    await store.digests.claim(NOW + DAY, 9, lambda row: row.next_at + 2 * DAY)
    assert await store.schedules.claimed_after(NOW + DAY) == []
    assert await store.digests.claimed_after(NOW) == []
    (ahead,) = await store.schedules.claimed_after(NOW)
    (sent,) = await store.digests.claimed_after(NOW - DAY)
    assert (ahead.command, sent.channel) == ("run 0", "C0")
    await store.schedules.reschedule(ahead.id or 0, NOW - DAY, instead_of=NOW)
    await store.schedules.reschedule(ahead.id or 0, NOW, instead_of=ahead.next_at)
    await store.digests.reschedule(sent.id or 0, NOW - DAY, instead_of=NOW)
    await store.digests.reschedule(sent.id or 0, NOW + DAY, instead_of=sent.next_at)
    assert sorted(row.next_at for row in await store.schedules.of_channel(TEAM, CHANNEL)) == [NOW, NOW + 9 * DAY]
    assert [row.next_at for row in await store.digests.of_channel(TEAM, "C0")] == [NOW + DAY]
