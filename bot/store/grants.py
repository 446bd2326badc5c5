"""Who may do what."""

from sqlalchemy import bindparam

from bot.store.database import Repository, put
from bot.store.mapping import GRANT
from bot.store.rows import GrantRow, NewGrant
from bot.store.statements import Statement

ADD_GRANT = put("grant", key=("team", "channel", "role", "subject", "pipelines", "refs"), replace=False)
OF_TEAM = Statement(GRANT.select().where(GRANT.c.team == bindparam("team")).order_by(GRANT.c.id))


class Grants(Repository):
    """Who may do what."""

    async def all(self, team: str) -> list[GrantRow]:
        """Return the roles given in a workspace, oldest first."""
        return GRANT.made(await self._fetch(OF_TEAM, team=team))

    async def add(self, row: NewGrant) -> bool:
        """Give a role, and return whether that is new."""
        async with self._write() as db:
            return bool(await self._put(db, ADD_GRANT, [row]))

    async def remove(
        self,
        team: str,
        role: str,
        subject: str,
        *,
        channel: str = "",
        pipelines: str | None = None,
        refs: str | None = None,
    ) -> bool:
        """Take a role back, and return whether it was given. None for `pipelines` or `refs` stands for any."""
        deletion = GRANT.delete().where(
            GRANT.c.team == team,
            GRANT.c.role == role,
            GRANT.c.subject == subject,
            GRANT.c.channel == channel,
        )
        if pipelines is not None:
            deletion = deletion.where(GRANT.c.pipelines == pipelines)
        if refs is not None:
            deletion = deletion.where(GRANT.c.refs == refs)
        async with self._write() as db:
            return bool((await db.execute(deletion)).rowcount)
