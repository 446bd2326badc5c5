"""How a request goes out: credentials, redirects, limits, and the repetition of reads."""

import asyncio
import base64
import binascii
import logging
import math
import re
from collections import Counter
from collections.abc import AsyncIterator, Collection, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import cache
from types import ModuleType

import httpx

from bot.core.clock import Clock
from bot.core.clock import now as real_now
from bot.core.errors import AuthFailed, BudgetSpent, ProviderError, RateLimited, Unavailable, UnexpectedResponse
from bot.http.budget import Budget, BudgetState, Purpose, current_purpose
from bot.http.errors import MapError, error_of, plain
from bot.http.quota import LONGEST_WAIT_SECONDS, Quota, ReadQuota
from bot.http.reply import Reply
from bot.http.transport import TIMEOUT

log = logging.getLogger(__name__)

ANSWER_BYTES = 16 * 1024 * 1024
LONGEST_PATIENCE_SECONDS = 15.0
ATTEMPTS = 3
LEARN_FROM_CALLS = 60
"""Requests a minute below which a refusal says nothing of ours: somebody else has used up the account's limit."""
REDIRECTS = 5
SAFE_METHODS = frozenset({"GET", "HEAD"})
_SECRET_HEADER = re.compile(r"auth|token|key|secret|cookie", re.IGNORECASE)


@cache
def _stamina() -> ModuleType:
    """Return stamina, silent: with tenacity it is slow to import, and no start needs it."""
    import stamina  # noqa: PLC0415
    import stamina.instrumentation  # noqa: PLC0415

    stamina.instrumentation.set_on_retry_hooks([])
    return stamina


