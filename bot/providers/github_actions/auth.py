"""Who we are to GitHub: a personal access token, or a GitHub App's installation whose tokens live one hour.

Facts: "Authenticating as a GitHub App" and "Generating an installation access token", read in August 2026. An App's own
token (JWT, RS256) opens only what lies under `/app`; all else takes a token of the installation.
"""

import asyncio
import base64
import binascii
import re
from collections.abc import AsyncGenerator, Generator
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Self
from urllib.parse import urlsplit

import httpx
import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_der_private_key
from pydantic import Field, SecretStr, field_validator, model_validator
from typing_extensions import override

from bot.core.clock import Clock
from bot.core.errors import AuthFailed, ProviderError, RateLimited, Unavailable
from bot.http.client import Reply, message_of
from bot.providers.base.options import Options
from bot.providers.base.times import parse_time
from bot.providers.github_actions import limits, wire

LABEL = "GitHub Actions"
VERSION = "2022-11-28"
BACKDATED_SECONDS = 60
JWT_SECONDS = 540
EARLY = timedelta(minutes=5)
"""How long before its end an installation token is replaced."""
SHORTEST_LIFE = timedelta(minutes=1)
REFRESH_SECONDS = 30.0

_PEM = re.compile(r"-----BEGIN ((?:RSA )?PRIVATE KEY)-----((?:[^-]|-(?!----))*+)-----END \1-----", re.DOTALL)


class GitHubOptions(Options):
    """An owner at GitHub, and a personal access token or a GitHub App's installation."""

    owner: str = Field(
        min_length=1, pattern=r"^[^/\s]+$", description="The organization or user, as in github.com/OWNER."
    )
    token: SecretStr | None = Field(
        default=None, min_length=1, description="Personal access token: classic with `repo`, or fine-grained."
    )
    app_id: str = Field(
        default="", coerce_numbers_to_str=True, description="A GitHub App's id or client id, instead of a token."
    )
    installation_id: str = Field(
        default="",
        pattern=r"^\d*$",
        coerce_numbers_to_str=True,
        description="The number of the App's installation, the last part of its settings page's address.",
    )
    private_key: SecretStr | None = Field(
        default=None,
        description="The App's .pem file's text; line breaks may be written as \\n, or all of it as base64.",
    )
    api_version: str = Field(
        default=VERSION, pattern=r"^\d{4}-\d\d-\d\d$", description="The REST API's version, sent with each request."
    )

    @field_validator("private_key")
    @classmethod
    def _is_an_rsa_key(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            signing_key(value.get_secret_value())
        return value

    @field_validator("url")
    @classmethod
    def _is_an_api(cls, value: str) -> str:
        if urlsplit(value).hostname in {"github.com", "www.github.com"}:
            message = "`url` is the API's address. Leave it out for github.com; it is https://HOST/api/v3 for a server."
            raise ValueError(message)
        return value

    @model_validator(mode="after")
    def _one_way_in(self) -> Self:
        app = (self.app_id, self.installation_id, self.private_key)
        if self.token is not None and any(app):
            message = "`token` and an App's `app_id`, `installation_id` and `private_key` exclude each other."
            raise ValueError(message)
        if self.token is None and not all(app):
            message = "Give `token`, or a GitHub App's `app_id`, `installation_id` and `private_key`."
            raise ValueError(message)
        return self

    @property
    def is_app(self) -> bool:
        """Whether the connection is a GitHub App's installation."""
        return self.token is None


@lru_cache(maxsize=16)  # checking a key takes as long as a request, and options are read again and again
def signing_key(text: str) -> RSAPrivateKey:
    """Return the key in a .pem file's text, also with its line breaks lost or written as letters, or all as base64.

    Raises ValueError in words for the person who pasted it.
    """
    plain = text.strip().replace("\\r", "").replace("\\n", "\n")
    if "-----BEGIN" not in plain:
        plain = _unbase64(plain).decode("ascii", "replace")
    found = _PEM.search(plain)
    if found is None:
        message = "`private_key` holds no whole private key. Paste the .pem file that GitHub let you download."
        raise ValueError(message)
    try:
        key = load_der_private_key(_unbase64(found[2]), password=None)
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


class TokenAuth(httpx.Auth):
    """Sends a personal access token."""

    def __init__(self, token: SecretStr) -> None:
        self._token = token

    @override
    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        request.headers["Authorization"] = f"Bearer {self._token.get_secret_value()}"
        yield request


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
        self._tokens = f"{base_url}/app/installations/{installation_id}/access_tokens"
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
                    response = yield self._asking(request)
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
        path = url.path.removeprefix(self._base.path.rstrip("/"))
        return path == "/app" or path.startswith("/app/")

    def _asking(self, request: httpx.Request) -> httpx.Request:
        kept = {
            name: request.headers[name]
            for name in ("accept", "user-agent", limits.VERSION_HEADER)
            if name in request.headers
        }
        return httpx.Request(
            "POST",
            self._tokens,
            headers={**kept, "Authorization": f"Bearer {self.app_token()}"},
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


def _no_token(reply: Reply) -> ProviderError:
    limited = limits.limited(reply)
    if limited is not None:
        return RateLimited(f"{LABEL} asks me to slow down.", provider=LABEL, status=reply.status, retry_after=limited)
    if reply.status >= 500:
        return Unavailable(f"{LABEL} is having trouble (HTTP {reply.status}).", provider=LABEL, status=reply.status)
    said = message_of(reply)
    return AuthFailed(
        f"GitHub gives me no token for this installation{f': {said}' if said else ''}.",
        provider=LABEL,
        status=reply.status,
        hint="Check `app_id`, `installation_id` and `private_key`, and that the installation is not suspended.",
    )
