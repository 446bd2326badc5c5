from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from bot.core.models import BuildKey, Conclusion, IssueCounts, Person, Ref, RefKind
from bot.store import Store, unpack_counts
from bot.store.rows import NewMute
from tests.bot.store.rows import (
    CHANNEL,
    CONNECTION,
    NOW,
    PIPELINE,
    TEAM,
    ago,
    card,
    ended,
    key,
    leased,
    link,
    notification,
    record_told,
    running,
    watch,
)
from tests.bot.store.statements import watched_statements
from tests.set_clock import SetClock

MINUTE = timedelta(minutes=1)
MAIN = Ref(kind=RefKind.BRANCH, name="main")


async def test_a_build_that_runs_is_written_and_nobody_is_notified(store: Store) -> None:
    (item,) = await record_told(store, [running()], now=NOW)
    assert (item.first_seen, item.before, item.finished, item.attempt_no) == (True, None, None, 1)
    assert item.row.id
    found = await store.builds.get(key())
    assert found is not None
    assert found[0] == running()
    assert found[1] == item.row
    assert await store.notifications.of_build(key()) == []


async def test_an_end_is_a_finished_attempt_with_a_notification_in_the_same_breath(store: Store) -> None:
    await record_told(store, [running()], now=NOW)
    build = ended(
        conclusion=Conclusion.FAILED, author=Person(name="Ada", email="ada@example.com"), started_at=ago(seconds=90)
    )
    (item,) = await record_told(store, [build], now=NOW + MINUTE)
    assert item.before == running()
    assert item.finished is not None
    assert (item.finished.conclusion, item.finished.author, item.finished.seconds) == ("failed", "ada@example.com", 90)
    assert item.finished.completed_at == NOW
    assert await store.attempts.get(key(), 1) == item.finished
    assert [row.state for row in await store.notifications.of_build(key())] == ["pending"]


async def test_nothing_is_posted_twice_however_often_it_is_polled(store: Store, other: Store) -> None:
    for seen_by in (store, other, store):
        await record_told(seen_by, [ended()], now=NOW)
    assert len(await store.notifications.of_build(key())) == 1
    assert len(await store.attempts.since(CONNECTION, PIPELINE, ago(days=1))) == 1


async def test_a_page_without_news_costs_one_question(store: Store) -> None:
    builds = [running(f"b{number}", number=number) for number in range(30)]
    await store.recording.record(builds, now=NOW)
    with watched_statements(store) as statements:
        assert not await store.recording.has_news(builds)
    assert [statement.text.split()[0] for statement in statements] == ["SELECT"]


async def test_a_page_full_of_news_costs_as_many_questions_as_a_page_with_one(store: Store) -> None:
    with watched_statements(store) as few:
        await store.recording.record([running("one")], now=NOW)
    with watched_statements(store) as many:
        await store.recording.record([running(f"b{number}") for number in range(30)], now=NOW)
    assert len(many) == len(few)


async def test_a_decision_that_fails_leaves_nothing_behind(store: Store) -> None:
    async def fail() -> None:
        async with store.transaction() as tx:
            await tx.recording.record([ended()], now=NOW)
            raise RuntimeError("no")

    with pytest.raises(RuntimeError, match="no"):
        await fail()
    assert await store.builds.get(key()) is None
    assert await store.attempts.get(key(), 1) is None


async def test_a_batch_comes_back_in_the_order_of_its_ends(store: Store) -> None:
    builds = [
        running("runs"),
        ended("late", completed_at=ago(minutes=1)),
        ended("early", completed_at=ago(minutes=2)),
        ended("unknown-end", completed_at=None, updated_at=ago(seconds=90)),
    ]
    recorded = await record_told(store, builds, now=NOW)
    assert [item.build.id for item in recorded] == ["early", "unknown-end", "late", "runs"]
    rows = await store.notifications.in_channel(TEAM, CHANNEL, ago(days=1))
    assert [row.build for row in rows] == ["early", "unknown-end", "late"]


