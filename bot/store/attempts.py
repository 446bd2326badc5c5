"""How attempts of builds ended, and their issue counts."""

from datetime import datetime, timedelta

from sqlalchemy import update
from sqlmodel import col, select

from bot.core.models import NO_RESULT, BuildKey, IssueCounts, Ref
from bot.store.database import Repository
from bot.store.recording import mark_moved, of_build, redraw_cards, release_waiting
from bot.store.steps import pack, pack_counts, unpack, unpack_counts
from bot.store.tables import AttemptRow, BuildRow

COUNTS_GIVEN_UP = -1
"""What `counts_tries` holds when issue counts were given up."""


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
    ) -> None:
        """Write the issue counts and first failures of an attempt; its waiting notifications become due, its cards are edited."""
        async with self._write() as db:
            await self._own(db, {key.connection})
            ended = (
                await db.exec(select(AttemptRow).where(*of_build(AttemptRow, key), AttemptRow.attempt_no == attempt_no))
            ).first()
            if ended is None:
                return
            ended.counts = pack_counts(counts.filled(unpack_counts(ended.counts)))
            ended.counts_due_at = None
            ended.failures, ended.failures_total = failures, failures_total
            db.add(ended)
            row = (
                await db.exec(select(BuildRow).where(*of_build(BuildRow, key), BuildRow.attempt_no == attempt_no))
            ).first()
            if row is not None:
                build = unpack(row.data)
                row.data = pack(build.with_issues(counts.filled(build.issues)))
                db.add(row)
            await release_waiting(db, key, attempt_no, now)
            await redraw_cards(db, key, attempt_no, now)
            await mark_moved(db, {key})

    async def claim_uncounted(self, now: datetime, limit: int, lease_seconds: float = 30) -> list[AttemptRow]:
        """Claim attempts whose issue counts are still to be read, newest first; unread ones come back after the lease."""
        due = (
            select(AttemptRow.id)
            .where(col(AttemptRow.counts_due_at) <= now)
            .order_by(col(AttemptRow.completed_at).desc())
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
        claim = (
            update(AttemptRow)
            .where(col(AttemptRow.id).in_(due))
            .values(counts_due_at=now + timedelta(seconds=lease_seconds), counts_tries=col(AttemptRow.counts_tries) + 1)
            .returning(AttemptRow)
            .execution_options(synchronize_session=False)
        )
        async with self._write() as db:
            rows: list[AttemptRow] = list((await db.exec(claim)).scalars())
        return sorted(rows, key=lambda row: row.completed_at, reverse=True)

    async def release_leases(self, now: datetime) -> None:
        """Have the details of attempts read now that somebody claimed: whoever did is gone for certain."""
        claimed = update(AttemptRow).where(col(AttemptRow.counts_due_at) > now, col(AttemptRow.counts_tries) > 0)
        async with self._write() as db:
            await db.exec(claimed.values(counts_due_at=now).execution_options(synchronize_session=False))

    async def give_up_counts(self, attempt_id: int) -> None:
        """Stop asking for an attempt's issue counts; its notifications wait no longer, and its cards say so."""
        async with self._write() as db:
            row = await db.get(AttemptRow, attempt_id)
            if row is None:
                return
            row.counts_due_at = None
            row.counts_tries = COUNTS_GIVEN_UP
            db.add(row)
            key = BuildKey(connection=row.connection, pipeline=row.pipeline, id=row.build)
            now = self._clock()
            await release_waiting(db, key, row.attempt_no, now)
            await redraw_cards(db, key, row.attempt_no, now)

    async def of_ref(self, connection: str, pipeline: str, ref: Ref, *, limit: int = 20) -> list[AttemptRow]:
        """Return the results of a ref (nothing cancelled or skipped), the newest commit's builds first.

        A retried build keeps its place, and all its attempts are listed.
        """
        asked = (
            select(AttemptRow)
            .where(
                AttemptRow.connection == connection,
                AttemptRow.pipeline == pipeline,
                AttemptRow.ref_kind == ref.kind.value,
                AttemptRow.ref_name == ref.name,
                col(AttemptRow.conclusion).not_in(NO_RESULT),
            )
            .order_by(
                col(AttemptRow.commit_at).desc(),
                col(AttemptRow.built_at).desc(),
                col(AttemptRow.number).desc(),
                col(AttemptRow.attempt_no).desc(),
            )
        )
        async with self._read() as db:
            return list(await db.exec(asked.limit(limit)))

    async def get(self, key: BuildKey, attempt_no: int) -> AttemptRow | None:
        """Return how one attempt of a build ended, or None while it runs."""
        async with self._read() as db:
            return (
                await db.exec(select(AttemptRow).where(*of_build(AttemptRow, key), AttemptRow.attempt_no == attempt_no))
            ).first()

    async def since(self, connection: str, pipeline: str, since: datetime) -> list[AttemptRow]:
        """Return every attempt of a pipeline that ended since a time, oldest first."""
        asked = (
            select(AttemptRow)
            .where(
                AttemptRow.connection == connection, AttemptRow.pipeline == pipeline, AttemptRow.completed_at >= since
            )
            .order_by(col(AttemptRow.completed_at), col(AttemptRow.id))
        )
        async with self._read() as db:
            return list(await db.exec(asked))
