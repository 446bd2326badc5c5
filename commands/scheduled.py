"""Run what is due: scheduled commands and digests, each once, whichever process claims it first."""

import logging
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

import msgspec

from bot.blocks.message import Message, actions, button, section
from bot.blocks.text import roughly, when
from bot.core.errors import UsageError
from bot.core.recurrence import DAY, parse_rule, zone_of
from bot.notifications.notification import Event, Extra
from bot.slack.inbox import Delivery, Inbox
from bot.slack.sender import SlackError, SlackPassing
from bot.store.inbox import InboxKind
from bot.store.rows import DigestRow, NewNotification, ScheduleRow
from commands.core.context import Answer, Context, Services, Source
from commands.core.executor import execute
from commands.core.memory import is_first_within
from commands.core.permissions import granters
from commands.follow.digest import digest_message
from commands.follow.schedule import NotRun, described

log = logging.getLogger(__name__)

BATCH = 20
LATEST = timedelta(hours=1)
DIGEST_WAITS = timedelta(minutes=10)
"""A scheduled command runs at most this late; a run that was missed by more is left out, and the channel is notified."""

NOTICE_SECONDS = timedelta(days=30).total_seconds()
"""A person is notified of the same paused schedule at most this often."""

Deliver = Callable[[Context, Answer], Awaitable[None]]


