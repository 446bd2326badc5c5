"""The transport on real sockets of this machine. Timeouts are a few hundredths of a second."""

import asyncio
import datetime as dt
import errno
import gc
import gzip
import ipaddress
import random
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

import bot.http.transport
from bot.core.errors import Unavailable
from bot.http.client import ApiClient
from bot.http.transport import CHUNK_BYTES, Network, Transport

SHORT = 0.05
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Server:
    """What a listening socket has seen."""

    def __init__(self) -> None:
        self.port = 0
        self.connections = 0
        self.heads: list[bytes] = []
        self.tasks: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@asynccontextmanager
async def serving(talk: Talk, context: ssl.SSLContext | None = None) -> AsyncIterator[Server]:
    """Run `talk` for each connection on a free port; end all of it at the end."""
    server = Server()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server.connections += 1
        task = asyncio.current_task()
        assert task is not None
        server.tasks.add(task)
        try:
            await talk(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            server.tasks.discard(task)
            writer.close()
            with suppress(ConnectionError, ssl.SSLError):
                await writer.wait_closed()

    listening = await asyncio.start_server(handle, "127.0.0.1", 0, ssl=context)
    server.port = listening.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listening.close()
        left = list(server.tasks)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        await listening.wait_closed()


async def head(reader: asyncio.StreamReader) -> bytes:
    return await reader.readuntil(b"\r\n\r\n")


def always(answer: bytes, heads: list[bytes] | None = None) -> Talk:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            got = await head(reader)
            if heads is not None:
                heads.append(got)
            writer.write(answer)
            await writer.drain()

    return talk


def once(answer: bytes, *, reset: bool = False) -> Talk:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await head(reader)
        writer.write(answer)
        await writer.drain()
        if reset:
            sock = writer.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()

    return talk


async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await asyncio.Event().wait()


@pytest.fixture
async def network() -> AsyncIterator[Network]:
    async with Network() as made:
        yield made


@pytest.fixture
async def client(network: Network) -> AsyncIterator[httpx.AsyncClient]:
    async with network.client(private=True) as made:
        yield made


# the same bytes


@pytest.mark.parametrize(
    "target",
    [
        "/projects/group%2Fproject/x",
        "/job/a/job/feature%252Fx/",
        "/a%20b+c/%C3%A9",
        "/[x]/(y)/a:b@c;d=e,f!$&'*~",
        "/p?ref=feature%2Fx&q=a+b&q=c%20d&[z]=1",
        "/p?filter[product]=1&sort=-number",
        "/p?a=%26%3D&empty=",
        "/%7Bcurly%7D//double",
        "",
    ],
)
async def test_addresses_reach_the_wire_as_httpx_spells_them(client: httpx.AsyncClient, target: str) -> None:
    heads: list[bytes] = []
    async with serving(always(OK, heads)) as server:
        await client.get(server.url + target)
        async with httpx.AsyncClient(trust_env=False) as plain:
            await plain.get(server.url + target, headers={"User-Agent": client.headers["User-Agent"]})
    ours, theirs = heads
    assert ours == theirs
    assert ours.startswith(b"GET " + (target or "/").encode() + b" HTTP/1.1\r\n")


async def test_no_header_is_added_that_was_not_asked_for(network: Network) -> None:
    heads: list[bytes] = []
    async with serving(always(OK, heads)) as server:
        request = httpx.Request("POST", server.url, headers={"X-Case": "Kept", "Cookie": "a=1"}, content=b"")
        response = await network.transport(private=True).handle_async_request(request)
        await response.aclose()
    lines = heads[0].decode().split("\r\n")
    assert sorted(filter(None, lines)) == [
        "Content-Length: 0",
        "Cookie: a=1",
        f"Host: 127.0.0.1:{server.port}",
        "POST / HTTP/1.1",
        "X-Case: Kept",
    ]


async def test_clients_say_who_they_are_and_keep_no_cookies(client: httpx.AsyncClient) -> None:
    heads: list[bytes] = []
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nSet-Cookie: session=1; Path=/\r\n\r\n"
    async with serving(always(answer, heads)) as server:
        await client.get(server.url)
        client.cookies.clear()
        await client.get(server.url)
    assert b"\r\nUser-Agent: buildbell/" in heads[0]
    assert b"session" not in heads[1]


@pytest.mark.parametrize("size", [0, 1, 1000, CHUNK_BYTES, CHUNK_BYTES + 1, 3_000_000])
async def test_bodies_of_any_size_arrive_whole(client: httpx.AsyncClient, size: int) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        got = await head(reader)
        assert f"content-length: {size}\r\n".encode() in got.lower()
        assert b"transfer-encoding" not in got.lower()
        body = await reader.readexactly(size)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + body)
        await writer.drain()

    body = random.Random(size).randbytes(size)  # noqa: S311 - a test's dice
    async with serving(talk) as server:
        response = await client.put(server.url, content=body)
    assert response.content == body


