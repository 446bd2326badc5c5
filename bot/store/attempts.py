"""How attempts of builds ended, and their issue counts."""

from datetime import datetime, timedelta

from sqlalchemy import update
from sqlmodel import col, select

from bot.core.models import BuildKey, IssueCounts
from bot.store.database import Repository
from bot.store.recording import NO_RESULT, mark_moved, of_build, redraw_cards, release_waiting
from bot.store.steps import pack, pack_counts, unpack, unpack_counts
from bot.store.tables import AttemptRow, BuildRow


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
        """Write what an attempt complained about; its waiting notifications become due, its cards are edited."""
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

    async def claim_uncounted(self, now: datetime, limit: int, lease_seconds: float = 60) -> list[AttemptRow]:
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

    async def give_up_counts(self, attempt_id: int) -> None:
        """Ask no more for an attempt's issue counts; its notifications wait no longer, and its cards say so."""
        async with self._write() as db:
            row = await db.get(AttemptRow, attempt_id)
            if row is None:
                return
            row.counts_due_at = None
            db.add(row)
            key = BuildKey(connection=row.connection, pipeline=row.pipeline, id=row.build)
            now = self._clock()
            await release_waiting(db, key, row.attempt_no, now)
            await redraw_cards(db, key, row.attempt_no, now)

    async def history(
        self, connection: str, pipeline: str, branch: str, *, before: datetime | None = None, limit: int = 20
    ) -> list[AttemptRow]:
        """Return a branch's results (nothing cancelled or skipped), newest first."""
        asked = select(AttemptRow).where(
            AttemptRow.connection == connection,
            AttemptRow.pipeline == pipeline,
            AttemptRow.branch == branch,
            col(AttemptRow.conclusion).not_in(NO_RESULT),
        )
        if before is not None:
            asked = asked.where(AttemptRow.completed_at < before)
        async with self._read() as db:
            newest = asked.order_by(col(AttemptRow.completed_at).desc(), col(AttemptRow.id).desc())
            return list(await db.exec(newest.limit(limit)))

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
