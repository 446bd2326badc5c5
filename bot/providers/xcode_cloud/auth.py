"""Credentials for App Store Connect: tokens signed with a key, and ready-made tokens with their scope.

Facts: Apple's "Generating Tokens for API Requests" and "Creating API Keys", checked 2026-11. An ordinary token lives at
most 20 minutes; up to six months only where its `scope` holds nothing but reads of the resources Apple lists.
"""

import base64
import binascii
import re
from collections.abc import Generator, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Self
from urllib.parse import parse_qsl, urlsplit

import httpx
import jwt
import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey
from cryptography.hazmat.primitives.serialization import load_der_private_key
from typing_extensions import override

from bot.core.clock import Clock

AUDIENCE = "appstoreconnect-v1"
BACKDATED_SECONDS = 30
LIFETIME_SECONDS = 19 * 60 + BACKDATED_SECONDS
SPARE_SECONDS = 60
ORDINARY_SECONDS = 1200
LONGEST_DAYS = 184

LONG_LIVED = frozenset(
    {
        "ciBuildActions",
        "ciBuildRuns",
        "ciIssues",
        "ciMacOsVersions",
        "ciProducts",
        "ciTestResults",
        "ciWorkflows",
        "ciXcodeVersions",
        "diagnosticSignatures",
        "perfPowerMetrics",
        "scmGitReferences",
        "scmProviders",
        "scmPullRequests",
        "scmRepositories",
    }
)
"""The resources that a token of up to six months may read."""

USE_A_KEY = "Give the connection `key_id`, `issuer_id` and `private_key` instead."

_PEM = re.compile(r"-----BEGIN ([A-Z0-9 ]+)-----((?:[^-]|-(?!----))*+)-----END \1-----", re.DOTALL)
_PKCS8_VERSION = b"\x02\x01\x00"


def signing_key(text: str) -> EllipticCurvePrivateKey:
    """Return the key in a .p8 file's text, also with line breaks lost or written as letters, or all of it as base64.

    Raises ValueError in words for the person who pasted it.
    """
    der = _pkcs8(text)
    try:
        key = load_der_private_key(der, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as exc:
        message = "`private_key` cannot be read. Paste the whole .p8 file that App Store Connect let you download once."
        raise ValueError(message) from exc
    if isinstance(key, EllipticCurvePrivateKey) and isinstance(key.curve, SECP256R1):
        return key
    message = "`private_key` is not an elliptic-curve P-256 key; Apple signs in with no other kind."
    raise ValueError(message)


def _pkcs8(text: str) -> bytes:
    plain = text.strip().replace("\\r", "").replace("\\n", "\n")
    if "-----BEGIN" not in plain:
        decoded = _unbase64(plain)
        if b"-----BEGIN" not in decoded:
            if _PKCS8_VERSION not in decoded[:8]:
                message = "`private_key` is no PKCS#8 key. Paste the whole .p8 file, or its base64 form."
                raise ValueError(message)
            return decoded
        plain = decoded.decode("ascii", "replace")
    block = _PEM.search(plain)
    if block is None:
        message = "`private_key` ends too early: the line with END PRIVATE KEY is missing."
        raise ValueError(message)
    label, body = block.groups()
    if label != "PRIVATE KEY":
        message = f"`private_key` holds a block named {label}; Apple's .p8 file holds one named PRIVATE KEY (PKCS#8)."
        raise ValueError(message)
    return _unbase64(body)


def _unbase64(text: str) -> bytes:
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError) as exc:
        message = "`private_key` is neither a PEM text nor base64. Paste the whole .p8 file."
        raise ValueError(message) from exc


class KeyAuth(httpx.Auth):
    """Signs tokens with the key, in memory; one serves until a minute before its end. A 401 makes a new one, once."""

    def __init__(self, key: EllipticCurvePrivateKey, *, key_id: str, issuer_id: str, clock: Clock) -> None:
        self._key = key
        self._key_id = key_id
        self._issuer_id = issuer_id
        self._clock = clock
        self._token = ""
        self._good_until = datetime.min.replace(tzinfo=UTC)

    @override
    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        used = self._current()
        request.headers["Authorization"] = f"Bearer {used}"
        response = yield request
        if response.status_code == httpx.codes.UNAUTHORIZED:
            if self._token == used:
                self._good_until = datetime.min.replace(tzinfo=UTC)
            request.headers["Authorization"] = f"Bearer {self._current()}"
            yield request

    def _current(self) -> str:
        now = self._clock()
        if now >= self._good_until:
            issued = int(now.timestamp()) - BACKDATED_SECONDS
            expires = issued + LIFETIME_SECONDS
            identity = {"iss": self._issuer_id} if self._issuer_id else {"sub": "user"}
            claims = {**identity, "iat": issued, "exp": expires, "aud": AUDIENCE}
            self._token = jwt.encode(claims, self._key, algorithm="ES256", headers={"kid": self._key_id})
            self._good_until = datetime.fromtimestamp(expires - SPARE_SECONDS, UTC)
        return self._token


class TokenAuth(httpx.Auth):
    """Sends a ready-made token."""

    def __init__(self, token: str) -> None:
        self._token = token

    @override
    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        request.headers["Authorization"] = f"Bearer {self._token}"
        yield request


