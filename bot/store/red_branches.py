"""Red times of refs in channels that have one thread for each."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Integer, bindparam, select
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.core.models import BuildKey, Ref
from bot.store.database import Repository, put
from bot.store.lookups import of_build
from bot.store.mapping import ATTEMPT, CARD, NOTIFICATION, RED_BRANCH
from bot.store.rows import NewRedBranch, NotificationRow, RedBranchRow
from bot.store.statements import Statement
from bot.store.states import NotificationEvent, NotificationState
from bot.store.tables import UtcDateTime

PUT_RED = put(
    "red_branch", key=("team", "channel", "connection", "pipeline", "build"), keep=("claimed_by", "claimed_at")
)
DUE = Statement(
    select(RED_BRANCH.c.id)
    .where(RED_BRANCH.c.escalate_at <= bindparam("now", type_=UtcDateTime), RED_BRANCH.c.closed_at.is_(None))
    .limit(bindparam("limit", type_=Integer))
)


class RedBranches(Repository):
    """Red times of refs, one row for each and channel. At most one of a ref is open in a channel."""

    async def open_of(self, connection: str, pipeline: str, ref: Ref) -> list[RedBranchRow]:
        """Return the red times of a ref that are not over, one for each channel at most."""
        query = RED_BRANCH.select().where(
            RED_BRANCH.c.connection == connection,
            RED_BRANCH.c.pipeline == pipeline,
            RED_BRANCH.c.ref_kind == ref.kind.value,
            RED_BRANCH.c.ref_name == ref.name,
            RED_BRANCH.c.ref_job == (ref.job or ""),
            RED_BRANCH.c.closed_at.is_(None),
        )
        async with self._read() as db:
            return await RED_BRANCH.all(db, query.order_by(RED_BRANCH.c.id))

    async def newest_of(self, connection: str, pipeline: str, ref: Ref, limit: int = 60) -> list[RedBranchRow]:
        """Return the last red times of a ref in all channels, open or over, the newest first."""
        query = RED_BRANCH.select().where(
            RED_BRANCH.c.connection == connection,
            RED_BRANCH.c.pipeline == pipeline,
            RED_BRANCH.c.ref_kind == ref.kind.value,
            RED_BRANCH.c.ref_name == ref.name,
            RED_BRANCH.c.ref_job == (ref.job or ""),
        )
        async with self._read() as db:
            return await RED_BRANCH.all(db, query.order_by(RED_BRANCH.c.id.desc()).limit(limit))

    async def last_of(self, team: str, channel: str, key: BuildKey) -> RedBranchRow | None:
        """Return the newest red time, in a channel, of the ref that a build belongs to."""
        query = RED_BRANCH.select().where(RED_BRANCH.c.channel == channel, *_of_ref_of(team, key))
        async with self._read() as db:
            return await RED_BRANCH.first(db, query.order_by(RED_BRANCH.c.id.desc()).limit(1))

    async def rooted_at(self, key: BuildKey, attempt_no: int, team: str, channel: str) -> RedBranchRow | None:
        """Return the red time whose thread hangs on the notification of an attempt in a channel, or None."""
        query = RED_BRANCH.select().where(
            *of_build(RED_BRANCH.c, key),
            RED_BRANCH.c.attempt_no == attempt_no,
            RED_BRANCH.c.team == team,
            RED_BRANCH.c.channel == channel,
        )
        async with self._read() as db:
            return await RED_BRANCH.first(db, query)

    async def save(self, rows: Sequence[NewRedBranch], now: datetime) -> None:
        """Write red times, new ones and changed ones, and have the cards that their threads hang on drawn anew."""
        if not rows:
            return
        async with self._write() as db:
            await self._put(db, PUT_RED, rows)
            for row in rows:
                await self._redraw(db, row, now)

    async def root_of(self, row: RedBranchRow) -> NotificationRow | None:
        """Return the notification that the thread of a red time hangs on, once it is posted."""
        query = NOTIFICATION.select().where(
            *of_build(NOTIFICATION.c, _key(row)),
            NOTIFICATION.c.attempt_no == row.attempt_no,
            NOTIFICATION.c.team == row.team,
            NOTIFICATION.c.channel == row.channel,
            NOTIFICATION.c.event == NotificationEvent.FINISHED,
            NOTIFICATION.c.state == NotificationState.SENT,
            NOTIFICATION.c.thread == "",
        )
        async with self._read() as db:
            return await NOTIFICATION.first(db, query.order_by(NOTIFICATION.c.id))

    async def move_root(self, row_id: int, build: str, attempt_no: int) -> None:
        """Hang the thread of a red time on the notification of another attempt."""
        moved = RED_BRANCH.update().where(RED_BRANCH.c.id == row_id)
        async with self._write() as db:
            await db.execute(moved.values(build=build, attempt_no=attempt_no))

    async def put_in_thread(self, notification_id: int, thread: str) -> None:
        """Let a notification be posted in a thread."""
        threaded = NOTIFICATION.update().where(NOTIFICATION.c.id == notification_id)
        async with self._write() as db:
            await db.execute(threaded.values(thread=thread))

    async def claim(self, team: str, key: BuildKey, user: str, now: datetime) -> None:
        """Note on the open red times of a build's ref in a workspace that somebody is on it; whoever was first stays.

        That person has the time before an escalation anew.
        """
        await self._set_claimed(team, key, "", by=user, at=now, now=now)

    async def unclaim(self, team: str, key: BuildKey, user: str, now: datetime) -> None:
        """Note that somebody is no longer on the open red times of a build's ref; the time before an escalation is anew."""
        await self._set_claimed(team, key, user, by="", at=None, now=now)

    async def _set_claimed(
        self, team: str, key: BuildKey, before: str, *, by: str, at: datetime | None, now: datetime
    ) -> None:
        opened = RED_BRANCH.select().where(
            RED_BRANCH.c.closed_at.is_(None), RED_BRANCH.c.claimed_by == before, *_of_ref_of(team, key)
        )
        async with self._write() as db:
            for row in await RED_BRANCH.all(db, opened):
                escalate_at = now + timedelta(minutes=row.escalate_minutes) if row.escalate_minutes else None
                changed = RED_BRANCH.update().where(RED_BRANCH.c.id == row.id)
                await db.execute(changed.values(claimed_by=by, claimed_at=at, escalate_at=escalate_at))
                await self._redraw(db, row, now)

    async def due(self, now: datetime, limit: int = 20) -> list[int]:
        """Return which red times are to be escalated now."""
        return [number for (number,) in await self._fetch(DUE, now=now, limit=limit)]

    async def take_escalation(self, row_id: int, now: datetime) -> RedBranchRow | None:
        """Return a red time that is due for escalation, no longer due; None where another process took it or it is over."""
        taken = (
            RED_BRANCH.update()
            .where(RED_BRANCH.c.id == row_id, RED_BRANCH.c.escalate_at <= now, RED_BRANCH.c.closed_at.is_(None))
            .values(escalate_at=None)
            .returning(*RED_BRANCH.columns)
        )
        async with self._write() as db:
            return await RED_BRANCH.first(db, taken)

    async def _redraw(self, db: AsyncConnection, row: NewRedBranch, now: datetime) -> None:
        due = CARD.update().where(
            *of_build(CARD.c, _key(row)),
            CARD.c.attempt_no == row.attempt_no,
            CARD.c.team == row.team,
            CARD.c.channel == row.channel,
        )
        await db.execute(due.values(edit_due_at=now))


def _of_ref_of(team: str, key: BuildKey) -> Iterable[ColumnElement[bool]]:
    """Return the conditions that a red time is one, in a workspace, of the ref that a build belongs to."""
    attempt = ATTEMPT.table.alias("attempt_of_ref").c
    same_ref = (
        select(attempt.id)
        .where(
            *of_build(attempt, key),
            attempt.ref_kind == RED_BRANCH.c.ref_kind,
            attempt.ref_name == RED_BRANCH.c.ref_name,
            attempt.ref_job == RED_BRANCH.c.ref_job,
        )
        .exists()
    )
    return (
        RED_BRANCH.c.team == team,
        RED_BRANCH.c.connection == key.connection,
        RED_BRANCH.c.pipeline == key.pipeline,
        same_ref,
    )


def _key(row: NewRedBranch) -> BuildKey:
    return BuildKey(connection=row.connection, pipeline=row.pipeline, id=row.build)
