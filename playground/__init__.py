"""A local Slack and local CI systems for `buildbell demo`; imports nothing of the bot."""

import asyncio
import contextlib
import logging
import socket
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp
from typing_extensions import override

from playground.clock import Clock
from playground.slack import Call, Delivery, SlackApp, UserActions, Workspace, slack_app
from playground.slack.delivery import RETRY_DELAYS

PAGE = Path(__file__).parent / "page" / "dist"
SHUTDOWN_SECONDS = 5.0

logger = logging.getLogger(__name__)


class _Server(uvicorn.Server):
    """uvicorn inside a loop that has its own way to end."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.up = asyncio.Event()

    @override
    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.up.set()

    @override
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@dataclass(frozen=True, kw_only=True)
class Network:
    """How the playground and the bot reach each other.

    `around` wraps what is served, `transport` carries what goes to the bot, and `retry_delays` are the seconds between
    the deliveries of an event that the bot did not acknowledge.
    """

    around: Callable[[ASGIApp], ASGIApp] | None = None
    transport: httpx.AsyncBaseTransport | None = None
    retry_delays: tuple[float, ...] = RETRY_DELAYS


RELIABLE = Network()


class Playground:
    """The local Slack, its page and, when given, the local CI systems, on one port of this machine.

    `bot_url` may be set later, once the bot listens. `manifest` is the app's manifest: the local Slack offers its
    commands and shortcuts, sends the events and grants the scopes that it names, and the usual ones without it.
    `clock` is to be the one of the local CI systems; give the bot its `utc`. Port 0 takes a free one.

    `network` replaces the wires, for tests of unreliable ones.
    """

    def __init__(
        self,
        *,
        bot_url: str,
        signing_secret: str,
        bot_token: str,
        app_token: str = "",
        host: str = "127.0.0.1",
        port: int = 0,
        ci_app: Starlette | None = None,
        manifest: Mapping[str, Any] | None = None,
        clock: Clock | None = None,
        page: Path = PAGE,
        network: Network = RELIABLE,
    ) -> None:
        self.clock = clock or Clock()
        self.workspace = Workspace(manifest=manifest, now=self.clock)
        self.clock.on_advance.append(self.workspace.touch)
        self._client = httpx.AsyncClient(trust_env=False, transport=network.transport)
        self._delivery = Delivery(
            self.workspace,
            bot_url=bot_url,
            signing_secret=signing_secret,
            client=self._client,
            retry_delays=network.retry_delays,
        )
        self.slack = SlackApp(self.workspace, self._delivery, bot_token=bot_token, app_token=app_token)
        self._host = host
        self._port = port
        self._ci_app = ci_app
        self._page = page
        self._around = network.around
        self._server: _Server | None = None
        self._serving: asyncio.Task[None] | None = None
        self._stack = contextlib.AsyncExitStack()

    @property
    def bot_url(self) -> str:
        """Where the bot listens, without /slack/events."""
        return self._delivery.bot_url

    @bot_url.setter
    def bot_url(self, url: str) -> None:
        self._delivery.bot_url = url

    @property
    def calls(self) -> list[Call]:
        """Every Web API call and answer to a response URL so far, oldest first."""
        return self.slack.calls

    @property
    def user_actions(self) -> UserActions:
        """What the people at the page can do, without the page."""
        return self.slack.user_actions

    @property
    def address(self) -> str:
        """Where the playground is served, without a slash at the end."""
        return f"http://{self._host}:{self._port}"

    @property
    def slack_api_url(self) -> str:
        """What the bot takes for Slack's Web API."""
        return f"{self.address}/api/"

    async def start(self) -> None:
        """Serve until `stop`, in the running loop. Raises OSError when the port is taken."""
        if self._ci_app is not None:
            await self._stack.enter_async_context(self._ci_app.router.lifespan_context(self._ci_app))
        # With the protocol named, asyncio sets TCP_NODELAY; without it every answer waits 40 ms.
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        self._stack.callback(listener.close)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((self._host, self._port))
        self._port = listener.getsockname()[1]
        self.workspace.base_url = self.address
        config = uvicorn.Config(
            slack_app(self.slack, also=self._routes(), around=self._around),
            log_config=None,
            log_level="warning",
            access_log=False,
            lifespan="off",
            proxy_headers=False,
            server_header=False,
            timeout_graceful_shutdown=1,
            ws="websockets-sansio",
        )
        self._server = _Server(config)
        self._serving = asyncio.create_task(self._server.serve(sockets=[listener]))
        await self._server.up.wait()

    async def stop(self) -> None:
        """Close the pages' streams and the sockets, and end the server."""
        self.workspace.close()
        await self._delivery.close()
        if self._server is not None and self._serving is not None:
            self._server.should_exit = True
            await asyncio.wait_for(self._serving, SHUTDOWN_SECONDS)
        await self._client.aclose()
        await self._stack.aclose()

    def _routes(self) -> list[BaseRoute]:
        routes: list[BaseRoute] = [Route("/", self._index)]
        if (assets := self._page / "assets").is_dir():
            routes.append(Mount("/assets", StaticFiles(directory=assets)))
        if self._ci_app is not None:
            routes.append(Mount("/", self._ci_app))
        return routes

    async def _index(self, _request: Request) -> Response:
        index = self._page / "index.html"
        if index.is_file():
            return FileResponse(index, headers={"Cache-Control": "no-store"})
        return HTMLResponse(
            "<!doctype html><html lang=en><title>Playground</title><h1>The page is not built yet</h1>"
            "<p>Run <code>make setup</code> and reload. The local Slack itself is already at work.</p></html>"
        )