async def test_a_body_without_a_length_is_sent_in_chunks(client: httpx.AsyncClient) -> None:
    async def parts() -> AsyncIterator[bytes]:
        yield b"one"
        yield b"two"

    seen = bytearray()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.extend(await reader.readuntil(b"0\r\n\r\n"))
        writer.write(OK)
        await writer.drain()

    async with serving(talk) as server:
        await client.post(server.url, content=parts())
    assert bytes(seen).lower().count(b"transfer-encoding: chunked") == 1
    assert bytes(seen).endswith(b"\r\n\r\n3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n")


async def test_credentials_in_an_address_become_a_header(client: httpx.AsyncClient) -> None:
    heads: list[bytes] = []
    async with serving(always(OK, heads)) as server:
        await client.get(f"http://me:pass@127.0.0.1:{server.port}/x")
    assert b"GET /x HTTP/1.1" in heads[0]
    assert b"Authorization: Basic bWU6cGFzcw==" in heads[0]


# answers


async def test_packed_answers_are_unpacked_by_httpx_alone(network: Network, client: httpx.AsyncClient) -> None:
    packed = gzip.compress(b"hello " * 1000)
    answer = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(packed) + packed
    async with serving(always(answer)) as server:
        assert (await client.get(server.url)).text == "hello " * 1000
        async with client.stream("GET", server.url) as response:
            assert b"".join([chunk async for chunk in response.aiter_raw()]) == packed
        # the same session speaks with Slack, whose client expects aiohttp to unpack
        async with network.session.get(server.url) as direct:
            assert await direct.text() == "hello " * 1000


async def test_status_reason_and_repeated_headers_are_handed_on(client: httpx.AsyncClient) -> None:
    answer = b"HTTP/1.1 418 Short and Stout\r\nLink: <a>\r\nLink: <b>\r\nContent-Length: 0\r\n\r\n"
    async with serving(always(answer)) as server:
        response = await client.get(server.url)
    assert (response.status_code, response.reason_phrase) == (418, "Short and Stout")
    assert response.headers.get_list("link") == ["<a>", "<b>"]


async def test_redirects_are_left_to_the_caller(client: httpx.AsyncClient) -> None:
    async with serving(always(b"HTTP/1.1 302 Found\r\nLocation: /there\r\nContent-Length: 0\r\n\r\n")) as server:
        response = await client.get(server.url)
        assert (response.status_code, response.headers["location"]) == (302, "/there")
        assert server.connections == 1


@pytest.mark.parametrize(
    ("method", "answer"),
    [
        ("HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"),
        ("GET", b"HTTP/1.1 204 No Content\r\n\r\n"),
        ("GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n"),
    ],
)
async def test_answers_without_a_body_end_and_keep_their_connection(
    client: httpx.AsyncClient, method: str, answer: bytes
) -> None:
    async with serving(always(answer)) as server:
        for _ in range(2):
            assert (await client.request(method, server.url)).content == b""
        assert server.connections == 1


async def test_long_headers_are_read(client: httpx.AsyncClient) -> None:
    place = "https://files.example/x?sig=" + "s" * 20_000
    answer = f"HTTP/1.1 302 Found\r\nLocation: {place}\r\nContent-Length: 0\r\n\r\n".encode()
    async with serving(always(answer)) as server:
        assert (await client.get(server.url)).headers["location"] == place


