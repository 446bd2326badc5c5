"""Who asked to be forgotten is in no column of the database any more, and everybody else is."""

from typing import Any

from sqlalchemy import select

from bot.core.models import Person
from bot.store import Store
from bot.store.rows import NewAudit, NewGrant, NewIdentity, NewPerson, NewSchedule
from bot.store.tables import TableBase
from tests.bot.store.rows import CHANNEL, NOW, TEAM, link, notification, record_told, running, watch

ANA = "U0ANA77"
NAMES = (ANA, "Ana Vidal", "ana@acme.example")


async def everything(store: Store) -> str:
    """Return every value of every column as text."""
    texts: list[str] = []
    async with store.write() as db:
        for rows in TableBase.metadata.sorted_tables:
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
