"""Scheduled commands. A claim moves the row on, so that two cannot both act."""

from collections.abc import Callable
from datetime import datetime

from sqlalchemy import delete, update
from sqlmodel import col, select

from bot.core.errors import UsageError
from bot.security.redaction import redact
from bot.store.database import Repository, put
from bot.store.tables import ScheduleRow

ADD_SCHEDULE = put("schedule", key=("id",), replace=False)


class Schedules(Repository):
    """Commands that run on a schedule."""

    async def of_channel(self, team: str, channel: str) -> list[ScheduleRow]:
        """Return a channel's schedules, oldest first."""
        asked = select(ScheduleRow).where(ScheduleRow.team == team, ScheduleRow.channel == channel)
        async with self._read() as db:
            return list(await db.exec(asked.order_by(col(ScheduleRow.id))))

    async def add(self, row: ScheduleRow) -> ScheduleRow:
        """Write a schedule and return it with its id.

        Raises UsageError for a command that holds a secret: it would lie open in the store, and masked it would not run.
        """
        if redact(row.command) != row.command:
            raise UsageError(
                "That command holds what reads as a password or token, and a schedule keeps its command.",
                hint="Keep the secret in the CI system, and schedule the command without it.",
            )
        async with self._write() as db:
            number = (await self._put(db, ADD_SCHEDULE, [row]))[0][0]
            return (await db.exec(select(ScheduleRow).where(ScheduleRow.id == number))).one()

    async def remove(self, schedule_id: int, team: str, channel: str) -> bool:
        """Forget one of a channel's schedules, and return whether it was there."""
        gone = delete(ScheduleRow).where(
            col(ScheduleRow.id) == schedule_id, col(ScheduleRow.team) == team, col(ScheduleRow.channel) == channel
        )
        async with self._write() as db:
            return bool((await db.exec(gone.execution_options(synchronize_session=False))).rowcount)

    async def claim(self, now: datetime, limit: int, next_at: Callable[[ScheduleRow], datetime]) -> list[ScheduleRow]:
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

    async def set_outcome(self, schedule_id: int, outcome: str) -> None:
        """Remember how a scheduled command went."""
        done = update(ScheduleRow).where(col(ScheduleRow.id) == schedule_id).values(last_outcome=outcome)
        async with self._write() as db:
            await db.exec(done.execution_options(synchronize_session=False))

    async def claimed_after(self, instant: datetime) -> list[ScheduleRow]:
        """Return the schedules claimed later than an instant: asked about now, those of a clock that ran ahead."""
        ahead = select(ScheduleRow).where(col(ScheduleRow.last_at) > instant)
        async with self._read() as db:
            return list(await db.exec(ahead.order_by(col(ScheduleRow.id))))

    async def reschedule(self, schedule_id: int, next_at: datetime, *, instead_of: datetime) -> None:
        """Set when a schedule is due next, unless it was moved on meanwhile."""
        moved = update(ScheduleRow).where(col(ScheduleRow.id) == schedule_id, col(ScheduleRow.next_at) == instead_of)
        moved = moved.values(next_at=next_at)
        async with self._write() as db:
            await db.exec(moved.execution_options(synchronize_session=False))
