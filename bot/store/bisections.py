"""Searches for the commit that broke a pipeline. A claim moves the row on, so that two processes don't take the same step."""

from datetime import datetime, timedelta

from sqlalchemy import select

from bot.store.database import Repository, put
from bot.store.mapping import BISECTION, values
from bot.store.rows import BisectionRow, NewBisection
from bot.store.states import BisectionState

ADD = put("bisection", key=("running",), replace=False)
OPEN = (BisectionState.RUNNING.value, BisectionState.STOPPING.value)


class Bisections(Repository):
    """Searches for a commit; at most one runs for each channel and pipeline."""

    async def add(self, row: NewBisection) -> BisectionRow | None:
        """Write a search and return it with its id; None where one of its channel and pipeline runs already."""
        async with self._write() as db:
            written = await self._put(db, ADD, [row])
        return BisectionRow(id=written[0][0], **values(row)) if written else None

    async def of_channel(self, team: str, channel: str) -> list[BisectionRow]:
        """Return the searches that run in a channel, oldest first."""
        query = BISECTION.select().where(
            BISECTION.c.team == team, BISECTION.c.channel == channel, BISECTION.c.running.is_not(None)
        )
        async with self._read() as db:
            return await BISECTION.all(db, query.order_by(BISECTION.c.id))

    async def get(self, bisection_id: int) -> BisectionRow | None:
        """Return a search, running or ended."""
        async with self._read() as db:
            return await BISECTION.first(db, BISECTION.select().where(BISECTION.c.id == bisection_id))

    async def claim(self, now: datetime, *, again: timedelta, limit: int) -> list[BisectionRow]:
        """Return the searches that are due, and make them due again after a while: so long nobody else claims them."""
        due = (
            select(BISECTION.c.id)
            .where(BISECTION.c.state.in_(OPEN), BISECTION.c.due_at <= now)
            .order_by(BISECTION.c.due_at)
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
        claimed = BISECTION.update().where(BISECTION.c.id.in_(due)).values(due_at=now + again)
        async with self._write() as db:
            return await BISECTION.all(db, claimed.returning(*BISECTION.columns))

    async def save(self, row: BisectionRow, *, data: str, ts: str, due_at: datetime) -> None:
        """Write how far a search has come, and when its next step is due."""
        changed = BISECTION.update().where(BISECTION.c.id == row.id).values(data=data, ts=ts, due_at=due_at)
        async with self._write() as db:
            await db.execute(changed)

    async def stop(self, bisection_id: int, user: str, now: datetime) -> bool:
        """Have a running search end at its next step, which is due now; return whether it was running."""
        stopped = BISECTION.update().where(
            BISECTION.c.id == bisection_id, BISECTION.c.state == BisectionState.RUNNING.value
        )
        stopped = stopped.values(state=BisectionState.STOPPING.value, ended_by=user, due_at=now)
        async with self._write() as db:
            return bool((await db.execute(stopped)).rowcount)

    async def end(self, row: BisectionRow, *, data: str) -> None:
        """Write the end of a search: another one of its channel and pipeline may begin."""
        ended = BISECTION.update().where(BISECTION.c.id == row.id)
        async with self._write() as db:
            await db.execute(ended.values(data=data, state=BisectionState.ENDED.value, running=None))
