"""Poll targets: what is polled when, by whom, and the webhook events that come in between."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec
from sqlalchemy import Integer, String, and_, bindparam, case, false, func, literal, or_, select, union_all

from bot.core.models import BuildKey
from bot.store import retention
from bot.store.database import Repository, chosen, put
from bot.store.links import REMOVED
from bot.store.mapping import BUILD, LINK, POLL_TARGET, WATCH
from bot.store.rows import PollTargetRow
from bot.store.statements import Statement
from bot.store.tables import UtcDateTime

MOST_HINTS = 200
JUST_BEFORE = timedelta(microseconds=1)
NO_HINTS = "[]"

ADD_POLL_TARGET = put("poll_target", key=("connection", "part"), replace=False)
_hints = msgspec.json.Decoder(list[tuple[str, str]])

T = POLL_TARGET.c
NOW, UNTIL = bindparam("now", type_=UtcDateTime), bindparam("until", type_=UtcDateTime)
ERROR = bindparam("error", type_=String)
CLAIM = Statement(
    POLL_TARGET.update()
    .where(
        T.id.in_(
            chosen(
                select(T.id)
                .where(T.due_at <= NOW, or_(T.lease_until.is_(None), T.lease_until <= NOW))
                .order_by(T.due_at, T.id)
                .limit(bindparam("limit", type_=Integer))
                .with_for_update(skip_locked=True)
            )
        )
    )
    .values(lease_owner=bindparam("owner"), lease_until=UNTIL, fence=T.fence + 1)
    .returning(*POLL_TARGET.columns)
)
_untouched = T.poll_at == bindparam("seen_poll_at", type_=UtcDateTime)
RELEASE = Statement(
    POLL_TARGET.update()
    .where(T.id == bindparam("of_id"), T.fence == bindparam("of_fence"))
    .values(
        poll_at=case((_untouched, bindparam("next_poll_at", type_=UtcDateTime)), else_=T.poll_at),
        due_at=case(
            (and_(_untouched, T.hints == NO_HINTS), bindparam("next_due_at", type_=UtcDateTime)),
            else_=bindparam("soon", type_=UtcDateTime),
        ),
        cursor=func.coalesce(bindparam("next_cursor", type_=String), T.cursor),
        interval_seconds=bindparam("next_interval"),
        lease_owner="",
        lease_until=None,
        polled_at=NOW,
        last_error=ERROR,
        failing_since=case((ERROR != "", func.coalesce(T.failing_since, NOW))),
        notified_at=case((ERROR != "", T.notified_at)),
    )
    .returning(T.id)
)
_CONNECTION = bindparam("of_connection", type_=String)
_has_ended = (
    select(BUILD.c.id)
    .where(
        BUILD.c.connection == WATCH.c.connection,
        BUILD.c.pipeline == WATCH.c.pipeline,
        BUILD.c.build == WATCH.c.build,
        BUILD.c.completed.is_(True),
    )
    .exists()
)
WATCHED = Statement(
    union_all(
        select(LINK.c.pipeline, literal("").label("build"), false().label("only_polled")).where(
            LINK.c.connection == _CONNECTION, LINK.c.paused_reason != REMOVED
        ),
        select(WATCH.c.pipeline, WATCH.c.build, false()).where(
            WATCH.c.connection == _CONNECTION, or_(WATCH.c.build == "", ~_has_ended)
        ),
        select(BUILD.c.pipeline, BUILD.c.build, BUILD.c.started_team == "").where(
            BUILD.c.connection == _CONNECTION,
            BUILD.c.completed.is_(False),
            BUILD.c.seen_at > bindparam("since", type_=UtcDateTime),
        ),
    )
)
"""(pipeline, build, whether the build counts only where its pipeline is polled); `build` is empty for a whole pipeline."""


class Polling(Repository):
    """Poll targets: what is polled when, and by whom."""

    async def ensure(self, connection: str, part: str, *, now: datetime) -> None:
        """Make sure that a poll target is there; a new one is due at once."""
        row = {"connection": connection, "part": part, "due_at": now, "poll_at": now}
        async with self._write() as db:
            await self._put(db, ADD_POLL_TARGET, [row])

    async def drop(self, connection: str, part: str | None = None) -> None:
        """Forget one poll target of a connection, or all of them."""
        deletion = POLL_TARGET.delete().where(T.connection == connection)
        if part is not None:
            deletion = deletion.where(T.part == part)
        async with self._write() as db:
            await db.execute(deletion)

    async def claim(self, owner: str, *, now: datetime, lease_seconds: float, limit: int) -> list[PollTargetRow]:
        """Lease the due poll targets that no worker polls, the longest due first."""
        until = now + timedelta(seconds=lease_seconds)
        rows = await self._fetch(CLAIM, writes=True, owner=owner, now=now, until=until, limit=limit)
        return sorted(POLL_TARGET.made(rows), key=lambda poll_target: (poll_target.due_at, poll_target.id))

    async def renew(self, owner: str, ids: Iterable[int], lease_until: datetime) -> None:
        """Prolong a process's leases of poll targets that it polls."""
        held = POLL_TARGET.update().where(
            POLL_TARGET.c.id.in_(list(ids)),
            POLL_TARGET.c.lease_owner == owner,
            POLL_TARGET.c.lease_until.is_not(None),
        )
        async with self._write() as db:
            await db.execute(held.values(lease_until=lease_until))

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
        rows = await self._fetch(
            RELEASE,
            writes=True,
            of_id=poll_target.id,
            of_fence=poll_target.fence,
            seen_poll_at=poll_target.poll_at,
            next_poll_at=poll_at,
            next_due_at=due_at,
            soon=min(due_at, now),
            next_cursor=cursor,
            next_interval=interval_seconds,
            error=error or "",
            now=now,
        )
        return bool(rows)

    async def request(
        self, connection: str, part: str | None, hints: Sequence[tuple[str, str]], *, full: bool, now: datetime
    ) -> bool:
        """Make a poll target (or with no part all of a connection's) due now, and return whether there is any.

        `hints` are (pipeline, build); without any, or with too many, or when `full`, the whole poll target is polled.
        """
        query = POLL_TARGET.select().where(T.connection == connection).order_by(T.id).with_for_update()
        if part is not None:
            query = query.where(T.part == part)
        async with self._write() as db:
            poll_targets = await POLL_TARGET.all(db, query)
            for poll_target in poll_targets:
                every = list(dict.fromkeys([*_hints.decode(poll_target.hints), *hints]))
                changes: dict[str, Any] = {
                    "hints": msgspec.json.encode(every[:MOST_HINTS]).decode(),
                    "due_at": min(now, poll_target.due_at),
                }
                if full or not hints or len(every) > MOST_HINTS:
                    # Always another time than before: that is how `release` sees that a webhook event came in between.
                    changes["poll_at"] = min(now, poll_target.poll_at - JUST_BEFORE)
                await db.execute(POLL_TARGET.update().where(T.id == poll_target.id).values(**changes))
        return bool(poll_targets)

    async def take_hints(self, poll_target: PollTargetRow) -> list[tuple[str, str]]:
        """Return the builds that webhook events named, as (pipeline, build), and forget them.

        Nothing is asked for a target that had none when it was claimed: what came since makes it due at its release.
        Where another worker has claimed the target since, they are that one's.
        """
        if poll_target.hints == NO_HINTS:
            return []
        ours = and_(T.id == poll_target.id, T.fence == poll_target.fence)
        kept = select(T.hints).where(ours).with_for_update()
        async with self._write() as db:
            hints: str | None = await db.scalar(kept)
            if hints is None or hints == NO_HINTS:
                return []
            await db.execute(POLL_TARGET.update().where(ours).values(hints=NO_HINTS))
        return _hints.decode(hints)

    async def is_held(self, poll_target: PollTargetRow) -> bool:
        """Return whether a claimed poll target is there and nobody else's; in a transaction it is not deleted before the end."""
        ours = select(T.id).where(T.id == poll_target.id, T.fence == poll_target.fence)
        async with self._write() as db:
            return await db.scalar(ours.with_for_update(read=True, key_share=True)) is not None

    async def targets(self) -> list[PollTargetRow]:
        """Return every poll target, by connection and part."""
        async with self._read() as db:
            return await POLL_TARGET.all(db, POLL_TARGET.select().order_by(T.connection, T.part))

    async def clear_failure(self, poll_target: PollTargetRow) -> bool:
        """Remember that a poll target fails no more, and return whether it was still the caller's to say so."""
        well = POLL_TARGET.update().where(T.id == poll_target.id, T.fence == poll_target.fence)
        async with self._write() as db:
            cleared = await db.execute(well.values(failing_since=None, notified_at=None, last_error=""))
            return bool(cleared.rowcount)

    async def release_leases(self) -> None:
        """End the leases of poll targets: whoever had them is gone for certain."""
        leased = POLL_TARGET.update().where(T.lease_until.is_not(None))
        async with self._write() as db:
            await db.execute(leased.values(lease_until=None, lease_owner=""))

    async def watched_pipelines(self) -> list[tuple[str, str]]:
        """Return every (connection, pipeline) that a link, a follower or a watch of a build needs polled."""
        linked = select(LINK.c.connection, LINK.c.pipeline).where(LINK.c.paused_reason != REMOVED)
        watched = select(WATCH.c.connection, WATCH.c.pipeline)
        async with self._read() as db:
            rows = await db.execute(linked.union(watched))
            return sorted((connection, pipeline) for connection, pipeline in rows)

    async def set_outage_notified(self, poll_target_id: int, now: datetime) -> None:
        """Remember that the channels were notified of a poll target's outage."""
        async with self._write() as db:
            await db.execute(POLL_TARGET.update().where(T.id == poll_target_id).values(notified_at=now))

    async def next_due(self, now: datetime) -> datetime | None:
        """Return when the next poll target can be claimed, or None without poll targets."""
        at = func.min(case((T.lease_until > now, T.lease_until), else_=T.due_at))
        async with self._read() as db:
            first: datetime | None = await db.scalar(select(at))
        return first

    async def watched(self, connection: str) -> tuple[frozenset[str], frozenset[BuildKey]]:
        """Return the pipelines to poll, and the builds known to be unfinished in them or watched on their own.

        A build without news for thirty days is given up; so are links of a workspace that removed the bot.
        """
        rows = await self._fetch(WATCHED, of_connection=connection, since=self._clock() - retention.WATCHES)
        pipelines = frozenset(pipeline for pipeline, build, _ in rows if not build)
        unfinished = frozenset(
            BuildKey(connection=connection, pipeline=pipeline, id=build)
            for pipeline, build, only_polled in rows
            if build and (not only_polled or pipeline in pipelines)
        )
        return pipelines, unfinished
