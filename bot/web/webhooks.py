"""Webhooks of CI systems: check the signature, then queue a hint which build to read through the API.

A webhook is answered as soon as it is checked. What it says waits in a queue that holds one entry for each poll target,
however many webhooks name it, and is written in batches. When the queue is full, webhooks are refused (503), and the
systems send them again or the next poll finds what they would have reported.
"""

import asyncio
import hmac
import logging
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

from cachetools import TTLCache
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from bot.core.clock import Clock
from bot.core.errors import AuthFailed, ProviderError, StoreError, Unsupported
from bot.core.models import WebhookEvent
from bot.providers.base.provider import AnyProvider
from bot.web.bodies import RefusedBodyError, read_body

log = logging.getLogger(__name__)

HOOK_BYTES = 8 * 1024 * 1024
DELIVERIES = 20_000
DELIVERY_SECONDS = 600.0
MOST_TARGETS = 2_000
MOST_HINTS = 100
BATCH = 200
GATHER_SECONDS = 0.02
AGAIN_SECONDS = 1.0


@dataclass(slots=True)
class PollRequest:
    """What the webhook events of one poll target named since the last write.

    Without a `part` it is about all parts of the connection. `hints` are the (pipeline, build) that were named;
    `is_full` says that the whole target is to be polled: one webhook named no build, or they named too many.
    """

    connection: str
    part: str | None
    hints: dict[tuple[str, str], None] = field(default_factory=dict)
    is_full: bool = False

    def add(self, event: WebhookEvent) -> None:
        """Add what one webhook event names."""
        if event.pipeline and event.build and len(self.hints) < MOST_HINTS:
            self.hints[event.pipeline, event.build] = None
        else:
            self.is_full = True


Write = Callable[[Sequence[PollRequest]], Awaitable[None]]


class WebhookQueue:
    """Poll requests that wait to be written by `write`, at most one for each poll target and `most` in all."""

    def __init__(self, write: Write, *, most: int = MOST_TARGETS) -> None:
        self._write = write
        self._most = most
        self._waiting: dict[tuple[str, str | None], PollRequest] = {}
        self._arrived = asyncio.Event()

    def __len__(self) -> int:
        """Return how many poll targets wait."""
        return len(self._waiting)

    def add(self, connection: str, part: str | None, event: WebhookEvent) -> bool:
        """Queue a webhook event; return False if the queue is full."""
        request = self._waiting.get((connection, part))
        if request is None:
            if len(self._waiting) >= self._most:
                return False
            request = self._waiting[connection, part] = PollRequest(connection, part)
        request.add(event)
        self._arrived.set()
        return True

    async def run(self) -> None:
        """Write what arrives, in batches, until cancelled; where that fails, try again and keep what waits."""
        while True:
            await self._arrived.wait()
            await asyncio.sleep(GATHER_SECONDS)
            try:
                await self.flush()
            except StoreError as exc:
                log.warning("webhooks can't be kept", extra={"waiting": len(self), "why": str(exc)})
                await asyncio.sleep(AGAIN_SECONDS)

    async def flush(self) -> None:
        """Write all that waits. Raises StoreError; what is not written then waits on."""
        while self._waiting:
            batch = dict(list(self._waiting.items())[:BATCH])
            for target in batch:
                del self._waiting[target]
            try:
                await self._write(list(batch.values()))
            except BaseException:
                for target, request in batch.items():
                    self._put_back(target, request)
                raise
        self._arrived.clear()

    def _put_back(self, target: tuple[str, str | None], request: PollRequest) -> None:
        newer = self._waiting.get(target)
        if newer is not None:
            request.hints.update(newer.hints)
            request.is_full |= newer.is_full or len(request.hints) > MOST_HINTS
        self._waiting[target] = request


class WebhookEndpoint:
    """`POST /hooks/{connection}` and `POST /hooks/{connection}/{secret}`."""

    def __init__(
        self, *, provider_of: Callable[[str], Awaitable[AnyProvider | None]], queue: WebhookQueue, clock: Clock
    ) -> None:
        self._provider_of = provider_of
        self._queue = queue
        self._seen: TTLCache[str, None] = TTLCache(DELIVERIES, DELIVERY_SECONDS, timer=lambda: clock().timestamp())
        self._nobodys_secret = secrets.token_bytes(32)

    async def receive(self, request: Request) -> Response:
        """Check a webhook and queue its event.

        An unknown connection is answered as a wrong signature is, after the same work: names can't be tried out.
        """
        try:
            body = await read_body(request, HOOK_BYTES)
        except RefusedBodyError as refused:
            return refused.response
        name = request.path_params["connection"]
        provider = await self._provider_of(name)
        if provider is None:
            hmac.digest(self._nobodys_secret, body, "sha256")
            return _not_accepted()
        headers = {key.lower(): value for key, value in request.headers.items()}
        return self._answer(name, provider, headers, body, request.path_params.get("secret"))

    def _answer(
        self, name: str, provider: AnyProvider, headers: Mapping[str, str], body: bytes, secret: str | None
    ) -> Response:
        try:
            event = provider.parse_webhook(headers, body, secret)
        except (AuthFailed, Unsupported) as exc:
            log.warning("a webhook was refused", extra={"connection": name, "why": str(exc)})
            return _not_accepted()
        except ProviderError as exc:
            log.info("a webhook could not be read", extra={"connection": name, "why": str(exc)})
            return PlainTextResponse(str(exc), 400)
        if event is None:
            return PlainTextResponse("ok", 200)
        delivery = f"{name}:{event.delivery}"
        if event.delivery and delivery in self._seen:
            return PlainTextResponse("ok", 202)
        part = provider.poll_target(event.pipeline) if event.pipeline else None
        if not self._queue.add(provider.connection, part, event):
            return PlainTextResponse("too many at once, try again later", 503, headers={"retry-after": "5"})
        if event.delivery:
            self._seen[delivery] = None
        return PlainTextResponse("ok", 202)


def _not_accepted() -> Response:
    return PlainTextResponse("not accepted: the connection is unknown here, or the signature does not fit", 401)
