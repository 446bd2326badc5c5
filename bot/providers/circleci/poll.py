"""Where the poll of a whole organization stands."""

from datetime import datetime, timedelta
from typing import Self

import msgspec

OVERLAP = timedelta(minutes=3)
"""How far back a new build may still appear in the list."""
FIRST_LOOK = timedelta(hours=1)


class Cursor(msgspec.Struct, frozen=True):
    """Since when builds are new, which of them were seen, and which workflows are known: another one is a rerun.

    `runs` is None before the first look: what ran before is no news.
    """

    since: datetime
    seen: frozenset[str] = frozenset()
    runs: frozenset[str] | None = None

    @classmethod
    def read(cls, text: str | None, now: datetime) -> Self:
        """Return the cursor; one that does not read begins an hour ago."""
        try:
            cursor = msgspec.json.decode(text or "", type=cls)
        except (msgspec.DecodeError, msgspec.ValidationError):
            return cls(since=now - FIRST_LOOK)
        return cursor if cursor.since.tzinfo is not None else cls(since=now - FIRST_LOOK)

    @property
    def oldest(self) -> datetime:
        """Return from when on a build not seen yet is new."""
        return self.since - OVERLAP

    @property
    def text(self) -> str:
        """Return the cursor as it is kept."""
        whole = {"since": self.since, "seen": sorted(self.seen), "runs": sorted(self.runs or ())}
        return msgspec.json.encode(whole).decode()
