"""Notify the holder and those who waited when a hold has ended by itself."""

import logging

from bot.store.rows import HoldRow
from commands.core.context import Services
from commands.core.holds import notify_holder, notify_waiters

log = logging.getLogger(__name__)

BATCH = 20


class EndedHolds:
    """Ends the holds whose time is over, each once, in whichever process."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def tick(self) -> None:
        """End what is over, and say so."""
        for row in await self._services.store.holds.take_ended(self._services.clock(), limit=BATCH):
            await self._end(row)

    async def _end(self, row: HoldRow) -> None:
        await notify_holder(row, "has ended, as you said.", self._services)
        await notify_waiters(row, self._services)
        log.info("a hold has ended", extra={"pipeline": row.pipeline, "environment": row.environment})
