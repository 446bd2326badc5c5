"""Who asked to be forgotten is in no column of the database any more, and everybody else is."""

from typing import Any

import pytest
from sqlalchemy import Boolean, DateTime, Float, Integer, String, Table, TypeDecorator, delete, insert, select

from bot.core.models import Person
from bot.store import Store
from bot.store.mapping import AUDIT
from bot.store.rows import NewAudit, NewGrant, NewIdentity, NewPerson, NewSchedule
from bot.store.tables import metadata, table
from tests.bot.store.rows import CHANNEL, NOW, TEAM, link, notification, record_told, running, watch

ANA = "U0ANA77"
NAMES = (ANA, "Ana Vidal", "ana@acme.example")


async def everything(store: Store) -> str:
    """Return every value of every column as text."""
    texts: list[str] = []
    async with store.write() as db:
        for rows in metadata().sorted_tables:
            texts += [str(tuple(row)) for row in await db.execute(select(rows))]
    return "\n".join(texts)


async def inhabited(store: Store, user: str, name: str, email: str) -> None:
    """Let a person leave traces wherever people do."""
    await store.people.save(NewPerson(team=TEAM, user=user, name=name, email=email, seen_at=NOW))
    await store.people.save_identity(NewIdentity(team=TEAM, kind="email", value=email, user=user, looked_at=NOW))
    await store.links.save(link(created_by=user, pipeline=f"p-{user}"))
    grant: Any = {"team": TEAM, "role": "runner", "pipelines": user.lower(), "granted_at": NOW}
    await store.grants.add(NewGrant(subject=f"user:{user}", granted_by="U1", **grant))
    await store.grants.add(NewGrant(subject="user:U1", granted_by=user, **grant))
    await store.watches.add(watch(f"b-{user}", user=user, channel=user))
    await store.schedules.add(
        NewSchedule(
            team=TEAM,
            channel=CHANNEL,
            user=user,
            words="daily",
            cron="0 0 * * *",
            tz="UTC",
            command="run app",
            next_at=NOW,
            created_at=NOW,
        )
    )
    await store.audit.add(NewAudit(at=NOW, team=TEAM, user=user, verb="run", words=f"run app for {name}"))
    build = running(f"b-{user}", author=Person(name=name, email=email), message=f"Thank {name} and Banana")
    await record_told(store, [build], now=NOW)
    await store.notifications.add([notification(f"b-{user}", event="started", user=user)])
    await store.notifications.add([notification(f"b-{user}", event="finished", channel=user)])


async def test_who_is_forgotten_is_in_no_column_and_everybody_else_stays(store: Store) -> None:
    await inhabited(store, ANA, *NAMES[1:])
    await inhabited(store, "U0BEN88", "Ben Anavidal", "ben@acme.example")
    before = await everything(store)
    assert all(name in before for name in NAMES)
    assert await store.forgetting.person(TEAM, ANA) > 8
    left = await everything(store)
    assert [name for name in NAMES if name in left] == []
    assert all(name in left for name in ("U0BEN88", "Ben Anavidal", "ben@acme.example", "and Banana"))
    assert await store.forgetting.person(TEAM, ANA) == 0
    (audited,) = [row for row in await store.audit.since(TEAM, since=NOW) if row.user == "UFORGOTTEN"]
    assert audited.words == "run app for somebody"


async def test_a_short_name_is_replaced_as_a_word_only(store: Store) -> None:
    await store.people.save(NewPerson(team=TEAM, user=ANA, name="Ana", email="", seen_at=NOW))
    await store.audit.add(NewAudit(at=NOW, team=TEAM, user="U1", verb="run", words="Ana and Anabel, Banana"))
    await store.forgetting.person(TEAM, ANA)
    (row,) = await store.audit.since(TEAM, since=NOW)
    assert row.words == "somebody and Anabel, Banana"


# every table there is, each text column filled

GONE = "T0GONE99"
STAYS = "T0STAY11"
MADE_THERE = "gone-ci"
MADE_HERE = "kept-ci"


def filled(rows: Table, number: int, *, team: str, connection: str, user: str, text: str) -> dict[str, Any]:
    """Return a row of a table with something of a person, a workspace and a connection in each of its texts."""
    values: dict[str, Any] = {}
    named = {"team": team, "started_team": team, "connection": connection, "user": user, "started_by": user}
    for column in rows.columns:
        kind = column.type.impl_instance if isinstance(column.type, TypeDecorator) else column.type
        if column.name in named:
            values[column.name] = named[column.name]
        elif isinstance(kind, String):
            values[column.name] = f"{text} {column.name} {number}"
        elif isinstance(kind, DateTime):
            values[column.name] = NOW
        elif isinstance(kind, Boolean):
            values[column.name] = False
        elif isinstance(kind, Integer | Float):
            values[column.name] = number
    own = {
        "connection": {"name": connection},
        "grant": {"subject": f"user:{user}", "pipelines": f"{connection}:web"},
        "approval_policy": {"pipelines": f"{connection}:web"},
        "mute": {"target": f"{connection}:web"},
        "schedule": {"command": f"run {connection}:web"},
        "chain": {"command": f"run '{connection}:web'"},
        "token": {"key": f"draft:{team}:{user}:{number}"},
        "budget": {"subject": f"slack:{team}:chat.postMessage"},
    }
    return values | own.get(rows.name, {})


