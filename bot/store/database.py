"""The database below the store: one engine, set up so that no update is lost, and one transaction per question.

SQLite's driver begins transactions late, so that two writers who read before they write lose updates without a word.
Here the driver begins none: every transaction says itself what it is, and one that writes takes the lock at its start.
What is asked often goes past the engine, by `fetch`.
"""

import asyncio
import hashlib
import json
import sqlite3
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from typing import Any, Self, TypeVar

from sqlalchemy import (
    JSON,
    URL,
    ColumnElement,
    Select,
    String,
    UpdateBase,
    bindparam,
    cast,
    func,
    select,
    text,
    tuple_,
)
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlalchemy.pool import NullPool, StaticPool
from typing_extensions import override

from bot.core.clock import Clock
from bot.core.errors import StoreError
from bot.core.text import valid
from bot.store import schema
from bot.store.engine import driver_arguments, is_in_memory, make_engine, read_url
from bot.store.errors import translate_errors
from bot.store.mapping import Dataclass, values
from bot.store.postgres import SingleStatements
from bot.store.sqlite import Connection as SqliteConnection
from bot.store.sqlite import Inline, Turns
from bot.store.statements import Observer, Run, Statement, Values, insert_into
from bot.store.tables import table

INLINE_WRITES = 200  # a write adds two or three pages, and SQLite moves its log on from 1,000
TERMS = 500  # values in one IN list; both databases take 32,767 in a statement

T = TypeVar("T")


def put(
    name: str, *, key: Sequence[str], keep: Iterable[str] = (), replace: bool = True, returning: Sequence[str] = ("id",)
) -> Statement:
    """Return a statement that inserts into a table, or updates what the row with the same `key` holds.

    Columns in `keep` are left as they are in an existing row; with `replace=False` such a row is left alone.
    The statement returns some columns of each row it wrote, in no order.
    """

    def make(dialect: str) -> UpdateBase:
        into = table(name)
        insert = insert_into(dialect, into)
        kept = {*key, *keep, *(column.name for column in into.primary_key)}
        changed = {column.name: insert.excluded[column.name] for column in into.columns if column.name not in kept}
        written: UpdateBase = (
            insert.on_conflict_do_update(index_elements=key, set_=changed)
            if replace
            else insert.on_conflict_do_nothing(index_elements=key)
        )
        return written.returning(*(into.c[column] for column in returning))

    return Statement(make)


def pages(names: Iterable[T]) -> Iterable[list[T]]:
    """Cut a list of search terms so that each part fits into one statement."""
    whole = list(names)
    return (whole[start : start + TERMS] for start in range(0, len(whole), TERMS))


def among(dialect: str, columns: Sequence[ColumnElement[Any]], name: str) -> ColumnElement[bool]:
    """Return the condition that columns hold one of some tuples of texts: those that `terms` put into a parameter.

    The tuples go in as one value, so that the statement is the same however many there are. SQLite would read the
    whole table for a plain list of tuples, where it looks up each of these in the index.
    """
    listed: ColumnElement[Any] | Any
    if dialect == "sqlite":
        each = func.json_each(bindparam(name, type_=String)).table_valued("value")
        listed = select(*(func.json_extract(each.c.value, f"$[{place}]") for place in range(len(columns))))
    else:
        each = func.json_array_elements(cast(bindparam(name, type_=String), JSON)).table_valued("value")
        listed = select(*(each.c.value.op("->>")(place) for place in range(len(columns))))
    return tuple_(*columns).in_(listed)


def chosen(rows: Select[tuple[int]]) -> Select[tuple[int]]:
    """Return a choice of the ids of rows to claim, for an IN: one that is made once, whatever plan the database takes.

    PostgreSQL may run a plain subquery again for each row it looks at, skips what this statement has changed already,
    and so claims more rows than the subquery's limit.
    """
    return select(rows.cte("chosen").c.id)


def terms(rows: Iterable[Sequence[str]]) -> str:
    """Return the value of a parameter that `among` reads."""
    return json.dumps([[valid(term) for term in row] for row in rows], separators=(",", ":"))


def required(row: T | None, what: str) -> T:
    """Return a row that has to be there."""
    if row is None:
        raise StoreError(f"{what} is not in the store any more.")
    return row


