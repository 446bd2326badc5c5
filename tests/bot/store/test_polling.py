import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from bot.store import Store
from bot.store.rows import PollTargetRow
from tests.bot.store.rows import CONNECTION, NOW, PIPELINE, TEAM, ago, ended, key, link, running, watch
from tests.set_clock import SetClock

MINUTE = timedelta(minutes=1)


async def claim(
    store: Store, *, owner: str = "w", late: timedelta = timedelta(0), limit: int = 9
) -> list[PollTargetRow]:
    return await store.polling.claim(owner, now=NOW + late, lease_seconds=60, limit=limit)


async def release(
    store: Store, poll_target: PollTargetRow, *, error: str | None = None, late: timedelta = timedelta(0)
) -> bool:
    return await store.polling.release(
        poll_target,
        cursor=None if error else "next",
        due_at=NOW + late + MINUTE,
        poll_at=NOW + late + MINUTE,
        interval_seconds=60,
        error=error,
        now=NOW + late,
    )


async def test_a_wanted_poll_target_is_there_once_and_due(store: Store) -> None:
    await store.polling.ensure(CONNECTION, "", now=NOW)
    await store.polling.ensure(CONNECTION, "", now=NOW + MINUTE)
    (poll_target,) = await store.polling.targets()
    assert (poll_target.due_at, poll_target.poll_at, poll_target.hints) == (NOW, NOW, "[]")


async def test_leases_of_poll_targets_are_kept_by_their_owner_only(store: Store) -> None:
    for part in ("a", "b"):
        await store.polling.ensure(CONNECTION, part, now=NOW)
    first, second = await claim(store)
    await store.polling.renew("x", [first.id or 0, second.id or 0], NOW + MINUTE * 3)
    await store.polling.renew("w", [first.id or 0], NOW + MINUTE * 3)
    assert [row.id for row in await claim(store, late=MINUTE * 2)] == [second.id]


async def test_one_poll_target_or_all_of_a_connection_are_dropped(store: Store) -> None:
    for part in ("", "a", "b"):
        await store.polling.ensure(CONNECTION, part, now=NOW)
    await store.polling.ensure("other", "", now=NOW)
    await store.polling.drop(CONNECTION, "a")
    assert [(poll_target.connection, poll_target.part) for poll_target in await store.polling.targets()] == [
        ("other", ""),
        (CONNECTION, ""),
        (CONNECTION, "b"),
    ]
    await store.polling.drop(CONNECTION)
    assert [poll_target.connection for poll_target in await store.polling.targets()] == ["other"]


async def test_a_poll_target_has_one_holder_until_its_lease_ends(store: Store, other: Store) -> None:
    await store.polling.ensure(CONNECTION, "", now=NOW)
    (first,) = await claim(store, owner="one")
    assert (first.lease_owner, first.fence, first.lease_until) == ("one", 1, NOW + MINUTE)
    assert await claim(other, owner="two") == []
    (second,) = await claim(other, owner="two", late=MINUTE)
    assert (second.lease_owner, second.fence) == ("two", 2)


async def test_two_owners_share_the_poll_targets_and_none_is_claimed_twice(store: Store, other: Store) -> None:
    for part in range(40):
        await store.polling.ensure(CONNECTION, f"{part}", now=NOW)
    taken = await asyncio.gather(*(claim(one, limit=7) for one in (store, other) * 4))
    ids = [poll_target.id for poll_targets in taken for poll_target in poll_targets]
    assert len(ids) == len(set(ids)) == 40


async def test_poll_targets_are_claimed_the_longest_due_first_and_none_before_it_is_due(store: Store) -> None:
    for part, minutes in (("b", -1), ("a", -2), ("later", 1)):
        await store.polling.ensure(CONNECTION, part, now=NOW + minutes * MINUTE)
    assert [poll_target.part for poll_target in await claim(store, limit=1)] == ["a"]
    assert [poll_target.part for poll_target in await claim(store)] == ["b"]
    assert await claim(store) == []


async def test_a_released_poll_target_comes_back_when_it_is_due(store: Store) -> None:
    await store.polling.ensure(CONNECTION, "", now=NOW)
    (poll_target,) = await claim(store)
    assert await release(store, poll_target)
    assert await claim(store) == []
    (again,) = await claim(store, late=MINUTE)
    assert (again.cursor, again.interval_seconds, again.polled_at, again.fence) == ("next", 60, NOW, 2)


