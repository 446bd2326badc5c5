"""The local Slack over HTTP: the Web API, response URLs, uploads, OAuth, Socket Mode, and the requests of the page."""

import asyncio
import base64
import contextlib
import json
import logging
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from email.parser import BytesParser
from email.policy import HTTP
from urllib.parse import parse_qsl, urlencode

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.types import ASGIApp
from starlette.websockets import WebSocket

from playground.dropped import DropConnections, Dropped
from playground.slack import posting
from playground.slack.api import call
from playground.slack.delivery import Delivery
from playground.slack.model import Json, Message, SlackError
from playground.slack.user_actions import UserActions
from playground.slack.workspace import Workspace

LONGEST_BODY = 5 * 1024 * 1024
SHOWN_MESSAGES = 300
KEEP_ALIVE_SECONDS = 15.0

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Call:
    """One Web API call the bot made, in the order received. `error` is Slack's refusal, or empty."""

    method: str
    args: Json
    error: str = ""


@dataclass(slots=True, kw_only=True)
class Fault:
    """A fault that is switched on for the next `count` calls of a method, or of any when it is empty.

    429, 500, slow (`seconds`), drop (the connection ends without an answer; with `after` the call has taken
    effect all the same), error (`error` is answered with ok: false).
    """

    kind: str
    method: str = ""
    count: int = 1
    retry_after: int = 1
    seconds: float = 5.0
    after: bool = False
    error: str = "internal_error"


@dataclass(slots=True)
class Faults:
    """The faults that are switched on."""

    active: list[Fault] = field(default_factory=list)

    def take(self, method: str) -> Fault | None:
        """Return the fault that a call of this method gets, and count it."""
        for fault in self.active:
            if fault.method in ("", method):
                fault.count -= 1
                if fault.count <= 0:
                    self.active.remove(fault)
                return fault
        return None


