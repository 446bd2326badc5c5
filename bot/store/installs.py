"""Where the bot is installed, and with which (sealed) tokens."""

from datetime import datetime

from sqlalchemy import update
from sqlmodel import col, or_, select

from bot.store.database import Repository, put
from bot.store.links import pause_team, resume_team
from bot.store.tables import InstallRow

PUT_INSTALL = put("install", key=("enterprise", "team"))


class Installs(Repository):
    """The workspaces that installed the bot."""

    async def get(self, team: str, enterprise: str = "", *, is_enterprise_install: bool = False) -> InstallRow | None:
        """Return the active install that serves a workspace: its own, else its organization's; None without one."""
        mine = col(InstallRow.team) == team
        theirs = (col(InstallRow.team) == "") & (col(InstallRow.enterprise) == enterprise)
        asked = select(InstallRow).where(col(InstallRow.active).is_(True))
        if is_enterprise_install or not team:
            asked = asked.where(theirs)
        else:
            asked = asked.where(or_(mine, theirs) if enterprise else mine)
        async with self._read() as db:
            return (await db.exec(asked.order_by(col(InstallRow.team).desc(), col(InstallRow.id)).limit(1))).first()

    async def all(self) -> list[InstallRow]:
        """Return the active installs, oldest first."""
        asked = select(InstallRow).where(col(InstallRow.active).is_(True)).order_by(col(InstallRow.id))
        async with self._read() as db:
            return list(await db.exec(asked))

    async def save(self, row: InstallRow) -> None:
        """Write an install; links that fell silent when the bot was removed speak again."""
        async with self._write() as db:
            await self._put(db, PUT_INSTALL, [row])
            if row.active and row.team:
                await resume_team(db, row.team)

    async def end(self, team: str, enterprise: str = "") -> None:
        """Remember that the bot was removed, and pause the workspace's links."""
        ended = update(InstallRow).where(col(InstallRow.team) == team)
        if enterprise or not team:
            ended = ended.where(col(InstallRow.enterprise) == enterprise)
        async with self._write() as db:
            await db.exec(ended.values(active=False).execution_options(synchronize_session=False))
            if team:
                await pause_team(db, team)

    async def save_tokens(self, install_id: int, *, bot_token: str, refresh_token: str, expires_at: datetime) -> None:
        """Write the tokens that Slack gave in exchange for the old ones."""
        changed = update(InstallRow).where(col(InstallRow.id) == install_id)
        changed = changed.values(bot_token=bot_token, refresh_token=refresh_token, token_expires_at=expires_at)
        async with self._write() as db:
            await db.exec(changed.execution_options(synchronize_session=False))
