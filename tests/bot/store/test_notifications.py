import asyncio
from datetime import timedelta
from typing import Any

import pytest

from bot.store import Store
from bot.store.rows import CardRow, NotificationRow
from tests.bot.store.rows import CHANNEL, NOW, TEAM, ago, card, ended, key, leased, make_due, notification

MINUTE = timedelta(minutes=1)


async def claim(store: Store, *, late: timedelta = timedelta(0), limit: int = 9) -> list[NotificationRow]:
    return await store.notifications.claim("w", now=NOW + late, lease_seconds=60, limit=limit)


async def claim_cards(store: Store, *, late: timedelta = timedelta(0)) -> list[CardRow]:
    return await store.cards.claim(now=NOW + late, lease_seconds=60, limit=9)


async def with_card(store: Store, **fields: Any) -> int:
    await store.notifications.add([notification()])
    await store.notifications.set_sent(await leased(store, 1), ts="1.1", card=card(**fields), now=NOW)
    (row,) = await store.cards.of_build(key())
    assert row.id is not None
    return row.id


async def test_a_notification_is_written_once(store: Store, other: Store) -> None:
    rows = [
        notification(),
        notification(attempt_no=2),
        notification(channel="C2"),
        notification(event="started"),
        notification(link=3),
    ]
    assert await store.notifications.add(rows) == 5
    assert await other.notifications.add([notification(), notification("b2")]) == 1
    assert await store.notifications.add([]) == 0


async def test_a_channel_gets_its_notifications_one_after_the_other(store: Store) -> None:
    await store.notifications.add(
        [notification("b1"), notification("b2"), notification("b1", channel="C2"), notification("b3", team="T2")]
    )
    assert [(row.team, row.channel, row.build) for row in await claim(store)] == [
        (TEAM, CHANNEL, "b1"),
        (TEAM, "C2", "b1"),
        ("T2", CHANNEL, "b3"),
    ]
    assert await claim(store) == []
    await store.notifications.set_sent(await leased(store, 1), ts="1.1", card=None, now=NOW)
    (second,) = await claim(store)
    assert (second.build, second.tries, second.unsure, second.lease_owner) == ("b2", 1, False, "w")


async def test_a_notification_that_waits_holds_up_the_later_ones_of_its_channel_only(store: Store) -> None:
    await store.notifications.add(
        [notification("b1", due_at=NOW + MINUTE), notification("b2"), notification("b3", channel="C2")]
    )
    assert [row.build for row in await claim(store)] == ["b3"]
    assert {row.build for row in await claim(store, late=MINUTE)} == {"b1", "b3"}


@pytest.mark.parametrize("state", ["sent", "held", "silent", "failed"])
async def test_what_is_not_to_be_said_now_holds_up_nothing(store: Store, state: str) -> None:
    await store.notifications.add([notification("b1", state=state), notification("b2")])
    assert [row.build for row in await claim(store)] == ["b2"]


async def test_two_senders_never_have_the_same_notification_and_keep_the_order(store: Store, other: Store) -> None:
    await store.notifications.add([notification(f"b{number}", channel=f"C{number % 4}") for number in range(40)])
    said: dict[str, list[int]] = {}

    async def send(where: Store) -> None:
        while rows := await claim(where, limit=2):
            for row in rows:
                said.setdefault(row.channel, []).append(row.id or 0)
                await where.notifications.set_sent(row, ts=f"1.{row.id}", card=None, now=NOW)

    await asyncio.gather(send(store), send(other), send(store), send(other))
    await send(store)
    ids = [number for numbers in said.values() for number in numbers]
    assert sorted(ids) == list(range(1, 41))
    assert all(numbers == sorted(numbers) for numbers in said.values())


async def test_a_notification_whose_sender_went_away_comes_back_unsure(store: Store) -> None:
    await store.notifications.add([notification()])
    await claim(store)
    assert await claim(store, late=timedelta(seconds=59)) == []
    (row,) = await claim(store, late=MINUTE)
    assert (row.unsure, row.tries) == (True, 2)


async def test_a_notification_given_back_comes_when_it_is_due_and_as_sure_as_it_was_said(store: Store) -> None:
    await store.notifications.add([notification()])
    await claim(store)
    await store.notifications.requeue(await leased(store, 1), due_at=NOW + MINUTE, unsure=False)
    assert await claim(store) == []
    (row,) = await claim(store, late=MINUTE)
    assert (row.unsure, row.tries) == (False, 2)
    await store.notifications.requeue(await leased(store, 1), due_at=NOW + MINUTE, unsure=True)
    (row,) = await claim(store, late=MINUTE)
    assert (row.unsure, row.tries) == (True, 3)