async def test_a_reopened_build_ends_anew_and_its_old_end_is_not_news(store: Store) -> None:
    await record_told(store, [ended(conclusion=Conclusion.FAILED)], now=NOW)
    (again,) = await record_told(store, [running()], now=NOW + MINUTE)
    assert (again.reopened, again.attempt_no, again.finished) == (True, 2, None)
    assert await record_told(store, [ended(conclusion=Conclusion.FAILED)], now=NOW + MINUTE) == []
    (end,) = await record_told(store, [ended(completed_at=NOW + MINUTE)], now=NOW + 2 * MINUTE)
    assert end.finished is not None
    assert end.finished.attempt_no == 2
    assert [row.attempt_no for row in end.history] == [1]
    assert [row.attempt_no for row in await store.notifications.of_build(key())] == [1, 2]


async def test_both_attempts_of_a_build_in_one_page_are_posted(store: Store) -> None:
    first = ended(attempt=1, conclusion=Conclusion.FAILED, completed_at=ago(minutes=9))
    second = ended(attempt=2, completed_at=ago(minutes=3))
    items = await record_told(store, [second, first], now=NOW)
    assert [(item.attempt_no, item.first_seen) for item in items] == [(1, True), (2, False)]
    assert [row.attempt_no for row in await store.notifications.of_build(key())] == [1, 2]
    found = await store.builds.get(key())
    assert found is not None
    assert found[1].attempt_no == 2
    assert [row.conclusion for row in items[1].history] == ["failed"]


async def test_older_knowledge_is_left_out(store: Store) -> None:
    await record_told(store, [ended(updated_at=NOW)], now=NOW)
    assert await record_told(store, [running(updated_at=ago(seconds=1))], now=NOW) == []
    found = await store.builds.get(key())
    assert found is not None
    assert found[0].completed


async def test_a_corrected_result_changes_the_attempt_and_is_not_news(store: Store) -> None:
    await record_told(store, [ended(conclusion=None, raw_state="odd")], now=NOW)
    corrected = ended(conclusion=Conclusion.FAILED, raw_state="failed", issues=IssueCounts(errors=3))
    (item,) = await record_told(store, [corrected], now=NOW)
    assert item.finished is None
    row = await store.attempts.get(key(), 1)
    assert row is not None
    assert row.conclusion == "failed"
    assert unpack_counts(row.counts) == IssueCounts(errors=3)
    assert len(await store.notifications.of_build(key())) == 1


async def test_an_opening_approval_is_news_once(store: Store) -> None:
    (item,) = await record_told(store, [running(waiting=True)], now=NOW)
    assert item.blocked
    (item,) = await record_told(store, [running(waiting=True, raw_state="x")], now=NOW)
    assert not item.blocked
    await record_told(store, [running(waiting=False)], now=NOW)
    (item,) = await record_told(store, [running(waiting=True)], now=NOW)
    assert item.blocked


async def test_a_build_that_may_have_been_posted_and_forgotten_is_not_news(store: Store) -> None:
    (item,) = await record_told(store, [ended(completed_at=ago(days=181))], now=NOW)
    assert item.finished is None
    assert await store.notifications.of_build(key()) == []


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"completed_at": ago(minutes=1)}, ago(minutes=1)),
        ({"completed_at": NOW + MINUTE}, NOW),
        ({"completed_at": None, "updated_at": ago(minutes=2)}, ago(minutes=2)),
        ({"completed_at": None, "started_at": ago(minutes=3)}, ago(minutes=3)),
        ({"completed_at": None, "created_at": ago(minutes=4)}, ago(minutes=4)),
        ({"completed_at": None, "created_at": None}, NOW),
    ],
)
async def test_an_end_is_dated_as_well_as_is_known(store: Store, fields: dict[str, Any], expected: object) -> None:
    (item,) = await store.recording.record([ended(**fields)], now=NOW)
    assert item.finished is not None
    assert item.finished.completed_at == expected


