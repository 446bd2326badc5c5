"""Several repositories in one transaction."""

import asyncio

import pytest

from bot.core.errors import StoreError, UsageError
from bot.store import Store
from bot.store.rows import NewAudit
from tests.bot.store.rows import CHANNEL, NOW, TEAM, ago, link


def audit_row(verb: str) -> NewAudit:
    return NewAudit(at=NOW, team=TEAM, user="U1", verb=verb)


async def verbs(store: Store) -> list[str]:
    return [row.verb for row in await store.audit.since(TEAM, since=ago(days=1))]


async def test_what_several_repositories_write_happens_together(store: Store, other: Store) -> None:
    async with store.transaction() as tx:
        saved = await tx.links.save(link(alias="web"))
        await tx.audit.add(audit_row("link"))
        assert [row.alias for row in await tx.links.of_channel(TEAM, CHANNEL)] == ["web"]
        assert await other.links.of_channel(TEAM, CHANNEL) == []
    assert [row.id for row in await other.links.of_channel(TEAM, CHANNEL)] == [saved.id]
    assert saved.id
    assert await verbs(other) == ["link"]


async def test_nothing_is_written_when_the_block_raises(store: Store) -> None:
    async def interrupted() -> None:
        async with store.transaction() as tx:
            await tx.links.save(link())
            await tx.audit.add(audit_row("link"))
            raise UsageError("no")

    with pytest.raises(UsageError):
        await interrupted()
    assert await store.links.of_channel(TEAM, CHANNEL) == []
    assert await verbs(store) == []


async def test_nothing_is_written_when_a_repository_raised_and_the_block_went_on(store: Store) -> None:
    await store.links.save(link(pipeline="p1", alias="web"))

    async def goes_on() -> None:
        async with store.transaction() as tx:
            await tx.audit.add(audit_row("link"))
            with pytest.raises(UsageError):
                await tx.links.save(link(pipeline="p2", alias="web"))

    with pytest.raises(StoreError, match="none of it was written"):
        await goes_on()
    assert [row.pipeline for row in await store.links.of_channel(TEAM, CHANNEL)] == ["p1"]
    assert await verbs(store) == []


async def test_rows_of_a_transaction_are_detached_and_a_later_question_sees_what_was_changed(store: Store) -> None:
    async with store.transaction() as tx:
        saved = await tx.links.save(link(alias="web"))
        await tx.links.update(saved.id or 0, alias="site")
        (read,) = await tx.links.of_channel(TEAM, CHANNEL)
    assert (saved.alias, read.alias) == ("web", "site")


async def test_a_write_beside_the_transaction_of_the_same_task_is_refused_and_not_waited_for() -> None:
    store = await Store.open("sqlite://", clock=lambda: NOW)
    await store.migrate()

    async def beside() -> None:
        async with store.transaction():
            await store.audit.add(audit_row("link"))

    with pytest.raises(RuntimeError, match="repositories"):
        await beside()
    await store.audit.add(audit_row("run"))
    assert await verbs(store) == ["run"]
    await store.close()


async def test_another_task_waits_for_the_transaction_and_then_writes(store: Store) -> None:
    async with store.transaction() as tx:
        waiting = asyncio.ensure_future(store.audit.add(audit_row("second")))
        await tx.audit.add(audit_row("first"))
    await waiting
    assert sorted(await verbs(store)) == ["first", "second"]