async def test_who_lost_the_lease_cannot_release(store: Store) -> None:
    await store.polling.ensure(CONNECTION, "", now=NOW)
    (slow,) = await claim(store, owner="slow")
    (quick,) = await claim(store, owner="quick", late=MINUTE)
    assert not await release(store, slow, late=MINUTE)
    assert (await store.polling.targets())[0].lease_owner == "quick"
    assert await release(store, quick, late=MINUTE)
    await store.polling.drop(CONNECTION)
    assert not await release(store, quick, late=MINUTE)


async def test_an_outage_keeps_the_cursor_and_the_time_it_began_until_it_is_over(store: Store) -> None:
    await store.polling.ensure(CONNECTION, "", now=NOW)
    (poll_target,) = await claim(store)
    await release(store, poll_target)
    (poll_target,) = await claim(store, late=MINUTE)
    await release(store, poll_target, error="down", late=MINUTE)
    await store.polling.set_outage_notified(poll_target.id or 0, NOW)
    (poll_target,) = await claim(store, late=2 * MINUTE)
    await release(store, poll_target, error="still down", late=2 * MINUTE)
    (poll_target,) = await claim(store, late=3 * MINUTE)
    assert (poll_target.cursor, poll_target.failing_since, poll_target.last_error, poll_target.notified_at) == (
        "next",
        NOW + MINUTE,
        "still down",
        NOW,
    )
    await release(store, poll_target, late=3 * MINUTE)
    (poll_target,) = await store.polling.targets()
    assert (poll_target.failing_since, poll_target.last_error, poll_target.notified_at) == (None, "", None)


async def test_a_webhook_event_makes_a_poll_target_due_and_names_builds_once(store: Store) -> None:
    await store.polling.ensure(CONNECTION, "", now=NOW + MINUTE)
    hints = [(PIPELINE, "b1"), (PIPELINE, "b2")]
    assert await store.polling.request(CONNECTION, None, hints, full=False, now=NOW)
    assert await store.polling.request(CONNECTION, "", hints[:1], full=False, now=NOW)
    (poll_target,) = await claim(store)
    assert poll_target.poll_at == NOW + MINUTE
    assert await store.polling.take_hints(poll_target) == hints
    assert await store.polling.take_hints(poll_target) == []
    assert await store.polling.take_hints(replace(poll_target, id=999)) == []


async def test_a_webhook_event_of_one_part_leaves_the_others_alone(store: Store) -> None:
    for part in ("a", "b"):
        await store.polling.ensure(CONNECTION, part, now=NOW + MINUTE)
    await store.polling.request(CONNECTION, "a", [(PIPELINE, "b1")], full=False, now=NOW)
    assert [poll_target.part for poll_target in await claim(store)] == ["a"]
    await store.polling.request(CONNECTION, None, [], full=True, now=NOW)
    assert [poll_target.part for poll_target in await claim(store)] == ["b"]


async def test_a_webhook_event_for_a_poll_target_that_is_not_there_says_so(store: Store) -> None:
    assert not await store.polling.request(CONNECTION, None, [], full=True, now=NOW)


@pytest.mark.parametrize(
    ("hints", "full"),
    [([], False), ([(PIPELINE, "b1")], True), ([(PIPELINE, str(number)) for number in range(201)], False)],
)
async def test_a_webhook_event_that_names_no_or_too_many_builds_polls_the_whole_poll_target(
    store: Store, hints: list[tuple[str, str]], *, full: bool
) -> None:
    await store.polling.ensure(CONNECTION, "", now=NOW + MINUTE)
    await store.polling.request(CONNECTION, "", hints, full=full, now=NOW)
    (poll_target,) = await claim(store)
    assert poll_target.poll_at <= NOW
    assert len(await store.polling.take_hints(poll_target)) == min(len(hints), 200)


async def test_builds_named_during_a_poll_are_read_next(store: Store) -> None:
    await store.polling.ensure(CONNECTION, "", now=NOW)
    (poll_target,) = await claim(store)
    await store.polling.request(CONNECTION, "", [(PIPELINE, "b1")], full=False, now=NOW)
    assert await release(store, poll_target)
    (again,) = await claim(store)
    assert again.poll_at == NOW + MINUTE
    assert await store.polling.take_hints(again) == [(PIPELINE, "b1")]


