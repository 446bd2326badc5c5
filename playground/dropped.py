"""Connections that end without an answer: the faults "Dropped connections" of the local Slack and CI systems."""

import contextlib
from typing import Any

from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send
from typing_extensions import override

ABORT = "playground.abort"


class Dropped(Response):
    """Close the connection instead of answering.

    Needs `DropConnections` around the application. Where the server is none of uvicorn's, as in tests within one
    process, it raises ConnectionResetError.
    """

    @override
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Abort the connection and return once it is gone, so that the server finds nothing amiss."""
        abort = scope.get(ABORT)
        if abort is None:
            raise ConnectionResetError("The playground was asked to drop this connection.")
        abort()
        with contextlib.suppress(ClientDisconnect):
            while (await receive())["type"] != "http.disconnect":
                pass


class DropConnections:
    """The outermost layer of an application with `Dropped` answers: tells them how to abort the TCP connection.

    ASGI has no message for this; uvicorn's `send` is a method of an object that holds the transport.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        cycle: Any = getattr(send, "__self__", None)
        transport = getattr(cycle, "transport", None)
        if scope["type"] == "http" and transport is not None:
            scope[ABORT] = transport.abort
        await self._app(scope, receive, send)
