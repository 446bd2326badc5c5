"""People: what they watch, mute, are called, may do, and did."""

from sqlalchemy import bindparam, select

from bot.store.database import Repository, put
from bot.store.mapping import IDENTITY, PERSON, values
from bot.store.rows import IdentityRow, NewIdentity, NewPerson, PersonRow
from bot.store.statements import Statement

PUT_PERSON = put("person", key=("team", "user"))
PUT_IDENTITY = put("identity", key=("team", "kind", "value"))
GET = Statement(PERSON.select().where(PERSON.c.team == bindparam("team"), PERSON.c.user == bindparam("user")))


class People(Repository):
    """What is known of people, and their addresses and handles."""

    async def get(self, team: str, user: str) -> PersonRow | None:
        """Return what is known of somebody, or None."""
        rows = await self._fetch(GET, team=team, user=user)
        return PERSON.make(rows[0]) if rows else None

    async def admins(self, team: str, limit: int) -> list[str]:
        """Return the ids of people who administer the workspace, as far as Slack has been asked, longest known first."""
        query = (
            select(PERSON.c.user)
            .where(PERSON.c.team == team, PERSON.c.is_admin.is_(True), PERSON.c.deleted.is_(False))
            .order_by(PERSON.c.id)
            .limit(limit)
        )
        async with self._read() as db:
            return list(await db.scalars(query))

    async def save(self, row: NewPerson) -> PersonRow:
        """Write what is known of somebody, and return it as stored."""
        async with self._write() as db:
            number = (await self._put(db, PUT_PERSON, [row]))[0][0]
        return PersonRow(id=number, **values(row))

    async def identity(self, team: str, kind: str, value: str) -> IdentityRow | None:
        """Return whose an e-mail address or a handle is, as last looked up; None if it never was."""
        query = IDENTITY.select().where(IDENTITY.c.team == team, IDENTITY.c.kind == kind, IDENTITY.c.value == value)
        async with self._read() as db:
            return await IDENTITY.first(db, query)

    async def identities(self, team: str, user: str) -> list[IdentityRow]:
        """Return somebody's addresses and handles, by kind."""
        query = IDENTITY.select().where(IDENTITY.c.team == team, IDENTITY.c.user == user)
        async with self._read() as db:
            return await IDENTITY.all(db, query.order_by(IDENTITY.c.kind, IDENTITY.c.value))

    async def save_identity(self, row: NewIdentity) -> None:
        """Write whose an address or a handle is; what a person entered takes precedence over what was looked up."""
        entered = select(IDENTITY.c.manual).where(
            IDENTITY.c.team == row.team, IDENTITY.c.kind == row.kind, IDENTITY.c.value == row.value
        )
        async with self._write() as db:
            await self._own(db, [f"{row.team} {row.kind} {row.value}"])
            if row.manual or not await db.scalar(entered):
                await self._put(db, PUT_IDENTITY, [row])

    async def delete_identity(self, team: str, kind: str, value: str) -> bool:
        """Forget whose an address or a handle is, and return whether it was known."""
        deletion = IDENTITY.delete().where(IDENTITY.c.team == team, IDENTITY.c.kind == kind, IDENTITY.c.value == value)
        async with self._write() as db:
            return bool((await db.execute(deletion)).rowcount)
