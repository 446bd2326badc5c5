"""Requests to CI systems: one `ApiClient` for each connection.

It adds the credentials, follows pages, remembers what the rate-limit headers say, repeats reads that may be repeated,
and maps every fault to one of `bot.core.errors`. No `httpx` exception leaves this package.
"""

import asyncio
import base64
import binascii
import email.utils
import html
import math
import re
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection, Iterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from types import ModuleType
from typing import Any, ClassVar, TypeVar
from urllib.parse import urlencode

import httpx
import msgspec

from bot.core.acting import begin_act
from bot.core.clock import Clock
from bot.core.errors import (
    AuthFailed,
    NotFound,
    ProviderError,
    RateLimited,
    Rejected,
    Unavailable,
    UnexpectedResponse,
)
from bot.core.text import ERROR_BODY_CHARACTERS, clean_terminal, read_json
from bot.http.reading import UNREADABLE, unreadable
from bot.http.transport import TIMEOUT
from bot.security.redaction import redact

T = TypeVar("T")
Query = Mapping[str, str | int | bool | Sequence[str | int] | None]

CONCURRENCY = 8
ANSWER_BYTES = 16 * 1024 * 1024
DOWNLOAD_BYTES = 256 * 1024 * 1024
LONGEST_PATIENCE_SECONDS = 15.0
LONGEST_WAIT_SECONDS = 86_400.0
ATTEMPTS = 3
REDIRECTS = 5
SAFE_METHODS = frozenset({"GET", "HEAD"})


@cache
def _stamina() -> ModuleType:
    """Return stamina, silent: with tenacity it is dear to import, and no start needs it."""
    import stamina  # noqa: PLC0415
    import stamina.instrumentation  # noqa: PLC0415

    stamina.instrumentation.set_on_retry_hooks([])
    return stamina


@dataclass(frozen=True, slots=True, kw_only=True)
class Quota:
    """What a vendor's headers say is left: `remaining` of `limit` requests until `resets_at`."""

    limit: int
    remaining: int
    resets_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """A vendor's answer, read whole. `unsaid` are the secrets the request carried; no message repeats them."""

    status: int
    headers: httpx.Headers
    content: bytes
    url: str
    provider: str
    secrets: frozenset[str] = field(default=frozenset(), repr=False)

    @property
    def etag(self) -> str | None:
        """Return the validator to send back as If-None-Match."""
        etag: str | None = self.headers.get("etag")
        return etag

    @property
    def text(self) -> str:
        """Return the body as text; undecodable bytes become replacement characters."""
        return self.content.decode("utf-8", "replace")

    @property
    def raw(self) -> msgspec.Raw:
        """Return the body for `Wire.of`, which repairs texts that are not valid Unicode."""
        return msgspec.Raw(self.content)

    @property
    def is_page(self) -> bool:
        """Whether the body is a web page for people."""
        return "html" in self.headers.get("content-type", "").lower()

    def decode(self, kind: type[T]) -> T:
        """Return the body as `kind`. Raises UnexpectedResponse naming the field that does not fit."""
        try:
            return read_json(self.content, kind)
        except UNREADABLE as exc:
            if self.is_page:
                raise UnexpectedResponse(
                    f"{self.provider} answered with a web page instead of data.",
                    provider=self.provider,
                    status=self.status,
                    hint="Check the connection's `url`; a sign-in page or a proxy may stand in the way.",
                ) from exc
            raise unreadable(self.provider, exc, status=self.status) from exc

    def items(self, member: str | None = None) -> list[msgspec.Raw]:
        """Return the list in the body, or in one member of it, undecoded so that one odd item spoils only itself."""
        if member is None:
            return self.decode(list[msgspec.Raw])
        whole = self.decode(dict[str, msgspec.Raw])
        if member not in whole:
            raise UnexpectedResponse(
                f"{self.provider} answered without `{member}`.", provider=self.provider, status=self.status
            )
        try:
            return msgspec.json.decode(whole[member], type=list[msgspec.Raw] | None) or []
        except UNREADABLE as exc:
            raise unreadable(self.provider, exc, f"field `{member}`", status=self.status) from exc


