"""httpx's requests over aiohttp's connections: `Network` holds the process's sockets, `Transport` speaks for httpx.

httpx keeps its API and loses its pool, which after cancelled requests under load runs dry and slows with concurrency.
"""

import asyncio
import errno
import importlib.metadata
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from types import TracebackType
from typing import Self

import aiohttp
import httpx
import yarl
from aiohttp.abc import ResolveResult
from typing_extensions import override

from bot.http.addresses import is_public

TIMEOUT = httpx.Timeout(connect=5, read=20, write=10, pool=5)
SLACK_SECONDS = 30.0
CONNECTIONS = 512
KEEP_ALIVE_SECONDS = 30.0
HEADER_BYTES = 64 * 1024
CHUNK_BYTES = 64 * 1024
REPEATABLE = frozenset({"GET", "HEAD", "OPTIONS"})
LAST_PORT = 65_535
NOT_ADDED = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")

Session = aiohttp.ClientSession
"""One pool of connections, as the Slack client takes it."""

WIRE_FAULTS = (aiohttp.ClientError, TimeoutError, OSError)
"""What a call over a `Session` may raise when the wire fails."""

NEVER_SENT = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError)
"""The wire faults after which nothing can have reached the other side."""

AddressInfo = tuple[int | socket.AddressFamily, int | socket.SocketKind, int, str, tuple[object, ...]]


def user_agent() -> str:
    """Return what the bot calls itself in its requests."""
    try:
        version = importlib.metadata.version("buildbell")
    except importlib.metadata.PackageNotFoundError:
        version = "dev"
    return f"buildbell/{version}"


class _PrivateAddressError(OSError):
    """A guarded connection would have gone to loopback or a private network."""

    def __init__(self, where: str) -> None:
        super().__init__(errno.EACCES, f"{where} is a private address; allow it with private_network = true")


class _PublicNames(aiohttp.ThreadedResolver):
    """Answers names with their public addresses only."""

    @override
    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        addresses = await super().resolve(host, port, family)
        public = [address for address in addresses if is_public(address["host"])]
        if addresses and not public:
            raise _PrivateAddressError(f"{host} ({addresses[0]['host']})")
        return public


def _public_socket(info: AddressInfo) -> socket.socket:
    """Return a socket for a public address: the last check before connecting, however the address was obtained."""
    family, kind, protocol, _, address = info
    where = str(address[0])
    if not is_public(where):
        raise _PrivateAddressError(where)
    return socket.socket(family, kind, protocol)


class Network:
    """The process's connections: one TLS context and two pools, one of which refuses private addresses.

    Made inside a running loop; closed by `aclose` or by leaving `async with`.
    """

    def __init__(self, *, ssl_context: ssl.SSLContext | None = None, connections: int = CONNECTIONS) -> None:
        asyncio.get_running_loop()
        self.ssl_context = ssl_context or ssl.create_default_context()
        self.session = self._pool(guarded=False)
        self._guarded = self._pool(guarded=True)
        self._open_transport = Transport(self.session, connections)
        self._guarded_transport = Transport(self._guarded, connections)

    def _pool(self, *, guarded: bool) -> aiohttp.ClientSession:
        # limit=0: the number of connections is held by Transport, where waiting for one has its own timeout.
        connector = aiohttp.TCPConnector(
            limit=0,
            ssl=self.ssl_context,
            keepalive_timeout=KEEP_ALIVE_SECONDS,
            resolver=_PublicNames() if guarded else aiohttp.ThreadedResolver(),
            socket_factory=_public_socket if guarded else None,
        )
        return aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=SLACK_SECONDS),
            max_line_size=HEADER_BYTES,
            max_field_size=HEADER_BYTES,
        )

    def transport(self, *, private: bool) -> "Transport":
        """Return the way out; with `private` also to loopback and private networks."""
        return self._open_transport if private else self._guarded_transport

    def client(self, *, private: bool) -> httpx.AsyncClient:
        """Return a client over `transport`. Closing it leaves the connections open: they are the process's."""
        return httpx.AsyncClient(
            transport=self.transport(private=private),
            timeout=TIMEOUT,
            follow_redirects=False,
            headers={"User-Agent": user_agent()},
            trust_env=False,
        )

    async def aclose(self) -> None:
        """Close every connection."""
        await self.session.close()
        await self._guarded.close()

    async def __aenter__(self) -> Self:
        """Return the network itself."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close every connection."""
        await self.aclose()


