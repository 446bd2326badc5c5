"""The same store on both databases."""

import shutil
from collections.abc import AsyncGenerator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from bot.core import clock
from bot.store import Store
from tests.bot.store.rows import NOW

BOTH = ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)]


class SetClock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now

    def go(self, **ahead: float) -> datetime:
        """Go ahead, and return the time then."""
        self.now += timedelta(**ahead)
        return self.now


@pytest.fixture
def set_clock() -> SetClock:
    return SetClock()


@pytest.fixture(scope="session")
async def migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("migrated") / "store.db"
    store = await Store.open(f"sqlite:///{path}", clock=clock.now)
    await store.migrate()
    await store.close()
    return path


@pytest.fixture(params=BOTH)
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return the URL of an empty database with our tables."""
    if request.param == "postgres":
        url: str = request.getfixturevalue("postgres_url")
        return url
    path = tmp_path / "store.db"
    shutil.copy(request.getfixturevalue("migrated_sqlite"), path)
    return f"sqlite:///{path}"


@pytest.fixture(params=BOTH)
def bare_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return the URL of a database without tables."""
    if request.param == "postgres":
        url: str = request.getfixturevalue("bare_postgres_url")
        return url
    return f"sqlite:///{tmp_path}/folder/that/is/made/store.db"


@pytest.fixture
async def store(database_url: str, set_clock: SetClock) -> AsyncGenerator[Store]:
    opened = await Store.open(database_url, clock=set_clock)
    yield opened
    await opened.close()


@pytest.fixture
async def other(store: Store, database_url: str, set_clock: SetClock) -> AsyncGenerator[Store]:
    """Return a second store on the same database, as another process has it."""
    opened = await Store.open(database_url, clock=set_clock)
    yield opened
    await opened.close()
