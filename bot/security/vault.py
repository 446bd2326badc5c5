"""Secrets at rest: `Vault` seals texts with AES-256-GCM under a ring of keys; the first seals, all open.

A sealed text carries its format's version, the key's id, the nonce and the ciphertext. What it is about (account,
provider, field) is bound to it: copied into another row it does not open.
"""

import base64
import binascii
import re
import secrets
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, Self

from bot.core.errors import BotError

if TYPE_CHECKING:  # cryptography is imported where there is a key: an empty ring needs none of it
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

VERSION = 1
KEY_BYTES = 32
NONCE_BYTES = 12
TAG_BYTES = 16
NEW_KEY_HINT = "Make a key with `buildbell doctor --new-key` and set it as BUILDBELL_KEYS."

_KEY_ID = re.compile(r"[A-Za-z0-9_.-]{1,32}")


class Vault:
    """A ring of keys, (id, 32 bytes) each; the first one seals. An empty ring opens and seals nothing."""

    empty: ClassVar["Vault"]

    def __init__(self, keys: Sequence[tuple[str, bytes]]) -> None:
        self._ring: dict[str, AESGCM] = {}
        for key_id, key in keys:
            if _KEY_ID.fullmatch(key_id) is None:
                raise BotError(
                    "The id of an encryption key must be 1 to 32 letters, figures, dots, dashes or underscores.",
                    hint=NEW_KEY_HINT,
                )
            if len(key) != KEY_BYTES:
                raise BotError(
                    f"The encryption key `{key_id}` has {len(key)} bytes instead of {KEY_BYTES}.", hint=NEW_KEY_HINT
                )
            if key_id in self._ring:
                raise BotError(f"Two encryption keys have the id `{key_id}`.", hint="Give each key its own id.")
            self._ring[key_id] = _cipher(key)
        self.current: str | None = keys[0][0] if keys else None

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Return the ring that `id:base64,id2:base64` describes. Raises BotError saying what is wrong with which."""
        keys: list[tuple[str, bytes]] = []
        for place, entry in enumerate((part.strip() for part in text.split(",")), start=1):
            if not entry:
                continue
            key_id, colon, encoded = (part.strip() for part in entry.partition(":"))
            if not colon or not key_id or not encoded:
                raise BotError(
                    f"The encryption key number {place} does not read as `id:base64 of {KEY_BYTES} bytes`.",
                    hint=NEW_KEY_HINT,
                )
            keys.append((key_id, _decoded(encoded, f"The encryption key number {place} is not base64.")))
        return cls(keys)

    @property
    def can_seal(self) -> bool:
        """Whether there is a key at all."""
        return self.current is not None

    @staticmethod
    def key_id_of(sealed: str) -> str:
        """Return the id of the key that opens a sealed text. Raises BotError where it is none."""
        return _parts(sealed)[0]

    def seal(self, plain: str, *, about: str) -> str:
        """Return a text that only this ring opens, and only for the same `about`. Raises BotError without keys."""
        if self.current is None:
            raise BotError("I have no encryption key, so I can't keep secrets.", hint=NEW_KEY_HINT)
        head = _head(self.current)
        nonce = secrets.token_bytes(NONCE_BYTES)
        locked = self._ring[self.current].encrypt(nonce, plain.encode(), _bound(head, about))
        return base64.urlsafe_b64encode(head + nonce + locked).decode("ascii")

    def open(self, sealed: str, *, about: str) -> str:
        """Return what was sealed. Raises BotError where the key is unknown, or the text changed or was moved."""
        key_id, head, nonce, locked = _parts(sealed)
        key = self._ring.get(key_id)
        if key is None:
            raise BotError(
                f"A secret is sealed with the key `{key_id}`, which I don't have.",
                hint=f"Put the key `{key_id}` back into BUILDBELL_KEYS.",
            )
        from cryptography.exceptions import InvalidTag  # noqa: PLC0415 - see above

        try:
            return key.decrypt(nonce, locked, _bound(head, about)).decode()
        except InvalidTag as exc:
            raise BotError(
                f"A secret does not open: it was changed, moved to another place, or another key is called `{key_id}`.",
                hint="Enter the secret anew.",
            ) from exc

    def reseal(self, sealed: str, about: str) -> str:
        """Return the same secret under the current key; one that is under it already comes back as it is."""
        if self.current is not None and self.key_id_of(sealed) == self.current:
            return sealed
        return self.seal(self.open(sealed, about=about), about=about)


Vault.empty = Vault(())


def _cipher(key: bytes) -> "AESGCM":
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415 - see above

    return AESGCM(key)


def new_key(key_id: str = "k1") -> str:
    """Return a new key as BUILDBELL_KEYS takes it."""
    return f"{key_id}:{base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode('ascii')}"


def _head(key_id: str) -> bytes:
    return bytes((VERSION, len(key_id))) + key_id.encode("ascii")


def _bound(head: bytes, about: str) -> bytes:
    """Return the authenticated data beside the secret. The head includes its own length, so that no boundary can shift."""
    return head + about.encode()


def _parts(sealed: str) -> tuple[str, bytes, bytes, bytes]:
    broken = "A secret in the store is broken."
    data = _decoded(sealed, broken)
    if not data or data[0] != VERSION:
        raise BotError("A secret in the store has a form I don't know.", hint="It may be of a newer Buildbell.")
    end = 2 + (data[1] if len(data) > 1 else 0)
    if len(data) < end + NONCE_BYTES + TAG_BYTES:
        raise BotError(broken, hint="Enter the secret anew.")
    head, nonce, locked = data[:end], data[end : end + NONCE_BYTES], data[end + NONCE_BYTES :]
    try:
        key_id = head[2:].decode("ascii")
    except UnicodeDecodeError:
        key_id = ""
    if _KEY_ID.fullmatch(key_id) is None:
        raise BotError(broken, hint="Enter the secret anew.")
    return key_id, head, nonce, locked


def _decoded(text: str, complaint: str) -> bytes:
    """Return the bytes of base64 in either alphabet, padded or not."""
    plain = text.rstrip("=").replace("-", "+").replace("_", "/")
    try:
        return base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except (binascii.Error, ValueError):
        # Not chained: binascii's words may hold a part of the key.
        raise BotError(complaint, hint=NEW_KEY_HINT) from None
