"""Many small writes in one transaction: what arrives while one is being committed goes into the next together."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")

MOST = 200


class GroupCommit(Generic[T, R]):
    """Gathers items and commits them in batches, in the order they came.

    `commit` writes a batch in one transaction and returns a result for each item. When it raises, each item of that
    batch raises the same. At rest a batch has one item and nothing waits; the more comes, the larger the batches.
    """

    def __init__(self, commit: Callable[[Sequence[T]], Awaitable[Sequence[R]]], *, most: int = MOST) -> None:
        self._commit = commit
        self._most = most
        self._waiting: list[tuple[T, asyncio.Future[R]]] = []
        self._running: asyncio.Task[None] | None = None

    async def add(self, item: T) -> R:
        """Write an item with others, and return its result when that is committed."""
        result: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, result))
        if self._running is None:
            self._running = asyncio.get_running_loop().create_task(self._run(), name="group commit")
        return await result

    async def drain(self) -> None:
        """Wait until all that was added is committed or has failed."""
        if self._running is not None:
            await self._running

    async def _run(self) -> None:
        try:
            while self._waiting:
                batch, self._waiting = self._waiting[: self._most], self._waiting[self._most :]
                await self._write(batch)
        finally:
            self._running = None

    async def _write(self, batch: Sequence[tuple[T, asyncio.Future[R]]]) -> None:
        try:
            results = await self._commit([item for item, _ in batch])
        except Exception as exc:  # noqa: BLE001 - it is raised again where the items came from
            for _, future in batch:
                if not future.done():
                    future.set_exception(exc)
            return
        for (_, future), result in zip(batch, results, strict=True):
            if not future.done():
                future.set_result(result)
