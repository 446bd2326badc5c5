"""Call somebody when a branch has been red for a while: nobody is on it, or whoever is has not fixed it."""

from collections.abc import Callable
from datetime import datetime

from bot.core.clock import Clock
from bot.notifications.notification import AUTHOR, Event, Extra
from bot.notifications.quiet_hours import muted
from bot.store import Store
from bot.store.rows import NewNotification, RedBranchRow
from bot.store.states import NotificationState


class Escalations:
    """Writes the notifications of red branches that are due for escalation; each once, in whichever process."""

    def __init__(self, store: Store, *, clock: Clock, wake_outbox: Callable[[], None]) -> None:
        self._store = store
        self._clock = clock
        self._wake_outbox = wake_outbox

    async def tick(self) -> None:
        """Escalate what is due."""
        now = self._clock()
        due = await self._store.red_branches.due(now)
        for row_id in due:
            async with self._store.transaction() as tx:
                red = await tx.red_branches.take_escalation(row_id, now)
                link = await tx.links.get(red.link) if red is not None else None
                if red is None or link is None or not link.subscribed or link.paused_reason:
                    continue
                quiet = muted(await tx.mutes.of_channel(red.team, red.channel), link, red.channel, now)
                await tx.notifications.add([escalation_row(red, now, quiet=quiet)])
        if due:
            self._wake_outbox()


def escalation_row(red: RedBranchRow, now: datetime, *, quiet: str | None) -> NewNotification:
    """Return the notification of a red branch's escalation; `quiet` is why the channel is not to be disturbed now."""
    return NewNotification(
        team=red.team,
        channel=red.channel,
        link=red.link,
        connection=red.connection,
        pipeline=red.pipeline,
        build=red.build,
        attempt_no=red.attempt_no,
        event=Event.UNFIXED if red.claimed_by else Event.ESCALATED,
        state=NotificationState.HELD if quiet else NotificationState.PENDING,
        reason=quiet or "the branch has been red for a while",
        extra=Extra(mention=red.escalate_to or red.claimed_by or AUTHOR).as_json(),
        due_at=now,
        created_at=now,
    )
