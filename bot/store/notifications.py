"""Notifications on their way to Slack, in order, each once; and the cards that they become."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Integer, Update, and_, bindparam, case, func, literal, not_, or_, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.core.models import BuildKey
from bot.store.database import Repository, chosen, put
from bot.store.lookups import of_build
from bot.store.mapping import CARD, NOTIFICATION, values
from bot.store.recording import ADD_NOTIFICATION
from bot.store.rows import LinkRow, NewCard, NewNotification, NotificationRow
from bot.store.statements import Statement
from bot.store.states import NotificationEvent, NotificationState
from bot.store.tables import UtcDateTime

PENDING, LEASED = NotificationState.PENDING, NotificationState.LEASED
SENT, HELD = NotificationState.SENT, NotificationState.HELD
SILENT, FAILED = NotificationState.SILENT, NotificationState.FAILED
STARTED, FINISHED = NotificationEvent.STARTED, NotificationEvent.FINISHED
UNSENT = (PENDING, LEASED)
RESPONSE_URL = "response_url"
ADD_CARD = put("card", key=("team", "channel", "ts"), replace=False)


def _order(columns: Any) -> ColumnElement[Any]:
    """Return what the notifications of a channel are ordered by: the end of the build, its number, the row."""
    return tuple_(func.coalesce(columns.ordered_at, columns.created_at), func.coalesce(columns.number, 0), columns.id)


def _claim() -> Update:
    """Return the statement of `Notifications.claim`."""
    row, earlier = NOTIFICATION.c, NOTIFICATION.table.alias("earlier").c
    now = bindparam("now", type_=UtcDateTime)
    behind = (
        select(earlier.id)
        .where(
            earlier.team == row.team,
            earlier.channel == row.channel,
            or_(earlier.state == PENDING, earlier.state == LEASED),
            or_(row.event != STARTED, earlier.event == STARTED),
            _order(earlier) < _order(row),
        )
        .exists()
    )
    due = (
        select(row.id)
        .where(
            or_(
                and_(row.state == PENDING, row.due_at <= now),
                and_(row.state == LEASED, row.lease_until <= now),
            ),
            not_(behind),
        )
        .order_by(row.due_at, row.id)
        .limit(bindparam("limit", type_=Integer))
        .with_for_update(skip_locked=True, of=NOTIFICATION.table)
    )
    return (
        NOTIFICATION.update()
        .where(row.id.in_(chosen(due)))
        .values(
            state=LEASED,
            lease_owner=bindparam("owner"),
            lease_until=bindparam("until", type_=UtcDateTime),
            tries=row.tries + 1,
            first_tried_at=func.coalesce(row.first_tried_at, now),
            lost_leases=row.lost_leases + case((row.state == LEASED, 1), else_=0),
            moved=False,
            unsure=or_(row.unsure, row.state == LEASED),
        )
        .returning(*NOTIFICATION.columns)
    )


CLAIM = Statement(_claim())


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """How many notifications wait longer than they should, and since when the oldest does."""

    count: int
    since: datetime | None


class Notifications(Repository):
    """Notifications on their way out, in order, each once."""

    async def get(self, notification_id: int) -> NotificationRow | None:
        """Return a notification, or None when it is forgotten."""
        async with self._read() as db:
            return await NOTIFICATION.first(db, NOTIFICATION.select().where(NOTIFICATION.c.id == notification_id))

    async def add(self, rows: Sequence[NewNotification]) -> int:
        """Write notifications and return how many are new; one that is there already stays as it is."""
        async with self._write() as db:
            return len(await self._put(db, ADD_NOTIFICATION, rows))

    async def claim(self, owner: str, *, now: datetime, lease_seconds: float, limit: int) -> list[NotificationRow]:
        """Lease notifications that are due: of each channel the first unsent one by end and number, and only that.

        The card of a build that somebody just started waits for no end of another one. One whose lease ran out comes
        back `unsure`: whoever had it may have posted it.
        """
        until = now + timedelta(seconds=lease_seconds)
        rows = await self._fetch(CLAIM, writes=True, owner=owner, now=now, until=until, limit=limit)
        return sorted(NOTIFICATION.made(rows), key=lambda row: (row.due_at, row.id))

    async def renew(self, owner: str, ids: Iterable[int], lease_until: datetime) -> frozenset[int]:
        """Prolong a process's leases of notifications that it delivers, and return which of them it still has."""
        renewed = (
            NOTIFICATION.update()
            .where(
                NOTIFICATION.c.id.in_(list(ids)),
                NOTIFICATION.c.lease_owner == owner,
                NOTIFICATION.c.state == LEASED,
            )
            .values(lease_until=lease_until)
            .returning(NOTIFICATION.c.id)
        )
        async with self._write() as db:
            return frozenset((await db.execute(renewed)).scalars())

    async def oldest_due(self, now: datetime) -> datetime | None:
        """Return since when the longest waiting notification is due, None where none is."""
        row = NOTIFICATION.c
        due = select(func.min(row.due_at)).where(row.state == PENDING, row.due_at <= now)
        async with self._read() as db:
            oldest: datetime | None = await db.scalar(due)
        return oldest

    async def count_held(self) -> int:
        """Return how many notifications are held back."""
        async with self._read() as db:
            return int(await db.scalar(select(func.count()).where(NOTIFICATION.c.state == HELD)) or 0)

    async def waiting(self, teams: Collection[str], now: datetime) -> Waiting:
        """Return what of some workspaces is overdue or was refused before, and since when the oldest of it waits."""
        row = NOTIFICATION.c
        waits = select(func.count(), func.min(func.coalesce(row.first_tried_at, row.due_at))).where(
            row.state == PENDING, row.team.in_(list(teams)), or_(row.due_at <= now, row.tries > 0)
        )
        async with self._read() as db:
            count, since = (await db.execute(waits)).one()
        return Waiting(count=count, since=since)

    async def set_sent(
        self, leased: NotificationRow, *, ts: str, card: NewCard | None, now: datetime, extra: str = ""
    ) -> bool:
        """Remember that a leased notification was posted, and the card that it became.

        `extra` replaces what its renderer knows. Return False where somebody else has leased it since: they find what was posted.
        Where the build moved between drawing and posting, the card is due for an edit; so are the build's other cards in
        the channel, which may have to give way to this one.
        """
        query = select(NOTIFICATION.c.moved, NOTIFICATION.c.extra).where(_fenced(leased)).with_for_update()
        async with self._write() as db:
            row = (await db.execute(query)).one_or_none()
            if row is None:
                return False
            moved, kept = row
            await self._set_notification(
                db,
                NOTIFICATION.c.id == leased.id,
                state=SENT,
                ts=ts,
                sent_at=now,
                lease_until=None,
                unsure=False,
                extra=_spent(extra or kept),
            )
            if card is not None:
                data = values(card) | {"notification": leased.id}
                if moved:
                    data["edit_due_at"] = now
                await self._put(db, ADD_CARD, [data])
                others = CARD.update().where(
                    *of_build(CARD.c, BuildKey(connection=card.connection, pipeline=card.pipeline, id=card.build)),
                    CARD.c.team == card.team,
                    CARD.c.channel == card.channel,
                    CARD.c.ts != card.ts,
                )
                await db.execute(others.values(edit_due_at=now))
        return True

    async def requeue(self, leased: NotificationRow, *, due_at: datetime, unsure: bool) -> None:
        """Give a leased notification back for another try at a time. `unsure` says that the post may have arrived all the same.

        One that somebody else has sent meanwhile, because this lease ran out, stays sent.
        """
        async with self._write() as db:
            await self._set_notification(
                db,
                _leased(leased),
                state=PENDING,
                due_at=due_at,
                unsure=unsure,
                lease_owner="",
                lease_until=None,
            )

    async def fail(self, leased: NotificationRow, reason: str) -> None:
        """Give a leased notification up."""
        await self._end_lease(leased, FAILED, reason)

    async def silence(self, leased: NotificationRow, reason: str) -> None:
        """Give a leased notification up without posting it, as decided."""
        await self._end_lease(leased, SILENT, reason)

    async def hold(self, leased: NotificationRow, reason: str) -> None:
        """Hold a leased notification back."""
        await self._end_lease(leased, HELD, reason)

    async def readdress(self, leased: NotificationRow, channel: str, now: datetime) -> bool:
        """Give a leased notification to another channel (or person), and return False if that one has been notified already."""
        row_key = ("team", "link", "connection", "pipeline", "build", "attempt_no", "event", "turn")
        row, other = NOTIFICATION.c, NOTIFICATION.table.alias("other").c
        same = [other[name] == row[name] for name in row_key]
        twin = select(other.id).where(*same, other.channel == channel, row.id == leased.id)
        async with self._write() as db:
            await self._own(db, [f"notifications of {channel}"])
            if await db.scalar(twin) is not None:
                return False
            await self._set_notification(
                db, _leased(leased), channel=channel, state=PENDING, due_at=now, lease_until=None, tries=0
            )
        return True

    async def held_channels(self) -> list[tuple[str, str]]:
        """Return the (team, channel)s from which something is held back."""
        query = select(NOTIFICATION.c.team, NOTIFICATION.c.channel).where(NOTIFICATION.c.state == HELD).distinct()
        async with self._read() as db:
            return sorted((team, channel) for team, channel in await db.execute(query))

    async def held(self, team: str, channel: str) -> list[NotificationRow]:
        """Return what is held back from a channel, oldest first."""
        query = NOTIFICATION.select().where(
            NOTIFICATION.c.state == HELD, NOTIFICATION.c.team == team, NOTIFICATION.c.channel == channel
        )
        async with self._read() as db:
            return await NOTIFICATION.all(db, query.order_by(NOTIFICATION.c.id))

    async def release(
        self,
        free: Sequence[tuple[int, str]],
        silent: Sequence[tuple[int, str]],
        summary: NewNotification | None,
        now: datetime,
    ) -> None:
        """Let held notifications go: some as they are, some silent, each with its reason, and a summary if there is one.

        All at once, and of what is still held: of two processes that do this, one does it.
        """
        async with self._write() as db:
            moved = 0
            for notification_id, reason in free:
                moved += await self._set_notification(
                    db, _held(notification_id), state=PENDING, reason=reason, due_at=now, first_tried_at=None
                )
            for notification_id, reason in silent:
                moved += await self._set_notification(db, _held(notification_id), state=SILENT, reason=reason)
            if moved and summary is not None:
                await self._put(db, ADD_NOTIFICATION, [summary])

    async def pending_in(self, team: str, channel: str) -> list[NotificationRow]:
        """Return the notifications of a channel that are pending, oldest first."""
        query = NOTIFICATION.select().where(
            NOTIFICATION.c.state == PENDING, NOTIFICATION.c.team == team, NOTIFICATION.c.channel == channel
        )
        async with self._read() as db:
            return await NOTIFICATION.all(db, query.order_by(NOTIFICATION.c.id))

    async def gather(
        self, leased: NotificationRow, members: Sequence[int], reason: str, summary: NewNotification
    ) -> None:
        """Make a leased notification and unsent ones silent, each with the reason, and have one summary posted instead.

        Where somebody else has leased the first one since, nothing is done: gathering is theirs.
        """
        unsent = and_(NOTIFICATION.c.id.in_(members), NOTIFICATION.c.state.in_(UNSENT))
        async with self._write() as db:
            if await self._set_notification(db, _leased(leased), state=SILENT, reason=reason, lease_until=None):
                await self._set_notification(db, unsent, state=SILENT, reason=reason, lease_until=None)
                await self._put(db, ADD_NOTIFICATION, [summary])

    async def release_leases(self, now: datetime) -> None:
        """End the leases of notifications and cards: whoever had them is gone for certain."""
        async with self._write() as db:
            await self._set_notification(db, NOTIFICATION.c.state == LEASED, lease_until=now)
            leased = CARD.update().where(CARD.c.lease_until.is_not(None))
            await db.execute(leased.values(lease_until=None, edit_due_at=now))

    async def of_build(self, key: BuildKey, team: str | None = None) -> list[NotificationRow]:
        """Return all that was decided about a build, oldest first."""
        query = NOTIFICATION.select().where(*of_build(NOTIFICATION.c, key)).order_by(NOTIFICATION.c.id)
        if team is not None:
            query = query.where(NOTIFICATION.c.team == team)
        async with self._read() as db:
            return await NOTIFICATION.all(db, query)

    async def in_channel(self, team: str, channel: str, since: datetime) -> list[NotificationRow]:
        """Return all that was decided for a channel since a time, oldest first."""
        query = NOTIFICATION.select().where(
            NOTIFICATION.c.team == team, NOTIFICATION.c.channel == channel, NOTIFICATION.c.created_at >= since
        )
        async with self._read() as db:
            return await NOTIFICATION.all(db, query.order_by(NOTIFICATION.c.id))

    async def sent_by_link(self, team: str, links: Sequence[LinkRow], since: datetime) -> dict[int, int]:
        """Return how many notifications of each link its channel got since a time; links without any are left out."""
        # By the channels and from the first id of that time on: else all that was ever sent is read.
        first = select(NOTIFICATION.c.id).where(NOTIFICATION.c.created_at >= since)
        first = first.order_by(NOTIFICATION.c.created_at, NOTIFICATION.c.id).limit(1)
        query = (
            select(NOTIFICATION.c.link, func.count())
            .where(
                NOTIFICATION.c.team == team,
                NOTIFICATION.c.channel.in_({link.channel for link in links}),
                NOTIFICATION.c.link.in_([link.id for link in links]),
                NOTIFICATION.c.state == SENT,
                NOTIFICATION.c.id >= first.scalar_subquery(),
                NOTIFICATION.c.created_at >= since,
            )
            .group_by(NOTIFICATION.c.link)
        )
        async with self._read() as db:
            rows = (await db.execute(query)).all()
        return {int(link): int(count) for link, count in rows}

    async def revise(self, notification_id: int, extra: str, now: datetime) -> None:
        """Replace what the renderer knows of a notification, and have its card drawn anew."""
        async with self._write() as db:
            await self._set_notification(db, NOTIFICATION.c.id == notification_id, extra=extra)
            due = CARD.update().where(CARD.c.notification == notification_id).values(edit_due_at=now)
            await db.execute(due)

    async def finished(self, keys: Sequence[tuple[BuildKey, int]]) -> list[NotificationRow]:
        """Return what was decided about the ends of some attempts, each (build, attempt number), oldest first."""
        rows: list[NotificationRow] = []
        async with self._read() as db:
            for key, attempt_no in keys:
                query = NOTIFICATION.select().where(
                    *of_build(NOTIFICATION.c, key),
                    NOTIFICATION.c.attempt_no == attempt_no,
                    NOTIFICATION.c.event == FINISHED,
                )
                rows += await NOTIFICATION.all(db, query.order_by(NOTIFICATION.c.id))
        return rows

    async def correct(self, extras: Mapping[int, str], now: datetime) -> None:
        """Replace what the renderer knows of some notifications, and have their cards drawn anew."""
        if not extras:
            return
        async with self._write() as db:
            for notification_id, extra in extras.items():
                await self._set_notification(db, NOTIFICATION.c.id == notification_id, extra=extra, moved=True)
            due = CARD.update().where(CARD.c.notification.in_(list(extras)))
            await db.execute(due.values(edit_due_at=now))

    async def reopen(
        self, notification_id: int, *, state: NotificationState, reason: str, extra: str, now: datetime
    ) -> None:
        """Post, or hold, a notification after all that stayed silent; one that is not silent any more stays as it is."""
        is_silent = and_(NOTIFICATION.c.id == notification_id, NOTIFICATION.c.state == SILENT)
        async with self._write() as db:
            await self._set_notification(db, is_silent, state=state, reason=reason, extra=extra, due_at=now)

    async def is_overtaken(self, row: NotificationRow) -> bool:
        """Return whether a later end of the same pipeline was posted to the channel already."""
        later = select(NOTIFICATION.c.id).where(
            NOTIFICATION.c.team == row.team,
            NOTIFICATION.c.channel == row.channel,
            NOTIFICATION.c.state == SENT,
            NOTIFICATION.c.event == FINISHED,
            NOTIFICATION.c.connection == row.connection,
            NOTIFICATION.c.pipeline == row.pipeline,
            _order(NOTIFICATION.c)
            > tuple_(
                literal(row.ordered_at or row.created_at, UtcDateTime()), literal(row.number or 0), literal(row.id)
            ),
        )
        async with self._read() as db:
            return await db.scalar(later.limit(1)) is not None

    async def replace(self, leased: NotificationRow, reason: str, plain: NewNotification) -> None:
        """Set a leased notification aside for good, with the reason, and have a plain one posted in its place."""
        async with self._write() as db:
            if await self._end(db, leased, FAILED, reason):
                await self._put(db, ADD_NOTIFICATION, [plain])

    async def _end_lease(self, leased: NotificationRow, state: NotificationState, reason: str) -> None:
        async with self._write() as db:
            await self._end(db, leased, state, reason)

    async def _end(self, db: AsyncConnection, leased: NotificationRow, state: NotificationState, reason: str) -> bool:
        query = select(NOTIFICATION.c.extra).where(_leased(leased)).with_for_update()
        kept: str | None = await db.scalar(query)
        if kept is None:
            return False
        ended = {"state": state, "reason": reason, "extra": _spent(kept)}
        return bool(await self._set_notification(db, _leased(leased), **ended, lease_until=None))

    async def _set_notification(
        self, db: AsyncConnection, which: ColumnElement[bool], **fields: str | int | datetime | None
    ) -> int:
        changed = NOTIFICATION.update().where(which).values(**fields)
        return (await db.execute(changed)).rowcount


def _spent(extra: str) -> str:
    """Return what a renderer knows without the response_url, which is an address to post at for whoever reads it."""
    if RESPONSE_URL not in extra:
        return extra
    fields = msgspec.json.decode(extra, type=dict[str, msgspec.Raw])
    fields.pop(RESPONSE_URL, None)
    return msgspec.json.encode(fields).decode()


def _fenced(leased: NotificationRow) -> ColumnElement[bool]:
    """Return the condition that nobody has leased a notification since: each claim counts a try."""
    return and_(
        NOTIFICATION.c.id == leased.id,
        NOTIFICATION.c.lease_owner == leased.lease_owner,
        NOTIFICATION.c.tries == leased.tries,
    )


def _leased(leased: NotificationRow) -> ColumnElement[bool]:
    return and_(_fenced(leased), NOTIFICATION.c.state == LEASED)


def _held(notification_id: int) -> ColumnElement[bool]:
    return and_(NOTIFICATION.c.id == notification_id, NOTIFICATION.c.state == HELD)
