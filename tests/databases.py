"""Stores for tests: each gets empty tables, and no test pays for what the one before it has made already.

A process of the test run keeps one SQLite file and one PostgreSQL database, and empties them before each test. The
engines on them stay, and with them the statements that SQLAlchemy has compiled; the connections are a test's own.
"""

import shutil
from functools import cache
from pathlib import Path

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.pool import NullPool

from bot.core import clock
from bot.core.clock import Clock
from bot.store import Store
from bot.store.engine import SIDE_FILES, driver_arguments, make_engine, read_url
from bot.store.postgres import SingleStatements


@cache
def _engines(url: str, process: int) -> tuple[AsyncEngine, AsyncEngine]:
    """Return the engine of a store and that of its locks, the same for each test."""
    address = read_url(url)
    return make_engine(address), make_engine(address, NullPool)


def store_on(url: str, now: Clock, *, process: int = 0) -> Store:
    """Return a store on the kept database, as `Store.open` does on any. Stores open at once are of different processes."""
    engine, keepers = _engines(url, process)
    address = read_url(url)
    single = SingleStatements(driver_arguments(address)) if address.get_backend_name() == "postgresql" else None
    return Store(engine, keepers=keepers, clock=now, single=single)


@pytest.fixture(scope="session")
async def migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a file with our tables and nothing in them, to be copied and never opened."""
    path = tmp_path_factory.mktemp("migrated") / "store.db"
    store = await Store.open(f"sqlite:///{path}", clock=clock.now)
    await store.migrate()
    await store.close()
    return path


@pytest.fixture(scope="session")
def kept_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the path of this process's database."""
    return tmp_path_factory.mktemp("kept") / "store.db"


@pytest.fixture
def sqlite_url(migrated_sqlite: Path, kept_sqlite: Path) -> str:
    """Return the URL of a database with our tables, empty."""
    for suffix in ("", *SIDE_FILES):  # a new file: what an earlier test has left open must not write into it
        kept_sqlite.with_name(f"{kept_sqlite.name}{suffix}").unlink(missing_ok=True)
    shutil.copy(migrated_sqlite, kept_sqlite)
    return f"sqlite:///{kept_sqlite}"
