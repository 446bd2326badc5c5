"""Wake the loops that run every so many seconds, by APScheduler. It holds no state: rows say what is due."""

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # APScheduler is imported when the clock starts: a process that only answers requests needs none
    from apscheduler.schedulers.asyncio import AsyncIOScheduler

Tick = Callable[[], Awaitable[None]]


class Schedule:
    """Ticks: each runs every so many seconds, never twice at once, and late rather than not at all."""

    def __init__(self, ticks: Mapping[str, tuple[float, Tick]]) -> None:
        self._ticks = ticks
        self._scheduler: AsyncIOScheduler | None = None

    @property
    def running(self) -> bool:
        """Whether the clock runs."""
        return self._scheduler is not None and bool(self._scheduler.running)

    def start(self) -> None:
        """Start ticking in the running loop."""
        from apscheduler.schedulers.asyncio import AsyncIOScheduler  # noqa: PLC0415 - see above
        from apscheduler.triggers.interval import IntervalTrigger  # noqa: PLC0415 - see above

        self._scheduler = AsyncIOScheduler(timezone="UTC")
        for name, (seconds, tick) in self._ticks.items():
            self._scheduler.add_job(
                tick,
                IntervalTrigger(seconds=seconds, timezone="UTC"),
                id=name,
                name=name,
                max_instances=1,
                coalesce=True,
                misfire_grace_time=None,
            )

        self._scheduler.start()

    def stop(self) -> None:
        """Stop ticking."""
        if self._scheduler is not None and self._scheduler.running:
            self._scheduler.shutdown(wait=False)
