import asyncio
from datetime import UTC, datetime

import pytest

from bot.core.errors import UsageError
from bot.scheduler import Schedule, cron_of, next_times

WEDNESDAY = datetime(2026, 3, 4, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("words", "cron"),
    [
        ("weekdays 7:00", "0 7 * * mon-fri"),
        ("Weekdays at 7:05", "5 7 * * mon-fri"),
        ("weekends 10", "0 10 * * sat,sun"),
        ("daily 9:30", "30 9 * * *"),
        ("9:30", "30 9 * * *"),
        ("every day at 9", "0 9 * * *"),
        ("everyday 9", "0 9 * * *"),
        ("mon 18:00", "0 18 * * mon"),
        ("weekly mon 9:00", "0 9 * * mon"),
        ("every Monday 9:00", "0 9 * * mon"),
        ("mondays 9:00", "0 9 * * mon"),
        ("mon,wed 18:30", "30 18 * * mon,wed"),
        ("wed, mon and sun 18:30", "30 18 * * mon,wed,sun"),
        ("mon-fri 9:00", "0 9 * * mon,tue,wed,thu,fri"),
        ("mon-tue,sat 9:00", "0 9 * * mon,tue,sat"),
        ("fri-mon 9:00", "0 9 * * mon,fri,sat,sun"),
        ("hourly", "0 * * * *"),
        ("every hour", "0 * * * *"),
        ("every 2 hours", "0 */2 * * *"),
        ("3h", "0 */3 * * *"),
        ("every 15 minutes", "*/15 * * * *"),
        ("5 min", "*/5 * * * *"),
    ],
)
def test_words_become_a_cron_line_that_the_clock_takes(words: str, cron: str) -> None:
    assert cron_of(words) == cron
    assert next_times(cron, "UTC", WEDNESDAY)


@pytest.mark.parametrize(
    "words",
    ["", "noon", "24:00", "7:60", "mon", "monster 9:00", "mon-holiday 9:00", "every 4 minutes", "every 24 hours",
     "0 hours", "7:5", "99 h", "mon,, 9:00", "day after 9:00"],
)  # fmt: skip
def test_words_that_mean_no_time_or_too_often_are_refused(words: str) -> None:
    with pytest.raises(UsageError) as refused:
        cron_of(words)
    assert refused.value.hint


@pytest.mark.parametrize(
    ("cron", "tz", "times"),
    [
        ("0 12 * * *", "UTC", ["2026-03-05T12:00", "2026-03-06T12:00"]),
        ("0 7 * * mon-fri", "UTC", ["2026-03-05T07:00", "2026-03-06T07:00", "2026-03-09T07:00"]),
        ("0 7 * * *", "Europe/Berlin", ["2026-03-05T06:00"]),
        ("0 7 * * *", "", ["2026-03-05T07:00"]),
        ("0 7 * * *", "Mars/Olympus", ["2026-03-05T07:00"]),
        ("*/15 * * * *", "UTC", ["2026-03-04T12:15", "2026-03-04T12:30"]),
    ],
)
def test_next_times_come_after_the_moment_in_the_zone(cron: str, tz: str, times: list[str]) -> None:
    wanted = [datetime.fromisoformat(time).replace(tzinfo=UTC) for time in times]
    assert next_times(cron, tz, WEDNESDAY, len(times)) == wanted


def test_a_wall_clock_time_stays_when_the_clocks_change() -> None:
    before = datetime(2026, 3, 28, 6, 30, tzinfo=UTC)  # Berlin goes to summer time on the 29th
    assert [time.hour for time in next_times("0 7 * * *", "Europe/Berlin", before, 2)] == [5, 5]
    assert next_times("30 2 * * *", "Europe/Berlin", before)


def test_a_time_that_never_comes_ends_the_list() -> None:
    assert next_times("0 0 30 feb *", "UTC", WEDNESDAY, 3) == []


async def test_ticks_run_one_at_a_time_and_end_with_the_clock() -> None:
    running = 0
    most = 0
    ticked = asyncio.Event()
    runs = 0

    async def tick() -> None:
        nonlocal running, most, runs
        running += 1
        most = max(most, running)
        runs += 1
        for _turn in range(50):
            await asyncio.sleep(0)
        running -= 1
        if runs == 3:
            ticked.set()

    clock = Schedule({"often": (0.001, tick)})
    clock.stop()
    states = [clock.running]
    clock.start()
    states.append(clock.running)
    async with asyncio.timeout(10):
        await ticked.wait()
    clock.stop()
    await asyncio.sleep(0)
    states.append(clock.running)
    assert states == [False, True, False]
    assert most == 1
