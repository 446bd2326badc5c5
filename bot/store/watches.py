"""Who watches a build or follows a pipeline."""

from bot.core.models import BuildKey
from bot.store.database import Repository
from bot.store.lookups import of_build
from bot.store.mapping import WATCH
from bot.store.recording import ADD_WATCH
from bot.store.rows import NewWatch, WatchRow


class Watches(Repository):
    """Who watches a build or follows a pipeline."""

    async def add(self, row: NewWatch) -> bool:
        """Write a watch, and return whether it is new."""
        async with self._write() as db:
            return bool(await self._put(db, ADD_WATCH, [row]))

    async def of_user(self, team: str, user: str) -> list[WatchRow]:
        """Return what somebody watches and follows, oldest first."""
        query = WATCH.select().where(WATCH.c.team == team, WATCH.c.user == user).order_by(WATCH.c.id)
        async with self._read() as db:
            return await WATCH.all(db, query)

    async def of_build(self, key: BuildKey) -> list[WatchRow]:
        """Return who watches one build, oldest first."""
        async with self._read() as db:
            return await WATCH.all(db, WATCH.select().where(*of_build(WATCH.c, key)).order_by(WATCH.c.id))

    async def follow(self, team: str, channel: str, key: BuildKey) -> WatchRow | None:
        """Return how a person, or a channel, follows the pipeline of a build; None where they do not."""
        query = WATCH.select().where(
            WATCH.c.team == team,
            WATCH.c.channel == channel,
            WATCH.c.connection == key.connection,
            WATCH.c.pipeline == key.pipeline,
            WATCH.c.build == "",
        )
        async with self._read() as db:
            return await WATCH.first(db, query.order_by(WATCH.c.id))

    async def delete(self, watch_id: int) -> None:
        """Forget a watch."""
        async with self._write() as db:
            deletion = WATCH.delete().where(WATCH.c.id == watch_id)
            await db.execute(deletion)

    async def end(self, key: BuildKey) -> None:
        """Forget all watches of one build."""
        async with self._write() as db:
            deletion = WATCH.delete().where(*of_build(WATCH.c, key))
            await db.execute(deletion)
