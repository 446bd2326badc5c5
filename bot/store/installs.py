"""Where the bot is installed, and with which (sealed) tokens."""

from datetime import datetime

from sqlalchemy import or_

from bot.store.database import Repository, put
from bot.store.links import pause_team, resume_team
from bot.store.mapping import INSTALL, values
from bot.store.rows import InstallRow, NewInstall

PUT_INSTALL = put("install", key=("enterprise", "team"))


class Installs(Repository):
    """The workspaces that installed the bot."""

    async def get(self, team: str, enterprise: str = "", *, is_enterprise_install: bool = False) -> InstallRow | None:
        """Return the active install that serves a workspace: its own, else its organization's; None without one."""
        mine = INSTALL.c.team == team
        theirs = (INSTALL.c.team == "") & (INSTALL.c.enterprise == enterprise)
        query = INSTALL.select().where(INSTALL.c.active.is_(True))
        if is_enterprise_install or not team:
            query = query.where(theirs)
        else:
            query = query.where(or_(mine, theirs) if enterprise else mine)
        async with self._read() as db:
            return await INSTALL.first(db, query.order_by(INSTALL.c.team.desc(), INSTALL.c.id).limit(1))

    async def all(self) -> list[InstallRow]:
        """Return the active installs, oldest first."""
        query = INSTALL.select().where(INSTALL.c.active.is_(True)).order_by(INSTALL.c.id)
        async with self._read() as db:
            return await INSTALL.all(db, query)

    async def save(self, row: NewInstall) -> InstallRow:
        """Write an install and return it as stored; links that fell silent when the bot was removed speak again."""
        async with self._write() as db:
            number = (await self._put(db, PUT_INSTALL, [row]))[0][0]
            if row.active and row.team:
                await resume_team(db, row.team)
        return InstallRow(id=number, **values(row))

    async def end(self, team: str, enterprise: str = "") -> None:
        """Remember that the bot was removed, and pause the workspace's links."""
        ended = INSTALL.update().where(INSTALL.c.team == team)
        if enterprise or not team:
            ended = ended.where(INSTALL.c.enterprise == enterprise)
        async with self._write() as db:
            await db.execute(ended.values(active=False))
            if team:
                await pause_team(db, team)

    async def save_tokens(self, install_id: int, *, bot_token: str, refresh_token: str, expires_at: datetime) -> None:
        """Write the tokens that Slack gave in exchange for the old ones."""
        changed = INSTALL.update().where(INSTALL.c.id == install_id)
        changed = changed.values(bot_token=bot_token, refresh_token=refresh_token, token_expires_at=expires_at)
        async with self._write() as db:
            await db.execute(changed)
