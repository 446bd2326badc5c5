"""Webhooks: whether one is signed with Travis's key, and what it says.

Page: https://docs.travis-ci.com/user/notifications/#verifying-webhook-requests, read in August 2026. The key is public
and belongs to the whole installation: a signature proves that Travis sent a webhook, so its owner is compared too.
"""

import base64
import binascii
import hashlib
from datetime import datetime, timedelta
from urllib.parse import unquote_to_bytes

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from bot.core.models import WebhookEvent
from bot.providers.travis import wire

KEY_LASTS = timedelta(hours=6)
KEY_RETRY = timedelta(minutes=10)


class WebhookKey:
    """The installation's public key: given by option, or fetched now and then."""

    def __init__(self, option: str | None) -> None:
        self._is_option = option is not None
        self._pem = option or ""
        self._fetched_at: datetime | None = None
        self._is_doubted = False

    def is_due(self, now: datetime) -> bool:
        """Return whether to fetch the key: there is none, it is old, or a signature has not fitted it since."""
        if self._is_option:
            return False
        if self._fetched_at is None:
            return True
        wait = KEY_LASTS if self._pem and not self._is_doubted else KEY_RETRY
        return now - self._fetched_at >= wait

    def store(self, pem: str | None, now: datetime) -> None:
        """Keep a fetched key; where none came the old one stays, and the next fetch waits."""
        self._pem = pem or self._pem
        self._fetched_at = now
        self._is_doubted = False

    @property
    def is_known(self) -> bool:
        """Whether there is a key."""
        return bool(self._pem)

    def verify(self, signature: str, payload: bytes) -> bool:
        """Return whether the signature is Travis's; where not, the key may have been replaced and is fetched earlier."""
        is_signed = _verify(self._pem, signature, payload)
        self._is_doubted = self._is_doubted or not is_signed
        return is_signed


def _verify(pem: str, signature: str, payload: bytes) -> bool:
    try:
        key = load_pem_public_key(pem.replace("\\n", "\n").encode())
        decoded = base64.b64decode(signature, validate=True)
        if not isinstance(key, RSAPublicKey):
            return False
        key.verify(decoded, payload, PKCS1v15(), SHA1())  # noqa: S303 - Travis signs by no other
    except (ValueError, binascii.Error, UnsupportedAlgorithm, InvalidSignature):
        return False
    return True


def payload_of(body: bytes) -> bytes:
    """Return the bytes of the form field that is signed, form encoding undone; empty without the field."""
    for field in body.split(b"&"):
        name, _, value = field.partition(b"=")
        if name == b"payload":
            return unquote_to_bytes(value.replace(b"+", b" "))
    return b""


def parse_event(payload: bytes, owner: str) -> WebhookEvent | None:
    """Return which build a payload names, or None for another owner's.

    The delivery is a digest of the payload: Travis numbers none. Raises UnexpectedResponse for one that does not read.
    """
    event = wire.Webhook.of(payload)
    if (event.repository.owner_name or "").lower() != owner.lower():
        return None
    return WebhookEvent(
        delivery=hashlib.sha256(payload).hexdigest(), pipeline=str(event.repository.id), build=str(event.id)
    )
