"""What is known of each connection beside its polls: when a webhook came last, and when its credentials end."""

from collections.abc import Iterable
from dataclasses import asdict
from datetime import datetime

from bot.store.database import Repository, put
from bot.store.mapping import CONNECTION_HEALTH
from bot.store.rows import ConnectionHealthRow

_NAME = "connection"
PUT_WEBHOOK = put("connection_health", key=(_NAME,), keep=("expires_at",), returning=(_NAME,))
PUT_CHECK = put("connection_health", key=(_NAME,), keep=("webhook_at",), returning=(_NAME,))


class Health(Repository):
    """The health of connections, by name. What is gone with a connection is written again for its successor."""

    async def all(self) -> dict[str, ConnectionHealthRow]:
        """Return what is known, by the connection's name."""
        async with self._read() as db:
            rows = await CONNECTION_HEALTH.all(db, CONNECTION_HEALTH.select())
        return {row.connection: row for row in rows}

    async def webhooks_came(self, connections: Iterable[str], at: datetime) -> None:
        """Write that checked webhooks of some connections came."""
        rows = [asdict(ConnectionHealthRow(connection=name, webhook_at=at)) for name in sorted(set(connections))]
        async with self._write() as db:
            await self._put(db, PUT_WEBHOOK, rows)

    async def was_checked(self, connection: str, *, expires_at: datetime | None) -> None:
        """Write when a connection's credentials end; None where they don't work, or nobody says."""
        row = ConnectionHealthRow(connection=connection, expires_at=expires_at)
        async with self._write() as db:
            await self._put(db, PUT_CHECK, [asdict(row)])
