"""PostgreSQL's bare driver, for single statements: each is a transaction of its own and costs one trip to the server."""

import asyncio
from collections.abc import Mapping
from typing import Any

from bot.store.errors import MISSING_STATES, broken, missing_tables, unusable
from bot.store.statements import Compiled, Values

BROKEN = ("08", "57P")
UNUSABLE = ("53", "55", "57")
CONNECTIONS = 5
IDLE_SECONDS = 300.0


async def _keep_as_it_is(_connection: object) -> None:
    """Leave a connection as it is: a single statement leaves nothing behind."""


class SingleStatements:
    """A few connections of asyncpg's own, opened when first needed."""

    def __init__(self, arguments: Mapping[str, Any]) -> None:
        self._arguments = dict(arguments)
        self._pool: Any = None
        self._opening = asyncio.Lock()

    async def fetch(self, statement: Compiled, arguments: Values) -> list[Values]:
        """Run a statement and return its rows. Raises StoreError."""
        import asyncpg  # noqa: PLC0415 - it is installed only where PostgreSQL is used

        try:
            pool = self._pool or await self._open()
            return statement.rows(await pool.fetch(statement.text, *arguments))
        except asyncpg.PostgresError as error:
            raise _translated(error) from error
        except (asyncpg.InterfaceError, asyncpg.InternalClientError, OSError) as error:
            raise broken() from error

    async def close(self) -> None:
        """Close the connections."""
        if self._pool is not None:
            pool, self._pool = self._pool, None
            await pool.close()

    async def _open(self) -> Any:
        import asyncpg  # noqa: PLC0415 - it is installed only where PostgreSQL is used

        async with self._opening:
            if self._pool is None:
                self._pool = await asyncpg.create_pool(
                    min_size=0,
                    max_size=CONNECTIONS,
                    max_inactive_connection_lifetime=IDLE_SECONDS,
                    reset=_keep_as_it_is,
                    **self._arguments,
                )
        return self._pool


def _translated(error: Exception) -> Exception:
    state = getattr(error, "sqlstate", None) or ""
    if state in MISSING_STATES:
        return missing_tables()
    if state.startswith(BROKEN):
        return broken()
    if state.startswith(UNUSABLE):
        return unusable()
    return error
