"""Builds that are stuck, slow or queued for long: when that is so, and that each is posted once for an attempt."""

from datetime import timedelta
from typing import Any

import pytest

from bot.core.models import Build, Status
from bot.notifications.decisions import started_row
from bot.notifications.notification import Event
from bot.notifications.signals import Usual, p95, signals, usual
from bot.store import Store
from bot.store.rows import NewMute
from tests.bot.notifications.bench import Bench, made_bench
from tests.bot.store.rows import CHANNEL, NOW, TEAM, ago, ended, running
from tests.set_clock import SetClock

TEN = Usual(run_seconds=600.0, wait_seconds=60.0)


def begun(minutes: float, **fields: Any) -> Build:
    return running(started_at=ago(minutes=minutes), created_at=ago(minutes=minutes + 1), **fields)


def queued(minutes: float) -> Build:
    return running(status=Status.QUEUED, created_at=ago(minutes=minutes))


@pytest.mark.parametrize(
    ("values", "measure"),
    [
        ([], None),
        ([1.0, 2.0, 3.0, 4.0], None),
        ([5.0, 1.0, 2.0, 3.0, 4.0], 5.0),
        ([float(number) for number in range(1, 101)], 95.0),
        ([1.0] * 19 + [1000.0], 1.0),
    ],
)
def test_the_measure_is_what_95_of_100_builds_stay_under_and_takes_five(
    values: list[float], measure: float | None
) -> None:
    assert p95(values) == measure


@pytest.mark.parametrize(
    ("build", "usually", "events"),
    [
        (begun(9), TEN, []),
        (begun(10.9), TEN, []),
        (begun(11.1), TEN, [Event.SLOW]),
        (begun(30), TEN, [Event.SLOW]),
        (begun(31), TEN, [Event.STUCK, Event.SLOW]),
        (begun(500), Usual(), []),
        (begun(500), Usual(wait_seconds=1.0), []),
        (begun(500, waiting=True), TEN, []),
        (ended(started_at=ago(minutes=500)), TEN, []),
        (begun(0.4), Usual(run_seconds=1.0), []),
        (begun(4), Usual(run_seconds=1.0), [Event.SLOW]),
        (queued(1.9), TEN, []),
        (queued(2.1), TEN, [Event.QUEUED_LONG]),
        (queued(500), Usual(run_seconds=600.0), []),
        (queued(1.5), Usual(wait_seconds=0.0), [Event.QUEUED_LONG]),
    ],
)
def test_a_build_is_stuck_slow_or_queued_long_by_its_pipelines_own_history(
    build: Build, usually: Usual, events: list[Event]
) -> None:
    assert [signal.event for signal in signals(build, usually, NOW)] == events


def test_the_wait_for_people_makes_no_build_slow() -> None:
    assert signals(begun(40), TEN, NOW, approval_seconds=1900) == ()
    assert [signal.event for signal in signals(begun(40), TEN, NOW, approval_seconds=1000)] == [Event.SLOW]


def test_the_sentence_says_how_long_and_what_is_usual() -> None:
    (slow,) = signals(begun(12), usual([600.0] * 5, []), NOW)
    assert slow.sentence == "Slow: it has run for 12 m 00 s — 95 of 100 builds take at most 10 m 00 s"
    (waits,) = signals(queued(3), usual([], [0.0] * 5), NOW)
    assert waits.sentence == "Has waited 3 m 00 s for a machine — 95 of 100 builds wait no time"


async def five_builds(bench: Bench, builds: int = 5) -> None:
    """Let builds of ten minutes have ended, each after a wait of one."""
    for number in range(builds):
        at = bench.clock() - timedelta(hours=9 - number)
        begin = at - timedelta(minutes=10)
        times = {"started_at": begin, "created_at": begin - timedelta(minutes=1), "completed_at": at}
        await bench.sees(ended(f"p{number}", number=300 + number, **times))
    bench.slack.messages.clear()


async def test_a_slow_build_is_posted_once_then_as_stuck_and_its_cards_end_as_one_line(
    store: Store, set_clock: SetClock
) -> None:
    bench = await made_bench(store, set_clock, "--on slow,stuck")
    await five_builds(bench)
    began = {"number": 412, "started_at": bench.clock(), "created_at": bench.clock()}
    await bench.sees(running("b412", **began))
    await bench.looks(minutes=9)
    assert bench.slack.messages == {}
    await bench.looks(minutes=3)
    await bench.looks(minutes=3)
    (card,) = bench.slack.in_channel()
    assert "Slow: it has run for 13 m 12 s" in card
    assert "95 of 100 builds take at most 10 m 00 s" in card
    assert "▰▰▰▰▰▰▰▰▰▰" in card
    await bench.looks(minutes=30)
    await bench.looks(hours=1)
    assert len(bench.slack.in_channel()) == 1
    (reply,) = bench.slack.in_thread()
    assert "Probably stuck: it has run for 48 m 00 s" in reply
    await bench.sees(ended("b412", completed_at=bench.clock(), **began))
    assert [len(text.splitlines()) for text in bench.slack.in_channel() + bench.slack.in_thread()] == [1, 1]
    assert bench.slack.in_channel()[0].startswith("Slow: it has run for 13 m 12 s")
    assert "→ ✓ Passed App #412" in bench.slack.in_channel()[0]


