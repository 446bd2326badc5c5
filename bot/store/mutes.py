"""Mutes and quiet hours."""

from sqlalchemy import or_

from bot.store.database import Repository, put
from bot.store.mapping import MUTE
from bot.store.rows import MuteRow, NewMute

PUT_MUTE = put("mute", key=("team", "channel", "target"))


class Mutes(Repository):
    """Mutes and quiet hours."""

    async def of_channel(self, team: str, channel: str) -> list[MuteRow]:
        """Return the mutes and quiet hours of a channel that are not over, oldest first."""
        query = MUTE.select().where(
            MUTE.c.team == team,
            MUTE.c.channel == channel,
            or_(MUTE.c.until.is_(None), MUTE.c.until > self._clock()),
        )
        async with self._read() as db:
            return await MUTE.all(db, query.order_by(MUTE.c.id))

    async def set(self, row: NewMute) -> None:
        """Write a mute, instead of the one that its target had in the channel."""
        async with self._write() as db:
            await self._put(db, PUT_MUTE, [row])

    async def end(self, team: str, channel: str, target: str) -> bool:
        """Forget a mute, and return whether there was one."""
        deletion = MUTE.delete().where(MUTE.c.team == team, MUTE.c.channel == channel, MUTE.c.target == target)
        async with self._write() as db:
            return bool((await db.execute(deletion)).rowcount)
