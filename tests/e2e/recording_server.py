"""A CI system that answers from a table and keeps every request, body and headers with it."""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote

from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """A request as it came over the wire; the path is below the server's root and decoded."""

    method: str
    path: str
    query: tuple[tuple[str, str], ...]
    headers: Mapping[str, str]
    body: bytes

    @property
    def line(self) -> str:
        """Return the request as one line: `GET /v2/builds?state[]=failed`."""
        query = "&".join(f"{name}={value}" for name, value in self.query)
        return f"{self.method} {self.path}{'?' if query else ''}{query}"

    @property
    def json(self) -> Any:
        """Return the body as JSON, None where there is none."""
        return json.loads(self.body) if self.body else None


Reply = Callable[[Sent], object] | object
"""A body, a `Response`, or what makes one of a request. A tuple is (status, body)."""


@dataclass
class RecordingServer:
    """Answers each request by the first route that fits, 404 where none does."""

    routes: list[tuple[str, re.Pattern[str], Reply]] = field(default_factory=list)
    sent: list[Sent] = field(default_factory=list)

    def on(self, method: str, path: str, reply: Reply) -> None:
        """Answer requests whose whole path fits a pattern; a later route goes before an earlier one."""
        self.routes.insert(0, (method, re.compile(path), reply))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            return
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        raw = scope["raw_path"].decode().partition("?")[0]
        sent = Sent(
            method=scope["method"],
            path=unquote(raw)[len(scope.get("root_path", "")) :],
            query=tuple(parse_qsl(scope["query_string"].decode(), keep_blank_values=True)),
            headers={name.decode(): value.decode() for name, value in scope["headers"]},
            body=body,
        )
        self.sent.append(sent)
        await self._response(sent)(scope, receive, send)

    def _response(self, sent: Sent) -> Response:
        for method, path, reply in self.routes:
            if method == sent.method and path.fullmatch(sent.path):
                made = reply(sent) if callable(reply) and not isinstance(reply, Response) else reply
                status, body = made if isinstance(made, tuple) else (200, made)
                return body if isinstance(body, Response) else JSONResponse(body, status)
        return JSONResponse({"message": "There is nothing here."}, 404)
