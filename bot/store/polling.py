"""Lanes: what is polled when, by whom, and the taps that come in between."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec
from sqlalchemy import case, delete, or_, update
from sqlmodel import col, func, select

from bot.core.models import BuildKey
from bot.store.database import Repository, put
from bot.store.links import REMOVED
from bot.store.tables import BuildRow, LaneRow, LinkRow, WatchRow

MOST_HINTS = 200
ABANDONED = timedelta(days=30)
JUST_BEFORE = timedelta(microseconds=1)

ADD_LANE = put("lane", key=("connection", "part"), replace=False)
_hints = msgspec.json.Decoder(list[tuple[str, str]])


class Polling(Repository):
    """Poll targets: what is polled when, and by whom."""

    async def ensure(self, connection: str, part: str, *, now: datetime) -> None:
        """Make sure that a lane is there; a new one is due at once."""
        async with self._write() as db:
            await self._put(db, ADD_LANE, [LaneRow(connection=connection, part=part, due_at=now, poll_at=now)])

    async def drop(self, connection: str, part: str | None = None) -> None:
        """Forget one lane of a connection, or all of them."""
        gone = delete(LaneRow).where(col(LaneRow.connection) == connection)
        if part is not None:
            gone = gone.where(col(LaneRow.part) == part)
        async with self._write() as db:
            await db.exec(gone.execution_options(synchronize_session=False))

    async def claim(self, owner: str, *, now: datetime, lease_seconds: float, limit: int) -> list[LaneRow]:
        """Lease the lanes that are due and nobody looks at, the longest due first."""
        due = (
            select(LaneRow.id)
            .where(col(LaneRow.due_at) <= now, or_(col(LaneRow.lease_until).is_(None), col(LaneRow.lease_until) <= now))
            .order_by(col(LaneRow.due_at), col(LaneRow.id))
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
        claim = (
            update(LaneRow)
            .where(col(LaneRow.id).in_(due))
            .values(
                lease_owner=owner,
                lease_until=now + timedelta(seconds=lease_seconds),
                fence=col(LaneRow.fence) + 1,
            )
            .returning(LaneRow)
            .execution_options(synchronize_session=False)
        )
        async with self._write() as db:
            rows: list[LaneRow] = list((await db.exec(claim)).scalars())
        return sorted(rows, key=lambda lane: (lane.due_at, lane.id))

    async def release(
        self,
        lane: LaneRow,
        *,
        cursor: str | None,
        due_at: datetime,
        poll_at: datetime,
        interval_seconds: float,
        error: str | None,
        now: datetime,
    ) -> bool:
        """Give a lane back with its next times, and return whether it was still ours to give.

        A cursor of None keeps the one that is there. What a tap asked for meanwhile is kept: the lane is then due now.
        """
        async with self._write() as db:
            row = (await db.exec(select(LaneRow).where(LaneRow.id == lane.id).with_for_update())).first()
            if row is None or row.fence != lane.fence:
                return False
            if row.poll_at == lane.poll_at:
                row.poll_at = poll_at
                row.due_at = min(due_at, now) if row.hints != "[]" else due_at
            else:
                row.due_at = min(due_at, now)
            if cursor is not None:
                row.cursor = cursor
            row.interval_seconds = interval_seconds
            row.lease_owner, row.lease_until = "", None
            row.looked_at = now
            row.last_error = error or ""
            row.failing_since = (row.failing_since or now) if error else None
            row.told_at = row.told_at if error else None
            db.add(row)
        return True

    async def request(
        self, connection: str, part: str | None, hints: Sequence[tuple[str, str]], *, full: bool, now: datetime
    ) -> bool:
        """Make a lane (or with no part all of a connection's) due now, and return whether there is any.

        `hints` are (pipeline, build); without any, or with too many, or when `full`, the whole lane is polled.
        """
        asked = select(LaneRow).where(LaneRow.connection == connection).order_by(col(LaneRow.id)).with_for_update()
        if part is not None:
            asked = asked.where(LaneRow.part == part)
        async with self._write() as db:
            lanes = list(await db.exec(asked))
            for lane in lanes:
                known = dict.fromkeys([*_hints.decode(lane.hints), *hints])
                kept = list(known)[:MOST_HINTS]
                lane.hints = msgspec.json.encode(kept).decode()
                lane.due_at = min(now, lane.due_at)
                if full or not hints or len(known) > MOST_HINTS:
                    # Always another time than before: that is how `release_lane` sees that a tap came in between.
                    lane.poll_at = min(now, lane.poll_at - JUST_BEFORE)
                db.add(lane)
        return bool(lanes)

    async def take_hints(self, lane_id: int) -> list[tuple[str, str]]:
        """Return the builds that taps named, as (pipeline, build), and forget them."""
        async with self._write() as db:
            lane = (await db.exec(select(LaneRow).where(LaneRow.id == lane_id).with_for_update())).first()
            if lane is None or lane.hints == "[]":
                return []
            hints = _hints.decode(lane.hints)
            lane.hints = "[]"
            db.add(lane)
        return hints

    async def targets(self) -> list[LaneRow]:
        """Return every lane, by connection and part."""
        async with self._read() as db:
            return list(await db.exec(select(LaneRow).order_by(col(LaneRow.connection), col(LaneRow.part))))

    async def clear_failure(self, lane: LaneRow) -> bool:
        """Remember that a lane fails no more, and return whether it was still the caller's to say so."""
        well = update(LaneRow).where(col(LaneRow.id) == lane.id, col(LaneRow.fence) == lane.fence)
        well = well.values(failing_since=None, told_at=None, last_error="")
        async with self._write() as db:
            return bool((await db.exec(well.execution_options(synchronize_session=False))).rowcount)

    async def release_leases(self) -> None:
        """End the leases of lanes: whoever had them is gone for certain."""
        leased = update(LaneRow).where(col(LaneRow.lease_until).is_not(None)).values(lease_until=None, lease_owner="")
        async with self._write() as db:
            await db.exec(leased.execution_options(synchronize_session=False))

    async def watched_pipelines(self) -> list[tuple[str, str]]:
        """Return every (connection, pipeline) that a link, a follower or a watch of a build wants to hear of."""
        linked = select(LinkRow.connection, LinkRow.pipeline).where(LinkRow.paused_reason != REMOVED).distinct()
        watched = select(WatchRow.connection, WatchRow.pipeline).distinct()
        async with self._read() as db:
            return sorted({*await db.exec(linked), *await db.exec(watched)})

    async def set_outage_notified(self, lane_id: int, now: datetime) -> None:
        """Remember that the channels have heard of a lane's outage."""
        told = update(LaneRow).where(col(LaneRow.id) == lane_id).values(told_at=now)
        async with self._write() as db:
            await db.exec(told.execution_options(synchronize_session=False))

    async def next_due(self, now: datetime) -> datetime | None:
        """Return when the next lane can be claimed, or None without lanes."""
        leased = col(LaneRow.lease_until) > now
        at = func.min(case((leased, col(LaneRow.lease_until)), else_=col(LaneRow.due_at)))
        async with self._read() as db:
            found: datetime | None = (await db.exec(select(at))).one()
        return found

    async def watched(self, connection: str) -> tuple[frozenset[str], frozenset[BuildKey]]:
        """Return the pipelines to ask about, and the builds known to be unfinished in them or watched on their own.

        A build that nobody has heard of for thirty days is given up; so are links of a workspace that removed the bot.
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
