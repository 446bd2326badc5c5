"""Keep what links copied of their pipelines (name, path, default branch) as the CI systems have it now."""

import asyncio
import logging
from collections.abc import Callable
from datetime import timedelta

from bot.core.clock import Clock
from bot.core.errors import ProviderError
from bot.providers.base.provider import AnyProvider
from bot.store import Store

log = logging.getLogger(__name__)

REFRESH_AFTER = timedelta(hours=1)
MOST_AT_ONCE = 10
READ_SECONDS = 10.0
SHARE_OF_QUOTA = 0.5


class Catalogue:
    """The refresher of linked pipelines. `provider_of` returns a connection by name, None where it is gone."""

    def __init__(self, store: Store, *, provider_of: Callable[[str], AnyProvider | None], clock: Clock) -> None:
        self._store = store
        self._provider_of = provider_of
        self._clock = clock

    async def refresh(self) -> bool:
        """Read the linked pipelines that were not read for an hour, and return whether a link changed.

        Costs one request for each pipeline, ten at most, and none on a connection that has used half of its quota.
        """
        now = self._clock()
        changed = False
        for connection, pipeline in await self._store.pipelines.claim_stale(now, REFRESH_AFTER, MOST_AT_ONCE):
            provider = self._provider_of(connection)
            if provider is None or not _has_quota(provider):
                continue
            try:
                async with asyncio.timeout(READ_SECONDS):
                    read = await provider.pipeline(pipeline)
            except (ProviderError, TimeoutError) as exc:
                log.info("a pipeline could not be read", extra={"connection": connection, "why": str(exc)})
                continue
            if read.id == pipeline:
                changed = bool(await self._store.pipelines.save(connection, [read], now)) or changed
        return changed


def _has_quota(provider: AnyProvider) -> bool:
    quota = provider.quota
    return quota is None or quota.limit <= 0 or quota.remaining > quota.limit * SHARE_OF_QUOTA
