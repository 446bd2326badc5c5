"""HTTP in: Slack's requests, CI systems' webhooks, health, metrics.

Bytes are verified before anything is read from them; bad input gets 400 or 401, never 500. What is verified is
handed on: `/slack/events` to Bolt's dispatch, webhooks to the poll targets.
"""

import asyncio
import hashlib
import hmac
import html
import json
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import parse_qsl

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from bot.core.clock import Clock
from bot.core.errors import AuthFailed, BotError, ProviderError, StoreError
from bot.core.models import WebhookEvent
from bot.core.text import valid_tree
from bot.providers.base.provider import AnyProvider
from bot.store.tables import InstallRow

log = logging.getLogger(__name__)

BODY_BYTES = 1024 * 1024
HOOK_BYTES = 8 * 1024 * 1024
WINDOW_SECONDS = 300
MOST_FIELDS = 200
REMEMBERED = 20_000
OBJECTS = ("channel", "container", "enterprise", "event", "message", "state", "team", "user", "view")
LISTS = ("actions", "authorizations")
SIGNATURE = "x-slack-signature"
SSL_CHECK_BYTES = 500
STATE_COOKIE = "slack-app-oauth-state"
TIMESTAMP = "x-slack-request-timestamp"


class Ack(Protocol):
    """What goes back to Slack."""

    @property
    def status(self) -> int:
        """The HTTP status."""
        ...

    @property
    def body(self) -> str:
        """The body."""
        ...

    @property
    def content_type(self) -> str:
        """The body's type."""
        ...


Dispatch = Callable[[Mapping[str, Any], Mapping[str, str]], Awaitable[Ack]]
Tapped = Callable[[AnyProvider, WebhookEvent], Awaitable[None]]
Check = Callable[[], Awaitable[str]]


