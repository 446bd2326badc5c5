"""A local CI system driven by the bot's own provider: the requests are real, only the network is left out."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx

from bot.core.models import Build, BuildFilter, WebhookEvent
from bot.providers import PROVIDERS, open_provider
from bot.providers.base.provider import Provider
from tests.playground.ci_kit import Playground

HOME = "http://127.0.0.1:4000"
PATIENCE = 200


class Driven(Playground):
    """A world, and the provider of one connection to it. What the provider waits for, the world's clock passes."""

    def __init__(self, connection: str, **changed: object) -> None:
        super().__init__()
        self.options = self.world.connections(HOME)
        self.connection = connection
        values = {**self.options[connection], **changed}
        kind = PROVIDERS[str(values.pop("kind"))]
        options = kind.options_type.model_validate(values)
        self.http = httpx.AsyncClient(transport=httpx.ASGITransport(self.app))
        self.provider: Provider[Any] = open_provider(
            connection, kind.kind, options, client=self.http, clock=self.world.clock.utc, sleep=self.pass_time
        )
        self.hooks: list[httpx.Request] = []
        self.world.transport = httpx.MockTransport(self._receive)

    async def pass_time(self, seconds: float) -> None:
        """Let the world's clock go on."""
        self.wait(seconds)

    async def newest(self, pipeline: str, **filters: Any) -> Build:
        """Return the newest build of a pipeline, as a list has it."""
        wanted = BuildFilter(**{"limit": 1, **filters})
        return await anext(aiter(self.provider.builds(pipeline, wanted)))

    async def until(self, build: Build, *, waiting: bool = False) -> Build:
        """Let time pass until a build has ended, or waits for a person, and return it."""
        for _ in range(PATIENCE):
            read = await self.provider.build(build.pipeline, build.id)
            if read.waiting if waiting else read.completed:
                return read
            self.wait(2)
        raise AssertionError(f"{build.pipeline} {build.number} never came to its end")

    async def decide_outcome(self, build: Build, outcome: str, system: str = "") -> None:
        """Decide how a build that the provider started is going to end."""
        system = system or self.provider.kind
        await self.control("outcome", system=system, build=self.simulated_id(system), outcome=outcome)

    def simulated_id(self, system: str = "") -> str:
        """Return the id that the control interface knows a system's newest build by."""
        system = system or self.provider.kind
        builds = [build for build in self.world.builds if build.pipeline.system == system]
        return max(builds, key=lambda build: build.id).uid

    async def webhooks(self) -> list[WebhookEvent]:
        """Return what the provider reads in the webhooks that were sent so far."""
        await self.world.sender.flush()
        events = []
        for request in self.hooks:
            secret = request.url.path.removeprefix(f"/hooks/{self.connection}").strip("/") or None
            headers = {name.lower(): value for name, value in request.headers.items()}
            event = self.provider.parse_webhook(headers, request.content, secret)
            events += [event] if event is not None else []
        return events

    def _receive(self, request: httpx.Request) -> httpx.Response:
        self.hooks += [request] if request.url.path.startswith(f"/hooks/{self.connection}") else []
        return httpx.Response(200)


@asynccontextmanager
async def driven(connection: str, **changed: object) -> AsyncIterator[Driven]:
    """Open a world and the provider of one of its connections."""
    made = Driven(connection, **changed)
    try:
        yield made
    finally:
        await made.client.aclose()
        await made.http.aclose()
        await made.world.aclose()
