"""The same store on both databases."""

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from bot.store import Store
from tests.databases import store_on
from tests.set_clock import SetClock

BOTH = ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)]


@pytest.fixture
def set_clock() -> SetClock:
    return SetClock()


@pytest.fixture(params=BOTH)
def database_url(request: pytest.FixtureRequest) -> str:
    """Return the URL of an empty database with our tables."""
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


@pytest.fixture(params=BOTH)
def bare_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return the URL of a database without tables."""
    if request.param == "postgres":
        url: str = request.getfixturevalue("bare_postgres_url")
        return url
    return f"sqlite:///{tmp_path}/folder/that/is/made/store.db"


@pytest.fixture
async def store(database_url: str, set_clock: SetClock) -> AsyncGenerator[Store]:
    opened = store_on(database_url, set_clock)
    yield opened
    await opened.close()


@pytest.fixture
async def other(store: Store, database_url: str, set_clock: SetClock) -> AsyncGenerator[Store]:
    """Return a second store on the same database, as another process has it."""
    opened = store_on(database_url, set_clock, process=1)
    yield opened
    await opened.close()
