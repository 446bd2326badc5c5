"""An `ApiClient` over a made-up wire; waiting is recorded, not done."""

from collections.abc import AsyncIterator, Iterator

import httpx
import pytest
import stamina

from bot.http.client import ApiClient
from tests.bot.http.wire import BASE, Bearer, Clock, Handler, Make


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[float]]:
    """Record how long a retry would have waited."""
    waited: list[float] = []

    async def record(seconds: float) -> None:
        waited.append(seconds)

    monkeypatch.setattr("stamina._core._smart_sleep", record)
    with stamina.set_testing(False):
        yield waited


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def api_over(clock: Clock, pauses: list[float]) -> AsyncIterator[Make]:
    clients: list[httpx.AsyncClient] = []

    def make(handler: Handler | httpx.AsyncBaseTransport, **more: object) -> ApiClient:
        transport = handler if isinstance(handler, httpx.AsyncBaseTransport) else httpx.MockTransport(handler)
        client = httpx.AsyncClient(transport=transport, trust_env=False)
        clients.append(client)
        settings: dict[str, object] = {"base_url": BASE, "provider": "Hudson", "clock": clock, "auth": Bearer()} | more
        return ApiClient(client, **settings)  # type: ignore[arg-type]

    yield make
    for client in clients:
        await client.aclose()