async def test_an_answer_is_handed_on_as_it_comes(client: httpx.AsyncClient) -> None:
    go = asyncio.Event()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await head(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfirst")
        await writer.drain()
        await go.wait()
        writer.write(b"after")
        await writer.drain()

    async with serving(talk) as server, client.stream("GET", server.url) as response:
        chunks = response.aiter_raw()
        assert await anext(chunks) == b"first"
        go.set()
        assert await anext(chunks) == b"after"


async def test_an_answer_that_comes_before_the_body_has_left_is_read(client: httpx.AsyncClient) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await head(reader)
        writer.write(b"HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nbig")
        await writer.drain()
        await reader.read()

    async with serving(talk) as server:
        response = await client.post(server.url, content=bytes(20_000_000))
    assert (response.status_code, response.text) == (413, "big")


# faults


@pytest.mark.parametrize(
    ("talk", "kind"),
    [
        (once(b""), httpx.RemoteProtocolError),
        (once(b"", reset=True), httpx.ReadError),
        (once(b"SSH-2.0-OpenSSH_9\r\n"), httpx.RemoteProtocolError),
        (once(b"HTTP/1.1 abc OK\r\n\r\n"), httpx.RemoteProtocolError),
        (once(b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n"), httpx.RemoteProtocolError),
        (once(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort"), httpx.RemoteProtocolError),
        (once(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort", reset=True), httpx.RemoteProtocolError),
        (once(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n"), httpx.RemoteProtocolError),
        (once(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"), httpx.RemoteProtocolError),
    ],
    ids=["closed", "reset", "ssh", "status", "length", "short", "short-reset", "chunks-cut", "chunks-bad"],
)
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
async def test_a_broken_answer_is_the_error_a_reader_of_httpx_expects(
    client: httpx.AsyncClient, talk: Talk, kind: type[httpx.TransportError], method: str
) -> None:
    async with serving(talk) as server:
        with pytest.raises(kind) as caught:
            await client.request(method, server.url)
        assert type(caught.value) is kind
        assert caught.value.request.method == method


async def test_a_refused_connection_is_a_connect_error_naming_the_place(client: httpx.AsyncClient) -> None:
    with socket.socket() as unheard:
        unheard.bind(("127.0.0.1", 0))
        port = unheard.getsockname()[1]
        with pytest.raises(httpx.ConnectError, match=f"127.0.0.1:{port} refuses connections"):
            await client.get(f"http://127.0.0.1:{port}/")


@pytest.mark.parametrize("private", [True, False])
async def test_an_unknown_name_is_a_connect_error(
    network: Network, monkeypatch: pytest.MonkeyPatch, private: bool
) -> None:
    async def unknown(*_: object, **__: object) -> list[object]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", unknown)
    with pytest.raises(httpx.ConnectError, match=r"no address is known for ci\.invalid"):
        await network.client(private=private).get("http://ci.invalid/")


async def test_a_network_that_cannot_be_reached_is_a_connect_error(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def unreachable(*_: object) -> None:
        raise OSError(errno.ENETUNREACH, "Network is unreachable")

    monkeypatch.setattr(asyncio.get_running_loop(), "sock_connect", unreachable)
    with pytest.raises(httpx.ConnectError, match=r"no connection to 127\.0\.0\.1:9"):
        await client.get("http://127.0.0.1:9/")


@pytest.mark.parametrize(
    "url", ["ftp://127.0.0.1/", "http://127.1/", "http://2130706433/", "http://127.0.0.1:99999999/", "http:///x"]
)
async def test_an_address_that_is_none_is_an_unsupported_protocol(network: Network, url: str) -> None:
    for private in (True, False):
        with pytest.raises(httpx.UnsupportedProtocol):
            await network.transport(private=private).handle_async_request(httpx.Request("GET", url))


@pytest.mark.parametrize("value", [b"a\r\nX-Evil: 1", b"\xff\xfe"])
async def test_a_header_that_would_break_the_request_is_refused(client: httpx.AsyncClient, value: bytes) -> None:
    async with serving(always(OK)) as server:
        with pytest.raises(httpx.LocalProtocolError) as caught:
            await client.get(server.url, headers={b"X-Token": value})
        assert "Evil" not in str(caught.value)
        assert (await client.get(server.url)).status_code == 200


async def test_a_body_that_fails_while_it_is_made_is_a_write_error(client: httpx.AsyncClient) -> None:
    async def parts() -> AsyncIterator[bytes]:
        yield b"one"
        raise RuntimeError("made up")

    async with serving(silent) as server:
        with pytest.raises(httpx.WriteError):
            await client.post(server.url, content=parts())


async def test_a_connection_lost_while_sending_is_a_write_error(client: httpx.AsyncClient) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await head(reader)
        sock = writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()

    async with serving(talk) as server:
        with pytest.raises(httpx.WriteError):
            await client.post(server.url, content=bytes(30_000_000))


# timeouts


async def test_a_handshake_that_never_comes_is_a_connect_timeout(client: httpx.AsyncClient) -> None:
    async with serving(silent) as server:
        with pytest.raises(httpx.ConnectTimeout):
            await client.get(f"https://127.0.0.1:{server.port}/", timeout=httpx.Timeout(5, connect=SHORT))


@pytest.mark.parametrize(
    "answer", [None, b"HTTP/1.1 200 OK\r\nContent-Le", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nbody"]
)
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_an_answer_that_stops_is_a_read_timeout(
    client: httpx.AsyncClient, answer: bytes | None, method: str
) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await head(reader)
        if answer is not None:
            writer.write(answer)
            await writer.drain()
        await asyncio.Event().wait()

    async with serving(talk) as server:
        with pytest.raises(httpx.ReadTimeout):
            await client.request(method, server.url, timeout=httpx.Timeout(5, read=SHORT))


@pytest.mark.parametrize("streamed", [True, False])
async def test_a_body_that_nobody_reads_is_a_write_timeout(client: httpx.AsyncClient, streamed: bool) -> None:
    async def parts() -> AsyncIterator[bytes]:
        for _ in range(300):
            yield bytes(100_000)

    async with serving(silent) as server:
        with pytest.raises(httpx.WriteTimeout):
            await client.post(
                server.url,
                content=parts() if streamed else bytes(30_000_000),
                timeout=httpx.Timeout(5, write=SHORT),
            )


async def test_the_time_a_body_takes_to_make_does_not_count(client: httpx.AsyncClient) -> None:
    async def parts() -> AsyncIterator[bytes]:
        yield b"one"
        await asyncio.sleep(3 * SHORT)
        yield b"two"

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"0\r\n\r\n")
        writer.write(OK)
        await writer.drain()

    async with serving(talk) as server:
        response = await client.post(server.url, content=parts(), timeout=httpx.Timeout(5, write=SHORT))
    assert response.status_code == 200


async def test_waiting_in_vain_for_a_free_connection_is_a_pool_timeout() -> None:
    async with (
        Network(connections=1) as network,
        network.client(private=True) as client,
        serving(always(OK)) as server,
    ):
        async with client.stream("GET", server.url):
            with pytest.raises(httpx.PoolTimeout):
                await client.get(server.url, timeout=httpx.Timeout(5, pool=SHORT))
        assert (await client.get(server.url)).text == "ok"


async def test_without_timeouts_there_are_none(client: httpx.AsyncClient) -> None:
    async with serving(always(OK)) as server:
        assert (await client.get(server.url, timeout=None)).text == "ok"


# connections


async def test_a_connection_is_used_again_after_its_answer_was_read(client: httpx.AsyncClient) -> None:
    async with serving(always(OK)) as server:
        for _ in range(5):
            await client.get(server.url)
        assert server.connections == 1


async def test_an_answer_left_unread_closes_its_connection(client: httpx.AsyncClient) -> None:
    gone = asyncio.Event()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await head(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\nsome")
        await writer.drain()
        assert await reader.read() == b""
        gone.set()

    async with serving(talk) as server:
        async with client.stream("GET", server.url) as response:
            assert await anext(response.aiter_raw()) == b"some"
        await asyncio.wait_for(gone.wait(), 2)


async def test_a_forgotten_answer_gives_its_slot_back() -> None:
    async with Network(connections=1) as network, serving(always(OK)) as server:
        transport = network.transport(private=True)
        forgotten = await transport.handle_async_request(httpx.Request("GET", server.url))
        assert forgotten.status_code == 200
        del forgotten
        gc.collect()
        request = httpx.Request("GET", server.url, extensions={"timeout": {"pool": 1.0}})
        async with asyncio.timeout(2):
            again = await transport.handle_async_request(request)
        await again.aclose()


async def test_a_failed_request_gives_its_slot_back() -> None:
    async with Network(connections=1) as network, network.client(private=True) as client:
        async with serving(once(b"")) as server:
            for _ in range(3):
                with pytest.raises(httpx.RemoteProtocolError):
                    await client.get(server.url)
        async with serving(always(OK)) as server:
            assert (await client.get(server.url)).text == "ok"


@pytest.mark.parametrize(("method", "arrived"), [("GET", 3), ("DELETE", 2), ("PUT", 2), ("POST", 2)])
async def test_only_a_read_is_sent_again_when_a_kept_connection_turns_out_dead(
    client: httpx.AsyncClient, method: str, arrived: int
) -> None:
    heads: list[bytes] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await head(reader))
        writer.write(OK)
        await writer.drain()
        heads.append(await head(reader))  # and not a word more: the connection closes

    async with serving(talk) as server:
        await client.get(server.url)
        if method == "GET":
            assert (await client.get(server.url)).text == "ok"
        else:
            with pytest.raises(httpx.RemoteProtocolError):
                await client.request(method, server.url)
    assert len(heads) == arrived


async def test_small_packets_are_not_held_back(network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bot.http.transport, "is_public", lambda _: True)

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await head(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nbody")
        await writer.drain()
        await asyncio.Event().wait()

    async with serving(talk) as server:
        for private in (True, False):
            request = httpx.Request("GET", server.url)
            response = await network.transport(private=private).handle_async_request(request)
            assert isinstance(response.stream, bot.http.transport._Download)
            connection = response.stream._response.connection
            assert connection is not None
            assert connection.transport is not None
            sock = connection.transport.get_extra_info("socket")
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0
            await response.aclose()


async def test_cancelling_under_load_leaves_the_pool_whole() -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        dice = random.Random(id(writer))  # noqa: S311 - a test's dice
        while True:
            await head(reader)
            await asyncio.sleep(dice.choice((0, 0, 0.001, 0.005)))
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2000\r\n\r\n" + bytes(1000))
            await writer.drain()
            await asyncio.sleep(dice.choice((0, 0, 0.001, 0.005)))
            writer.write(bytes(1000))
            await writer.drain()

    dice = random.Random(7)  # noqa: S311 - a test's dice
    done = cancelled = 0
    async with (
        Network(connections=10) as network,
        network.client(private=True) as client,
        serving(talk) as server,
    ):

        async def restless() -> None:
            nonlocal done, cancelled
            for _ in range(40):
                request = asyncio.create_task(client.get(server.url))
                await asyncio.wait([request], timeout=dice.choice((0, 0.001, 0.005, 0.02, None)))
                if request.cancel():
                    cancelled += 1
                try:
                    await request
                except asyncio.CancelledError:
                    continue
                done += 1

        await asyncio.gather(*(restless() for _ in range(20)))
        assert done > 20
        assert cancelled > 20
        answers = await asyncio.gather(*(client.get(server.url, timeout=httpx.Timeout(5, pool=2)) for _ in range(40)))
        assert all(len(answer.content) == 2000 for answer in answers)
        assert not network.transport(private=True)._slots.locked()
        assert network.transport(private=True)._slots._value == 10


async def test_a_closed_network_refuses_in_words_and_a_closed_client_does_not_close_it() -> None:
    async with serving(always(OK)) as server:
        async with Network() as network:
            async with network.client(private=True) as one:
                await one.get(server.url)
            client = network.client(private=True)
            assert (await client.get(server.url)).text == "ok"
            assert server.connections == 1
        with pytest.raises(httpx.ConnectError, match="shutting down"):
            await client.get(server.url)
        await client.aclose()


async def test_a_network_needs_a_running_loop() -> None:
    with pytest.raises(RuntimeError, match="no running event loop"):
        await asyncio.to_thread(Network)


async def test_the_session_for_slack_gives_up_after_half_a_minute(network: Network) -> None:
    assert network.session.timeout.total == 30


# TLS


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A key and a certificate for 127.0.0.1, signed by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "ci.example")])
    start = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(start)
        .not_valid_after(start + dt.timedelta(days=36500))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "server.pem"
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + made.public_bytes(serialization.Encoding.PEM)
    )
    return path


async def test_a_trusted_certificate_passes_and_another_is_named(certificate: Path) -> None:
    speaks_tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    speaks_tls.load_cert_chain(certificate)
    async with serving(always(OK), speaks_tls) as server:
        url = f"https://127.0.0.1:{server.port}/"
        trusting = ssl.create_default_context(cafile=str(certificate))
        async with Network(ssl_context=trusting) as network, network.client(private=True) as client:
            assert (await client.get(url)).text == "ok"
        async with Network() as network, network.client(private=True) as client:
            with pytest.raises(httpx.ConnectError, match=r"the certificate of 127\.0\.0\.1 is not trusted \(self"):
                await client.get(url)


async def test_a_server_without_tls_is_a_connect_error(client: httpx.AsyncClient) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await writer.drain()

    async with serving(talk) as server:
        with pytest.raises(httpx.ConnectError, match=r"no TLS connection with 127\.0\.0\.1"):
            await client.get(f"https://127.0.0.1:{server.port}/")


# private addresses


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "10.0.0.1", "169.254.169.254", "[::]"])
async def test_a_guarded_client_does_not_connect_to_private_addresses(network: Network, host: str) -> None:
    async with serving(always(OK)) as server:
        with pytest.raises(httpx.ConnectError, match=r"is a private address; allow it with private_network = true$"):
            await network.client(private=False).get(f"http://{host}:{server.port}/")
        assert server.connections == 0


async def test_a_guarded_client_does_not_connect_to_names_of_private_addresses(network: Network) -> None:
    async with serving(always(OK)) as server:
        url = f"http://localhost:{server.port}/"
        assert (await network.client(private=True).get(url)).text == "ok"
        with pytest.raises(httpx.ConnectError, match=r"^localhost \(.+\) is a private address; allow it with"):
            await network.client(private=False).get(url)
        assert server.connections == 1


async def test_a_name_with_private_and_public_addresses_is_reached_at_the_public_ones(
    network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def both(*_: object, **__: object) -> list[object]:
        kind = socket.AF_INET, socket.SOCK_STREAM, 6, ""
        return [(*kind, ("127.0.0.2", server.port)), (*kind, ("127.0.0.1", server.port))]

    monkeypatch.setattr(bot.http.transport, "is_public", lambda address: address == "127.0.0.1")
    async with serving(always(OK)) as server:
        with monkeypatch.context() as patch:
            patch.setattr(asyncio.get_running_loop(), "getaddrinfo", both)
            response = await network.client(private=False).get(f"http://ci.example:{server.port}/")
    assert response.text == "ok"


async def test_a_redirect_to_a_private_address_is_refused(network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bot.http.transport, "is_public", lambda address: address == "127.0.0.1")
    async with serving(always(OK)) as inner:
        target = f"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.2:{inner.port}/\r\nContent-Length: 0\r\n\r\n"
        async with serving(always(target.encode())) as outer:
            api = ApiClient(
                network.client(private=False),
                base_url=outer.url,
                provider="Hudson",
                clock=lambda: dt.datetime(2031, 1, 1, tzinfo=dt.UTC),
            )
            with pytest.raises(Unavailable, match=r"127\.0\.0\.2 is a private address"):
                await api.get("x")
        assert inner.connections == 0


async def test_a_transport_can_stand_on_any_session(network: Network) -> None:
    async with serving(always(OK)) as server, httpx.AsyncClient(transport=Transport(network.session)) as client:
        assert (await client.get(server.url)).text == "ok"
