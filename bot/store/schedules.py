"""What the clock starts: scheduled commands and digests. A claim moves the row on, so that two cannot both act."""

from collections.abc import Callable
from datetime import datetime

from sqlalchemy import delete, update
from sqlmodel import col, select

from bot.store.database import Database, put
from bot.store.tables import DigestRow, ScheduleRow

ADD_SCHEDULE = put("schedule", key=("id",), replace=False)
PUT_DIGEST = put("digest", key=("team", "channel", "period"), keep=("sent_for",))


class Timetable(Database):
    """Schedules and digests of channels."""

    async def schedules(self, team: str, channel: str) -> list[ScheduleRow]:
        """Return a channel's schedules, oldest first."""
        asked = select(ScheduleRow).where(ScheduleRow.team == team, ScheduleRow.channel == channel)
        async with self._read() as db:
            return list(await db.exec(asked.order_by(col(ScheduleRow.id))))

    async def add_schedule(self, row: ScheduleRow) -> ScheduleRow:
        """Write a schedule and return it with its id."""
        async with self._write() as db:
            number = (await self._put(db, ADD_SCHEDULE, [row]))[0][0]
            return (await db.exec(select(ScheduleRow).where(ScheduleRow.id == number))).one()

    async def remove_schedule(self, schedule_id: int, team: str, channel: str) -> bool:
        """Forget one of a channel's schedules, and return whether it was there."""
        gone = delete(ScheduleRow).where(
            col(ScheduleRow.id) == schedule_id, col(ScheduleRow.team) == team, col(ScheduleRow.channel) == channel
        )
        async with self._write() as db:
            return bool((await db.exec(gone.execution_options(synchronize_session=False))).rowcount)

    async def claim_schedules(
        self, now: datetime, limit: int, next_at: Callable[[ScheduleRow], datetime]
    ) -> list[ScheduleRow]:
        """Move the schedules that are due on to `next_at`, and return them as they were when they came due."""
        due = (
            select(ScheduleRow)
            .where(ScheduleRow.next_at <= now)
            .order_by(col(ScheduleRow.next_at), col(ScheduleRow.id))
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
        async with self._write() as db:
            rows = list(await db.exec(due))
            db.expunge_all()
            for row in rows:
                moved = update(ScheduleRow).where(col(ScheduleRow.id) == row.id)
                moved = moved.values(next_at=next_at(row), last_at=now)
                await db.exec(moved.execution_options(synchronize_session=False))
        return rows

    async def schedule_done(self, schedule_id: int, outcome: str) -> None:
        """Remember how a scheduled command went."""
        done = update(ScheduleRow).where(col(ScheduleRow.id) == schedule_id).values(last_outcome=outcome)
        async with self._write() as db:
            await db.exec(done.execution_options(synchronize_session=False))

    async def digests(self, team: str, channel: str) -> list[DigestRow]:
        """Return a channel's digests, oldest first."""
        asked = select(DigestRow).where(DigestRow.team == team, DigestRow.channel == channel)
        async with self._read() as db:
            return list(await db.exec(asked.order_by(col(DigestRow.id))))

    async def set_digest(self, row: DigestRow) -> None:
        """Write a digest, instead of the one that the channel had for this period."""
        async with self._write() as db:
            await self._put(db, PUT_DIGEST, [row])

    async def remove_digest(self, team: str, channel: str, period: str | None = None) -> bool:
        """Forget a channel's digest for a period, or all of its digests, and return whether there was any."""
        gone = delete(DigestRow).where(col(DigestRow.team) == team, col(DigestRow.channel) == channel)
        if period is not None:
            gone = gone.where(col(DigestRow.period) == period)
        async with self._write() as db:
            return bool((await db.exec(gone.execution_options(synchronize_session=False))).rowcount)

    async def claim_digests(
        self, now: datetime, limit: int, next_at: Callable[[DigestRow], datetime]
    ) -> list[DigestRow]:
        """Move the digests that are due on to `next_at`, and return those not yet sent for that time.

        They come as they were when they came due, except that `sent_for` names the time they are sent for.
        """
        due = (
            select(DigestRow)
            .where(DigestRow.next_at <= now)
            .order_by(col(DigestRow.next_at), col(DigestRow.id))
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
        claimed = []
        async with self._write() as db:
            rows = list(await db.exec(due))
            db.expunge_all()
            for row in rows:
                period = row.next_at.isoformat()
                if row.sent_for != period:
                    row.sent_for = period
                    claimed.append(row)
                moved = update(DigestRow).where(col(DigestRow.id) == row.id)
                moved = moved.values(next_at=next_at(row), sent_for=period)
                await db.exec(moved.execution_options(synchronize_session=False))
        return claimed
