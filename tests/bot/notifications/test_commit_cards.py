"""One commit, one card: builds of several systems as rows with one verdict, and every message counted."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from bot.blocks.build import commit_card
from bot.blocks.plain import as_text
from bot.core.models import Build, Conclusion, Status
from bot.store import Store
from bot.store.rows import NewMute
from tests.bot.notifications.bench import GREEN, RED, Bench, made_bench
from tests.bot.store.rows import CHANNEL, NOW, PIPELINE, TEAM, ago, ended, link, running, watch
from tests.set_clock import SetClock

SHA = "a1b2c3d4" * 5
OTHER = "mill"
LABELS = {("works", PIPELINE): "Web", (OTHER, PIPELINE): "Docs"}


def of_other(build: Build) -> Build:
    return replace(build, connection=OTHER)


async def two_systems(store: Store, clock: SetClock, filters: str = "--on all --group commit", **fields: Any) -> Bench:
    bench = await made_bench(store, clock, filters, **fields)
    await store.links.save(
        link(connection=OTHER, name="Mill", created_at=ago(days=9), default_branch="main", filters=filters)
    )
    return bench


async def test_builds_of_one_commit_are_rows_of_one_card_and_the_verdict_waits_for_the_last(
    store: Store, set_clock: SetClock
) -> None:
    bench = await two_systems(store, set_clock)
    await bench.sees(running("b1", number=412, commit=SHA))
    await bench.sees(of_other(running("m1", number=7, commit=SHA)))
    assert bench.slack.messages == {}
    await bench.sees(ended("b1", number=412, commit=SHA, completed_at=bench.clock()))
    (card,) = bench.slack.in_channel()
    assert card.splitlines()[0].startswith("▶ RUNNING  a1b2c3d")
    assert "1 of 2 builds ended" in card
    assert "Passed  App #412" in card
    assert "Running  Mill #7" in card
    await bench.sees(of_other(ended("m1", number=7, commit=SHA, conclusion=RED, completed_at=bench.clock())))
    (card,) = bench.slack.in_channel()
    assert card.splitlines()[0].startswith("✕ FAILED  a1b2c3d")
    assert "1 of 2 builds failed" in card
    assert "/build logs mill:p-app#7" in card
    assert not bench.slack.in_thread()


async def test_a_build_that_comes_after_the_verdict_takes_it_back(store: Store, set_clock: SetClock) -> None:
    bench = await two_systems(store, set_clock)
    await bench.sees(ended("b1", number=412, commit=SHA, completed_at=bench.clock()))
    assert bench.slack.in_channel()[0].startswith("✓ PASSED  a1b2c3d")
    await bench.sees(of_other(running("m1", number=7, commit=SHA)))
    assert bench.slack.in_channel()[0].startswith("▶ RUNNING  a1b2c3d")
    await bench.sees(of_other(ended("m1", number=7, commit=SHA, completed_at=bench.clock())))
    (card,) = bench.slack.in_channel()
    assert "2 builds: passed" in card


async def test_another_commit_has_another_card_and_a_rebuild_replaces_its_row(
    store: Store, set_clock: SetClock
) -> None:
    bench = await two_systems(store, set_clock)
    await bench.sees(ended("b1", number=412, commit=SHA, conclusion=RED, completed_at=bench.clock()))
    again = bench.clock() + timedelta(minutes=20)
    set_clock.go(minutes=20)
    await bench.sees(ended("b2", number=413, commit=SHA, completed_at=again))
    (card,) = bench.slack.in_channel()
    assert "#413" in card
    assert "#412" not in card
    assert card.startswith("✓ PASSED")
    await bench.sees(ended("b3", number=414, commit="f" * 40, completed_at=bench.clock()))
    assert len(bench.slack.in_channel()) == 2


async def test_two_processes_and_a_restart_post_the_card_once(store: Store, set_clock: SetClock) -> None:
    bench = await two_systems(store, set_clock, processes=2)
    await bench.poller.record([ended("b1", number=412, commit=SHA, completed_at=bench.clock())], bench.works)
    await bench.poller.record([of_other(running("m1", number=7, commit=SHA))], bench.works)
    await bench.deliver()
    assert len(bench.slack.in_channel()) == 1
    restarted = Bench(store, set_clock)
    restarted.slack = bench.slack
    for outbox in restarted.outboxes:
        outbox._slack = bench.slack  # type: ignore[assignment]
    set_clock.go(minutes=1)
    await restarted.sees(of_other(ended("m1", number=7, commit=SHA, completed_at=set_clock())))
    (card,) = bench.slack.in_channel()
    assert "2 builds: passed" in card


async def test_links_that_are_not_grouped_and_builds_without_a_commit_have_cards_of_their_own(
    store: Store, set_clock: SetClock
) -> None:
    bench = await made_bench(store, set_clock, "--on all --group commit")
    await store.links.save(link(connection=OTHER, name="Mill", created_at=ago(days=9), default_branch="main"))
    await bench.sees(ended("b1", number=412, commit=SHA, completed_at=bench.clock()))
    await bench.sees(of_other(ended("m1", number=7, commit=SHA, completed_at=bench.clock())))
    await bench.sees(ended("b2", number=413, completed_at=bench.clock()))
    grouped, mill, bare = bench.slack.in_channel()
    assert "Mill" not in grouped
    assert "Mill #7" in mill
    assert "App #413" in bare


async def test_the_filter_still_decides_and_who_asked_gets_the_whole_card(store: Store, set_clock: SetClock) -> None:
    bench = await two_systems(store, set_clock, "--on failures --group commit")
    await bench.sees(ended("b1", number=412, commit=SHA, completed_at=bench.clock()))
    assert bench.slack.messages == {}
    await bench.sees(of_other(ended("m1", number=7, commit=SHA, conclusion=RED, completed_at=bench.clock())))
    (card,) = bench.slack.in_channel()
    assert "1 of 2 builds failed" in card
    await store.watches.add(watch("b3", channel=CHANNEL, user="U7"))
    await bench.sees(ended("b3", number=414, commit="f" * 40, conclusion=RED, completed_at=bench.clock()))
    assert "App #414" in bench.slack.in_channel()[1]
    assert len(bench.slack.in_channel()) == 2


async def test_a_mute_holds_the_card_back_and_lets_it_go_as_it_stands_then(store: Store, set_clock: SetClock) -> None:
    bench = await two_systems(store, set_clock)
    until = bench.clock() + timedelta(hours=1)
    await store.mutes.set(NewMute(team=TEAM, channel=CHANNEL, until=until, made_by="U1", made_at=bench.clock()))
    await bench.sees(ended("b1", number=412, commit=SHA, completed_at=bench.clock()))
    await bench.sees(of_other(ended("m1", number=7, commit=SHA, completed_at=bench.clock())))
    assert bench.slack.messages == {}
    set_clock.go(hours=2)
    await bench.outboxes[0].release()
    await bench.deliver()
    (card,) = bench.slack.in_channel()
    assert "2 builds: passed" in card


@pytest.mark.parametrize(
    ("ends", "word", "verdict"),
    [
        ((GREEN, GREEN), "PASSED", "2 builds: passed"),
        ((GREEN, RED), "FAILED", "1 of 2 builds failed"),
        ((RED, Conclusion.TIMEOUT), "FAILED", "2 of 2 builds failed"),
        ((GREEN, None), "RUNNING", "1 of 2 builds ended"),
        ((RED, None), "RUNNING", "1 of 2 builds ended"),
    ],
)
def test_there_is_one_verdict_and_none_while_a_build_is_unfinished(
    ends: tuple[Conclusion | None, ...], word: str, verdict: str
) -> None:
    builds = [
        ended(f"b{number}", number=number, commit=SHA, conclusion=end, connection=connection)
        if end is not None
        else running(f"b{number}", number=number, commit=SHA, connection=connection, status=Status.IN_PROGRESS)
        for number, (end, connection) in enumerate(zip(ends, ("works", OTHER), strict=True), 1)
    ]
    message = commit_card(builds, labels=LABELS, connection_labels={"works": "The Works", OTHER: "Mill"}, now=NOW)
    text = as_text(message.payload())
    assert f"{word}  a1b2c3d" in text
    assert verdict in text
    assert f"a1b2c3d on main. {verdict}. " in message.text
    for part in ("Web #1", "Docs #2", "The Works"):
        assert part in text
    assert "Docs #2" in message.text
