"""What a change of a build does to its notifications and cards, within the transaction that writes the change."""

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.core.models import BuildKey
from bot.store.lookups import MARK_MOVED, keys_of, of_build
from bot.store.mapping import CARD, CARD_NOTE, NOTIFICATION
from bot.store.states import NoteKind, NotificationState


async def redraw_cards(db: AsyncConnection, key: BuildKey, count: int, now: datetime) -> None:
    """Make the cards of an attempt due."""
    cards = CARD.update().where(*of_build(CARD.c, key), CARD.c.attempt_no == count).values(edit_due_at=now)
    await db.execute(cards)


async def note_replaced(db: AsyncConnection, key: BuildKey, text: str, now: datetime, *, url: str = "") -> None:
    """Write on all cards of a build that something else stands in its place, and have them drawn anew."""
    places = select(CARD.c.team, CARD.c.attempt_no).where(*of_build(CARD.c, key)).distinct()
    notes = [
        {
            "team": team,
            "connection": key.connection,
            "pipeline": key.pipeline,
            "build": key.id,
            "attempt_no": attempt_no,
            "kind": NoteKind.REPLACED,
            "text": text,
            "url": url,
            "at": now,
        }
        for team, attempt_no in await db.execute(places)
    ]
    if notes:
        await db.execute(insert(CARD_NOTE.table), notes)
    due = CARD.update().where(*of_build(CARD.c, key)).values(edit_due_at=now)
    await db.execute(due)


async def release_waiting(db: AsyncConnection, key: BuildKey, count: int, now: datetime) -> None:
    """Make due the notifications that waited for counts; one that was refused before keeps its own time."""
    await db.execute(
        NOTIFICATION.update()
        .where(
            *of_build(NOTIFICATION.c, key),
            NOTIFICATION.c.attempt_no == count,
            NOTIFICATION.c.state == NotificationState.PENDING,
            NOTIFICATION.c.tries == 0,
            NOTIFICATION.c.due_at > now,
        )
        .values(due_at=now)
    )


async def mark_moved(db: AsyncConnection, keys: Iterable[BuildKey]) -> None:
    """Mark notifications that are being posted now: they were drawn before this change, so their cards are drawn again."""
    await db.execute(MARK_MOVED.core(db.dialect.name), {"keys": keys_of(keys)})