class Transport(httpx.AsyncBaseTransport):
    """Sends httpx's requests over an aiohttp session, at most `connections` at once, the same bytes on the wire.

    Redirects, cookies and compression are left to the caller. Every fault is the `httpx.TransportError` that httpx's
    own transport would raise.
    """

    def __init__(self, session: aiohttp.ClientSession, connections: int = CONNECTIONS) -> None:
        self._session = session
        self._slots = asyncio.Semaphore(connections)

    @override
    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        seconds: Mapping[str, float | None] = request.extensions.get("timeout", {})
        try:
            async with asyncio.timeout(seconds.get("pool")):
                await self._slots.acquire()
        except TimeoutError as exc:
            raise httpx.PoolTimeout("no connection became free", request=request) from exc
        try:
            response = await self._send(request, seconds)
        except BaseException:
            self._slots.release()
            raise
        return httpx.Response(
            response.status,
            headers=response.raw_headers,
            stream=_Download(response, request, self._slots.release),
            extensions={
                "http_version": b"HTTP/1.1",
                "reason_phrase": (response.reason or "").encode("latin-1", "replace"),
            },
            request=request,
        )

    async def _send(self, request: httpx.Request, seconds: Mapping[str, float | None]) -> aiohttp.ClientResponse:
        if self._session.closed:
            raise httpx.ConnectError("the bot is shutting down", request=request)
        upload = _Upload(request, seconds.get("write"))
        watch = asyncio.timeout(None)
        try:
            async with watch:
                return await self._session.request(
                    request.method,
                    _address(request),
                    headers=_headers(request),
                    data=upload.data(watch),
                    skip_auto_headers=NOT_ADDED,
                    allow_redirects=False,
                    auto_decompress=False,
                    timeout=aiohttp.ClientTimeout(connect=seconds.get("connect"), sock_read=seconds.get("read")),
                    middlewares=() if request.method in REPEATABLE else (_sent_once,),
                )
        except _BrokenOffError as exc:
            raise _fault(exc.fault, request, sending=upload.under_way) from exc.fault
        except (aiohttp.ClientError, OSError, ValueError) as exc:
            if watch.expired():
                raise httpx.WriteTimeout("the request could not be sent in time", request=request) from exc
            raise _fault(exc, request, sending=upload.under_way) from exc
        finally:
            upload.settled = True


class _Upload:
    """A request's body on its way out, watched: aiohttp has no timeout for writing."""

    def __init__(self, request: httpx.Request, seconds: float | None) -> None:
        self.settled = False
        self.under_way = False
        self._request = request
        self._seconds = seconds

    def data(self, watch: asyncio.Timeout) -> bytes | AsyncIterator[bytes] | None:
        """Return the body as aiohttp takes it: whole where it is short, so that one packet carries it all."""
        try:
            content = self._request.content
        except httpx.RequestNotRead:
            return self._chunks(watch)
        if len(content) > CHUNK_BYTES:
            return self._chunks(watch)
        return content or None

    async def _chunks(self, watch: asyncio.Timeout) -> AsyncIterator[bytes]:
        assert isinstance(self._request.stream, httpx.AsyncByteStream)  # noqa: S101 - an async client's always is
        self.under_way = True
        async for whole in self._request.stream:
            for start in range(0, len(whole), CHUNK_BYTES):
                self._arm(watch, self._seconds)
                yield whole[start : start + CHUNK_BYTES]
                self._arm(watch, None)
        self.under_way = False

    def _arm(self, watch: asyncio.Timeout, seconds: float | None) -> None:
        # An answer may come before the body has left; from then on the caller's reading sets the pace.
        if not self.settled and not watch.expired():
            watch.reschedule(None if seconds is None else asyncio.get_running_loop().time() + seconds)


