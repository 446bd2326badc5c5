"""Which workspace a connection of the configuration belongs to."""

from collections.abc import Iterable, Sequence

from sqlalchemy import select

from bot.store.database import Repository, put
from bot.store.tables import table

BINDING = table("binding")
ADD_BINDING = put("binding", key=("connection",), replace=False, returning=("connection",))


class Bindings(Repository):
    """Which workspace a connection of the configuration belongs to that names none."""

    async def all(self) -> dict[str, str]:
        """Return the team of each bound connection, by name; empty where it belongs to nobody."""
        async with self._read() as db:
            return {row.connection: row.team for row in await db.execute(select(BINDING))}

    async def bind(self, connections: Iterable[str], teams: Sequence[str]) -> dict[str, str]:
        """Bind connections that are not bound yet to the only team of `teams`, else to nobody; return all bindings.

        Without any team nothing is decided. What is bound once stays so, whoever asks later.
        """
        names = sorted(connections)
        bound = await self.all()
        missing = [name for name in names if name not in bound]
        if not missing or not teams:
            return bound
        team = teams[0] if len(teams) == 1 else ""
        rows = [{"connection": name, "team": team, "bound_at": self._clock()} for name in missing]
        async with self._write() as db:
            await self._put(db, ADD_BINDING, rows)
        return await self.all()