class RequestSender:
    """Sends the requests of one account, and maps every fault to one of `bot.core.errors`.

    At most `concurrency` requests are under way at once. Credentials and `headers` go to the origin of `base_url` and to
    those in `credential_origins`, and to no other. While a vendor's wait lasts (`not_before`) nothing is sent; what is
    not for a command is also held back (BudgetSpent) where little is left of the account's budget.
    """

    def __init__(
        self,
        client: httpx.AsyncClient,
        *,
        base_url: str,
        provider: str,
        clock: Clock,
        auth: httpx.Auth | None,
        map_error: MapError,
        read_quota: ReadQuota,
        headers: Mapping[str, str],
        concurrency: int,
        credential_origins: Collection[str],
    ) -> None:
        self.provider = provider
        self.quota: Quota | None = None
        self.not_before: datetime | None = None
        self.requests = 0
        self._dated: tuple[str, datetime] | None = None
        self.budget = Budget(least_calls=LEARN_FROM_CALLS)
        self.origin = origin_of(httpx.URL(base_url))
        self._client = client
        self._clock = clock
        self._auth = auth
        self._map_error = map_error
        self._read_quota = read_quota
        self._headers = headers
        self._slots = asyncio.Semaphore(concurrency)
        self._credential_origins = {self.origin, *(origin_of(httpx.URL(origin)) for origin in credential_origins)}

    async def read(self, method: str, url: str, headers: Mapping[str, str] | None, cap: int) -> Reply:
        """Return the answer to a read of at most `cap` bytes. Sent again on faults that pass, three times at most."""
        waited: datetime | None = None
        async for attempt in _stamina().retry_context(
            on=_patience, attempts=ATTEMPTS, timeout=45.0, wait_initial=0.2, wait_max=4.0, wait_jitter=0.5
        ):
            with attempt:
                try:
                    return await self.exchange(method, url, headers, None, cap, waited=waited)
                except RateLimited:
                    waited = self.not_before
                    raise
        raise AssertionError("unreachable")  # pragma: no cover - retry_context returns or raises

    async def exchange(
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
        """Send once and return the answer; `accept` are statuses beyond 2xx that are no refusal.

        `waited` is the `not_before` that the caller has slept through. Raises ProviderError for every refusal and fault.
        """
        self.refuse_while_limited(waited)
        async with self.stream(method, url, headers, body) as response:
            reply = await self._read_whole(response, cap)
        self._note_headers(reply)
        log.log(
            logging.DEBUG if method in SAFE_METHODS else logging.INFO,
            "a request to a CI system",
            extra={"provider": self.provider, "method": method, "path": httpx.URL(url).path, "status": reply.status},
        )
        if reply.status in accept:
            return reply
        if reply.status != httpx.codes.NOT_MODIFIED and not 200 <= reply.status < 300:
            raise self._refusal(reply, method)
        if reply.is_page and (reply.status == 203 or origin_of(httpx.URL(reply.url)) not in self._credential_origins):
            raise self._map_error(reply) or AuthFailed(
                f"{self.provider} sent me to a sign-in page instead of answering.",
                provider=self.provider,
                status=reply.status,
                hint="The token may be wrong or expired, or a sign-in page stands before the address.",
            )
        return reply

    def _note_headers(self, reply: Reply) -> None:
        now = self._clock()
        if (date := reply.headers.get("date")) and "age" not in reply.headers:  # a cache's answer is dated by its past
            self._dated = date, real_now()
        quota = self._read_quota(reply.headers, now)
        if quota is None:
            return
        self.quota = quota
        left = (quota.resets_at - now) / timedelta(seconds=1) if quota.resets_at else None
        self.budget.report(now.timestamp(), limit=quota.limit, remaining=quota.remaining, resets_in=left)

    @property
    def allowance(self) -> Quota | None:
        """Return what is left by the vendor's report or by the limit that its refusals taught, whichever is the smaller share."""
        left = self.budget.left(self._clock().timestamp())
        if left is None:
            return self.quota
        learned = Quota(limit=left[0], remaining=left[1])
        reported = self.quota
        if reported is None or reported.limit <= 0:
            return learned
        return min(reported, learned, key=lambda quota: quota.remaining / quota.limit)

    @property
    def clock_ahead(self) -> timedelta | None:
        """Return how far this machine's clock is ahead of the vendor's, as its last answer was dated; None where none was."""
        if self._dated is None:
            return None
        date, at = self._dated
        try:
            return at - parsedate_to_datetime(date)
        except (TypeError, ValueError):  # no date, or one without a time zone
            return None

    @property
    def held(self) -> Counter[Purpose]:
        """How many requests were held back, by purpose."""
        return self.budget.held

    def state(self) -> BudgetState:
        """Return what this process knows of the account's budget, the vendor's wait included."""
        now = self._clock()
        left = (self.not_before - now) / timedelta(seconds=1) if self.not_before else 0.0
        return replace(self.budget.state(now.timestamp()), pause=max(left, 0.0))

    def learn(self, others: Iterable[BudgetState]) -> None:
        """Take over what other processes know; a vendor's wait is theirs and ours."""
        now = self._clock()
        states = list(others)
        pause = max((state.pause - state.age for state in states), default=0.0)
        if pause > 0:
            until = now + timedelta(seconds=pause)
            self.not_before = until if self.not_before is None else max(self.not_before, until)
        self.budget.learn(now.timestamp(), [replace(state, pause=0.0) for state in states])

    def wait(self, purpose: Purpose) -> float:
        """Return the seconds until a request for a purpose may go out, as far as is known."""
        now = self._clock()
        left = (self.not_before - now) / timedelta(seconds=1) if self.not_before else 0.0
        return max(left, self.budget.wait(now.timestamp(), purpose))

    async def refusal_of(self, response: httpx.Response) -> ProviderError:
        """Return the error for the answer to a read that came as a stream."""
        return self._refusal(await self._read_whole(response, ANSWER_BYTES), "GET")

    def _refusal(self, reply: Reply, method: str) -> ProviderError:
        """Return the error for an answer, and remember how long the connection has to keep quiet."""
        error = self._map_error(reply) or error_of(reply, self._clock(), acts=method not in SAFE_METHODS)
        if isinstance(error, RateLimited) and origin_of(httpx.URL(reply.url)) in self._credential_origins:
            wait = timedelta(seconds=min(error.retry_after, LONGEST_WAIT_SECONDS))
            until = self._clock() + wait
            self.not_before = until if self.not_before is None else max(self.not_before, until)
            self.budget.refuse(self._clock().timestamp())
        return error

    def refuse_while_limited(self, waited: datetime | None) -> None:
        """Raise RateLimited while the vendor wants quiet, but not to who has slept until `waited` already.

        Raises BudgetSpent for what is to leave the rest of the budget to others.
        """
        purpose = current_purpose()
        wait = self.budget.wait(self._clock().timestamp(), purpose)
        if wait > 0:
            self.budget.hold(self._clock().timestamp(), purpose)
            raise BudgetSpent(
                f"{self.provider}'s request limit is nearly used up; I keep the rest for commands for {math.ceil(wait)} s.",
                provider=self.provider,
                retry_after=wait,
            )
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
    async def stream(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | None,
        body: bytes | None,
        *,
        credentials: bool = True,
    ) -> AsyncIterator[httpx.Response]:
        """Send once and yield the answer unread, whatever its status. Redirects of reads are followed.

        Credentials are dropped where a redirect leaves the origin, and never taken up again.
        """
        extra = merged(self._headers, headers)
        auth = self._auth
        here = self._address(url)
        if not credentials or origin_of(here) not in self._credential_origins:
            auth, extra = None, _without_secrets(extra)
        async with self._slots:
            for _hop in range(REDIRECTS + 1):
                response = await self._answer(method, here, extra, body, auth)
                target = response.headers.get("location")
                if not (response.is_redirect and target and method in SAFE_METHODS):
                    break
                await response.aclose()
                landing = self.joined(str(here), target)
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
        self.budget.spend(self._clock().timestamp())
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

    def joined(self, base: str, target: str) -> httpx.URL:
        """Return an address that may be relative to `base`. Raises UnexpectedResponse where it does not read."""
        try:
            return httpx.URL(base).join(target)
        except httpx.InvalidURL as exc:
            raise self._unreadable_address() from exc

    def _unreadable_address(self) -> UnexpectedResponse:
        return UnexpectedResponse(f"{self.provider} gave an address I can't read.", provider=self.provider)

    async def _read_whole(self, response: httpx.Response, cap: int) -> Reply:
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
            message = f"{self.provider} has not answered in time."
        elif isinstance(exc, httpx.ConnectError):
            message = f"{self.provider} can't be reached: {plain(str(exc)) or 'no connection'}."
        else:
            message = f"The connection to {self.provider} broke off."
        return Unavailable(message, provider=self.provider, acted=acted)


def _secrets(headers: httpx.Headers) -> frozenset[str]:
    """Return what a request carried to prove who it is, in each form in which an answer may repeat it."""
    secrets: set[str] = set()
    for name, value in headers.items():
        if not _SECRET_HEADER.search(name):
            continue
        scheme, _, rest = value.partition(" ")
        secrets.update((value, rest))
        if scheme.lower() == "basic":
            try:
                secrets.add(base64.b64decode(rest).decode("utf-8", "replace").partition(":")[2])
            except binascii.Error:
                continue
    return frozenset(secret for secret in secrets if len(secret) >= 6)


def merged(base: Mapping[str, str], more: Mapping[str, str] | None) -> dict[str, str]:
    """Return headers with others in place of those of the same name, whatever their case."""
    added = dict(more or {})
    names = {name.lower() for name in added}
    return {**{name: value for name, value in base.items() if name.lower() not in names}, **added}


def _without_secrets(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the headers that any host may see."""
    return {name: value for name, value in headers.items() if name.lower() in {"accept", "range"}}


def _same_place(before: httpx.URL, after: httpx.URL) -> bool:
    """Return whether credentials may go along: the same origin, or the same host's https at the usual ports."""
    if origin_of(before) == origin_of(after):
        return True
    return before.host == after.host and (origin_of(before)[2], origin_of(after)[2]) == (80, 443)


def _patience(exc: Exception) -> float | bool:
    if isinstance(exc, BudgetSpent):
        return False
    if isinstance(exc, RateLimited):
        return max(exc.retry_after, 0.05) if exc.retry_after <= LONGEST_PATIENCE_SECONDS else False
    return isinstance(exc, Unavailable)


def origin_of(url: httpx.URL) -> tuple[str, str, int | None]:
    """Return the scheme, the host and the port of an address."""
    return url.scheme, url.host, url.port or {"http": 80, "https": 443}.get(url.scheme)
