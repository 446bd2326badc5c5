"""Secrets by which programs act as people. The store holds SHA-256 digests: the secrets have 256 random bits."""

from datetime import datetime, timedelta

from sqlalchemy import func, select

from bot.core.errors import UsageError
from bot.store.database import Repository, put
from bot.store.mapping import PERSONAL_TOKEN
from bot.store.rows import NewPersonalToken, PersonalTokenRow

MOST = 10
"""How many tokens a person may have."""
USED_EVERY = timedelta(minutes=1)
"""How exact `used_at` is: a token in steady use costs one write in this time."""
ADD_PERSONAL_TOKEN = put("personal_token", key=("team", "user", "name"), replace=False)


class PersonalTokens(Repository):
    """Whose a personal token is, and what it is for."""

    async def add(self, row: NewPersonalToken) -> bool:
        """Keep a token and return True; False where the person has one of that name.

        Raises UsageError where the person has `MOST` already.
        """
        columns = PERSONAL_TOKEN.c
        count = select(func.count()).where(columns.team == row.team, columns.user == row.user)
        async with self._write() as db:
            await self._own(db, [f"personal token {row.team} {row.user}"])
            if (await db.scalar(count) or 0) >= MOST:
                raise UsageError(f"You have {MOST} tokens, which is the most. Revoke one first.")
            return bool(await self._put(db, ADD_PERSONAL_TOKEN, [row]))

    async def of_digest(self, digest: str) -> PersonalTokenRow | None:
        """Return the token with a digest; None where there is none, or it was revoked."""
        async with self._read() as db:
            query = PERSONAL_TOKEN.select().where(PERSONAL_TOKEN.c.digest == digest)
            return await PERSONAL_TOKEN.first(db, query)

    async def of_user(self, team: str, user: str) -> list[PersonalTokenRow]:
        """Return somebody's tokens, oldest first."""
        columns = PERSONAL_TOKEN.c
        query = PERSONAL_TOKEN.select().where(columns.team == team, columns.user == user).order_by(columns.id)
        async with self._read() as db:
            return await PERSONAL_TOKEN.all(db, query)

    async def use(self, token: PersonalTokenRow, now: datetime) -> None:
        """Write when a token was last used, at most once in `USED_EVERY`."""
        if token.used_at is not None and now - token.used_at < USED_EVERY:
            return
        async with self._write() as db:
            await db.execute(PERSONAL_TOKEN.update().where(PERSONAL_TOKEN.c.id == token.id).values(used_at=now))

    async def remove(self, team: str, user: str, name: str) -> bool:
        """Revoke somebody's token, and return whether there was one of that name."""
        columns = PERSONAL_TOKEN.c
        deletion = PERSONAL_TOKEN.delete().where(columns.team == team, columns.user == user, columns.name == name)
        async with self._write() as db:
            return bool((await db.execute(deletion)).rowcount)
