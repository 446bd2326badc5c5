"""The clock of tests that set the time themselves."""

from datetime import datetime, timedelta

from tests.bot.store.rows import NOW


class SetClock:
    """A clock that a test sets. It begins at `NOW` of the stored rows."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now

    def go(self, **ahead: float) -> datetime:
        """Go ahead, and return the time then."""
        self.now += timedelta(**ahead)
        return self.now