async def test_the_end_of_a_build_seen_running_is_now_when_its_system_does_not_say(store: Store) -> None:
    await store.recording.record([running(created_at=ago(hours=1))], now=ago(minutes=9))
    (item,) = await store.recording.record([ended(completed_at=None, created_at=ago(hours=1))], now=NOW)
    assert item.finished is not None
    assert item.finished.completed_at == NOW


async def test_history_is_the_results_of_the_branch_those_before_newest_first_then_the_newer(store: Store) -> None:
    await store.recording.record(
        [
            ended("one", completed_at=ago(minutes=50)),
            ended("two", completed_at=ago(minutes=40), conclusion=Conclusion.FAILED),
            ended("stopped", completed_at=ago(minutes=35), conclusion=Conclusion.CANCELLED),
            ended("skipped", completed_at=ago(minutes=34), conclusion=Conclusion.SKIPPED),
            ended("strange", completed_at=ago(minutes=33), conclusion=None),
            ended("elsewhere", completed_at=ago(minutes=30), branch="other"),
            ended("later", completed_at=ago(minutes=5)),
        ],
        now=NOW,
    )
    (item,) = await store.recording.record([ended("b1", completed_at=ago(minutes=20))], now=NOW)
    assert [row.build for row in item.history] == ["strange", "two", "one", "later"]


async def test_a_long_red_streak_is_read_to_its_beginning(store: Store) -> None:
    red = [
        ended(f"b{number:03}", number=number, completed_at=ago(minutes=400 - number), conclusion=Conclusion.FAILED)
        for number in range(1, 151)
    ]
    await store.recording.record([ended("b000", number=0, completed_at=ago(minutes=400)), *red], now=NOW)
    (item,) = await store.recording.record([ended("last", number=151, conclusion=Conclusion.FAILED)], now=NOW)
    assert [row.build for row in item.history[-2:]] == ["b001", "b000"]
    assert len(item.history) == 151


async def test_a_pull_request_without_results_compares_with_its_target(store: Store) -> None:
    await store.recording.record([ended("base", completed_at=ago(minutes=9))], now=NOW)
    pull = {"branch": "feature", "pull_request": "7", "target_branch": "main"}
    (first,) = await store.recording.record([ended("pr-1", completed_at=ago(minutes=5), **pull)], now=NOW)
    (second,) = await store.recording.record([ended("pr-2", **pull)], now=NOW)
    assert ([row.build for row in first.history], [row.build for row in first.target_history]) == ([], ["base"])
    assert ([row.build for row in second.history], second.target_history) == (["pr-1"], ())


@pytest.mark.parametrize(
    "fields",
    [
        {"pull_request": "7"},
        {"from_fork": True},
        {"branch": None},
        {"tag": "v1"},
        {"branch": None, "pull_request": "main"},
    ],
)
async def test_what_is_not_pushed_to_a_branch_never_enters_its_history(store: Store, fields: dict[str, Any]) -> None:
    await store.recording.record([ended("other", completed_at=ago(minutes=9), **fields)], now=NOW)
    (item,) = await store.recording.record([ended("mine")], now=NOW)
    assert item.history == ()


async def test_builds_without_a_ref_share_no_history(store: Store) -> None:
    for number in range(3):
        (item,) = await store.recording.record(
            [ended(f"b{number}", branch=None, completed_at=ago(minutes=9 - number))], now=NOW
        )
        assert (item.history, item.needs_history) == ((), False)


