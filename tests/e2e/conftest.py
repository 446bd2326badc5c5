from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.e2e.document_servers import Servers, every_server
from tests.e2e.stage import Stage, staged


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    async with staged(tmp_path) as made:
        yield made


@pytest.fixture
def servers() -> Servers:
    return every_server()


@pytest.fixture
async def recorded(tmp_path: Path, servers: Servers) -> AsyncIterator[Stage]:
    async with staged(tmp_path, servers=servers) as made:
        yield made
