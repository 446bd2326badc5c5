"""Messages that follow the log of a running job."""

from datetime import datetime, timedelta

from sqlalchemy import select

from bot.store.database import Repository, chosen, put
from bot.store.mapping import LOG_FOLLOW, values
from bot.store.rows import LogFollowRow, NewLogFollow

ADD = put("log_follow", key=("id",), replace=False)


class LogFollows(Repository):
    """Messages that follow the log of a running job. A claim moves the row on, so that two processes don't both edit."""

    async def of_channel(self, team: str, channel: str) -> list[LogFollowRow]:
        """Return the logs that are followed in a channel, oldest first."""
        query = LOG_FOLLOW.select().where(LOG_FOLLOW.c.team == team, LOG_FOLLOW.c.channel == channel)
        async with self._read() as db:
            return await LOG_FOLLOW.all(db, query.order_by(LOG_FOLLOW.c.id))

    async def add(self, row: NewLogFollow) -> LogFollowRow:
        """Write a followed log and return it with its id."""
        async with self._write() as db:
            number = (await self._put(db, ADD, [row]))[0][0]
        return LogFollowRow(id=number, **values(row))

    async def claim(self, now: datetime, *, again: timedelta, limit: int) -> list[LogFollowRow]:
        """Return the rows that are due, and make them due again after a while: each is claimed at most that often."""
        due = (
            select(LOG_FOLLOW.c.id)
            .where(LOG_FOLLOW.c.due_at <= now)
            .order_by(LOG_FOLLOW.c.due_at)
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
        claimed = LOG_FOLLOW.update().where(LOG_FOLLOW.c.id.in_(chosen(due))).values(due_at=now + again)
        async with self._write() as db:
            return await LOG_FOLLOW.all(db, claimed.returning(*LOG_FOLLOW.columns))

    async def remove(self, claimed: LogFollowRow) -> None:
        """Stop following a claimed log. One that another process has claimed since stays."""
        row = LOG_FOLLOW.c
        async with self._write() as db:
            await db.execute(LOG_FOLLOW.delete().where(row.id == claimed.id, row.due_at == claimed.due_at))
