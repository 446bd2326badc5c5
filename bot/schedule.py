"""The clock's edge: APScheduler wakes the loops that have a rhythm. It holds no state; rows say what is due."""

import re
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime

from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.interval import IntervalTrigger

from bot.errors import UsageError

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
    """Return the next times, in UTC, that a cron line (minute hour day month weekday) means in a time zone."""
    trigger = CronTrigger.from_crontab(cron, timezone=tz)
    found: list[datetime] = []
    previous: datetime | None = None
    moment = after
    while len(found) < count:
        fire = trigger.get_next_fire_time(previous, moment)
        if fire is None:
            break
        found.append(fire.astimezone(UTC))
        previous, moment = fire, fire
    return found


_DAYS = frozenset({"mon", "tue", "wed", "thu", "fri", "sat", "sun"})
_NAMED = {"weekdays": "mon-fri", "weekends": "sat,sun", "daily": "*", "every": "*", "day": "*", "everyday": "*"}
_EVERY = re.compile(r"^(?:every )?(\d{1,2}) ?(hours?|h|minutes?|min|m)$")


def cron_of(words: str) -> str:
    """Return the cron line for `weekdays 7:00`, `daily 9:30`, `mon,wed 18:00`, `hourly`, `every 2 hours`.

    Raises UsageError for words that mean no time, and for more than one run each five minutes.
    """
    text = " ".join(words.lower().replace(" at ", " ").split())
    if text == "hourly":
        return "0 * * * *"
    every = _EVERY.match(text)
    if every is not None:
        count = int(every[1])
        if every[2].startswith("h") and 1 <= count <= 23:
            return f"0 */{count} * * *"
        if every[2].startswith("m") and 5 <= count <= 59:
            return f"*/{count} * * * *"
        raise UsageError(f"`{words}` is too often or too rare.", hint="From every 5 minutes to every 23 hours.")
    head, _, clock = text.rpartition(" ")
    found = re.fullmatch(r"(\d{1,2})(?::(\d\d))?", clock or text)
    if found is None or int(found[1]) > 23 or int(found[2] or 0) > 59:
        raise UsageError(
            f"I don't understand the time `{words}`.",
            hint="Write `weekdays 7:00`, `mon,wed 18:30`, `daily 9:00` or `hourly`.",
        )
    days = head.removeprefix("weekly ").removeprefix("every ").strip()
    weekdays = _NAMED.get(days) if days else "*"
    if weekdays is None:
        parts = [part.strip()[:3] for part in re.split(r"[, ]+|\band\b", days) if part.strip()]
        spans = [part.strip() for part in days.split(",")]
        if all(part in _DAYS for part in parts) and parts:
            weekdays = ",".join(parts)
        elif all(
            re.fullmatch(r"[a-z]{3}-[a-z]{3}", span) and span[:3] in _DAYS and span[4:] in _DAYS for span in spans
        ):
            weekdays = ",".join(spans)
        else:
            raise UsageError(
                f"I don't know the days `{days}`.", hint="Write `mon,wed`, `mon-fri`, `weekdays` or `daily`."
            )
    return f"{int(found[2] or 0)} {int(found[1])} * * {weekdays}"
