"""Mutes and quiet hours."""

from sqlalchemy import delete
from sqlmodel import col, or_, select

from bot.store.database import Repository, put
from bot.store.tables import MuteRow

PUT_MUTE = put("mute", key=("team", "channel", "target"))


class Mutes(Repository):
    """Mutes and quiet hours."""

    async def of_channel(self, team: str, channel: str) -> list[MuteRow]:
        """Return the mutes and quiet hours of a channel that are not over, oldest first."""
        asked = select(MuteRow).where(
            MuteRow.team == team,
            MuteRow.channel == channel,
            or_(col(MuteRow.until).is_(None), col(MuteRow.until) > self._clock()),
        )
        async with self._read() as db:
            return list(await db.exec(asked.order_by(col(MuteRow.id))))

    async def set(self, row: MuteRow) -> None:
        """Write a mute, instead of the one that its target had in the channel."""
        async with self._write() as db:
            await self._put(db, PUT_MUTE, [row])

    async def end(self, team: str, channel: str, target: str) -> bool:
        """Forget a mute, and return whether there was one."""
        gone = delete(MuteRow).where(
            col(MuteRow.team) == team, col(MuteRow.channel) == channel, col(MuteRow.target) == target
        )
        async with self._write() as db:
            return bool((await db.exec(gone.execution_options(synchronize_session=False))).rowcount)
