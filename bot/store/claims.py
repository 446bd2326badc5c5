"""Who has claimed which red build."""

from sqlalchemy import ColumnElement, select

from bot.core.models import BuildKey
from bot.store import retention
from bot.store.database import Repository, put
from bot.store.mapping import CLAIM
from bot.store.rows import ClaimRow

PUT_CLAIM = put("claim", key=("team", "connection", "pipeline", "build"))


class Claims(Repository):
    """Who has claimed which red build; a claim ends by itself after a week."""

    async def holder(self, team: str, key: BuildKey) -> str | None:
        """Return who has claimed a build, or None."""
        async with self._read() as db:
            holder: str | None = await db.scalar(select(CLAIM.c.user).where(*self._of(team, key)))
        return holder

    async def get(self, team: str, key: BuildKey) -> ClaimRow | None:
        """Return the claim of a build, or None. It was made `retention.CLAIMS` before its `until`."""
        async with self._read() as db:
            return await CLAIM.first(db, CLAIM.select().where(*self._of(team, key)))

    async def add(self, team: str, key: BuildKey, user: str) -> str:
        """Claim a build for somebody and return who holds it: that person, or who was first."""
        until = self._clock() + retention.CLAIMS
        row = {
            "team": team,
            "connection": key.connection,
            "pipeline": key.pipeline,
            "build": key.id,
            "user": user,
            "until": until,
        }
        async with self._write() as db:
            await self._own(db, [f"claim {team} {key.connection} {key.pipeline} {key.id}"])
            holder: str | None = await db.scalar(select(CLAIM.c.user).where(*self._of(team, key)))
            if holder is None:
                await self._put(db, PUT_CLAIM, [row])
        return holder or user

    async def remove(self, team: str, key: BuildKey, user: str) -> bool:
        """Give a build back, and return whether that person held it."""
        deletion = CLAIM.delete().where(*self._of(team, key), CLAIM.c.user == user)
        async with self._write() as db:
            return bool((await db.execute(deletion)).rowcount)

    def _of(self, team: str, key: BuildKey) -> tuple[ColumnElement[bool], ...]:
        return (
            CLAIM.c.team == team,
            CLAIM.c.connection == key.connection,
            CLAIM.c.pipeline == key.pipeline,
            CLAIM.c.build == key.id,
            CLAIM.c.until > self._clock(),
        )
