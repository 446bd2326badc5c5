"""Requests to CI systems: one `ApiClient` for each connection.

`sending` adds the credentials, remembers what the rate-limit headers say, repeats reads that may be repeated, and maps
every fault to one of `bot.core.errors` (`errors`); `paging` follows pages. No `httpx` exception leaves this package.
"""

from collections.abc import AsyncGenerator, Collection, Iterator, Mapping, Sequence
from contextlib import aclosing
from datetime import datetime, timedelta
from typing import ClassVar
from urllib.parse import urlencode

import httpx
import msgspec

from bot.core.acting import begin_act
from bot.core.clock import Clock
from bot.core.errors import UnexpectedResponse
from bot.http.budget import Budgeted, Purpose
from bot.http.errors import MapError, no_explanation
from bot.http.paging import NextPage, follow, link_next
from bot.http.quota import Quota, ReadQuota, no_quota
from bot.http.reply import Reply
from bot.http.sending import ANSWER_BYTES, RequestSender, merged

Query = Mapping[str, str | int | bool | Sequence[str | int] | None]

CONCURRENCY = 8
DOWNLOAD_BYTES = 256 * 1024 * 1024


class ApiClient:
    """One account at one CI system, over HTTP.

    `map_error` may turn a refusal into an error of its own (GitHub answers 403 when over the limit); `read_quota`
    reads the vendor's rate-limit headers. `client` is the process's; credentials and `headers` are added to each
    request to `base_url`'s origin and to those in `credential_origins`, never to the client and to nobody else.
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
        map_error: MapError = no_explanation,
        read_quota: ReadQuota = no_quota,
        headers: Mapping[str, str] | None = None,
        concurrency: int = CONCURRENCY,
        credential_origins: Collection[str] = (),
    ) -> None:
        self.base_url = base_url.rstrip("/")
        self.provider = provider
        self._sender = RequestSender(
            client,
            base_url=self.base_url,
            provider=provider,
            clock=clock,
            auth=auth,
            map_error=map_error,
            read_quota=read_quota,
            headers=merged({"Accept": self.JSON}, headers),
            concurrency=concurrency,
            credential_origins=credential_origins,
        )

    @property
    def quota(self) -> Quota | None:
        """Return what is left of the vendor's limit, as last reported or as its refusals taught."""
        return self._sender.allowance

    @property
    def not_before(self) -> datetime | None:
        """Return until when the vendor wants no requests."""
        return self._sender.not_before

    @property
    def clock_ahead(self) -> timedelta | None:
        """Return how far this machine's clock is ahead of the vendor's; None where no answer was dated."""
        return self._sender.clock_ahead

    @property
    def requests(self) -> int:
        """Return how many requests were sent."""
        return self._sender.requests

    @property
    def budget(self) -> Budgeted:
        """Return the account's budget, which processes share."""
        return self._sender

    def wait(self, purpose: Purpose) -> float:
        """Return the seconds until a request for a purpose may go out."""
        return self._sender.wait(purpose)

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
        return await self._sender.read("GET", self.url(path, query), headers, cap)

    async def head(self, path: str, query: Query | None = None, *, headers: Mapping[str, str] | None = None) -> Reply:
        """Return the headers of a read."""
        return await self._sender.read("HEAD", self.url(path, query), headers, ANSWER_BYTES)

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
        return await self._sender.exchange(method, self.url(path, query), extra, body, accept=accept)

    async def post(self, path: str, *, json: object = None, query: Query | None = None) -> Reply:
        """Return the answer to a POST, never repeated."""
        return await self.send("POST", path, json=json, query=query)

    async def ask(self, path: str, *, json: object) -> Reply:
        """Return the answer to a POST that only reads, as GraphQL's queries do; not repeated."""
        headers = {"Content-Type": self.JSON}
        return await self._sender.exchange("POST", self.url(path), headers, msgspec.json.encode(json))

    def replies(
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
        return follow(self._sender, self.url(path, query), next_page, headers=headers, ceiling=ceiling)

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
            self._sender.refuse_while_limited(None)
        async with self._sender.stream("GET", url, headers, None, credentials=credentials) as response:
            if not response.is_success:
                raise await self._sender.refusal_of(response)
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
        end = b""
        cut = False
        file = self.download(path, query, headers=headers, cap=cap, credentials=credentials)
        async with aclosing(file) as chunks:
            async for chunk in chunks:
                end += chunk
                if len(end) > 2 * keep:
                    end, cut = end[-keep:], True
        return end[-keep:], cut or len(end) > keep


def _pairs(query: Query) -> Iterator[tuple[str, str]]:
    for name, value in query.items():
        if value is None:
            continue
        if isinstance(value, str | int):
            yield name, str(value).lower() if isinstance(value, bool) else str(value)
        else:
            for part in value:
                yield name, str(part)
