"""What a provider remembers for a while, bounded in size."""

from datetime import timedelta
from typing import Final

from cachetools import TTLCache

from bot.core.clock import Clock

ABSENT_FOR: Final = timedelta(minutes=30)
MOST_OPERATIONS: Final = 200


class AbsentOperations:
    """Operations that a server answered as absent, each remembered by itself for half an hour.

    A 404 may be a permission granted later or an upgrade: what was absent once is asked for again after that time,
    and one absent operation says nothing about the others.
    """

    def __init__(self, clock: Clock) -> None:
        self._absent: TTLCache[str, bool] = TTLCache(
            MOST_OPERATIONS, ttl=ABSENT_FOR.total_seconds(), timer=lambda: clock().timestamp()
        )

    def add(self, operation: str) -> None:
        """Remember that an operation is absent."""
        self._absent[operation] = True

    def __contains__(self, operation: str) -> bool:
        """Return whether an operation was absent within the last half hour."""
        return operation in self._absent