class SlackApp:
    """The local Slack as an ASGI application's routes, with what tests and the page need."""

    def __init__(
        self,
        workspace: Workspace,
        delivery: Delivery,
        *,
        bot_token: str,
        app_token: str,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.workspace = workspace
        self.delivery = delivery
        self.user_actions = UserActions(workspace, delivery)
        self.calls: list[Call] = []
        self.faults = Faults()
        self._bot_token = bot_token
        self._app_token = app_token
        self._tickets: set[str] = set()
        self._sleep = sleep

    @property
    def routes(self) -> list[BaseRoute]:
        """Every route of the local Slack."""
        return [
            Route("/api/{method:path}", self._api, methods=["GET", "POST"]),
            Route("/response/{kind}/{key:path}", self._response_url, methods=["POST"]),
            Route("/upload/{file}", self._upload, methods=["POST", "PUT"]),
            Route("/files/{file}/{name:path}", self._file),
            Route("/oauth/v2/authorize", self._authorize),
            Route("/archives/{channel}/{mark}", self._permalink),
            WebSocketRoute("/socket", self._socket),
            Route("/control/slack/fault", self._fault, methods=["POST"]),
            Route("/control/slack/faults", self._clear_faults, methods=["DELETE"]),
            Route("/control/slack/disconnect", self._disconnect, methods=["POST"]),
            Route("/ui/state", self._state),
            Route("/ui/stream", self._stream),
            Route("/ui/calls", self._calls),
            Route("/ui/{act}", self._act, methods=["POST"]),
        ]

    # The Web API

    async def _api(self, request: Request) -> Response:
        method = request.path_params["method"]
        try:
            args = await _arguments(request)
        except (ValueError, TypeError):
            return JSONResponse({"ok": False, "error": "invalid_json"})
        token = args.pop("token", None) or request.headers.get("authorization", "").removeprefix("Bearer ").strip()
        fault = self.faults.take(method)
        if fault:
            match fault.kind:
                case "429":
                    self.calls.append(Call(method, args, "ratelimited"))
                    refused = {"ok": False, "error": "ratelimited"}
                    return JSONResponse(refused, 429, headers={"Retry-After": str(fault.retry_after)})
                case "500":
                    self.calls.append(Call(method, args, "500"))
                    return PlainTextResponse("Internal Server Error", 500)
                case "slow":
                    await self._sleep(fault.seconds)
                case "drop" if not fault.after:
                    self.calls.append(Call(method, args, "dropped"))
                    return Dropped()
                case "error":
                    self.calls.append(Call(method, args, fault.error))
                    return JSONResponse({"ok": False, "error": fault.error})
                case _:
                    pass
        posting.post_due(self.workspace)
        try:
            answer: Json = {"ok": True, **self._answered(request, method, str(token), args)}
        except SlackError as exc:
            self.calls.append(Call(method, args, exc.code))
            answer = {"ok": False, "error": exc.code, **exc.more}
        else:
            self.calls.append(Call(method, args))
        del self.calls[:-5000]
        if fault and fault.kind == "drop":
            return Dropped()
        return JSONResponse(answer, headers={"X-OAuth-Scopes": ",".join(sorted(self.workspace.scopes))})

    def _answered(self, request: Request, method: str, token: str, args: Json) -> Json:
        if method == "oauth.v2.access":
            return self._oauth_access(args | _client_of(request))
        if method in ("api.test", "blocks.validate"):
            return call(self.workspace, method, args)
        if not token:
            raise SlackError("not_authed")
        if method == "apps.connections.open":
            return self._open_socket(request, token)
        if token != self._bot_token:
            raise SlackError("not_allowed_token_type" if token == self._app_token else "invalid_auth")
        if not self.workspace.installed:
            raise SlackError("token_revoked")
        return call(self.workspace, method, args)

    def _oauth_access(self, args: Json) -> Json:
        code = str(args.get("code") or "")
        if not args.get("client_id") or not args.get("client_secret"):
            raise SlackError("invalid_client_id")
        if code not in self.workspace.oauth_codes:
            raise SlackError("invalid_code")
        self.workspace.oauth_codes.discard(code)
        slack = self.workspace
        slack.installed = True
        slack.touch()
        installer = next(user for user in slack.users.values() if user.is_owner)
        return {
            "access_token": self._bot_token,
            "token_type": "bot",
            "scope": ",".join(sorted(slack.scopes)),
            "bot_user_id": slack.bot_user,
            "app_id": slack.app_id,
            "team": {"id": slack.team_id, "name": slack.team_name},
            "enterprise": None,
            "is_enterprise_install": False,
            "authed_user": {"id": installer.id},
        }

    def _open_socket(self, request: Request, token: str) -> Json:
        if not self._app_token or token != self._app_token:
            raise SlackError("invalid_auth" if token != self._bot_token else "not_allowed_token_type")
        ticket = secrets.token_urlsafe(16)
        self._tickets.add(ticket)
        return {"url": f"ws://{request.url.netloc}/socket?ticket={ticket}&app_id={self.workspace.app_id}"}

    async def _socket(self, socket: WebSocket) -> None:
        ticket = socket.query_params.get("ticket", "")
        if ticket not in self._tickets:
            await socket.close(4001)
            return
        self._tickets.discard(ticket)
        await self.delivery.socket(socket)

    async def _disconnect(self, request: Request) -> Response:
        given = await _json(request)
        await self.delivery.disconnect(str(given.get("reason") or "refresh_requested"))
        return JSONResponse({"ok": True})

    # Response URLs, files, OAuth's page, permalinks

    async def _response_url(self, request: Request) -> Response:
        try:
            args = await _json(request)
        except (ValueError, TypeError):
            return PlainTextResponse("invalid_payload", 400)
        method = "response_url"
        fault = self.faults.take(method)
        if fault and fault.kind in ("429", "500"):
            self.calls.append(Call(method, args, fault.kind))
            return PlainTextResponse("rate_limited" if fault.kind == "429" else "error", int(fault.kind))
        try:
            url = posting.spend(self.workspace, request.path_params["key"])
            posting.answer(self.workspace, url, args, method)
        except SlackError as exc:
            self.calls.append(Call(method, args, exc.code))
            gone = exc.code in ("invalid_url", "expired_url", "used_url")
            if gone:
                return JSONResponse({"ok": False, "error": exc.code}, 404)
            return PlainTextResponse(exc.code, 400)
        self.calls.append(Call(method, args))
        return PlainTextResponse("ok")

    async def _upload(self, request: Request) -> Response:
        upload = self.workspace.uploads.get(request.path_params["file"])
        if upload is None:
            return PlainTextResponse("file_not_found", 404)
        content = await _body(request)
        if request.headers.get("content-type", "").startswith("multipart/form-data"):
            content = next((part for part in _parts(request, content).values()), b"")
        if len(content) != upload.length:
            return PlainTextResponse("length mismatch", 400)
        upload.content = content
        return PlainTextResponse(f"OK - {len(content)}")

    async def _file(self, request: Request) -> Response:
        upload = self.workspace.uploads.get(request.path_params["file"])
        if upload is None or upload.content is None:
            return PlainTextResponse("file_not_found", 404)
        kind = "image/png" if upload.name.endswith(".png") else "text/plain; charset=utf-8"
        return Response(upload.content, media_type=kind, headers={"X-Content-Type-Options": "nosniff"})

    async def _authorize(self, request: Request) -> Response:
        back = request.query_params.get("redirect_uri", "")
        if not back.startswith(("http://127.0.0.1", "http://localhost")):
            return PlainTextResponse("redirect_uri must be on this machine", 400)
        code = secrets.token_urlsafe(16)
        self.workspace.oauth_codes.add(code)
        query = urlencode({"code": code, "state": request.query_params.get("state", "")})
        return RedirectResponse(f"{back}{'&' if '?' in back else '?'}{query}", 302)

    async def _permalink(self, request: Request) -> Response:
        channel, mark = request.path_params["channel"], request.path_params["mark"].removeprefix("p")
        return RedirectResponse(f"/#/{channel}/{mark[:-6]}.{mark[-6:]}", 302)

    # Faults

    async def _fault(self, request: Request) -> Response:
        try:
            body = await _json(request)
        except (ValueError, TypeError):
            body = {}
        kinds = ("429", "500", "slow", "drop", "error")
        if str(body.get("kind")) not in kinds:
            return JSONResponse({"ok": False, "error": f"kind is one of {', '.join(kinds)}"}, 400)
        values = {name: body[name] for name in Fault.__slots__ if name in body}
        self.faults.active.append(Fault(**{**values, "kind": str(body["kind"])}))
        self.workspace.touch()
        return JSONResponse({"ok": True})

    async def _clear_faults(self, _request: Request) -> Response:
        self.faults.active.clear()
        self.workspace.touch()
        return JSONResponse({"ok": True})

    # The page

    async def _act(self, request: Request) -> Response:
        acts: Mapping[str, Callable[..., Awaitable[Json]]] = {
            "command": self.user_actions.command,
            "message": self.user_actions.message,
            "action": self.user_actions.action,
            "options": self.user_actions.options,
            "shortcut": self.user_actions.shortcut,
            "submit": self.user_actions.submit,
            "close": self.user_actions.close,
            "home": self.user_actions.home,
            "reaction": self.user_actions.reaction,
            "channel": self.user_actions.channel,
            "uninstall": self.user_actions.uninstall,
        }
        act = acts.get(request.path_params["act"])
        if act is None:
            raise HTTPException(404)
        origin = request.headers.get("origin")
        if origin and origin.split("//")[-1] != request.headers.get("host"):
            # Another site's page must not click in here.
            raise HTTPException(403)
        try:
            answer = await act(**await _json(request))
        except SlackError as exc:
            return JSONResponse({"ok": False, "error": exc.code}, 400)
        except (ValueError, TypeError) as exc:
            return JSONResponse({"ok": False, "error": f"invalid_arguments: {exc}"}, 400)
        return JSONResponse(answer)

    async def _calls(self, request: Request) -> Response:
        last = int(request.query_params.get("last", "100"))
        calls = [{"method": it.method, "args": it.args, "error": it.error} for it in self.calls[-last:]]
        return JSONResponse({"calls": calls, "sent": self.delivery.sent[-last:]})

    async def _state(self, request: Request) -> Response:
        posting.post_due(self.workspace)
        user = request.query_params.get("user") or next(iter(self.workspace.users))
        if user not in self.workspace.users:
            return JSONResponse({"ok": False, "error": "user_not_found"}, 404)
        return JSONResponse(self.state(user))

    def state(self, user: str) -> Json:
        """Return everything one person sees."""
        slack = self.workspace
        channels = [it for it in slack.channels.values() if user in it.members]
        return {
            "version": slack.version,
            "now": slack.now(),
            "team": {"id": slack.team_id, "name": slack.team_name},
            "me": user,
            "bot": slack.bot_user,
            "installed": slack.installed,
            "socket_mode": self.delivery.socket_mode,
            "bot_url": self.delivery.bot_url,
            "faults": [{name: getattr(it, name) for name in Fault.__slots__} for it in self.faults.active],
            "commands": [
                {"command": it["command"], "description": it.get("description", ""), "usage_hint": it.get("usage_hint", "")}
                for it in slack.commands
            ],
            "shortcuts": slack.shortcuts,
            "users": [
                {
                    "id": it.id, "name": it.name, "real_name": it.real_name, "initials": it.initials, "color": it.color,
                    "email": it.email, "tz": it.tz, "tz_label": it.tz_label, "is_bot": it.is_bot, "is_admin": it.is_admin,
                }
                for it in slack.users.values()
            ],
            "usergroups": [{"id": key, **it} for key, it in slack.usergroups.items()],
            "channels": [
                {
                    "id": it.id, "name": it.name, "is_private": it.is_private, "is_archived": it.is_archived,
                    "is_im": it.is_im, "topic": it.topic, "members": sorted(it.members),
                    "has_bot": slack.bot_user in it.members,
                }
                for it in channels
            ],
            "messages": {it.id: [self._shown(m) for m in self._visible(it.id, user)] for it in channels},
            "views": [slack.view_json(view) for view in slack.views.get(user, [])],
            "home": slack.view_json(slack.homes[user]) if user in slack.homes else None,
        }  # fmt: skip

    def _visible(self, channel: str, user: str) -> list[Message]:
        listed = [it for it in self.workspace.listed(channel) if it.ephemeral_to in ("", user)]
        return listed[-SHOWN_MESSAGES:]

    def _shown(self, message: Message) -> Json:
        return {
            **self.workspace.message_json(message, metadata=True),
            "is_root": message.is_root,
            "broadcast": message.broadcast,
            "icon_emoji": message.icon_emoji,
            "sent": message.sent,
        }

    async def _stream(self, _request: Request) -> Response:
        async def versions() -> AsyncIterator[str]:
            event = self.workspace.watch()
            try:
                while not self.workspace.closed:
                    event.clear()
                    yield f"data: {self.workspace.version}\n\n"
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(event.wait(), KEEP_ALIVE_SECONDS)
            finally:
                self.workspace.unwatch(event)

        return StreamingResponse(versions(), media_type="text/event-stream", headers={"Cache-Control": "no-store"})


async def _body(request: Request) -> bytes:
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > LONGEST_BODY:
            raise HTTPException(413)
    return body


async def _json(request: Request) -> Json:
    document = json.loads(await _body(request) or b"{}")
    if not isinstance(document, dict):
        raise TypeError("an object is needed")
    return document


def _parts(request: Request, body: bytes) -> dict[str, bytes]:
    """Return the parts of a multipart form by name."""
    head = f"Content-Type: {request.headers['content-type']}\r\n\r\n".encode()
    whole = BytesParser(policy=HTTP).parsebytes(head + body)
    parts: dict[str, bytes] = {}
    for part in whole.iter_parts():
        name, content = part.get_param("name", header="content-disposition"), part.get_payload(decode=True)
        if isinstance(name, str) and isinstance(content, bytes):
            parts[name] = content
    return parts


def _client_of(request: Request) -> Json:
    """Return the app's id and secret where they come as basic credentials, as Slack's own clients send them."""
    kind, _, coded = request.headers.get("authorization", "").partition(" ")
    if kind.lower() != "basic":
        return {}
    try:
        client_id, _, client_secret = base64.b64decode(coded, validate=True).decode().partition(":")
    except (ValueError, UnicodeDecodeError):
        return {}
    return {"client_id": client_id, "client_secret": client_secret}


async def _arguments(request: Request) -> Json:
    """Return a call's arguments from the query and a form or JSON body; JSON inside a form field is read."""
    arguments: Json = dict(request.query_params)
    kind = request.headers.get("content-type", "")
    if kind.startswith("application/json"):
        arguments |= await _json(request)
        return arguments
    body = await _body(request)
    if kind.startswith("application/x-www-form-urlencoded"):
        arguments |= dict(parse_qsl(body.decode(), keep_blank_values=True))
    elif kind.startswith("multipart/form-data"):
        arguments |= {name: part.decode() for name, part in _parts(request, body).items()}
    for name in ("blocks", "attachments", "metadata", "view", "unfurls", "files", "message"):
        if isinstance(arguments.get(name), str) and arguments[name]:
            arguments[name] = json.loads(arguments[name])
    return arguments


def slack_app(
    slack: SlackApp, *, also: list[BaseRoute] | None = None, around: Callable[[ASGIApp], ASGIApp] | None = None
) -> ASGIApp:
    """Return an ASGI application of the local Slack and whatever else is to be served beside it, wrapped by `around`."""
    app: ASGIApp = Starlette(routes=[*slack.routes, *(also or [])])
    return DropConnections(around(app) if around else app)
