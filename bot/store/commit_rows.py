"""Which builds are rows on the card of which commit."""

from collections.abc import Collection, Sequence

from sqlalchemy import ColumnElement, or_

from bot.core.models import BuildKey
from bot.store.database import Repository, put
from bot.store.lookups import BUILD_KEY, by_keys, keys_of
from bot.store.mapping import COMMIT_ROW
from bot.store.rows import CommitRow, NewCommitRow

ADD = put("commit_row", key=BUILD_KEY, replace=False)
OF_BUILDS = by_keys(
    COMMIT_ROW, BUILD_KEY, lambda condition: COMMIT_ROW.select().where(condition).order_by(COMMIT_ROW.c.id)
)
MOST = 200


class CommitRows(Repository):
    """Which builds are rows on the card of which commit. A build stays on the card where it was put first."""

    async def near(self, cards: Collection[str], pulls: Collection[str]) -> list[CommitRow]:
        """Return the rows of some cards and of some pull requests, the newest of them, oldest first.

        Within a transaction, others who would put builds of the same pull requests on cards wait for its end.
        """
        conditions: list[ColumnElement[bool]] = [COMMIT_ROW.c.card.in_(sorted(cards))]
        if pulls:
            conditions.append(COMMIT_ROW.c.pull.in_(sorted(pulls)))
        newest = COMMIT_ROW.select().where(or_(*conditions)).order_by(COMMIT_ROW.c.id.desc()).limit(MOST)
        async with self._write() as db:
            await self._own(db, [f"commit card {name}" for name in (*cards, *pulls)])
            return (await COMMIT_ROW.all(db, newest))[::-1]

    async def of_builds(self, keys: Collection[BuildKey]) -> dict[BuildKey, str]:
        """Return on which cards builds are rows, as far as they are on any."""
        rows = COMMIT_ROW.made(await self._fetch(OF_BUILDS, keys=keys_of(keys))) if keys else []
        return {BuildKey(connection=row.connection, pipeline=row.pipeline, id=row.build): row.card for row in rows}

    async def of_card(self, card: str) -> list[BuildKey]:
        """Return the builds that are rows of a card."""
        async with self._read() as db:
            rows = await COMMIT_ROW.all(db, COMMIT_ROW.select().where(COMMIT_ROW.c.card == card).limit(MOST))
        return [BuildKey(connection=row.connection, pipeline=row.pipeline, id=row.build) for row in rows]

    async def add(self, rows: Sequence[NewCommitRow]) -> None:
        """Put builds on cards; those that are on one already stay there."""
        async with self._write() as db:
            await self._put(db, ADD, rows)