NextPage = Callable[[Reply], str | None]
Explain = Callable[[Reply], ProviderError | None]
ReadQuota = Callable[[httpx.Headers, datetime], Quota | None]


def link_next(reply: Reply) -> str | None:
    """Return the next page as an RFC 8288 `Link` header names it."""
    links: dict[str | None, dict[str, str]] = httpx.Response(200, headers=reply.headers).links
    return links.get("next", {}).get("url")


def no_explanation(_reply: Reply) -> ProviderError | None:
    """Say that the vendor has no ideas of its own about status codes."""
    return None


def no_quota(_headers: httpx.Headers, _now: datetime) -> Quota | None:
    """Say that the vendor sends no rate-limit headers."""
    return None


def retry_after(headers: httpx.Headers, now: datetime) -> float | None:
    """Return the seconds that a `Retry-After` header requests, given as seconds or as a date; a day at most."""
    value = headers.get("retry-after")
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            at = email.utils.parsedate_to_datetime(value)
        except (ValueError, OverflowError, IndexError):
            return None
        seconds = ((at if at.tzinfo else at.replace(tzinfo=UTC)) - now) / timedelta(seconds=1)
    return None if math.isnan(seconds) else min(max(seconds, 0.0), LONGEST_WAIT_SECONDS)


class ApiClient:
    """One account at one CI system, over HTTP.

    `explain` may turn a refusal into an error of its own (GitHub answers 403 when over the limit); `read_quota`
    reads the vendor's rate-limit headers. `client` is the process's; credentials and `headers` are added to each
    request to `base_url`'s origin and to the origins in `trusted`, never to the client and to nobody else.
    """

    JSON: ClassVar[str] = "application/json"

    def __init__(
        self,
        client: httpx.AsyncClient,
        *,
        base_url: str,
        provider: str,
        clock: Clock,
        auth: httpx.Auth | None = None,
        map_error: Explain = no_explanation,
        read_quota: ReadQuota = no_quota,
        headers: Mapping[str, str] | None = None,
        concurrency: int = CONCURRENCY,
        credential_origins: Collection[str] = (),
    ) -> None:
        self.base_url = base_url.rstrip("/")
        self.provider = provider
        self.quota: Quota | None = None
        self.not_before: datetime | None = None
        self.requests = 0
        self._client = client
        self._clock = clock
        self._auth = auth
        self._map_error = map_error
        self._read_quota = read_quota
        self._headers = _merged({"Accept": self.JSON}, headers)
        self._slots = asyncio.Semaphore(concurrency)
        self._origin = _origin(httpx.URL(self.base_url))
        self._credential_origins = {self._origin, *(_origin(httpx.URL(origin)) for origin in credential_origins)}

    def url(self, path: str, query: Query | None = None) -> str:
        """Return the address of a path (or a whole address as it is) with a query. Lists repeat their name."""
        whole = path if path.startswith(("http://", "https://")) else f"{self.base_url}/{path.lstrip('/')}"
        pairs = tuple(_pairs(query or {}))
        if not pairs:
            return whole
        return f"{whole}{'&' if '?' in whole else '?'}{httpx.QueryParams(pairs)}"

    async def get(
        self,
        path: str,
        query: Query | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        cap: int = ANSWER_BYTES,
    ) -> Reply:
        """Return the answer to a read; repeated on faults that pass. Costs one request (up to three on faults)."""
        return await self._repeating("GET", self.url(path, query), headers, cap)

    async def head(self, path: str, query: Query | None = None, *, headers: Mapping[str, str] | None = None) -> Reply:
        """Return the headers of a read."""
        return await self._repeating("HEAD", self.url(path, query), headers, ANSWER_BYTES)

    async def get_if_changed(self, path: str, query: Query | None, etag: str | None) -> Reply | None:
        """Return the answer, or None where the vendor says that nothing changed since `etag` (304)."""
        reply = await self.get(path, query, headers={"If-None-Match": etag} if etag else None)
        return None if reply.status == httpx.codes.NOT_MODIFIED else reply

    async def send(
        self,
        method: str,
        path: str,
        *,
        json: object = None,
        form: Mapping[str, str] | None = None,
        content: bytes | None = None,
        query: Query | None = None,
        headers: Mapping[str, str] | None = None,
        accept: Collection[int] = (),
    ) -> Reply:
        """Return the answer to a write; never repeated, its redirects not followed.

        `accept` are statuses beyond 2xx that are an answer too (302 where a form was taken).
        Raises Unavailable with `acted` set where the request may have taken effect without our hearing of it.
        """
        extra = dict(headers or {})
        body = content
        if json is not None:
            body = msgspec.json.encode(json)
            extra.setdefault("Content-Type", self.JSON)
        elif form is not None:
            body = urlencode(form).encode()
            extra.setdefault("Content-Type", "application/x-www-form-urlencoded")
        await begin_act()
        return await self._exchange(method, self.url(path, query), extra, body, accept=accept)

    async def post(self, path: str, *, json: object = None, query: Query | None = None) -> Reply:
        """Return the answer to a POST, never repeated."""
        return await self.send("POST", path, json=json, query=query)

    async def ask(self, path: str, *, json: object) -> Reply:
        """Return the answer to a POST that only reads, as GraphQL's queries do; not repeated."""
        headers = {"Content-Type": self.JSON}
        return await self._exchange("POST", self.url(path), headers, msgspec.json.encode(json))

    async def replies(
        self,
        path: str,
        query: Query | None = None,
        *,
        next_page: NextPage = link_next,
        headers: Mapping[str, str] | None = None,
        ceiling: int = 100,
    ) -> AsyncGenerator[Reply, None]:
        """Yield a listing page by page, at most `ceiling` pages.

        A next page at another origin is refused: the token would go with it. A page that names itself ends it.
        """
        url: str | None = self.url(path, query)
        seen: set[str] = set()
        while url is not None and url not in seen and len(seen) < ceiling:
            seen.add(url)
            reply = await self._repeating("GET", url, headers, ANSWER_BYTES)
            yield reply
            following = next_page(reply)
            if following is None:
                return
            page = self._joined(reply.url, following)
            url = str(page)
            if _origin(page) != self._origin:
                raise UnexpectedResponse(
                    f"{self.provider} sent me to another host for the next page; I did not follow.",
                    provider=self.provider,
                )

    async def pages(
        self,
        path: str,
        query: Query | None = None,
        *,
        member: str | None = None,
        next_page: NextPage = link_next,
        headers: Mapping[str, str] | None = None,
        ceiling: int = 100,
    ) -> AsyncGenerator[list[msgspec.Raw], None]:
        """Yield a listing's items page by page; `member` names the list inside an object."""
        listing = self.replies(path, query, next_page=next_page, headers=headers, ceiling=ceiling)
        async with aclosing(listing) as replies:
            async for reply in replies:
                yield reply.items(member)

    async def download(
        self,
        path: str,
        query: Query | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        cap: int = DOWNLOAD_BYTES,
        credentials: bool = True,
    ) -> AsyncGenerator[bytes, None]:
        """Yield a file's bytes. Redirects are followed, without the token when the host changes.

        `credentials=False` sends none at all (pre-signed addresses). Raises UnexpectedResponse past `cap` bytes.
        One of the connection's slots is taken until the end; a consumer that stops early closes the iterator.
        """
        url = self.url(path, query)
        if credentials:
            self._refuse_while_limited(None)
        async with self._stream("GET", url, headers, None, credentials=credentials) as response:
            if not response.is_success:
                raise self._refusal(await self._read(response, ANSWER_BYTES), "GET")
            got = 0
            async for chunk in response.aiter_bytes():
                got += len(chunk)
                if got > cap:
                    raise UnexpectedResponse(
                        f"{self.provider} sent more than {cap // 1024**2} MiB; I stopped reading.",
                        provider=self.provider,
                    )
                yield chunk

    async def tail(
        self,
        path: str,
        query: Query | None = None,
        *,
        keep: int,
        headers: Mapping[str, str] | None = None,
        cap: int = DOWNLOAD_BYTES,
        credentials: bool = True,
    ) -> tuple[bytes, bool]:
        """Return the last `keep` bytes of a file and whether there is more above them, holding no more in memory."""
        kept = b""
        cut = False
        file = self.download(path, query, headers=headers, cap=cap, credentials=credentials)
        async with aclosing(file) as chunks:
            async for chunk in chunks:
                kept += chunk
                if len(kept) > 2 * keep:
                    kept, cut = kept[-keep:], True
        return kept[-keep:], cut or len(kept) > keep

    async def _repeating(self, method: str, url: str, headers: Mapping[str, str] | None, cap: int) -> Reply:
        waited: datetime | None = None
        async for attempt in _stamina().retry_context(
            on=_patience, attempts=ATTEMPTS, timeout=45.0, wait_initial=0.2, wait_max=4.0, wait_jitter=0.5
        ):
            with attempt:
                try:
                    return await self._exchange(method, url, headers, None, cap, waited=waited)
                except RateLimited:
                    waited = self.not_before
                    raise
        raise AssertionError("unreachable")  # pragma: no cover - retry_context returns or raises

    async def _exchange(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | None,
        body: bytes | None,
        cap: int = ANSWER_BYTES,
        *,
        accept: Collection[int] = (),
        waited: datetime | None = None,
    ) -> Reply:
        self._refuse_while_limited(waited)
        async with self._stream(method, url, headers, body) as response:
            reply = await self._read(response, cap)
        self.quota = self._read_quota(reply.headers, self._clock()) or self.quota
        if reply.status in accept:
            return reply
        if reply.status != httpx.codes.NOT_MODIFIED and not 200 <= reply.status < 300:
            raise self._refusal(reply, method)
        if reply.is_page and (reply.status == 203 or _origin(httpx.URL(reply.url)) not in self._credential_origins):
            raise self._map_error(reply) or AuthFailed(
                f"{self.provider} sent me to a sign-in page instead of answering.",
                provider=self.provider,
                status=reply.status,
                hint="The token may be wrong or expired, or a sign-in page stands before the address.",
            )
        return reply

    def _refusal(self, reply: Reply, method: str) -> ProviderError:
        """Return the error for an answer, and remember how long the connection has to keep quiet."""
        error = self._error(reply, method)
        if isinstance(error, RateLimited) and _origin(httpx.URL(reply.url)) in self._credential_origins:
            wait = timedelta(seconds=min(error.retry_after, LONGEST_WAIT_SECONDS))
            until = self._clock() + wait
            self.not_before = until if self.not_before is None else max(self.not_before, until)
        return error

    def _refuse_while_limited(self, waited: datetime | None) -> None:
        """Raise RateLimited while the vendor wants quiet, but not to who has slept until `waited` already."""
        if self.not_before is None:
            return
        left = (self.not_before - self._clock()) / timedelta(seconds=1)
        if left <= 0 or self.not_before == waited:
            self.not_before = None
            return
        raise RateLimited(
            f"{self.provider} asks me to wait {math.ceil(left)} s before the next request.",
            provider=self.provider,
            retry_after=left,
        )

    @asynccontextmanager
    async def _stream(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | None,
        body: bytes | None,
        *,
        credentials: bool = True,
    ) -> AsyncIterator[httpx.Response]:
        extra = _merged(self._headers, headers)
        auth = self._auth
        here = self._address(url)
        if not credentials or _origin(here) not in self._credential_origins:
            auth, extra = None, _without_secrets(extra)
        async with self._slots:
            for _hop in range(REDIRECTS + 1):
                response = await self._answer(method, here, extra, body, auth)
                target = response.headers.get("location")
                if not (response.is_redirect and target and method in SAFE_METHODS):
                    break
                await response.aclose()
                landing = self._joined(str(here), target)
                if landing.scheme not in {"http", "https"} or (here.scheme, landing.scheme) == ("https", "http"):
                    raise UnexpectedResponse(
                        f"{self.provider} sent me to an address I don't follow.", provider=self.provider
                    )
                if not _same_place(here, landing):
                    auth, extra = None, _without_secrets(extra)
                here = landing
            else:
                raise UnexpectedResponse(f"{self.provider} redirects in a circle.", provider=self.provider)
            try:
                yield response
            except httpx.TransportError as exc:
                raise self._unreachable(exc, acted=method not in SAFE_METHODS) from exc
            except httpx.DecodingError as exc:
                raise UnexpectedResponse(
                    f"{self.provider} sent an answer I can't unpack.",
                    provider=self.provider,
                    status=response.status_code,
                ) from exc
            finally:
                await response.aclose()

    async def _answer(
        self,
        method: str,
        url: httpx.URL,
        headers: Mapping[str, str],
        body: bytes | None,
        auth: httpx.Auth | None,
    ) -> httpx.Response:
        self.requests += 1
        try:
            request = self._client.build_request(method, url, headers=headers, content=body, timeout=TIMEOUT)
            return await self._client.send(request, auth=auth, stream=True, follow_redirects=False)
        except (UnicodeEncodeError, httpx.LocalProtocolError):
            # Not chained: the cause may hold the token.
            raise AuthFailed(
                f"A header for {self.provider} holds characters that can't be sent; most likely the token does.",
                provider=self.provider,
                hint="Enter the token anew.",
            ) from None
        except (httpx.UnsupportedProtocol, httpx.InvalidURL) as exc:
            raise self._unreadable_address() from exc
        except httpx.TransportError as exc:
            reached = not isinstance(exc, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout)
            raise self._unreachable(exc, acted=reached and method not in SAFE_METHODS) from exc

    def _address(self, url: str) -> httpx.URL:
        try:
            return httpx.URL(url)
        except httpx.InvalidURL as exc:
            raise self._unreadable_address() from exc

    def _joined(self, base: str, target: str) -> httpx.URL:
        try:
            return httpx.URL(base).join(target)
        except httpx.InvalidURL as exc:
            raise self._unreadable_address() from exc

    def _unreadable_address(self) -> UnexpectedResponse:
        return UnexpectedResponse(f"{self.provider} gave an address I can't read.", provider=self.provider)

    async def _read(self, response: httpx.Response, cap: int) -> Reply:
        chunks: list[bytes] = []
        got = 0
        async for chunk in response.aiter_bytes():
            got += len(chunk)
            if got > cap:
                raise UnexpectedResponse(
                    f"{self.provider} answered with more than {cap // 1024**2} MiB; I stopped reading.",
                    provider=self.provider,
                    status=response.status_code,
                )
            chunks.append(chunk)
        return Reply(
            status=response.status_code,
            headers=response.headers,
            content=b"".join(chunks),
            url=str(response.request.url),
            provider=self.provider,
            secrets=_secrets(response.request.headers),
        )

    def _unreachable(self, exc: httpx.TransportError, *, acted: bool) -> Unavailable:
        if isinstance(exc, httpx.TimeoutException):
            said = f"{self.provider} has not answered in time."
        elif isinstance(exc, httpx.ConnectError):
            said = f"{self.provider} can't be reached: {_plain(str(exc)) or 'no connection'}."
        else:
            said = f"The connection to {self.provider} broke off."
        return Unavailable(said, provider=self.provider, acted=acted)

    def _error(self, reply: Reply, method: str) -> ProviderError:
        explained = self._map_error(reply)
        if explained is not None:
            return explained
        provider, status = self.provider, reply.status
        wait = retry_after(reply.headers, self._clock())
        if status == 429 or (status == 503 and wait is not None):
            return RateLimited(
                f"{provider} asks me to slow down.",
                provider=provider,
                status=status,
                retry_after=60.0 if wait is None else wait,
            )
        if status == 408 or status >= 500:
            return Unavailable(
                f"{provider} is having trouble (HTTP {status}).",
                provider=provider,
                status=status,
                acted=method not in SAFE_METHODS and status not in {501, 503},
            )
        if status < 400:
            return UnexpectedResponse(
                f"{provider} sent me elsewhere instead of answering.", provider=provider, status=status
            )
        said = message_of(reply)
        tail = f": {said}" if said else "."
        match status:
            case 401:
                return AuthFailed(
                    f"{provider} refused the credentials{tail}",
                    provider=provider,
                    status=status,
                    hint="An admin can replace them in App Home or in buildbell.toml.",
                )
            case 403:
                return AuthFailed(
                    f"{provider} does not let this connection do that{tail}",
                    provider=provider,
                    status=status,
                    hint="The token's role or scopes are too small.",
                )
            case 404 | 410:
                return NotFound(
                    f"{provider} has no such thing, or this connection may not see it{tail}",
                    provider=provider,
                    status=status,
                )
            case _:
                return Rejected(f"{provider} refused{tail}", provider=provider, status=status)


