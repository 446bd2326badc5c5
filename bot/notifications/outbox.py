"""Deliver each notification once: lease the row, post, remember. A post of unknown fate is looked for before it is repeated.

Live cards are edited here too: the latest state wins, and the last edit is never dropped.
"""

import asyncio
import contextlib
import logging
import secrets
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Protocol, TypeVar

from bot.blocks.message import Message
from bot.core.clock import Clock
from bot.core.errors import BotError
from bot.core.models import BuildKey
from bot.core.tasks import Tasks
from bot.core.tracing import traced
from bot.notifications import decisions, quiet_hours
from bot.notifications.notification import AUTHOR, Event, Extra, Outcome
from bot.notifications.reconsideration import unwanted
from bot.notifications.summaries import gathered, release
from bot.notifications.thread_finder import ThreadFinder
from bot.slack.people import People
from bot.slack.sender import (
    FINAL,
    UNEDITABLE,
    UNFIT,
    SearchResult,
    Sender,
    SlackError,
    SlackLimited,
    SlackUnreachable,
    SlackUnsure,
)
from bot.store import Store
from bot.store.rows import CardRow, NewCard, NotificationRow

log = logging.getLogger(__name__)
Sent = TypeVar("Sent")

LEASE_SECONDS = 25.0
"""A dead process's notifications and cards go to another one by then."""
RENEW_SECONDS = 8.0
MARGIN_SECONDS = 5.0
WORK_SECONDS = 60.0
EDIT_SECONDS = 20.0
BATCH = 50
MOST_AT_ONCE = 100
LAST_WORDS_SECONDS = 5.0
TICK_SECONDS = 0.5
DRAW_SECONDS = 30.0
DRAW_FOR = timedelta(minutes=10)
"""How long a notification is tried to be drawn: what takes so long waits for others, and they may be back."""
LOST_LEASES = 6
GIVE_UP_AFTER = timedelta(days=1)
GIVEN_UP = "given_up"
"""The code `undelivered` gets for a notification that Slack could not take for a day."""
REFERENCE = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"
MOVES_SECONDS = 60.0
EDIT_AGAIN_SECONDS = 15.0
RETRY_SECONDS = (1.0, 2.0, 5.0, 15.0, 30.0, 60.0, 120.0, 300.0)


REMINDERS = frozenset({Event.REMINDER, Event.DEADLINE})


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """A notification as it is to be shown now.

    `live` says that it will change again, `moves` that it does so by time alone, `card` that it shows a build. `waits`
    says that a message which stands already is to stay as it is, for another one is about to take its place. `steps` are
    the approvals that it shows, `next_approval` says that another one is open which no card shows yet.
    `moves_after` is after how many seconds it looks another way, `deadline` when its approvals end by themselves.
    """

    message: Message
    live: bool = False
    card: bool = False
    moves: bool = False
    waits: bool = False
    steps: tuple[str, ...] = ()
    next_approval: bool = False
    moves_after: float = MOVES_SECONDS
    deadline: datetime | None = None


class Draw(Protocol):
    """What a notification looks like now, or None where there is nothing left to say."""

    async def __call__(self, row: NotificationRow, /, *, repeated: bool) -> Drawn | None:
        """Return the message; `repeated` says that it may stand in the channel already."""
        ...


Undelivered = Callable[[NotificationRow, SlackError, Drawn | None], Awaitable[None]]


