"""Notify channels once that a connection has failed for a while, and once that it works again."""

import logging
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from bot.core.clock import Clock
from bot.notifications import decisions, quiet_hours
from bot.notifications.notification import Event
from bot.providers.base.provider import AnyProvider
from bot.store import Store
from bot.store.rows import PollTargetRow

log = logging.getLogger(__name__)

OUTAGE_AFTER = timedelta(minutes=10)
REMEMBERED = timedelta(days=1)


class Outages:
    """The outages of poll targets. `sees` says whether a workspace may see a connection."""

    def __init__(self, store: Store, *, clock: Clock, sees: Callable[[str, str], bool]) -> None:
        self._store = store
        self._clock = clock
        self._sees = sees

    async def failed(self, poll_target: PollTargetRow, provider: AnyProvider, reason: str) -> bool:
        """Log the start of an outage, and return whether channels are notified now that it has lasted ten minutes."""
        now = self._clock()
        since = poll_target.failing_since or now
        if poll_target.failing_since is None:
            log.info(
                "a connection fails",
                extra={"connection": poll_target.connection, "part": poll_target.part, "why": reason},
            )
        if poll_target.notified_at is not None or now - since < OUTAGE_AFTER:
            return False
        others = [other.failing_since for other in await self._failing(poll_target) if other.failing_since is not None]
        # One connection's poll targets fail together: the channels that several of them serve are notified once.
        first = min([since, *others])
        await self._notify(
            await self._served(poll_target, provider, set()), poll_target, lambda _place: first, reason, over=False
        )
        await self._store.polling.set_outage_notified(poll_target.id, now)
        return True

    async def recovered(self, poll_target: PollTargetRow, provider: AnyProvider) -> bool:
        """Write down that a target works again, and return whether channels are notified of it.

        Those are that were notified of the outage and that no other failing target serves.
        """
        if not await self._store.polling.clear_failure(poll_target):
            return False
        log.info("a connection works again", extra={"connection": poll_target.connection, "part": poll_target.part})
        if poll_target.notified_at is None:
            return False
        still = {other.part for other in await self._failing(poll_target) if other.notified_at is not None}
        outage_starts: dict[tuple[str, str], datetime] = {}
        for team, channel in await self._served(poll_target, provider, still):
            rows = await self._store.notifications.in_channel(team, channel, poll_target.notified_at - REMEMBERED)
            since = [
                row.build for row in rows if row.event == Event.OUTAGE and row.connection == poll_target.connection
            ]
            if since:
                outage_starts[team, channel] = datetime.fromisoformat(since[-1])
        await self._notify(list(outage_starts), poll_target, outage_starts.__getitem__, provider.label, over=True)
        return True

    async def _failing(self, poll_target: PollTargetRow) -> list[PollTargetRow]:
        """Return the other poll targets of the same connection that fail."""
        poll_targets = [
            one
            for one in await self._store.polling.targets()
            if one.connection == poll_target.connection and one.id != poll_target.id
        ]
        return [one for one in poll_targets if one.failing_since is not None]

    async def _served(self, poll_target: PollTargetRow, provider: AnyProvider, but: set[str]) -> list[tuple[str, str]]:
        """Return the channels that a poll target serves, and none of the parts in `but`."""
        links = [
            link
            for link in await self._store.links.all()
            if link.connection == poll_target.connection
            and link.subscribed
            and not link.paused_reason
            and self._sees(link.team, link.connection)
        ]
        others = {(link.team, link.channel) for link in links if provider.poll_target(link.pipeline) in but}
        return sorted(
            {(link.team, link.channel) for link in links if provider.poll_target(link.pipeline) == poll_target.part}
            - others
        )

    async def _notify(
        self,
        channels: Sequence[tuple[str, str]],
        poll_target: PollTargetRow,
        since: Callable[[tuple[str, str]], datetime],
        reason: str,
        *,
        over: bool,
    ) -> None:
        now = self._clock()
        for place in channels:
            quiet = quiet_hours.muted(await self._store.mutes.of_channel(*place), None, place[1], now)
            row = decisions.outage_row(
                *place,
                connection=poll_target.connection,
                since=since(place),
                error=reason,
                over=over,
                quiet=quiet,
                now=now,
            )
            await self._store.notifications.add([row])