async def test_a_retried_build_keeps_its_place_among_the_builds_of_its_branch(store: Store) -> None:
    old: dict[str, Any] = {"number": 9, "created_at": ago(hours=12), "conclusion": Conclusion.FAILED}
    await store.recording.record([ended("nine", completed_at=ago(hours=11), **old)], now=NOW)
    await store.recording.record([ended("fifteen", number=15, completed_at=ago(hours=1))], now=NOW)
    await store.recording.record([running("nine", number=9, created_at=ago(hours=12))], now=NOW)
    (again,) = await store.recording.record([ended("nine", completed_at=NOW + MINUTE, **old)], now=NOW + MINUTE)
    assert again.attempt_no == 2
    assert [row.build for row in again.history] == ["nine", "fifteen"]
    (next_one,) = await store.recording.record(
        [ended("sixteen", number=16, completed_at=NOW + 11 * MINUTE)], now=NOW + 11 * MINUTE
    )
    assert [row.build for row in next_one.history] == ["fifteen", "nine", "nine"]
    assert next(row.build for row in await store.attempts.of_ref(CONNECTION, PIPELINE, MAIN)) == "sixteen"


async def test_an_old_commit_that_is_rebuilt_stands_where_its_branch_first_built_it(store: Store) -> None:
    builds = [
        ended("one", commit="a1", completed_at=ago(minutes=60)),
        ended("two", commit="b2", completed_at=ago(minutes=40)),
        ended("again", commit="a1", completed_at=ago(minutes=20)),
    ]
    await store.recording.record(builds, now=NOW)
    (item,) = await store.recording.record([ended("three", commit="c3")], now=NOW)
    assert [row.build for row in item.history] == ["two", "again", "one"]


async def test_a_rebuild_of_a_commit_that_was_built_before_anybody_looked_stands_by_its_first_build(
    store: Store,
) -> None:
    await store.recording.record([ended("two", commit="b2", completed_at=ago(minutes=40))], now=NOW)
    again = ended("again", commit="a1", completed_at=ago(minutes=5), first_built_at=ago(days=2))
    (item,) = await store.recording.record([again], now=NOW)
    assert item.finished is not None
    assert item.finished.commit_at == ago(days=2)
    assert [row.build for row in await store.attempts.of_ref(CONNECTION, PIPELINE, MAIN)] == ["two", "again"]


async def test_a_build_that_is_one_job_is_compared_with_builds_of_that_job(store: Store) -> None:
    for number, job in enumerate(("unit", "lint", "unit"), 1):
        await store.recording.record([ended(f"b{number}", job=job, completed_at=ago(minutes=9 - number))], now=NOW)
    (item,) = await store.recording.record([ended("b4", job="lint")], now=NOW)
    assert [row.build for row in item.history] == ["b2"]
    of_unit = await store.attempts.of_ref(CONNECTION, PIPELINE, replace(MAIN, job="unit"))
    assert [row.build for row in of_unit] == ["b3", "b1"]
    assert len(await store.attempts.of_ref(CONNECTION, PIPELINE, MAIN)) == 4


async def test_a_commit_s_place_moves_back_when_an_earlier_build_of_it_ends_later(store: Store) -> None:
    await store.recording.record([ended("again", commit="a1", completed_at=ago(minutes=20))], now=NOW)
    await store.recording.record([ended("two", commit="b2", completed_at=ago(minutes=40))], now=NOW)
    slow = ended("slow", commit="a1", created_at=ago(minutes=90), completed_at=ago(minutes=5))
    await store.recording.record([slow], now=NOW)
    rows = await store.attempts.of_ref(CONNECTION, PIPELINE, MAIN)
    assert [row.build for row in rows] == ["two", "again", "slow"]


async def test_the_times_of_a_retried_build_are_those_of_its_attempt(store: Store) -> None:
    old: dict[str, Any] = {"created_at": ago(hours=13), "started_at": ago(hours=13)}
    await store.recording.record([ended(conclusion=Conclusion.FAILED, completed_at=ago(hours=12), **old)], now=NOW)
    await store.recording.record([running(**old)], now=NOW)
    (again,) = await store.recording.record([ended(completed_at=NOW + 3 * MINUTE, **old)], now=NOW + 3 * MINUTE)
    assert again.finished is not None
    assert (again.row.began_at, again.finished.seconds) == (NOW, 180.0)


