"""One transaction that the questions of several repositories share."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection
from typing_extensions import override

from bot.core.clock import Clock
from bot.core.errors import StoreError
from bot.store.database import Sessions
from bot.store.statements import Statement, Values


class SharedSession(Sessions):
    """A source that gives the same open connection to each question, and commits nothing itself."""

    def __init__(self, db: AsyncConnection, *, dialect: str, clock: Clock) -> None:
        self._db = db
        self._dialect = dialect
        self._failed = False
        self.clock = clock

    @property
    @override
    def dialect(self) -> str:
        return self._dialect

    @asynccontextmanager
    @override
    async def read(self) -> AsyncGenerator[AsyncConnection]:
        self.check()
        yield self._db

    @asynccontextmanager
    @override
    async def write(self) -> AsyncGenerator[AsyncConnection]:
        self.check()
        try:
            yield self._db
        except BaseException:
            self._failed = True
            raise

    @override
    async def fetch(self, statement: Statement, *, writes: bool = False, **parameters: Any) -> list[Values]:
        async with self.write() if writes else self.read() as db:
            return [tuple(values) for values in await db.execute(statement.core(self._dialect), parameters)]

    def check(self) -> None:
        """Raise StoreError where one of the questions failed: half of what it wrote must not be committed."""
        if self._failed:
            raise StoreError("A part of this change failed, so none of it was written.")
