"""Connections and what can be built through them."""

from sqlalchemy import delete
from sqlmodel import col, select

from bot.store.database import Repository, put
from bot.store.tables import ConnectionRow, PipelineRow, PollTargetRow

PUT_CONNECTION = put("connection", key=("name",), keep=("down_since", "notified_at", "last_error"), returning=("name",))


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
