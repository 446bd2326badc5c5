"""How people say when something recurs: `weekdays 7:00`, `mon,wed 18:30`, `every 45 minutes`, `hourly`. Pure."""

import re
from fractions import Fraction

from bot.core.errors import UsageError
from bot.core.recurrence import DAY_NAMES, Daily, Interval, Recurrence, parse_days, parse_time_of_day

SHORTEST, LONGEST = 5, 7 * 24 * 60
"""Bounds of an interval, in minutes."""

EXAMPLES = "Write `weekdays 7:00`, `mon,wed 18:30`, `daily 9:00`, `hourly` or `every 45 minutes`."
_UNITS = {"s": Fraction(1, 60), "m": Fraction(1), "h": Fraction(60), "d": Fraction(1440), "w": Fraction(10080)}
_AMOUNT = r"\d{1,6}(?:\.\d{1,3})? ?(?:s|secs?|seconds?|m|mins?|minutes?|h|hours?|hrs?|d|days?|w|weeks?)"
_INTERVAL = re.compile(rf"(?:every )?{_AMOUNT}(?:(?: and | )?{_AMOUNT})*", re.ASCII)
_PART = re.compile(r"(?<![\d.])(\d++(?:\.\d++)?) ?([smhdw])", re.ASCII)
_BARE_UNIT = re.compile(r"every (second|minute|hour|day|week)", re.ASCII)


def parse_recurrence(words: str) -> Recurrence:
    """Read when something recurs. Raises UsageError for words that mean no time, and for gaps out of bounds.

    A time of day comes alone, or after days: `9:30`, `daily 9:30`, `weekdays at 7:00`, `mon-thu,sat 18:00`,
    `weekly mon 9:00`. An interval keeps its gap exactly: `every 45 minutes`, `every 5 hours`, `1h 30m`.
    """
    text = " ".join(words.lower().replace(" at ", " ").split())
    if text in {"hourly", "every hour"}:
        return Interval(60, on_the_hour=True)
    if (unit := _BARE_UNIT.fullmatch(text)) is not None and unit[1] not in {"day", "week"}:
        text = f"every 1 {unit[1]}"
    if _INTERVAL.fullmatch(text) is not None:
        return _interval(text)
    head, _, clock = text.rpartition(" ")
    if not clock[:1].isdigit():
        raise UsageError(f"I don't understand the time `{words}`.", hint=EXAMPLES)
    try:
        at = parse_time_of_day(clock)
    except UsageError as exc:
        raise UsageError(exc.message, hint=f"{exc.hint} {EXAMPLES}") from exc
    days = head.removeprefix("weekly").strip()
    if head == "weekly":
        raise UsageError("On which day of the week?", hint=f"Write `weekly mon {clock}`, or `daily {clock}`.")
    return Daily(at, parse_days(days.removeprefix("every ").strip()))


def _interval(text: str) -> Interval:
    parts = [(Fraction(amount), unit) for amount, unit in _PART.findall(text)]
    minutes = sum((amount * _UNITS[unit] for amount, unit in parts), Fraction(0))
    if minutes < SHORTEST:
        raise UsageError(
            f"`{text}` is too often: the shortest gap is {SHORTEST} minutes.", hint=f"Nearest: `{_spoken(SHORTEST)}`."
        )
    if minutes > LONGEST:
        raise UsageError(
            f"`{text}` is too rare: the longest gap is 7 days.",
            hint=f"Nearest: `{_spoken(LONGEST)}` or `weekly mon 9:00`.",
        )
    if any(unit in "dw" for _amount, unit in parts):
        # A gap of days drifts by an hour when the clocks change; people who say days mean a time of day.
        several = ",".join(DAY_NAMES[:5:2])
        raise UsageError(
            f"`{text}` names no time of day.",
            hint=f"Write `daily 9:00` or `{several} 9:00`; `{_spoken(int(minutes))}` keeps that gap exactly.",
        )
    if minutes.denominator != 1:
        low = int(minutes)
        raise UsageError(
            f"`{text}` is no whole number of minutes.", hint=f"Nearest: `{_spoken(low)}` or `{_spoken(low + 1)}`."
        )
    return Interval(int(minutes))


def _spoken(minutes: int) -> str:
    return f"every {minutes // 60} hours" if minutes % 60 == 0 and minutes > 60 else f"every {minutes} minutes"