async def test_waiting_for_people_is_kept_apart_from_running(store: Store) -> None:
    begun: dict[str, Any] = {"started_at": NOW, "created_at": NOW}
    await store.recording.record([running(**begun)], now=NOW)
    await store.recording.record([running(waiting=True, **begun)], now=NOW + MINUTE)
    found = await store.builds.get(key())
    assert found is not None
    assert found[1].waiting_since == NOW + MINUTE
    await store.recording.record([running(waiting=True, raw_state="still", **begun)], now=NOW + 5 * MINUTE)
    await store.recording.record([running(**begun)], now=NOW + 24 * MINUTE)
    (end,) = await store.recording.record([ended(completed_at=NOW + 26 * MINUTE, **begun)], now=NOW + 26 * MINUTE)
    assert end.finished is not None
    assert (end.row.waiting_since, end.finished.approval_seconds, end.finished.seconds) == (None, 23 * 60, 180.0)


async def test_only_a_ref_without_history_wants_to_know_earlier_builds(store: Store) -> None:
    (first,) = await store.recording.record([ended("one", completed_at=ago(minutes=9))], now=NOW, asks_history=True)
    (second,) = await store.recording.record([ended("two")], now=NOW, asks_history=True)
    assert (first.needs_history, second.needs_history) == (True, False)
    assert first.finished is not None
    assert first.finished.counts_due_at == NOW


async def test_links_watches_and_mutes_come_with_each_build_they_concern(store: Store) -> None:
    await store.links.save(link())
    await store.links.save(link(channel="C2"))
    await store.links.save(link(channel="C3", pipeline="p-else"))
    await store.watches.add(watch("b1"))
    await store.watches.add(watch("b2", user="U2", channel="U2"))
    await store.watches.add(watch("", user="U3", channel="U3"))
    for channel in (CHANNEL, "C3", "U3"):
        await store.mutes.set(NewMute(team=TEAM, channel=channel, made_by="U1", made_at=NOW))
    one, two, three = await store.recording.record(
        [running("b1"), running("b2"), running("b3", pipeline="p-else")], now=NOW
    )
    assert [row.channel for row in one.links] == [CHANNEL, "C2"]
    assert [row.user for row in one.watches] == ["U1", "U3"]
    assert [row.channel for row in one.mutes] == [CHANNEL, "U3"]
    assert [row.user for row in two.watches] == ["U2", "U3"]
    assert [row.channel for row in three.links] == ["C3"]
    assert [row.channel for row in three.mutes] == ["C3"]


async def test_more_builds_than_fit_into_one_statement_are_recorded(store: Store) -> None:
    builds = [ended(f"b{number}") for number in range(1101)]
    assert len(await record_told(store, builds, now=NOW)) == 1101
    assert await record_told(store, builds, now=NOW) == []


async def test_cards_follow_their_build_no_more_often_than_they_may_and_at_once_at_its_end(store: Store) -> None:
    await store.recording.record([running()], now=NOW)
    await store.notifications.add([notification()])
    await store.notifications.set_sent(await leased(store, 1), ts="1.1", card=card(edited_at=NOW), now=NOW)

    async def due() -> object:
        (row,) = await store.cards.of_build(key())
        return row.edit_due_at

    assert await due() is None
    await store.recording.record([running(raw_state="x")], now=NOW + timedelta(seconds=5))
    assert await due() == NOW + timedelta(seconds=15)
    await store.recording.record([running(raw_state="y")], now=NOW + timedelta(seconds=60))
    assert await due() == NOW + timedelta(seconds=15)
    await store.recording.record([ended()], now=NOW + timedelta(seconds=6))
    assert await due() == NOW + timedelta(seconds=6)


async def test_the_card_of_an_attempt_that_is_over_is_drawn_anew_once_when_another_begins(store: Store) -> None:
    await store.recording.record([ended()], now=NOW)
    await store.notifications.add([notification()])
    await store.notifications.set_sent(await leased(store, 1), ts="1.1", card=card(live=False), now=NOW)
    await store.recording.record([running()], now=NOW + MINUTE)
    (row,) = await store.cards.of_build(key())
    assert row.edit_due_at == NOW + MINUTE
    (claimed,) = await store.cards.claim(now=NOW + MINUTE, lease_seconds=60, limit=9)
    await store.cards.set_edited(claimed, shown="x", live=False, now=NOW + MINUTE)
    await store.recording.record([running(raw_state="x")], now=NOW + 2 * MINUTE)
    (row,) = await store.cards.of_build(key())
    assert row.edit_due_at is None


