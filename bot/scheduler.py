"""Wake the loops that run every so many seconds, by APScheduler. It holds no state: rows say what is due."""

from collections.abc import Awaitable, Callable, Mapping

from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.interval import IntervalTrigger

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