def message_of(reply: Reply) -> str | None:
    """Return what a refusal says in words, from the shapes vendors use, with the fields that it complains about.

    Never a web page, never the credentials or a signed address, never more than 300 characters.
    """
    content = reply.content[:ERROR_BODY_CHARACTERS]
    try:
        body: Any = read_json(content, object)
    except UNREADABLE:
        text = content.decode("utf-8", "replace").strip()
        return None if reply.is_page or "<" in text[:200] else _plain(text, reply.secrets) or None
    words = _words(body)
    if words is None or _PAGE.search(html.unescape(words)):
        return None
    return _plain(words, reply.secrets) or None


_PAGE = re.compile(r"<\s{0,20}(?:!doctype|html|head|body|script|style)\b", re.IGNORECASE)
_TAG = re.compile(r"</?(?:a|b|br|code|div|em|h\d|i|li|p|pre|span|strong|td|tr|ul)\b[^<>]*+>", re.IGNORECASE)
_ADDRESS_QUERY = re.compile(r"(https?://)(?:[^\s/@?#\"'<>]*+@)?([^\s?#\"'<>]++)(?:[?#][^\s\"'<>]*+)?", re.IGNORECASE)
_SECRET_HEADER = re.compile(r"auth|token|key|secret|cookie", re.IGNORECASE)
_MESSAGE_DEPTH = 6
_SAYINGS = (
    "error_description",
    "detail",
    "message",
    "error_message",
    "errorMessage",
    "faultstring",
    "description",
    "reason",
    "msg",
)
_INSIDE = ("errors", "error", "fault", "messages", "details")
_FIELDS = ("field", "attribute", "parameter", "property", "pointer", "param", "path", "loc")
_NO_FIELDS = frozenset({"base", "non_field_errors", "__all__"})
_MOST_SAYINGS = 5


