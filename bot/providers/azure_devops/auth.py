"""Who we are to Azure DevOps: a personal access token, or an application of Microsoft Entra whose tokens live an hour.

Facts: "Use personal access tokens" and "Use service principals and managed identities in Azure DevOps", read in August
2026. A service principal is added to the organization as a user: app permissions in Entra do nothing there.
"""

import asyncio
import base64
from collections.abc import AsyncGenerator, Generator
from datetime import UTC, datetime, timedelta
from typing import Self
from urllib.parse import quote, urlencode

import httpx
from pydantic import Field, SecretStr, model_validator
from typing_extensions import override

from bot.core.clock import Clock
from bot.core.errors import AuthFailed, ProviderError, RateLimited, Unavailable
from bot.http.client import Reply, message_of, retry_after
from bot.providers.azure_devops import wire
from bot.providers.base.options import Options

LABEL = "Azure DevOps"
LOGIN = "https://login.microsoftonline.com"
SCOPE = "499b84ac-1321-427f-aa17-267ca6975798/.default"
"""The resource that Azure DevOps is in Entra."""
EARLY = timedelta(minutes=5)
"""How long before its end a token is replaced."""
SHORTEST_LIFE = timedelta(minutes=1)
REFRESH_SECONDS = 30.0
SIGN_IN = frozenset({httpx.codes.UNAUTHORIZED, httpx.codes.NON_AUTHORITATIVE_INFORMATION, httpx.codes.FOUND})
"""How the service says that a credential does not serve: seldom with 401."""


class AzureOptions(Options):
    """An organization, and a personal access token or an application of Microsoft Entra."""

    organization: str = Field(
        min_length=1,
        pattern=r"^[^/\s]+$",
        description="The organization, as in dev.azure.com/ORGANIZATION; on a server of one's own the collection.",
    )
    project: str = Field(
        default="", pattern=r"^[^/]*$", description="The only project to speak of; all where left out."
    )
    token: SecretStr | None = Field(
        default=None,
        min_length=1,
        description="Personal access token: Build (read & execute), Test (read), Code (read), Project and Team (read).",
    )
    tenant_id: str = Field(default="", pattern=r"^[^/\s]*$", description="The Entra tenant, instead of a token.")
    client_id: str = Field(default="", description="The Entra application's client id.")
    client_secret: SecretStr | None = Field(default=None, description="The Entra application's secret.")
    api_version: str = Field(
        default="7.1",
        pattern=r"^\d+\.\d+$",
        description="The API's version: 7.0 for Azure DevOps Server 2022, 6.0 for Server 2020.",
    )

    @model_validator(mode="after")
    def _one_way_in(self) -> Self:
        entra = (self.tenant_id, self.client_id, self.client_secret)
        if self.token is not None and any(entra):
            message = "`token` and `client_secret` exclude each other: take one of them out."
            raise ValueError(message)
        if self.token is None and not all(entra):
            message = "`token` is missing, or all of `tenant_id`, `client_id` and `client_secret`."
            raise ValueError(message)
        return self


class TokenAuth(httpx.Auth):
    """Sends a personal access token as the password of nobody."""

    def __init__(self, token: SecretStr) -> None:
        self._token = token

    @override
    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        pair = f":{self._token.get_secret_value()}".encode()
        request.headers["Authorization"] = f"Basic {base64.b64encode(pair).decode()}"
        yield request


class EntraAuth(httpx.Auth):
    """Sends a token of Entra, fetched with client credentials.

    The flow itself fetches one where there is none that lasts five minutes more, one request at a time however many wait
    for it. An answer that means "sign in" makes it fetch another one, once: the request was then not taken. Raises
    AuthFailed, RateLimited, Unavailable for the fetching.
    """

    def __init__(self, *, tenant_id: str, client_id: str, client_secret: SecretStr, clock: Clock) -> None:
        self._address = f"{LOGIN}/{quote(tenant_id, safe='')}/oauth2/v2.0/token"
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
                    response = yield self._asking()
                    await response.aread()
                    self._keep(response)
                used = self._token
            request.headers["Authorization"] = f"Bearer {used.get_secret_value()}"
            response = yield request
            if response.status_code not in SIGN_IN:
                return
            if self._token is used:  # else another request has replaced it meanwhile
                self._good_until = datetime.min.replace(tzinfo=UTC)

    def _asking(self) -> httpx.Request:
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

    def _keep(self, response: httpx.Response) -> None:
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
    said = message_of(reply)
    return AuthFailed(
        f"Microsoft Entra gives me no token{f': {said}' if said else ''}.",
        provider=LABEL,
        status=reply.status,
        hint="Check `tenant_id`, `client_id` and `client_secret`; secrets of applications end.",
    )
