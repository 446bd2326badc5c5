"""What channels have set to a value."""

from datetime import timedelta

from sqlalchemy import delete, select

from bot.store.database import Repository, put
from bot.store.states import Setting
from bot.store.tables import table

SETTING = table("channel_setting")
PUT_SETTING = put("channel_setting", key=("team", "channel", "name"))
REMIND_AFTER = timedelta(hours=1)
"""How long after an approval's card its thread gets one reminder where the channel has set nothing else."""


class Settings(Repository):
    """What channels have set to a value."""

    async def get(self, team: str, channel: str, name: Setting) -> str | None:
        """Return what a channel has set, None where it has set nothing."""
        query = select(SETTING.c.value).where(
            SETTING.c.team == team, SETTING.c.channel == channel, SETTING.c.name == name.value
        )
        async with self._read() as db:
            value: str | None = await db.scalar(query)
        return value

    async def set(self, team: str, channel: str, name: Setting, value: str | None) -> None:
        """Set something in a channel; None takes it back."""
        deletion = delete(SETTING).where(
            SETTING.c.team == team, SETTING.c.channel == channel, SETTING.c.name == name.value
        )
        async with self._write() as db:
            if value is None:
                await db.execute(deletion)
            else:
                await self._put(
                    db, PUT_SETTING, [{"team": team, "channel": channel, "name": name.value, "value": value}]
                )

    async def reminds_after(self, team: str, channel: str) -> timedelta | None:
        """Return how long after an approval's card a channel gets a reminder, None for never."""
        value = await self.get(team, channel, Setting.REMIND)
        if value is None:
            return REMIND_AFTER
        return timedelta(seconds=int(value)) if value != "0" else None
