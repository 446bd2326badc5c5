"""Which organization a workspace belongs to."""

from sqlalchemy import select

from bot.store.database import Repository, put
from bot.store.tables import table

WORKSPACE = table("workspace")
PUT_WORKSPACE = put("workspace", key=("team",), returning=("team",))


class Workspaces(Repository):
    """Which organization a workspace belongs to."""

    async def enterprise_of(self, team: str) -> str:
        """Return the organization of a workspace, "" if no request has named it."""
        async with self._read() as db:
            enterprise: str | None = await db.scalar(select(WORKSPACE.c.enterprise).where(WORKSPACE.c.team == team))
        return enterprise or ""

    async def save(self, team: str, enterprise: str) -> None:
        """Remember the organization of a workspace."""
        row = {"team": team, "enterprise": enterprise, "seen_at": self._clock()}
        async with self._write() as db:
            await self._put(db, PUT_WORKSPACE, [row])