class Sessions(ABC):
    """Where repositories get their sessions: a transaction for each question, or one that several questions share."""

    clock: Clock

    @property
    @abstractmethod
    def dialect(self) -> str:
        """Return `sqlite` or `postgresql`."""

    @abstractmethod
    def read(self) -> AbstractAsyncContextManager[AsyncConnection]:
        """Give a session to read in; rows stay usable after it."""

    @abstractmethod
    def write(self) -> AbstractAsyncContextManager[AsyncConnection]:
        """Give a session whose changes all happen, or none of them when the block raises."""

    @abstractmethod
    async def fetch(self, statement: Statement, *, writes: bool = False, **parameters: Any) -> list[Values]:
        """Run one prepared statement, in a transaction of its own or in the shared one, and return its rows.

        A statement that changes anything has to say so by `writes`. Raises StoreError.
        """

    async def put(
        self, db: AsyncConnection, statement: Statement, rows: Sequence[Dataclass | dict[str, Any]]
    ) -> list[tuple[Any, ...]]:
        """Insert rows with a statement, and return the columns that it returns for those it wrote."""
        if not rows:
            return []
        parameters = [row if isinstance(row, dict) else values(row) for row in rows]
        return [tuple(columns) for columns in await db.execute(statement.core(self.dialect), parameters)]

    async def own(self, db: AsyncConnection, names: Iterable[str]) -> None:
        """Hold off others who want to write the same thing until the transaction ends; on SQLite that is so anyway."""
        if self.dialect == "postgresql":
            for name in sorted(set(names)):
                await db.execute(_XACT_LOCK, {"key": _lock_number(f"own {name}")})


