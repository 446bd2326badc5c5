"""Each notice once: lease the row, post, remember. A post whose fate is unknown is looked for before it is repeated.

Live cards are edited here too: the latest state wins, and the last edit is never dropped.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from bot.blocks.message import Message
from bot.core.clock import Clock
from bot.core.errors import BotError
from bot.core.models import BuildKey, Person
from bot.core.tasks import Tasks
from bot.notifications import decisions, quiet_hours
from bot.notifications.notification import AUTHOR, Event, Extra
from bot.slack.sender import GONE, REVOKED, UNFIT, SlackError, SlackLimited, SlackUnreachable, SlackUnsure
from bot.store import Store, unpack_counts
from bot.store.tables import CardRow, NoticeRow

log = logging.getLogger(__name__)

LEASE_SECONDS = 90.0
WORK_SECONDS = 60.0
BATCH = 50
MOST_AT_ONCE = 100
LAST_WORDS_SECONDS = 5.0
TICK_SECONDS = 0.5
MOST_TRIES = 12
MOVES_SECONDS = 60.0
EDIT_AGAIN_SECONDS = 15.0
RETRY_SECONDS = (1.0, 2.0, 5.0, 15.0, 30.0, 60.0, 120.0, 300.0)


class Posts(Protocol):
    """What the outbox needs of `bot.slack.sender.Sender`."""

    async def post(
        self, team: str, channel: str, message: Message, *, thread: str = "", key: str = ""
    ) -> tuple[str, str]:
        """Post a message and return (channel, ts)."""
        ...

    async def update(self, team: str, channel: str, ts: str, message: Message) -> None:
        """Replace a message."""
        ...

    async def find(self, team: str, channel: str, key: str, since: datetime, *, thread: str = "") -> str | None:
        """Return the ts of the message that carries a key."""
        ...


class Folk(Protocol):
    """What is needed of `bot.slack.people.People`."""

    async def author(self, team: str, author: Person, kind: str) -> str | None:
        """Return the Slack user that a commit's author is."""
        ...

    async def wants_broken(self, team: str, user: str) -> bool:
        """Return whether somebody asked to hear when their commit breaks a build."""
        ...

    async def off_hours(self, team: str, user: str, now: datetime) -> str:
        """Return why somebody is not to be sent a direct message now, or an empty text."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """A notice as it should look now.

    `live` says that it will change again, `moves` that it does so by time alone, `card` that it shows a build.
    """

    message: Message
    live: bool = False
    card: bool = False
    moves: bool = False


class Draw(Protocol):
    """What a notice looks like now, or None where there is nothing left to say."""

    async def __call__(self, row: NoticeRow, /, *, repeated: bool) -> Drawn | None:
        """Return the message; `repeated` says that it may stand in the channel already."""
        ...


Undelivered = Callable[[NoticeRow, SlackError, Drawn], Awaitable[None]]


class Outbox:
    """The sender of notices and the editor of cards.

    `undelivered` is told of a channel that can't be posted to, `kind_of` returns the kind of a connection by name.
    """

    def __init__(
        self,
        store: Store,
        slack: Posts,
        *,
        people: Folk,
        kind_of: Callable[[str], str],
        draw: Draw,
        undelivered: Undelivered,
        clock: Clock,
        owner: str,
        posted: Callable[[float], None] = lambda _seconds: None,
    ) -> None:
        self._store = store
        self._slack = slack
        self._people = people
        self._kind_of = kind_of
        self._draw = draw
        self._undelivered = undelivered
        self._clock = clock
        self._owner = owner
        self._posted = posted
        self._awake = asyncio.Event()
        self._tasks = Tasks(MOST_AT_ONCE)

    def wake(self) -> None:
        """Look for work now rather than at the next tick."""
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
                    log.warning("the outbox can't look for work", extra={"why": str(exc)})
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(TICK_SECONDS):
                        await self._awake.wait()
        finally:
            await self._tasks.drain(LAST_WORDS_SECONDS)

    async def tick(self) -> bool:
        """Start what is due, one notice for each channel, and the edits of due cards; return whether there was any."""
        now = self._clock()
        room = min(self._tasks.free, BATCH)
        if not room:
            return False
        due = await self._store.notifications.claim(self._owner, now=now, lease_seconds=LEASE_SECONDS, limit=room)
        cards = await self._store.cards.claim(now=now, lease_seconds=LEASE_SECONDS, limit=room)
        for notice in due:
            self._tasks.start(self._then_look_again(self._deliver(notice)), f"deliver {notice.id}")
        for card in cards:
            self._tasks.start(self._then_look_again(self._edit(card)), f"edit {card.id}")
        return bool(due or cards)

    async def settle(self) -> None:
        """Wait until everything started has ended."""
        await self._tasks.drain()

    async def _then_look_again(self, work: Awaitable[None]) -> None:
        try:
            await work
        except BotError as exc:
            log.warning("a delivery failed and will be tried again", extra={"why": str(exc)})
        finally:
            self._awake.set()

    async def release(self) -> None:
        """Let go what was held back from channels and people who may be told again: several as one summary."""
        for team, channel in await self._store.notifications.held_channels():
            now = self._clock()
            held = await self._store.notifications.held(team, channel)
            ready = [row for row in held if not await self._quiet(row, now)]
            unwanted = [(_id(row), why) for row in ready if (why := await self._unwanted(row))]
            gone = {number for number, _why in unwanted}
            done = decisions.release([row for row in ready if _id(row) not in gone], now)
            if ready:
                await self._store.notifications.release(done.free, (*unwanted, *done.silent), done.summary, now)
                self._awake.set()

    async def _quiet(self, row: NoticeRow, now: datetime) -> str:
        if _is_person(row.channel):
            return await self._people.off_hours(row.team, row.channel, now)
        link = await self._store.links.get(row.link) if row.link else None
        return (
            quiet_hours.muted(await self._store.mutes.of_channel(row.team, row.channel), link, row.channel, now) or ""
        )

    async def _unwanted(self, notice: NoticeRow) -> str:
        """Return why a notice that waited for issue counts is not wanted, now that they are known, if it is not."""
        if not notice.link or not Extra.of(notice.extra).undecided:
            return ""
        link = await self._store.links.get(notice.link)
        key = BuildKey(connection=notice.connection, pipeline=notice.pipeline, id=notice.build)
        known, round_ = await self._store.builds.get(key), await self._store.attempts.get(key, notice.round)
        if link is None or known is None or round_ is None:
            return ""
        counts = unpack_counts(round_.counts)
        return decisions.reconsidered(notice, link, known[0], counts, started_by=known[1].started_by)

    async def _gathered(self, notice: NoticeRow) -> bool:
        """Return whether a late notice went into a summary with others that wait for its channel."""
        if not Extra.of(notice.extra).late:
            return False
        waiting = await self._store.notifications.pending_in(notice.team, notice.channel)
        together = decisions.gathered(notice, waiting, self._clock())
        if together is None:
            return False
        await self._store.notifications.gather(*together)
        return True

    async def _address(self, notice: NoticeRow) -> None:
        """Find out who the author of a commit is here, and hand the notice to them if they want it."""
        key = BuildKey(connection=notice.connection, pipeline=notice.pipeline, id=notice.build)
        known = await self._store.builds.get(key)
        author = known[0].author if known else None
        user = await self._people.author(notice.team, author, self._kind_of(notice.connection)) if author else None
        if user is None:
            await self._store.notifications.silence(_id(notice), "nobody here is known as the commit's author")
        elif not await self._people.wants_broken(notice.team, user):
            await self._store.notifications.silence(_id(notice), f"<@{user}> did not ask to hear of it")
        elif not await self._store.notifications.readdress(_id(notice), user, self._clock()):
            await self._store.notifications.silence(_id(notice), f"<@{user}> hears of it anyway")

    async def _deliver(self, notice: NoticeRow) -> None:
        try:
            async with asyncio.timeout(WORK_SECONDS):
                await self._try(notice)
        except TimeoutError:
            await self._later(notice, self._pause(notice), unsure=True)

    async def _try(self, notice: NoticeRow) -> None:
        if notice.channel == AUTHOR:
            await self._address(notice)
        elif notice.unsure:
            repeated = await self._doubted(notice)
            if repeated is not None:
                await self._say(notice, repeated=repeated)
        elif not await self._kept_back(notice):
            await self._say(notice, repeated=False)

    async def _doubted(self, notice: NoticeRow) -> bool | None:
        """Look for a notice that may have been posted; return None where it was found or can't be looked for now.

        Else it is to be posted, and `True` says that it may stand in the channel already.
        """
        try:
            found, readable = await self._look(notice)
        except SlackLimited as exc:
            await self._later(notice, exc.retry_after, unsure=True)
            return None
        except (SlackUnsure, SlackUnreachable):
            await self._later(notice, self._pause(notice), unsure=True)
            return None
        if found is None:
            return not readable
        await self._settled(notice, notice.channel, found, await self._draw(notice, repeated=False))
        return None

    async def _kept_back(self, notice: NoticeRow) -> bool:
        """Return whether a notice is not to be posted now, or not as it is, after all."""
        if why := await self._unwanted(notice):
            await self._store.notifications.silence(_id(notice), why)
            return True
        if notice.event == Event.FINISHED and await self._gathered(notice):
            return True
        if notice.event != Event.STARTED and _is_person(notice.channel):
            why = await self._quiet(notice, self._clock())
            if why:
                await self._store.notifications.hold(_id(notice), why)
            return bool(why)
        return False

    async def _say(self, notice: NoticeRow, *, repeated: bool) -> None:
        drawn = await self._draw(notice, repeated=repeated)
        if drawn is None:
            await self._store.notifications.fail(_id(notice), "there was nothing left to say")
            return
        try:
            channel, ts = await self._post(notice, drawn.message)
        except SlackLimited as exc:
            await self._later(notice, exc.retry_after, unsure=False)
        except SlackUnreachable:
            await self._later(notice, self._pause(notice), unsure=False)
        except SlackUnsure:
            await self._later(notice, self._pause(notice), unsure=True)
        except SlackError as exc:
            await self._refused(notice, exc, drawn)
        else:
            await self._settled(notice, channel, ts, drawn)

    async def _post(self, notice: NoticeRow, message: Message) -> tuple[str, str]:
        key = key_of(notice)
        try:
            return await self._slack.post(notice.team, notice.channel, message, thread=notice.thread, key=key)
        except SlackError as exc:
            if exc.code not in UNFIT:
                raise
            bare = _bare(message, exc)
            return await self._slack.post(notice.team, notice.channel, bare, thread=notice.thread, key=key)

    async def _update(self, card: CardRow, message: Message) -> None:
        try:
            await self._slack.update(card.team, card.channel, card.ts, message)
        except SlackError as exc:
            if exc.code not in UNFIT:
                raise
            await self._slack.update(card.team, card.channel, card.ts, _bare(message, exc))

    async def _look(self, notice: NoticeRow) -> tuple[str | None, bool]:
        key = key_of(notice)
        try:
            found = await self._slack.find(notice.team, notice.channel, key, notice.created_at, thread=notice.thread)
        except (SlackLimited, SlackUnsure, SlackUnreachable):
            raise
        except SlackError as exc:
            log.info("a channel's history can't be read", extra={"code": exc.code})
            return None, False
        return found, True

    async def _settled(self, notice: NoticeRow, channel: str, ts: str, drawn: Drawn | None) -> None:
        now = self._clock()
        card = None
        if drawn is not None and drawn.card:
            card = CardRow(
                team=notice.team,
                channel=channel,
                ts=ts,
                connection=notice.connection,
                pipeline=notice.pipeline,
                build=notice.build,
                round=notice.round,
                notice=_id(notice),
                live=drawn.live,
                shown=drawn.message.text,
                edit_due_at=now + timedelta(seconds=MOVES_SECONDS) if drawn.moves else None,
            )
        await self._store.notifications.set_sent(_id(notice), ts=ts, card=card, now=now)
        self._posted(max((now - notice.created_at) / timedelta(seconds=1), 0.0))

    async def _later(self, notice: NoticeRow, seconds: float, *, unsure: bool) -> None:
        if notice.tries >= MOST_TRIES:
            await self._store.notifications.fail(_id(notice), "Slack could not be reached for too long")
            log.warning("a notice was given up", extra={"notice": notice.id, "tries": notice.tries})
            return
        due_at = self._clock() + timedelta(seconds=seconds)
        await self._store.notifications.requeue(_id(notice), due_at=due_at, unsure=unsure)

    def _pause(self, notice: NoticeRow) -> float:
        return RETRY_SECONDS[min(notice.tries, len(RETRY_SECONDS)) - 1]

    async def _refused(self, notice: NoticeRow, exc: SlackError, drawn: Drawn) -> None:
        await self._store.notifications.fail(_id(notice), f"Slack refused: {exc.code}")
        log.warning("Slack refused a notice", extra={"code": exc.code, "channel": notice.channel})
        if exc.code in GONE | REVOKED or exc.code.startswith("restricted_action"):
            await self._undelivered(notice, exc, drawn)

    async def _edit(self, card: CardRow) -> None:
        try:
            async with asyncio.timeout(WORK_SECONDS):
                await self._redraw(card)
        except TimeoutError:
            await self._store.cards.touch(card.id or 0, self._clock() + timedelta(seconds=EDIT_AGAIN_SECONDS))

    async def _redraw(self, card: CardRow) -> None:
        number = card.id or 0
        notice = await self._store.notifications.get(card.notice)
        drawn = await self._draw(notice, repeated=False) if notice is not None else None
        if drawn is None:
            await self._store.cards.delete(number)
            return
        try:
            await self._update(card, drawn.message)
        except SlackLimited as exc:
            await self._store.cards.touch(number, self._clock() + timedelta(seconds=exc.retry_after))
        except (SlackUnsure, SlackUnreachable):
            await self._store.cards.touch(number, self._clock() + timedelta(seconds=EDIT_AGAIN_SECONDS))
        except SlackError as exc:
            log.info("a card can't be edited any more", extra={"code": exc.code})
            await self._store.cards.delete(number)
        else:
            now = self._clock()
            again_at = now + timedelta(seconds=MOVES_SECONDS) if drawn.moves else None
            await self._store.cards.set_edited(
                number, shown=drawn.message.text, live=drawn.live, now=now, again_at=again_at
            )


def _bare(message: Message, exc: SlackError) -> Message:
    """Return a message's text alone, where Slack takes its blocks for unfit."""
    log.warning("Slack refused a message's blocks; its text goes out alone", extra={"code": exc.code})
    return Message(text=message.text)


def _is_person(channel: str) -> bool:
    return channel.startswith(("U", "W"))


def key_of(notice: NoticeRow) -> str:
    """Return the key that a notice's message carries: opaque to readers, the same for every attempt."""
    return f"n{notice.id}-r{notice.round}-{notice.event}"


def _id(notice: NoticeRow) -> int:
    return notice.id or 0
