"""Who keeps others from starting and approving builds of which pipeline."""

from sqlalchemy import ColumnElement, or_

from bot.store.database import Repository, put, required
from bot.store.mapping import HOLD
from bot.store.rows import HoldRow, NewHold

KEY = ("team", "connection", "pipeline", "environment")
PUT_HOLD = put("hold", key=KEY)


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

    def _lasts(self) -> ColumnElement[bool]:
        return or_(HOLD.c.until.is_(None), HOLD.c.until > self._clock())
