"""Who may do what."""

from sqlalchemy import delete
from sqlmodel import col, select

from bot.store.database import Repository, put
from bot.store.tables import GrantRow

ADD_GRANT = put("grant", key=("team", "channel", "role", "subject", "pipelines", "refs"), replace=False)


class Grants(Repository):
    """Who may do what."""

    async def all(self, team: str) -> list[GrantRow]:
        """Return the roles given in a workspace, oldest first."""
        async with self._read() as db:
            return list(await db.exec(select(GrantRow).where(GrantRow.team == team).order_by(col(GrantRow.id))))

    async def add(self, row: GrantRow) -> bool:
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
        gone = delete(GrantRow).where(
            col(GrantRow.team) == team,
            col(GrantRow.role) == role,
            col(GrantRow.subject) == subject,
            col(GrantRow.channel) == channel,
        )
        if pipelines is not None:
            gone = gone.where(col(GrantRow.pipelines) == pipelines)
        if refs is not None:
            gone = gone.where(col(GrantRow.refs) == refs)
        async with self._write() as db:
            return bool((await db.exec(gone.execution_options(synchronize_session=False))).rowcount)
