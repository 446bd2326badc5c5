"""Stores for tests: each gets empty tables, and no test pays for what the one before it has made already.

A process of the test run keeps one SQLite file and one PostgreSQL database, and empties them before each test. The
engines on them stay, and with them the statements that SQLAlchemy has compiled; the connections are a test's own.
"""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.pool import NullPool

from bot.core import clock
from bot.core.clock import Clock
from bot.store import Store
from bot.store.engine import OWNER_ONLY, SIDE_FILES, driver_arguments, make_engine, read_url
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


@dataclass
class Template:
    """The content of a SQLite file with our tables and nothing in them, made once."""

    content: bytes = b""

    async def copy_to(self, path: Path) -> None:
        """Write it to a new file."""
        if not self.content:
            with TemporaryDirectory() as folder:
                file = Path(folder) / "store.db"
                store = await Store.open(f"sqlite:///{file}", clock=clock.now)
                await store.migrate()
                await store.close()
                self.content = file.read_bytes()
        path.touch(OWNER_ONLY)  # noqa: ASYNC240 - a test waits for it anyway
        path.write_bytes(self.content)  # noqa: ASYNC240 - as above


MIGRATED = Template()


@pytest.fixture(scope="session")
def kept_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the path of this process's database."""
    return tmp_path_factory.mktemp("kept") / "store.db"


@pytest.fixture
async def sqlite_url(kept_sqlite: Path) -> str:
    """Return the URL of a database with our tables, empty."""
    for suffix in ("", *SIDE_FILES):  # a new file: what an earlier test has left open must not write into it
        kept_sqlite.with_name(f"{kept_sqlite.name}{suffix}").unlink(missing_ok=True)
    await MIGRATED.copy_to(kept_sqlite)
    return f"sqlite:///{kept_sqlite}"