def _words(body: Any, depth: int = _MESSAGE_DEPTH) -> str | None:
    """Return the words of a decoded refusal: its sentence, and after a colon what its list of errors adds."""
    if isinstance(body, str):
        return " ".join(body.split())[:2000] or None
    if depth == 0:
        return None
    if isinstance(body, list):
        return (
            "; ".join(dict.fromkeys(said for part in body[:_MOST_SAYINGS] if (said := _words(part, depth - 1)))) or None
        )
    if not isinstance(body, dict):
        return None
    said = next((said for name in _SAYINGS if (said := _words(body.get(name), depth - 1)) is not None), None)
    more = next((more for name in _INSIDE if (more := _words(body.get(name), depth - 1)) is not None), None)
    field = _field(body)
    if said is None and more is None:
        titled = _words(body.get("title"), depth - 1)
        return titled or _coded(body, field) or _by_field(body, depth)
    if said is not None and more == body.get("error"):
        more = None  # a code or the status's own phrase beside a sentence
    if said is None:
        return f"{field}: {more}" if field and more and field not in more else more
    if field and field.casefold() not in said.casefold():
        said = f"{field}: {said}"
    if more is None or more.casefold() in said.casefold():
        return said
    return more if said.rstrip(". ").casefold() in more.casefold() else f"{said.rstrip('.: ')}: {more}"


