"""Who keeps others from starting and approving builds of which pipeline."""

from datetime import datetime

from sqlalchemy import ColumnElement, or_, select

from bot.store.database import Repository, chosen, put, required
from bot.store.mapping import HOLD, HOLD_WAIT
from bot.store.rows import HoldRow, HoldWaitRow, NewHold, NewHoldWait

KEY = ("team", "connection", "pipeline", "environment")
PUT_HOLD = put("hold", key=KEY)
PUT_WAIT = put("hold_wait", key=(*KEY, "user"))


class Holds(Repository):
    """Holds of pipelines; one whose time is over counts as none."""

    async def of_team(self, team: str) -> list[HoldRow]:
        """Return a workspace's holds, oldest first."""
        query = HOLD.select().where(HOLD.c.team == team, self._lasts()).order_by(HOLD.c.made_at, HOLD.c.id)
        async with self._read() as db:
            return await HOLD.all(db, query)

    async def of_pipeline(self, team: str, connection: str, pipeline: str) -> list[HoldRow]:
        """Return a pipeline's holds, that of the whole pipeline first."""
        query = HOLD.select().where(
            HOLD.c.team == team, HOLD.c.connection == connection, HOLD.c.pipeline == pipeline, self._lasts()
        )
        async with self._read() as db:
            return await HOLD.all(db, query.order_by(HOLD.c.environment))

    async def take(self, row: NewHold) -> HoldRow:
        """Hold a pipeline, and return the hold that stands then: this one, or that of who was first.

        Somebody's own hold gets the new reason and end, and keeps its beginning.
        """
        place = (
            HOLD.c.team == row.team,
            HOLD.c.connection == row.connection,
            HOLD.c.pipeline == row.pipeline,
            HOLD.c.environment == row.environment,
        )
        async with self._write() as db:
            await self._own(db, [f"hold {row.team} {row.connection} {row.pipeline} {row.environment}"])
            before = await HOLD.first(db, HOLD.select().where(*place, self._lasts()))
            if before is None:
                await db.execute(HOLD.delete().where(*place))
                await self._put(db, PUT_HOLD, [row])
            elif before.user == row.user:
                renewed = HOLD.update().where(HOLD.c.id == before.id)
                await db.execute(renewed.values(reason=row.reason, until=row.until))
            return required(await HOLD.first(db, HOLD.select().where(*place)), "a hold that was just written")

    async def release(self, row: HoldRow) -> bool:
        """End a hold as it was read, and return whether it was still there and still that person's."""
        deletion = HOLD.delete().where(HOLD.c.id == row.id, HOLD.c.user == row.user)
        async with self._write() as db:
            return bool((await db.execute(deletion)).rowcount)

    async def take_ended(self, now: datetime, *, limit: int) -> list[HoldRow]:
        """Take away holds whose time is over, and return them: whoever takes one says so."""
        over = select(HOLD.c.id).where(HOLD.c.until <= now).order_by(HOLD.c.until).limit(limit)
        deletion = HOLD.delete().where(HOLD.c.id.in_(chosen(over.with_for_update(skip_locked=True))))
        async with self._write() as db:
            return await HOLD.all(db, deletion.returning(*HOLD.columns))

    async def wait(self, row: NewHoldWait) -> None:
        """Note that somebody waits for the end of a hold; their newest wish counts."""
        async with self._write() as db:
            await self._put(db, PUT_WAIT, [row])

    async def take_waits(self, row: HoldRow) -> list[HoldWaitRow]:
        """Take away who waits for the end of a hold, and return them."""
        deletion = HOLD_WAIT.delete().where(
            HOLD_WAIT.c.team == row.team,
            HOLD_WAIT.c.connection == row.connection,
            HOLD_WAIT.c.pipeline == row.pipeline,
            HOLD_WAIT.c.environment == row.environment,
        )
        async with self._write() as db:
            return await HOLD_WAIT.all(db, deletion.returning(*HOLD_WAIT.columns))

    def _lasts(self) -> ColumnElement[bool]:
        return or_(HOLD.c.until.is_(None), HOLD.c.until > self._clock())