async def test_a_sent_notification_is_remembered_with_its_card(store: Store) -> None:
    await store.notifications.add([notification()])
    await claim(store)
    given = card(shown="Build 1", edited_at=None)
    await store.notifications.set_sent(await leased(store, 1), ts="1.1", card=given, now=NOW)
    row = await store.notifications.get(1)
    assert row is not None
    assert (row.state, row.ts, row.sent_at, row.lease_until) == ("sent", "1.1", NOW, None)
    kept = await store.cards.at(TEAM, CHANNEL, "1.1")
    assert kept is not None
    assert (kept.notification, kept.shown, kept.edited_at, kept.edit_due_at, kept.live) == (
        1,
        "Build 1",
        None,
        None,
        True,
    )
    assert await store.cards.at(TEAM, CHANNEL, "9.9") is None
    assert await store.notifications.get(99) is None


async def test_a_failed_notification_keeps_its_reason_and_lets_the_next_one_go(store: Store) -> None:
    await store.notifications.add([notification("b1"), notification("b2")])
    await claim(store)
    await store.notifications.fail(await leased(store, 1), "Slack refused: is_archived")
    assert [row.build for row in await claim(store)] == ["b2"]
    (row,) = await store.notifications.of_build(key())
    assert (row.state, row.reason) == ("failed", "Slack refused: is_archived")


async def test_a_notification_that_another_has_sent_meanwhile_stays_sent(store: Store) -> None:
    await store.notifications.add([notification()])
    await claim(store)
    await store.notifications.set_sent(await leased(store, 1), ts="1.1", card=None, now=NOW)
    await store.notifications.requeue(await leased(store, 1), due_at=NOW, unsure=True)
    await store.notifications.fail(await leased(store, 1), "too late")
    await store.notifications.hold(await leased(store, 1), "too late")
    row = await store.notifications.get(1)
    assert row is not None
    assert (row.state, row.ts) == ("sent", "1.1")


async def test_who_has_lost_a_lease_changes_nothing_any_more(store: Store, other: Store) -> None:
    await store.notifications.add([notification()])
    (late,) = await claim(store)
    (ours,) = await claim(other, late=MINUTE)
    assert not await store.notifications.set_sent(late, ts="1.1", card=card(), now=NOW)
    await store.notifications.requeue(late, due_at=NOW, unsure=False)
    await store.notifications.silence(late, "too late")
    await store.notifications.readdress(late, "U7", NOW)
    assert await store.cards.of_build(key()) == []
    row = await leased(store, 1)
    assert (row.state, row.unsure, row.tries, row.channel) == ("leased", True, 2, CHANNEL)
    assert await other.notifications.set_sent(ours, ts="2.2", card=None, now=NOW)
    assert (await leased(store, 1)).ts == "2.2"


async def test_leases_of_notifications_are_kept_by_their_owner_only(store: Store) -> None:
    await store.notifications.add([notification("b1"), notification("b2", channel="C2")])
    await claim(store)
    assert await store.notifications.renew("x", [1, 2], NOW + MINUTE * 3) == frozenset()
    assert await store.notifications.renew("w", [1], NOW + MINUTE * 3) == {1}
    assert [row.id for row in await claim(store, late=MINUTE * 2)] == [2]
    await store.notifications.fail(await leased(store, 1), "it is archived")
    assert await store.notifications.renew("w", [1], NOW + MINUTE * 3) == frozenset()


async def test_a_leased_notification_is_held_or_left_unsaid(store: Store) -> None:
    await store.notifications.add(
        [notification("b1"), notification("b2", channel="C2"), notification("b3", channel="U9")]
    )
    await claim(store)
    await store.notifications.hold(await leased(store, 1), "quiet hours")
    await store.notifications.silence(await leased(store, 2), "nobody asked")
    await store.notifications.hold(await leased(store, 3), "outside working hours")
    assert await store.notifications.held_channels() == [(TEAM, CHANNEL), (TEAM, "U9")]
    (row,) = await store.notifications.held(TEAM, CHANNEL)
    assert (row.build, row.reason, row.lease_until) == ("b1", "quiet hours", None)
    silent = await store.notifications.get(2)
    assert silent is not None
    assert (silent.state, silent.reason) == ("silent", "nobody asked")


async def test_held_notifications_are_let_go_once(store: Store, other: Store) -> None:
    await store.notifications.add(
        [notification("b1", state="held"), notification("b2", state="held"), notification("b3", state="held")]
    )
    summary = notification("held-3", event="summary")
    await store.notifications.release([(1, "as decided")], [(2, "in the summary"), (3, "in the summary")], summary, NOW)
    await other.notifications.release(
        [(1, "as decided")], [(2, "again"), (3, "again")], notification("held-3b", event="summary"), NOW
    )
    rows = await store.notifications.in_channel(TEAM, CHANNEL, ago(days=1))
    assert [(row.build, row.state, row.reason) for row in rows] == [
        ("b1", "pending", "as decided"),
        ("b2", "silent", "in the summary"),
        ("b3", "silent", "in the summary"),
        ("held-3", "pending", ""),
    ]


