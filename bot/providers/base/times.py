"""Vendors' times as aware UTC."""

import re
from datetime import UTC, datetime

_SPACED_UTC = re.compile(r"^(\d{4}-\d\d-\d\d)[ T](\d\d:\d\d:\d\d(?:\.\d+)?) ?(?:UTC|Z)$")


_LONG_FRACTION = re.compile(r"(\.\d{6})\d+")


def parse_time(value: str | float | None) -> datetime | None:
    """Return a vendor's time as aware UTC: ISO 8601 in its many forms, or seconds or milliseconds since the epoch.

    A stamp that is no time at all is None: one bad stamp must not spoil a whole answer.
    """
    if value is None or value == "":
        return None
    try:
        if isinstance(value, str):
            text = _LONG_FRACTION.sub(r"\1", value.strip())
            spaced = _SPACED_UTC.match(text)
            read = datetime.fromisoformat(f"{spaced[1]}T{spaced[2]}+00:00" if spaced else text)
            read = read.replace(tzinfo=UTC) if read.tzinfo is None else read.astimezone(UTC)
        else:
            read = datetime.fromtimestamp(value / 1000 if value > 1e11 else value, UTC)
    except (ValueError, OverflowError, OSError):
        return None
    return read if read.year >= 1970 else None


def latest(*moments: datetime | None) -> datetime | None:
    """Return the latest of the known times."""
    return max((at for at in moments if at is not None), default=None)
