"""Queries of builds and attempts for commands."""

from collections.abc import Collection, Sequence

from sqlmodel import col, func, select

from bot.core.models import Build, BuildKey, Ref, RefKind
from bot.store.database import Repository, among
from bot.store.recording import of_build
from bot.store.steps import unpack
from bot.store.tables import BuildRow

MANY = 500
OTHER_KINDS = 5
"""How many builds are read for each one of a branch: those of pull requests and forks may have its name."""
NEWEST = (
    func.coalesce(col(BuildRow.created_at), col(BuildRow.completed_at), col(BuildRow.seen_at)).desc(),
    col(BuildRow.id).desc(),
)


class Builds(Repository):
    """Builds as last polled."""

    async def get(self, key: BuildKey) -> tuple[Build, BuildRow] | None:
        """Return a build as last polled, and its row."""
        async with self._read() as db:
            row = (await db.exec(select(BuildRow).where(*of_build(BuildRow, key)))).first()
        return (unpack(row.data), row) if row else None

    async def rows(self, keys: Collection[BuildKey]) -> dict[BuildKey, BuildRow]:
        """Return the rows of builds, as far as they are known; one query."""
        if not keys:
            return {}
        columns = (col(BuildRow.connection), col(BuildRow.pipeline), col(BuildRow.build))
        async with self._read() as db:
            asked = select(BuildRow).where(among(db, columns, [(key.connection, key.pipeline, key.id) for key in keys]))
            rows = list(await db.exec(asked))
        return {BuildKey(connection=row.connection, pipeline=row.pipeline, id=row.build): row for row in rows}

    async def of_pipeline(
        self, connection: str, pipeline: str, *, branch: str | None = None, limit: int = 10
    ) -> list[Build]:
        """Return a pipeline's builds, newest first; of a branch only those that belong to its history."""
        asked = select(BuildRow.data).where(BuildRow.connection == connection, BuildRow.pipeline == pipeline)
        if branch is not None:
            asked = asked.where(BuildRow.branch == branch)
        async with self._read() as db:
            rows = await db.exec(asked.order_by(*NEWEST).limit(limit if branch is None else limit * OTHER_KINDS))
            builds = [unpack(data) for data in rows]
        if branch is None:
            return builds
        ref = Ref(kind=RefKind.BRANCH, name=branch)
        return [build for build in builds if build.history_ref == ref][:limit]

    async def of_commit(self, sha_prefix: str, connections: Sequence[str]) -> list[Build]:
        """Return the builds of a commit, newest first; the start of its SHA is enough."""
        prefix = sha_prefix.lower()
        asked = (
            select(BuildRow.data)
            .where(
                # The range finds them by the index, which LIKE does not use; what it finds too much, LIKE leaves out.
                col(BuildRow.commit_sha) >= prefix,
                col(BuildRow.commit_sha) < f"{prefix}g",
                col(BuildRow.commit_sha).startswith(prefix, autoescape=True),
                col(BuildRow.connection).in_(connections),
            )
            .order_by(*NEWEST)
            .limit(MANY)
        )
        async with self._read() as db:
            return [unpack(data) for data in await db.exec(asked)]

    async def by_number(self, connection: str, pipeline: str, number: int) -> Build | None:
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

    async def unfinished(self, connections: Sequence[str]) -> list[Build]:
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
