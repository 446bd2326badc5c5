"""Unreliable wires around the local Slack and the local CI systems, in both directions, drawn from a seed.

`FaultyServer` stands before what the bot calls: it refuses, breaks or delays requests before or after they took effect.
`FaultyDelivery` carries what the bot receives: it loses, repeats, delays and reorders deliveries, before or after the
bot got them.
"""

import asyncio
import contextlib
import random
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import httpx
from starlette.requests import ClientDisconnect
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from typing_extensions import override

from playground.dropped import Dropped

LONGEST_DELAY_SECONDS = 0.8
RETRY_AFTER_SECONDS = 1
BOT_PATHS = ("/api/", "/response/", "/ci/")
HOOK_PATH = "/hooks/"


class Fault(StrEnum):
    """What goes wrong with one request; AFTER: it has taken effect all the same."""

    NONE = "none"
    LIMITED = "429"
    ERROR = "500"
    RESET = "reset"
    SLOW = "slow"
    ERROR_AFTER = "500 after"
    RESET_AFTER = "reset after"
    SLOW_AFTER = "slow after"


class DeliveryFault(StrEnum):
    """What goes wrong with one delivery to the bot."""

    NONE = "none"
    LOST = "lost"
    LOST_ACK = "lost ack"
    TWICE = "twice"
    SLOW = "slow"


CALL_WEIGHTS: Mapping[Fault, float] = {
    Fault.NONE: 0.88,
    Fault.LIMITED: 0.02,
    Fault.ERROR: 0.02,
    Fault.RESET: 0.015,
    Fault.SLOW: 0.015,
    Fault.ERROR_AFTER: 0.02,
    Fault.RESET_AFTER: 0.015,
    Fault.SLOW_AFTER: 0.015,
}
DELIVERY_WEIGHTS: Mapping[DeliveryFault, float] = {
    DeliveryFault.NONE: 0.7,
    DeliveryFault.LOST: 0.05,
    DeliveryFault.LOST_ACK: 0.05,
    DeliveryFault.TWICE: 0.1,
    DeliveryFault.SLOW: 0.1,
}


class FaultPlan:
    """Faults in the order that a seed gives them, while `on`; counts what it gave."""

    def __init__(self, seed: str) -> None:
        self.on = True
        self.counts: Counter[str] = Counter()
        self._calls = random.Random(f"{seed}/calls")  # noqa: S311 - a test's faults
        self._deliveries = random.Random(f"{seed}/deliveries")  # noqa: S311 - a test's faults

    def of_call(self) -> Fault:
        """Return what happens to the next request of the bot."""
        fault = self._calls.choices(list(CALL_WEIGHTS), list(CALL_WEIGHTS.values()))[0] if self.on else Fault.NONE
        self.counts[fault.value] += 1
        return fault

    def of_delivery(self) -> DeliveryFault:
        """Return what happens to the next delivery to the bot."""
        weights = list(DELIVERY_WEIGHTS.values())
        fault = self._deliveries.choices(list(DELIVERY_WEIGHTS), weights)[0] if self.on else DeliveryFault.NONE
        self.counts[f"delivery {fault.value}"] += 1
        return fault

    def seconds(self) -> float:
        """Return how long a slow request or delivery waits."""
        return self._calls.uniform(0.05, LONGEST_DELAY_SECONDS)


@dataclass(frozen=True, slots=True)
class Acted:
    """A request of the bot that reached Slack or a CI system and took effect or was refused there: status and path."""

    path: str
    body: bytes
    status: int


