"""Searches for the commit that broke a pipeline. A claim moves the row on, and who had it before writes nothing any more."""

from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, and_, case, select

from bot.store.database import Repository, chosen, put
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
        claimed = (
            BISECTION.update()
            .where(BISECTION.c.id.in_(chosen(due)))
            .values(due_at=now + again, fence=BISECTION.c.fence + 1)
        )
        async with self._write() as db:
            return await BISECTION.all(db, claimed.returning(*BISECTION.columns))

    async def renew(self, claimed: BisectionRow, due_at: datetime) -> None:
        """Keep a claimed search from others for longer; one that was stopped meanwhile stays due."""
        later = BISECTION.update().where(_fenced(claimed), BISECTION.c.state == BisectionState.RUNNING.value)
        async with self._write() as db:
            await db.execute(later.values(due_at=due_at))

    async def save(self, claimed: BisectionRow, *, data: str, ts: str, due_at: datetime) -> bool:
        """Write how far a search has come, and when its next step is due: now, where it was stopped meanwhile.

        Return False where another process has claimed it since; nothing is written then.
        """
        is_stopped = BISECTION.c.state == BisectionState.STOPPING.value
        changed = BISECTION.update().where(_fenced(claimed))
        changed = changed.values(data=data, ts=ts, due_at=case((is_stopped, BISECTION.c.due_at), else_=due_at))
        async with self._write() as db:
            return bool((await db.execute(changed)).rowcount)

    async def stop(self, bisection_id: int, user: str, now: datetime) -> bool:
        """Have a running search end at its next step, which is due now; return whether it was running."""
        stopped = BISECTION.update().where(
            BISECTION.c.id == bisection_id, BISECTION.c.state == BisectionState.RUNNING.value
        )
        stopped = stopped.values(state=BisectionState.STOPPING.value, ended_by=user, due_at=now)
        async with self._write() as db:
            return bool((await db.execute(stopped)).rowcount)

    async def end(self, claimed: BisectionRow, *, data: str) -> None:
        """Write the end of a search: another one of its channel and pipeline may begin. It stays where another process has it."""
        ended = BISECTION.update().where(_fenced(claimed))
        async with self._write() as db:
            await db.execute(ended.values(data=data, state=BisectionState.ENDED.value, running=None))


def _fenced(claimed: BisectionRow) -> ColumnElement[bool]:
    """Return the condition that nobody has claimed a search since."""
    return and_(BISECTION.c.id == claimed.id, BISECTION.c.fence == claimed.fence)