async def test_the_end_of_an_attempt_that_nobody_saw_running_makes_the_cards_of_the_one_before_due(
    store: Store,
) -> None:
    await record_told(store, [ended(conclusion=Conclusion.FAILED, attempt=1, completed_at=ago(minutes=5))], now=NOW)
    await store.notifications.add([notification()])
    await store.notifications.set_sent(await leased(store, 1), ts="1.1", card=card(live=False), now=NOW)
    await store.recording.record([ended(attempt=2, completed_at=NOW)], now=NOW + MINUTE)
    assert [row.edit_due_at for row in await store.cards.of_build(key())] == [NOW + MINUTE]


async def test_a_change_while_a_notification_is_posted_makes_its_card_due(store: Store) -> None:
    await store.recording.record([running()], now=NOW)
    await store.notifications.add([notification(event="started"), notification("b2", channel="C2", event="started")])
    assert len(await store.notifications.claim("w", now=NOW, lease_seconds=60, limit=9)) == 2
    await store.recording.record([running(raw_state="x")], now=NOW)
    await store.notifications.set_sent(await leased(store, 1), ts="1.1", card=card(), now=NOW)
    await store.notifications.set_sent(await leased(store, 2), ts="2.2", card=card("b2", "2.2"), now=NOW)
    (moved,), (still,) = await store.cards.of_build(key()), await store.cards.of_build(key("b2"))
    assert moved.edit_due_at == NOW
    assert still.edit_due_at is None


async def test_attempts_that_want_counts_are_claimed_newest_first_and_come_back_after_the_lease(
    store: Store, other: Store
) -> None:
    await store.recording.record(
        [
            ended("old", completed_at=ago(minutes=2)),
            ended("new", completed_at=ago(minutes=1)),
            ended("known", issues=IssueCounts(errors=0)),
            ended("red", completed_at=ago(minutes=3), conclusion=Conclusion.FAILED, issues=IssueCounts(errors=1)),
            running("runs"),
        ],
        now=NOW,
        counts_after=timedelta(0),
    )
    assert [row.build for row in await store.attempts.claim_uncounted(NOW, 1)] == ["new"]
    # Whose counts are known is asked about all the same when it is red: its first failure is wanted.
    assert [row.build for row in await other.attempts.claim_uncounted(NOW, 9)] == ["old", "red"]
    assert await store.attempts.claim_uncounted(NOW, 9) == []
    again = await store.attempts.claim_uncounted(NOW + MINUTE, 9)
    assert [(row.build, row.counts_tries) for row in again] == [("new", 2), ("old", 2), ("red", 2)]


async def test_details_that_somebody_who_is_gone_claimed_are_read_at_once(store: Store) -> None:
    await store.recording.record([ended("claimed"), ended("later")], now=NOW, counts_after=timedelta(0))
    (claimed,) = await store.attempts.claim_uncounted(NOW, 1)
    await store.attempts.release_leases(NOW)
    again = await store.attempts.claim_uncounted(NOW, 9)
    assert sorted((row.build, row.counts_tries) for row in again) == [("claimed", 2), ("later", 1)]
    assert claimed.counts_tries == 1


async def test_no_counts_are_wanted_where_nobody_asks_for_them(store: Store) -> None:
    await store.recording.record([ended()], now=NOW)
    assert await store.attempts.claim_uncounted(NOW, 9) == []


