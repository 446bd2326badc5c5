"""When something that recurs is next due: a time of day on days of the week, or a fixed interval. Pure.

Schedules, digests, quiet hours, mutes and working hours all compute with this module, so that a change of the clocks
means the same to each of them. Instants go in and come out as aware datetimes in UTC; a `ZoneInfo` says whose clock
on the wall is meant.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import count, islice
from typing import TypeAlias
from zoneinfo import ZoneInfo

from typing_extensions import override

from bot.core.errors import UsageError

DAY_NAMES = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
EVERY_DAY = frozenset(range(7))
DAY, HOUR, MINUTE, SECOND = timedelta(days=1), timedelta(hours=1), timedelta(minutes=1), timedelta(seconds=1)
_CRON = re.compile(r"([0-5]?\d) ([01]?\d|2[0-3]) \* \* (\*|[a-z,-]+)", re.ASCII)
_EVERY = re.compile(r"@every (\d{1,6})m", re.ASCII)
_STEPS = re.compile(r"(?:\*/(\d{1,2}) \*|0 \*/(\d{1,2})) \* \* \*", re.ASCII)


DEFAULT_ZONE = "UTC"
"""The time zone of people whose Slack profile names none."""


def zone_of(name: str) -> ZoneInfo:
    """Return a time zone by name, UTC where nobody knows it."""
    try:
        return ZoneInfo(name or DEFAULT_ZONE)
    except (KeyError, ValueError, OSError):
        return ZoneInfo(DEFAULT_ZONE)


def instant_of(day: date, at: time, zone: ZoneInfo) -> datetime:
    """Return the instant, in UTC, at which the clock on the wall first shows a time on a day.

    Where the clocks go back and show the time twice, it is the first of the two. Where they go forward over the time,
    it is the first instant after the gap; for a gap that reaches to midnight, that instant lies on the next day.
    """
    wall = datetime.combine(day, at)
    instant = wall.replace(tzinfo=zone).astimezone(UTC)
    if _wall_clock(instant, zone) == wall:
        return instant
    # The time does not exist. `fold` selects the offset before the change or that after it: the first places the time
    # after the gap, the second before it, and the change is somewhere between.
    early, late = wall.replace(tzinfo=zone, fold=1).astimezone(UTC), instant
    while late - early > SECOND:
        middle = early + SECOND * ((late - early) // SECOND // 2)
        if _wall_clock(middle, zone) > wall:
            late = middle
        else:
            early = middle
    return late


def _wall_clock(instant: datetime, zone: ZoneInfo) -> datetime:
    return instant.astimezone(zone).replace(tzinfo=None)


@dataclass(frozen=True, slots=True)
class Daily:
    """A time of day on days of the week (0 is Monday): exactly one run on each such local day.

    A time that the clocks skip runs at the first instant after the gap; where that is the next day already (a gap that
    reaches to midnight), in the last minute of its own day. A time that they repeat runs once, the first time. A day
    that a zone leaves out of its calendar has no run.
    """

    at: time
    days: frozenset[int] = EVERY_DAY

    def __post_init__(self) -> None:
        """Refuse a rule that would never run."""
        if not self.days or not self.days <= EVERY_DAY:
            raise ValueError("days of the week are 0 to 6, and at least one")

    @override
    def __str__(self) -> str:
        """Return the rule as it is stored: a cron line."""
        days = "*" if self.days == EVERY_DAY else ",".join(DAY_NAMES[day] for day in sorted(self.days))
        return f"{self.at.minute} {self.at.hour} * * {days}"

    def next_after(self, instant: datetime, zone: ZoneInfo, *, due: datetime | None = None) -> datetime:
        """Return the first run later than an instant, never the instant itself. `due` plays no part."""
        today = instant.astimezone(zone).date()
        runs = (self._run_on(today + DAY * offset, zone) for offset in count(-1))
        return next(run for run in runs if run is not None and run > instant)

    def last_until(self, instant: datetime, zone: ZoneInfo, *, due: datetime) -> datetime:
        """Return the latest run that is not later than an instant, and no run before `due`."""
        today = instant.astimezone(zone).date()
        runs = (self._run_on(today - DAY * offset, zone) for offset in count(-1))
        return max(due, next(run for run in runs if run is not None and run <= instant))

    def _run_on(self, day: date, zone: ZoneInfo) -> datetime | None:
        if day.weekday() not in self.days:
            return None
        run = instant_of(day, self.at, zone)
        if run.astimezone(zone).date() != day:
            run -= MINUTE
        return run if run.astimezone(zone).date() == day else None


@dataclass(frozen=True, slots=True)
class Interval:
    """A run each so many minutes of real time, whatever the clocks on the wall do; or one for each hour on the wall.

    Runs at an interval keep their distance to the one before: `due` is any of them; the first comes one interval after
    the minute in which the rule was made. Runs on the hour come whenever the wall shows a full hour, and where the
    clocks skip one, at the first instant after the gap.
    """

    minutes: int
    on_the_hour: bool = False

    def __post_init__(self) -> None:
        """Refuse a rule that would run without end."""
        if self.minutes < 1:
            raise ValueError("an interval is at least a minute")

    @override
    def __str__(self) -> str:
        """Return the rule as it is stored: `@every 45m`, or `@hourly`."""
        return "@hourly" if self.on_the_hour else f"@every {self.minutes}m"

    @property
    def gap(self) -> timedelta:
        """Return the time between two runs."""
        return MINUTE * self.minutes

    def next_after(self, instant: datetime, zone: ZoneInfo, *, due: datetime | None = None) -> datetime:
        """Return the first run later than an instant, never the instant itself."""
        if self.on_the_hour:
            return _next_hour(instant.astimezone(UTC), zone)
        anchor = due or _minute_of(instant)
        return anchor + self.gap * ((instant - anchor) // self.gap + 1)

    def last_until(self, instant: datetime, zone: ZoneInfo, *, due: datetime) -> datetime:
        """Return the latest run that is not later than an instant, and no run before `due`."""
        if not self.on_the_hour:
            return max(due, due + self.gap * ((instant - due) // self.gap))
        run = due
        following = _next_hour(max(due, instant - 4 * HOUR).astimezone(UTC), zone)
        while following <= instant:
            run, following = following, _next_hour(following, zone)
        return run


def _minute_of(instant: datetime) -> datetime:
    return instant.astimezone(UTC).replace(second=0, microsecond=0)


def _next_hour(instant: datetime, zone: ZoneInfo) -> datetime:
    """Return the first instant after one at which the wall shows a full hour, or has just skipped it."""
    wall = _wall_clock(instant, zone)
    full = instant + (HOUR - (wall - wall.replace(minute=0, second=0, microsecond=0)))
    if full - instant == _wall_clock(full, zone) - wall:
        return full
    change = _change_between(instant, full, zone)
    skipped = wall + (change - instant)
    shown = _wall_clock(change, zone)
    if shown > skipped and _full_hour_at_or_after(skipped) <= shown:
        return change
    return change + (_full_hour_at_or_after(shown) - shown)


def _full_hour_at_or_after(wall: datetime) -> datetime:
    full = wall.replace(minute=0, second=0, microsecond=0)
    return full if full == wall else full + HOUR


def _change_between(early: datetime, late: datetime, zone: ZoneInfo) -> datetime:
    """Return the instant of the change of the clocks between two instants: the first with the later offset."""
    offset = early.astimezone(zone).utcoffset()
    early = early.replace(microsecond=0)
    while late - early > SECOND:
        middle = early + SECOND * ((late - early) // SECOND // 2)
        if middle.astimezone(zone).utcoffset() == offset:
            early = middle
        else:
            late = middle
    return late


Recurrence: TypeAlias = Daily | Interval


def upcoming(rule: Recurrence, zone: ZoneInfo, after: datetime, count: int) -> list[datetime]:
    """Return the next runs of a rule that is made at an instant, soonest first."""
    return list(islice(_runs(rule, zone, after), count))


def _runs(rule: Recurrence, zone: ZoneInfo, after: datetime) -> Iterator[datetime]:
    run = rule.next_after(after, zone)
    while True:
        yield run
        run = rule.next_after(run, zone, due=run)


def parse_rule(stored: str) -> Recurrence:
    """Read a rule as it is stored: `30 7 * * mon,fri`, `@every 45m`, `@hourly`. Raises UsageError.

    Cron's steps, which rows from before intervals hold, are read as the intervals that people asked for.
    """
    if (daily := _CRON.fullmatch(stored)) is not None:
        days = EVERY_DAY if daily[3] == "*" else parse_days(daily[3])
        return Daily(time(int(daily[2]), int(daily[1])), days)
    if stored in {"@hourly", "0 * * * *"}:
        return Interval(60, on_the_hour=True)
    if (steps := _STEPS.fullmatch(stored)) is not None:
        minutes = int(steps[1]) if steps[1] else 60 * int(steps[2])
    else:
        every = _EVERY.fullmatch(stored)
        minutes = int(every[1]) if every is not None else 0
    if not minutes:
        raise UsageError(f"I can't read the stored rule `{stored}`.", hint="Remove the schedule and make it again.")
    return Interval(minutes)


def parse_days(words: str) -> frozenset[int]:
    """Read days of the week: `mon,wed`, `mon-fri`, `fri-mon`, `weekdays`, `Mondays`. Raises UsageError.

    A span may go over Sunday. No words mean every day.
    """
    text = words.strip().lower()
    if text in _GROUPS:
        return _GROUPS[text]
    days: set[int] = set()
    for part in re.split(r"[, ]+(?:and )?", text):
        first, dash, last = part.partition("-")
        if first not in _SPELLED or (dash and last not in _SPELLED):
            raise UsageError(
                f"I don't know the days `{words}`.", hint="Write `mon,wed`, `mon-fri`, `weekdays` or `daily`."
            )
        start = _SPELLED[first]
        length = (_SPELLED[last] - start) % 7 if dash else 0
        days |= {(start + offset) % 7 for offset in range(length + 1)}
    return frozenset(days)


_FULL_NAMES = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_SPELLED = {
    spelled: index
    for index, (short, full) in enumerate(zip(DAY_NAMES, _FULL_NAMES, strict=True))
    for spelled in (short, full, f"{full}s")
} | {"tues": 1, "thur": 3, "thurs": 3}
_GROUPS = (
    dict.fromkeys(("weekdays", "weekday"), frozenset(range(5)))
    | dict.fromkeys(("weekends", "weekend"), frozenset({5, 6}))
    | dict.fromkeys(("", "daily", "every", "day", "days", "everyday"), EVERY_DAY)
)


def parse_time_of_day(text: str) -> time:
    """Read `7:00`, `18:30` or `9`. Raises UsageError, with different words for no time of day and no time at all."""
    shape = _CLOCK.fullmatch(text.strip())
    if shape is None:
        raise UsageError(f"I don't understand the time `{text}`.", hint="Write it as `7:00` or `18:30`.")
    hour, minute = int(shape[1]), int(shape[2] or 0)
    if hour > 23 or minute > 59 or len(shape[2] or "00") != 2:
        raise UsageError(
            f"`{text}` is no time of day.",
            hint="Midnight is `0:00`." if hour == 24 else "Hours go from 0 to 23, minutes from 00 to 59: `9:30`.",
        )
    return time(hour, minute)


_CLOCK = re.compile(r"(\d{1,3})(?::(\d{1,3}))?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Hours:
    """A span of the day such as 22:00-07:00, on the days it begins on; a span over midnight belongs to its first day."""

    start: time
    end: time
    days: frozenset[int] = EVERY_DAY

    def contain(self, instant: datetime, zone: ZoneInfo) -> bool:
        """Return whether an instant lies in the span.

        It begins and ends where the clock on the wall first shows its times, so a change of the clocks neither
        interrupts it nor begins it twice.
        """
        today = instant.astimezone(zone).date()
        return any(self._spans(today + DAY * offset, instant, zone) for offset in (-2, -1, 0, 1))

    def _spans(self, day: date, instant: datetime, zone: ZoneInfo) -> bool:
        if day.weekday() not in self.days:
            return False
        end = instant_of(day if self.start < self.end else day + DAY, self.end, zone)
        return instant_of(day, self.start, zone) <= instant < end


def parse_hours(words: str) -> Hours:
    """Read `22:00-07:00`, `9:00-17:30 mon-fri`. Raises UsageError."""
    span, _, days = " ".join(words.lower().split()).partition(" ")
    start, dash, end = span.partition("-")
    if not dash or ":" not in start or ":" not in end:
        raise UsageError(
            f"I don't understand the hours `{words}`.", hint="Write `22:00-07:00` or `22:00-07:00 mon-fri`."
        )
    hours = Hours(parse_time_of_day(start), parse_time_of_day(end), parse_days(days))
    if hours.start == hours.end:
        raise UsageError(f"`{span}` begins where it ends.", hint="Write `22:00-07:00` or `22:00-07:00 mon-fri`.")
    return hours
