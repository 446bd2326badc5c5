"""One transaction that the questions of several repositories share."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from sqlmodel.ext.asyncio.session import AsyncSession
from typing_extensions import override

from bot.core.clock import Clock
from bot.core.errors import StoreError
from bot.store.database import Sessions


class SharedSession(Sessions):
    """A source that gives the same open session to each question, and commits nothing itself.

    After each question its rows are detached, as they are where each question has a transaction of its own.
    """

    def __init__(self, db: AsyncSession, *, dialect: str, clock: Clock) -> None:
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
    async def read(self) -> AsyncGenerator[AsyncSession]:
        self.check()
        yield self._db
        self._db.expunge_all()

    @asynccontextmanager
    @override
    async def write(self) -> AsyncGenerator[AsyncSession]:
        self.check()
        try:
            yield self._db
            await self._db.flush()
        except BaseException:
            self._failed = True
            raise
        self._db.expunge_all()

    def check(self) -> None:
        """Raise StoreError where one of the questions failed: half of what it wrote must not be committed."""
        if self._failed:
            raise StoreError("A part of this change failed, so none of it was written.")
