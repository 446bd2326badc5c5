"""What the clock types: due schedules and digests, each once, whoever's process claims them first."""

import logging
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

from bot.notifications.notification import Event, Extra
from bot.scheduler import next_times
from bot.slack.sender import SlackError
from bot.store.tables import DigestRow, NotificationRow, ScheduleRow
from commands.core.context import Answer, Request, Services, Source
from commands.core.executor import handle
from commands.look.stats import digest_message

log = logging.getLogger(__name__)

BATCH = 20
Deliver = Callable[[Request, Answer], Awaitable[None]]


class Timed:
    """Runs due schedules and digests. `deliver` shows an answer in a channel."""

    def __init__(self, services: Services, deliver: Deliver) -> None:
        self._services = services
        self._deliver = deliver

    async def tick(self) -> None:
        """Do everything that is due."""
        now = self._services.clock()
        for row in await self._services.store.schedules.claim(now, BATCH, lambda due: _next(due, now)):
            await self._run(row, now)
        for digest in await self._services.store.digests.claim(now, BATCH, lambda due: _next(due, now)):
            await self._digest(digest, now)

    async def _run(self, row: ScheduleRow, now: datetime) -> None:
        request = Request(
            team=row.team, channel=row.channel, user=row.user, text=row.command, source=Source.SCHEDULE, now=now
        )
        handled = await handle(request, self._services)
        log.info("a schedule ran", extra={"schedule": row.id, "outcome": handled.outcome})
        await self._services.store.schedules.set_outcome(row.id or 0, handled.outcome)
        try:
            await self._deliver(request, handled.answer)
        except SlackError as exc:
            log.warning("a schedule's answer was not delivered", extra={"schedule": row.id, "code": exc.code})

    async def _digest(self, row: DigestRow, now: datetime) -> None:
        request = Request(team=row.team, channel=row.channel, user=row.made_by, source=Source.SCHEDULE, now=now)
        span = timedelta(days=7 if row.period == "weekly" else 1)
        message = await digest_message(request, self._services, span)
        notification = NotificationRow(
            team=row.team,
            channel=row.channel,
            connection="",
            pipeline="",
            build=f"{row.period} {now:%Y-%m-%d %H:%M}",
            attempt_no=1,
            event=Event.DIGEST.value,
            reason=f"the {row.period} digest",
            extra=Extra(text=message.text, lines=_lines(message.blocks)).as_json(),
            due_at=now,
            created_at=now,
        )
        await self._services.store.notifications.add([notification])
        self._services.wake_outbox()


def _lines(blocks: tuple[dict[str, object], ...]) -> tuple[str, ...]:
    found = [block.get("text") for block in blocks if block.get("type") == "section"]
    return tuple(str(part.get("text")) for part in found if isinstance(part, dict))


def _next(row: ScheduleRow | DigestRow, now: datetime) -> datetime:
    return next_times(row.cron, row.tz, now)[0]
