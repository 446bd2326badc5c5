"""While a branch is red: the poller, the cards, the outbox and the escalations together, with every message counted."""

from datetime import timedelta

import pytest

from bot.store import Store
from bot.store.rows import NewMute
from tests.bot.notifications.bench import GREEN, RED, made_bench
from tests.bot.store.rows import CHANNEL, NOW, TEAM, ago, key, link, watch
from tests.set_clock import SetClock


@pytest.mark.parametrize("filters", ["--on edges", "--on failures", "--on all --thread branch"])
async def test_a_red_branch_is_one_card_its_further_failures_are_in_its_thread_and_its_line_2_counts_them(
    store: Store, set_clock: SetClock, filters: str
) -> None:
    bench = await made_bench(store, set_clock, filters)
    await bench.ends(409, RED)
    await bench.ends(410, RED)
    await bench.ends(411, RED)
    (root,) = bench.slack.in_channel()
    assert "Newly broken — green for 1 build  ·  now 3rd in a row, since #409" in root
    assert [text.splitlines()[0] for text in bench.slack.in_thread()] == [
        "✕ FAILED  App #410  ·  main",
        "✕ FAILED  App #411  ·  main",
    ]
    assert "Still failing — 2nd in a row, since #409" in bench.slack.in_thread()[0]


async def test_a_fix_is_told_in_the_channel_of_changes_and_in_the_thread_of_failures(
    store: Store, set_clock: SetClock
) -> None:
    await store.links.save(link(channel="C2", created_at=ago(days=9), default_branch="main", filters="--on failures"))
    bench = await made_bench(store, set_clock, "--on edges")
    await bench.ends(409, RED)
    await bench.ends(410, RED)
    await bench.ends(411, GREEN)
    root, fix = bench.slack.in_channel()
    assert "back to green with #411 after 20 m" in root
    assert "FIXED" in fix
    assert "Back to green after 20 m 36 s and 2 red builds" in fix
    (other_root,) = bench.slack.in_channel("C2")
    assert "back to green with #411" in other_root
    assert "FIXED" in bench.slack.in_thread("C2")[-1]
    await bench.ends(412, GREEN)
    assert len(bench.slack.messages) == 6
    await bench.ends(413, RED)
    assert "Newly broken" in bench.slack.in_channel("C2")[-1]
    assert len(bench.slack.in_channel("C2")) == 2


async def test_only_something_else_that_breaks_reaches_the_channel_again(store: Store, set_clock: SetClock) -> None:
    bench = await made_bench(store, set_clock, "--on edges")
    await bench.ends(409, RED, "lost 12 of 99 sheep at /tmp/a1/field.py:7")
    await bench.ends(410, RED, "lost 30 of 98 sheep at /tmp/b22/field.py:9")
    assert len(bench.slack.in_channel()) == 1
    await bench.ends(411, RED, "the wolf is in the barn")
    assert len(bench.slack.in_channel()) == 2
    assert "something else broke" in bench.slack.in_channel()[1]
    await bench.ends(412, RED, "the wolf is in the barn")
    assert len(bench.slack.in_channel()) == 2
    assert len(bench.slack.in_thread()) == 2


async def test_builds_of_each_ref_have_a_thread_of_their_own_and_posts_for_every_build_stay_as_they_were(
    store: Store, set_clock: SetClock
) -> None:
    bench = await made_bench(store, set_clock, "--on all --branch '*'")
    for number, branch in enumerate(("main", "next", "main", "next"), 409):
        await bench.ends(number, RED, branch=branch)
    assert len(bench.slack.in_channel()) == 4
    await store.links.update((await store.links.all())[0].id, filters="--on all --branch '*' --thread branch")
    for number, branch in enumerate(("main", "next", "main", "next"), 413):
        await bench.ends(number, RED, branch=branch)
    assert len(bench.slack.in_channel()) == 6
    assert len(bench.slack.in_thread()) == 2


async def test_a_build_that_somebody_asked_for_is_posted_where_they_asked(store: Store, set_clock: SetClock) -> None:
    bench = await made_bench(store, set_clock, "--on edges")
    await bench.ends(409, RED)
    await store.watches.add(watch("b410", channel=CHANNEL, user="U7"))
    await bench.ends(410, RED)
    assert len(bench.slack.in_channel()) == 2
    assert not bench.slack.in_thread()


