"""Work that goes on beside the caller: references kept, a bound on how much at once, drained at the end."""

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

log = logging.getLogger(__name__)


class Tasks:
    """A set of running tasks. A task that fails is logged and takes nothing else down."""

    def __init__(self, most: int = 64) -> None:
        self._most = most
        self._running: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        """Return how many tasks run."""
        return len(self._running)

    @property
    def free(self) -> int:
        """Return how many more may be started now."""
        return max(self._most - len(self._running), 0)

    def start(self, work: Coroutine[Any, Any, None], name: str) -> None:
        """Run something beside the caller."""
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._running.add(task)
        task.add_done_callback(self._ended)

    async def drain(self, seconds: float | None = None) -> None:
        """Wait for what runs, at most so long; cancel the rest."""
        if self._running:
            _done, late = await asyncio.wait(set(self._running), timeout=seconds)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        if not task.cancelled() and (exc := task.exception()) is not None:
            log.error("a task failed", extra={"task": task.get_name()}, exc_info=exc)
