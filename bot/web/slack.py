"""Slack's requests: bytes are verified before anything is read from them, and what is verified goes to the inbox."""

import hashlib
import hmac
import logging
from collections.abc import Mapping, Sequence

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import Receive, Scope, Send

from bot.core.clock import Clock
from bot.slack.deliveries import Take
from bot.web.bodies import RefusedBodyError, read_body
from bot.web.payloads import read_payload

log = logging.getLogger(__name__)

BODY_BYTES = 1024 * 1024
WINDOW_SECONDS = 300
SIGNATURE = b"x-slack-signature"
TIMESTAMP = b"x-slack-request-timestamp"
SSL_CHECK_BYTES = 500


def is_signed(secrets: Sequence[str], timestamp: bytes, body: bytes, signature: bytes) -> bool:
    """Return whether Slack signed these bytes with one of the secrets; compared in constant time, on bytes."""
    fits = False
    for secret in secrets:
        digest = hmac.new(secret.encode(), b"v0:" + timestamp + b":" + body, hashlib.sha256).hexdigest()
        fits |= hmac.compare_digest(b"v0=" + digest.encode(), signature)
    return fits


class SlackEndpoint:
    """`POST /slack/events`: commands, clicks, forms and events."""

    def __init__(self, *, take: Take, signing_secrets: Sequence[str], clock: Clock) -> None:
        self._take = take
        self._secrets = signing_secrets
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request: an ASGI app, so that Starlette puts no more between than it must."""
        response = await self.receive(Request(scope, receive))
        await response(scope, receive, send)

    async def receive(self, request: Request) -> Response:
        """Verify the bytes, read them, and return the ack. Bad input is answered with 400, 401, 408 or 413."""
        try:
            body = await read_body(request, BODY_BYTES)
        except RefusedBodyError as refused:
            return refused.response
        headers = dict(request.scope["headers"])
        timestamp, signature = headers.get(TIMESTAMP, b""), headers.get(SIGNATURE, b"")
        if not signature and len(body) < SSL_CHECK_BYTES and body.startswith(b"ssl_check=1"):
            return Response(status_code=200)
        if not timestamp.isdigit() or len(timestamp) > 12:
            return PlainTextResponse("no timestamp", 401)
        if abs(self._clock().timestamp() - int(timestamp)) > WINDOW_SECONDS:
            return PlainTextResponse("too old", 401)
        if not is_signed(self._secrets, timestamp, body, signature):
            log.warning("a request to /slack/events had a wrong signature")
            return PlainTextResponse("wrong signature", 401)
        try:
            payload = read_payload(body, request.headers.get("content-type", ""))
        except ValueError:
            return PlainTextResponse("not readable", 400)
        if payload.get("type") == "url_verification":
            return PlainTextResponse(str(payload.get("challenge") or ""))
        if payload.get("ssl_check") == "1":
            return Response(status_code=200)
        try:
            reply = await self._take(payload, _retry_headers(headers), fallback=signature.decode("latin-1"))
        except RecursionError:
            return PlainTextResponse("nested too deeply", 400)
        if reply.status == 404:
            return PlainTextResponse("nothing of this kind is known here", 400)
        return Response(reply.body, reply.status, media_type=reply.content_type)


def _retry_headers(headers: Mapping[bytes, bytes]) -> dict[str, str]:
    return {
        name.decode("latin-1"): value.decode("latin-1")
        for name, value in headers.items()
        if name.startswith(b"x-slack-retry")
    }
