"""Tokens under which what channels follow is read over HTTP."""

from bot.store.database import Repository, put
from bot.store.mapping import FEED, values
from bot.store.rows import FeedRow, NewFeed

ADD_FEED = put("feed", key=("name",), replace=False)


class Feeds(Repository):
    """Tokens of feeds; only their digests are kept."""

    async def add(self, row: NewFeed) -> FeedRow:
        """Write a feed and return it with its id."""
        async with self._write() as db:
            number = (await self._put(db, ADD_FEED, [row]))[0][0]
        return FeedRow(id=number, **values(row))

    async def named(self, name: str) -> FeedRow | None:
        """Return the feed whose token has this name, or None."""
        async with self._read() as db:
            return await FEED.first(db, FEED.select().where(FEED.c.name == name))

    async def of_channel(self, team: str, channel: str) -> list[FeedRow]:
        """Return the feeds made in a channel ("": those of the workspace), oldest first."""
        query = FEED.select().where(FEED.c.team == team, FEED.c.channel == channel)
        async with self._read() as db:
            return await FEED.all(db, query.order_by(FEED.c.id))

    async def remove(self, feed_id: int, team: str, channel: str) -> bool:
        """Revoke one of a channel's feeds, and return whether it was there."""
        deletion = FEED.delete().where(FEED.c.id == feed_id, FEED.c.team == team, FEED.c.channel == channel)
        async with self._write() as db:
            return bool((await db.execute(deletion)).rowcount)
