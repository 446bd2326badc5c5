"""The HTTP server: uvicorn, guarded against requests that never end and against running out of files."""

import asyncio
import contextlib
import logging
import resource
import signal
import socket
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any

import uvicorn
from starlette.types import ASGIApp
from typing_extensions import override
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import HANDLED_SIGNALS

log = logging.getLogger(__name__)

BACKLOG = 2048
STOP_SECONDS = 10
HEADER_SECONDS = 10.0
HALF_OPEN_FOR_AN_ADDRESS = 200
OPEN_FILES = 65_536


class HalfOpen:
    """The connections that have not brought the head of a request yet, by the address they come from."""

    def __init__(self, most: int = HALF_OPEN_FOR_AN_ADDRESS) -> None:
        self._most = most
        self._by_address: dict[str, dict[Any, None]] = defaultdict(dict)

    def __len__(self) -> int:
        """Return how many there are."""
        return sum(len(waiting) for waiting in self._by_address.values())

    def add(self, address: str, connection: Any) -> Any | None:
        """Count a connection; return the oldest of its address where there are too many: that one has to go."""
        waiting = self._by_address[address]
        waiting[connection] = None
        return next(iter(waiting)) if len(waiting) > self._most else None

    def discard(self, address: str, connection: Any) -> None:
        """Count a connection no more."""
        waiting = self._by_address.get(address)
        if waiting is not None:
            waiting.pop(connection, None)
            if not waiting:
                del self._by_address[address]


class GuardedProtocol(HttpToolsProtocol):
    """uvicorn's protocol with a deadline for the head of each request, and a cap on those that wait for theirs."""

    half_open = HalfOpen()
    header_seconds = HEADER_SECONDS
    _deadline: asyncio.TimerHandle | None = None
    _is_head_open = False

    @override
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn has it
        super().connection_made(transport)
        self._await_head()

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._head_came()
        super().connection_lost(exc)

    @override
    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._is_head_open and self._deadline is None:  # most heads come in one piece, and need no deadline
            self._await_head()

    @override
    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._is_head_open = True

    @override
    def on_headers_complete(self) -> None:
        self._is_head_open = False
        self._head_came()
        super().on_headers_complete()

    def _await_head(self) -> None:
        self._deadline = self.loop.call_later(self.header_seconds, self.give_up)
        oldest = self.half_open.add(self._address, self)
        if oldest is not None:
            oldest.give_up()

    def _head_came(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
            self.half_open.discard(self._address, self)

    def give_up(self) -> None:
        """Close a connection whose request has not come."""
        self._head_came()
        self.transport.close()

    @property
    def _address(self) -> str:
        return self.client[0] if self.client else ""


class Server(uvicorn.Server):
    """uvicorn that reports the port once it listens, and returns at a signal to stop."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[int], None]) -> None:
        super().__init__(config)
        self._ready = ready

    @override
    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        for server in self.servers:
            for listening in server.sockets:
                self._ready(listening.getsockname()[1])
                return

    @override
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stop serving at a signal; the caller drains what was acknowledged.

        uvicorn raises the signal again once it has stopped, which ends the process there and then.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        handlers = {number: signal.signal(number, self.handle_exit) for number in HANDLED_SIGNALS}
        try:
            yield
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)


def make_server(app: ASGIApp, *, host: str, port: int, ready: Callable[[int], None]) -> Server:
    """Return a server for an app, not started; `ready` is called with its port once it listens."""
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        http=GuardedProtocol,
        backlog=BACKLOG,
        log_config=None,
        access_log=False,
        lifespan="off",
        server_header=False,
        timeout_graceful_shutdown=STOP_SECONDS,
    )
    return Server(config, ready)


def raise_file_limit(target: int = OPEN_FILES) -> int:
    """Raise how many files (and so connections) the process may have open, as far as it may; return the limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = target if hard == resource.RLIM_INFINITY else min(target, hard)
    if soft != resource.RLIM_INFINITY and soft < limit:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
        except (OSError, ValueError) as exc:
            log.warning("the limit of open files can't be raised", extra={"limit": soft, "why": str(exc)})
            return soft
        return limit
    return soft
