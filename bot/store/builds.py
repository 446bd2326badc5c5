"""Queries of builds and attempts for commands."""

from collections.abc import Collection, Sequence

from sqlalchemy import Integer, bindparam, select

from bot.core.models import Build, BuildKey, RefKind
from bot.store.database import Repository
from bot.store.lookups import BUILDS, keys_of, of_build
from bot.store.mapping import BUILD
from bot.store.rows import BuildRow
from bot.store.statements import Statement
from bot.store.states import BuildPurpose
from bot.store.steps import unpack

MANY = 500
OTHER_KINDS = 5
"""How many builds are read for each one of a branch: those of pull requests and forks may have its name."""
NEWEST = (BUILD.c.built_at.desc(), BUILD.c.id.desc())
GET = Statement(
    BUILD.select().where(
        BUILD.c.connection == bindparam("connection"),
        BUILD.c.pipeline == bindparam("pipeline"),
        BUILD.c.build == bindparam("build"),
    )
)
_of_pipeline = (
    select(BUILD.c.data)
    .where(BUILD.c.connection == bindparam("connection"), BUILD.c.pipeline == bindparam("pipeline"))
    .order_by(*NEWEST)
    .limit(bindparam("limit", type_=Integer))
)
OF_PIPELINE = Statement(_of_pipeline)
OF_BRANCH = Statement(_of_pipeline.where(BUILD.c.branch == bindparam("branch")))


class Builds(Repository):
    """Builds as last polled."""

    async def is_tracked(self, key: BuildKey) -> bool:
        """Return whether a build is there; in a transaction it is not deleted before the end."""
        tracked = select(BUILD.c.id).where(*of_build(BUILD.c, key)).with_for_update(read=True, key_share=True)
        async with self._write() as db:
            return await db.scalar(tracked) is not None

    async def get(self, key: BuildKey) -> tuple[Build, BuildRow] | None:
        """Return a build as last polled, and its row."""
        rows = await self._fetch(GET, connection=key.connection, pipeline=key.pipeline, build=key.id)
        if not rows:
            return None
        (row,) = BUILD.made(rows)
        return unpack(row.data), row

    async def rows(self, keys: Collection[BuildKey]) -> dict[BuildKey, BuildRow]:
        """Return the rows of builds, as far as they are known; one query."""
        if not keys:
            return {}
        rows = BUILD.made(await self._fetch(BUILDS, keys=keys_of(keys)))
        return {BuildKey(connection=row.connection, pipeline=row.pipeline, id=row.build): row for row in rows}

    async def of_pipeline(
        self, connection: str, pipeline: str, *, branch: str | None = None, limit: int = 10
    ) -> list[Build]:
        """Return a pipeline's builds, newest first; of a branch only those that belong to its history."""
        if branch is None:
            rows = await self._fetch(OF_PIPELINE, connection=connection, pipeline=pipeline, limit=limit)
            return [unpack(data) for (data,) in rows]
        rows = await self._fetch(
            OF_BRANCH, connection=connection, pipeline=pipeline, branch=branch, limit=limit * OTHER_KINDS
        )
        return [build for build in (unpack(data) for (data,) in rows) if _is_of_branch(build, branch)][:limit]

    async def of_commit(
        self, sha_prefix: str, connections: Sequence[str], *, has_bisections: bool = True
    ) -> list[Build]:
        """Return the builds of a commit, newest first; the start of its SHA is enough.

        Without `has_bisections` those that a search for a commit started are left out.
        """
        prefix = sha_prefix.lower()
        query = (
            select(BUILD.c.data)
            .where(
                # The range finds them by the index, which LIKE does not use; what it finds too much, LIKE leaves out.
                BUILD.c.commit_sha >= prefix,
                BUILD.c.commit_sha < f"{prefix}g",
                BUILD.c.commit_sha.startswith(prefix, autoescape=True),
                BUILD.c.connection.in_(connections),
            )
            .order_by(*NEWEST)
            .limit(MANY)
        )
        if not has_bisections:
            query = query.where(BUILD.c.purpose != BuildPurpose.BISECTION)
        async with self._read() as db:
            return [unpack(data) for data in await db.scalars(query)]

    async def by_number(self, connection: str, pipeline: str, number: int) -> Build | None:
        """Return the build that people call by a number, the newest where a number came back."""
        query = (
            select(BUILD.c.data)
            .where(BUILD.c.connection == connection, BUILD.c.pipeline == pipeline, BUILD.c.number == number)
            .order_by(*NEWEST)
            .limit(1)
        )
        async with self._read() as db:
            data: str | None = await db.scalar(query)
        return unpack(data) if data is not None else None

    async def unfinished(self, connections: Sequence[str]) -> list[Build]:
        """Return the builds that have not completed, newest first."""
        query = (
            select(BUILD.c.data)
            .where(BUILD.c.connection.in_(connections), BUILD.c.completed.is_(False))
            .order_by(*NEWEST)
            .limit(MANY)
        )
        async with self._read() as db:
            return [unpack(data) for data in await db.scalars(query)]

    async def started_by(self, team: str, user: str, limit: int) -> list[Build]:
        """Return the builds that somebody started through the bot, newest first."""
        query = (
            select(BUILD.c.data)
            .where(BUILD.c.started_team == team, BUILD.c.started_by == user)
            .order_by(*NEWEST)
            .limit(limit)
        )
        async with self._read() as db:
            return [unpack(data) for data in await db.scalars(query)]


def _is_of_branch(build: Build, branch: str) -> bool:
    ref = build.history_ref
    return ref is not None and (ref.kind, ref.name) == (RefKind.BRANCH, branch)
