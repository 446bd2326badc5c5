"""What has been received already, remembered for a while."""

from datetime import timedelta

from sqlalchemy import delete, select
from sqlalchemy.dialects import postgresql, sqlite

from bot.store.database import Repository, table

SEEN = table("seen")
LITE, POST = sqlite.insert(SEEN), postgresql.insert(SEEN)


class Inbox(Repository):
    """What has been received already, remembered for a while."""

    async def is_duplicate(self, key: str, *, seconds: float, value: str = "") -> bool:
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