async def test_counts_fill_the_attempt_release_its_notification_and_edit_its_cards(store: Store) -> None:
    later = NOW + timedelta(seconds=30)

    await store.recording.record([ended()], now=NOW, counts_after=timedelta(0))
    await store.notifications.add([notification(due_at=later)])
    await store.notifications.add([notification(event="started", channel="C2", due_at=later, state="sent")])
    await store.notifications.set_sent(await leased(store, 2), ts="2.2", card=card(channel="C2", ts="2.2"), now=NOW)
    await store.attempts.set_counts(key(), 1, IssueCounts(errors=2), NOW + MINUTE, failures="[]", failures_total=4)
    row = await store.attempts.get(key(), 1)
    assert row is not None
    assert unpack_counts(row.counts) == IssueCounts(errors=2)
    assert (row.counts_due_at, row.failures, row.failures_total) == (None, "[]", 4)
    found = await store.builds.get(key())
    assert found is not None
    assert found[0].issues == IssueCounts(errors=2)
    (edit,) = await store.cards.of_build(key())
    assert edit.edit_due_at == NOW + MINUTE
    assert await record_told(store, [ended()], now=NOW + MINUTE) == []


async def test_counts_make_a_waiting_notification_due_but_not_a_refused_one(store: Store) -> None:
    later = NOW + timedelta(seconds=30)
    await store.recording.record([ended()], now=NOW)
    await store.notifications.add([notification(due_at=later), notification(channel="C2", due_at=NOW)])
    await store.notifications.claim("w", now=NOW, lease_seconds=60, limit=1)
    await store.notifications.requeue(await leased(store, 2), due_at=later, unsure=False)
    await store.attempts.set_counts(key(), 1, IssueCounts(errors=2), NOW)
    assert [row.due_at for row in await store.notifications.of_build(key())] == [NOW, later]


async def test_counts_of_a_attempt_that_is_over_do_not_touch_the_build_that_runs_again(store: Store) -> None:
    await store.recording.record([ended()], now=NOW)
    await store.recording.record([running()], now=NOW)
    await store.attempts.set_counts(key(), 1, IssueCounts(errors=2), NOW)
    await store.attempts.set_counts(key("unknown"), 1, IssueCounts(errors=2), NOW)
    found = await store.builds.get(key())
    assert found is not None
    assert not found[0].issues.known


async def test_counts_are_given_up_and_the_notification_waits_no_longer(store: Store, set_clock: SetClock) -> None:
    await store.recording.record([ended()], now=NOW, counts_after=timedelta(0))
    await store.notifications.add([notification(due_at=NOW + timedelta(seconds=30))])
    (row,) = await store.attempts.claim_uncounted(NOW, 9)
    assert row.id is not None
    set_clock.go(seconds=1)
    await store.attempts.give_up_counts(row)
    await store.attempts.give_up_counts(replace(row, id=999))
    assert await store.attempts.claim_uncounted(NOW + timedelta(days=1), 9) == []
    assert (await store.notifications.of_build(key()))[0].due_at == NOW + timedelta(seconds=1)


async def test_cards_learn_that_no_counts_will_come(store: Store) -> None:
    await record_told(store, [ended()], now=NOW, counts_after=timedelta(0))
    await store.notifications.set_sent(await leased(store, 1), ts="1.1", card=card(), now=NOW)
    (row,) = await store.attempts.claim_uncounted(NOW, 9)
    assert row.id is not None
    await store.attempts.give_up_counts(row)
    assert [made.edit_due_at for made in await store.cards.of_build(key())] == [NOW]


async def test_a_started_build_is_watched_and_its_end_posted_however_fast_it_came(store: Store) -> None:
    row = await store.recording.record_start(
        ended(),
        team=TEAM,
        channel=CHANNEL,
        user="U1",
        notifications=[notification(event="started")],
        watches=[watch()],
        now=NOW,
    )
    assert (row.attempt_no, row.completed, row.started_by, row.started_channel) == (1, False, "U1", CHANNEL)
    assert row.id
    assert await store.polling.watched(CONNECTION) == (frozenset(), frozenset({key()}))
    (item,) = await record_told(store, [ended()], now=NOW)
    assert item.finished is not None
    assert [one.user for one in item.watches] == ["U1"]
    assert item.row.started_by == "U1"
    assert [one.event for one in await store.notifications.of_build(key())] == ["started", "finished"]


