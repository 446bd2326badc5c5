"""What channels have switched on."""

from enum import StrEnum

from sqlalchemy import delete
from sqlmodel import col, select

from bot.store.database import Repository, put
from bot.store.tables import SwitchRow

ADD_SWITCH = put("switch", key=("team", "channel", "name"), replace=False)


class Switch(StrEnum):
    """What can be switched on in a channel."""

    REACTIONS = "reactions"


class Switches(Repository):
    """What channels have switched on."""

    async def is_on(self, team: str, channel: str, name: Switch) -> bool:
        """Return whether something is switched on in a channel."""
        kept = select(SwitchRow.id).where(
            SwitchRow.team == team, SwitchRow.channel == channel, SwitchRow.name == name.value
        )
        async with self._read() as db:
            return (await db.exec(kept)).first() is not None

    async def set(self, team: str, channel: str, name: Switch, *, on: bool) -> None:
        """Switch something on or off in a channel."""
        gone = delete(SwitchRow).where(
            col(SwitchRow.team) == team, col(SwitchRow.channel) == channel, col(SwitchRow.name) == name.value
        )
        async with self._write() as db:
            if on:
                await self._put(db, ADD_SWITCH, [SwitchRow(team=team, channel=channel, name=name.value)])
            else:
                await db.exec(gone.execution_options(synchronize_session=False))
