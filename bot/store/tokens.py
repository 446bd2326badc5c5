"""Short-lived marks, and states that may be used once."""

from datetime import timedelta

from sqlalchemy import delete, select

from bot.store.database import Repository
from bot.store.statements import insert_into
from bot.store.tables import table

TOKEN = table("token")


class Tokens(Repository):
    """Short-lived marks, and states that may be used once."""

    async def add(self, key: str, *, seconds: float, value: str = "") -> bool:
        """Keep a value under a key for some seconds, and return whether that is new; one that is kept stays as it is."""
        now = self._clock()
        row = {"key": key, "until": now + timedelta(seconds=seconds), "value": value}
        insert = insert_into(self.dialect, TOKEN)
        keep = insert.on_conflict_do_update(
            index_elements=["key"],
            set_={"until": insert.excluded.until, "value": insert.excluded.value},
            where=TOKEN.c.until <= now,
        ).returning(TOKEN.c.key)
        async with self._write() as db:
            return (await db.execute(keep, row)).first() is not None

    async def value(self, key: str) -> str | None:
        """Return what is kept under a key, or None when nothing is or its time is over."""
        kept = select(TOKEN.c.value).where(TOKEN.c.key == key, TOKEN.c.until > self._clock())
        async with self._read() as db:
            value: str | None = await db.scalar(kept)
        return value

    async def take(self, key: str) -> str | None:
        """Return what is kept under a key, once; None when its time is over, or it was taken before."""
        taken = delete(TOKEN).where(TOKEN.c.key == key, TOKEN.c.until > self._clock()).returning(TOKEN.c.value)
        async with self._write() as db:
            value: str | None = (await db.execute(taken)).scalar()
        return value
