"""Builds and rounds as people and commands ask for them."""

from collections.abc import Sequence
from datetime import datetime

from sqlmodel import col, func, select

from bot.core.models import Build, BuildKey
from bot.store.attempts import unpack
from bot.store.database import Database
from bot.store.recording import NO_RESULT, of_build
from bot.store.tables import BuildRow, RoundRow

MANY = 500
NEWEST = (
    func.coalesce(col(BuildRow.created_at), col(BuildRow.completed_at), col(BuildRow.seen_at)).desc(),
    col(BuildRow.id).desc(),
)


class Builds(Database):
    """What is known of builds without asking the CI system."""

    async def build(self, key: BuildKey) -> tuple[Build, BuildRow] | None:
        """Return a build as last seen, and its row."""
        async with self._read() as db:
            row = (await db.exec(select(BuildRow).where(*of_build(BuildRow, key)))).first()
        return (unpack(row.data), row) if row else None

    async def builds_of(
        self, connection: str, pipeline: str, *, branch: str | None = None, limit: int = 10
    ) -> list[Build]:
        """Return a pipeline's builds, newest first."""
        asked = select(BuildRow.data).where(BuildRow.connection == connection, BuildRow.pipeline == pipeline)
        if branch is not None:
            asked = asked.where(BuildRow.branch == branch)
        async with self._read() as db:
            return [unpack(data) for data in await db.exec(asked.order_by(*NEWEST).limit(limit))]

    async def builds_of_commit(self, sha_prefix: str, connections: Sequence[str]) -> list[Build]:
        """Return the builds of a commit, newest first; the start of its SHA is enough."""
        asked = (
            select(BuildRow.data)
            .where(
                col(BuildRow.commit_sha).startswith(sha_prefix.lower(), autoescape=True),
                col(BuildRow.connection).in_(connections),
            )
            .order_by(*NEWEST)
            .limit(MANY)
        )
        async with self._read() as db:
            return [unpack(data) for data in await db.exec(asked)]

    async def build_by_number(self, connection: str, pipeline: str, number: int) -> Build | None:
        """Return the build that people call by a number, the newest where a number came back."""
        asked = (
            select(BuildRow.data)
            .where(BuildRow.connection == connection, BuildRow.pipeline == pipeline, BuildRow.number == number)
            .order_by(*NEWEST)
            .limit(1)
        )
        async with self._read() as db:
            data = (await db.exec(asked)).first()
        return unpack(data) if data is not None else None

    async def open_builds(self, connections: Sequence[str]) -> list[Build]:
        """Return the builds that have not completed, newest first."""
        asked = (
            select(BuildRow.data)
            .where(col(BuildRow.connection).in_(connections), col(BuildRow.completed).is_(False))
            .order_by(*NEWEST)
            .limit(MANY)
        )
        async with self._read() as db:
            return [unpack(data) for data in await db.exec(asked)]

    async def started_by(self, team: str, user: str, limit: int) -> list[Build]:
        """Return the builds that somebody started through the bot, newest first."""
        asked = (
            select(BuildRow.data)
            .where(BuildRow.started_team == team, BuildRow.started_by == user)
            .order_by(*NEWEST)
            .limit(limit)
        )
        async with self._read() as db:
            return [unpack(data) for data in await db.exec(asked)]

    async def history(
        self, connection: str, pipeline: str, branch: str, *, before: datetime | None = None, limit: int = 20
    ) -> list[RoundRow]:
        """Return a branch's results (nothing cancelled or skipped), newest first."""
        asked = select(RoundRow).where(
            RoundRow.connection == connection,
            RoundRow.pipeline == pipeline,
            RoundRow.branch == branch,
            col(RoundRow.conclusion).not_in(NO_RESULT),
        )
        if before is not None:
            asked = asked.where(RoundRow.completed_at < before)
        async with self._read() as db:
            newest = asked.order_by(col(RoundRow.completed_at).desc(), col(RoundRow.id).desc())
            return list(await db.exec(newest.limit(limit)))

    async def round(self, key: BuildKey, round: int) -> RoundRow | None:  # noqa: A002 - our word
        """Return how one round of a build ended, or None while it runs."""
        async with self._read() as db:
            return (await db.exec(select(RoundRow).where(*of_build(RoundRow, key), RoundRow.round == round))).first()

    async def rounds_since(self, connection: str, pipeline: str, since: datetime) -> list[RoundRow]:
        """Return every round of a pipeline that ended since a time, oldest first."""
        asked = (
            select(RoundRow)
            .where(RoundRow.connection == connection, RoundRow.pipeline == pipeline, RoundRow.completed_at >= since)
            .order_by(col(RoundRow.completed_at), col(RoundRow.id))
        )
        async with self._read() as db:
            return list(await db.exec(asked))
