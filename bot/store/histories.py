"""The results that an attempt is compared with: those of its ref, and of the branch that a pull request goes to."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.core.models import NO_RESULT, Build, Ref, RefKind
from bot.store.mapping import ATTEMPT
from bot.store.rows import AttemptRow, NewAttempt

HISTORY = 60
LONGEST_HISTORY = 960
NEWER = 40

Rows = tuple[AttemptRow, ...]


async def histories(db: AsyncConnection, build: Build, finished: AttemptRow) -> tuple[Rows, Rows]:
    """Return the results of an attempt's ref, and of the branch a pull request without earlier builds goes to."""
    ref = build.history_ref
    if ref is None:
        return (), ()
    before = await _before(db, finished, ref)
    others = [row for row in before if row.build != finished.build]
    after = await _after(db, finished, ref)
    target: Rows = ()
    if ref.kind is RefKind.PULL_REQUEST and build.target_branch and not others:
        target = await _before(db, finished, Ref(kind=RefKind.BRANCH, name=build.target_branch, job=ref.job))
    return (*before, *after), target


async def _before(db: AsyncConnection, finished: AttemptRow, ref: Ref) -> Rows:
    """Return the results up to an attempt's commit, the newest first; as many as it takes to see the end of a red streak."""
    limit = HISTORY
    while True:
        query = (
            ATTEMPT.select()
            .where(
                *_of_ref(finished, ref),
                ATTEMPT.c.commit_at <= finished.commit_at,
                ATTEMPT.c.conclusion.not_in(NO_RESULT),
                ATTEMPT.c.id != finished.id,
            )
            .order_by(ATTEMPT.c.commit_at.desc(), ATTEMPT.c.built_at.desc(), ATTEMPT.c.number.desc())
            .limit(limit)
        )
        rows = tuple(await ATTEMPT.all(db, query))
        if len(rows) < limit or limit >= LONGEST_HISTORY or any(row.conclusion == "passed" for row in rows):
            return rows
        limit *= 4


async def _after(db: AsyncConnection, finished: AttemptRow, ref: Ref) -> Rows:
    """Return the results of newer commits than an attempt's, the oldest first."""
    query = (
        ATTEMPT.select()
        .where(
            *_of_ref(finished, ref),
            ATTEMPT.c.commit_at > finished.commit_at,
            ATTEMPT.c.conclusion.not_in(NO_RESULT),
        )
        .order_by(ATTEMPT.c.commit_at, ATTEMPT.c.built_at, ATTEMPT.c.number)
        .limit(NEWER)
    )
    return tuple(await ATTEMPT.all(db, query))


async def place_by_commit(db: AsyncConnection, rows: Sequence[NewAttempt]) -> list[NewAttempt]:
    """Return attempts with the time when their ref first built their commit; correct stored ones that have a later one."""
    placed = []
    for row in rows:
        if not row.ref_kind or not row.commit_sha:
            placed.append(row)
            continue
        ref = Ref(kind=RefKind(row.ref_kind), name=row.ref_name, job=row.ref_job or None)
        same = (*_of_ref(row, ref), ATTEMPT.c.commit_sha == row.commit_sha)
        first: datetime | None = await db.scalar(select(func.min(ATTEMPT.c.commit_at)).where(*same))
        mates = [mate.commit_at for mate in rows if _is_same_commit(mate, row) and mate.commit_at is not None]
        times = [*mates, *([first] if first is not None else [])]
        commit_at = min(times)
        placed.append(replace(row, commit_at=commit_at))
        if first is not None and first > commit_at:
            moved = ATTEMPT.update().where(*same, ATTEMPT.c.commit_at > commit_at)
            await db.execute(moved.values(commit_at=commit_at))
    return placed


def _is_same_commit(row: NewAttempt, other: NewAttempt) -> bool:
    names = ("connection", "pipeline", "ref_kind", "ref_name", "ref_job", "commit_sha")
    return all(getattr(row, name) == getattr(other, name) for name in names)


def _of_ref(row: NewAttempt, ref: Ref) -> tuple[ColumnElement[bool], ...]:
    """Return the conditions that an attempt belongs to the history of a ref of the same pipeline."""
    return (
        ATTEMPT.c.connection == row.connection,
        ATTEMPT.c.pipeline == row.pipeline,
        ATTEMPT.c.ref_kind == ref.kind.value,
        ATTEMPT.c.ref_name == ref.name,
        ATTEMPT.c.ref_job == (ref.job or ""),
    )
