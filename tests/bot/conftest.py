"""A store and a clock for the middle of the bot."""

from collections.abc import AsyncGenerator

import pytest

from bot.store import Store
from tests.databases import store_on
from tests.set_clock import SetClock


@pytest.fixture
def set_clock() -> SetClock:
    return SetClock()


@pytest.fixture
async def store(sqlite_url: str, set_clock: SetClock) -> AsyncGenerator[Store]:
    opened = store_on(sqlite_url, set_clock)
    yield opened
    await opened.close()
