"""The ways in which attempts failed, by signature: the memory of failures."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, func, select

from bot.core.models import BuildKey, Conclusion, Ref
from bot.store.database import Repository, put
from bot.store.lookups import of_build
from bot.store.mapping import ATTEMPT, FAILURE
from bot.store.rows import AttemptRow, FailureRow, NewFailure

ADD_FAILURE = put("failure", key=("connection", "pipeline", "build", "attempt_no", "signature"), replace=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureHistory:
    """When and how often a pipeline failed in one way. `first` and `last` are occurrences, `builds` counts them.

    `gone_with` is the first attempt of the last occurrence's ref that passed after it; None while it is still there.
    """

    builds: int
    first: FailureRow
    last: FailureRow
    gone_with: AttemptRow | None = None


class Failures(Repository):
    """What failed in which attempt. One row for each attempt and signature."""

    async def add(self, rows: Sequence[NewFailure]) -> None:
        """Write how an attempt failed; what is known of it already stays."""
        if not rows:
            return
        async with self._write() as db:
            await self._put(db, ADD_FAILURE, rows)

    async def of_attempt(self, key: BuildKey, attempt_no: int) -> list[FailureRow]:
        """Return how an attempt failed, in the order of its issues."""
        query = FAILURE.select().where(*of_build(FAILURE.c, key), FAILURE.c.attempt_no == attempt_no)
        async with self._read() as db:
            return await FAILURE.all(db, query.order_by(FAILURE.c.id))

    async def signatures(self, connection: str, pipeline: str, ref: Ref, since: datetime, but: BuildKey) -> set[str]:
        """Return the signatures of a ref's failures since a time, those of one build left out."""
        query = select(FAILURE.c.signature).where(
            FAILURE.c.connection == connection,
            FAILURE.c.pipeline == pipeline,
            FAILURE.c.ref_kind == ref.kind.value,
            FAILURE.c.ref_name == ref.name,
            FAILURE.c.at >= since,
            FAILURE.c.build != but.id,
        )
        async with self._read() as db:
            return set(await db.scalars(query.distinct()))

    async def history(self, connection: str, pipeline: str, signature: str) -> FailureHistory | None:
        """Return when a pipeline failed in one way, on all its refs; None where it never did."""
        mine = self._of(connection, pipeline, signature)
        query = FAILURE.select().where(*mine)
        async with self._read() as db:
            first = await FAILURE.first(db, query.order_by(FAILURE.c.at, FAILURE.c.id).limit(1))
            last = await FAILURE.first(db, query.order_by(FAILURE.c.at.desc(), FAILURE.c.id.desc()).limit(1))
            if first is None or last is None:
                return None
            builds: int = await db.scalar(select(func.count(FAILURE.c.build.distinct())).where(*mine)) or 0
            of_last = (
                select(ATTEMPT.c.ref_job)
                .where(
                    ATTEMPT.c.connection == connection,
                    ATTEMPT.c.pipeline == pipeline,
                    ATTEMPT.c.build == last.build,
                    ATTEMPT.c.attempt_no == last.attempt_no,
                )
                .limit(1)
            )
            job = await db.scalar(of_last)
            passed = (
                ATTEMPT.select()
                .where(
                    ATTEMPT.c.connection == connection,
                    ATTEMPT.c.pipeline == pipeline,
                    ATTEMPT.c.ref_kind == last.ref_kind,
                    ATTEMPT.c.ref_name == last.ref_name,
                    ATTEMPT.c.ref_job == (job or ""),
                    ATTEMPT.c.conclusion == Conclusion.PASSED.value,
                    ATTEMPT.c.completed_at > last.at,
                )
                .order_by(ATTEMPT.c.completed_at, ATTEMPT.c.id)
                .limit(1)
            )
            gone = await ATTEMPT.first(db, passed) if last.ref_kind else None
        return FailureHistory(builds=builds, first=first, last=last, gone_with=gone)

    def _of(self, connection: str, pipeline: str, signature: str) -> tuple[ColumnElement[bool], ...]:
        return (
            FAILURE.c.connection == connection,
            FAILURE.c.pipeline == pipeline,
            FAILURE.c.signature == signature,
        )