class Oauth(Protocol):
    """What stands behind the installation's two pages."""

    async def begin(self) -> tuple[str, str]:
        """Return a fresh state and the address of Slack's consent page."""
        ...

    async def finish(self, *, state: str, cookie: str, code: str) -> InstallRow:
        """Exchange a code and return the installation."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class WebDependencies:
    """What stands behind the routes. A check returns "" when all is well, else what is not."""

    dispatch: Dispatch
    signing_secrets: Sequence[str]
    provider_of: Callable[[str], AnyProvider | None]
    tapped: Tapped
    ready: Mapping[str, Check]
    metrics: Callable[[], tuple[bytes, str]]
    clock: Clock
    oauth: Oauth | None = None
    installed: Callable[[str], Awaitable[None]] | None = None


class Seen:
    """Deliveries of the last minutes, so that a repeated one is answered and not done again."""

    def __init__(self, clock: Clock, *, seconds: float = WINDOW_SECONDS * 2, most: int = REMEMBERED) -> None:
        self._clock = clock
        self._seconds = seconds
        self._most = most
        self._at: OrderedDict[bytes, float] = OrderedDict()

    def again(self, key: bytes) -> bool:
        """Return whether this key was here before; remember it."""
        now = self._clock().timestamp()
        while self._at and (len(self._at) > self._most or next(iter(self._at.values())) < now - self._seconds):
            self._at.popitem(last=False)
        if key in self._at:
            return True
        self._at[key] = now
        return False

    def forget(self, key: bytes) -> None:
        """Let a delivery that could not be handled come again."""
        self._at.pop(key, None)


def signed(secrets: Sequence[str], timestamp: bytes, body: bytes, signature: bytes) -> bool:
    """Return whether Slack signed these bytes with one of the secrets; compared in constant time, on bytes."""
    fits = False
    for secret in secrets:
        digest = hmac.new(secret.encode(), b"v0:" + timestamp + b":" + body, hashlib.sha256).hexdigest()
        fits |= hmac.compare_digest(b"v0=" + digest.encode(), signature)
    return fits


class TooLarge(Exception):
    """A body is larger than any that makes sense."""


async def _body(request: Request, cap: int) -> bytes:
    length = request.headers.get("content-length", "")
    if length.isdigit() and int(length) > cap:
        raise TooLarge
    chunks: list[bytes] = []
    got = 0
    async for chunk in request.stream():
        got += len(chunk)
        if got > cap:
            raise TooLarge
        chunks.append(chunk)
    return b"".join(chunks)


def _parse(body: bytes, content_type: str) -> dict[str, Any]:
    """Return a Slack body as a dictionary whose texts are valid Unicode. Raises ValueError for anything else."""
    if content_type.lower().startswith("application/json"):
        read = json.loads(body)
    else:
        text = body.decode("utf-8")
        fields = dict(parse_qsl(text, keep_blank_values=True, max_num_fields=MOST_FIELDS, errors="strict"))
        read = json.loads(fields["payload"]) if "payload" in fields else fields
    if not isinstance(read, dict) or not read or not _is_shaped(read):
        raise ValueError("not an object as Slack sends them")
    shaped: dict[str, Any] = valid_tree(read)
    return shaped


def _is_shaped(read: Mapping[str, Any]) -> bool:
    """Return whether the parts that everybody looks into are what they are taken for."""
    lists = [read[name] for name in LISTS if name in read]
    objects = [read[name] for name in OBJECTS if read.get(name) is not None]
    objects += [each for one in lists if isinstance(one, list) for each in one]
    return all(isinstance(one, list) for one in lists) and all(isinstance(one, dict) for one in objects)


class Web:
    """The routes."""

    def __init__(self, doors: WebDependencies) -> None:
        self._doors = doors
        self._seen = Seen(doors.clock)
        self._webhooks_seen = Seen(doors.clock)

    def app(self) -> Starlette:
        """Return the ASGI app."""
        routes = [
            Route("/slack/events", self.slack, methods=["POST"]),
            Route("/hooks/{connection}", self.webhook, methods=["POST"]),
            Route("/hooks/{connection}/{secret}", self.webhook, methods=["POST"]),
            Route("/healthz", self.healthz, methods=["GET"]),
            Route("/readyz", self.readyz, methods=["GET"]),
            Route("/metrics", self.metrics, methods=["GET"]),
        ]
        if self._doors.oauth is not None:
            routes.append(Route("/slack/install", self.install, methods=["GET"]))
            routes.append(Route("/slack/oauth_redirect", self.oauth_redirect, methods=["GET"]))
        return Starlette(routes=routes)

    async def slack(self, request: Request) -> Response:
        """Answer Slack: verify the bytes, parse, leave out what came before, ack."""
        try:
            body = await _body(request, BODY_BYTES)
        except TooLarge:
            return PlainTextResponse("too large", 413)
        except ClientDisconnect:
            return Response(status_code=400)
        headers = dict(request.scope["headers"])
        timestamp = headers.get(TIMESTAMP.encode(), b"")
        signature = headers.get(SIGNATURE.encode(), b"")
        if not signature and len(body) < SSL_CHECK_BYTES and body.startswith(b"ssl_check=1"):
            return Response(status_code=200)
        if not timestamp.isdigit() or len(timestamp) > 12:
            return PlainTextResponse("no timestamp", 401)
        if abs(self._doors.clock().timestamp() - int(timestamp)) > WINDOW_SECONDS:
            return PlainTextResponse("too old", 401)
        if not signed(self._doors.signing_secrets, timestamp, body, signature):
            log.warning("a request to /slack/events had a wrong signature")
            return PlainTextResponse("wrong signature", 401)
        try:
            read = _parse(body, request.headers.get("content-type", ""))
        except (ValueError, RecursionError):
            return PlainTextResponse("not readable", 400)
        if read.get("type") == "url_verification":
            return PlainTextResponse(str(read.get("challenge") or ""))
        if str(read.get("ssl_check")) == "1":
            return Response(status_code=200)
        delivery = _delivery(read, signature)
        if self._seen.again(delivery):
            return Response(status_code=200)
        reply = await self._doors.dispatch(read, _retry_headers(headers))
        if reply.status >= 500:
            self._seen.forget(delivery)
        return Response(reply.body, reply.status, media_type=reply.content_type)

    async def webhook(self, request: Request) -> Response:
        """Take a CI system's webhook: signature first; then only a hint which build to read by API."""
        name = request.path_params["connection"]
        provider = self._doors.provider_of(name)
        if provider is None:
            return PlainTextResponse("no such connection", 404)
        try:
            body = await _body(request, HOOK_BYTES)
        except TooLarge:
            return PlainTextResponse("too large", 413)
        except ClientDisconnect:
            return Response(status_code=400)
        headers = {key.lower(): value for key, value in request.headers.items()}
        try:
            tap = provider.parse_webhook(headers, body, request.path_params.get("secret"))
        except AuthFailed as exc:
            log.warning("a webhook was refused", extra={"connection": name, "why": str(exc)})
            return PlainTextResponse(str(exc), 401)
        except ProviderError as exc:
            log.info("a webhook could not be read", extra={"connection": name, "why": str(exc)})
            return PlainTextResponse(str(exc), 400)
        if tap is None:
            return PlainTextResponse("ok", 200)
        delivery = f"{name}:{tap.delivery}".encode("utf-8", "replace")
        if tap.delivery and self._webhooks_seen.again(delivery):
            return PlainTextResponse("ok", 202)
        try:
            await self._doors.tapped(provider, tap)
        except StoreError as exc:
            self._webhooks_seen.forget(delivery)
            log.warning("a webhook could not be kept", extra={"connection": name, "why": str(exc)})
            return PlainTextResponse("try again later", 503)
        return PlainTextResponse("ok", 202)

    async def install(self, request: Request) -> Response:
        """Send the browser to Slack's consent page, its state in a cookie."""
        assert self._doors.oauth is not None  # noqa: S101 - the route exists only with it
        state, address = await self._doors.oauth.begin()
        answer = RedirectResponse(address, 302)
        answer.set_cookie(
            STATE_COOKIE, state, max_age=600, httponly=True, samesite="lax", secure=request.url.scheme == "https"
        )
        return answer

    async def oauth_redirect(self, request: Request) -> Response:
        """Finish an installation and say so in plain words."""
        assert self._doors.oauth is not None  # noqa: S101 - the route exists only with it
        refused = request.query_params.get("error")
        if refused:
            return _page("Not installed", f"Slack says: {refused}.", 400)
        try:
            row = await self._doors.oauth.finish(
                state=request.query_params.get("state", ""),
                cookie=request.cookies.get(STATE_COOKIE, ""),
                code=request.query_params.get("code", ""),
            )
        except BotError as exc:
            return _page("Not installed", f"{exc} {exc.hint or ''}", 400)
        if self._doors.installed is not None:
            try:
                await self._doors.installed(row.team)
            except BotError as exc:
                log.warning("what follows an installation failed", extra={"why": str(exc)})
        answer = _page(
            "Installed", f"Buildbell is installed in {row.team_name or 'your workspace'}. You can close this page.", 200
        )
        answer.delete_cookie(STATE_COOKIE)
        return answer

    async def healthz(self, _request: Request) -> Response:
        """Say that the process is alive."""
        return PlainTextResponse("ok")

    async def readyz(self, _request: Request) -> Response:
        """Say whether the bot can do its work, and what is in its way."""

        async def one(check: Check) -> str:
            try:
                async with asyncio.timeout(5):
                    return await check()
            except BotError as exc:
                return str(exc)
            except TimeoutError:
                return "no answer within 5 s"

        names = list(self._doors.ready)
        said = await asyncio.gather(*(one(self._doors.ready[name]) for name in names))
        found = dict(zip(names, said, strict=True))
        is_ready = not any(found.values())
        return JSONResponse(
            {"ready": is_ready, "checks": {name: words or "ok" for name, words in found.items()}},
            200 if is_ready else 503,
        )

    async def metrics(self, _request: Request) -> Response:
        """Return the metrics as Prometheus reads them."""
        body, content_type = self._doors.metrics()
        return Response(body, media_type=content_type)


def _page(title: str, text: str, status: int) -> HTMLResponse:
    words = f"<h1>{html.escape(title)}</h1><p>{html.escape(text)}</p>"
    return HTMLResponse(f"<!doctype html><meta charset=utf-8><title>{html.escape(title)}</title>{words}", status)


def _delivery(body: Mapping[str, Any], signature: bytes) -> bytes:
    event_id = body.get("event_id")
    if isinstance(event_id, str) and event_id:
        return event_id.encode("utf-8", "replace")
    return signature


def _retry_headers(headers: Mapping[bytes, bytes]) -> dict[str, str]:
    return {
        name.decode("latin-1"): value.decode("latin-1")
        for name, value in headers.items()
        if name.startswith(b"x-slack-retry")
    }
