"""Which tokens Apple takes: whose key signed, for how long, with which claims, for which requests.

https://developer.apple.com/documentation/appstoreconnectapi/generating-tokens-for-api-requests
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from playground.ci.system import Call

AUDIENCE = "appstoreconnect-v1"
ORDINARY_SECONDS = 1200
LONGEST_SECONDS = 184 * 86_400
CLOCK_LEEWAY_SECONDS = 60
NOT_COMPARED = frozenset({"limit", "cursor", "sort"})
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
        "scmGitReferences",
        "scmProviders",
        "scmPullRequests",
        "scmRepositories",
    }
)
"""The resources that a token of up to six months may read."""


@dataclass(frozen=True, slots=True)
class Key:
    """An API key: a team's has an issuer, a person's own has none."""

    id: str
    issuer: str = ""
    private: ec.EllipticCurvePrivateKey = field(
        default_factory=lambda: ec.generate_private_key(ec.SECP256R1()), repr=False
    )

    @property
    def pem(self) -> str:
        """Return the key as the .p8 file holds it."""
        return self.private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()

    def fits(self, claims: Mapping[str, object]) -> bool:
        """Return whether a token says whose it is as this kind of key has to."""
        if self.issuer:
            return claims.get("iss") == self.issuer and "sub" not in claims
        return claims.get("sub") == "user" and "iss" not in claims


def is_valid(call: Call, keys: Mapping[str, Key], *, now: float, mount: str) -> bool:
    """Return whether a request's token is one that Apple takes for it."""
    scheme, _, token = call.header("authorization").partition(" ")
    try:
        key = keys.get(str(jwt.get_unverified_header(token).get("kid")))
        if key is None:
            return False
        claims = jwt.decode(
            token,
            key.private.public_key(),
            algorithms=["ES256"],
            audience=AUDIENCE,
            options={"require": ["iat", "exp"], "verify_exp": False, "verify_iat": False},
        )
    except jwt.PyJWTError:
        return False
    issued, ends, scope = claims["iat"], claims["exp"], claims.get("scope")
    if scheme != "Bearer" or not all(isinstance(at, int | float) for at in (issued, ends)) or not key.fits(claims):
        return False
    if ends <= now or issued > now + CLOCK_LEEWAY_SECONDS:
        return False
    longest = LONGEST_SECONDS if _reads_only(scope) else ORDINARY_SECONDS
    return ends - issued <= longest and (scope is None or _covers(call, scope, mount))


def _reads_only(scope: object) -> bool:
    """Return whether a scope holds reads of the resources alone that a long-lived token may read."""
    if not isinstance(scope, list) or not scope:
        return False
    for entry in scope:
        method, _, address = str(entry).partition(" ")
        parts = address.partition("?")[0].strip("/").split("/")
        if method != "GET" or parts[:1] != ["v1"] or not set(parts[1:2]) <= LONG_LIVED or "artifacts" in parts:
            return False
    return True


def _covers(call: Call, scope: object, mount: str) -> bool:
    """Return whether a scope names this very request: method, path and query, but for paging and order."""
    if not isinstance(scope, list):
        return False
    path = call.raw_path.partition(mount)[2]
    query = _compared(call.request.query_params.multi_items())
    for entry in scope:
        method, _, address = str(entry).partition(" ")
        named, _, written = address.partition("?")
        if (method, named) == (call.request.method, path) and query == _compared(
            parse_qsl(written, keep_blank_values=True)
        ):
            return True
    return False


def _compared(pairs: list[tuple[str, str]]) -> list[tuple[str, str]]:
    return sorted((name, value) for name, value in pairs if name not in NOT_COMPARED)
