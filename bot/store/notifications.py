"""Notices on their way out, in order, each once; and the cards that came of them."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, and_, not_, or_, update
from sqlalchemy.orm import aliased
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from bot.core.models import BuildKey
from bot.store.database import Repository, put, values
from bot.store.recording import ADD_NOTICE, of_build
from bot.store.tables import CardRow, NoticeRow

UNSENT = ("pending", "leased")
ADD_CARD = put("card", key=("team", "channel", "ts"), replace=False)


class Notifications(Repository):
    """Notifications on their way out, in order, each once."""

    async def get(self, notice_id: int) -> NoticeRow | None:
        """Return a notice, or None when it is forgotten."""
        async with self._read() as db:
            return await db.get(NoticeRow, notice_id)

    async def add(self, rows: Sequence[NoticeRow]) -> int:
        """Write notices and return how many are new; one that is there already stays as it is."""
        async with self._write() as db:
            return len(await self._put(db, ADD_NOTICE, rows))

    async def claim(self, owner: str, *, now: datetime, lease_seconds: float, limit: int) -> list[NoticeRow]:
        """Lease notices that are due: of each channel the first unsent one, and only that.

        One whose lease ran out comes back `unsure`: whoever had it may have posted it.
        """
        earlier = aliased(NoticeRow)
        behind = (
            select(col(earlier.id))
            .where(
                earlier.team == NoticeRow.team,
                earlier.channel == NoticeRow.channel,
                col(earlier.state).in_(UNSENT),
                col(earlier.id) < col(NoticeRow.id),
            )
            .exists()
        )
        due = (
            select(NoticeRow.id)
            .where(
                or_(
                    and_(col(NoticeRow.state) == "pending", col(NoticeRow.due_at) <= now),
                    and_(col(NoticeRow.state) == "leased", col(NoticeRow.lease_until) <= now),
                ),
                not_(behind),
            )
            .order_by(col(NoticeRow.due_at), col(NoticeRow.id))
            .limit(limit)
            .with_for_update(skip_locked=True, of=NoticeRow)
        )
        claim = (
            update(NoticeRow)
            .where(col(NoticeRow.id).in_(due))
            .values(
                state="leased",
                lease_owner=owner,
                lease_until=now + timedelta(seconds=lease_seconds),
                tries=col(NoticeRow.tries) + 1,
                moved=False,
                unsure=or_(col(NoticeRow.unsure), col(NoticeRow.state) == "leased"),
            )
            .returning(NoticeRow)
            .execution_options(synchronize_session=False)
        )
        async with self._write() as db:
            rows: list[NoticeRow] = list((await db.exec(claim)).scalars())
        return sorted(rows, key=lambda row: (row.due_at, row.id))

    async def set_sent(self, notice_id: int, *, ts: str, card: CardRow | None, now: datetime) -> None:
        """Remember that a notice was posted, and the card that it became.

        Where the build moved between drawing and posting, the card is due for an edit. A card's first edit is not
        held up by its posting.
        """
        asked = select(NoticeRow.moved).where(NoticeRow.id == notice_id).with_for_update()
        async with self._write() as db:
            moved = (await db.exec(asked)).first()
            await self._set_notice(
                db, col(NoticeRow.id) == notice_id, state="sent", ts=ts, sent_at=now, lease_until=None, unsure=False
            )
            if card is not None:
                data = values(card) | {"notice": notice_id}
                if moved:
                    data["edit_due_at"] = now
                await self._put(db, ADD_CARD, [data])

    async def requeue(self, notice_id: int, *, due_at: datetime, unsure: bool) -> None:
        """Give a notice back for another try at a time. `unsure` says that the post may have arrived all the same.

        One that somebody else has sent meanwhile, because this lease ran out, stays sent.
        """
        async with self._write() as db:
            await self._set_notice(
                db,
                _leased(notice_id),
                state="pending",
                due_at=due_at,
                unsure=unsure,
                lease_owner="",
                lease_until=None,
            )

    async def fail(self, notice_id: int, reason: str) -> None:
        """Give a leased notice up."""
        await self._end_lease(notice_id, "failed", reason)

    async def silence(self, notice_id: int, reason: str) -> None:
        """Leave a leased notice unsaid."""
        await self._end_lease(notice_id, "silent", reason)

    async def hold(self, notice_id: int, reason: str) -> None:
        """Hold a leased notice back."""
        await self._end_lease(notice_id, "held", reason)

    async def readdress(self, notice_id: int, channel: str, now: datetime) -> bool:
        """Give a leased notice to another channel (or person), and return False where that has been told already."""
        row_key = ("team", "link", "connection", "pipeline", "build", "round", "event")
        other = aliased(NoticeRow)
        same = [getattr(other, name) == getattr(NoticeRow, name) for name in row_key]
        told = select(col(other.id)).where(*same, other.channel == channel, NoticeRow.id == notice_id)
        async with self._write() as db:
            await self._own(db, [f"notices of {channel}"])
            if (await db.exec(told)).first() is not None:
                return False
            await self._set_notice(
                db, _leased(notice_id), channel=channel, state="pending", due_at=now, lease_until=None, tries=0
            )
        return True

    async def held_channels(self) -> list[tuple[str, str]]:
        """Return the (team, channel)s from which something is held back."""
        asked = select(NoticeRow.team, NoticeRow.channel).where(NoticeRow.state == "held").distinct()
        async with self._read() as db:
            return sorted(await db.exec(asked))

    async def held(self, team: str, channel: str) -> list[NoticeRow]:
        """Return what is held back from a channel, oldest first."""
        asked = select(NoticeRow).where(NoticeRow.state == "held", NoticeRow.team == team, NoticeRow.channel == channel)
        async with self._read() as db:
            return list(await db.exec(asked.order_by(col(NoticeRow.id))))

    async def release(
        self, free: Sequence[int], silent: Sequence[tuple[int, str]], summary: NoticeRow | None, now: datetime
    ) -> None:
        """Let held notices go: some as they are, some unsaid with a reason, told by a summary if there is one.

        All at once, and of what is still held: of two processes that do this, one does it.
        """
        async with self._write() as db:
            moved = 0
            for notice_id in free:
                moved += await self._set_notice(db, _held(notice_id), state="pending", due_at=now)
            for notice_id, reason in silent:
                moved += await self._set_notice(db, _held(notice_id), state="silent", reason=reason)
            if moved and summary is not None:
                await self._put(db, ADD_NOTICE, [summary])

    async def pending_in(self, team: str, channel: str) -> list[NoticeRow]:
        """Return what a channel has still to be told and nobody is sending, oldest first."""
        asked = select(NoticeRow).where(
            NoticeRow.state == "pending", NoticeRow.team == team, NoticeRow.channel == channel
        )
        async with self._read() as db:
            return list(await db.exec(asked.order_by(col(NoticeRow.id))))

    async def gather(self, members: Sequence[int], reason: str, summary: NoticeRow) -> None:
        """Leave unsent notices unsaid, each with the reason, and have one summary said instead."""
        unsent = and_(col(NoticeRow.id).in_(members), col(NoticeRow.state).in_(UNSENT))
        async with self._write() as db:
            await self._set_notice(db, unsent, state="silent", reason=reason, lease_until=None)
            await self._put(db, ADD_NOTICE, [summary])

    async def release_leases(self, now: datetime) -> None:
        """End the leases of notices and cards: whoever had them is gone for certain."""
        async with self._write() as db:
            await self._set_notice(db, col(NoticeRow.state) == "leased", lease_until=now)
            leased = update(CardRow).where(col(CardRow.lease_until).is_not(None))
            await db.exec(leased.values(lease_until=None, edit_due_at=now).execution_options(synchronize_session=False))

    async def of_build(self, key: BuildKey, team: str | None = None) -> list[NoticeRow]:
        """Return all that was decided about a build, oldest first."""
        asked = select(NoticeRow).where(*of_build(NoticeRow, key)).order_by(col(NoticeRow.id))
        if team is not None:
            asked = asked.where(NoticeRow.team == team)
        async with self._read() as db:
            return list(await db.exec(asked))

    async def in_channel(self, team: str, channel: str, since: datetime) -> list[NoticeRow]:
        """Return all that was decided for a channel since a time, oldest first."""
        asked = select(NoticeRow).where(
            NoticeRow.team == team, NoticeRow.channel == channel, NoticeRow.created_at >= since
        )
        async with self._read() as db:
            return list(await db.exec(asked.order_by(col(NoticeRow.id))))

    async def revise(self, notice_id: int, extra: str, now: datetime) -> None:
        """Replace what the renderer knows of a notice, and have its card drawn anew."""
        async with self._write() as db:
            await self._set_notice(db, col(NoticeRow.id) == notice_id, extra=extra)
            due = update(CardRow).where(col(CardRow.notice) == notice_id).values(edit_due_at=now)
            await db.exec(due.execution_options(synchronize_session=False))

    async def _end_lease(self, notice_id: int, state: str, reason: str) -> None:
        async with self._write() as db:
            await self._set_notice(db, _leased(notice_id), state=state, reason=reason, lease_until=None)

    async def _set_notice(
        self, db: AsyncSession, which: ColumnElement[bool], **fields: str | int | datetime | None
    ) -> int:
        changed = update(NoticeRow).where(which).values(**fields).execution_options(synchronize_session=False)
        return (await db.exec(changed)).rowcount


def _leased(notice_id: int) -> ColumnElement[bool]:
    return and_(col(NoticeRow.id) == notice_id, col(NoticeRow.state) == "leased")


def _held(notice_id: int) -> ColumnElement[bool]:
    return and_(col(NoticeRow.id) == notice_id, col(NoticeRow.state) == "held")
