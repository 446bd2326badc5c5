"""SQLite with one trip to its thread for a statement.

aiosqlite keeps each connection in a thread, and SQLAlchemy crosses over to it for the cursor, the statement, the rows
and the close: four trips, each dearer than most of our statements. The cursor here makes them one.
"""

import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, Self

import aiosqlite
from typing_extensions import override

Parameters = Sequence[Any]
Crossing = Callable[..., Awaitable[Any]]


class Cursor:
    """A cursor that has its rows when its statement has run. It is used for one statement at a time."""

    def __init__(self, connection: sqlite3.Connection, cross: Crossing) -> None:
        self._connection = connection
        self._cross = cross
        self._rows: list[Any] = []
        self.arraysize = 1
        self.description: Any = None
        self.rowcount = -1
        self.lastrowid: int | None = None

    async def __aenter__(self) -> Self:
        """Begin without a trip."""
        return self

    async def execute(self, operation: str, parameters: Parameters = ()) -> Self:
        """Run a statement and fetch its rows."""
        return await self._run(lambda cursor: cursor.execute(operation, parameters))

    async def executemany(self, operation: str, parameters: Sequence[Parameters]) -> Self:
        """Run a statement for each set of parameters."""
        return await self._run(lambda cursor: cursor.executemany(operation, parameters))

    async def fetchall(self) -> list[Any]:
        """Return the rows, and keep none."""
        rows, self._rows = self._rows, []
        return rows

    async def close(self) -> None:
        """Let the rows go; SQLite's own cursor was closed as soon as it had given them."""
        self._rows = []

    async def _run(self, statement: Callable[[sqlite3.Cursor], object]) -> Self:
        def there() -> tuple[list[Any], Any, int, int | None]:
            cursor = self._connection.cursor()
            try:
                statement(cursor)
                return cursor.fetchall(), cursor.description, cursor.rowcount, cursor.lastrowid
            finally:
                cursor.close()

        self._rows, self.description, self.rowcount, self.lastrowid = await self._cross(there)
        return self


class Connection(aiosqlite.Connection):
    """aiosqlite's connection with our cursor."""

    @override
    def cursor(self) -> Cursor:  # type: ignore[override] # what SQLAlchemy asks of a cursor, and no more
        return Cursor(self._conn, self._execute)


def connect(*arguments: Any, **options: Any) -> Connection:
    """Return a connection, to be awaited, that takes what `sqlite3.connect` takes."""
    connection = Connection(partial(sqlite3.connect, *arguments, **options), iter_chunk_size=64)
    connection._thread.daemon = True  # noqa: SLF001 - as SQLAlchemy does, so that an open one does not keep the process
    return connection