async def test_a_first_failure_that_was_never_posted_leaves_the_root_to_the_next(
    store: Store, set_clock: SetClock
) -> None:
    bench = await made_bench(store, set_clock, "--on edges")
    await store.mutes.set(
        NewMute(team=TEAM, channel=CHANNEL, until=NOW + timedelta(hours=1), made_by="U1", made_at=NOW)
    )
    await bench.ends(409, RED)
    await bench.ends(410, RED)
    assert bench.slack.messages == {}
    await store.mutes.end(TEAM, CHANNEL, "all")
    await bench.ends(411, RED)
    await bench.ends(412, RED)
    (root,) = bench.slack.in_channel()
    assert "App #411" in root
    assert "now 4th in a row, since #409" in root
    assert len(bench.slack.in_thread()) == 1


async def test_whoever_is_on_a_later_failure_is_named_on_the_card_of_the_branch(
    store: Store, set_clock: SetClock
) -> None:
    bench = await made_bench(store, set_clock, "--on edges")
    await bench.ends(409, RED)
    await bench.ends(410, RED)
    await store.red_branches.claim(TEAM, key("b410"), "UBO", bench.clock())
    await store.red_branches.claim(TEAM, key("b409"), "UCY", bench.clock())
    await bench.deliver()
    assert "@UBO is on it" in bench.slack.in_channel()[0]
    assert "UCY" not in bench.slack.in_channel()[0]
    await store.red_branches.unclaim(TEAM, key("b409"), "UBO", bench.clock())
    await bench.deliver()
    assert "is on it" not in bench.slack.in_channel()[0]


async def test_a_noisy_day_is_few_posts_whatever_the_number_of_processes(store: Store, set_clock: SetClock) -> None:
    bench = await made_bench(store, set_clock, "--on edges", processes=2)
    history = "FFFFFPFFFFFFFFPPPPFFFFFFPP"
    for number, letter in enumerate(history, 500):
        await bench.ends(number, RED if letter == "F" else GREEN)
    assert len(bench.slack.in_channel()) == 6  # three times broken, three times fixed
    assert len(bench.slack.in_thread()) == history.count("F") - 3


# escalation


async def test_a_red_branch_that_nobody_is_on_calls_its_author_once(store: Store, set_clock: SetClock) -> None:
    bench = await made_bench(store, set_clock, "--on edges --escalate 30m")
    await bench.ends(409, RED)
    await bench.escalates(minutes=20)
    assert len(bench.slack.in_channel()) == 1
    await bench.ends(410, RED)
    await bench.escalates(minutes=15)
    await bench.escalates(hours=5)
    _root, call = bench.slack.in_channel()
    assert "main of App has been red for 45 m 54 s" in call
    assert "2 failures in a row, and nobody is on it" in call
    assert "@UANA, can you look at it?" in call
    assert "/build claim" in call


async def test_whoever_is_on_it_has_the_time_anew_and_a_fix_ends_it(store: Store, set_clock: SetClock) -> None:
    bench = await made_bench(store, set_clock, "--on edges --escalate 30m,UBOSS1")
    await bench.ends(409, RED)
    await bench.escalates(minutes=25)
    await store.red_branches.claim(TEAM, key("b409"), "UANA", bench.clock())
    await bench.escalates(minutes=20)
    assert len(bench.slack.in_channel()) == 1
    await bench.escalates(minutes=20)
    call = bench.slack.in_channel()[1]
    assert "@UANA is on it" in call
    assert "@UBOSS1, can you look at it?" in call
    await bench.ends(410, GREEN)
    await bench.ends(411, RED)
    await bench.ends(412, GREEN)
    await bench.escalates(hours=3)
    assert not [text for text in bench.slack.in_channel() if "has been red" in text]
    assert "is back to green with #410" in bench.slack.in_channel()[1]
    assert len(bench.slack.in_channel()) == 5


async def test_no_escalation_disturbs_a_muted_or_unsubscribed_channel(store: Store, set_clock: SetClock) -> None:
    bench = await made_bench(store, set_clock, "--on edges --escalate 30m")
    await bench.ends(409, RED)
    row = (await store.links.all())[0]
    await store.links.update(row.id, subscribed=False)
    await bench.escalates(hours=1)
    assert len(bench.slack.in_channel()) == 1
