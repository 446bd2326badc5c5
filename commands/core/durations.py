"""Spans and times as people type them: `2h`, `2 hours`, `half an hour`, `2026-08-01T10:30`."""

import re
from collections.abc import Sequence
from datetime import datetime, timedelta

from bot.core.errors import UsageError

LONGEST = timedelta(days=3660)
UNITS = {
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), 1),
    **dict.fromkeys(("m", "min", "mins", "minute", "minutes"), 60),
    **dict.fromkeys(("h", "hr", "hrs", "hour", "hours"), 3600),
    **dict.fromkeys(("d", "day", "days"), 86_400),
    **dict.fromkeys(("w", "wk", "wks", "week", "weeks"), 604_800),
}
_ONE = frozenset({"a", "an", "one"})
_PART = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)\s*([a-z]+)", re.ASCII)
_WHOLE = re.compile(rf"(?:{_PART.pattern}\s*(?:and\s+)?)+", re.ASCII)
_MOST_WORDS = 5


def parse_moment(words: str) -> timedelta | datetime:
    """Read a time in the past: `3d` (that long ago), `2026-08-01`, `2026-08-01T10:30`, with a zone or without.

    A time without a zone is naive: it is meant in the person's own. Raises UsageError.
    """
    text = words.strip()
    try:
        return datetime.fromisoformat(text.replace(" ", "T").upper())
    except ValueError:
        pass
    try:
        return parse_duration(text)
    except UsageError as exc:
        hint = "Write `30m`, `3d`, `2026-08-01` or `2026-08-01T10:30`."
        raise UsageError(f"I don't understand the time `{words}`.", hint=hint) from exc


def parse_duration(words: str) -> timedelta:
    """Read `30m`, `2 hours`, `1 h 30 min`, `half an hour`, `a day`; ten years at most. Raises UsageError."""
    seconds = _seconds(words)
    if seconds is None or seconds <= 0:
        raise UsageError(f"I don't understand the time `{words}`.", hint="Write `30m`, `2h` or `3 days`.")
    if seconds > LONGEST / timedelta(seconds=1):
        raise UsageError(f"`{words}` is longer than ten years.")
    return timedelta(seconds=seconds)


def is_span(words: Sequence[str]) -> bool:
    """Return whether words are a length of time, whatever its size."""
    return _seconds(" ".join(words)) is not None


def span_at_end(words: Sequence[str]) -> tuple[list[str], str | None]:
    """Return words without the length of time that they end with, and that: `web for 2 hours`, `web 2h`; None for none."""
    for count in range(min(_MOST_WORDS, len(words)), 0, -1):
        if is_span(words[-count:]):
            rest = list(words[:-count])
            return (rest[:-1] if rest and rest[-1].lower() == "for" else rest), " ".join(words[-count:])
    return list(words), None


def span_at_start(words: Sequence[str]) -> tuple[str | None, list[str]]:
    """Return the length of time that words begin with after `for`, and the words after it: `for 2 hours it is down`."""
    if not words or words[0].lower() != "for":
        return None, list(words)
    for count in range(min(_MOST_WORDS, len(words) - 1), 0, -1):
        if is_span(words[1 : 1 + count]):
            return " ".join(words[1 : 1 + count]), list(words[1 + count :])
    return None, list(words)


def _seconds(words: str) -> float | None:
    """Return the seconds that words stand for, None where they are no length of time."""
    text = " ".join(words.lower().split())
    if text in {"half an hour", "half hour"}:
        return 1800.0
    one, _, unit = text.partition(" ")
    if one in _ONE and unit in UNITS and len(unit) > 1:
        return float(UNITS[unit])
    if _WHOLE.fullmatch(text) is None:
        return None
    parts = [(float(match[1]), match[2]) for match in _PART.finditer(text)]
    if any(unit not in UNITS for _count, unit in parts):
        return None
    return sum(count * UNITS[unit] for count, unit in parts)