class ScheduledCommands:
    """Runs due schedules and digests. `deliver` shows an answer in a channel.

    The next due time of each is stored, and moved on before it runs: of several missed runs (a downtime, a clock set
    forward) at most the latest takes place, and a clock set back repeats none. A digest that was missed is posted
    once, however late.
    """

    def __init__(self, services: Services, deliver: Deliver, inbox: Inbox) -> None:
        self._services = services
        self._deliver = deliver
        self._inbox = inbox
        inbox.resume[InboxKind.SCHEDULE] = self._resume_schedule
        inbox.resume[InboxKind.DIGEST] = self._resume_digest

    async def tick(self) -> None:
        """Do everything that is due, one after the other; at most `BATCH` of a kind."""
        now = self._services.clock()
        await self._pull_back(now)
        for _turn in range(BATCH):
            if (schedule := await self._claim_schedule(now)) is None:
                break
            row, delivery = schedule
            await delivery.run(_guarded(self._run(row, self._services.clock()), row))
        for _turn in range(BATCH):
            if (digest := await self._claim_digest(now)) is None:
                break
            due, delivery = digest
            await delivery.run(_guarded(self._digest(due, now), due))

    async def _claim_schedule(self, now: datetime) -> tuple[ScheduleRow, Delivery] | None:
        """Move one due schedule on and write its run into the inbox, together: a killed process leaves a trace of it."""
        async with self._services.store.transaction() as tx:
            rows = await tx.schedules.claim(now, 1, lambda due: next_due(due, now))
            if not rows:
                return None
            row = rows[0]
            return row, await self._inbox.adopt(tx, InboxKind.SCHEDULE, msgspec.to_builtins(row))

    async def _claim_digest(self, now: datetime) -> tuple[DigestRow, Delivery] | None:
        """Move one due digest on and write it into the inbox, as `_claim_schedule`."""
        async with self._services.store.transaction() as tx:
            rows = await tx.digests.claim(now, 1, lambda due: next_due(due, now))
            if not rows:
                return None
            row = rows[0]
            return row, await self._inbox.adopt(tx, InboxKind.DIGEST, msgspec.to_builtins(row))

    async def _resume_schedule(self, body: Mapping[str, Any]) -> None:
        """Run a schedule that was claimed by a process that died before it began."""
        row = msgspec.convert(body, ScheduleRow)
        await _guarded(self._run(row, self._services.clock()), row)

    async def _resume_digest(self, body: Mapping[str, Any]) -> None:
        """Make a digest that was claimed by a process that died."""
        row = msgspec.convert(body, DigestRow)
        await _guarded(self._digest(row, self._services.clock()), row)

    async def _run(self, row: ScheduleRow, now: datetime) -> None:
        if await self._is_paused(row, now) or await self._is_too_late(row, now):
            return
        context = self._context(row, now)
        handled = await execute(row.command, context)
        log.info("a schedule ran", extra={"schedule": row.id, "outcome": handled.outcome})
        await self._services.store.schedules.set_outcome(row.id, handled.outcome)
        await self._show(row, context, handled.answer)

    def _context(self, row: ScheduleRow, now: datetime) -> Context:
        return Context(
            services=self._services,
            team=row.team,
            channel=row.channel,
            user=row.user,
            source=Source.SCHEDULE,
            now=now,
        )

    async def _is_paused(self, row: ScheduleRow, now: datetime) -> bool:
        """Return whether a schedule is paused because its maker's Slack account is deactivated; posts that the first time.

        A person who can grant roles is notified, too: the channel alone may have nobody left who minds.
        """
        if not row.user or not (await self._services.people.person(row.team, row.user)).deleted:
            return False
        if row.last_outcome != NotRun.PAUSED:
            text = (
                f"Schedule {row.id} is paused: the Slack account of <@{row.user}>, who made it, is deactivated. "
                f"{described(row)}"
            )
            choices = actions(
                button("Schedule it as mine", f'schedule "{row.words}" {row.command}'),
                button("Remove it", f"schedule remove {row.id}"),
            )
            answer = Answer(message=Message(text=text, blocks=(section(text), choices)), public=True)
            if await is_first_within(f"paused schedule:{row.id}", NOTICE_SECONDS, self._services.store):
                await self._notify_granter(row, text, now)
            if not await self._show(row, self._context(row, now), answer):
                return True
        await self._services.store.schedules.set_outcome(row.id, NotRun.PAUSED)
        return True

    async def _notify_granter(self, row: ScheduleRow, text: str, now: datetime) -> None:
        """Send a notice about a schedule to the first reachable person who can grant roles in its channel."""
        notice = f"In <#{row.channel}>: {text}"
        for user in await granters(self._context(row, now)):
            if (await self._services.people.person(row.team, user)).deleted:
                continue
            try:
                await self._services.sender.post(row.team, user, Message(text=notice, blocks=(section(notice),)))
            except SlackError as exc:
                log.info("a person could not be notified", extra={"code": exc.code})
            else:
                return

    async def _is_too_late(self, row: ScheduleRow, now: datetime) -> bool:
        """Return whether the latest missed run is too long ago to be made up for; posts that."""
        due = _latest_due(row, now)
        if now - due <= LATEST:
            return False
        await self._services.store.schedules.set_outcome(row.id, NotRun.MISSED)
        text = (
            f"Schedule {row.id} did not run: it was due {when(due)}, and I was not there to run it until "
            f"{roughly((now - due).total_seconds())} later. {described(row)}. Next: {when(next_due(row, now))}."
        )
        answer = Message(text=text, blocks=(section(text), actions(button("Run it now", row.command))))
        await self._show(row, self._context(row, now), Answer(message=answer, public=True))
        return True

    async def _show(self, row: ScheduleRow, context: Context, answer: Answer) -> bool:
        try:
            await self._deliver(context, answer)
        except SlackPassing:
            raise  # the inbox has it given later
        except SlackError as exc:
            log.warning("a schedule's answer was not delivered", extra={"schedule": row.id, "code": exc.code})
            return False
        return True

    async def _pull_back(self, now: datetime) -> None:
        """Bring back next runs that were computed while the clock was ahead.

        A run that took place in what is now the future is not repeated: a clock set back by minutes, or another
        process whose clock is ahead, moves nothing.
        """
        schedules, digests = self._services.store.schedules, self._services.store.digests
        for row in await schedules.claimed_after(now):
            following = next_due(row, now)
            if row.last_at is not None and following < row.next_at and row.last_at - following > LATEST:
                await schedules.reschedule(row.id, following, instead_of=row.next_at)
        for digest in await digests.claimed_after(now + LATEST):
            if (following := next_due(digest, now)) < digest.next_at:
                await digests.reschedule(digest.id, following, instead_of=digest.next_at)

    async def _digest(self, row: DigestRow, now: datetime) -> None:
        context = Context(
            services=self._services,
            team=row.team,
            channel=row.channel,
            user=row.made_by,
            source=Source.SCHEDULE,
            now=now,
        )
        span = timedelta(days=7 if row.period == "weekly" else 1)
        message = await digest_message(context, span)
        # Where the workspace takes few posts, a digest goes out after the notifications, and holds none of them up.
        due_at = now + DIGEST_WAITS if self._services.sender.is_short(row.team) else now
        notification = NewNotification(
            team=row.team,
            channel=row.channel,
            connection="",
            pipeline="",
            build=f"{row.period} {row.sent_for}",
            attempt_no=1,
            event=Event.DIGEST,
            reason=f"the {row.period} digest",
            extra=Extra(text=message.text, lines=_lines(message.blocks)).as_json(),
            due_at=due_at,
            ordered_at=due_at,
            created_at=now,
        )
        await self._services.store.notifications.add([notification])
        self._services.wake_outbox()


async def _guarded(work: Awaitable[None], row: ScheduleRow | DigestRow) -> None:
    """Do some work for a row; where that breaks, log it, so that the other rows have their turn."""
    try:
        await work
    except SlackPassing:
        raise
    except Exception:
        log.exception("what was due broke", extra={"kind": type(row).__name__, "row": row.id})


def next_due(row: ScheduleRow | DigestRow, now: datetime) -> datetime:
    """Return when a row is due next, later than now. One whose rule can't be read waits a day."""
    try:
        rule = parse_rule(row.cron)
    except UsageError:
        log.exception("a stored rule can't be read", extra={"row": row.id, "rule": row.cron})
        return now + DAY
    return rule.next_after(now, zone_of(row.tz), due=row.next_at)


def _latest_due(row: ScheduleRow, now: datetime) -> datetime:
    try:
        return parse_rule(row.cron).last_until(now, zone_of(row.tz), due=row.next_at)
    except UsageError:
        return row.next_at


def _lines(blocks: tuple[dict[str, object], ...]) -> tuple[str, ...]:
    sections = [block.get("text") for block in blocks if block.get("type") == "section"]
    return tuple(str(part.get("text")) for part in sections if isinstance(part, dict))
