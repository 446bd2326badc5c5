"""Scheduled commands. A claim moves the row on, so that two cannot both act."""

from collections.abc import Callable
from datetime import datetime

from bot.core.errors import UsageError
from bot.security.redaction import redact
from bot.store.database import Repository, put
from bot.store.mapping import SCHEDULE, values
from bot.store.rows import NewSchedule, ScheduleRow

ADD_SCHEDULE = put("schedule", key=("id",), replace=False)


class Schedules(Repository):
    """Commands that run on a schedule."""

    async def of_channel(self, team: str, channel: str) -> list[ScheduleRow]:
        """Return a channel's schedules, oldest first."""
        query = SCHEDULE.select().where(SCHEDULE.c.team == team, SCHEDULE.c.channel == channel)
        async with self._read() as db:
            return await SCHEDULE.all(db, query.order_by(SCHEDULE.c.id))

    async def of_team(self, team: str) -> list[ScheduleRow]:
        """Return a workspace's schedules, oldest first."""
        async with self._read() as db:
            return await SCHEDULE.all(db, SCHEDULE.select().where(SCHEDULE.c.team == team).order_by(SCHEDULE.c.id))

    async def add(self, row: NewSchedule) -> ScheduleRow:
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
        return ScheduleRow(id=number, **values(row))

    async def remove(self, schedule_id: int, team: str, channel: str) -> bool:
        """Forget one of a channel's schedules, and return whether it was there."""
        deletion = SCHEDULE.delete().where(
            SCHEDULE.c.id == schedule_id, SCHEDULE.c.team == team, SCHEDULE.c.channel == channel
        )
        async with self._write() as db:
            return bool((await db.execute(deletion)).rowcount)

    async def claim(self, now: datetime, limit: int, next_at: Callable[[ScheduleRow], datetime]) -> list[ScheduleRow]:
        """Move the schedules that are due on to `next_at`, and return them as they were when they came due."""
        due = (
            SCHEDULE.select()
            .where(SCHEDULE.c.next_at <= now)
            .order_by(SCHEDULE.c.next_at, SCHEDULE.c.id)
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
        async with self._write() as db:
            rows = await SCHEDULE.all(db, due)
            for row in rows:
                moved = SCHEDULE.update().where(SCHEDULE.c.id == row.id)
                moved = moved.values(next_at=next_at(row), last_at=now)
                await db.execute(moved)
        return rows

    async def set_outcome(self, schedule_id: int, outcome: str) -> None:
        """Remember how a scheduled command went."""
        done = SCHEDULE.update().where(SCHEDULE.c.id == schedule_id).values(last_outcome=outcome)
        async with self._write() as db:
            await db.execute(done)

    async def claimed_after(self, instant: datetime) -> list[ScheduleRow]:
        """Return the schedules claimed later than an instant: asked about now, those of a clock that ran ahead."""
        ahead = SCHEDULE.select().where(SCHEDULE.c.last_at > instant)
        async with self._read() as db:
            return await SCHEDULE.all(db, ahead.order_by(SCHEDULE.c.id))

    async def reschedule(self, schedule_id: int, next_at: datetime, *, instead_of: datetime) -> None:
        """Set when a schedule is due next, unless it was moved on meanwhile."""
        moved = SCHEDULE.update().where(SCHEDULE.c.id == schedule_id, SCHEDULE.c.next_at == instead_of)
        moved = moved.values(next_at=next_at)
        async with self._write() as db:
            await db.execute(moved)
