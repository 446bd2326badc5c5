"""What Travis signs its webhooks with, and what they say.

Page: https://docs.travis-ci.com/user/notifications/#verifying-webhook-requests, read in August 2026. The key is public
and belongs to the whole installation: a signature says that Travis sent a thing, and the owner in it is looked at besides.
"""

import base64
import binascii
from datetime import datetime, timedelta
from urllib.parse import unquote_to_bytes

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.serialization import load_pem_public_key

LASTS = timedelta(hours=6)
DOUBT = timedelta(minutes=10)


class HookKey:
    """The installation's public key: given by option, or fetched now and then."""

    def __init__(self, given: str | None) -> None:
        self._given = given
        self._pem = given or ""
        self._asked_at: datetime | None = None
        self._doubted = False

    def is_due(self, now: datetime) -> bool:
        """Return whether to fetch the key: it is not there, or old, or a signature did not fit it since."""
        if self._given is not None:
            return False
        if self._asked_at is None:
            return True
        wait = LASTS if self._pem and not self._doubted else DOUBT
        return now - self._asked_at >= wait

    def asked(self, pem: str | None, now: datetime) -> None:
        """Take what was fetched; where nothing came, the old key stays and another try waits."""
        self._pem = pem or self._pem
        self._asked_at = now
        self._doubted = False

    @property
    def known(self) -> bool:
        """Whether there is a key."""
        return bool(self._pem)

    def signed(self, signature: str, payload: bytes) -> bool:
        """Return whether the signature is Travis's; where not, the key may have been replaced."""
        fits = _signed(self._pem, signature, payload)
        self._doubted = self._doubted or not fits
        return fits


def _signed(pem: str, signature: str, payload: bytes) -> bool:
    try:
        key = load_pem_public_key(pem.replace("\\n", "\n").encode())
        given = base64.b64decode(signature, validate=True)
        if not isinstance(key, RSAPublicKey):
            return False
        key.verify(given, payload, PKCS1v15(), SHA1())  # noqa: S303 - Travis signs by no other
    except (ValueError, binascii.Error, UnsupportedAlgorithm, InvalidSignature):
        return False
    return True


def payload_of(body: bytes) -> bytes:
    """Return the form field that is signed, its bytes as they were before they were put in a form; empty without one."""
    for part in body.split(b"&"):
        name, _, value = part.partition(b"=")
        if name == b"payload":
            return unquote_to_bytes(value.replace(b"+", b" "))
    return b""
