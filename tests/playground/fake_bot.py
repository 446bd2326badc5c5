"""A bot of a few lines for the playground's own tests: checks signatures, answers as told, remembers everything."""

import hashlib
import hmac
import json
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qsl

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from playground.slack import Delivery, SlackApp, Workspace, slack_app

SECRET = "a-secret-of-the-playground"
BOT_TOKEN = "xoxb-playground"
APP_TOKEN = "xapp-playground"

Json = dict[str, Any]
Handler = Callable[[Json], Awaitable[Response | Json | str | None]]


class FakeBot:
    """Answers by the kind of the request: `command`, `block_actions`, `view_submission`, an event's type, ..."""

    def __init__(self) -> None:
        self.received: list[Json] = []
        self.headers: list[dict[str, str]] = []
        self.handlers: dict[str, Handler] = {}
        self.app = Starlette(routes=[Route("/slack/events", self.receive, methods=["POST"])])

    def on(self, kind: str, answer: Response | Json | str | Handler | None) -> None:
        if callable(answer) and not isinstance(answer, Response):
            self.handlers[kind] = answer
            return

        async def handler(_payload: Json) -> Response | Json | str | None:
            return answer

        self.handlers[kind] = handler

    def last(self, kind: str) -> Json:
        return next(it for it in reversed(self.received) if kind_of(it) == kind)

    async def receive(self, request: Request) -> Response:
        body = await request.body()
        stamp = request.headers["x-slack-request-timestamp"]
        digest = hmac.new(SECRET.encode(), b"v0:" + stamp.encode() + b":" + body, hashlib.sha256).hexdigest()
        if not hmac.compare_digest(request.headers["x-slack-signature"], f"v0={digest}"):
            return PlainTextResponse("bad signature", 401)
        if request.headers["content-type"] == "application/json":
            payload = json.loads(body)
        else:
            form = dict(parse_qsl(body.decode(), keep_blank_values=True))
            payload = json.loads(form["payload"]) if "payload" in form else form
        self.received.append(payload)
        self.headers.append(dict(request.headers))
        handler = self.handlers.get(kind_of(payload))
        answer = await handler(payload) if handler else None
        if isinstance(answer, Response):
            return answer
        return JSONResponse(answer) if isinstance(answer, dict) else PlainTextResponse(answer or "")


def kind_of(payload: Json) -> str:
    if payload.get("type") == "event_callback":
        return str(payload["event"]["type"])
    return str(payload.get("type", "command"))


class Stage:
    """The local Slack and the fake bot in one process, with a clock that stands still."""

    def __init__(self) -> None:
        self.time = 1_770_000_000.0
        self.slept: list[float] = []
        self.bot = FakeBot()
        self.workspace = Workspace(now=lambda: self.time)
        self.workspace.base_url = "http://slack.local"
        self.to_bot = httpx.AsyncClient(transport=httpx.ASGITransport(self.bot.app))
        self.delivery = Delivery(
            self.workspace, bot_url="http://bot.local", signing_secret=SECRET, client=self.to_bot, sleep=self.sleep
        )
        self.slack = SlackApp(
            self.workspace, self.delivery, bot_token=BOT_TOKEN, app_token=APP_TOKEN, sleep=self.sleep
        )  # fmt: skip
        self.http = httpx.AsyncClient(
            transport=httpx.ASGITransport(slack_app(self.slack)), base_url="http://slack.local"
        )  # fmt: skip
        self.people = self.slack.user_actions
        self.ana, self.mika, self.bo = "U0ANAVIDAL", "U0MIKASATO", "U0BOLINDEN"
        self.ios = self.channel("ios")

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)

    def channel(self, name: str) -> str:
        return next(it.id for it in self.workspace.channels.values() if it.name == name)

    async def api(self, method: str, token: str = BOT_TOKEN, **args: Any) -> Json:
        answer = await self.http.post(f"/api/{method}", json=args, headers={"Authorization": f"Bearer {token}"})
        assert answer.status_code == 200
        found: Json = answer.json()
        return found

    async def post(self, **args: Any) -> str:
        """Post as the bot in #ios and return the ts."""
        answer = await self.api("chat.postMessage", **{"channel": self.ios, "text": "hello", **args})
        assert answer["ok"], answer
        return str(answer["ts"])

    async def ui(self, act: str, **given: Any) -> Json:
        """Do something at the page as Ana."""
        found: Json = (await self.http.post(f"/ui/{act}", json={"user": self.ana, **given})).json()
        return found

    async def close(self) -> None:
        await self.delivery.close()
        await self.http.aclose()
        await self.to_bot.aclose()


def button(action_id: str, label: str = "Press", **more: Any) -> Json:
    return {"type": "button", "action_id": action_id, "text": {"type": "plain_text", "text": label}, **more}


def actions(*elements: Json, block_id: str = "buttons") -> Json:
    return {"type": "actions", "block_id": block_id, "elements": list(elements)}


def section(text: str, **more: Any) -> Json:
    return {"type": "section", "text": {"type": "mrkdwn", "text": text}, **more}


def option(text: str, value: str) -> Json:
    return {"text": {"type": "plain_text", "text": text}, "value": value}


def field(block_id: str, label: str, element: Json, **more: Any) -> Json:
    return {
        "type": "input", "block_id": block_id, "label": {"type": "plain_text", "text": label}, "element": element, **more
    }  # fmt: skip


def modal(*blocks: Json, callback_id: str = "form", **more: Any) -> Json:
    return {
        "type": "modal", "callback_id": callback_id, "title": {"type": "plain_text", "text": "A form"},
        "submit": {"type": "plain_text", "text": "Save"}, "close": {"type": "plain_text", "text": "Cancel"},
        "blocks": list(blocks), **more,
    }  # fmt: skip
