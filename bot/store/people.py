"""People: what they watch, mute, are called, may do, and did."""

from sqlalchemy import delete
from sqlmodel import col, select

from bot.store.database import Repository, put
from bot.store.tables import IdentityRow, PersonRow

PUT_PERSON = put("person", key=("team", "user"))
PUT_IDENTITY = put("identity", key=("team", "kind", "value"))


class People(Repository):
    """What is known of people, and their addresses and handles."""

    async def get(self, team: str, user: str) -> PersonRow | None:
        """Return what is known of somebody, or None."""
        async with self._read() as db:
            asked = select(PersonRow).where(PersonRow.team == team, PersonRow.user == user)
            return (await db.exec(asked)).first()

    async def admins(self, team: str, limit: int) -> list[str]:
        """Return the ids of people who administer the workspace, as far as Slack has been asked, longest known first."""
        asked = (
            select(PersonRow.user)
            .where(PersonRow.team == team, col(PersonRow.is_admin).is_(True), col(PersonRow.deleted).is_(False))
            .order_by(col(PersonRow.id))
            .limit(limit)
        )
        async with self._read() as db:
            return list(await db.exec(asked))

    async def save(self, row: PersonRow) -> None:
        """Write what is known of somebody."""
        async with self._write() as db:
            await self._put(db, PUT_PERSON, [row])

    async def identity(self, team: str, kind: str, value: str) -> IdentityRow | None:
        """Return whose an e-mail address or a handle is, as last looked up; None if it never was."""
        asked = select(IdentityRow).where(
            IdentityRow.team == team, IdentityRow.kind == kind, IdentityRow.value == value
        )
        async with self._read() as db:
            return (await db.exec(asked)).first()

    async def identities(self, team: str, user: str) -> list[IdentityRow]:
        """Return somebody's addresses and handles, by kind."""
        asked = select(IdentityRow).where(IdentityRow.team == team, IdentityRow.user == user)
        async with self._read() as db:
            return list(await db.exec(asked.order_by(col(IdentityRow.kind), col(IdentityRow.value))))

    async def save_identity(self, row: IdentityRow) -> None:
        """Write whose an address or a handle is; what a person entered takes precedence over what was looked up."""
        said = select(IdentityRow.manual).where(
            IdentityRow.team == row.team, IdentityRow.kind == row.kind, IdentityRow.value == row.value
        )
        async with self._write() as db:
            await self._own(db, [f"{row.team} {row.kind} {row.value}"])
            if row.manual or not (await db.exec(said)).first():
                await self._put(db, PUT_IDENTITY, [row])

    async def delete_identity(self, team: str, kind: str, value: str) -> bool:
        """Forget whose an address or a handle is, and return whether it was known."""
        gone = delete(IdentityRow).where(
            col(IdentityRow.team) == team, col(IdentityRow.kind) == kind, col(IdentityRow.value) == value
        )
        async with self._write() as db:
            return bool((await db.exec(gone.execution_options(synchronize_session=False))).rowcount)