def _field(body: Mapping[str, Any]) -> str:
    """Return the name of the field that an error is about: `field`, JSON:API's `source.pointer`, a list of steps."""
    source = body.get("source")
    for holder in (body, source if isinstance(source, dict) else {}):
        for name in _FIELDS:
            value = holder.get(name)
            if isinstance(value, list):
                value = ".".join(str(part) for part in value if isinstance(part, str | int) and part != "body")
            if isinstance(value, str) and 0 < len(value) <= 200:
                return value.rpartition("/")[2] if value.startswith("/") else value
    return ""


def _coded(body: Mapping[str, Any], field: str) -> str | None:
    """Return an error that has a code and no sentence: `ref: missing_field`."""
    code = body.get("code") or body.get("type") or body.get("errorCode")
    if not isinstance(code, str) or not code:
        return None
    resource = body.get("resource")
    about = " ".join(part for part in (resource if isinstance(resource, str) else "", field) if part)
    said = code.replace("_", " ")
    return f"{about}: {said}" if about else said


def _by_field(body: Mapping[str, Any], depth: int) -> str | None:
    """Return errors listed under the names of the fields: `ref is invalid; variables are too many`."""
    is_inside = depth < _MESSAGE_DEPTH
    parts = [
        said if name in _NO_FIELDS else f"{name} {said}"
        for name, value in list(body.items())[:_MOST_SAYINGS]
        if (isinstance(value, list) or (is_inside and isinstance(value, str) and " " in value))
        and (said := _words(value, depth - 1))
    ]
    return "; ".join(parts) or None


