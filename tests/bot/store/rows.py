"""Rows and builds for the store's tests, with all that a test does not care about filled in; what is written loses its `id`."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from bot.core.models import Build, BuildKey, Conclusion, Status
from bot.store import Recorded, Store
from bot.store.mapping import CARD
from bot.store.rows import CardRow, LinkRow, NotificationRow, WatchRow

NOW = datetime(2026, 3, 4, 12, 0, tzinfo=UTC)
TEAM, CHANNEL = "T1", "C1"
CONNECTION, PIPELINE = "works", "p-app"


def ago(**past: float) -> datetime:
    return NOW - timedelta(**past)


def running(build: str = "b1", **fields: Any) -> Build:
    made = Build(
        connection=CONNECTION, pipeline=PIPELINE, id=build, branch="main", status=Status.IN_PROGRESS, created_at=NOW
    )
    return replace(made, **fields)


def ended(build: str = "b1", **fields: Any) -> Build:
    end = fields.get("completed_at") or fields.get("updated_at") or NOW
    created = end - timedelta(minutes=10)
    whole = {
        "status": Status.COMPLETED,
        "conclusion": Conclusion.PASSED,
        "completed_at": NOW,
        "created_at": created,
        **fields,
    }
    return running(build, **whole)


def key(build: str = "b1") -> BuildKey:
    return BuildKey(connection=CONNECTION, pipeline=PIPELINE, id=build)


def link(**fields: Any) -> LinkRow:
    whole = {
        "id": 0,
        "team": TEAM,
        "channel": CHANNEL,
        "connection": CONNECTION,
        "pipeline": PIPELINE,
        "path": "app",
        "name": "App",
        "created_by": "U1",
        "created_at": NOW,
        **fields,
    }
    return LinkRow(**whole)


def notification(build: str = "b1", **fields: Any) -> NotificationRow:
    whole = {
        "id": 0,
        "team": TEAM,
        "channel": CHANNEL,
        "connection": CONNECTION,
        "pipeline": PIPELINE,
        "build": build,
        "attempt_no": 1,
        "event": "finished",
        "due_at": NOW,
        "created_at": NOW,
        **fields,
    }
    return NotificationRow(**whole)


def card(build: str = "b1", ts: str = "1.1", **fields: Any) -> CardRow:
    whole = {
        "id": 0,
        "team": TEAM,
        "channel": CHANNEL,
        "ts": ts,
        "connection": CONNECTION,
        "pipeline": PIPELINE,
        "build": build,
        "attempt_no": 1,
        **fields,
    }
    return CardRow(**whole)


def watch(build: str = "b1", **fields: Any) -> WatchRow:
    whole = {
        "id": 0,
        "team": TEAM,
        "channel": "U1",
        "user": "U1",
        "connection": CONNECTION,
        "pipeline": PIPELINE,
        "build": build,
        "created_at": NOW,
        **fields,
    }
    return WatchRow(**whole)


def told(batch: Sequence[Recorded]) -> Sequence[NotificationRow]:
    """Decide as the simplest of channels would: every end is posted."""
    return [notification(item.build.id, attempt_no=item.attempt_no) for item in batch if item.finished]


async def record_told(store: Store, builds: Sequence[Build], **fields: Any) -> list[Recorded]:
    """Record builds and a notification for each end, as the poller does."""
    if not await store.recording.has_news(builds):
        return []
    async with store.transaction() as tx:
        recorded = await tx.recording.record(builds, **fields)
        await tx.notifications.add(told(recorded))
    return recorded


async def leased(store: Store, number: int) -> NotificationRow:
    """Return a notification as whoever leases it now has it."""
    row = await store.notifications.get(number)
    assert row is not None
    return row


async def make_due(store: Store, card_id: int, at: datetime) -> None:
    """Let a card, which nobody has leased, be due for an edit."""
    async with store.write() as db:
        await db.execute(CARD.update().where(CARD.c.id == card_id).values(edit_due_at=at, lease_until=None))
