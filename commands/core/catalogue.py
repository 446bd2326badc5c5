"""The catalogue: every pipeline of every connection, as last listed, and when it is listed again.

A listing may cost a request for each repository of an account. So one runs at a time for each connection, all who ask
meanwhile share it, and after one there is a pause: a mistyped name does not list an account anew.
"""

import asyncio
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from difflib import get_close_matches

from bot.core.clock import Clock
from bot.core.errors import BotError, ProviderError
from bot.core.models import Pipeline
from bot.core.text import folded
from bot.providers.base.provider import AnyProvider
from bot.store import Store
from bot.store.rows import PipelineRow

LISTING_SECONDS = 20.0
MOST_PIPELINES = 5000
MOST_NEAR = 3
NEAR = 0.4
PAUSE = timedelta(minutes=10)
"""How long a listing counts as fresh, whoever asks."""
PAUSE_ON_REQUEST = timedelta(seconds=30)
"""How long after one that somebody asked for until the next such one."""


def nearest(name: str, rows: Iterable[PipelineRow]) -> list[PipelineRow]:
    """Return the pipelines whose name or path is nearest to a word that fits none, the best first."""
    by_spelling = {folded(spelling): row for row in rows for spelling in (row.path, row.name)}
    near = get_close_matches(folded(name), by_spelling, n=MOST_NEAR, cutoff=NEAR)
    return list({(row.connection, row.pipeline): row for row in (by_spelling[spelling] for spelling in near)}.values())


class Catalogue:
    """Pipelines by connection. Listings of a connection are shared and spaced; when they were made is kept per process."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._running: dict[str, asyncio.Task[str]] = {}
        self._listed_at: dict[str, datetime] = {}
        self._requested_at: dict[str, datetime] = {}

    async def rows(self, providers: Iterable[AnyProvider]) -> list[PipelineRow]:
        """Return the pipelines of some connections as last listed, by connection and path. Asks no CI system."""
        return await self._store.pipelines.all(connections=[provider.connection for provider in providers])

    async def refresh(
        self, providers: Iterable[AnyProvider], *, requested: bool = False, patience: float | None = None
    ) -> Mapping[str, str]:
        """List the connections whose list is due and return what went wrong, by connection.

        `requested` says that a person asked for a new list. After `patience` seconds the listing goes on by itself.
        """
        tasks = {provider.connection: self._task(provider, requested=requested) for provider in providers}
        due = {name: task for name, task in tasks.items() if task is not None}
        if due:
            await asyncio.wait(due.values(), timeout=patience)
        return {name: task.result() for name, task in due.items() if task.done() and task.result()}

    def _task(self, provider: AnyProvider, *, requested: bool) -> asyncio.Task[str] | None:
        """Return the listing that runs or is due now, None within the pause after the last one."""
        running = self._running.get(provider.connection)
        if running is not None and not running.done():
            return running
        now = self._clock()
        earlier = (self._requested_at if requested else self._listed_at).get(provider.connection)
        if earlier is not None and now - earlier < (PAUSE_ON_REQUEST if requested else PAUSE):
            return None
        self._listed_at[provider.connection] = now
        if requested:
            self._requested_at[provider.connection] = now
        task = asyncio.ensure_future(self._list(provider))
        self._running[provider.connection] = task
        return task

    async def _list(self, provider: AnyProvider) -> str:
        """List a connection's pipelines into the store and return what went wrong. Never raises."""
        listed: list[Pipeline] = []
        try:
            async with asyncio.timeout(LISTING_SECONDS):
                async for pipeline in provider.pipelines():
                    listed.append(pipeline)
                    if len(listed) >= MOST_PIPELINES:
                        break
            await self._store.pipelines.save(
                provider.connection, listed, self._clock(), complete=len(listed) < MOST_PIPELINES
            )
        except ProviderError as exc:
            return str(exc)
        except TimeoutError:
            if listed:
                await self._store.pipelines.save(provider.connection, listed, self._clock())
            return f"{provider.label} took too long to list its pipelines."
        except BotError as exc:
            return str(exc)
        return ""

    async def close(self) -> None:
        """Stop the listings that still run."""
        for task in self._running.values():
            task.cancel()
        await asyncio.gather(*self._running.values(), return_exceptions=True)
