"""How the local Slack reaches the bot: signed HTTP requests, or Socket Mode while a socket is open."""

import asyncio
import hashlib
import hmac
import json
import logging
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import httpx
from starlette.websockets import WebSocket, WebSocketDisconnect

from playground.slack.model import Json
from playground.slack.workspace import Workspace

ACK_SECONDS = 3.0
RETRY_DELAYS = (0.0, 60.0, 300.0)

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the bot answered: a body (plain text becomes its `text`), or in `error` the word that Slack shows."""

    status: int = 0
    body: Json = field(default_factory=dict)
    error: str = ""


def signature(secret: str, timestamp: str, body: bytes) -> str:
    """Return the value of X-Slack-Signature for a request body."""
    digest = hmac.new(secret.encode(), b"v0:" + timestamp.encode() + b":" + body, hashlib.sha256)
    return f"v0={digest.hexdigest()}"


class Delivery:
    """Signs what happens in the workspace and hands it to the bot, waiting three seconds for its answer."""

    def __init__(
        self,
        workspace: Workspace,
        *,
        bot_url: str,
        signing_secret: str,
        client: httpx.AsyncClient,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        ack_seconds: float = ACK_SECONDS,
        retry_delays: tuple[float, ...] = RETRY_DELAYS,
    ) -> None:
        self.workspace = workspace
        self.bot_url = bot_url
        self.signing_secret = signing_secret
        self.sent: list[Json] = []
        self._client = client
        self._sleep = sleep
        self._ack_seconds = ack_seconds
        self._retry_delays = retry_delays
        self._sockets: list[WebSocket] = []
        self._waiting: dict[str, asyncio.Future[Json]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._turn = 0

    @property
    def socket_mode(self) -> bool:
        """A socket is open: nothing goes by HTTP then."""
        return bool(self._sockets)

    async def command(self, form: dict[str, str]) -> Answer:
        """Send a slash command and return the bot's answer."""
        return await self._deliver("slash_commands", form, urlencode(form).encode())

    async def interaction(self, payload: Json) -> Answer:
        """Send a click, a choice or a form and return the bot's answer."""
        return await self._deliver("interactive", payload, urlencode({"payload": json.dumps(payload)}).encode())

    async def event(self, event: Json) -> Answer:
        """Send an event the app has subscribed to. Refused deliveries are repeated as Slack does, in the background."""
        at = int(self.workspace.now())
        payload: Json = {
            "token": "playground",
            "team_id": self.workspace.team_id,
            "api_app_id": self.workspace.app_id,
            "event": {**event, "event_ts": event.get("event_ts") or self.workspace.new_ts()},
            "type": "event_callback",
            "event_id": self.workspace.new_id("Ev"),
            "event_time": at,
            "authorizations": [
                {
                    "enterprise_id": None,
                    "team_id": self.workspace.team_id,
                    "user_id": self.workspace.bot_user,
                    "is_bot": True,
                    "is_enterprise_install": False,
                }
            ],
            "is_ext_shared_channel": False,
            "event_context": secrets.token_hex(16),
        }
        answer = await self._deliver("events_api", payload, json.dumps(payload).encode())
        if answer.error:
            task = asyncio.create_task(self._repeat(payload, answer.error))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return answer

    async def _repeat(self, payload: Json, reason: str) -> None:
        for number, delay in enumerate(self._retry_delays, 1):
            await self._sleep(delay)
            retry = {
                "x-slack-retry-num": str(number),
                "x-slack-retry-reason": "http_timeout" if reason == "operation_timeout" else "http_error",
            }
            answer = await self._deliver("events_api", payload, json.dumps(payload).encode(), retry)
            if not answer.error:
                return
            reason = answer.error

    async def _deliver(self, kind: str, payload: Json, body: bytes, headers: dict[str, str] | None = None) -> Answer:
        self.sent.append({"kind": kind, "payload": payload})
        del self.sent[:-500]
        if self._sockets:
            return await self._by_socket(kind, payload, headers or {})
        return await self._by_http(kind, body, headers or {})

    async def _by_http(self, kind: str, body: bytes, headers: dict[str, str]) -> Answer:
        timestamp = str(int(self.workspace.now()))
        form = "application/json" if kind == "events_api" else "application/x-www-form-urlencoded"
        try:
            response = await self._client.post(
                f"{self.bot_url.rstrip('/')}/slack/events",
                content=body,
                headers={
                    "Content-Type": form,
                    "User-Agent": "Slackbot 1.0 (+playground)",
                    "X-Slack-Request-Timestamp": timestamp,
                    "X-Slack-Signature": signature(self.signing_secret, timestamp, body),
                    **headers,
                },
                timeout=self._ack_seconds,
            )
        except httpx.TimeoutException:
            return Answer(error="operation_timeout")
        except (httpx.HTTPError, httpx.InvalidURL) as exc:
            logger.debug("the bot was not reached", extra={"reason": type(exc).__name__})
            return Answer(error="dispatch_failed")
        if not response.is_success:
            return Answer(status=response.status_code, error="dispatch_failed")
        return _read(response.text, response.status_code)

    async def _by_socket(self, kind: str, payload: Json, headers: dict[str, str]) -> Answer:
        # Slack hands each envelope to any one of the open sockets.
        self._turn += 1
        socket = self._sockets[self._turn % len(self._sockets)]
        envelope = secrets.token_hex(16)
        frame: Json = {
            "envelope_id": envelope,
            "payload": payload,
            "type": kind,
            "accepts_response_payload": kind != "events_api",
        }
        if kind == "events_api":
            frame |= {
                "retry_attempt": int(headers.get("x-slack-retry-num", "0")),
                "retry_reason": headers.get("x-slack-retry-reason", ""),
            }
        answer: asyncio.Future[Json] = asyncio.get_running_loop().create_future()
        self._waiting[envelope] = answer
        try:
            await socket.send_text(json.dumps(frame))
            body = await asyncio.wait_for(answer, self._ack_seconds)
        except TimeoutError:
            return Answer(error="operation_timeout")
        except (WebSocketDisconnect, RuntimeError):  # Starlette raises RuntimeError on a socket that has closed
            return Answer(error="dispatch_failed")
        finally:
            self._waiting.pop(envelope, None)
        return Answer(status=200, body=body)

    async def socket(self, socket: WebSocket) -> None:
        """Speak Socket Mode on an accepted socket until it closes."""
        await socket.accept()
        await socket.send_text(
            json.dumps(
                {
                    "type": "hello",
                    "connection_info": {"app_id": self.workspace.app_id},
                    "num_connections": len(self._sockets) + 1,
                    "debug_info": {"host": "playground", "approximate_connection_time": 18060},
                }
            )
        )
        self._sockets.append(socket)
        self.workspace.touch()
        try:
            while True:
                frame = json.loads(await socket.receive_text())
                waiting = self._waiting.get(frame.get("envelope_id", ""))
                if waiting is not None and not waiting.done():
                    payload = frame.get("payload")
                    waiting.set_result(payload if isinstance(payload, dict) else {"text": payload} if payload else {})
        except (WebSocketDisconnect, ValueError, RuntimeError):
            logger.debug("a socket closed")
        finally:
            self._sockets.remove(socket)
            self.workspace.touch()

    async def disconnect(self, reason: str) -> None:
        """Ask every open socket to reconnect, as Slack does now and then."""
        for socket in list(self._sockets):
            await socket.send_text(
                json.dumps({"type": "disconnect", "reason": reason, "debug_info": {"host": "playground"}})
            )
            await socket.close()

    async def close(self) -> None:
        """End the repeats that still wait and the sockets."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for socket in list(self._sockets):
            await socket.close()


def _read(text: str, status: int) -> Answer:
    try:
        body: Any = json.loads(text) if text.strip() else {}
    except ValueError:
        body = None
    if isinstance(body, dict):
        return Answer(status=status, body=body)
    return Answer(status=status, body={"text": text})