class _Claims(msgspec.Struct):
    exp: int
    aud: str
    iat: int | None = None
    scope: list[str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadyToken:
    """What a ready-made token says about itself: its end, and the only requests that Apple lets through with it."""

    expires_at: datetime
    reads: tuple[tuple[str, frozenset[tuple[str, str]]], ...]

    @classmethod
    def of(cls, token: str) -> Self:
        """Return the token read, its signature unseen. Raises ValueError where it can't serve, with the reason."""
        try:
            claims = msgspec.convert(jwt.decode(token, options={"verify_signature": False}), _Claims)
            expires_at = datetime.fromtimestamp(claims.exp, UTC)
        except (jwt.InvalidTokenError, msgspec.ValidationError, ValueError, OverflowError, OSError) as exc:
            message = f"`token` is not a token for App Store Connect. {USE_A_KEY}"
            raise ValueError(message) from exc
        if claims.aud != AUDIENCE:
            message = f"`token` is meant for {claims.aud!r}, not for App Store Connect. {USE_A_KEY}"
            raise ValueError(message)
        lifetime = None if claims.iat is None else timedelta(seconds=claims.exp - claims.iat)
        if not claims.scope or (lifetime is not None and lifetime <= timedelta(seconds=ORDINARY_SECONDS)):
            message = (
                "`token` ends within 20 minutes: Apple gives a longer life only to a token with a `scope` of reads, "
                f"and that one can't start builds. {USE_A_KEY}"
            )
            raise ValueError(message)
        if lifetime is not None and lifetime > timedelta(days=LONGEST_DAYS):
            message = f"`token` is made for more than six months; Apple refuses it. {USE_A_KEY}"
            raise ValueError(message)
        return cls(expires_at=expires_at, reads=tuple(_long_lived_read(line) for line in claims.scope))

    def covers(self, path: str, query: Mapping[str, str | int]) -> bool:
        """Return whether Apple lets a request through: same path, same query, but for `limit`, `cursor` and `sort`."""
        return (_unversioned(path), _compared((name, str(value)) for name, value in query.items())) in self.reads


class _SentClaims(msgspec.Struct):
    exp: int = 0
    iat: int | None = None
    sub: str | None = None
    scope: list[str] | None = None


def refusal_hint(secrets: Iterable[str], *, path: str, server_time: datetime | None) -> str:
    """Return what to do about a token that Apple refused, read from its own claims: Apple does not say what is wrong.

    `secrets` are what the request carried; `server_time` is when Apple answered, by its own clock.
    """
    claims = next((sent for secret in secrets if (sent := _sent_claims(secret)) is not None), _SentClaims())
    if server_time is not None and claims.iat is not None and claims.scope is None:
        ahead = claims.iat + BACKDATED_SECONDS - server_time.timestamp()
        if ahead > BACKDATED_SECONDS or -ahead > ORDINARY_SECONDS - SPARE_SECONDS:
            way = "ahead of" if ahead > 0 else "behind"
            return f"This machine's clock is {abs(ahead):.0f} seconds {way} Apple's. Set it right."
    if claims.scope is not None:
        if server_time is not None and claims.exp <= server_time.timestamp():
            return f"The ready-made token has ended. Make a new one, of six months at most. {USE_A_KEY}"
        return (
            f"A ready-made token is good only for the requests in its scope, and for six months at most; this one was "
            f"`GET {path}`. {USE_A_KEY}"
        )
    if claims.sub == "user":
        return (
            "Without `issuer_id` I sign as one person. If the key is a team's, set `issuer_id`; if it is your own, compare "
            "`key_id` and the .p8 file, and see that it was not revoked."
        )
    return (
        "Compare `key_id`, `issuer_id` and the .p8 file, and see that the key was not revoked and that this machine's clock "
        "is right. A person's own key has no `issuer_id`: leave it out then."
    )


def _sent_claims(token: str) -> _SentClaims | None:
    try:
        return msgspec.convert(jwt.decode(token, options={"verify_signature": False}), _SentClaims)
    except (jwt.InvalidTokenError, msgspec.ValidationError):
        return None


def scope_line(path: str, query: Mapping[str, str | int]) -> str:
    """Return the line that a token's `scope` needs for a request."""
    compared = "&".join(f"{name}={value}" for name, value in query.items() if name not in _NOT_COMPARED)
    return f"GET /{path}?{compared}" if compared else f"GET /{path}"


_NOT_COMPARED = frozenset({"limit", "cursor", "sort"})


def _long_lived_read(line: str) -> tuple[str, frozenset[tuple[str, str]]]:
    method, _, address = line.strip().partition(" ")
    if method != "GET":
        message = f"`token` holds {line[:80]!r} in its scope; Apple gives a long life to reads (GET) only. {USE_A_KEY}"
        raise ValueError(message)
    split = urlsplit(address.strip())
    path = _unversioned(split.path)
    parts = path.split("/")
    if parts[0] not in LONG_LIVED or "artifacts" in parts:
        message = (
            f"`token` holds {line[:80]!r} in its scope; that is not on Apple's list of what a long-lived token may "
            f"read. {USE_A_KEY}"
        )
        raise ValueError(message)
    return path, _compared(parse_qsl(split.query, keep_blank_values=True))


def _unversioned(path: str) -> str:
    return path.strip("/").removeprefix("v1/")


def _compared(pairs: Iterable[tuple[str, str]]) -> frozenset[tuple[str, str]]:
    return frozenset((name, value) for name, value in pairs if name not in _NOT_COMPARED)
