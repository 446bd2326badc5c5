"""What channels have switched on."""

from sqlalchemy import delete, select

from bot.store.database import Repository, put
from bot.store.states import Switch
from bot.store.tables import table

SWITCH = table("switch")
ADD_SWITCH = put("switch", key=("team", "channel", "name"), replace=False)


class Switches(Repository):
    """What channels have switched on."""

    async def is_on(self, team: str, channel: str, name: Switch) -> bool:
        """Return whether something is switched on in a channel."""
        kept = select(SWITCH.c.id).where(
            SWITCH.c.team == team, SWITCH.c.channel == channel, SWITCH.c.name == name.value
        )
        async with self._read() as db:
            return (await db.execute(kept)).first() is not None

    async def set(self, team: str, channel: str, name: Switch, *, on: bool) -> None:
        """Switch something on or off in a channel."""
        deletion = delete(SWITCH).where(SWITCH.c.team == team, SWITCH.c.channel == channel, SWITCH.c.name == name.value)
        async with self._write() as db:
            if on:
                await self._put(db, ADD_SWITCH, [{"team": team, "channel": channel, "name": name.value}])
            else:
                await db.execute(deletion)
