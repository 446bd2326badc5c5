"""Warn those who can renew credentials before they end: 30, 15, 7 and 1 days ahead, and when they have ended, once each."""

import logging
import math
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta

from bot.blocks.credentials import credentials_end
from bot.blocks.message import Message
from bot.core.clock import Clock
from bot.core.errors import BotError
from bot.providers.base.provider import AnyProvider
from bot.store import Store

log = logging.getLogger(__name__)

STEPS = (1, 7, 15, 30)
"""Days before the end at which a warning is due, the nearest first."""
ENDED = 0
CHECK_SECONDS = 6 * 3600.0
REMEMBERED_SECONDS = timedelta(days=60).total_seconds()


def days_left(expires_at: datetime, now: datetime) -> int:
    """Return the days until a time, a begun one counted; 0 where it is over."""
    return max(0, math.ceil((expires_at - now) / timedelta(days=1)))


def step_of(expires_at: datetime, now: datetime) -> int | None:
    """Return the step whose warning is due: the nearest one that the days left do not exceed. None before the first."""
    left = days_left(expires_at, now)
    if left == ENDED:
        return ENDED
    return next((step for step in STEPS if left <= step), None)


class Credentials:
    """Asks each connection every six hours when its credentials end. `keepers` are who is warned: (team, user)."""

    def __init__(
        self,
        store: Store,
        *,
        names: Callable[[], Sequence[str]],
        provider_of: Callable[[str], AnyProvider | None],
        keepers: Callable[[str], Awaitable[Sequence[tuple[str, str]]]],
        post: Callable[[str, str, Message], Awaitable[None]],
        clock: Clock,
    ) -> None:
        self._store = store
        self._names = names
        self._provider_of = provider_of
        self._keepers = keepers
        self._post = post
        self._clock = clock

    async def tick(self) -> None:
        """Check the connections that no process has checked for six hours, and warn where that is due."""
        for name in self._names():
            if await self._store.tokens.add(f"credentials:{name}", seconds=CHECK_SECONDS):
                await self._check(name)

    async def _check(self, name: str) -> None:
        provider = self._provider_of(name)
        if provider is None:
            return
        try:
            account = await provider.check()
        except BotError as exc:  # the poller reports what fails
            log.info("credentials could not be checked", extra={"connection": name, "why": str(exc)})
            return
        now = self._clock()
        await self._store.health.was_checked(name, expires_at=account.expires_at)
        if account.expires_at is None:
            return
        step = step_of(account.expires_at, now)
        if step is None:
            return
        key = f"expiry:{name}:{account.expires_at.isoformat()}:{step}"
        message = credentials_end(name, provider.label, account.expires_at, days_left(account.expires_at, now))
        for team, user in await self._keepers(name):
            # Claimed before the post: a warning lost in a crash is followed by the next one, and App Home shows it.
            if await self._store.tokens.add(f"{key}:{team}:{user}", seconds=REMEMBERED_SECONDS):
                await self._post(team, user, message)
