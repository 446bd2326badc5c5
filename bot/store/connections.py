"""Connections and what can be built through them."""

from bot.store.database import Repository, put
from bot.store.mapping import CONNECTION
from bot.store.rows import ConnectionRow

PUT_CONNECTION = put("connection", key=("name",), keep=("down_since", "notified_at", "last_error"), returning=("name",))


class Connections(Repository):
    """Connections made in Slack, and the health of all."""

    async def all(self) -> list[ConnectionRow]:
        """Return every row by name. One without `settings` is the health of a connection from the configuration."""
        async with self._read() as db:
            return await CONNECTION.all(db, CONNECTION.select().order_by(CONNECTION.c.name))

    async def save(self, row: ConnectionRow) -> None:
        """Write a connection made in Slack; its health stays as it is known."""
        async with self._write() as db:
            await self._put(db, PUT_CONNECTION, [row])
