"""The database tells its size, its room, and who waits for a lock."""

import asyncio

import pytest
from sqlalchemy import text

from bot.store import Store


async def test_a_database_tells_its_size_and_lets_write(store: Store) -> None:
    report = await store.vitals.report()
    assert report.size > 100_000
    assert report.blocked == 0
    assert report.write_seconds < 2
    assert (report.free is None) is (store.dialect == "postgresql" or "memory" in str(store._engine.url))


async def test_the_notifications_that_wait_are_counted_by_workspace(store: Store) -> None:
    waiting = await store.notifications.waiting(["T1"], store.clock())
    assert (waiting.count, waiting.since) == (0, None)
    assert await store.inbox.oldest_open() is None
    assert await store.attempts.last_end("works") is None


async def test_sessions_that_wait_for_a_lock_are_counted(store: Store) -> None:
    if store.dialect != "postgresql":
        pytest.skip("SQLite has one writer, whose turn is waited for")
    holding = await store._engine.connect()
    try:
        await holding.execute(text("LOCK TABLE link IN ACCESS EXCLUSIVE MODE"))
        reading = asyncio.ensure_future(store.links.all("T1"))
        report = await store.vitals.report(locked_for=0.0)
        while not report.blocked:  # until the server has put it to sleep
            report = await store.vitals.report(locked_for=0.0)
        assert report.blocked == 1
    finally:
        await holding.close()
    await reading
