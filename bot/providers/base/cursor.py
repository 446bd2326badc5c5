"""Cursors of polls: encoded for the store, decoded or begun anew."""

from typing import Self

import msgspec


class PollCursor(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where a poll of `changes` stands. Each provider's cursor is a subclass whose fields all have defaults.

    A field that is a time must be aware; one without a zone is discarded with the cursor. `behind` names what the last
    poll had no budget for: it comes first in the next one.
    """

    behind: tuple[str, ...] = ()

    @classmethod
    def decode(cls, text: str | None) -> Self | None:
        """Return the cursor that `encode` wrote, or None where there is none or it cannot be read."""
        if not text:
            return None
        try:
            return msgspec.json.decode(text, type=cls)
        except (msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError):
            return None

    def encode(self) -> str:
        """Return the cursor as the store keeps it; equal cursors give equal texts."""
        return msgspec.json.encode(self, order="deterministic").decode()