class _Download(httpx.AsyncByteStream):
    """An answer's body as it comes in. Closing it, or forgetting it, frees the connection."""

    def __init__(self, response: aiohttp.ClientResponse, request: httpx.Request, free: Callable[[], None]) -> None:
        self._response = response
        self._request = request
        self._free: Callable[[], None] | None = free

    @override
    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for chunk in self._response.content.iter_any():
                yield chunk
        except (aiohttp.ClientError, OSError) as exc:
            raise _fault(exc, self._request, sending=False) from exc

    @override
    async def aclose(self) -> None:
        self._close()

    def _close(self) -> None:
        free, self._free = self._free, None
        if free is not None:
            # A connection whose answer has not arrived whole is closed by this, any other is kept for reuse.
            self._response.release()
            free()

    def __del__(self) -> None:
        """Free the connection of an answer that nobody closed."""
        self._close()


class _BrokenOffError(Exception):
    """Carries a lost connection past aiohttp, which would send a PUT or DELETE a second time."""

    def __init__(self, fault: aiohttp.ClientError) -> None:
        super().__init__(str(fault))
        self.fault = fault


async def _sent_once(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    try:
        return await handler(request)
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as exc:
        raise _BrokenOffError(exc) from exc


def _address(request: httpx.Request) -> yarl.URL:
    """Return the address byte for byte as httpx spells it, without credentials (httpx has made them a header)."""
    url = request.url
    if url.scheme not in {"http", "https"} or not url.host or (url.port or 0) > LAST_PORT:
        raise httpx.UnsupportedProtocol("the address is none of http:// or https://", request=request)
    path, _, query = url.raw_path.decode("ascii").partition("?")
    return yarl.URL.build(
        scheme=url.scheme, authority=url.netloc.decode("ascii"), path=path, query_string=query, encoded=True
    )


def _headers(request: httpx.Request) -> list[tuple[str, str]]:
    """Return the headers as given, but for Transfer-Encoding, which aiohttp writes itself."""
    try:
        pairs = [(name.decode("ascii"), value.decode("utf-8")) for name, value in request.headers.raw]
    except UnicodeDecodeError as exc:
        raise httpx.LocalProtocolError("a header is not text", request=request) from exc
    return [(name, value) for name, value in pairs if name.lower() != "transfer-encoding"]


def _fault(exc: Exception, request: httpx.Request, *, sending: bool) -> httpx.TransportError:
    """Return a fault as the class that httpx's own transport would raise, in words a person can read."""
    match exc:
        case aiohttp.ConnectionTimeoutError():
            return httpx.ConnectTimeout("no connection in time", request=request)
        case TimeoutError():
            return httpx.ReadTimeout("no answer in time", request=request)
        case aiohttp.ClientConnectorError() | aiohttp.ClientSSLError() | ssl.CertificateError():
            return httpx.ConnectError(_connect_words(exc, request.url), request=request)
        case aiohttp.NonHttpUrlClientError() | aiohttp.InvalidURL():
            return httpx.UnsupportedProtocol("the address can't be used", request=request)
        case aiohttp.ServerDisconnectedError():
            return httpx.RemoteProtocolError("the connection was closed without an answer", request=request)
        case aiohttp.ClientResponseError():
            return httpx.RemoteProtocolError("the answer is not HTTP", request=request)
        case aiohttp.ClientPayloadError():
            return httpx.RemoteProtocolError("the answer broke off or is garbled", request=request)
        case aiohttp.ClientError() | OSError():
            if sending:
                return httpx.WriteError("the connection broke off while sending", request=request)
            return httpx.ReadError("the connection broke off", request=request)
        case _:
            return httpx.LocalProtocolError("the request can't be written as HTTP", request=request)


def _connect_words(exc: Exception, url: httpx.URL) -> str:
    cause = exc.os_error if isinstance(exc, aiohttp.ClientConnectorError) else exc.__cause__
    match cause:
        case _PrivateAddressError():
            return str(cause.strerror)
        case ssl.SSLCertVerificationError():
            return f"the certificate of {url.host} is not trusted ({cause.verify_message})"
        case ssl.SSLError():
            return f"no TLS connection with {url.host} ({cause.reason or 'the handshake failed'})"
        case ConnectionRefusedError():
            return f"{url.netloc.decode('ascii')} refuses connections"
        case _ if isinstance(exc, aiohttp.ClientConnectorDNSError):
            return f"no address is known for {url.host}"
        case _:
            return f"no connection to {url.netloc.decode('ascii')}"
