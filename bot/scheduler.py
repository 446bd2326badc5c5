"""The clock's edge: APScheduler wakes the loops that have a rhythm. It holds no state; rows say what is due."""

import re
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.interval import IntervalTrigger

from bot.core.errors import UsageError

Tick = Callable[[], Awaitable[None]]


class Schedule:
    """Ticks: each runs every so many seconds, never twice at once, and late rather than not at all."""

    def __init__(self, ticks: Mapping[str, tuple[float, Tick]]) -> None:
        self._scheduler = AsyncIOScheduler(timezone="UTC")
        for name, (seconds, tick) in ticks.items():
            self._scheduler.add_job(
                tick,
                IntervalTrigger(seconds=seconds, timezone="UTC"),
                id=name,
                name=name,
                max_instances=1,
                coalesce=True,
                misfire_grace_time=None,
            )

    @property
    def running(self) -> bool:
        """Whether the clock runs."""
        return bool(self._scheduler.running)

    def start(self) -> None:
        """Start ticking in the running loop."""
        self._scheduler.start()

    def stop(self) -> None:
        """Stop ticking."""
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)


def next_times(cron: str, tz: str, after: datetime, count: int = 1) -> list[datetime]:
    """Return the next times after a moment, in UTC, that a cron line (minute hour day month weekday) means in a zone.

    Where nobody knows the zone it is UTC.
    """
    try:
        zone = ZoneInfo(tz or "UTC")
    except (KeyError, ValueError, OSError):
        zone = ZoneInfo("UTC")
    trigger = CronTrigger.from_crontab(cron, timezone=zone)
    found: list[datetime] = []
    moment = after
    while len(found) < count:
        fire = trigger.get_next_fire_time(moment, moment)
        if fire is None:
            break
        found.append(fire.astimezone(UTC))
        moment = fire
    return found


_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_FULL = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_SPELLED = {spelled: day for day, full in zip(_DAYS, _FULL, strict=True) for spelled in (day, full, f"{full}s")}
_SPELLED |= {"tues": "tue", "thur": "thu", "thurs": "thu"}
_NAMED = {"weekdays": "mon-fri", "weekday": "mon-fri", "weekends": "sat,sun", "weekend": "sat,sun"} | dict.fromkeys(
    ("daily", "every", "day", "days", "everyday"), "*"
)
_EVERY = re.compile(r"(?:every )?(\d{1,2}) ?(hours?|h|minutes?|mins?|m)")
_CLOCK = re.compile(r"(\d{1,2})(?::(\d\d))?")


def cron_of(words: str) -> str:
    """Return the cron line for `weekdays 7:00`, `daily 9:30`, `mon-thu,sat 18:00`, `hourly`, `every 2 hours`.

    Raises UsageError for words that mean no time, and for more than one run each five minutes.
    """
    text = " ".join(words.lower().replace(" at ", " ").split())
    if text in {"hourly", "every hour"}:
        return "0 * * * *"
    every = _EVERY.fullmatch(text)
    if every is not None:
        count = int(every[1])
        if every[2].startswith("h") and 1 <= count <= 23:
            return f"0 */{count} * * *"
        if every[2].startswith("m") and 5 <= count <= 59:
            return f"*/{count} * * * *"
        raise UsageError(f"`{words}` is too often or too rare.", hint="From every 5 minutes to every 23 hours.")
    head, _, clock = text.rpartition(" ")
    found = _CLOCK.fullmatch(clock)
    if found is None or int(found[1]) > 23 or int(found[2] or 0) > 59:
        raise UsageError(
            f"I don't understand the time `{words}`.",
            hint="Write `weekdays 7:00`, `mon,wed 18:30`, `daily 9:00` or `hourly`.",
        )
    days = head.removeprefix("weekly").strip().removeprefix("every ").strip()
    return f"{int(found[2] or 0)} {int(found[1])} * * {_weekdays(days)}"


def _weekdays(days: str) -> str:
    """Return days of the week as cron has them, each by name: a span may go over Sunday there."""
    if not days:
        return "*"
    if days in _NAMED:
        return _NAMED[days]
    wanted: set[int] = set()
    for part in re.split(r"[, ]+(?:and )?", days):
        first, dash, last = part.partition("-")
        if first not in _SPELLED or (dash and last not in _SPELLED):
            raise UsageError(
                f"I don't know the days `{days}`.", hint="Write `mon,wed`, `mon-fri`, `weekdays` or `daily`."
            )
        start = _DAYS.index(_SPELLED[first])
        end = _DAYS.index(_SPELLED[last]) if dash else start
        wanted |= {index % 7 for index in range(start, (end if end >= start else end + 7) + 1)}
    return ",".join(_DAYS[index] for index in sorted(wanted))
