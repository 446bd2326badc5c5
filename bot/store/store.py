"""The only door to what the bot remembers: one method for each question it asks."""

from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Table, and_, delete, select
from sqlalchemy.dialects import postgresql, sqlite

from bot.store.builds import Builds
from bot.store.connections import Connections
from bot.store.database import table
from bot.store.installs import Installs
from bot.store.links import Links
from bot.store.notifications import Outbox
from bot.store.people import People
from bot.store.polling import ABANDONED, Lanes
from bot.store.recording import KEEP_DAYS, Recording
from bot.store.schedules import Timetable

SEEN = table("seen")
LITE, POST = sqlite.insert(SEEN), postgresql.insert(SEEN)


class Store(Installs, Connections, Links, Recording, Builds, Lanes, Outbox, People, Timetable):
    """Everything the bot remembers. Rows come back detached and are read only; times come back aware."""

    async def seen(self, key: str, *, seconds: float, value: str = "") -> bool:
        """Return whether a key was seen before and is not forgotten yet; else remember it for some seconds."""
        now = self._clock()
        row = {"key": key, "until": now + timedelta(seconds=seconds), "value": value}
        insert = LITE if self.dialect == "sqlite" else POST
        remember = insert.on_conflict_do_update(
            index_elements=["key"],
            set_={"until": insert.excluded.until, "value": insert.excluded.value},
            where=SEEN.c.until <= now,
        ).returning(SEEN.c.key)
        async with self._write() as db:
            return (await db.exec(remember, params=row)).first() is None

    async def value(self, key: str) -> str | None:
        """Return what is remembered under a key, or None when nothing is or its time is over."""
        asked = select(SEEN.c.value).where(SEEN.c.key == key, SEEN.c.until > self._clock())
        async with self._read() as db:
            found: str | None = await db.scalar(asked)
        return found

    async def take(self, key: str) -> str | None:
        """Return what was remembered with a key, once; None when it is forgotten, or was taken before."""
        taken = delete(SEEN).where(SEEN.c.key == key, SEEN.c.until > self._clock()).returning(SEEN.c.value)
        async with self._write() as db:
            value: str | None = (await db.exec(taken)).scalar()
        return value

    async def prune(self, now: datetime, *, keep_days: int = KEEP_DAYS, batch: int = 500) -> int:
        """Forget what is older than `keep_days` or has run out, in small transactions; return how many rows that is."""
        oldest = now - timedelta(days=keep_days)
        card, mute, notice, watch = table("card"), table("mute"), table("notice"), table("watch")
        old: tuple[tuple[Table, ColumnElement[bool]], ...] = (
            (notice, notice.c.created_at < oldest),
            (card, and_(card.c.edited_at < oldest, card.c.edit_due_at.is_(None))),
            (card, and_(card.c.edited_at.is_(None), card.c.notice.not_in(select(notice.c.id)))),
            (watch, and_(watch.c.build != "", watch.c.created_at < min(oldest, now - ABANDONED))),
            (table("round"), table("round").c.seen_at < oldest),
            (table("build"), table("build").c.seen_at < oldest),
            (table("audit"), table("audit").c.at < oldest),
            (mute, mute.c.until <= now),
            (SEEN, SEEN.c.until <= now),
        )
        return sum([await self._forget(rows, condition, batch) for rows, condition in old])

    async def _forget(self, rows: Table, condition: ColumnElement[bool], batch: int) -> int:
        (key,) = rows.primary_key
        gone = delete(rows).where(key.in_(select(key).where(condition).limit(batch)))
        total = 0
        while True:
            async with self._write() as db:
                count = (await db.exec(gone)).rowcount
            total += count
            if count < batch:
                return total
