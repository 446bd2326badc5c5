"""Talking to CI systems: one `Api` for each connection.

It adds the credentials, follows pages, remembers what the rate-limit headers say, repeats reads that may be repeated,
and turns every fault into one of `bot.errors`. Nothing above this floor sees an `httpx` exception.
"""

import asyncio
import email.utils
import html
import re
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, TypeVar

import httpx
import msgspec
import stamina

from bot.clock import Clock
from bot.errors import (
    AuthFailed,
    NotFound,
    ProviderError,
    RateLimited,
    Rejected,
    Unavailable,
    UnexpectedResponse,
)

T = TypeVar("T")
Query = Mapping[str, str | int | bool | Sequence[str | int] | None]

CONCURRENCY = 8
TIMEOUT = httpx.Timeout(connect=5, read=20, write=10, pool=5)
ANSWER_BYTES = 16 * 1024 * 1024
DOWNLOAD_BYTES = 256 * 1024 * 1024
LONGEST_PATIENCE_SECONDS = 15.0
ATTEMPTS = 3
REDIRECTS = 5
SAFE_METHODS = frozenset({"GET", "HEAD"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Quota:
    """What a vendor's headers say is left: `remaining` of `limit` requests until `resets_at`."""

    limit: int
    remaining: int
    resets_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """A vendor's answer, read whole."""

    status: int
    headers: httpx.Headers
    content: bytes
    url: str
    provider: str

    @property
    def etag(self) -> str | None:
        """Return the validator to send back as If-None-Match."""
        return self.headers.get("etag")

    @property
    def text(self) -> str:
        """Return the body as text; undecodable bytes become replacement characters."""
        return self.content.decode("utf-8", "replace")

    @property
    def raw(self) -> msgspec.Raw:
        """Return the body for `Wire.of`."""
        return msgspec.Raw(self.content)

    def decode(self, kind: type[T]) -> T:
        """Return the body as `kind`. Raises UnexpectedResponse naming the field that does not fit."""
        try:
            return msgspec.json.decode(self.content, type=kind)
        except (msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError, RecursionError) as exc:
            raise UnexpectedResponse(
                f"{self.provider} answered in a form I don't know: {exc}.", provider=self.provider, status=self.status
            ) from exc

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
        except (msgspec.DecodeError, msgspec.ValidationError) as exc:
            raise UnexpectedResponse(
                f"{self.provider} answered in a form I don't know: {exc} - at `$.{member}`.",
                provider=self.provider,
                status=self.status,
            ) from exc


NextPage = Callable[[Reply], str | None]
Explain = Callable[[Reply], ProviderError | None]
ReadQuota = Callable[[httpx.Headers, datetime], Quota | None]


def link_next(reply: Reply) -> str | None:
    """Return the next page as an RFC 8288 `Link` header names it."""
    links = httpx.Response(200, headers=reply.headers).links
    return links.get("next", {}).get("url")


def no_explanation(_reply: Reply) -> ProviderError | None:
    """Say that the vendor has no ideas of its own about status codes."""
    return None


def no_quota(_headers: httpx.Headers, _now: datetime) -> Quota | None:
    """Say that the vendor sends no rate-limit headers."""
    return None


def retry_after(headers: httpx.Headers, now: datetime) -> float | None:
    """Return the seconds that a `Retry-After` header asks for, given as seconds or as a date."""
    value = headers.get("retry-after")
    if value is None:
        return None
    try:
        return max(float(value), 0.0)
    except ValueError:
        pass
    try:
        at = email.utils.parsedate_to_datetime(value)
    except ValueError:
        return None
    if at.tzinfo is None:
        at = at.replace(tzinfo=UTC)
    return max((at - now) / timedelta(seconds=1), 0.0)


class Api:
    """One account at one CI system, over HTTP.

    `explain` may turn a refusal into an error of its own (GitHub answers 403 when over the limit); `read_quota`
    reads the vendor's rate-limit headers. `client` is the process's; credentials are added to each request, never
    to the client. `max_answer_bytes` caps what is read.
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
        explain: Explain = no_explanation,
        read_quota: ReadQuota = no_quota,
        headers: Mapping[str, str] | None = None,
        concurrency: int = CONCURRENCY,
    ) -> None:
        self.base_url = base_url.rstrip("/")
        self.provider = provider
        self.quota: Quota | None = None
        self.not_before: datetime | None = None
        self.requests = 0
        self._client = client
        self._clock = clock
        self._auth = auth
        self._explain = explain
        self._read_quota = read_quota
        self._headers = {"Accept": self.JSON, **(headers or {})}
        self._gate = asyncio.Semaphore(concurrency)
        self._origin = _origin(httpx.URL(self.base_url))

    def url(self, path: str, query: Query | None = None) -> str:
        """Return the address of a path (or a whole address as it is) with a query. Lists repeat their name."""
        whole = path if path.startswith(("http://", "https://")) else f"{self.base_url}/{path.lstrip('/')}"
        pairs = list(_pairs(query or {}))
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
    ) -> Reply:
        """Return the answer to a write; never repeated.

        Raises Unavailable with `acted` set where the request may have taken effect without our hearing of it.
        """
        extra = dict(headers or {})
        body = content
        if json is not None:
            body = msgspec.json.encode(json)
            extra.setdefault("Content-Type", self.JSON)
        elif form is not None:
            body = str(httpx.QueryParams(list(form.items()))).encode()
            extra.setdefault("Content-Type", "application/x-www-form-urlencoded")
        return await self._exchange(method, self.url(path, query), extra, body, ANSWER_BYTES)

    async def post(self, path: str, *, json: object = None, query: Query | None = None) -> Reply:
        """Return the answer to a POST, never repeated."""
        return await self.send("POST", path, json=json, query=query)

    async def replies(
        self,
        path: str,
        query: Query | None = None,
        *,
        next_page: NextPage = link_next,
        headers: Mapping[str, str] | None = None,
        ceiling: int = 100,
    ) -> AsyncIterator[Reply]:
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
            url = str(httpx.URL(reply.url).join(following))
            if _origin(httpx.URL(url)) != self._origin:
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
    ) -> AsyncIterator[list[msgspec.Raw]]:
        """Yield a listing's items page by page; `member` names the list inside an object."""
        async for reply in self.replies(path, query, next_page=next_page, headers=headers, ceiling=ceiling):
            yield reply.items(member)

    async def download(
        self,
        path: str,
        query: Query | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        cap: int = DOWNLOAD_BYTES,
        credentials: bool = True,
    ) -> AsyncIterator[bytes]:
        """Yield a file's bytes. Redirects are followed, without the token when the host changes.

        `credentials=False` sends none at all (pre-signed addresses). Raises UnexpectedResponse past `cap` bytes.
        """
        async with self._stream("GET", self.url(path, query), headers, None, credentials=credentials) as response:
            if response.is_error or response.is_redirect:
                raise self._error(await self._read(response, ANSWER_BYTES), "GET")
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
        async for chunk in self.download(path, query, headers=headers, cap=cap, credentials=credentials):
            kept += chunk
            if len(kept) > 2 * keep:
                kept, cut = kept[-keep:], True
        return kept[-keep:], cut or len(kept) > keep

    async def _repeating(self, method: str, url: str, headers: Mapping[str, str] | None, cap: int) -> Reply:
        async for attempt in stamina.retry_context(
            on=_patience, attempts=ATTEMPTS, timeout=45.0, wait_initial=0.2, wait_max=4.0, wait_jitter=0.5
        ):
            with attempt:
                return await self._exchange(method, url, headers, None, cap)
        raise AssertionError("unreachable")  # pragma: no cover - retry_context returns or raises

    async def _exchange(
        self, method: str, url: str, headers: Mapping[str, str] | None, body: bytes | None, cap: int
    ) -> Reply:
        self._refuse_while_limited()
        async with self._stream(method, url, headers, body) as response:
            reply = await self._read(response, cap)
        now = self._clock()
        self.quota = self._read_quota(reply.headers, now) or self.quota
        if reply.status == httpx.codes.NOT_MODIFIED or 200 <= reply.status < 300:
            return reply
        error = self._error(reply, method)
        if isinstance(error, RateLimited):
            self.not_before = now + timedelta(seconds=error.retry_after)
        raise error

    def _refuse_while_limited(self) -> None:
        if self.not_before is None:
            return
        left = (self.not_before - self._clock()) / timedelta(seconds=1)
        if left <= 0:
            self.not_before = None
            return
        raise RateLimited(
            f"{self.provider} asks me to wait {left:.0f} s before the next request.",
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
        extra = {**self._headers, **(headers or {})}
        auth = self._auth if credentials else None
        async with self._gate:
            for _hop in range(REDIRECTS + 1):
                request = self._client.build_request(method, url, headers=extra, content=body, timeout=TIMEOUT)
                response = await self._answer(request, auth, method)
                target = response.headers.get("location")
                if not (response.is_redirect and target and method in SAFE_METHODS):
                    break
                await response.aclose()
                landing = httpx.URL(url).join(target)
                if landing.scheme not in {"http", "https"} or (
                    httpx.URL(url).scheme == "https" and landing.scheme != "https"
                ):
                    raise UnexpectedResponse(
                        f"{self.provider} sent me to an address I don't follow.", provider=self.provider
                    )
                if _origin(landing) != self._origin:
                    auth = None
                    extra = {name: value for name, value in extra.items() if name.lower() in {"accept", "range"}}
                url = str(landing)
            else:
                raise UnexpectedResponse(f"{self.provider} sent me round in circles.", provider=self.provider)
            try:
                yield response
            except httpx.TransportError as exc:
                raise self._unreachable(exc, acted=method not in SAFE_METHODS) from exc
            finally:
                await response.aclose()

    async def _answer(self, request: httpx.Request, auth: httpx.Auth | None, method: str) -> httpx.Response:
        self.requests += 1
        try:
            return await self._client.send(request, auth=auth, stream=True, follow_redirects=False)
        except httpx.TransportError as exc:
            reached = not isinstance(exc, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout)
            raise self._unreachable(exc, acted=reached and method not in SAFE_METHODS) from exc
        except httpx.InvalidURL as exc:
            raise UnexpectedResponse(f"{self.provider} gave an address I can't read.", provider=self.provider) from exc

    async def _read(self, response: httpx.Response, cap: int) -> Reply:
        chunks: list[bytes] = []
        got = 0
        try:
            async for chunk in response.aiter_bytes():
                got += len(chunk)
                if got > cap:
                    raise UnexpectedResponse(
                        f"{self.provider} answered with more than {cap // 1024**2} MiB; I stopped reading.",
                        provider=self.provider,
                        status=response.status_code,
                    )
                chunks.append(chunk)
        except httpx.DecodingError as exc:
            raise UnexpectedResponse(
                f"{self.provider} sent an answer I can't unpack.", provider=self.provider, status=response.status_code
            ) from exc
        return Reply(
            status=response.status_code,
            headers=response.headers,
            content=b"".join(chunks),
            url=str(response.request.url),
            provider=self.provider,
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
        explained = self._explain(reply)
        if explained is not None:
            return explained
        said = message_of(reply)
        about = {"provider": self.provider, "status": reply.status}
        tail = f": {said}" if said else "."
        match reply.status:
            case 401:
                return AuthFailed(
                    f"{self.provider} refused the credentials{tail}",
                    hint="An admin can replace them in App Home or in buildbell.toml.",
                    **about,
                )
            case 403:
                return AuthFailed(
                    f"{self.provider} does not let this connection do that{tail}",
                    hint="The token's role or scopes are too small.",
                    **about,
                )
            case 404 | 410:
                return NotFound(f"{self.provider} has no such thing, or this connection may not see it{tail}", **about)
            case 429:
                wait = retry_after(reply.headers, self._clock())
                return RateLimited(
                    f"{self.provider} asks me to slow down.", retry_after=60.0 if wait is None else wait, **about
                )
            case status if status >= 500 or status == 408:
                wait = retry_after(reply.headers, self._clock())
                if status == 503 and wait is not None:
                    return RateLimited(f"{self.provider} asks me to wait.", retry_after=wait, **about)
                return Unavailable(
                    f"{self.provider} is having trouble (HTTP {status}).",
                    acted=method not in SAFE_METHODS and status in {408, 500, 502, 504},
                    **about,
                )
            case status if 300 <= status < 400:
                return UnexpectedResponse(f"{self.provider} sent me elsewhere instead of answering.", **about)
            case _:
                return Rejected(f"{self.provider} refused{tail}", **about)


def message_of(reply: Reply) -> str | None:
    """Return what a refusal says in words, from the shapes vendors use; never HTML, never more than 300 characters."""
    try:
        body: Any = msgspec.json.decode(reply.content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        text = reply.text.strip()
        is_page = "<" in text[:200] or "html" in reply.headers.get("content-type", "")
        return None if is_page or not text else _plain(text)
    words = _words(body)
    return _plain(words) if words else None


def _words(body: Any) -> str | None:
    if isinstance(body, str):
        return body
    if isinstance(body, list):
        found = [said for part in body[:3] if (said := _words(part))]
        return "; ".join(found) or None
    if not isinstance(body, dict):
        return None
    for name in ("error_description", "detail", "message", "error_message", "errors", "error", "title", "base"):
        if (said := _words(body.get(name))) is not None:
            return said
    parts = [
        f"{name} {said}"
        for name, value in list(body.items())[:3]
        if isinstance(value, list) and (said := _words(value))
    ]
    return "; ".join(parts) or None


def _plain(text: str) -> str:
    line = html.unescape(re.sub(r"\s+", " ", text)).strip().rstrip(".")
    return line if len(line) <= 300 else f"{line[:299]}…"


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