async def test_a_second_attempt_that_is_slow_again_is_posted_again(store: Store, set_clock: SetClock) -> None:
    bench = await made_bench(store, set_clock, "--on slow")
    await five_builds(bench)
    began = {"number": 412, "started_at": bench.clock(), "created_at": bench.clock()}
    await bench.sees(running("b412", **began))
    await bench.looks(minutes=12)
    await bench.sees(ended("b412", completed_at=bench.clock(), **began))
    bench.clock.go(minutes=5)
    again = {**began, "started_at": bench.clock()}
    await bench.sees(running("b412", attempt=2, **again))
    await bench.looks(minutes=5)
    assert len(bench.slack.in_channel()) == 1
    await bench.looks(minutes=8)
    assert len(bench.slack.in_channel()) == 2


async def test_a_build_that_waits_for_a_machine_is_posted_once(store: Store, set_clock: SetClock) -> None:
    bench = await made_bench(store, set_clock, "--on queued-long")
    await five_builds(bench)
    await bench.sees(running("b412", number=412, status=Status.QUEUED, created_at=bench.clock()))
    await bench.looks(minutes=1)
    assert bench.slack.messages == {}
    await bench.looks(minutes=2)
    await bench.looks(minutes=20)
    (card,) = bench.slack.in_channel()
    assert "QUEUED" in card
    assert "Has waited 4 m 12 s" in card


@pytest.mark.parametrize(("filters", "builds"), [("--on all", 5), ("--on slow", 4), ("--on slow --branch next", 5)])
async def test_nothing_is_posted_without_a_history_or_where_it_was_not_asked_for(
    store: Store, set_clock: SetClock, filters: str, builds: int
) -> None:
    bench = await made_bench(store, set_clock, filters)
    await store.prune(bench.clock() + timedelta(days=400))
    await five_builds(bench, builds)
    await bench.sees(running("b412", number=412, started_at=bench.clock(), created_at=bench.clock()))
    await bench.looks(hours=9)
    assert bench.slack.messages == {}


async def test_changes_only_include_a_stuck_build_and_a_mute_holds_it_off(store: Store, set_clock: SetClock) -> None:
    bench = await made_bench(store, set_clock, "--on edges")
    await five_builds(bench)
    await bench.sees(running("b412", number=412, started_at=bench.clock(), created_at=bench.clock()))
    until = bench.clock() + timedelta(hours=2)
    await store.mutes.set(NewMute(team=TEAM, channel=CHANNEL, until=until, made_by="U1", made_at=bench.clock()))
    await bench.looks(hours=1)
    assert bench.slack.messages == {}
    await bench.looks(hours=2)
    (card,) = bench.slack.in_channel()
    assert "Probably stuck" in card


async def test_a_build_that_was_started_here_has_it_below_its_live_card(store: Store, set_clock: SetClock) -> None:
    bench = await made_bench(store, set_clock, "--on slow")
    await five_builds(bench)
    build = running("b412", number=412, started_at=bench.clock(), created_at=bench.clock())
    live = started_row(
        build,
        team=TEAM,
        channel=CHANNEL,
        user="U7",
        headline="<@U7> started it",
        response_url="",
        thread="",
        now=bench.clock(),
    )
    await store.recording.record_start(
        build, team=TEAM, channel=CHANNEL, user="U7", notifications=[live], watches=[], now=bench.clock()
    )
    await bench.deliver()
    await bench.looks(minutes=15)
    assert len(bench.slack.in_channel()) == 1
    (below,) = bench.slack.in_thread()
    assert "Slow" in below


async def test_the_bar_of_a_running_card_moves_cell_by_cell_and_not_more_often_than_each_15_seconds(
    store: Store, set_clock: SetClock
) -> None:
    bench = await made_bench(store, set_clock, "--on slow")
    await five_builds(bench)
    build = running("b412", number=412, started_at=bench.clock(), created_at=bench.clock())
    live = started_row(
        build, team=TEAM, channel=CHANNEL, user="U7", headline="", response_url="", thread="", now=bench.clock()
    )
    await store.recording.record_start(
        build, team=TEAM, channel=CHANNEL, user="U7", notifications=[live], watches=[], now=bench.clock()
    )
    await bench.deliver()
    bars = set()
    for _ in range(28):
        bench.clock.go(seconds=2)
        await bench.deliver()
        bars.add(next(line[:10] for line in bench.slack.in_channel()[0].splitlines() if "▱" in line))
    assert len(bars) >= 9
    assert bench.slack.edits <= 28 * 20 / 15
