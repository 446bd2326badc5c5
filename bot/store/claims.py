"""Who has claimed which red build."""

from datetime import timedelta

from sqlalchemy import ColumnElement, delete
from sqlmodel import col, select

from bot.core.models import BuildKey
from bot.store.database import Repository, put
from bot.store.tables import ClaimRow

KEPT_FOR = timedelta(days=7)
PUT_CLAIM = put("claim", key=("team", "connection", "pipeline", "build"))


class Claims(Repository):
    """Who has claimed which red build; a claim ends by itself after a week."""

    async def holder(self, team: str, key: BuildKey) -> str | None:
        """Return who has claimed a build, or None."""
        async with self._read() as db:
            return (await db.exec(select(ClaimRow.user).where(*self._of(team, key)))).first()

    async def get(self, team: str, key: BuildKey) -> ClaimRow | None:
        """Return the claim of a build, or None. It was made `KEPT_FOR` before its `until`."""
        async with self._read() as db:
            return (await db.exec(select(ClaimRow).where(*self._of(team, key)))).first()

    async def add(self, team: str, key: BuildKey, user: str) -> str:
        """Claim a build for somebody and return who holds it: that person, or who was first."""
        until = self._clock() + KEPT_FOR
        row = ClaimRow(
            team=team, connection=key.connection, pipeline=key.pipeline, build=key.id, user=user, until=until
        )
        async with self._write() as db:
            await self._own(db, [f"claim {team} {key.connection} {key.pipeline} {key.id}"])
            holder = (await db.exec(select(ClaimRow.user).where(*self._of(team, key)))).first()
            if holder is None:
                await self._put(db, PUT_CLAIM, [row])
        return holder or user

    async def remove(self, team: str, key: BuildKey, user: str) -> bool:
        """Give a build back, and return whether that person held it."""
        gone = delete(ClaimRow).where(*self._of(team, key), col(ClaimRow.user) == user)
        async with self._write() as db:
            return bool((await db.exec(gone.execution_options(synchronize_session=False))).rowcount)

    def _of(self, team: str, key: BuildKey) -> tuple[ColumnElement[bool], ...]:
        return (
            col(ClaimRow.team) == team,
            col(ClaimRow.connection) == key.connection,
            col(ClaimRow.pipeline) == key.pipeline,
            col(ClaimRow.build) == key.id,
            col(ClaimRow.until) > self._clock(),
        )
