"""How attempts of builds ended, and their issue counts."""

from datetime import datetime, timedelta

from sqlalchemy import update
from sqlmodel import col, select

from bot.core.models import BuildKey, IssueCounts
from bot.store.database import Repository
from bot.store.recording import NO_RESULT, mark_moved, of_build, redraw_cards, release_waiting
from bot.store.steps import pack, pack_counts, unpack, unpack_counts
from bot.store.tables import BuildRow, RoundRow


class Attempts(Repository):
    """How attempts of builds ended, and their issue counts."""

    async def set_counts(
        self,
        key: BuildKey,
        round: int,  # noqa: A002 - our word
        counts: IssueCounts,
        now: datetime,
        *,
        failures: str = "",
        failures_total: int = 0,
    ) -> None:
        """Write what a round complained about; its waiting notices become due, its cards are edited."""
        async with self._write() as db:
            await self._own(db, {key.connection})
            ended = (await db.exec(select(RoundRow).where(*of_build(RoundRow, key), RoundRow.round == round))).first()
            if ended is None:
                return
            ended.counts = pack_counts(counts.filled(unpack_counts(ended.counts)))
            ended.counts_due_at = None
            ended.failures, ended.failures_total = failures, failures_total
            db.add(ended)
            row = (await db.exec(select(BuildRow).where(*of_build(BuildRow, key), BuildRow.round == round))).first()
            if row is not None:
                build = unpack(row.data)
                row.data = pack(build.with_issues(counts.filled(build.issues)))
                db.add(row)
            await release_waiting(db, key, round, now)
            await redraw_cards(db, key, round, now)
            await mark_moved(db, {key})

    async def claim_uncounted(self, now: datetime, limit: int, lease_seconds: float = 60) -> list[RoundRow]:
        """Claim rounds whose issue counts are still to be read, newest first; unread ones come back after the lease."""
        due = (
            select(RoundRow.id)
            .where(col(RoundRow.counts_due_at) <= now)
            .order_by(col(RoundRow.completed_at).desc())
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
        claim = (
            update(RoundRow)
            .where(col(RoundRow.id).in_(due))
            .values(counts_due_at=now + timedelta(seconds=lease_seconds), counts_tries=col(RoundRow.counts_tries) + 1)
            .returning(RoundRow)
            .execution_options(synchronize_session=False)
        )
        async with self._write() as db:
            rows: list[RoundRow] = list((await db.exec(claim)).scalars())
        return sorted(rows, key=lambda row: row.completed_at, reverse=True)

    async def give_up_counts(self, round_id: int) -> None:
        """Ask no more for a round's issue counts; its notices wait no longer, and its cards say so."""
        async with self._write() as db:
            row = await db.get(RoundRow, round_id)
            if row is None:
                return
            row.counts_due_at = None
            db.add(row)
            key = BuildKey(connection=row.connection, pipeline=row.pipeline, id=row.build)
            now = self._clock()
            await release_waiting(db, key, row.round, now)
            await redraw_cards(db, key, row.round, now)

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

    async def get(self, key: BuildKey, round: int) -> RoundRow | None:  # noqa: A002 - our word
        """Return how one round of a build ended, or None while it runs."""
        async with self._read() as db:
            return (await db.exec(select(RoundRow).where(*of_build(RoundRow, key), RoundRow.round == round))).first()

    async def since(self, connection: str, pipeline: str, since: datetime) -> list[RoundRow]:
        """Return every round of a pipeline that ended since a time, oldest first."""
        asked = (
            select(RoundRow)
            .where(RoundRow.connection == connection, RoundRow.pipeline == pipeline, RoundRow.completed_at >= since)
            .order_by(col(RoundRow.completed_at), col(RoundRow.id))
        )
        async with self._read() as db:
            return list(await db.exec(asked))
