"""Credentials: a GitHub App's installation, whose tokens live one hour, and what a connection's credentials may do.

Facts: "Authenticating as a GitHub App" and "Generating an installation access token", read in August 2026. An App's own
token (JWT, RS256) opens only what lies under `/app`; all else takes a token of the installation.
"""

import asyncio
import base64
import binascii
import re
from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta
from functools import lru_cache

import httpx
import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_der_private_key
from typing_extensions import override

from bot.core.clock import Clock
from bot.core.errors import AuthFailed, NotFound, ProviderError, RateLimited, Unavailable
from bot.core.models import Account, Scope
from bot.http.client import ApiClient
from bot.http.errors import message_of
from bot.http.reply import Reply
from bot.providers.base.scopes import ComparedScopes, compare_scopes
from bot.providers.base.times import parse_time
from bot.providers.base.urls import path
from bot.providers.github_actions import errors, wire
from bot.providers.github_actions.errors import LABEL

BACKDATED_SECONDS = 60
JWT_SECONDS = 540
EARLY = timedelta(minutes=5)
"""How long before its end an installation token is replaced."""
SHORTEST_LIFE = timedelta(minutes=1)
REFRESH_SECONDS = 30.0
EXPIRY_WARNING = timedelta(days=14)
PERMISSIONS = (
    Scope(name="actions: write", purpose="runs, logs, artifacts, notifications; start, cancel, run again"),
    Scope(
        name="contents: read",
        purpose="branches, and the inputs that a workflow takes",
        also=("contents: write",),
    ),
    Scope(
        name="checks: read",
        purpose="counts of errors and warnings; an App can have it, a token cannot",
        also=("checks: write",),
    ),
    Scope(
        name="deployments: read",
        purpose="builds that wait for the approval of an environment",
        also=("deployments: write",),
    ),
)
"""Of a GitHub App or a fine-grained token, in GitHub's words with their level."""
CLASSIC = (Scope(name="repo", purpose="everything, with a classic token"),)
SCOPES = (*PERMISSIONS, *CLASSIC)

_PEM = re.compile(r"-----BEGIN ((?:RSA )?PRIVATE KEY)-----((?:[^-]|-(?!----))*+)-----END \1-----", re.DOTALL)


@lru_cache(maxsize=16)  # checking a key takes as long as a request, and options are read again and again
def signing_key(text: str) -> RSAPrivateKey:
    """Return the key in a .pem file's text, also with its line breaks lost or written as letters, or all as base64.

    Raises ValueError in words for the person who pasted it.
    """
    plain = text.strip().replace("\\r", "").replace("\\n", "\n")
    if "-----BEGIN" not in plain:
        plain = _unbase64(plain).decode("ascii", "replace")
    block = _PEM.search(plain)
    if block is None:
        message = "`private_key` holds no whole private key. Paste the .pem file that GitHub let you download."
        raise ValueError(message)
    try:
        key = load_der_private_key(_unbase64(block[2]), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as exc:
        message = "`private_key` cannot be read. Paste the whole .pem file that GitHub let you download."
        raise ValueError(message) from exc
    if not isinstance(key, RSAPrivateKey):
        message = "`private_key` is not an RSA key; GitHub Apps have no other kind."
        raise ValueError(message)  # noqa: TRY004 - pydantic turns a ValueError into words for the person
    return key


def _unbase64(text: str) -> bytes:
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError) as exc:
        message = "`private_key` is neither a PEM text nor base64. Paste the whole .pem file."
        raise ValueError(message) from exc


class AppAuth(httpx.Auth):
    """Sends an installation's token, and the App's own one below `/app`.

    The flow itself fetches a token where there is none that lasts five minutes more, one request at a time however many
    wait for it. A 401 makes it fetch another one, once. Raises AuthFailed, RateLimited, Unavailable for the fetching:
    the request that waited for it was then not sent.
    """

    def __init__(self, key: RSAPrivateKey, *, app_id: str, installation_id: str, base_url: str, clock: Clock) -> None:
        self._key = key
        self._app_id = app_id
        self._base = httpx.URL(base_url)
        self._tokens = f"{base_url}/{path('app', 'installations', installation_id, 'access_tokens')}"
        self._clock = clock
        self._lock = asyncio.Lock()
        self._token = ""
        self._good_until = datetime.min.replace(tzinfo=UTC)

    @override
    async def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        if self._is_apps_own(request.url):
            request.headers["Authorization"] = f"Bearer {self.app_token()}"
            yield request
            return
        for _try in range(2):
            async with self._lock:
                if self._clock() >= self._good_until:
                    response = yield self._token_request(request)
                    await response.aread()
                    self._keep(response)
                used = self._token
            request.headers["Authorization"] = f"Bearer {used}"
            response = yield request
            if response.status_code != httpx.codes.UNAUTHORIZED:
                return
            if self._token == used:  # else another request has replaced it meanwhile
                self._good_until = datetime.min.replace(tzinfo=UTC)

    def app_token(self) -> str:
        """Return the App's own token, good for nine minutes, dated back for clocks that differ."""
        now = int(self._clock().timestamp())
        claims = {"iat": now - BACKDATED_SECONDS, "exp": now + JWT_SECONDS, "iss": self._app_id}
        return jwt.encode(claims, self._key, algorithm="RS256")

    def _is_apps_own(self, url: httpx.URL) -> bool:
        below = url.path.removeprefix(self._base.path.rstrip("/"))
        return below == "/app" or below.startswith("/app/")

    def _token_request(self, request: httpx.Request) -> httpx.Request:
        client_headers = {
            name: request.headers[name]
            for name in ("accept", "user-agent", errors.VERSION_HEADER)
            if name in request.headers
        }
        return httpx.Request(
            "POST",
            self._tokens,
            headers={**client_headers, "Authorization": f"Bearer {self.app_token()}"},
            extensions={"timeout": httpx.Timeout(REFRESH_SECONDS).as_dict()},
        )

    def _keep(self, response: httpx.Response) -> None:
        reply = Reply(
            status=response.status_code,
            headers=response.headers,
            content=response.content,
            url=self._tokens,
            provider=LABEL,
        )
        if not response.is_success:
            raise _no_token(reply)
        granted = wire.InstallationToken.of(reply.raw)
        now = self._clock()
        ends = parse_time(granted.expires_at) or now + EARLY
        self._token = granted.token
        # a clock that runs ahead must not make each request fetch a token
        self._good_until = max(ends - EARLY, now + SHORTEST_LIFE)


