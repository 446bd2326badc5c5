"""Delivers the vendors' webhooks to the bot, in order, when switched on."""

import asyncio
import contextlib
from collections import deque

import httpx

from playground.ci.model import Build
from playground.ci.simulation import Simulation
from playground.ci.system import System, WebhookRequest

SETTLE_SECONDS = 0.1
ATTEMPTS = 3


class Sender:
    """Turns the events of the simulation into webhook requests.

    While it is on, a task settles the simulation every tenth of a second, so that what happens by the clock alone is sent too.
    """

    def __init__(self, simulation: Simulation, systems: dict[str, System]) -> None:
        self.bot_url: str | None = None
        self.transport: httpx.AsyncBaseTransport | None = None
        self.delivered = 0
        self.failed = 0
        self._simulation = simulation
        self._systems = systems
        self._waiting: deque[tuple[str, WebhookRequest]] = deque()
        self._task: asyncio.Task[None] | None = None
        self._lock = asyncio.Lock()
        simulation.listeners.append(self._enqueue)

    @property
    def on(self) -> bool:
        """Whether webhooks are sent."""
        return self.bot_url is not None

    def switch_on(self, bot_url: str) -> None:
        """Send every event from now on; must be called where an event loop runs."""
        self.bot_url = bot_url.rstrip("/")
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._run())

    async def switch_off(self) -> None:
        """Send nothing more; what was not delivered yet is forgotten."""
        self.bot_url = None
        self._waiting.clear()
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            self._task = None

    async def flush(self) -> None:
        """Deliver what waits, in order."""
        async with self._lock:
            if not self._waiting:
                return
            async with httpx.AsyncClient(transport=self.transport, timeout=10, trust_env=False) as client:
                while self._waiting and self.bot_url is not None:
                    connection, request = self._waiting.popleft()
                    await self._deliver(client, f"{self.bot_url}/hooks/{connection}{request.path}", request)

    async def _deliver(self, client: httpx.AsyncClient, url: str, request: WebhookRequest) -> None:
        for attempt in range(ATTEMPTS):
            try:
                response = await client.post(url, content=request.body, headers=dict(request.headers))
            except httpx.TransportError:
                response = None
            if response is not None and response.is_success:
                self.delivered += 1
                return
            if response is not None and response.status_code < 500:
                break
            await asyncio.sleep(0.2 * (attempt + 1))
        self.failed += 1

    def _enqueue(self, event: str, build: Build) -> None:
        if not self.on:
            return
        for system in self._systems.values():
            if system.hears_of(build):
                self._waiting.extend((system.connection, request) for request in system.webhooks(event, build))

    async def _run(self) -> None:
        while True:
            self._simulation.settle()
            await self.flush()
            await asyncio.sleep(SETTLE_SECONDS)
