"""The database below the store: one engine, set up so that no update is lost, and one transaction per question.

SQLite's driver begins transactions late, so that two writers who read before they write lose updates without a word.
Here the driver begins none: every transaction says itself what it is, and one that writes takes the lock at its start.
"""

import asyncio
import contextlib
import hashlib
import json
import logging
import os
import sqlite3
import ssl
import stat
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, TypeVar

from sqlalchemy import (
    URL,
    ColumnElement,
    Connection,
    Table,
    Text,
    UpdateBase,
    bindparam,
    event,
    func,
    make_url,
    select,
    text,
    tuple_,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import ArgumentError, DBAPIError, InterfaceError, OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, async_sessionmaker, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry, NullPool, Pool, StaticPool
from sqlmodel.ext.asyncio.session import AsyncSession
from typing_extensions import override

from bot.core.clock import Clock
from bot.core.errors import StoreError
from bot.core.text import valid
from bot.store import schema
from bot.store.sqlite import Connection as SqliteConnection
from bot.store.sqlite import Turns, connect
from bot.store.tables import Row

log = logging.getLogger(__name__)

POSTGRES_SCHEMES = {"postgres", "postgresql", "postgresql+asyncpg"}
SQLITE_SCHEMES = {"sqlite", "sqlite+aiosqlite"}
BUSY_SECONDS = 10
OWNER_ONLY = 0o600
SIDE_FILES = ("-wal", "-shm", "-journal")
TERMS = 500  # values in one IN list; both databases take 32,767 in a statement
MISSING = ("no such table", "no such column", "has no column named")  # SQLite has words where PostgreSQL has codes
MISSING_STATES = {"42P01", "42703"}
OURS = {"statement_cache_size", "prepared_statement_cache_size", "timeout", "command_timeout", "ssl"}
UNSPOKEN = {"channel_binding", "gssencmode", "target_session_attrs"}  # libpq's words that asyncpg has no ear for
NUMBERS = {"statement_cache_size": int, "timeout": float, "command_timeout": float}

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Put:
    """A statement that inserts, and knows what to do with a row that is there already; one for each database."""

    sqlite: UpdateBase
    postgresql: UpdateBase


def put(
    name: str, *, key: Sequence[str], keep: Iterable[str] = (), replace: bool = True, returning: Sequence[str] = ("id",)
) -> Put:
    """Return a statement that inserts into a table, or updates what the row with the same `key` holds.

    Columns in `keep` are left as they are in an existing row; with `replace=False` such a row is left alone.
    The statement returns some columns of each row it wrote, in no order.
    """
    into = table(name)
    kept = {*key, *keep, *(column.name for column in into.primary_key)}
    names = [column.name for column in into.columns if column.name not in kept]
    told = [into.c[column] for column in returning]
    lite, post = sqlite.insert(into), postgresql.insert(into)
    if not replace:
        return Put(
            sqlite=lite.on_conflict_do_nothing(index_elements=key).returning(*told),
            postgresql=post.on_conflict_do_nothing(index_elements=key).returning(*told),
        )
    return Put(
        sqlite=lite.on_conflict_do_update(
            index_elements=key, set_={column: lite.excluded[column] for column in names}
        ).returning(*told),
        postgresql=post.on_conflict_do_update(
            index_elements=key, set_={column: post.excluded[column] for column in names}
        ).returning(*told),
    )


def table(name: str) -> Table:
    """Return a table by name, for statements over columns."""
    return Row.metadata.tables[name]


def values(row: Row) -> dict[str, object]:
    """Return what an insert of a row takes: all but the id, which is the database's to give."""
    return row.model_dump(exclude={"id"})


def pages(terms: Iterable[T]) -> Iterable[list[T]]:
    """Cut a list of search terms so that each part fits into one statement."""
    whole = list(terms)
    return (whole[start : start + TERMS] for start in range(0, len(whole), TERMS))


def among(db: AsyncSession, columns: Sequence[Any], terms: Iterable[Sequence[str]]) -> ColumnElement[bool]:
    """Return the condition that columns hold one of some tuples.

    The tuples go in as one value, so that the statement is the same however many there are. SQLite would read the
    whole table for a plain list of tuples, where it looks up each of these in the index.
    """
    rows = [list(term) for term in terms]
    if db.get_bind().dialect.name == "sqlite":
        each = func.json_each(json.dumps(rows)).table_valued("value")
        listed = select(*(func.json_extract(each.c.value, f"$[{place}]") for place in range(len(columns))))
    else:
        arrays = [
            bindparam(None, [row[place] for row in rows], type_=postgresql.ARRAY(Text)) for place in range(len(columns))
        ]
        each = func.unnest(*arrays).table_valued(*(f"term{place}" for place in range(len(columns)))).render_derived()
        listed = select(*each.c)
    return tuple_(*columns).in_(listed)


def found(row: T | None, what: str) -> T:
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
    def read(self) -> AbstractAsyncContextManager[AsyncSession]:
        """Give a session to read in; rows stay usable after it."""

    @abstractmethod
    def write(self) -> AbstractAsyncContextManager[AsyncSession]:
        """Give a session whose changes all happen, or none of them when the block raises."""

    async def put(
        self, db: AsyncSession, statement: Put, rows: Sequence[Row | dict[str, object]]
    ) -> list[tuple[Any, ...]]:
        """Insert rows with a statement, and return the columns that it returns for those it wrote."""
        if not rows:
            return []
        words = statement.sqlite if self.dialect == "sqlite" else statement.postgresql
        params = [values(row) if isinstance(row, Row) else row for row in rows]
        return [tuple(columns) for columns in await db.exec(words, params=params)]

    async def own(self, db: AsyncSession, names: Iterable[str]) -> None:
        """Hold off others who want to write the same thing until the transaction ends; on SQLite that is so anyway."""
        if self.dialect == "postgresql":
            for name in sorted(set(names)):
                await (await db.connection()).execute(_XACT_LOCK, {"key": _number(f"own {name}")})


class Database(Sessions):
    """An engine, its transactions and its migrations. Repositories ask the questions."""

    def __init__(self, engine: AsyncEngine, *, keepers: AsyncEngine, clock: Clock) -> None:
        self._engine = engine
        self._keepers = keepers
        self.clock = clock
        self._writing = engine.execution_options(sqlite_tx="IMMEDIATE")
        self._reader = async_sessionmaker(engine, class_=AsyncSession, expire_on_commit=False)
        self._writer = async_sessionmaker(self._writing, class_=AsyncSession, expire_on_commit=False)
        self._turns = Turns()
        self._trip: AsyncConnection | None = None
        self._writing_task: asyncio.Task[Any] | None = None
        self._locks: dict[str, asyncio.Lock] = {}
        self._shared_connection = isinstance(engine.pool, StaticPool)

    @classmethod
    async def open(cls, url: str, *, clock: Clock) -> Self:
        """Return a store on the database that a URL names, reached once. Raises StoreError when that fails."""
        where = _read_url(url)
        store = cls(_engine(where), keepers=_engine(where, NullPool), clock=clock)
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
            self._trip = None
        await self._engine.dispose()
        await self._keepers.dispose()

    @property
    @override
    def dialect(self) -> str:
        return self._engine.dialect.name

    async def ping(self) -> None:
        """Run an empty query. Raises StoreError if the database does not answer."""
        async with self.read() as db:
            await (await db.connection()).execute(text("SELECT 1"))

    # migrations

    async def migrate(self) -> None:
        """Bring the tables up to date, in one transaction; of several processes one does it and the others wait."""
        async with self._turn(), translate_errors(), self._writing.begin() as connection:
            if self.dialect == "postgresql":
                await connection.execute(_XACT_LOCK, {"key": _number("migrate")})
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
    async def read(self) -> AsyncGenerator[AsyncSession]:
        async with self._turn(reading=True), translate_errors(), self._reader() as db:
            yield db

    @asynccontextmanager
    @override
    async def write(self) -> AsyncGenerator[AsyncSession]:
        async with self._turn(), translate_errors(), self._writer.begin() as db:
            yield db

    async def in_one_trip(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run work on SQLite's own thread: one transaction, and one trip to the thread for all of it.

        It goes before the writes that wait, so it has to be short; the work writes its SQL itself. Raises StoreError.
        """
        async with self._turns.next(), translate_errors():
            if self._trip is None:
                self._trip = await self._engine.connect()
            driver = (await self._trip.get_raw_connection()).driver_connection
            assert isinstance(driver, SqliteConnection)  # noqa: S101 - of SQLite's engine only
            try:
                return await driver.transact(work)
            except sqlite3.Error as error:
                raise OperationalError("", {}, error) from error

    def _turn(self, *, reading: bool = False) -> AbstractAsyncContextManager[None]:
        """Wait for one's turn: SQLite has one writer, and a database in memory has one connection."""
        if self.dialect != "sqlite" or (reading and not self._shared_connection):
            return nullcontext()
        return self._turn_of_sqlite()

    @asynccontextmanager
    async def _turn_of_sqlite(self) -> AsyncGenerator[None]:
        task = asyncio.current_task()
        if self._writing_task is not None and self._writing_task is task:
            message = "a task that is in a transaction writes through that transaction's repositories"
            raise RuntimeError(message)
        async with self._turns.in_order():
            self._writing_task = task
            try:
                yield
            finally:
                self._writing_task = None

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
                await idle.execute(text("SELECT pg_advisory_lock(:key)"), {"key": _number(name)})
                yield


class Repository:
    """The questions about one subject, each in a transaction of its own or all in one that is shared."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions
        self._read = sessions.read
        self._write = sessions.write
        self._put = sessions.put
        self._own = sessions.own
        self._clock = sessions.clock

    @property
    def dialect(self) -> str:
        """Return `sqlite` or `postgresql`."""
        return self._sessions.dialect


_XACT_LOCK = text("SELECT pg_advisory_xact_lock(:key)")


def _number(name: str) -> int:
    """Return the 64-bit number that stands for a name in PostgreSQL's advisory locks."""
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "big", signed=True)


@asynccontextmanager
async def translate_errors() -> AsyncGenerator[None]:
    """Translate database driver errors into StoreError."""
    try:
        yield
    except DBAPIError as error:
        if _is_missing(error):
            raise StoreError(
                "The database has no tables yet, or those of another version.", hint="Run `buildbell migrate`."
            ) from error
        if error.connection_invalidated:
            raise StoreError("The connection to the database broke.") from error
        if isinstance(error, OperationalError | InterfaceError):
            raise StoreError(
                "The database can't be used now.", hint="It may be locked, full or about to stop."
            ) from error
        raise
    except OSError as error:
        raise StoreError(
            "The database cannot be reached.", hint="Look at DATABASE_URL, and whether the server runs."
        ) from error


def _is_missing(error: DBAPIError) -> bool:
    state = getattr(error.orig, "sqlstate", None)
    return state in MISSING_STATES or any(words in str(error.orig) for words in MISSING)


def _read_url(url: str) -> URL:
    """Read a database's URL as people and hosts write it."""
    try:
        read = make_url(url)
    except ArgumentError as error:
        raise StoreError(
            "DATABASE_URL cannot be read.", hint="Write `sqlite:///data/buildbell.db` or `postgresql://…`."
        ) from error
    if read.drivername in SQLITE_SCHEMES:
        return read.set(drivername="sqlite+aiosqlite")
    if read.drivername in POSTGRES_SCHEMES:
        return read.set(drivername="postgresql+asyncpg")
    raise StoreError(
        f"The database `{read.drivername}` is not one the bot knows.",
        hint="Use SQLite or PostgreSQL: `postgresql://…`.",
    )


def _engine(url: URL, pool: type[Pool] | None = None) -> AsyncEngine:
    engine = _bare_engine(url, pool)
    event.listen(engine.sync_engine, "before_cursor_execute", _with_valid_texts, retval=True)
    return engine


def _with_valid_texts(
    _connection: Connection,
    _cursor: object,
    statement: str,
    parameters: Any,
    _context: object,
    executemany: bool,  # noqa: FBT001 - SQLAlchemy's signature
) -> tuple[str, Any]:
    """Return a statement whose texts both databases take: what is not valid Unicode, or holds NUL, is repaired.

    Text is made valid where it enters; this is the second line, so that one odd text never fails a transaction.
    """
    return statement, [_valid_row(row) for row in parameters] if executemany else _valid_row(parameters)


def _valid_row(row: Any) -> Any:
    if isinstance(row, dict):
        return {name: valid(value) if isinstance(value, str) else value for name, value in row.items()}
    if isinstance(row, tuple):
        return tuple(valid(value) if isinstance(value, str) else value for value in row)
    return row


def _bare_engine(url: URL, pool: type[Pool] | None = None) -> AsyncEngine:
    if url.drivername == "postgresql+asyncpg":
        host, arguments = _postgres_arguments(url.query)
        return create_async_engine(
            url.set(query=host), connect_args=arguments, poolclass=pool, pool_pre_ping=True, pool_recycle=1800
        )
    memory = url.database in {None, "", ":memory:"} and not url.query
    if not memory:
        _prepare_file(url.database or "")
    engine = create_async_engine(
        url,
        connect_args={"isolation_level": None, "async_creator_fn": connect},
        poolclass=StaticPool if memory else pool,
    )
    event.listen(engine.sync_engine, "connect", _prepare)
    event.listen(engine.sync_engine, "begin", _begin)
    return engine


def _postgres_arguments(
    query: Mapping[str, str | tuple[str, ...]],
) -> tuple[dict[str, str | tuple[str, ...]], dict[str, object]]:
    """Sort what a URL's query says, in libpq's words, into what stays in the URL and what asyncpg gets as arguments."""
    host = {name: query[name] for name in ("host", "port") if name in query}
    arguments: dict[str, object] = {}
    settings: dict[str, str] = {}
    for name, value in query.items():
        words = value if isinstance(value, str) else value[-1]
        match name:
            case "host" | "port" | "sslrootcert":
                pass
            case "sslmode":
                arguments["ssl"] = words
            case "connect_timeout":
                arguments["timeout"] = float(words)
            case _ if name in OURS:
                arguments[name] = NUMBERS.get(name, str)(words)
            case _ if name in UNSPOKEN:
                pass
            case _:
                settings[name] = words
    root = query.get("sslrootcert")
    if isinstance(root, str) and arguments.get("ssl") in {"verify-ca", "verify-full"}:
        context = ssl.create_default_context(cafile=None if root == "system" else root)
        context.check_hostname = arguments["ssl"] == "verify-full"
        arguments["ssl"] = context
    if settings:
        arguments["server_settings"] = settings
    return host, arguments


def _prepare_file(path: str) -> None:
    """Make the folder and the file of a database, the file readable by its owner only, and mend one that is not.

    SQLite gives its side files (`-wal`, `-shm`) the mode of the database's own.
    """
    if path.startswith("file:"):
        return
    file = Path(path).absolute()
    file.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        os.close(os.open(file, os.O_CREAT | os.O_EXCL | os.O_RDWR, OWNER_ONLY))
    for each in (file, *(file.with_name(f"{file.name}{suffix}") for suffix in SIDE_FILES)):
        with contextlib.suppress(FileNotFoundError):
            mode = stat.S_IMODE(each.stat().st_mode)
            if mode & ~OWNER_ONLY:
                each.chmod(OWNER_ONLY)
                log.warning(
                    "a file of the database could be read by others", extra={"file": each.name, "mode": oct(mode)}
                )


def _prepare(connection: DBAPIConnection, entry: ConnectionPoolEntry) -> None:  # noqa: ARG001 - SQLAlchemy's signature
    cursor = connection.cursor()
    for pragma in (
        f"busy_timeout={BUSY_SECONDS * 1000}",
        "journal_mode=WAL",
        "synchronous=NORMAL",
        "foreign_keys=ON",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql(f"BEGIN {connection.get_execution_options().get('sqlite_tx', 'DEFERRED')}")