class Database(Sessions):
    """An engine, its transactions and its migrations. Repositories ask the questions."""

    def __init__(
        self, engine: AsyncEngine, *, keepers: AsyncEngine, clock: Clock, single: SingleStatements | None = None
    ) -> None:
        self._engine = engine
        self._keepers = keepers
        self.clock = clock
        self.observe: Observer | None = None
        """Told of each statement that `fetch` and `in_one_trip` send past the engine, for tests and measurements."""
        self._writing = engine.execution_options(sqlite_tx="IMMEDIATE")
        self._single = single
        self._inline = _inline(engine.url)
        self._inline_writes = 0
        self._turns = Turns()
        self._trip: AsyncConnection | None = None
        self._driver: SqliteConnection | None = None
        self._writing_task: asyncio.Task[Any] | None = None
        self._locks: dict[str, asyncio.Lock] = {}
        self._shared_connection = isinstance(engine.pool, StaticPool)

    @classmethod
    async def open(cls, url: str, *, clock: Clock) -> Self:
        """Return a store on the database that a URL names, reached once. Raises StoreError when that fails."""
        address = read_url(url)
        single = SingleStatements(driver_arguments(address)) if address.get_backend_name() == "postgresql" else None
        store = cls(make_engine(address), keepers=make_engine(address, NullPool), clock=clock, single=single)
        try:
            await store.ping()
        except StoreError:
            await store.close()
            raise
        return store

    async def close(self) -> None:
        """Close every connection."""
        if self._trip is not None:
            await self._trip.close()
            self._trip = self._driver = None
        if self._inline is not None:
            self._inline.close()
        if self._single is not None:
            await self._single.close()
        await self._engine.dispose()
        await self._keepers.dispose()

    @property
    @override
    def dialect(self) -> str:
        return self._engine.dialect.name

    async def ping(self) -> None:
        """Run an empty query. Raises StoreError if the database does not answer."""
        async with self.read() as db:
            await db.execute(text("SELECT 1"))

    # migrations

    async def migrate(self) -> None:
        """Bring the tables up to date, in one transaction; of several processes one does it and the others wait."""
        async with self._turn(), translate_errors(), self._writing.begin() as connection:
            if self.dialect == "postgresql":
                await connection.execute(_XACT_LOCK, {"key": _lock_number("migrate")})
            await connection.run_sync(schema.upgrade)

    async def revision(self) -> str | None:
        """Return the revision the tables are at, or None where there are none."""
        async with self._turn(), translate_errors(), self._engine.connect() as connection:
            return await connection.run_sync(schema.revision)

    def head(self) -> str:
        """Return the revision this version of the bot works with."""
        return schema.newest()

    # transactions and locks

    @asynccontextmanager
    @override
    async def read(self) -> AsyncGenerator[AsyncConnection]:
        async with self._turn(reading=True), translate_errors(), self._engine.connect() as db:
            yield db

    @asynccontextmanager
    @override
    async def write(self) -> AsyncGenerator[AsyncConnection]:
        async with self._turn(), translate_errors(), self._writing.begin() as db:
            yield db

    @override
    async def fetch(self, statement: Statement, *, writes: bool = False, **parameters: Any) -> list[Values]:
        compiled = statement.compiled(self.dialect)
        if self._single is not None:
            arguments = compiled.arguments(parameters)
            if self.observe is not None:
                self.observe(compiled.text, arguments)
            return await self._single.fetch(compiled, arguments)
        if self._inline is not None and (not writes or self._may_write_inline()):
            arguments = compiled.arguments(parameters)
            fetched = self._inline.fetch(compiled.text, arguments)
            if fetched is not None:
                if self.observe is not None:
                    self.observe(compiled.text, arguments)
                return compiled.rows(fetched)
        return await self.in_one_trip(lambda run: run(statement, **parameters), urgent=False)

    def _may_write_inline(self) -> bool:
        """Whether a write need not wait; now and then it takes the trip, so that the log of WAL mode is moved on."""
        self._refuse_within_transaction()
        self._inline_writes += 1
        if self._inline_writes < INLINE_WRITES:
            return self._turns.is_free
        self._inline_writes = 0
        return False

    async def in_one_trip(self, work: Callable[[Run], T], *, urgent: bool = True) -> T:
        """Run work on SQLite's own thread: one transaction, and one trip to the thread for all of it.

        The work gets a function that runs a prepared statement. It has to be short; where it is `urgent` it goes before
        the writes that wait. Raises StoreError.
        """
        self._refuse_within_transaction()
        async with self._turns.next() if urgent else self._turns.in_order(), translate_errors():
            driver = self._driver or await self._open_trip()
            try:
                return await driver.transact(work, self.observe)
            except sqlite3.Error as error:
                raise OperationalError("", {}, error) from error

    async def _open_trip(self) -> SqliteConnection:
        self._trip = await self._engine.connect()
        driver = (await self._trip.get_raw_connection()).driver_connection
        assert isinstance(driver, SqliteConnection)  # noqa: S101 - of SQLite's engine only
        self._driver = driver
        return driver

    def _turn(self, *, reading: bool = False) -> AbstractAsyncContextManager[None]:
        """Wait for one's turn: SQLite has one writer, and a database in memory has one connection."""
        if self.dialect != "sqlite" or (reading and not self._shared_connection):
            return nullcontext()
        return self._turn_of_sqlite()

    @asynccontextmanager
    async def _turn_of_sqlite(self) -> AsyncGenerator[None]:
        self._refuse_within_transaction()
        async with self._turns.in_order():
            self._writing_task = asyncio.current_task()
            try:
                yield
            finally:
                self._writing_task = None

    def _refuse_within_transaction(self) -> None:
        """Raise RuntimeError for a task that would wait for the end of its own transaction."""
        if self._writing_task is not None and self._writing_task is asyncio.current_task():
            message = "a task that is in a transaction writes through that transaction's repositories"
            raise RuntimeError(message)

    @asynccontextmanager
    async def lock(self, name: str) -> AsyncGenerator[None]:
        """Hold a lock that only one holder has: across processes on PostgreSQL, in this process on SQLite.

        The connection that holds it stands outside the pool, so that holders cannot starve each other of one.
        """
        async with self._locks.setdefault(name, asyncio.Lock()):
            if self.dialect == "sqlite":
                yield
                return
            async with translate_errors(), self._keepers.connect() as connection:
                idle = await connection.execution_options(isolation_level="AUTOCOMMIT")
                await idle.execute(text("SELECT pg_advisory_lock(:key)"), {"key": _lock_number(name)})
                yield


class Repository:
    """The questions about one subject, each in a transaction of its own or all in one that is shared."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions
        self._read = sessions.read
        self._write = sessions.write
        self._fetch = sessions.fetch
        self._put = sessions.put
        self._own = sessions.own
        self._clock = sessions.clock

    @property
    def dialect(self) -> str:
        """Return `sqlite` or `postgresql`."""
        return self._sessions.dialect


_XACT_LOCK = text("SELECT pg_advisory_xact_lock(:key)")


def _lock_number(name: str) -> int:
    """Return the 64-bit number that stands for a name in PostgreSQL's advisory locks."""
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "big", signed=True)


def _inline(url: URL) -> Inline | None:
    """Return what runs single statements on a file of SQLite without a trip to a thread; None for other databases."""
    if url.get_backend_name() != "sqlite" or is_in_memory(url) or url.query or not url.database:
        return None
    return Inline(url.database)