async def test_a_build_the_watcher_saw_first_is_marked_as_started_and_keeps_what_is_known(store: Store) -> None:
    await store.recording.record([running(commit="abc1234", raw_state="x")], now=NOW)
    row = await store.recording.record_start(
        running(raw_state="queued", updated_at=NOW),
        team=TEAM,
        channel=CHANNEL,
        user="U1",
        notifications=(),
        watches=[],
        now=NOW,
    )
    assert (row.attempt_no, row.commit_sha, row.started_team) == (1, "abc1234", TEAM)
    assert [build.id for build in await store.builds.started_by(TEAM, "U1", 5)] == ["b1"]


async def test_an_end_that_was_posted_already_stays_posted_when_the_start_is_written_late(store: Store) -> None:
    await record_told(store, [ended(updated_at=NOW)], now=NOW)
    row = await store.recording.record_start(
        running(updated_at=ago(minutes=1)),
        team=TEAM,
        channel=CHANNEL,
        user="U1",
        notifications=(),
        watches=[],
        now=NOW,
    )
    assert (row.completed, row.attempt_no, row.started_by) == (True, 1, "U1")
    assert await record_told(store, [ended(updated_at=NOW)], now=NOW) == []


async def test_a_retried_build_is_in_a_new_attempt_before_its_system_shows_it(store: Store) -> None:
    await record_told(store, [ended(conclusion=Conclusion.FAILED)], now=NOW)
    row = await store.recording.record_start(
        ended(conclusion=Conclusion.FAILED),
        team=TEAM,
        channel=CHANNEL,
        user="U1",
        notifications=[notification(event="started")],
        watches=[watch()],
        now=NOW,
        before=ended(conclusion=Conclusion.FAILED),
        after_attempt=1,
    )
    assert (row.attempt_no, row.completed) == (2, False)
    assert await record_told(store, [ended(conclusion=Conclusion.FAILED)], now=NOW) == []
    (item,) = await record_told(store, [running()], now=NOW)
    assert (item.attempt_no, item.reopened) == (2, False)
    (item,) = await record_told(store, [ended(completed_at=NOW + MINUTE)], now=NOW + MINUTE)
    assert item.finished is not None
    assert item.finished.attempt_no == 2


async def test_a_lost_build_is_not_tracked_any_more_and_its_cards_say_so(store: Store) -> None:
    await store.links.save(link())
    await store.recording.record([running(), running("b2")], now=NOW)
    await store.watches.add(watch())
    await store.notifications.add([notification(event="started")])
    await store.notifications.set_sent(await leased(store, 1), ts="1.1", card=card(), now=NOW)
    await store.recording.stop_tracking(key())
    assert await store.polling.watched(CONNECTION) == (frozenset({PIPELINE}), frozenset({key("b2")}))
    (edit,) = await store.cards.of_build(key())
    assert edit.edit_due_at == NOW
    (note,) = await store.cards.notes(key(), 1, TEAM)
    assert (note.kind, note.text) == ("replaced", "The CI system no longer has this build")
    assert await store.watches.of_build(key()) == []
    assert await store.attempts.get(key(), 1) is None


async def test_two_connections_in_one_page_are_kept_apart(store: Store) -> None:
    items = await record_told(store, [ended(), ended(connection="other")], now=NOW)
    assert {item.build.key for item in items} == {key(), BuildKey(connection="other", pipeline=PIPELINE, id="b1")}


async def test_builds_with_odd_names_are_found_again(store: Store) -> None:
    builds = [ended(build, pipeline="group/ünï \"'{}[],") for build in ("a,b", 'a"b', "a'b", "{a}", "[a]", "\\a", "ä☃")]
    assert len(await record_told(store, builds, now=NOW)) == len(builds)
    assert await record_told(store, builds, now=NOW) == []