class FaultyServer:
    """An ASGI application in front of another one: requests of the bot fail as a plan says.

    `on_request` is called for each request of the bot, twice: before and after it has acted. `limited` returns how a
    path's own system refuses a request too many, to be repeated after some seconds; None: as Slack does.
    """

    def __init__(
        self,
        app: ASGIApp,
        plan: FaultPlan,
        *,
        on_request: Callable[[], None],
        limited: Callable[[str, float], Response | None],
    ) -> None:
        self._app = app
        self._plan = plan
        self._on_request = on_request
        self._limited = limited
        self.acted: list[Acted] = []
        self.hold: Callable[[str, str], bool] = lambda _method, _path: False
        """Whether a request of a method and a path waits, before it acts, until `let_go` is set."""
        self.held: list[str] = []
        self.let_go = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http" or not scope["path"].startswith(BOT_PATHS):
            await self._app(scope, receive, send)
            return
        fault = self._plan.of_call()
        self._on_request()
        match fault:
            case Fault.LIMITED:
                await self._refuse(scope, receive, send, 429)
                return
            case Fault.ERROR:
                await self._refuse(scope, receive, send, 500)
                return
            case Fault.RESET:
                await Dropped()(scope, receive, send)
                return
            case Fault.SLOW:
                await asyncio.sleep(self._plan.seconds())
            case _:
                pass
        if self.hold(scope["method"], scope["path"]):
            self.held.append(scope["path"])
            await self.let_go.wait()
        answer = await self._act(scope, receive)
        self._on_request()
        match fault:
            case Fault.ERROR_AFTER:
                await self._refuse(scope, receive, send, 500)
                return
            case Fault.RESET_AFTER:
                await Dropped()(scope, receive, send)
                return
            case Fault.SLOW_AFTER:
                await asyncio.sleep(self._plan.seconds())
            case _:
                pass
        for message in answer:
            await send(message)

    async def _act(self, scope: Scope, receive: Receive) -> list[Message]:
        """Let the request take effect and return the messages of its answer."""
        answer: list[Message] = []
        body = bytearray()

        async def reading() -> Message:
            message = await receive()
            body.extend(message.get("body", b""))
            return message

        async def keep(message: Message) -> None:
            answer.append(message)

        with contextlib.suppress(ClientDisconnect):  # the bot was killed while it sent this
            await self._app(scope, reading, keep)
        status = next((message["status"] for message in answer if message["type"] == "http.response.start"), 0)
        if scope["method"] != "GET":
            self.acted.append(Acted(scope["path"], bytes(body), status))
        return answer

    async def _refuse(self, scope: Scope, receive: Receive, send: Send, status: int) -> None:
        response = self._limited(scope["path"], RETRY_AFTER_SECONDS) if status == 429 else None
        if response is None:
            headers = {"Retry-After": str(RETRY_AFTER_SECONDS)} if status == 429 else {}
            response = PlainTextResponse("an outage of the test", status, headers=headers)
        await response(scope, receive, send)


class FaultyDelivery(httpx.AsyncBaseTransport):
    """A transport that carries Slack's requests and webhooks to one of the bot's web processes, unreliably.

    `ports` are the ports of the web processes. Webhooks are answered at once and carried beside, so they overtake each
    other; what the bot did not get is not sent again, as with most CI systems.
    """

    def __init__(self, plan: FaultPlan, ports: Sequence[int], seed: str) -> None:
        self._plan = plan
        self._ports = ports
        self._random = random.Random(f"{seed}/ports")  # noqa: S311 - a test's faults
        self._wire = httpx.AsyncHTTPTransport(limits=httpx.Limits(max_connections=200, max_keepalive_connections=0))
        self._tasks: set[asyncio.Task[Any]] = set()
        self.reached: dict[bytes, None] = {}
        """The bodies of what the bot may have received from Slack, each once, in order."""

    @override
    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Carry one request. Raises the errors of httpx."""
        body = await request.aread()
        if request.url.path.startswith(HOOK_PATH):
            self._beside(self._hook(request, body))
            return httpx.Response(200, request=request)
        fault = self._plan.of_delivery()
        if fault is DeliveryFault.LOST:
            raise httpx.ConnectError("an outage of the test", request=request)
        if fault is DeliveryFault.SLOW:
            await asyncio.sleep(self._plan.seconds())
        if fault is DeliveryFault.TWICE:
            self._beside(self._carry(request, body))
        response = await self._carry(request, body)
        if fault is DeliveryFault.LOST_ACK:
            raise httpx.ReadTimeout("an outage of the test", request=request)
        return response

    @override
    async def aclose(self) -> None:
        """Wait for what is still on its way."""
        await self.settle()
        await self._wire.aclose()

    async def settle(self) -> None:
        """Wait until nothing is on its way to the bot."""
        while self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def _beside(self, work: Coroutine[Any, Any, Any]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._forget)

    def _forget(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # a delivery that failed is part of the test

    async def _hook(self, request: httpx.Request, body: bytes) -> None:
        fault = self._plan.of_delivery()
        if fault is DeliveryFault.LOST:
            return
        if fault is DeliveryFault.SLOW:
            await asyncio.sleep(self._plan.seconds())
        if fault is DeliveryFault.TWICE:
            await self._carry(request, body)
        await self._carry(request, body)

    async def _carry(self, request: httpx.Request, body: bytes) -> httpx.Response:
        """Carry a request to a web process that listens, as a load balancer does. Raises the errors of httpx."""
        *others, last = self._random.sample(self._ports, len(self._ports))
        for port in others:
            with contextlib.suppress(httpx.ConnectError):
                return await self._carry_to(port, request, body)
        return await self._carry_to(last, request, body)

    async def _carry_to(self, port: int, request: httpx.Request, body: bytes) -> httpx.Response:
        url = request.url.copy_with(port=port)
        carried = httpx.Request(
            request.method, url, headers=request.headers, content=body, extensions=request.extensions
        )
        try:
            response = await self._wire.handle_async_request(carried)
            content = await response.aread()
        except httpx.ConnectError:
            raise
        except httpx.HTTPError:
            self._note(request, body)
            raise
        self._note(request, body)
        await response.aclose()
        return httpx.Response(response.status_code, headers=response.headers, content=content, request=request)

    def _note(self, request: httpx.Request, body: bytes) -> None:
        if not request.url.path.startswith(HOOK_PATH):
            self.reached[body] = None