async def fill(store: Store, number: int, **about: str) -> None:
    async with store.write() as db:
        for rows in metadata().sorted_tables:
            if rows.name != "inbox":  # what it holds is sealed, and gone when it is closed
                await db.execute(insert(rows).values(filled(rows, number, **about)))


async def test_a_workspace_leaves_nothing_behind_and_its_neighbour_everything(store: Store) -> None:
    text = "U0ANA77 Ana Vidal Zoë Ångström ana@acme.example xoxb-sealed"
    await fill(store, 1, team=STAYS, connection=MADE_HERE, user="U0BEN88", text="Ben Anavidal ben@acme.example")
    before = await everything(store)
    await fill(store, 2, team=GONE, connection=MADE_THERE, user="U0ANA77", text=text)
    assert await store.forgetting.workspace(GONE) > 30
    async with store.write() as db:
        audited = [row.user for row in await db.execute(select(AUDIT.table)) if row.team == GONE]
        await db.execute(delete(AUDIT.table).where(AUDIT.c.team == GONE))
        bound = table("binding")
        await db.execute(delete(bound).where(bound.c.team == GONE))  # a connection stays bound for ever
    assert audited == ["UFORGOTTEN"]
    assert await everything(store) == before
    assert await store.forgetting.workspace(GONE) == 0


async def test_the_audit_of_a_removed_workspace_names_nobody(store: Store) -> None:
    await store.audit.add(
        NewAudit(at=NOW, team=GONE, user=ANA, verb="run", words="run for Ana Vidal", channel="C7", detail="ana@acme")
    )
    await store.forgetting.workspace(GONE)
    (row,) = await store.audit.since(GONE, since=NOW)
    assert (row.user, row.words, row.channel, row.detail, row.verb) == ("UFORGOTTEN", "", "", "", "run")


async def test_a_connection_leaves_nothing_behind_and_a_later_one_of_its_name_inherits_nothing(store: Store) -> None:
    await fill(store, 1, team=STAYS, connection="gone-ci-2", user="U0BEN88", text="kept")
    before = await everything(store)
    for number in range(2, 4):
        await fill(store, number, team=f"T{number}", connection=f"x{number}", user="U1", text="other")
    whole = await everything(store)
    await store.forgetting.connection("x2")
    await store.forgetting.connection("x3")
    left = await everything(store)
    assert "x2:" not in left
    async with store.write() as db:
        for rows in metadata().sorted_tables:
            if "connection" in rows.c and rows.name not in {"audit", "binding"}:
                assert {row.connection for row in await db.execute(select(rows))} == {"gone-ci-2"}, rows.name
    assert all(line in left for line in before.splitlines())
    assert left != whole


async def test_what_is_deleted_is_deleted_in_small_batches(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bot.store.forgetting.BATCH", 2)
    builds = [running(f"b{number}", connection="gone-ci") for number in range(5)]
    await record_told(store, builds, now=NOW)
    assert await store.forgetting.connection("gone-ci") >= 5
    assert "gone-ci" not in await everything(store)


async def test_names_are_found_in_whatever_case_and_spelling_they_are_stored(store: Store) -> None:
    await store.people.save(NewPerson(team=TEAM, user=ANA, name="Zoë Ångström", email="Zoe@Acme.example", seen_at=NOW))
    words = (
        'zoë ångström, ZOE@ACME.EXAMPLE and {"by": "Zo\\u00eb \\u00c5ngstr\\u00f6m"} but not Zoe or xzoe@acme.example'
    )
    await store.audit.add(NewAudit(at=NOW, team=TEAM, user="U1", verb="run", words=words))
    await store.forgetting.person(TEAM, ANA)
    (row,) = await store.audit.since(TEAM, since=NOW)
    assert row.words == 'somebody, somebody and {"by": "somebody"} but not Zoe or xzoe@acme.example'


async def test_two_people_who_are_forgotten_do_not_collide(store: Store) -> None:
    for user in (ANA, "U0BEN88"):
        await store.people.save(NewPerson(team=TEAM, user=user, name="", email="", seen_at=NOW))
        async with store.write() as db:
            for rows in metadata().sorted_tables:
                if rows.name not in {"inbox", "person", "budget", "token", "workspace"}:
                    about = {"team": TEAM, "connection": f"c-{user}", "user": user, "text": f"<@{user}>"}
                    row = filled(rows, 1 if user == ANA else 2, **about)
                    same = {
                        "vote": {"approval": "a", "connection": "ci", "pipeline": "p", "build": "b", "attempt_no": 1}
                    }
                    await db.execute(insert(rows).values(row | same.get(rows.name, {})))
    for user in (ANA, "U0BEN88"):
        assert await store.forgetting.person(TEAM, user) > 20
        assert user not in (await everything(store)).replace(f"c-{user}", "")
    assert (await store.forgetting.belongings(TEAM, ANA)).total() == 0


async def test_what_belongs_to_a_person_is_counted_before_it_is_deleted(store: Store) -> None:
    await inhabited(store, ANA, *NAMES[1:])
    counts = await store.forgetting.belongings(TEAM, ANA)
    assert counts["grant"] == 1
    assert counts["schedule"] == 1
    assert counts["watch"] == 1