async def test_a_webhook_event_for_everything_during_a_poll_is_not_lost_even_in_the_same_instant(store: Store) -> None:
    await store.polling.ensure(CONNECTION, "", now=NOW)
    (poll_target,) = await claim(store)
    await store.polling.request(CONNECTION, "", [], full=True, now=NOW)
    assert await release(store, poll_target)
    (again,) = await claim(store)
    assert again.poll_at <= NOW
    assert await release(store, again)
    assert await claim(store) == []


async def test_the_next_time_anything_is_due_ignores_leases(store: Store) -> None:
    assert await store.polling.next_due(NOW) is None
    await store.polling.ensure(CONNECTION, "a", now=NOW)
    await store.polling.ensure(CONNECTION, "b", now=NOW + 5 * MINUTE)
    assert await store.polling.next_due(NOW) == NOW
    await claim(store)
    assert await store.polling.next_due(NOW) == NOW + MINUTE


async def test_watched_are_linked_and_followed_pipelines_and_single_builds(store: Store, set_clock: SetClock) -> None:
    await store.links.save(link(subscribed=False))
    await store.links.save(link(pipeline="p-linked-elsewhere", connection="other"))
    await store.watches.add(watch("", pipeline="p-followed"))
    await store.watches.add(watch("s1", pipeline="p-single"))
    await store.watches.add(watch("done", pipeline="p-single"))
    await store.recording.record(
        [
            running("b1"),
            ended("b2"),
            running("b3", pipeline="p-followed"),
            running("b4", pipeline="p-nobody"),
            ended("done", pipeline="p-single"),
        ],
        now=NOW,
    )
    await store.recording.record_start(
        running("mine", pipeline="p-started"),
        team=TEAM,
        channel="C1",
        user="U1",
        notifications=(),
        watches=[],
        now=NOW,
    )
    pipelines, unfinished = await store.polling.watched(CONNECTION)
    assert pipelines == {PIPELINE, "p-followed"}
    assert {one.id for one in unfinished} == {"b1", "b3", "s1", "mine"}
    assert await store.polling.watched("other") == (frozenset({"p-linked-elsewhere"}), frozenset())


async def test_a_build_without_news_for_a_month_is_given_up(store: Store, set_clock: SetClock) -> None:
    await store.links.save(link())
    await store.recording.record([running()], now=ago(days=29))
    assert await store.polling.watched(CONNECTION) == (frozenset({PIPELINE}), frozenset({key()}))
    set_clock.go(days=2)
    assert await store.polling.watched(CONNECTION) == (frozenset({PIPELINE}), frozenset())


async def test_links_of_a_workspace_that_removed_the_bot_are_not_asked_about(store: Store) -> None:
    await store.links.save(link())
    await store.installs.end(TEAM)
    assert await store.polling.watched(CONNECTION) == (frozenset(), frozenset())


async def test_poll_targets_of_one_who_is_gone_are_free_at_once(store: Store) -> None:
    await store.polling.ensure(CONNECTION, "", now=NOW)
    await claim(store)
    assert await claim(store, owner="next") == []
    await store.polling.release_leases()
    assert [poll_target.lease_owner for poll_target in await claim(store, owner="next")] == ["next"]


async def test_what_is_watched_is_known_by_pipeline(store: Store) -> None:
    await store.links.save(link())
    await store.links.save(link(channel="C2"))
    await store.watches.add(watch(pipeline="p-web"))
    await store.watches.add(watch("", connection="other"))
    assert await store.polling.watched_pipelines() == [
        ("other", PIPELINE),
        (CONNECTION, PIPELINE),
        (CONNECTION, "p-web"),
    ]


async def test_a_poll_target_that_works_again_is_reported_once_by_who_has_it(store: Store) -> None:
    await store.polling.ensure(CONNECTION, "", now=NOW)
    (poll_target,) = await claim(store)
    await release(store, poll_target, error="It is down.")
    (again,) = await claim(store, late=MINUTE)
    assert again.failing_since == NOW
    assert not await store.polling.clear_failure(poll_target)
    assert await store.polling.clear_failure(again)
    (row,) = await store.polling.targets()
    assert (row.failing_since, row.notified_at, row.last_error) == (None, None, "")
