"""Where the poll of a whole organization stands."""

import json
from collections.abc import Iterable
from datetime import datetime
from typing import Self

import msgspec

from bot.core.models import BuildKey


def short(key: BuildKey) -> str:
    """Return a build's place in this connection, as the cursor keeps it."""
    return f"{key.pipeline}/{key.id}"


class Cursor(msgspec.Struct, frozen=True):
    """Where `changes` stands: since when, at which tick, and which watched builds wait for a person."""

    since: datetime
    tick: int = 0
    waiting: frozenset[str] = frozenset()

    @classmethod
    def read(cls, text: str | None, now: datetime) -> Self:
        """Return the cursor; one that does not read begins now."""
        try:
            cursor = msgspec.json.decode(text or "", type=cls)
        except (msgspec.DecodeError, msgspec.ValidationError):
            return cls(since=now)
        return cursor if cursor.since.tzinfo is not None else cls(since=now)

    def moved_on(self, now: datetime, waiting: Iterable[str]) -> str:
        """Return the next tick's cursor as text."""
        return json.dumps({"since": now.isoformat(), "tick": self.tick + 1, "waiting": sorted(waiting)})
