"""The port: requests that never end, bodies that are too large, many connections."""

import asyncio
import resource
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from bot.web import bodies
from bot.web.bodies import RefusedBodyError, read_body
from bot.web.server import GuardedProtocol, HalfOpen, make_server, raise_file_limit

Pair = tuple[asyncio.StreamReader, asyncio.StreamWriter]
CAP = 1000


async def take(request: Request) -> Response:
    try:
        body = await read_body(request, CAP, seconds=0.3)
    except RefusedBodyError as refused:
        return refused.response
    return PlainTextResponse(f"{len(body)} bytes")


class Port:
    """A served app, and raw connections to it."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.opened: list[asyncio.StreamWriter] = []

    async def open(self, sent: bytes = b"") -> Pair:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        self.opened.append(writer)
        writer.write(sent)
        return reader, writer

    async def ask(self, sent: bytes) -> bytes:
        """Send bytes and return all that comes until the other side closes."""
        reader, _writer = await self.open(sent)
        async with asyncio.timeout(10):
            return await reader.read()


@asynccontextmanager
async def served() -> AsyncIterator[Port]:
    ready: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    app = Starlette(routes=[Route("/", take, methods=["POST"])])
    server = make_server(app, host="127.0.0.1", port=0, ready=ready.set_result)
    serving = asyncio.ensure_future(server._serve())
    port = Port(await ready)
    try:
        yield port
    finally:
        for writer in port.opened:
            writer.close()
        server.should_exit = True
        await serving


def post(body: bytes, length: int | None = None, *, headers: str = "") -> bytes:
    head = f"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body) if length is None else length}\r\n{headers}\r\n"
    return head.encode() + body


CLOSE = "connection: close\r\n"


async def test_half_a_head_is_closed_after_its_time_and_a_whole_one_is_answered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(GuardedProtocol, "header_seconds", 0.2)
    async with served() as port:
        silent, _ = await port.open()
        half, _ = await port.open(b"POST / HTTP/1.1\r\nhost:")
        assert b"3 bytes" in await port.ask(post(b"abc", headers=CLOSE))
        async with asyncio.timeout(10):
            assert await silent.read() == await half.read() == b""
    assert len(GuardedProtocol.half_open) == 0


async def test_the_second_request_of_a_connection_has_a_deadline_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(GuardedProtocol, "header_seconds", 0.2)
    async with served() as port:
        reader, writer = await port.open(post(b"abc"))
        async with asyncio.timeout(10):
            assert b"200 OK" in await reader.readuntil(b"3 bytes")
            writer.write(b"POST / HT")
            assert await reader.read() == b""


async def test_a_body_that_does_not_come_is_answered_and_closed() -> None:
    async with served() as port:
        answer = await port.ask(post(b"abc", length=10))
        assert answer.startswith(b"HTTP/1.1 408")


@pytest.mark.parametrize("headers", ["", CLOSE])
async def test_who_sends_too_much_is_refused_once_a_bounded_rest_is_read(headers: str) -> None:
    async with served() as port:
        reader, _writer = await port.open(post(b"a" * 5_000_000, headers=headers))
        async with asyncio.timeout(10):
            assert (await reader.readline()).startswith(b"HTTP/1.1 413")


async def test_who_never_stops_sending_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "REST_BYTES", 10_000)
    chunks = [CAP, 4_000, 4_000, 4_000, 4_000]
    left = iter(chunks)

    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": b"a" * next(left), "more_body": True}

    request = Request({"type": "http", "method": "POST", "headers": []}, receive)
    with pytest.raises(RefusedBodyError) as refused:
        await read_body(request, CAP)
    assert refused.value.response.status_code == 413
    assert next(left) == 4_000


async def test_half_open_connections_of_one_address_push_out_each_other_and_nobody_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(GuardedProtocol, "half_open", HalfOpen(most=3))
    async with served() as port:
        pairs = [await port.open(b"POST") for _number in range(6)]
        async with asyncio.timeout(10):
            for reader, _writer in pairs[:3]:
                assert await reader.read() == b""
        assert b"3 bytes" in await port.ask(post(b"abc", headers=CLOSE))


async def test_a_thousand_half_open_requests_leave_others_answered() -> None:
    raise_file_limit()
    async with served() as port:
        for _number in range(1_000):
            await port.open(b"POST / HTTP/1.1\r\n")
        assert b"3 bytes" in await port.ask(post(b"abc", headers=CLOSE))


def test_half_open_connections_are_counted_by_address() -> None:
    waiting = HalfOpen(most=2)
    assert [waiting.add("a", number) for number in range(2)] == [None, None]
    assert waiting.add("b", 9) is None
    assert waiting.add("a", 2) == 0
    for address, connection in (("a", 0), ("a", 0), ("a", 1), ("a", 2), ("b", 9), ("c", 1)):
        waiting.discard(address, connection)
    assert len(waiting) == 0


def test_the_limit_of_open_files_is_raised_as_far_as_it_may_be() -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(512, before[1]), before[1]))
        assert raise_file_limit(600) == resource.getrlimit(resource.RLIMIT_NOFILE)[0] == min(600, before[1])
        assert raise_file_limit(100) == min(600, before[1])
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
