"""A store and a clock for the middle of the bot."""

import shutil
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from bot.core import clock
from bot.store import Store
from tests.bot.store.conftest import SetClock


@pytest.fixture
def set_clock() -> SetClock:
    return SetClock()


@pytest.fixture(scope="session")
async def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("migrated") / "store.db"
    made = await Store.open(f"sqlite:///{path}", clock=clock.now)
    await made.migrate()
    await made.close()
    return path


@pytest.fixture
async def store(migrated_file: Path, tmp_path: Path, set_clock: SetClock) -> AsyncGenerator[Store]:
    path = tmp_path / "store.db"
    shutil.copy(migrated_file, path)
    opened = await Store.open(f"sqlite:///{path}", clock=set_clock)
    yield opened
    await opened.close()
