"""Connections and what can be built through them."""

from datetime import datetime

from sqlalchemy import delete, update
from sqlmodel import col, select

from bot.store.database import Repository, put
from bot.store.tables import ConnectionRow, PipelineRow, PollTargetRow

PUT_CONNECTION = put("connection", key=("name",), keep=("down_since", "notified_at", "last_error"), returning=("name",))
ADD_CONNECTION = put("connection", key=("name",), replace=False, returning=("name",))


class Connections(Repository):
    """Connections made in Slack, and the health of all."""

    async def all(self) -> list[ConnectionRow]:
        """Return every row by name. One without `settings` is the health of a connection from the configuration."""
        async with self._read() as db:
            return list(await db.exec(select(ConnectionRow).order_by(col(ConnectionRow.name))))

    async def save(self, row: ConnectionRow) -> None:
        """Write a connection made in Slack; its health stays as it is known."""
        async with self._write() as db:
            await self._put(db, PUT_CONNECTION, [row])

    async def delete(self, name: str) -> None:
        """Forget a connection, its pipelines and its poll targets."""
        gone = (
            delete(ConnectionRow).where(col(ConnectionRow.name) == name),
            delete(PipelineRow).where(col(PipelineRow.connection) == name),
            delete(PollTargetRow).where(col(PollTargetRow.connection) == name),
        )
        async with self._write() as db:
            for statement in gone:
                await db.exec(statement.execution_options(synchronize_session=False))

    async def set_down(self, name: str, error: str, now: datetime) -> None:
        """Remember that a connection does not answer, and since when."""
        async with self._write() as db:
            await self._put(db, ADD_CONNECTION, [ConnectionRow(name=name, kind="", created_at=now)])
            row = await db.get(ConnectionRow, name)
            if row is not None:
                row.down_since = row.down_since or now
                row.last_error = error
                db.add(row)

    async def set_up(self, name: str) -> None:
        """Remember that a connection answers."""
        well = (
            update(ConnectionRow)
            .where(col(ConnectionRow.name) == name, col(ConnectionRow.down_since).is_not(None))
            .values(down_since=None, notified_at=None, last_error="")
        )
        async with self._write() as db:
            await db.exec(well.execution_options(synchronize_session=False))
