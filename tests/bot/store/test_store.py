import asyncio
from datetime import timedelta

from bot.store import Store
from bot.store.tables import AuditRow, MuteRow
from tests.bot.store.conftest import SetClock
from tests.bot.store.rows import CHANNEL, CONNECTION, NOW, PIPELINE, TEAM, ago, card, ended, key, nothing, notice, watch


async def test_a_delivery_is_new_to_one_of_all_who_ask(store: Store, other: Store) -> None:
    answers = await asyncio.gather(*(one.seen("delivery", seconds=60) for one in (store, other) * 10))
    assert answers.count(False) == 1


async def test_what_was_seen_is_forgotten_after_its_time(store: Store, set_clock: SetClock) -> None:
    assert not await store.seen("k", seconds=60, value="old")
    set_clock.go(seconds=59)
    assert await store.seen("k", seconds=60, value="ignored")
    set_clock.go(seconds=1)
    assert not await store.seen("k", seconds=60, value="new")
    assert await store.take("k") == "new"


async def test_a_state_is_taken_once_and_not_after_its_time(store: Store, other: Store, set_clock: SetClock) -> None:
    await store.seen("state", seconds=60, value="T1")
    taken = await asyncio.gather(*(one.take("state") for one in (store, other) * 5))
    assert sorted(taken, key=str) == [None] * 9 + ["T1"]
    await store.seen("late", seconds=60, value="T1")
    set_clock.go(seconds=60)
    assert await store.take("late") is None
    assert await store.take("never") is None


async def test_what_is_old_is_forgotten_in_small_batches_and_the_rest_kept(store: Store, set_clock: SetClock) -> None:
    old = ago(days=181)
    await store.record([ended(f"old-{number}", completed_at=old) for number in range(7)], nothing, now=old)
    await store.record([ended()], nothing, now=NOW)
    await store.add_notices([notice("old-1", created_at=old), notice()])
    await store.sent(1, ts="1.1", card=card("old-1", edited_at=old), now=old)
    await store.sent(2, ts="2.2", card=card(ts="2.2"), now=NOW)
    await store.audit(AuditRow(at=old, team=TEAM, user="U1", verb="run"))
    await store.audit(AuditRow(at=NOW, team=TEAM, user="U1", verb="run"))
    await store.set_mute(MuteRow(team=TEAM, channel=CHANNEL, until=NOW, made_by="U1", made_at=NOW))
    await store.set_mute(MuteRow(team=TEAM, channel="C2", made_by="U1", made_at=NOW))
    await store.seen("short", seconds=1)
    await store.seen("long", seconds=60)
    later = NOW + timedelta(seconds=1)
    assert await store.prune(later, batch=3) == 7 + 7 + 1 + 1 + 1 + 1 + 1
    assert await store.prune(later) == 0
    assert [build.id for build in await store.builds_of(CONNECTION, PIPELINE)] == ["b1"]
    assert [row.build for row in await store.rounds_since(CONNECTION, PIPELINE, ago(days=999))] == ["b1"]
    assert len(await store.notices_of(key())) == len(await store.cards_of(key())) == 1
    assert await store.cards_of(key("old-1")) == []
    assert len(await store.audits(TEAM, since=ago(days=999))) == 1
    assert len(await store.mutes(TEAM, "C2")) == 1
    assert await store.seen("long", seconds=1)


async def test_what_is_kept_for_fewer_days_is_forgotten_sooner(store: Store) -> None:
    await store.record([ended()], nothing, now=ago(days=3))
    assert await store.prune(NOW, keep_days=4) == 0
    assert await store.prune(NOW, keep_days=2) == 2


async def test_cards_that_were_never_edited_and_watches_of_lost_builds_are_forgotten(store: Store) -> None:
    old = ago(days=181)
    await store.add_notices([notice("old-1", created_at=old), notice()])
    await store.sent(1, ts="1.1", card=card("old-1"), now=old)
    await store.sent(2, ts="2.2", card=card(ts="2.2"), now=NOW)
    await store.add_watch(watch(created_at=old))
    await store.add_watch(watch("", created_at=old))
    await store.add_watch(watch("b2"))
    assert await store.prune(NOW) == 1 + 1 + 1
    assert await store.cards_of(key("old-1")) == []
    assert len(await store.cards_of(key())) == 1
    assert [row.build for row in await store.watches(TEAM, "U1")] == ["", "b2"]


async def test_the_store_answers(store: Store) -> None:
    await store.ping()
    assert store.dialect in {"sqlite", "postgresql"}


async def test_a_remembered_value_can_be_read_until_its_time_is_over(store: Store, set_clock: SetClock) -> None:
    await store.seen("k", seconds=60, value="v")
    assert await store.value("k") == await store.value("k") == "v"
    assert await store.value("other") is None
    set_clock.go(seconds=60)
    assert await store.value("k") is None
