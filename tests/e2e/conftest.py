from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bot import app
from tests.e2e.document_servers import Servers, every_server
from tests.e2e.stage import Stage, staged


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    async with staged(tmp_path) as made:
        yield made


@pytest.fixture
async def prompt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Stage]:
    """A stage whose bot does its regular work twice a second."""
    for name in ("RELEASE_SECONDS", "ESCALATE_SECONDS", "SIGNALS_SECONDS", "FOLLOWED_SECONDS", "SCHEDULED_SECONDS"):
        monkeypatch.setattr(app, name, 0.5)
    async with staged(tmp_path) as made:
        yield made


@pytest.fixture
def servers() -> Servers:
    return every_server()


@pytest.fixture
async def recorded(tmp_path: Path, servers: Servers) -> AsyncIterator[Stage]:
    async with staged(tmp_path, servers=servers) as made:
        yield made
