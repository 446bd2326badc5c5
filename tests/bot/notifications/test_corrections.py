"""What becomes of messages when an earlier build's end, result or counts turn out other than they were, as people see it."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from bot.core.models import Build, Conclusion, IssueCounts
from bot.providers.base.capabilities import Capability
from bot.store import Store
from tests.bot.notifications.bench import ANA, GREEN, RED, Bench, made_bench
from tests.bot.store.rows import ago, ended, link, watch
from tests.set_clock import SetClock


def build(bench: Bench, number: int, conclusion: Conclusion, **fields: Any) -> Build:
    """Return a build of main that has ended just now and was made in the order of its number."""
    created = ago(hours=1) + number * timedelta(seconds=1)
    made: dict[str, Any] = {"number": number, "commit": f"{number:07}c", "author": ANA, "created_at": created, **fields}
    return ended(f"b{number}", conclusion=conclusion, completed_at=bench.clock(), **made)


async def ends(bench: Bench, number: int, conclusion: Conclusion, **fields: Any) -> Build:
    bench.clock.go(minutes=2)
    end = build(bench, number, conclusion, **fields)
    await bench.sees(end)
    return end


async def corrects(bench: Bench, end: Build, conclusion: Conclusion, **fields: Any) -> None:
    bench.clock.go(minutes=2)
    await bench.sees(replace(end, conclusion=conclusion, raw_state=f"now {conclusion}", **fields))


def first_lines(messages: list[str]) -> list[str]:
    return [text.splitlines()[0] for text in messages]


async def test_a_channel_of_changes_hears_once_of_the_change_that_a_late_end_made(
    store: Store, set_clock: SetClock
) -> None:
    await store.watches.add(watch("", channel="U9", user="U9", filters="--on broken,fixed", created_at=ago(days=9)))
    bench = await made_bench(store, set_clock, "--on broken,fixed")
    await ends(bench, 408, RED)
    await ends(bench, 410, RED)
    assert len(bench.slack.in_channel()) == 1
    late = await ends(bench, 409, GREEN)
    for label, messages in (("App", bench.slack.in_channel()), ("p-app", bench.slack.in_channel("U9"))):
        assert first_lines(messages) == [f"✕ FAILED  {label} #408  ·  main", f"✕ FAILED  {label} #410  ·  main"]
        assert "Newly broken — green for 1 build" in messages[1]
        assert "Corrected when #409 ended" in messages[1]
    await corrects(bench, late, RED)
    await corrects(bench, late, GREEN)
    assert len(bench.slack.in_channel()) == 2
    denial = "this build was not the first to fail"
    row = "Still failing — 3rd in a row, since #408"
    assert [text for text in bench.slack.in_thread() if denial in text] == [
        f"↩ Taken back when the result of #409 changed: {denial}. {row}"
    ]


async def test_whoever_follows_and_the_author_get_the_edit_and_the_correction_in_their_direct_messages(
    store: Store, set_clock: SetClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def wants(*_args: Any) -> bool:
        return True

    bench = await made_bench(store, set_clock, "--on all")
    monkeypatch.setattr("tests.bot.notifications.bench.People.wants_broken", wants)
    await store.watches.add(watch("", channel="U9", user="U9", filters="--on edges", created_at=ago(days=9)))
    await ends(bench, 410, RED)
    assert "Posted because your commit broke it" in bench.slack.in_channel("UANA")[0]
    await ends(bench, 409, RED)
    for person, why in (("UANA", "your commit did not break it"), ("U9", "this build was not the first to fail")):
        (card,) = [text for text in bench.slack.in_channel(person) if "#410" in text.splitlines()[0]]
        assert "Still failing — 2nd in a row, since #409" in card
        assert "Corrected when #409 ended" in card
        (reply,) = bench.slack.in_thread(person)
        assert reply.startswith(f"↩ Taken back when #409 ended: {why}. Still failing")


async def test_a_message_to_the_author_that_is_still_on_its_way_is_not_sent_after_a_correction(
    store: Store, set_clock: SetClock
) -> None:
    bench = await made_bench(store, set_clock, "--on all")
    bench.clock.go(minutes=2)
    await bench.poller.record([build(bench, 410, RED)], bench.works)
    await bench.poller.record([build(bench, 409, RED)], bench.works)
    await bench.deliver()
    rows = [row for row in await store.notifications.of_build(build(bench, 410, RED).key) if not row.link]
    assert [(row.state, row.reason) for row in rows] == [("silent", "the commit did not break it after all")]


async def test_an_ordinal_and_a_count_are_edited_without_a_reply(store: Store, set_clock: SetClock) -> None:
    bench = await made_bench(store, set_clock, "--on all")
    await ends(bench, 408, RED)
    await ends(bench, 410, RED)
    await ends(bench, 409, RED)
    assert "Still failing — 3rd in a row, since #408" in bench.slack.in_channel()[1]
    assert bench.slack.in_thread() == []


async def test_counts_that_a_later_list_corrects_change_the_deltas_of_newer_cards(
    store: Store, set_clock: SetClock
) -> None:
    await store.links.save(link(channel="C3", created_at=ago(days=9), default_branch="main", filters="--on worse"))
    bench = await made_bench(store, set_clock, "--on all")
    first = await ends(bench, 409, GREEN, issues=IssueCounts(warnings=5))
    await ends(bench, 410, GREEN, issues=IssueCounts(warnings=5))
    assert bench.slack.in_channel("C3") == []
    await corrects(bench, first, GREEN, issues=IssueCounts(warnings=2))
    card = bench.slack.in_channel()[1]
    assert "Still green, with more issues" in card
    assert "5 warnings (+3)" in card
    assert "Corrected when the issues of #409 were counted" in card
    assert bench.slack.in_thread() == []
    (worse,) = bench.slack.in_channel("C3")
    assert "5 warnings (+3)" in worse
    await corrects(bench, first, GREEN, issues=IssueCounts(warnings=9))
    reply = "it had no more issues than the build before. Still green"
    assert bench.slack.in_thread() == [f"↩ Taken back when the issues of #409 were counted: {reply}"]
    assert bench.slack.in_thread("C3") == bench.slack.in_thread()


async def test_counts_that_come_after_the_notification_went_without_them_reach_a_channel_of_worse_builds(
    store: Store, set_clock: SetClock
) -> None:
    await store.links.save(link(channel="C3", created_at=ago(days=9), default_branch="main", filters="--on worse"))
    bench = await made_bench(store, set_clock, "--on all")
    bench.works.capabilities |= {Capability.COUNTS}
    await ends(bench, 409, GREEN, issues=IssueCounts(warnings=2))
    end = await ends(bench, 410, GREEN)
    await corrects(bench, end, GREEN, issues=IssueCounts(warnings=4))
    assert "Corrected" not in bench.slack.in_channel()[1]
    (worse,) = bench.slack.in_channel("C3")
    assert "4 warnings (+2)" in worse


# one thread for each red branch


async def test_a_red_thread_of_a_failure_that_was_none_is_over_and_says_so(store: Store, set_clock: SetClock) -> None:
    bench = await made_bench(store, set_clock, "--on edges")
    false = await ends(bench, 409, RED)
    await corrects(bench, false, GREEN)
    (root,) = bench.slack.in_channel()
    assert root.startswith("✓ PASSED  App #409")
    assert bench.slack.in_thread() == [
        "↩ Taken back when the result of #409 changed: this build did not fail. Still green"
    ]
    await ends(bench, 410, RED)
    assert "Newly broken — green for 2 builds" in bench.slack.in_channel()[1]


async def test_a_red_thread_goes_on_with_the_failures_in_it_that_were_true(store: Store, set_clock: SetClock) -> None:
    bench = await made_bench(store, set_clock, "--on edges")
    false = await ends(bench, 409, RED)
    await ends(bench, 410, RED)
    await ends(bench, 411, RED)
    await corrects(bench, false, GREEN)
    (root,) = bench.slack.in_channel()
    assert root.startswith("✓ PASSED  App #409")
    assert "Still green  ·  red since #410, 2nd in a row" in root
    await ends(bench, 412, RED)
    assert "red since #410, 3rd in a row" in bench.slack.in_channel()[0]
    await ends(bench, 413, GREEN)
    assert "red since" not in bench.slack.in_channel()[0]
    assert "Back to green after" in bench.slack.in_channel()[1]


async def test_a_red_thread_that_a_false_pass_ended_is_open_again(store: Store, set_clock: SetClock) -> None:
    bench = await made_bench(store, set_clock, "--on edges --escalate 30m")
    await ends(bench, 409, RED)
    false = await ends(bench, 410, GREEN)
    assert "back to green with #410" in bench.slack.in_channel()[0]
    await corrects(bench, false, RED)
    root, fix = bench.slack.in_channel()
    assert "now 2nd in a row, since #409" in root
    assert fix.startswith("✕ FAILED  App #410")
    assert "this build did not pass. Still failing — 2nd in a row, since #409" in bench.slack.in_thread()[0]
    await ends(bench, 411, RED)
    assert len(bench.slack.in_channel()) == 2
    assert "now 3rd in a row, since #409" in bench.slack.in_channel()[0]
    await bench.escalates(minutes=40)
    assert "3 failures in a row" in bench.slack.in_channel()[2]


async def test_a_second_red_thread_that_the_first_one_s_failures_go_on_in_is_given_up(
    store: Store, set_clock: SetClock
) -> None:
    bench = await made_bench(store, set_clock, "--on edges")
    await ends(bench, 409, RED)
    false = await ends(bench, 410, GREEN)
    await ends(bench, 411, RED)
    await corrects(bench, false, RED)
    first, _fix, second = bench.slack.in_channel()
    assert "now 3rd in a row, since #409" in first
    assert "Still failing — 3rd in a row, since #409" in second
    await ends(bench, 412, GREEN)
    assert "back to green with #412" in bench.slack.in_channel()[0]
    assert "back to green" not in bench.slack.in_channel()[2]


async def test_a_late_pass_in_the_middle_of_a_red_thread_is_named_on_its_card(
    store: Store, set_clock: SetClock
) -> None:
    bench = await made_bench(store, set_clock, "--on edges")
    await ends(bench, 409, RED)
    await ends(bench, 411, RED)
    await ends(bench, 410, GREEN)
    assert "red since #411" in bench.slack.in_channel()[0]
    await ends(bench, 412, GREEN)
    assert "back to green with #412" in bench.slack.in_channel()[0]
    assert "and 1 red build" in bench.slack.in_channel()[1]


async def test_a_failure_that_turns_out_true_later_opens_a_red_thread(store: Store, set_clock: SetClock) -> None:
    bench = await made_bench(store, set_clock, "--on edges")
    end = await ends(bench, 409, GREEN)
    assert bench.slack.in_channel() == []
    await corrects(bench, end, RED)
    await ends(bench, 410, RED)
    (root,) = bench.slack.in_channel()
    assert "App #409" in root
    assert "now 2nd in a row, since #409" in root
    assert len(bench.slack.in_thread()) == 1
