"""Commands that wait for a build to pass. A claim takes the row away, so that each acts once."""

from datetime import datetime

from sqlalchemy import or_, select

from bot.core.errors import UsageError
from bot.core.models import Build
from bot.security.redaction import redact
from bot.store.database import Repository, put
from bot.store.mapping import BUILD, CHAIN, values
from bot.store.rows import ChainRow, NewChain
from bot.store.steps import unpack

ADD_CHAIN = put("chain", key=("id",), replace=False)
AWAITED = (
    BUILD.c.connection == CHAIN.c.connection,
    BUILD.c.pipeline == CHAIN.c.pipeline,
    BUILD.c.build == CHAIN.c.build,
)


class Chains(Repository):
    """Commands that wait for a build to pass."""

    async def of_channel(self, team: str, channel: str) -> list[ChainRow]:
        """Return a channel's chained commands, oldest first."""
        query = CHAIN.select().where(CHAIN.c.team == team, CHAIN.c.channel == channel)
        async with self._read() as db:
            return await CHAIN.all(db, query.order_by(CHAIN.c.id))

    async def add(self, row: NewChain) -> ChainRow:
        """Write a chained command and return it with its id. Raises UsageError for one that holds a secret."""
        if redact(row.command) != row.command:
            raise UsageError(
                "That command holds what reads as a password or token, and a chained command is kept.",
                hint="Keep the secret in the CI system, and chain the command without it.",
            )
        async with self._write() as db:
            number = (await self._put(db, ADD_CHAIN, [row]))[0][0]
        return ChainRow(id=number, **values(row))

    async def remove(self, chain_id: int, team: str, channel: str) -> bool:
        """Forget one of a channel's chained commands, and return whether it was there."""
        deletion = CHAIN.delete().where(CHAIN.c.id == chain_id, CHAIN.c.team == team, CHAIN.c.channel == channel)
        async with self._write() as db:
            return bool((await db.execute(deletion)).rowcount)

    async def claim(self, now: datetime) -> tuple[ChainRow, Build | None] | None:
        """Take away one chained command whose build has ended, and return both; without the build where time is over."""
        has_ended = select(BUILD.c.id).where(*AWAITED, BUILD.c.completed.is_(True)).exists()
        due = CHAIN.select().where(or_(has_ended, CHAIN.c.until <= now)).order_by(CHAIN.c.id).limit(1)
        async with self._write() as db:
            row = await CHAIN.first(db, due.with_for_update(skip_locked=True))
            if row is None:
                return None
            await db.execute(CHAIN.delete().where(CHAIN.c.id == row.id))
            data: str | None = await db.scalar(
                select(BUILD.c.data).where(
                    BUILD.c.connection == row.connection,
                    BUILD.c.pipeline == row.pipeline,
                    BUILD.c.build == row.build,
                    BUILD.c.completed.is_(True),
                )
            )
        return row, unpack(data) if data is not None else None
