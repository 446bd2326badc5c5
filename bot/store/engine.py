"""Engines: what a database's URL means, and how each of its connections is set up."""

import contextlib
import logging
import os
import ssl
import stat
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, event, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import ArgumentError, DisconnectionError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry, Pool, StaticPool

from bot.core.errors import StoreError
from bot.core.text import valid
from bot.store.sqlite import connect
from bot.store.statements import dialect_of

log = logging.getLogger(__name__)

POSTGRES_SCHEMES = {"postgres", "postgresql", "postgresql+asyncpg"}
SQLITE_SCHEMES = {"sqlite", "sqlite+aiosqlite"}
BUSY_SECONDS = 10
PING_AFTER_SECONDS = 5.0
OWNER_ONLY = 0o600
SIDE_FILES = ("-wal", "-shm", "-journal")
OURS = {"statement_cache_size", "prepared_statement_cache_size", "timeout", "command_timeout", "ssl"}
UNSPOKEN = {"channel_binding", "gssencmode", "target_session_attrs"}  # libpq's words that asyncpg has no ear for
NUMBERS = {"statement_cache_size": int, "timeout": float, "command_timeout": float}

POOLED, OVERFLOW = 5, 3
"""How many connections to PostgreSQL a process keeps, and how many more it opens for a while. See docs/operations.md."""


def read_url(url: str) -> URL:
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


def make_engine(url: URL, pool: type[Pool] | None = None) -> AsyncEngine:
    """Return an engine on a database, whose texts are made valid on their way in."""
    engine = _bare_engine(url, pool)
    event.listen(engine.sync_engine, "before_cursor_execute", _with_valid_texts, retval=True)
    return engine


def is_in_memory(url: URL) -> bool:
    """Return whether a URL of SQLite names no file."""
    return url.database in {None, "", ":memory:"} and not url.query


def _with_valid_texts(
    _connection: Connection, _cursor: object, statement: str, parameters: Any, *_rest: object
) -> tuple[str, Any]:
    """Return a statement whose texts both databases take: what is not valid Unicode, or holds NUL, is repaired.

    Text is made valid where it enters; this is the second line, so that one odd text never fails a transaction. A list
    is one statement for each of its rows, a tuple the parameters of one statement, which may insert several rows.
    """
    if isinstance(parameters, list):
        return statement, [_valid_row(row) for row in parameters]
    return statement, _valid_row(parameters)


def _valid_row(row: Any) -> Any:
    if isinstance(row, dict):
        return {name: valid(value) if isinstance(value, str) else value for name, value in row.items()}
    if isinstance(row, tuple):
        return tuple(valid(value) if isinstance(value, str) else value for value in row)
    return row


def _bare_engine(url: URL, pool: type[Pool] | None = None) -> AsyncEngine:
    if url.drivername == "postgresql+asyncpg":
        host, arguments = postgres_arguments(url.query)
        sizes = {"pool_size": POOLED, "max_overflow": OVERFLOW} if pool is None else {"poolclass": pool}
        engine = create_async_engine(url.set(query=host), connect_args=arguments, pool_recycle=1800, **sizes)
        event.listen(engine.sync_engine, "checkin", _note_use)
        event.listen(engine.sync_engine, "checkout", _ping_if_idle)
        return engine
    memory = is_in_memory(url)
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


def postgres_arguments(
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


def _note_use(_connection: DBAPIConnection | None, entry: ConnectionPoolEntry) -> None:
    entry.info["used_at"] = time.monotonic()


def _ping_if_idle(connection: DBAPIConnection, entry: ConnectionPoolEntry, _proxy: object) -> None:
    """Ping a connection that was idle for a while; one that has just worked is spared the trip."""
    used_at = entry.info.get("used_at")
    if used_at is None or time.monotonic() - used_at < PING_AFTER_SECONDS:
        return
    try:
        connection.ping()  # SQLAlchemy's adapter of asyncpg has it
    except Exception as error:
        raise DisconnectionError("the connection broke while it was idle") from error


def driver_arguments(url: URL) -> dict[str, Any]:
    """Return what asyncpg itself takes for the connections that the engine of a URL has."""
    host, arguments = postgres_arguments(url.query)
    _, address = dialect_of("postgresql").create_connect_args(url.set(query=host))
    return {name: value for name, value in {**address, **arguments}.items() if name != "prepared_statement_cache_size"}


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
