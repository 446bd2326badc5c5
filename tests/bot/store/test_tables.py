from datetime import UTC, datetime, timedelta, timezone

import pytest
from sqlalchemy.exc import StatementError

from bot.store import Store
from tests.bot.store.rows import CONNECTION, NOW


async def test_times_come_back_aware_and_in_utc(store: Store) -> None:
    berlin = NOW.astimezone(timezone(timedelta(hours=2)))
    await store.polling.ensure(CONNECTION, "", now=berlin)
    (poll_target,) = await store.polling.targets()
    assert poll_target.due_at == NOW
    assert poll_target.due_at.tzinfo is UTC


async def test_a_time_without_a_zone_is_refused(store: Store) -> None:
    with pytest.raises(StatementError, match="without a zone"):
        await store.polling.ensure(CONNECTION, "", now=datetime(2026, 1, 1))  # noqa: DTZ001 - what must not get in
