"""Poll targets: what is polled when, by whom, and the webhook events that come in between."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

import msgspec
from sqlalchemy import case, delete, or_, update
from sqlmodel import col, func, select

from bot.core.models import BuildKey
from bot.store.database import Repository, put
from bot.store.links import REMOVED
from bot.store.tables import BuildRow, LinkRow, PollTargetRow, WatchRow

MOST_HINTS = 200
ABANDONED = timedelta(days=30)
JUST_BEFORE = timedelta(microseconds=1)

ADD_POLL_TARGET = put("poll_target", key=("connection", "part"), replace=False)
_hints = msgspec.json.Decoder(list[tuple[str, str]])


class Polling(Repository):
    """Poll targets: what is polled when, and by whom."""

    async def ensure(self, connection: str, part: str, *, now: datetime) -> None:
        """Make sure that a poll target is there; a new one is due at once."""
        async with self._write() as db:
            await self._put(
                db, ADD_POLL_TARGET, [PollTargetRow(connection=connection, part=part, due_at=now, poll_at=now)]
            )

    async def drop(self, connection: str, part: str | None = None) -> None:
        """Forget one poll target of a connection, or all of them."""
        gone = delete(PollTargetRow).where(col(PollTargetRow.connection) == connection)
        if part is not None:
            gone = gone.where(col(PollTargetRow.part) == part)
        async with self._write() as db:
            await db.exec(gone.execution_options(synchronize_session=False))

    async def claim(self, owner: str, *, now: datetime, lease_seconds: float, limit: int) -> list[PollTargetRow]:
        """Lease the due poll targets that no worker polls, the longest due first."""
        due = (
            select(PollTargetRow.id)
            .where(
                col(PollTargetRow.due_at) <= now,
                or_(col(PollTargetRow.lease_until).is_(None), col(PollTargetRow.lease_until) <= now),
            )
            .order_by(col(PollTargetRow.due_at), col(PollTargetRow.id))
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
        claim = (
            update(PollTargetRow)
            .where(col(PollTargetRow.id).in_(due))
            .values(
                lease_owner=owner,
                lease_until=now + timedelta(seconds=lease_seconds),
                fence=col(PollTargetRow.fence) + 1,
            )
            .returning(PollTargetRow)
            .execution_options(synchronize_session=False)
        )
        async with self._write() as db:
            rows: list[PollTargetRow] = list((await db.exec(claim)).scalars())
        return sorted(rows, key=lambda poll_target: (poll_target.due_at, poll_target.id))

    async def renew(self, owner: str, ids: Iterable[int], lease_until: datetime) -> None:
        """Prolong a process's leases of poll targets that it polls."""
        held = update(PollTargetRow).where(
            col(PollTargetRow.id).in_(list(ids)),
            col(PollTargetRow.lease_owner) == owner,
            col(PollTargetRow.lease_until).is_not(None),
        )
        async with self._write() as db:
            await db.exec(held.values(lease_until=lease_until).execution_options(synchronize_session=False))

    async def release(
        self,
        poll_target: PollTargetRow,
        *,
        cursor: str | None,
        due_at: datetime,
        poll_at: datetime,
        interval_seconds: float,
        error: str | None,
        now: datetime,
    ) -> bool:
        """Give a poll target back with its next times, and return whether it was still ours to give.

        A cursor of None keeps the one that is there. What a webhook event asked for meanwhile is kept: the poll target is then due now.
        """
        async with self._write() as db:
            row = (
                await db.exec(select(PollTargetRow).where(PollTargetRow.id == poll_target.id).with_for_update())
            ).first()
            if row is None or row.fence != poll_target.fence:
                return False
            if row.poll_at == poll_target.poll_at:
                row.poll_at = poll_at
                row.due_at = min(due_at, now) if row.hints != "[]" else due_at
            else:
                row.due_at = min(due_at, now)
            if cursor is not None:
                row.cursor = cursor
            row.interval_seconds = interval_seconds
            row.lease_owner, row.lease_until = "", None
            row.polled_at = now
            row.last_error = error or ""
            row.failing_since = (row.failing_since or now) if error else None
            row.notified_at = row.notified_at if error else None
            db.add(row)
        return True

    async def request(
        self, connection: str, part: str | None, hints: Sequence[tuple[str, str]], *, full: bool, now: datetime
    ) -> bool:
        """Make a poll target (or with no part all of a connection's) due now, and return whether there is any.

        `hints` are (pipeline, build); without any, or with too many, or when `full`, the whole poll target is polled.
        """
        asked = (
            select(PollTargetRow)
            .where(PollTargetRow.connection == connection)
            .order_by(col(PollTargetRow.id))
            .with_for_update()
        )
        if part is not None:
            asked = asked.where(PollTargetRow.part == part)
        async with self._write() as db:
            poll_targets = list(await db.exec(asked))
            for poll_target in poll_targets:
                known = dict.fromkeys([*_hints.decode(poll_target.hints), *hints])
                kept = list(known)[:MOST_HINTS]
                poll_target.hints = msgspec.json.encode(kept).decode()
                poll_target.due_at = min(now, poll_target.due_at)
                if full or not hints or len(known) > MOST_HINTS:
                    # Always another time than before: that is how `release` sees that a webhook event came in between.
                    poll_target.poll_at = min(now, poll_target.poll_at - JUST_BEFORE)
                db.add(poll_target)
        return bool(poll_targets)

    async def take_hints(self, poll_target_id: int) -> list[tuple[str, str]]:
        """Return the builds that webhook events named, as (pipeline, build), and forget them."""
        async with self._write() as db:
            poll_target = (
                await db.exec(select(PollTargetRow).where(PollTargetRow.id == poll_target_id).with_for_update())
            ).first()
            if poll_target is None or poll_target.hints == "[]":
                return []
            hints = _hints.decode(poll_target.hints)
            poll_target.hints = "[]"
            db.add(poll_target)
        return hints

    async def targets(self) -> list[PollTargetRow]:
        """Return every poll target, by connection and part."""
        async with self._read() as db:
            return list(
                await db.exec(select(PollTargetRow).order_by(col(PollTargetRow.connection), col(PollTargetRow.part)))
            )

    async def clear_failure(self, poll_target: PollTargetRow) -> bool:
        """Remember that a poll target fails no more, and return whether it was still the caller's to say so."""
        well = update(PollTargetRow).where(
            col(PollTargetRow.id) == poll_target.id, col(PollTargetRow.fence) == poll_target.fence
        )
        well = well.values(failing_since=None, notified_at=None, last_error="")
        async with self._write() as db:
            return bool((await db.exec(well.execution_options(synchronize_session=False))).rowcount)

    async def release_leases(self) -> None:
        """End the leases of poll targets: whoever had them is gone for certain."""
        leased = (
            update(PollTargetRow)
            .where(col(PollTargetRow.lease_until).is_not(None))
            .values(lease_until=None, lease_owner="")
        )
        async with self._write() as db:
            await db.exec(leased.execution_options(synchronize_session=False))

    async def watched_pipelines(self) -> list[tuple[str, str]]:
        """Return every (connection, pipeline) that a link, a follower or a watch of a build needs polled."""
        linked = select(LinkRow.connection, LinkRow.pipeline).where(LinkRow.paused_reason != REMOVED).distinct()
        watched = select(WatchRow.connection, WatchRow.pipeline).distinct()
        async with self._read() as db:
            return sorted({*await db.exec(linked), *await db.exec(watched)})

    async def set_outage_notified(self, poll_target_id: int, now: datetime) -> None:
        """Remember that the channels were notified of a poll target's outage."""
        told = update(PollTargetRow).where(col(PollTargetRow.id) == poll_target_id).values(notified_at=now)
        async with self._write() as db:
            await db.exec(told.execution_options(synchronize_session=False))

    async def next_due(self, now: datetime) -> datetime | None:
        """Return when the next poll target can be claimed, or None without poll targets."""
        leased = col(PollTargetRow.lease_until) > now
        at = func.min(case((leased, col(PollTargetRow.lease_until)), else_=col(PollTargetRow.due_at)))
        async with self._read() as db:
            found: datetime | None = (await db.exec(select(at))).one()
        return found

    async def watched(self, connection: str) -> tuple[frozenset[str], frozenset[BuildKey]]:
        """Return the pipelines to poll, and the builds known to be unfinished in them or watched on their own.

        A build without news for thirty days is given up; so are links of a workspace that removed the bot.
        """
        linked = select(LinkRow.pipeline).where(LinkRow.connection == connection, LinkRow.paused_reason != REMOVED)
        watches = select(WatchRow.pipeline, WatchRow.build).where(WatchRow.connection == connection)
        running = select(BuildRow.pipeline, BuildRow.build, BuildRow.started_team).where(
            BuildRow.connection == connection,
            col(BuildRow.completed).is_(False),
            BuildRow.seen_at > self._clock() - ABANDONED,
        )
        ended = select(BuildRow.pipeline, BuildRow.build).where(
            BuildRow.connection == connection,
            col(BuildRow.completed).is_(True),
            col(BuildRow.build).in_(
                select(WatchRow.build).where(WatchRow.connection == connection, WatchRow.build != "")
            ),
        )
        async with self._read() as db:
            pipelines = set(await db.exec(linked.distinct()))
            single = {(pipeline, build) for pipeline, build in await db.exec(watches)}
            pipelines |= {pipeline for pipeline, build in single if not build}
            single = {place for place in single if place[1]}
            if single:
                single -= {(pipeline, build) for pipeline, build in await db.exec(ended)}
            for pipeline, build, started in await db.exec(running):
                if started or pipeline in pipelines:
                    single.add((pipeline, build))
        unfinished = {BuildKey(connection=connection, pipeline=pipeline, id=build) for pipeline, build in single}
        return frozenset(pipelines), frozenset(unfinished)