class Identity:
    """Whose credentials one connection has, what they lack, and the name under which GitHub records what they do.

    `installation_id` is empty for a personal access token.
    """

    def __init__(self, api: ApiClient, *, owner: str, installation_id: str, clock: Clock) -> None:
        self._api = api
        self._owner = owner
        self._installation_id = installation_id
        self._clock = clock
        self._login = ""

    async def login(self) -> str:
        """Return the login that stands at what this connection starts. Costs one request, once."""
        if not self._login and self._installation_id:
            self._login = f"{wire.App.of((await self._api.get('app')).raw).slug}[bot]"
        elif not self._login:
            self._login = wire.User.of((await self._api.get("user")).raw).login or ""
        return self._login

    async def account(self) -> Account:
        """Return whose credentials these are.

        A token costs one request, and one more where its user is not the owner; an App three, and one for its token.
        """
        return await (self._of_app() if self._installation_id else self._of_token())

    async def _of_token(self) -> Account:
        reply = await self._api.get("user")
        user = wire.User.of(reply.raw)
        self._login = user.login or ""
        owner = self._owner
        scopes, warnings = _scopes(reply.headers)
        ends = parse_time(reply.headers.get("github-authentication-token-expiration"))
        if ends is not None and ends - self._clock() < EXPIRY_WARNING:
            warnings.append(f"The token ends on {ends:%Y-%m-%d}.")
        if self._login.lower() != owner.lower() and not await self._sees_organization():
            warnings.append(
                f"I see no organization {owner}. If it is a person, I know what is shared with {self._login}."
            )
        return Account(
            name=self._login or user.name or "a token",
            detail=owner,
            granted=scopes.granted,
            missing=scopes.missing,
            warnings=tuple(warnings),
            expires_at=ends,
        )

    async def _of_app(self) -> Account:
        app = wire.App.of((await self._api.get("app")).raw)
        owner = self._owner
        reply = await self._api.get(path("app", "installations", self._installation_id))
        installed = wire.Installation.of(reply.raw)
        if installed.suspended_at:
            raise AuthFailed(
                "The installation of this App is suspended.",
                provider=LABEL,
                hint="An owner lifts that in the organization's settings, under GitHub Apps.",
            )
        await self._api.get("installation/repositories", {"per_page": 1})
        account = installed.account.login if installed.account else None
        warnings = []
        if account and account.lower() != owner.lower():
            warnings.append(f"The App is installed at {account}, not at {owner}.")
        granted = [f"{name}: {level}" for name, level in (installed.permissions or {}).items()]
        scopes = compare_scopes(PERMISSIONS, granted)
        return Account(
            name=app.name or app.slug or "a GitHub App",
            detail=account or owner,
            granted=scopes.granted,
            missing=scopes.missing,
            warnings=tuple(warnings),
        )

    async def _sees_organization(self) -> bool:
        try:
            await self._api.get(path("orgs", self._owner, "repos"), {"per_page": 1})
        except NotFound:
            return False
        return True


def _scopes(headers: httpx.Headers) -> tuple[ComparedScopes, list[str]]:
    """Return what a classic token has and lacks, and what to know of a fine-grained one: it does not report its rights."""
    granted = {scope.strip() for scope in headers.get("x-oauth-scopes", "").split(",")} - {""}
    if not granted:
        return ComparedScopes(), [
            "A fine-grained token can't read annotations, so issues are counted from the logs of failed jobs."
        ]
    if "public_repo" in granted and "repo" not in granted:
        return ComparedScopes(), ["With the scope public_repo I see public repositories only."]
    return compare_scopes(CLASSIC, granted), []


def _no_token(reply: Reply) -> ProviderError:
    limited = errors.limited(reply)
    if limited is not None:
        return RateLimited(f"{LABEL} asks me to slow down.", provider=LABEL, status=reply.status, retry_after=limited)
    if reply.status >= 500:
        return Unavailable(f"{LABEL} is having trouble (HTTP {reply.status}).", provider=LABEL, status=reply.status)
    message = message_of(reply)
    return AuthFailed(
        f"GitHub gives me no token for this installation{f': {message}' if message else ''}.",
        provider=LABEL,
        status=reply.status,
        hint="Check `app_id`, `installation_id` and `private_key`, and that the installation is not suspended.",
    )
