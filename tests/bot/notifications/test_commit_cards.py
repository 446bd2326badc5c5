"""One commit, one card: builds of several systems as rows with one verdict, and every message counted."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from bot.blocks.commit_card import CommitRowView, commit_card
from bot.blocks.plain import as_text
from bot.core.models import Build, Conclusion, Status
from bot.notifications.commit_cards import placed
from bot.store import Store
from bot.store.mapping import values
from bot.store.rows import CommitRow, NewCommitRow, NewMute
from tests.bot.notifications.bench import GREEN, RED, Bench, made_bench
from tests.bot.store.rows import CHANNEL, NOW, PIPELINE, TEAM, ago, ended, link, running, watch
from tests.set_clock import SetClock

SHA = "a1b2c3d4" * 5
NEXT = "b7c8d9e0" * 5
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
    assert "/build claim mill:p-app#7" in card
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


async def test_a_claim_and_an_act_stand_below_their_row_and_the_claim_button_turns_into_its_opposite(
    store: Store, set_clock: SetClock
) -> None:
    bench = await two_systems(store, set_clock)
    failed = ended("b1", number=412, commit=SHA, conclusion=RED, completed_at=bench.clock())
    await bench.sees(failed)
    await bench.sees(of_other(ended("m1", number=7, commit=SHA, completed_at=bench.clock())))
    await store.claims.add(TEAM, failed.key, "U7")
    assert await store.cards.redraw(failed.key, team=TEAM, at=bench.clock())
    set_clock.go(seconds=20)
    await bench.deliver()
    (card,) = bench.slack.in_channel()
    assert "@U7 is on it" in card
    assert "/build unclaim works:p-app#412" in card
    assert "/build claim works:p-app#412" not in card
    await store.claims.remove(TEAM, failed.key, "U7")
    assert await store.cards.note(failed.key, 1, team=TEAM, user="U8", text="retried the failed jobs", at=bench.clock())
    set_clock.go(seconds=20)
    await bench.deliver()
    (card,) = bench.slack.in_channel()
    assert "@U7 is on it" not in card
    assert "/build claim works:p-app#412" in card
    assert "@U8 retried the failed jobs" in card
    assert bench.slack.posted == 2  # with the one that the bench began with


async def test_builds_of_a_pull_request_share_a_card_where_one_system_builds_a_merge_of_it(
    store: Store, set_clock: SetClock
) -> None:
    bench = await two_systems(store, set_clock, "--on all --branch * --group commit")
    request = {"pull_request": "7", "repo": "Acme/web", "branch": "dark"}
    await bench.sees(ended("b1", number=412, commit=SHA, head_commit=SHA, completed_at=bench.clock(), **request))
    merged = ended("m1", number=7, commit="e" * 40, completed_at=bench.clock(), **{**request, "repo": "acme/web.git"})
    await bench.sees(of_other(replace(merged, conclusion=RED)))
    (card,) = bench.slack.in_channel()
    assert "1 of 2 builds failed" in card
    set_clock.go(minutes=30)
    # The next push: the system that builds a merge is first this time.
    merged = ended("m2", number=8, commit="d" * 40, completed_at=bench.clock(), **request)
    await bench.sees(of_other(merged))
    await bench.sees(ended("b2", number=413, commit=NEXT, head_commit=NEXT, completed_at=bench.clock(), **request))
    first, second = bench.slack.in_channel()
    assert "#412" in first
    assert "Mill #7" in first
    assert "#413" in second
    assert "Mill #8" in second
    assert "2 builds: passed" in second


async def test_where_a_build_is_one_job_each_job_of_the_commit_is_a_row(store: Store, set_clock: SetClock) -> None:
    bench = await made_bench(store, set_clock, "--on all --group commit")
    for number, job in enumerate(("lint", "unit"), 1):
        await bench.sees(ended(f"j{number}", number=number, job=job, commit=SHA, completed_at=bench.clock()))
    await bench.sees(ended("j3", number=3, job="unit", commit=SHA, conclusion=RED, completed_at=bench.clock()))
    (card,) = bench.slack.in_channel()
    assert "1 of 2 builds failed" in card
    assert "App · lint #1" in card
    assert "App · unit #3" in card
    assert "unit #2" not in card


def pull_build(connection: str, commit: str, *, head: str | None = None, minutes: float = 0, **fields: Any) -> Build:
    whole = {"pull_request": "7", "repo": "acme/web", **fields}
    return running(
        f"{connection}-{commit}",
        connection=connection,
        commit=commit,
        head_commit=head,
        created_at=NOW + timedelta(minutes=minutes),
        **whole,
    )


@pytest.mark.parametrize(
    ("builds", "cards"),
    [
        pytest.param([("a", "h1", "h1", 0), ("t", "m1", None, 1)], ["h1", "h1"], id="merge after head"),
        pytest.param([("t", "m1", None, 0), ("a", "h1", "h1", 1)], ["m1", "m1"], id="head after merge"),
        pytest.param([("a", "h1", "h1", 0), ("b", "h1", "h1", 1)], ["h1", "h1"], id="one head"),
        pytest.param([("a", "h1", "h1", 0), ("b", "h2", "h2", 1)], ["h1", "h2"], id="two heads"),
        pytest.param([("a", "m9", "h1", 0), ("b", "h1", "h1", 1)], ["h1", "h1"], id="a merge whose head is reported"),
        pytest.param([("t", "m1", None, 0), ("j", "n1", None, 1)], ["m1", "m1"], id="two merges"),
        pytest.param([("t", "m1", None, 0), ("t", "m2", None, 9)], ["m1", "m2"], id="one pipeline, two pushes"),
        pytest.param(
            [("a", "h1", "h1", 0), ("t", "m1", None, 1), ("a", "h2", "h2", 30), ("t", "m2", None, 31)],
            ["h1", "h1", "h2", "h2"],
            id="two pushes of two systems",
        ),
        pytest.param(
            [("a", "h1", "h1", 0), ("a", "h2", "h2", 30), ("t", "m1", None, 1)],
            ["h1", "h2", "h1"],
            id="the merge of the push before last comes late",
        ),
        pytest.param([("a", "h1", "h1", 0), ("t", "m1", None, 2000)], ["h1", "m1"], id="days apart"),
    ],
)
def test_a_pull_requests_build_stands_on_the_card_of_its_push(
    builds: list[tuple[str, str, str | None, float]], cards: list[str]
) -> None:
    rows: list[NewCommitRow] = []
    for connection, commit, head, minutes in builds:
        made = placed([pull_build(connection, commit, head=head, minutes=minutes)], as_stored(rows), NOW)
        rows += made
    assert [row.card for row in rows] == [f"commit:{sha}" for sha in cards]
    assert placed([pull_build("z", "q", pull_request="8")], as_stored(rows), NOW)[0].card == "commit:q"
    assert placed([pull_build("z", "q", repo="acme/api")], as_stored(rows), NOW)[0].card == "commit:q"


def as_stored(rows: list[NewCommitRow]) -> list[CommitRow]:
    return [CommitRow(id=number, **values(row)) for number, row in enumerate(rows, 1)]


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
    systems = {"works": "The Works", OTHER: "Mill"}
    rows = [
        CommitRowView(build=build, label=LABELS[build.connection, PIPELINE], system=systems[build.connection])
        for build in builds
    ]
    message = commit_card(rows, now=NOW)
    text = as_text(message.payload())
    assert f"{word}  a1b2c3d" in text
    assert verdict in text
    assert f"a1b2c3d on main. {verdict}. " in message.text
    for part in ("Web #1", "Docs #2", "The Works"):
        assert part in text
    assert "Docs #2" in message.text