def _plain(text: str, secrets: Collection[str] = ()) -> str:
    """Return one line of at most 300 characters without tags, credentials and the queries of addresses."""
    text = text[:ERROR_BODY_CHARACTERS]
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, "[…]")
    text = _TAG.sub(" ", html.unescape(text))
    text = redact(_ADDRESS_QUERY.sub(r"\1\2", clean_terminal(text[:4000])))
    line = " ".join(text.split()).rstrip(". ")
    return line if len(line) <= 300 else f"{line[:299]}…"


def _secrets(headers: httpx.Headers) -> frozenset[str]:
    """Return what a request carried to prove who it is, in each form in which an answer may repeat it."""
    found: set[str] = set()
    for name, value in headers.items():
        if not _SECRET_HEADER.search(name):
            continue
        scheme, _, rest = value.partition(" ")
        found.update((value, rest))
        if scheme.lower() == "basic":
            try:
                found.add(base64.b64decode(rest).decode("utf-8", "replace").partition(":")[2])
            except binascii.Error:
                continue
    return frozenset(secret for secret in found if len(secret) >= 6)


def _merged(base: Mapping[str, str], more: Mapping[str, str] | None) -> dict[str, str]:
    """Return headers with others in place of those of the same name, whatever their case."""
    given = dict(more or {})
    names = {name.lower() for name in given}
    return {**{name: value for name, value in base.items() if name.lower() not in names}, **given}


def _without_secrets(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the headers that any host may see."""
    return {name: value for name, value in headers.items() if name.lower() in {"accept", "range"}}


def _same_place(here: httpx.URL, there: httpx.URL) -> bool:
    """Return whether credentials may go along: the same origin, or the same host's https at the usual ports."""
    if _origin(here) == _origin(there):
        return True
    return here.host == there.host and (_origin(here)[2], _origin(there)[2]) == (80, 443)


def _patience(exc: Exception) -> float | bool:
    if isinstance(exc, RateLimited):
        return max(exc.retry_after, 0.05) if exc.retry_after <= LONGEST_PATIENCE_SECONDS else False
    return isinstance(exc, Unavailable)


def _pairs(query: Query) -> Iterator[tuple[str, str]]:
    for name, value in query.items():
        if value is None:
            continue
        if isinstance(value, str | int):
            yield name, str(value).lower() if isinstance(value, bool) else str(value)
        else:
            for part in value:
                yield name, str(part)


def _origin(url: httpx.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port or {"http": 80, "https": 443}.get(url.scheme)
