"""Who watches a build or follows a pipeline."""

from sqlalchemy import delete
from sqlmodel import col, select

from bot.core.models import BuildKey
from bot.store.database import Repository
from bot.store.recording import ADD_WATCH, of_build
from bot.store.tables import WatchRow


class Watches(Repository):
    """Who watches a build or follows a pipeline."""

    async def add(self, row: WatchRow) -> bool:
        """Write a watch, and return whether it is new."""
        async with self._write() as db:
            return bool(await self._put(db, ADD_WATCH, [row]))

    async def of_user(self, team: str, user: str) -> list[WatchRow]:
        """Return what somebody watches and follows, oldest first."""
        asked = select(WatchRow).where(WatchRow.team == team, WatchRow.user == user).order_by(col(WatchRow.id))
        async with self._read() as db:
            return list(await db.exec(asked))

    async def of_build(self, key: BuildKey) -> list[WatchRow]:
        """Return who watches one build, oldest first."""
        async with self._read() as db:
            return list(await db.exec(select(WatchRow).where(*of_build(WatchRow, key)).order_by(col(WatchRow.id))))

    async def delete(self, watch_id: int) -> None:
        """Forget a watch."""
        async with self._write() as db:
            gone = delete(WatchRow).where(col(WatchRow.id) == watch_id)
            await db.exec(gone.execution_options(synchronize_session=False))

    async def end(self, key: BuildKey) -> None:
        """Forget all watches of one build."""
        async with self._write() as db:
            gone = delete(WatchRow).where(*of_build(WatchRow, key))
            await db.exec(gone.execution_options(synchronize_session=False))
