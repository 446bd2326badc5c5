import asyncio
from datetime import timedelta

from bot.store import Store
from bot.store.rows import NewAudit, NewMute
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
    notification,
    watch,
)
from tests.set_clock import SetClock


async def test_a_token_is_new_to_one_of_all_who_add_it(store: Store, other: Store) -> None:
    answers = await asyncio.gather(*(one.tokens.add("delivery", seconds=60) for one in (store, other) * 10))
    assert answers.count(True) == 1


async def test_a_text_that_is_not_valid_reaches_no_database_and_fails_none(store: Store) -> None:
    odd = "half \ud83d and \x00 nul"
    await store.audit.add(NewAudit(at=NOW, team=TEAM, user="U1", verb="run", words=odd))
    await store.recording.record([ended(message=odd, branch="b\ud83d")], now=NOW)
    sound = "half \N{REPLACEMENT CHARACTER} and  nul"
    assert [row.words for row in await store.audit.since(TEAM, since=ago(days=1))] == [sound]
    build, _row = await store.builds.get(key()) or (None, None)
    assert build is not None
    assert (build.message, build.branch) == (sound, "b\N{REPLACEMENT CHARACTER}")
    await store.notifications.add([notification(name, reason=odd) for name in ("one", "two")])
    rows = [row for name in ("one", "two") for row in await store.notifications.of_build(key(name))]
    assert [row.reason for row in rows] == [sound, sound]


async def test_a_token_is_without_effect_after_its_time(store: Store, set_clock: SetClock) -> None:
    assert await store.tokens.add("k", seconds=60, value="old")
    set_clock.go(seconds=59)
    assert not await store.tokens.add("k", seconds=60, value="ignored")
    set_clock.go(seconds=1)
    assert await store.tokens.add("k", seconds=60, value="new")
    assert await store.tokens.take("k") == "new"


async def test_a_state_is_taken_once_and_not_after_its_time(store: Store, other: Store, set_clock: SetClock) -> None:
    await store.tokens.add("state", seconds=60, value="T1")
    taken = await asyncio.gather(*(one.tokens.take("state") for one in (store, other) * 5))
    assert sorted(taken, key=str) == [None] * 9 + ["T1"]
    await store.tokens.add("late", seconds=60, value="T1")
    set_clock.go(seconds=60)
    assert await store.tokens.take("late") is None
    assert await store.tokens.take("never") is None


async def test_what_is_old_is_forgotten_in_small_batches_and_the_rest_kept(store: Store, set_clock: SetClock) -> None:
    old = ago(days=181)
    await store.recording.record([ended(f"old-{number}", completed_at=old) for number in range(7)], now=old)
    await store.recording.record([ended()], now=NOW)
    await store.notifications.add([notification("old-1", created_at=old), notification()])
    await store.notifications.set_sent(await leased(store, 1), ts="1.1", card=card("old-1", edited_at=old), now=old)
    await store.notifications.set_sent(await leased(store, 2), ts="2.2", card=card(ts="2.2"), now=NOW)
    await store.audit.add(NewAudit(at=old, team=TEAM, user="U1", verb="run"))
    await store.audit.add(NewAudit(at=NOW, team=TEAM, user="U1", verb="run"))
    await store.mutes.set(NewMute(team=TEAM, channel=CHANNEL, until=NOW, made_by="U1", made_at=NOW))
    await store.mutes.set(NewMute(team=TEAM, channel="C2", made_by="U1", made_at=NOW))
    await store.tokens.add("short", seconds=1)
    await store.tokens.add("long", seconds=60)
    later = NOW + timedelta(seconds=1)
    assert await store.prune(later, batch=3) == 7 + 7 + 1 + 1 + 1 + 1 + 1
    assert await store.prune(later) == 0
    assert [build.id for build in await store.builds.of_pipeline(CONNECTION, PIPELINE)] == ["b1"]
    assert [row.build for row in await store.attempts.since(CONNECTION, PIPELINE, ago(days=999))] == ["b1"]
    assert len(await store.notifications.of_build(key())) == len(await store.cards.of_build(key())) == 1
    assert await store.cards.of_build(key("old-1")) == []
    assert len(await store.audit.since(TEAM, since=ago(days=999))) == 1
    assert len(await store.mutes.of_channel(TEAM, "C2")) == 1
    assert not await store.tokens.add("long", seconds=1)


async def test_what_is_kept_for_fewer_days_is_forgotten_sooner(store: Store) -> None:
    await store.recording.record([ended()], now=ago(days=3))
    assert await store.prune(NOW, keep_days=4) == 0
    assert await store.prune(NOW, keep_days=2) == 2


async def test_cards_that_were_never_edited_and_watches_of_lost_builds_are_forgotten(store: Store) -> None:
    old = ago(days=181)
    await store.notifications.add([notification("old-1", created_at=old), notification()])
    await store.notifications.set_sent(await leased(store, 1), ts="1.1", card=card("old-1"), now=old)
    await store.notifications.set_sent(await leased(store, 2), ts="2.2", card=card(ts="2.2"), now=NOW)
    await store.watches.add(watch(created_at=old))
    await store.watches.add(watch("", created_at=old))
    await store.watches.add(watch("b2"))
    assert await store.prune(NOW) == 1 + 1 + 1
    assert await store.cards.of_build(key("old-1")) == []
    assert len(await store.cards.of_build(key())) == 1
    assert [row.build for row in await store.watches.of_user(TEAM, "U1")] == ["", "b2"]


async def test_the_store_answers(store: Store) -> None:
    await store.ping()
    assert store.dialect in {"sqlite", "postgresql"}


async def test_a_remembered_value_can_be_read_until_its_time_is_over(store: Store, set_clock: SetClock) -> None:
    await store.tokens.add("k", seconds=60, value="v")
    assert await store.tokens.value("k") == await store.tokens.value("k") == "v"
    assert await store.tokens.value("other") is None
    set_clock.go(seconds=60)
    assert await store.tokens.value("k") is None
