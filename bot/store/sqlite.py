"""SQLite with one trip to its thread for a statement.

aiosqlite keeps each connection in a thread, and SQLAlchemy crosses over to it for the cursor, the statement, the rows
and the close: four trips, each dearer than most of our statements. The cursor here makes them one.
"""

import asyncio
import sqlite3
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Self, TypeVar

import aiosqlite
from typing_extensions import override

from bot.store.statements import Observer, Run, Values, runner

T = TypeVar("T")

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
        def run_in_thread() -> tuple[list[Any], Any, int, int | None]:
            cursor = self._connection.cursor()
            try:
                statement(cursor)
                return cursor.fetchall(), cursor.description, cursor.rowcount, cursor.lastrowid
            finally:
                cursor.close()

        self._rows, self.description, self.rowcount, self.lastrowid = await self._cross(run_in_thread)
        return self


class Connection(aiosqlite.Connection):
    """aiosqlite's connection with our cursor."""

    @override
    def cursor(self) -> Cursor:  # type: ignore[override] # what SQLAlchemy asks of a cursor, and no more
        return Cursor(self._conn, self._execute)

    async def transact(self, work: Callable[[Run], T], observe: Observer | None = None) -> T:
        """Run work in the thread, in a transaction that takes the lock at its start; undo it when the work raises."""

        def run_in_thread() -> T:
            notify = observe or _unobserved
            notify("BEGIN IMMEDIATE", ())
            self._conn.execute("BEGIN IMMEDIATE")
            try:
                result = work(runner(self._conn, observe))
                notify("COMMIT", ())
                self._conn.execute("COMMIT")
            except BaseException:
                self._conn.execute("ROLLBACK")
                raise
            return result

        result: T = await self._execute(run_in_thread)  # type: ignore[no-untyped-call] # as aiosqlite has it
        return result


def _unobserved(_text: str, _arguments: Values) -> None:
    """Do nothing: nobody observes."""


class Inline:
    """A connection to a file that runs single statements on the thread of the event loop.

    For statements that find a few rows by an index. Such a statement takes a tenth of the time that a trip to another
    thread does. It never waits: where it cannot run at once (another process writes) or fails, `fetch` returns None, and
    the statement takes the trip. Its commits write into the log of SQLite's WAL mode and leave it to others to move
    what is there into the file, which waits for the disk.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._connection: sqlite3.Connection | None = None

    def fetch(self, text: str, arguments: Parameters) -> list[Any] | None:
        """Run a statement, a transaction of its own, and return its rows, or None."""
        try:
            if self._connection is None:
                self._connection = self._open()
            return self._connection.execute(text, arguments).fetchall()
        except sqlite3.Error:
            return None

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _open(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, isolation_level=None, timeout=0, check_same_thread=False)
        for pragma in ("synchronous=NORMAL", "foreign_keys=ON", "wal_autocheckpoint=0"):
            connection.execute(f"PRAGMA {pragma}")
        return connection


def connect(*arguments: Any, **options: Any) -> Connection:
    """Return a connection, to be awaited, that takes what `sqlite3.connect` takes."""
    connection = Connection(partial(sqlite3.connect, *arguments, **options), iter_chunk_size=64)
    connection._thread.daemon = True  # noqa: SLF001 - as SQLAlchemy does, so that an open one does not keep the process
    return connection


class Turns:
    """Whose turn it is to write, one at a time in the order of asking; what is short and urgent goes before the rest.

    A queue in front of SQLite's own lock: that one makes its waiters sleep, and serves them in no order.
    """

    def __init__(self) -> None:
        self._busy = False
        self._urgent: deque[asyncio.Future[None]] = deque()
        self._waiting: deque[asyncio.Future[None]] = deque()

    @asynccontextmanager
    async def in_order(self) -> AsyncGenerator[None]:
        """Wait for all who asked before."""
        await self._take(self._waiting)
        try:
            yield
        finally:
            self._pass_on()

    @asynccontextmanager
    async def next(self) -> AsyncGenerator[None]:
        """Wait only for who has the turn, and for other urgent ones who asked before."""
        await self._take(self._urgent)
        try:
            yield
        finally:
            self._pass_on()

    @property
    def is_free(self) -> bool:
        """Whether nobody has the turn or waits for it."""
        return not self._busy

    async def _take(self, queue: deque[asyncio.Future[None]]) -> None:
        if not self._busy:
            self._busy = True
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        queue.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._pass_on()
            elif turn in queue:
                queue.remove(turn)
            raise

    def _pass_on(self) -> None:
        for queue in (self._urgent, self._waiting):
            while queue:
                turn = queue.popleft()
                if not turn.done():
                    turn.set_result(None)
                    return
        self._busy = False
