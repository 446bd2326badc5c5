"""The clock, as an argument: `Clock` says what time it is, `Sleep` waits."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]
Sleep = Callable[[float], Awaitable[None]]

sleep: Sleep = asyncio.sleep


def now() -> datetime:
    """Return the time, aware, in UTC."""
    return datetime.now(UTC)
