"""Credentials: a personal access token, or an application of Microsoft Entra whose tokens live an hour.

Pages: "Use personal access tokens" and "Use service principals and managed identities in Azure DevOps", read in August
2026. A service principal is added to the organization as a user: app permissions in Entra do nothing there.
"""

import asyncio
import base64
from collections.abc import AsyncGenerator, Generator
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

import httpx
from pydantic import SecretStr
from typing_extensions import override

from bot.core.clock import Clock
from bot.core.errors import AuthFailed, ProviderError, RateLimited, Unavailable
from bot.http.errors import message_of
from bot.http.quota import retry_after
from bot.http.reply import Reply
from bot.providers.azure_devops import wire
from bot.providers.azure_devops.options import LABEL, AzureOptions
from bot.providers.base.urls import path

LOGIN = "https://login.microsoftonline.com"
SCOPE = "499b84ac-1321-427f-aa17-267ca6975798/.default"
"""The resource that Azure DevOps is in Entra."""
EARLY = timedelta(minutes=5)
"""How long before its end a token is replaced."""
SHORTEST_LIFE = timedelta(minutes=1)
REFRESH_SECONDS = 30.0
SIGN_IN = frozenset({httpx.codes.UNAUTHORIZED, httpx.codes.NON_AUTHORITATIVE_INFORMATION, httpx.codes.FOUND})
"""How the service says that a credential does not serve: seldom with 401."""


def credentials(options: AzureOptions, clock: Clock) -> httpx.Auth:
    """Return what adds the credentials that the options name."""
    if options.token is not None:
        return TokenAuth(options.token)
    return EntraAuth(
        tenant_id=options.tenant_id,
        client_id=options.client_id,
        client_secret=options.client_secret or SecretStr(""),
        clock=clock,
    )


class TokenAuth(httpx.Auth):
    """Adds a personal access token as the password of Basic credentials without a user name."""

    def __init__(self, token: SecretStr) -> None:
        self._token = token

    @override
    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        pair = f":{self._token.get_secret_value()}".encode()
        request.headers["Authorization"] = f"Basic {base64.b64encode(pair).decode()}"
        yield request


class EntraAuth(httpx.Auth):
    """Adds a bearer token of Entra, fetched with client credentials.

    A token that lasts less than five minutes more is replaced before the request is sent; requests that wait for it
    share one fetch. An answer that means "sign in" makes it fetch another token and send the request again, once: the
    first was refused and did nothing. Raises AuthFailed, RateLimited or Unavailable where no token is granted.
    """

    def __init__(self, *, tenant_id: str, client_id: str, client_secret: SecretStr, clock: Clock) -> None:
        self._address = "/".join((LOGIN, path(tenant_id, "oauth2", "v2.0", "token")))
        self._client_id = client_id
        self._client_secret = client_secret
        self._clock = clock
        self._lock = asyncio.Lock()
        self._token = SecretStr("")
        self._good_until = datetime.min.replace(tzinfo=UTC)

    @override
    async def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        for _try in range(2):
            async with self._lock:
                if self._clock() >= self._good_until:
                    response = yield self._token_request()
                    await response.aread()
                    self._keep_token(response)
                used = self._token
            request.headers["Authorization"] = f"Bearer {used.get_secret_value()}"
            response = yield request
            if response.status_code not in SIGN_IN:
                return
            if self._token is used:  # else another request has replaced it meanwhile
                self._good_until = datetime.min.replace(tzinfo=UTC)

    def _token_request(self) -> httpx.Request:
        form = {
            "grant_type": "client_credentials",
            "client_id": self._client_id,
            "client_secret": self._client_secret.get_secret_value(),
            "scope": SCOPE,
        }
        return httpx.Request(
            "POST",
            self._address,
            headers={"Accept": "application/json", "Content-Type": "application/x-www-form-urlencoded"},
            content=urlencode(form).encode(),
            extensions={"timeout": httpx.Timeout(REFRESH_SECONDS).as_dict()},
        )

    def _keep_token(self, response: httpx.Response) -> None:
        now = self._clock()
        reply = Reply(
            status=response.status_code,
            headers=response.headers,
            content=response.content,
            url=self._address,
            provider=LABEL,
            secrets=frozenset({self._client_secret.get_secret_value()}),
        )
        if reply.status != httpx.codes.OK:
            raise _no_token(reply, now)
        granted = wire.EntraToken.of(reply.raw)
        life = timedelta(seconds=min(max(granted.expires_in or 0, 0), 86_400))
        self._token = SecretStr(granted.access_token)
        # a clock that runs ahead must not make each request fetch a token
        self._good_until = now + max(life - EARLY, SHORTEST_LIFE)


def _no_token(reply: Reply, now: datetime) -> ProviderError:
    if reply.status == httpx.codes.TOO_MANY_REQUESTS:
        wait = retry_after(reply.headers, now)
        return RateLimited(
            "Microsoft Entra asks me to slow down.",
            provider=LABEL,
            status=reply.status,
            retry_after=60.0 if wait is None else wait,
        )
    if reply.status >= 500:
        return Unavailable(
            f"Microsoft Entra is having trouble (HTTP {reply.status}).", provider=LABEL, status=reply.status
        )
    reason = message_of(reply)
    return AuthFailed(
        f"Microsoft Entra gives me no token{f': {reason}' if reason else ''}.",
        provider=LABEL,
        status=reply.status,
        hint="Check `tenant_id`, `client_id` and `client_secret`; secrets of applications end.",
    )
