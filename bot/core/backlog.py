"""Work that waits for its turn, and gives way to something more urgent."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager, contextmanager

MANY = 8
BUSY_SECONDS = 0.05
PAUSE_SECONDS = 0.02


class Backlog:
    """Begins work in the order in which it came: `most` at once; under pressure `beside` at once, one each `pause_seconds`.

    There is pressure while more than `many` urgent things (acks) are under way, and for a moment after: on one core,
    work that is begun then delays the urgent and comes to its own end no sooner. What waits is begun when it is over.
    """

    def __init__(
        self,
        *,
        most: int,
        beside: int,
        many: int = MANY,
        busy_seconds: float = BUSY_SECONDS,
        pause_seconds: float = PAUSE_SECONDS,
    ) -> None:
        self._most = most
        self._beside = beside
        self._many = many
        self._busy_seconds = busy_seconds
        self._pause_seconds = pause_seconds
        self._busy_until = 0.0
        self._next_at = 0.0
        self._urgent = 0
        self._running = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    @contextmanager
    def urgent(self) -> Iterator[None]:
        """Count something urgent that is under way."""
        self._urgent += 1
        if self._urgent > self._many:
            self._busy_until = asyncio.get_running_loop().time() + self._busy_seconds
        try:
            yield
        finally:
            self._urgent -= 1

    @asynccontextmanager
    async def turn(self) -> AsyncGenerator[None]:
        """Wait until this work may run."""
        if self._waiting or not self._has_room():
            turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append(turn)
            self._begin()
            try:
                await turn
            except asyncio.CancelledError:
                if turn.done() and not turn.cancelled():
                    self._end()
                raise
        else:
            self._begun()
        try:
            yield
        finally:
            self._end()

    def _end(self) -> None:
        self._running -= 1
        self._begin()

    def _has_room(self) -> bool:
        now = asyncio.get_running_loop().time()
        if now >= self._busy_until:
            return self._running < self._most
        return self._running < self._beside and now >= self._next_at

    def _begun(self) -> None:
        self._running += 1
        self._next_at = asyncio.get_running_loop().time() + self._pause_seconds

    def _begin(self) -> None:
        """Begin what waits, as far as there is room; where pressure holds the rest, look again when it should be over."""
        while self._waiting and self._has_room():
            turn = self._waiting.popleft()
            if not turn.done():
                self._begun()
                turn.set_result(None)
        if self._waiting and self._running < self._most:
            again_at = self._busy_until
            if self._running < self._beside:
                again_at = min(again_at, self._next_at)
            if self._timer is None or again_at < self._timer.when():
                if self._timer is not None:
                    self._timer.cancel()
                self._timer = asyncio.get_running_loop().call_at(again_at, self._look_again)

    def _look_again(self) -> None:
        self._timer = None
        self._begin()
