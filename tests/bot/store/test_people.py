from datetime import timedelta
from typing import Any

from bot.store import Store
from bot.store.rows import NewAudit, NewGrant, NewIdentity, NewMute, NewPerson
from tests.bot.store.rows import CHANNEL, NOW, TEAM, ago, key, watch
from tests.set_clock import SetClock


def mute(**fields: Any) -> NewMute:
    whole: dict[str, Any] = {"team": TEAM, "channel": CHANNEL, "made_by": "U1", "made_at": NOW, **fields}
    return NewMute(**whole)


def grant(**fields: Any) -> NewGrant:
    whole: dict[str, Any] = {"team": TEAM, "role": "approver", "subject": "user:U1", "granted_by": "U9", **fields}
    return NewGrant(granted_at=NOW, **whole)


def identity(**fields: Any) -> NewIdentity:
    whole: dict[str, Any] = {"team": TEAM, "kind": "email", "value": "ada@example.com", "looked_at": NOW, **fields}
    return NewIdentity(**whole)


async def test_a_watch_is_new_once_and_found_by_person_and_by_build(store: Store) -> None:
    assert await store.watches.add(watch())
    assert not await store.watches.add(watch())
    assert await store.watches.add(watch(""))
    assert await store.watches.add(watch(user="U2"))
    assert [row.build for row in await store.watches.of_user(TEAM, "U1")] == ["b1", ""]
    assert [row.user for row in await store.watches.of_build(key())] == ["U1", "U2"]


async def test_watches_end_one_by_one_or_with_their_build(store: Store) -> None:
    for row in (watch(), watch("b2"), watch("")):
        await store.watches.add(row)
    await store.watches.end(key())
    rows = await store.watches.of_user(TEAM, "U1")
    assert [row.build for row in rows] == ["b2", ""]
    await store.watches.delete(rows[0].id or 0)
    assert [row.build for row in await store.watches.of_user(TEAM, "U1")] == [""]


async def test_a_mute_replaces_the_one_of_its_target_and_ends_by_itself_or_when_told(
    store: Store, set_clock: SetClock
) -> None:
    await store.mutes.set(mute(until=NOW + timedelta(hours=1)))
    await store.mutes.set(mute(until=NOW + timedelta(hours=2)))
    await store.mutes.set(mute(target="quiet", hours="22-07"))
    await store.mutes.set(mute(channel="C2"))
    assert [(row.target, row.until) for row in await store.mutes.of_channel(TEAM, CHANNEL)] == [
        ("all", NOW + timedelta(hours=2)),
        ("quiet", None),
    ]
    set_clock.go(hours=2)
    assert [row.target for row in await store.mutes.of_channel(TEAM, CHANNEL)] == ["quiet"]
    assert await store.mutes.end(TEAM, CHANNEL, "quiet")
    assert not await store.mutes.end(TEAM, CHANNEL, "quiet")
    assert await store.mutes.of_channel(TEAM, CHANNEL) == []


async def test_a_person_is_known_in_their_workspace(store: Store) -> None:
    await store.people.save(NewPerson(team=TEAM, user="U1", name="Ada", seen_at=NOW))
    await store.people.save(NewPerson(team=TEAM, user="U1", name="Ada L.", is_admin=True, seen_at=NOW))
    found = await store.people.get(TEAM, "U1")
    assert found is not None
    assert (found.name, found.is_admin) == ("Ada L.", True)
    assert await store.people.get("T2", "U1") is None


async def test_what_a_person_said_of_an_address_outweighs_what_was_looked_up(store: Store) -> None:
    await store.people.save_identity(identity(user="U1"))
    await store.people.save_identity(identity(user="U2", manual=True))
    await store.people.save_identity(identity(user="U3"))
    await store.people.save_identity(identity(kind="gitlab", value="ada", user="U2"))
    found = await store.people.identity(TEAM, "email", "ada@example.com")
    assert found is not None
    assert found.user == "U2"
    assert [row.kind for row in await store.people.identities(TEAM, "U2")] == ["email", "gitlab"]
    await store.people.save_identity(identity(user="U4", manual=True))
    assert await store.people.delete_identity(TEAM, "email", "ada@example.com")
    assert not await store.people.delete_identity(TEAM, "email", "ada@example.com")
    assert await store.people.identity(TEAM, "email", "ada@example.com") is None


async def test_a_role_is_given_once_and_taken_back(store: Store) -> None:
    assert await store.grants.add(grant())
    assert not await store.grants.add(grant())
    await store.grants.add(grant(pipelines="app", refs="release/*"))
    await store.grants.add(grant(channel=CHANNEL))
    await store.grants.add(grant(team="T2"))
    assert len(await store.grants.all(TEAM)) == 3
    assert await store.grants.remove(TEAM, "approver", "user:U1", pipelines="app", refs="release/*")
    assert not await store.grants.remove(TEAM, "approver", "user:U1", pipelines="app")
    assert await store.grants.remove(TEAM, "approver", "user:U1")
    assert [row.channel for row in await store.grants.all(TEAM)] == [CHANNEL]
    assert len(await store.grants.all("T2")) == 1


async def test_what_was_done_is_read_newest_first(store: Store) -> None:
    for minutes, user, team in ((3, "U1", TEAM), (2, "U2", TEAM), (1, "U1", TEAM), (0, "U1", "T2"), (9999, "U1", TEAM)):
        await store.audit.add(NewAudit(at=ago(minutes=minutes), team=team, user=user, verb="run", outcome="done"))
    since = ago(hours=1)
    assert [row.at for row in await store.audit.since(TEAM, since=since)] == [
        ago(minutes=minutes) for minutes in (1, 2, 3)
    ]
    assert len(await store.audit.since(TEAM, since=since, user="U1")) == 2
    assert len(await store.audit.since(TEAM, since=since, limit=1)) == 1


async def test_admins_are_those_who_are_and_have_an_account(store: Store) -> None:
    people: list[tuple[str, dict[str, Any]]] = [("U1", {}), ("U2", {"is_admin": True})]
    for user, fields in [*people, ("U3", {"is_admin": True, "deleted": True})]:
        await store.people.save(NewPerson(team=TEAM, user=user, seen_at=NOW, **fields))
    await store.people.save(NewPerson(team="T2", user="U4", is_admin=True, seen_at=NOW))
    assert await store.people.admins(TEAM, 3) == ["U2"]
