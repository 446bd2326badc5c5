"""Notifications on their way to Slack, in order, each once; and the cards that they become."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, and_, case, literal, not_, or_, tuple_, update
from sqlalchemy.orm import aliased
from sqlmodel import col, func, select
from sqlmodel.ext.asyncio.session import AsyncSession

from bot.core.models import BuildKey
from bot.store.database import Repository, put, values
from bot.store.recording import ADD_NOTIFICATION, of_build
from bot.store.tables import CardRow, NotificationEvent, NotificationRow, NotificationState, UtcDateTime

PENDING, LEASED = NotificationState.PENDING.value, NotificationState.LEASED.value
SENT, HELD = NotificationState.SENT.value, NotificationState.HELD.value
SILENT, FAILED = NotificationState.SILENT.value, NotificationState.FAILED.value
STARTED, FINISHED = NotificationEvent.STARTED.value, NotificationEvent.FINISHED.value
UNSENT = (PENDING, LEASED)
ADD_CARD = put("card", key=("team", "channel", "ts"), replace=False)


class Notifications(Repository):
    """Notifications on their way out, in order, each once."""

    async def get(self, notification_id: int) -> NotificationRow | None:
        """Return a notification, or None when it is forgotten."""
        async with self._read() as db:
            return await db.get(NotificationRow, notification_id)

    async def add(self, rows: Sequence[NotificationRow]) -> int:
        """Write notifications and return how many are new; one that is there already stays as it is."""
        async with self._write() as db:
            return len(await self._put(db, ADD_NOTIFICATION, rows))

    async def claim(self, owner: str, *, now: datetime, lease_seconds: float, limit: int) -> list[NotificationRow]:
        """Lease notifications that are due: of each channel the first unsent one by end and number, and only that.

        The card of a build that somebody just started waits for no end of another one. One whose lease ran out comes
        back `unsure`: whoever had it may have posted it.
        """
        earlier = aliased(NotificationRow)
        behind = (
            select(col(earlier.id))
            .where(
                earlier.team == NotificationRow.team,
                earlier.channel == NotificationRow.channel,
                col(earlier.state).in_(UNSENT),
                or_(col(NotificationRow.event) != STARTED, col(earlier.event) == STARTED),
                _order(earlier) < _order(NotificationRow),
            )
            .exists()
        )
        due = (
            select(NotificationRow.id)
            .where(
                or_(
                    and_(col(NotificationRow.state) == PENDING, col(NotificationRow.due_at) <= now),
                    and_(col(NotificationRow.state) == LEASED, col(NotificationRow.lease_until) <= now),
                ),
                not_(behind),
            )
            .order_by(col(NotificationRow.due_at), col(NotificationRow.id))
            .limit(limit)
            .with_for_update(skip_locked=True, of=NotificationRow)
        )
        claim = (
            update(NotificationRow)
            .where(col(NotificationRow.id).in_(due))
            .values(
                state=LEASED,
                lease_owner=owner,
                lease_until=now + timedelta(seconds=lease_seconds),
                tries=col(NotificationRow.tries) + 1,
                first_tried_at=func.coalesce(col(NotificationRow.first_tried_at), now),
                lost_leases=col(NotificationRow.lost_leases) + case((col(NotificationRow.state) == LEASED, 1), else_=0),
                moved=False,
                unsure=or_(col(NotificationRow.unsure), col(NotificationRow.state) == LEASED),
            )
            .returning(NotificationRow)
            .execution_options(synchronize_session=False)
        )
        async with self._write() as db:
            rows: list[NotificationRow] = list((await db.exec(claim)).scalars())
        return sorted(rows, key=lambda row: (row.due_at, row.id))

    async def set_sent(
        self, notification_id: int, *, ts: str, card: CardRow | None, now: datetime, extra: str = ""
    ) -> None:
        """Remember that a notification was posted, and the card that it became; `extra` replaces what its renderer knows.

        Where the build moved between drawing and posting, the card is due for an edit; so are the build's other cards in
        the channel, which may have to give way to this one.
        """
        asked = select(NotificationRow.moved).where(NotificationRow.id == notification_id).with_for_update()
        async with self._write() as db:
            moved = (await db.exec(asked)).first()
            await self._set_notification(
                db,
                col(NotificationRow.id) == notification_id,
                state=SENT,
                ts=ts,
                sent_at=now,
                lease_until=None,
                unsure=False,
                **({"extra": extra} if extra else {}),
            )
            if card is not None:
                data = values(card) | {"notification": notification_id}
                if moved:
                    data["edit_due_at"] = now
                await self._put(db, ADD_CARD, [data])
                others = update(CardRow).where(
                    *of_build(CardRow, BuildKey(connection=card.connection, pipeline=card.pipeline, id=card.build)),
                    col(CardRow.team) == card.team,
                    col(CardRow.channel) == card.channel,
                    col(CardRow.ts) != card.ts,
                )
                await db.exec(others.values(edit_due_at=now).execution_options(synchronize_session=False))

    async def requeue(self, notification_id: int, *, due_at: datetime, unsure: bool) -> None:
        """Give a notification back for another try at a time. `unsure` says that the post may have arrived all the same.

        One that somebody else has sent meanwhile, because this lease ran out, stays sent.
        """
        async with self._write() as db:
            await self._set_notification(
                db,
                _leased(notification_id),
                state=PENDING,
                due_at=due_at,
                unsure=unsure,
                lease_owner="",
                lease_until=None,
            )

    async def fail(self, notification_id: int, reason: str) -> None:
        """Give a leased notification up."""
        await self._end_lease(notification_id, FAILED, reason)

    async def silence(self, notification_id: int, reason: str) -> None:
        """Give a leased notification up without posting it, as decided."""
        await self._end_lease(notification_id, SILENT, reason)

    async def hold(self, notification_id: int, reason: str) -> None:
        """Hold a leased notification back."""
        await self._end_lease(notification_id, HELD, reason)

    async def readdress(self, notification_id: int, channel: str, now: datetime) -> bool:
        """Give a leased notification to another channel (or person), and return False if that one has been notified already."""
        row_key = ("team", "link", "connection", "pipeline", "build", "attempt_no", "event", "turn")
        other = aliased(NotificationRow)
        same = [getattr(other, name) == getattr(NotificationRow, name) for name in row_key]
        told = select(col(other.id)).where(*same, other.channel == channel, NotificationRow.id == notification_id)
        async with self._write() as db:
            await self._own(db, [f"notifications of {channel}"])
            if (await db.exec(told)).first() is not None:
                return False
            await self._set_notification(
                db, _leased(notification_id), channel=channel, state=PENDING, due_at=now, lease_until=None, tries=0
            )
        return True

    async def held_channels(self) -> list[tuple[str, str]]:
        """Return the (team, channel)s from which something is held back."""
        asked = select(NotificationRow.team, NotificationRow.channel).where(NotificationRow.state == HELD).distinct()
        async with self._read() as db:
            return sorted(await db.exec(asked))

    async def held(self, team: str, channel: str) -> list[NotificationRow]:
        """Return what is held back from a channel, oldest first."""
        asked = select(NotificationRow).where(
            NotificationRow.state == HELD, NotificationRow.team == team, NotificationRow.channel == channel
        )
        async with self._read() as db:
            return list(await db.exec(asked.order_by(col(NotificationRow.id))))

    async def release(
        self,
        free: Sequence[tuple[int, str]],
        silent: Sequence[tuple[int, str]],
        summary: NotificationRow | None,
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
        asked = select(NotificationRow).where(
            NotificationRow.state == PENDING, NotificationRow.team == team, NotificationRow.channel == channel
        )
        async with self._read() as db:
            return list(await db.exec(asked.order_by(col(NotificationRow.id))))

    async def gather(self, members: Sequence[int], reason: str, summary: NotificationRow) -> None:
        """Make unsent notifications silent, each with the reason, and have one summary posted instead."""
        unsent = and_(col(NotificationRow.id).in_(members), col(NotificationRow.state).in_(UNSENT))
        async with self._write() as db:
            await self._set_notification(db, unsent, state=SILENT, reason=reason, lease_until=None)
            await self._put(db, ADD_NOTIFICATION, [summary])

    async def release_leases(self, now: datetime) -> None:
        """End the leases of notifications and cards: whoever had them is gone for certain."""
        async with self._write() as db:
            await self._set_notification(db, col(NotificationRow.state) == LEASED, lease_until=now)
            leased = update(CardRow).where(col(CardRow.lease_until).is_not(None))
            await db.exec(leased.values(lease_until=None, edit_due_at=now).execution_options(synchronize_session=False))

    async def of_build(self, key: BuildKey, team: str | None = None) -> list[NotificationRow]:
        """Return all that was decided about a build, oldest first."""
        asked = select(NotificationRow).where(*of_build(NotificationRow, key)).order_by(col(NotificationRow.id))
        if team is not None:
            asked = asked.where(NotificationRow.team == team)
        async with self._read() as db:
            return list(await db.exec(asked))

    async def in_channel(self, team: str, channel: str, since: datetime) -> list[NotificationRow]:
        """Return all that was decided for a channel since a time, oldest first."""
        asked = select(NotificationRow).where(
            NotificationRow.team == team, NotificationRow.channel == channel, NotificationRow.created_at >= since
        )
        async with self._read() as db:
            return list(await db.exec(asked.order_by(col(NotificationRow.id))))

    async def revise(self, notification_id: int, extra: str, now: datetime) -> None:
        """Replace what the renderer knows of a notification, and have its card drawn anew."""
        async with self._write() as db:
            await self._set_notification(db, col(NotificationRow.id) == notification_id, extra=extra)
            due = update(CardRow).where(col(CardRow.notification) == notification_id).values(edit_due_at=now)
            await db.exec(due.execution_options(synchronize_session=False))

    async def finished(self, keys: Sequence[tuple[BuildKey, int]]) -> list[NotificationRow]:
        """Return what was decided about the ends of some attempts, each (build, attempt number), oldest first."""
        rows: list[NotificationRow] = []
        async with self._read() as db:
            for key, attempt_no in keys:
                asked = select(NotificationRow).where(
                    *of_build(NotificationRow, key),
                    NotificationRow.attempt_no == attempt_no,
                    NotificationRow.event == FINISHED,
                )
                rows += await db.exec(asked.order_by(col(NotificationRow.id)))
        return rows

    async def correct(self, extras: Mapping[int, str], now: datetime) -> None:
        """Replace what the renderer knows of some notifications, and have their cards drawn anew."""
        if not extras:
            return
        async with self._write() as db:
            for notification_id, extra in extras.items():
                await self._set_notification(db, col(NotificationRow.id) == notification_id, extra=extra, moved=True)
            due = update(CardRow).where(col(CardRow.notification).in_(list(extras)))
            await db.exec(due.values(edit_due_at=now).execution_options(synchronize_session=False))

    async def is_overtaken(self, row: NotificationRow) -> bool:
        """Return whether a later end of the same pipeline was posted to the channel already."""
        later = select(NotificationRow.id).where(
            NotificationRow.team == row.team,
            NotificationRow.channel == row.channel,
            NotificationRow.state == SENT,
            NotificationRow.event == FINISHED,
            NotificationRow.connection == row.connection,
            NotificationRow.pipeline == row.pipeline,
            _order(NotificationRow)
            > tuple_(
                literal(row.ordered_at or row.created_at, UtcDateTime()), literal(row.number or 0), literal(row.id or 0)
            ),
        )
        async with self._read() as db:
            return (await db.exec(later.limit(1))).first() is not None

    async def replace(self, notification_id: int, reason: str, plain: NotificationRow) -> None:
        """Set a leased notification aside for good, with the reason, and have a plain one posted in its place."""
        async with self._write() as db:
            set_aside = await self._set_notification(
                db, _leased(notification_id), state=FAILED, reason=reason, lease_until=None
            )
            if set_aside:
                await self._put(db, ADD_NOTIFICATION, [plain])

    async def _end_lease(self, notification_id: int, state: str, reason: str) -> None:
        async with self._write() as db:
            await self._set_notification(db, _leased(notification_id), state=state, reason=reason, lease_until=None)

    async def _set_notification(
        self, db: AsyncSession, which: ColumnElement[bool], **fields: str | int | datetime | None
    ) -> int:
        changed = update(NotificationRow).where(which).values(**fields).execution_options(synchronize_session=False)
        return (await db.exec(changed)).rowcount


def _order(row: type[NotificationRow]) -> ColumnElement[Any]:
    """Return what the notifications of a channel are ordered by: the end of the build, its number, the row."""
    return tuple_(
        func.coalesce(col(row.ordered_at), col(row.created_at)), func.coalesce(col(row.number), 0), col(row.id)
    )


def _leased(notification_id: int) -> ColumnElement[bool]:
    return and_(col(NotificationRow.id) == notification_id, col(NotificationRow.state) == LEASED)


def _held(notification_id: int) -> ColumnElement[bool]:
    return and_(col(NotificationRow.id) == notification_id, col(NotificationRow.state) == HELD)
