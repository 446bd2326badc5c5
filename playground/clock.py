"""The playground's one clock: the local CI systems, the local Slack and the bot all read it."""

import time
from collections.abc import Callable
from datetime import UTC, datetime


class Clock:
    """Real time plus what it was moved ahead by. Call it for seconds since 1970."""

    def __init__(self, base: Callable[[], float] = time.time) -> None:
        self.ahead = 0.0
        self.on_advance: list[Callable[[], None]] = []
        self._base = base

    def __call__(self) -> float:
        """Return the time in seconds since 1970."""
        return self._base() + self.ahead

    def utc(self) -> datetime:
        """Return the time as the bot takes it: aware, in UTC."""
        return datetime.fromtimestamp(self(), UTC)

    def advance(self, seconds: float) -> None:
        """Move the clock ahead, for everybody at once, then call what waits for that in `on_advance`."""
        self.ahead += seconds
        for moved in self.on_advance:
            moved()
