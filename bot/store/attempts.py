"""How attempts of builds ended, and their issue counts."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Integer, and_, bindparam, func, or_, select, true

from bot.core.models import NO_RESULT, BuildKey, IssueCounts, Ref
from bot.store.database import Repository, chosen
from bot.store.lookups import of_build
from bot.store.mapping import ATTEMPT, BUILD
from bot.store.recorded import COUNTS_GIVEN_UP
from bot.store.redraws import mark_moved, redraw_cards, release_waiting
from bot.store.rows import AttemptRow
from bot.store.statements import Statement
from bot.store.steps import pack, pack_counts, unpack, unpack_counts
from bot.store.tables import UtcDateTime

"""What `counts_tries` holds when issue counts were given up."""

CLAIM_UNCOUNTED = Statement(
    ATTEMPT.update()
    .where(
        ATTEMPT.c.id.in_(
            chosen(
                select(ATTEMPT.c.id)
                .where(ATTEMPT.c.counts_due_at <= bindparam("now", type_=UtcDateTime))
                .order_by(ATTEMPT.c.completed_at.desc())
                .limit(bindparam("limit", type_=Integer))
                .with_for_update(skip_locked=True)
            )
        )
    )
    .values(counts_due_at=bindparam("until", type_=UtcDateTime), counts_tries=ATTEMPT.c.counts_tries + 1)
    .returning(*ATTEMPT.columns)
)


class Attempts(Repository):
    """How attempts of builds ended, and their issue counts."""

    async def set_counts(
        self,
        key: BuildKey,
        attempt_no: int,
        counts: IssueCounts,
        now: datetime,
        *,
        failures: str = "",
        failures_total: int = 0,
        claimed: AttemptRow | None = None,
    ) -> bool:
        """Write the issue counts and first failures of an attempt; its waiting notifications become due, its cards are edited.

        Return False where there is no such attempt, or where it was `claimed` and another process has claimed it since.
        """
        async with self._write() as db:
            await self._own(db, {key.connection})
            mine = (*of_build(ATTEMPT.c, key), ATTEMPT.c.attempt_no == attempt_no)
            fence = _fenced(claimed) if claimed is not None else true()
            ended: str | None = await db.scalar(select(ATTEMPT.c.counts).where(*mine, fence))
            if ended is None:
                return False
            await db.execute(
                ATTEMPT.update()
                .where(*mine)
                .values(
                    counts=pack_counts(counts.filled(unpack_counts(ended))),
                    counts_due_at=None,
                    failures=failures,
                    failures_total=failures_total,
                )
            )
            running = (*of_build(BUILD.c, key), BUILD.c.attempt_no == attempt_no)
            data: str | None = await db.scalar(select(BUILD.c.data).where(*running))
            if data is not None:
                build = unpack(data)
                packed = pack(build.with_issues(counts.filled(build.issues)))
                await db.execute(BUILD.update().where(*running).values(data=packed))
            await release_waiting(db, key, attempt_no, now)
            await redraw_cards(db, key, attempt_no, now)
            await mark_moved(db, {key})
        return True

    async def set_details(self, key: BuildKey, attempt_no: int, details: Mapping[str, str], now: datetime) -> None:
        """Add to what else is known of a build in an attempt, and have its cards edited."""
        async with self._write() as db:
            await self._own(db, {key.connection})
            running = (*of_build(BUILD.c, key), BUILD.c.attempt_no == attempt_no)
            data: str | None = await db.scalar(select(BUILD.c.data).where(*running))
            if data is None:
                return
            build = unpack(data)
            written = pack(replace(build, details={**build.details, **details}))
            await db.execute(BUILD.update().where(*running).values(data=written))
            await redraw_cards(db, key, attempt_no, now)

    async def claim_uncounted(self, now: datetime, limit: int, lease_seconds: float = 30) -> list[AttemptRow]:
        """Claim attempts whose issue counts are still to be read, newest first; unread ones come back after the lease."""
        rows = await self._fetch(
            CLAIM_UNCOUNTED, writes=True, now=now, until=now + timedelta(seconds=lease_seconds), limit=limit
        )
        return sorted(ATTEMPT.made(rows), key=lambda row: row.completed_at, reverse=True)

    async def release_leases(self, now: datetime) -> None:
        """Have the details of attempts read now that somebody claimed: whoever did is gone for certain."""
        claimed = ATTEMPT.update().where(ATTEMPT.c.counts_due_at > now, ATTEMPT.c.counts_tries > 0)
        async with self._write() as db:
            await db.execute(claimed.values(counts_due_at=now))

    async def postpone_counts(self, claimed: AttemptRow, due_at: datetime) -> None:
        """Ask for a claimed attempt's issue counts at a later time; the claim that is given back was no try."""
        later = ATTEMPT.update().where(_fenced(claimed), ATTEMPT.c.counts_due_at.is_not(None))
        async with self._write() as db:
            await db.execute(later.values(counts_due_at=due_at, counts_tries=ATTEMPT.c.counts_tries - 1))

    async def read_uploads_later(self, claimed: AttemptRow, due_at: datetime) -> None:
        """Have an attempt read again, whose counts are read, for what it handed to an app store; counts the reads."""
        later = ATTEMPT.update().where(_read_by(claimed))
        async with self._write() as db:
            await db.execute(later.values(counts_due_at=due_at, upload_reads=ATTEMPT.c.upload_reads + 1))

    async def end_uploads(self, claimed: AttemptRow) -> None:
        """Read no more of what an attempt handed to an app store."""
        async with self._write() as db:
            await db.execute(ATTEMPT.update().where(_read_by(claimed)).values(counts_due_at=None))

    async def give_up_counts(self, claimed: AttemptRow) -> None:
        """Stop asking for a claimed attempt's issue counts; its notifications wait no longer, and its cards say so."""
        async with self._write() as db:
            given_up = ATTEMPT.update().where(_fenced(claimed))
            given_up = given_up.values(counts_due_at=None, counts_tries=COUNTS_GIVEN_UP).returning(*ATTEMPT.columns)
            row = await ATTEMPT.first(db, given_up)
            if row is None:
                return
            key = BuildKey(connection=row.connection, pipeline=row.pipeline, id=row.build)
            now = self._clock()
            await release_waiting(db, key, row.attempt_no, now)
            await redraw_cards(db, key, row.attempt_no, now)

    async def of_ref(self, connection: str, pipeline: str, ref: Ref, *, limit: int = 20) -> list[AttemptRow]:
        """Return the results of a ref (nothing cancelled or skipped), the newest commit's builds first.

        A retried build keeps its place, and all its attempts are listed. Without a job in `ref`, those of all jobs are.
        """
        query = (
            ATTEMPT.select()
            .where(
                ATTEMPT.c.connection == connection,
                ATTEMPT.c.pipeline == pipeline,
                ATTEMPT.c.ref_kind == ref.kind.value,
                ATTEMPT.c.ref_name == ref.name,
                *((ATTEMPT.c.ref_job == ref.job,) if ref.job else ()),
                ATTEMPT.c.conclusion.not_in(NO_RESULT),
            )
            .order_by(
                ATTEMPT.c.commit_at.desc(),
                ATTEMPT.c.built_at.desc(),
                ATTEMPT.c.number.desc(),
                ATTEMPT.c.attempt_no.desc(),
            )
        )
        async with self._read() as db:
            return await ATTEMPT.all(db, query.limit(limit))

    async def get(self, key: BuildKey, attempt_no: int) -> AttemptRow | None:
        """Return how one attempt of a build ended, or None while it runs."""
        async with self._read() as db:
            return await ATTEMPT.first(
                db, ATTEMPT.select().where(*of_build(ATTEMPT.c, key), ATTEMPT.c.attempt_no == attempt_no)
            )

    async def newest(self, connection: str, pipeline: str, *, limit: int) -> list[AttemptRow]:
        """Return the attempts of a pipeline that ended last, on all its refs, newest first."""
        query = (
            ATTEMPT.select()
            .where(ATTEMPT.c.connection == connection, ATTEMPT.c.pipeline == pipeline)
            .order_by(ATTEMPT.c.completed_at.desc())
            .limit(limit)
        )
        async with self._read() as db:
            return await ATTEMPT.all(db, query)

    async def last_end(self, connection: str) -> datetime | None:
        """Return when an attempt of a connection ended last, as far as builds were recorded."""
        ends = select(func.max(ATTEMPT.c.completed_at)).where(ATTEMPT.c.connection == connection)
        async with self._read() as db:
            last: datetime | None = await db.scalar(ends)
        return last

    async def since(self, connection: str, pipeline: str, since: datetime) -> list[AttemptRow]:
        """Return every attempt of a pipeline that ended since a time, oldest first."""
        query = (
            ATTEMPT.select()
            .where(ATTEMPT.c.connection == connection, ATTEMPT.c.pipeline == pipeline, ATTEMPT.c.completed_at >= since)
            .order_by(ATTEMPT.c.completed_at, ATTEMPT.c.id)
        )
        async with self._read() as db:
            return await ATTEMPT.all(db, query)


def _read_by(claimed: AttemptRow) -> ColumnElement[bool]:
    """Return the condition that nobody has claimed an attempt since, whether the counts of this claim are written or not."""
    return and_(
        ATTEMPT.c.id == claimed.id,
        or_(ATTEMPT.c.counts_due_at.is_(None), ATTEMPT.c.counts_due_at == claimed.counts_due_at),
        ATTEMPT.c.counts_tries == claimed.counts_tries,
        ATTEMPT.c.upload_reads == claimed.upload_reads,
    )


def _fenced(claimed: AttemptRow) -> ColumnElement[bool]:
    """Return the condition that nobody has claimed an attempt since: each claim counts a try and moves the time on."""
    return and_(
        ATTEMPT.c.id == claimed.id,
        ATTEMPT.c.counts_due_at == claimed.counts_due_at,
        ATTEMPT.c.counts_tries == claimed.counts_tries,
    )