class Outbox:
    """The sender of notifications and the editor of cards.

    `undelivered` is called for a notification that is given up, `kind_of` returns the kind of a connection by name.
    """

    def __init__(
        self,
        store: Store,
        slack: Sender,
        *,
        people: People,
        kind_of: Callable[[str], str],
        draw: Draw,
        undelivered: Undelivered,
        clock: Clock,
        owner: str,
        ended: Callable[[Outcome, float], None] = lambda _outcome, _seconds: None,
    ) -> None:
        self._store = store
        self._slack = slack
        self._people = people
        self._kind_of = kind_of
        self._draw = draw
        self._undelivered = undelivered
        self._clock = clock
        self._owner = owner
        self._ended = ended
        self._threads = ThreadFinder(store, clock)
        self._awake = asyncio.Event()
        self._tasks = Tasks(MOST_AT_ONCE)
        self._leases: dict[int, datetime] = {}
        """Until when the notifications that are delivered here are leased, by id."""

    def wake(self) -> None:
        """Deliver what is due now rather than at the next tick."""
        self._awake.set()

    async def run(self) -> None:
        """Deliver until cancelled; a slow channel holds up no other, and a database that is away only delays."""
        fresh = True
        try:
            while True:
                self._awake.clear()
                try:
                    if fresh and self._store.dialect == "sqlite":
                        # SQLite has one worker: whoever leased something before this start is gone.
                        await self._store.notifications.release_leases(self._clock())
                    fresh = False
                    await self.tick()
                except BotError as exc:
                    log.warning("the outbox can't read what is due", extra={"why": str(exc)})
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(TICK_SECONDS):
                        await self._awake.wait()
        finally:
            await self._tasks.drain(LAST_WORDS_SECONDS)

    async def tick(self) -> bool:
        """Start what is due, posts before edits, one post for each channel; return whether there was anything."""
        now = self._clock()
        await self._renew_leases(now)
        capacity = min(self._tasks.free, BATCH)
        if not capacity:
            return False
        due = await self._store.notifications.claim(self._owner, now=now, lease_seconds=LEASE_SECONDS, limit=capacity)
        earlier = {notification.id: await self._claim_earlier(notification, now) for notification in due}
        left = capacity - len(due)
        cards = await self._store.cards.claim(now=now, lease_seconds=LEASE_SECONDS, limit=left) if left else []
        for notification in due:
            self._leases[notification.id] = now + timedelta(seconds=LEASE_SECONDS)
            delivery = self._deliver(notification, earlier[notification.id])
            self._tasks.start(self._then_wake(delivery), f"deliver {notification.id}")
        for card in cards:
            self._tasks.start(self._then_wake(self._edit(card)), f"edit {card.id}")
        return bool(due or cards)

    async def _renew_leases(self, now: datetime) -> None:
        """Keep the leases of what is being delivered, before they end."""
        renewed_later = now + timedelta(seconds=LEASE_SECONDS - RENEW_SECONDS)
        if any(lease_until <= renewed_later for lease_until in self._leases.values()):
            lease_until = now + timedelta(seconds=LEASE_SECONDS)
            kept = await self._store.notifications.renew(self._owner, self._leases, lease_until)
            self._leases = {number: lease_until for number in self._leases if number in kept}

    async def _is_ours(self, notification: NotificationRow) -> bool:
        """Return whether a notification is still leased by this process, long enough to be posted."""
        now = self._clock()
        lease_until = self._leases.get(notification.id)
        if lease_until is not None and lease_until - now > timedelta(seconds=MARGIN_SECONDS):
            return True
        lease_until = now + timedelta(seconds=LEASE_SECONDS)
        return bool(await self._store.notifications.renew(self._owner, [notification.id], lease_until))

    def _is_overdue(self, card: CardRow) -> bool:
        """Return whether the lease of a card is over, or nearly: whoever claims it then edits it."""
        return card.lease_until is not None and card.lease_until - self._clock() <= timedelta(seconds=MARGIN_SECONDS)

    async def settle(self) -> None:
        """Wait until everything started has ended."""
        await self._tasks.drain()

    async def _then_wake(self, work: Awaitable[None]) -> None:
        try:
            await work
        except BotError as exc:
            log.warning("a delivery failed and will be tried again", extra={"why": str(exc)})
        finally:
            self._awake.set()

    async def release(self) -> None:
        """Let go what was held back from channels and people that are not quiet any more: builds as one summary."""
        for team, channel in await self._store.notifications.held_channels():
            now = self._clock()
            held = await self._store.notifications.held(team, channel)
            ready = [row for row in held if not await self._quiet(row, now)]
            left_out = [(row.id, why) for row in ready if (why := await unwanted(self._store, row))]
            gone = {number for number, _why in left_out}
            done = release([row for row in ready if row.id not in gone], now)
            if ready:
                await self._store.notifications.release(done.free, (*left_out, *done.silent), done.summary, now)
                self._awake.set()

    async def _quiet(self, row: NotificationRow, now: datetime) -> str:
        if _is_person(row.channel):
            return await self._people.off_hours(row.team, row.channel, now)
        link = await self._store.links.get(row.link) if row.link else None
        mutes = await self._store.mutes.of_channel(row.team, row.channel)
        happening = await self._happening(row) if any(mute.people for mute in mutes) else None
        return quiet_hours.muted(mutes, link, row.channel, now, happening) or ""

    async def _happening(self, row: NotificationRow) -> quiet_hours.Happening | None:
        """Return what a notification is about, for mutes of a person; None where it is about no build."""
        key = BuildKey(connection=row.connection, pipeline=row.pipeline, id=row.build)
        stored = await self._store.builds.get(key)
        if stored is None:
            return None
        build, build_row = stored
        transition = Extra.of(row.extra).transition
        return quiet_hours.Happening(
            build=build, event=row.event, transition=transition, started_by=build_row.started_by
        )

    async def _gathered(self, notification: NotificationRow) -> bool:
        """Return whether a notification went into a summary with others that wait for its channel: late ones, or a storm."""
        waiting = await self._store.notifications.pending_in(notification.team, notification.channel)
        together = gathered(notification, waiting, self._clock())
        if together is None:
            return False
        await self._store.notifications.gather(notification, *together)
        return True

    async def _address(self, notification: NotificationRow) -> None:
        """Find out who the author of a commit is here, and hand the notification to them if they want it."""
        if why := await unwanted(self._store, notification):
            await self._store.notifications.silence(notification, why)
            return
        key = BuildKey(connection=notification.connection, pipeline=notification.pipeline, id=notification.build)
        known = await self._store.builds.get(key)
        author = known[0].author if known else None
        user = (
            await self._people.author(notification.team, author, self._kind_of(notification.connection))
            if author
            else None
        )
        if user is None:
            await self._end(notification, Outcome.SILENT, "nobody here is known as the commit's author")
        elif not await self._people.wants_broken(notification.team, user):
            await self._end(notification, Outcome.SILENT, f"<@{user}> wants no direct message about it")
        elif not await self._store.notifications.readdress(notification, user, self._clock()):
            await self._end(notification, Outcome.SILENT, f"<@{user}> gets it anyway")

    async def _deliver(self, notification: NotificationRow, earlier: Sequence[CardRow]) -> None:
        """Deliver a notification, after the edits of its build's earlier cards."""
        with traced(Extra.of(notification.extra).trace or key_of(notification)):
            try:
                async with asyncio.timeout(WORK_SECONDS):
                    for card in earlier:
                        await self._edit(card)
                    await self._try(notification)
            except TimeoutError:
                await self._later(notification, self._pause(notification), unsure=True)
            finally:
                self._leases.pop(notification.id, None)

    async def _try(self, notification: NotificationRow) -> None:
        if notification.channel == AUTHOR:
            await self._address(notification)
        elif notification.unsure:
            repeated = await self._doubted(notification)
            if repeated is not None:
                await self._say(notification, repeated=repeated)
        elif not await self._kept_back(notification):
            await self._say(notification, repeated=False)

    async def _doubted(self, notification: NotificationRow) -> bool | None:
        """Look for a notification that may have been posted; return None where it was found or can't be looked for now.

        Else it is to be posted, and `True` says that it may stand in the channel already.
        """
        try:
            result = await self._find(notification)
        except SlackLimited as exc:
            await self._later(notification, exc.retry_after, unsure=True)
            return None
        except (SlackUnsure, SlackUnreachable):
            await self._later(notification, self._pause(notification), unsure=True)
            return None
        if result.ts is None:
            return not result.is_certain
        try:
            drawn = await self._draw(notification, repeated=False)
        except BotError:
            raise
        except Exception:
            log.exception("a notification that was posted could not be drawn", extra={"notification": notification.id})
            drawn = None
        await self._settled(notification, notification.channel, result.ts, drawn)
        return None

    async def _kept_back(self, notification: NotificationRow) -> bool:
        """Return whether a notification is not to be posted now, or not as it is, after all."""
        if why := await unwanted(self._store, notification):
            await self._end(notification, Outcome.SILENT, why)
            return True
        if notification.event == Event.FINISHED and await self._gathered(notification):
            return True
        if notification.event in REMINDERS and (why := await self._quiet(notification, self._clock())):
            await self._end(notification, Outcome.SILENT, why)
            return True
        if notification.event != Event.STARTED and _is_person(notification.channel):
            why = await self._quiet(notification, self._clock())
            if why:
                await self._end(notification, Outcome.HELD, why)
            return bool(why)
        return False

    async def _say(self, notification: NotificationRow, *, repeated: bool) -> None:
        notification = await self._threads.placed(notification)
        if notification.event == Event.FINISHED and await self._store.notifications.is_overtaken(notification):
            notification = await self._marked_late(notification)
        drawn = await self._drawn(notification, repeated=repeated)
        if drawn is None:
            return
        if not await self._is_ours(notification):
            log.warning("another process has taken over a notification", extra={"notification": notification.id})
            return
        try:
            channel, ts = await self._post(notification, drawn.message)
        except SlackLimited as exc:
            await self._later(notification, exc.retry_after, unsure=False)
        except SlackUnreachable:
            await self._later(notification, self._pause(notification), unsure=False)
        except SlackUnsure:
            await self._later(notification, self._pause(notification), unsure=True)
        except SlackError as exc:
            await self._refused(notification, exc, drawn)
        else:
            await self._settled(notification, channel, ts, drawn)

    async def _marked_late(self, notification: NotificationRow) -> NotificationRow:
        """Return a notification that says it comes after a later end, stored as such."""
        extra = Extra.of(notification.extra)
        if extra.late:
            return notification
        late = replace(notification, extra=replace(extra, late=True).as_json())
        await self._store.notifications.correct({late.id: late.extra}, self._clock())
        return late

    async def _drawn(self, notification: NotificationRow, *, repeated: bool) -> Drawn | None:
        """Return what to post, or None where there is nothing; what cannot be drawn is replaced by a plain notification."""
        if notification.lost_leases >= LOST_LEASES:
            await self._set_aside(notification, f"{notification.lost_leases} deliveries ended without an outcome")
            return None
        try:
            async with asyncio.timeout(DRAW_SECONDS):
                drawn = await self._draw(notification, repeated=repeated)
        except BotError:
            raise
        except TimeoutError:
            if self._clock() - (notification.first_tried_at or notification.created_at) < DRAW_FOR:
                await self._later(notification, self._pause(notification), unsure=notification.unsure)
            else:
                await self._set_aside(notification, f"drawing took longer than {DRAW_SECONDS:.0f} s")
            return None
        except Exception as exc:
            log.exception("a notification could not be drawn", extra={"notification": notification.id})
            await self._set_aside(notification, f"it could not be drawn: {type(exc).__name__}")
            return None
        if drawn is None and notification.event == Event.DECIDED:
            await self._end(notification, Outcome.SILENT, "who would read it decided it, or nobody did")
        elif drawn is None and notification.event in REMINDERS:
            await self._end(notification, Outcome.SILENT, "its approval is not open any more")
        elif drawn is None:
            await self._end(notification, Outcome.FAILED, "its build or connection is gone")
        return drawn

    async def _set_aside(self, notification: NotificationRow, reason: str) -> None:
        """Give a notification up that harms, and have a plain one posted that names it by a reference in the log."""
        if notification.event == Event.UNDRAWABLE:
            await self._end(notification, Outcome.FAILED, reason)
            return
        reference = "".join(secrets.choice(REFERENCE) for _ in range(4))
        log.error(
            "a notification is set aside",
            extra={"notification": notification.id, "reference": reference, "why": reason},
        )
        label = f"build #{notification.number}" if notification.number is not None else "a build"
        plain = decisions.undrawable_row(notification, reference, label, self._clock())
        await self._store.notifications.replace(notification, f"{reason} (reference {reference})", plain)
        self._count(notification, Outcome.SET_ASIDE)

    async def _post(self, notification: NotificationRow, message: Message) -> tuple[str, str]:
        team, channel, key = notification.team, notification.channel, key_of(notification)
        return await _fitting(
            message, lambda fit: self._slack.post(team, channel, fit, thread=notification.thread, key=key)
        )

    async def _find(self, notification: NotificationRow) -> SearchResult:
        key = key_of(notification)
        try:
            return await self._slack.find(
                notification.team, notification.channel, key, notification.created_at, thread=notification.thread
            )
        except (SlackLimited, SlackUnsure, SlackUnreachable):
            raise
        except SlackError as exc:
            log.info("a channel's history cannot be read", extra={"code": exc.code})
            return SearchResult(ts=None, is_certain=False)

    async def _settled(self, notification: NotificationRow, channel: str, ts: str, drawn: Drawn | None) -> None:
        now = self._clock()
        card = None
        if drawn is not None and drawn.card:
            card = NewCard(
                team=notification.team,
                channel=channel,
                ts=ts,
                connection=notification.connection,
                pipeline=notification.pipeline,
                build=notification.build,
                attempt_no=notification.attempt_no,
                notification=notification.id,
                live=drawn.live,
                shown=drawn.message.text,
                edit_due_at=now + timedelta(seconds=drawn.moves_after) if drawn.moves else None,
            )
        extra = ""
        if drawn is not None and drawn.steps:
            extra = replace(Extra.of(notification.extra), steps=drawn.steps).as_json()
        if not await self._store.notifications.set_sent(notification, ts=ts, card=card, now=now, extra=extra):
            log.warning("a notification was posted after its lease", extra={"notification": notification.id})
            return
        log.info(
            "a notification was posted",
            extra={"notification": notification.id, "kind": notification.event.value, "channel": channel},
        )
        self._count(notification, Outcome.POSTED)
        if notification.event == Event.BLOCKED and drawn is not None and drawn.live and not _is_person(channel):
            after = await self._store.settings.reminds_after(notification.team, notification.channel)
            rows = decisions.reminder_rows(notification, ts, drawn.steps, now, after=after, deadline=drawn.deadline)
            await self._store.notifications.add(rows)

    async def _end(self, notification: NotificationRow, outcome: Outcome, reason: str) -> None:
        notifications = self._store.notifications
        ends = {Outcome.SILENT: notifications.silence, Outcome.HELD: notifications.hold}
        await ends.get(outcome, notifications.fail)(notification, reason)
        self._count(notification, outcome)

    def _count(self, notification: NotificationRow, outcome: Outcome) -> None:
        self._ended(outcome, max((self._clock() - notification.created_at) / timedelta(seconds=1), 0.0))

    async def _later(
        self, notification: NotificationRow, seconds: float, *, unsure: bool, drawn: Drawn | None = None
    ) -> None:
        """Try again at a later time; what is a day old is given up, whatever the number of tries."""
        now = self._clock()
        if now - (notification.first_tried_at or notification.created_at) >= GIVE_UP_AFTER:
            await self._end(notification, Outcome.GIVEN_UP, "Slack could not take it for a day")
            log.warning("a notification was given up", extra={"notification": notification.id})
            await self._undelivered(notification, SlackError(GIVEN_UP), drawn)
            return
        await self._store.notifications.requeue(notification, due_at=now + timedelta(seconds=seconds), unsure=unsure)

    def _pause(self, notification: NotificationRow) -> float:
        return RETRY_SECONDS[min(max(notification.tries, 1), len(RETRY_SECONDS)) - 1]

    async def _refused(self, notification: NotificationRow, exc: SlackError, drawn: Drawn) -> None:
        """Give up what Slack will never take; a refusal that is not known to be final is tried again."""
        if exc.code in UNFIT:
            await self._set_aside(notification, f"Slack refused its text: {exc.code}")
            return
        if exc.code not in FINAL and not exc.code.startswith("restricted_action"):
            log.warning("Slack refused a notification", extra={"code": exc.code, "channel": notification.channel})
            await self._later(notification, self._pause(notification), unsure=False, drawn=drawn)
            return
        await self._end(notification, Outcome.FAILED, f"Slack refused: {exc.code}")
        log.warning("Slack will not take a notification", extra={"code": exc.code, "channel": notification.channel})
        await self._undelivered(notification, exc, drawn)

    async def _claim_earlier(self, notification: NotificationRow, now: datetime) -> list[CardRow]:
        """Lease the cards of a build's earlier attempts that are edited before the next one's is posted: one full card at a time."""
        if notification.event != Event.STARTED or notification.attempt_no == 1:
            return []
        key = BuildKey(connection=notification.connection, pipeline=notification.pipeline, id=notification.build)
        return await self._store.cards.claim_of_build(
            key, team=notification.team, channel=notification.channel, now=now, lease_seconds=LEASE_SECONDS
        )

    async def _edit(self, card: CardRow) -> None:
        try:
            async with asyncio.timeout(EDIT_SECONDS):
                await self._redraw(card)
        except TimeoutError:
            await self._store.cards.postpone(card, self._clock() + timedelta(seconds=EDIT_AGAIN_SECONDS))

    async def _redraw(self, card: CardRow) -> None:
        if self._slack.is_short(card.team):  # edits go without before notifications do
            await self._store.cards.postpone(card, self._clock() + timedelta(seconds=EDIT_AGAIN_SECONDS))
            return
        notification = await self._store.notifications.get(card.notification)
        try:
            drawn = await self._draw(notification, repeated=False) if notification is not None else None
        except BotError:
            raise
        except Exception:
            log.exception("a card could not be drawn", extra={"card": card.id})
            await self._store.cards.set_edited(card, shown=card.shown, live=card.live, now=self._clock())
            return
        if drawn is None or notification is None:
            await self._store.cards.delete(card)
            return
        if drawn.next_approval:
            await self._store.notifications.add([decisions.next_approval_row(notification, self._clock())])
            self._awake.set()
        if notification.event == Event.BLOCKED and card.live and not drawn.live:
            await self._tell_decided(notification)
        if drawn.waits:
            now = self._clock()
            later = now + timedelta(seconds=EDIT_AGAIN_SECONDS)
            await self._store.cards.set_edited(card, shown=card.shown, live=True, now=now, again_at=later)
            return
        if self._is_overdue(card):
            log.warning("a card is not edited: its lease has ended", extra={"card": card.id})
            return
        try:
            await _fitting(drawn.message, lambda fit: self._slack.update(card.team, card.channel, card.ts, fit))
        except SlackLimited as exc:
            await self._store.cards.postpone(card, self._clock() + timedelta(seconds=exc.retry_after))
        except (SlackUnsure, SlackUnreachable):
            await self._store.cards.postpone(card, self._clock() + timedelta(seconds=EDIT_AGAIN_SECONDS))
        except SlackError as exc:
            if exc.code in FINAL | UNEDITABLE:
                log.info("a card cannot be edited any more", extra={"code": exc.code})
                await self._store.cards.delete(card)
            else:
                await self._store.cards.postpone(card, self._clock() + timedelta(seconds=RETRY_SECONDS[-1]))
        else:
            now = self._clock()
            again_at = now + timedelta(seconds=drawn.moves_after) if drawn.moves else None
            await self._store.cards.set_edited(
                card, shown=drawn.message.text, live=drawn.live, now=now, again_at=again_at
            )

    async def _tell_decided(self, notification: NotificationRow) -> None:
        """Tell who started a build that an approval is decided whose card shows none any more, while others may be open."""
        key = BuildKey(connection=notification.connection, pipeline=notification.pipeline, id=notification.build)
        stored = await self._store.builds.get(key)
        steps = Extra.of(notification.extra).steps
        if stored is None or not steps or not stored[0].waiting or stored[1].attempt_no != notification.attempt_no:
            return  # the poll that sees the last approval closed tells of it
        if stored[1].started_by and stored[1].started_team == notification.team:
            now = self._clock()
            if await self._store.notifications.add([decisions.decided_row(notification, stored[1], now)]):
                self._awake.set()


async def _fitting(message: Message, send: Callable[[Message], Awaitable[Sent]]) -> Sent:
    """Send a message, its text alone where Slack takes its blocks for unfit."""
    try:
        return await send(message)
    except SlackError as exc:
        if exc.code not in UNFIT:
            raise
        log.warning("Slack refused a message's blocks; its text goes out alone", extra={"code": exc.code})
        return await send(Message(text=message.text))


def _is_person(channel: str) -> bool:
    return channel.startswith(("U", "W"))


def key_of(notification: NotificationRow) -> str:
    """Return the key that a notification's message carries: opaque to readers, the same for every attempt."""
    return f"n{notification.id}-r{notification.attempt_no}-{notification.event}"