async def test_a_notification_is_readdressed_unless_its_new_reader_was_notified(store: Store) -> None:
    await store.notifications.add(
        [notification(channel="@author"), notification("b2", channel="@author"), notification("b2", channel="U7")]
    )
    await claim(store)
    assert await store.notifications.readdress(await leased(store, 1), "U7", NOW)
    assert not await store.notifications.readdress(await leased(store, 2), "U7", NOW)
    row = await store.notifications.get(1)
    assert row is not None
    assert (row.channel, row.state, row.tries) == ("U7", "pending", 0)


async def test_leases_of_one_who_is_gone_are_ended(store: Store) -> None:
    number = await with_card(store)
    await make_due(store, number, NOW)
    await claim_cards(store)
    await store.notifications.add([notification("b2")])
    await claim(store)
    await store.notifications.release_leases(NOW)
    assert [row.id for row in await claim_cards(store)] == [number]
    (row,) = await claim(store)
    assert (row.build, row.unsure) == ("b2", True)


async def test_notifications_are_found_by_build_and_by_channel(store: Store) -> None:
    await store.notifications.add(
        [notification(), notification(team="T2"), notification("b2"), notification("old", created_at=ago(days=2))]
    )
    assert [row.team for row in await store.notifications.of_build(key())] == [TEAM, "T2"]
    assert [row.team for row in await store.notifications.of_build(key(), "T2")] == ["T2"]
    assert [row.build for row in await store.notifications.in_channel(TEAM, CHANNEL, ago(days=1))] == ["b1", "b2"]


async def test_a_due_card_is_leased_once_and_edited(store: Store, other: Store) -> None:
    number = await with_card(store)
    assert await claim_cards(store) == []
    await make_due(store, number, NOW)
    (row,) = await claim_cards(store)
    assert row.id == number
    assert await claim_cards(other) == []
    await store.cards.set_edited(row, shown="Passed", live=False, now=NOW + MINUTE)
    (row,) = await store.cards.of_build(key())
    assert (row.shown, row.live, row.edited_at, row.lease_until, row.edit_due_at) == (
        "Passed",
        False,
        NOW + MINUTE,
        None,
        None,
    )
    assert await claim_cards(store, late=timedelta(days=1)) == []


async def test_a_card_that_a_late_edit_may_have_put_back_is_edited_once_more(store: Store, other: Store) -> None:
    number = await with_card(store)
    await make_due(store, number, NOW)
    (late,) = await claim_cards(store)
    (ours,) = await claim_cards(other, late=MINUTE)
    await other.cards.set_edited(ours, shown="Passed", live=False, now=NOW + MINUTE)
    await store.cards.set_edited(late, shown="Running", live=True, now=NOW + MINUTE)
    (row,) = await claim_cards(store, late=MINUTE)
    assert (row.shown, row.live) == ("Passed", False)


async def test_a_card_may_be_drawn_anew_when_nothing_happens(store: Store) -> None:
    number = await with_card(store)
    await make_due(store, number, NOW)
    (leased_card,) = await claim_cards(store)
    await store.cards.set_edited(leased_card, shown="Running", live=True, now=NOW, again_at=NOW + MINUTE)
    assert await claim_cards(store) == []
    assert [row.id for row in await claim_cards(store, late=MINUTE)] == [number]


async def test_a_change_during_an_edit_is_not_dropped_with_it(store: Store) -> None:
    number = await with_card(store)
    await make_due(store, number, NOW)
    (leased_card,) = await claim_cards(store)
    await store.recording.record([ended()], now=NOW)
    assert await claim_cards(store) == []
    await store.cards.set_edited(leased_card, shown="Running", live=True, now=NOW)
    assert [row.id for row in await claim_cards(store)] == [number]


async def test_a_card_whose_editor_went_away_is_edited_by_another(store: Store) -> None:
    number = await with_card(store)
    await make_due(store, number, NOW)
    await claim_cards(store)
    assert await claim_cards(store, late=timedelta(seconds=59)) == []
    assert [row.id for row in await claim_cards(store, late=MINUTE)] == [number]


async def test_a_dropped_card_is_gone(store: Store) -> None:
    await make_due(store, await with_card(store), NOW)
    (row,) = await claim_cards(store)
    await store.cards.delete(row)
    assert await store.cards.of_build(key()) == []


async def test_a_revised_notification_is_drawn_anew(store: Store) -> None:
    await with_card(store)
    await store.notifications.revise(1, '{"by":"U1"}', NOW + MINUTE)
    row = await store.notifications.get(1)
    assert row is not None
    assert row.extra == '{"by":"U1"}'
    assert [one.notification for one in await claim_cards(store, late=MINUTE)] == [1]
