"""Persist polled builds and their attempts, and return each change with the context that decisions need."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy import bindparam, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.core.models import NO_RESULT, Build, BuildKey, IssueCounts
from bot.store import retention
from bot.store.database import Repository, put, required, terms
from bot.store.histories import histories, place_by_commit
from bot.store.lookups import BUILDS, CARDS, LAST_ENDS, LINKS, MUTES, STATES, WATCHES, keys_of, of_build, run
from bot.store.mapping import ATTEMPT, BUILD, CARD, LINK, MUTE, NOTIFICATION, WATCH, values
from bot.store.recorded import CARD_PAUSE, AlreadyStarted, Recorded
from bot.store.redraws import mark_moved, note_replaced
from bot.store.rows import (
    AttemptRow,
    BuildRow,
    LinkRow,
    MuteRow,
    NewAttempt,
    NewBuild,
    NewNotification,
    NewWatch,
    WatchRow,
)
from bot.store.states import BuildPurpose, NotificationEvent
from bot.store.steps import PreviousState, Step, pack, pack_counts, restart, step, unpack
from bot.store.times import attempt_seconds, began_at

PUT_BUILD = put("build", key=("connection", "pipeline", "build"), returning=("id", "connection", "pipeline", "build"))
ADD_ATTEMPT = put(
    "attempt",
    key=("connection", "pipeline", "build", "attempt_no"),
    replace=False,
    returning=("id", "connection", "pipeline", "build", "attempt_no"),
)
ADD_NOTIFICATION = put(
    "notification",
    key=("team", "channel", "link", "connection", "pipeline", "build", "attempt_no", "event", "turn"),
    replace=False,
)
DUE_CARD = CARD.update().where(CARD.c.id == bindparam("of_id")).values(edit_due_at=bindparam("to_due"))
ADD_WATCH = put("watch", key=("team", "channel", "user", "connection", "pipeline", "build"), replace=False)
CORRECT_ATTEMPT = (
    ATTEMPT.update()
    .where(
        ATTEMPT.c.connection == bindparam("of_connection"),
        ATTEMPT.c.pipeline == bindparam("of_pipeline"),
        ATTEMPT.c.build == bindparam("of_build"),
        ATTEMPT.c.attempt_no == bindparam("of_attempt"),
    )
    .values(conclusion=bindparam("to_conclusion"), counts=bindparam("to_counts"))
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Entry:
    """One step that is to be written."""

    step: Step
    previous: PreviousState | None
    row: NewBuild

    @property
    def ends(self) -> bool:
        """Whether this poll is the first to show the end of its attempt."""
        if not self.step.build.completed:
            return False
        return self.previous is None or not self.previous.ended or self.previous.attempt_no != self.step.attempt_no


class Recording(Repository):
    """Builds and attempts as the poller writes them."""

    async def has_news(self, builds: Sequence[Build]) -> bool:
        """Return whether `record` would write anything. Costs one question and no transaction that writes."""
        if not builds:
            return False
        keys = {(build.connection, build.pipeline, build.id) for build in builds}
        rows = await self._fetch(STATES, keys=terms(keys))
        stored = {row[:3]: row[3:] for row in rows}
        for build in builds:
            state = stored.get((build.connection, build.pipeline, build.id))
            if state is None:
                return True
            data, attempt_no, completed = state
            if completed == build.completed and data == pack(build):
                continue
            if step(build, PreviousState(build=unpack(data), attempt_no=attempt_no, ended=completed)):
                return True
        return False

    async def record(
        self,
        builds: Sequence[Build],
        *,
        now: datetime,
        counts_after: timedelta | None = None,
        asks_history: bool = False,
        asks_always: bool = False,
    ) -> list[Recorded]:
        """Write polled builds and return what was new, oldest end first.

        A build that is older than what is known is left out. An attempt that ends without issue counts, or red, is
        due for its details after `counts_after`, if ever; with `asks_history` so is one whose ref has no history yet,
        with `asks_always` every one that has a result.
        """
        async with self._write() as db:
            await self._own(db, {build.connection for build in builds})
            entries = await self._entries(db, builds, now)
            ids = {
                BuildKey(connection=connection, pipeline=pipeline, id=build): number
                for number, connection, pipeline, build in await self._put(
                    db, PUT_BUILD, list({entry.step.build.key: entry.row for entry in entries}.values())
                )
            }
            finished = await self._end_attempts(db, entries, now, counts_after, asks_always=asks_always)
            corrected = await self._correct_attempts(db, entries)
            await _wake_cards(db, entries, now)
            await mark_moved(db, {entry.step.build.key for entry in entries})
            recorded = await _with_context(
                db, [_recorded(entry, ids[entry.step.build.key], finished, corrected) for entry in entries]
            )
            return await _due_for_history(db, recorded, now) if asks_history else recorded

    async def record_start(
        self,
        build: Build,
        *,
        team: str,
        channel: str,
        user: str,
        notifications: Sequence[NewNotification],
        watches: Sequence[NewWatch],
        now: datetime,
        before: Build | None = None,
        after_attempt: int | None = None,
        purpose: BuildPurpose = BuildPurpose.NORMAL,
        is_presumed: bool = False,
    ) -> BuildRow:
        """Write a build that a person started here, with its notifications and watches, and return its row.

        Raises AlreadyStarted, and writes nothing, for a new build that is only presumed to be this start's where
        another start of it is written already.

        The notifications get the build's attempt number here. `after_attempt` says that an ended build runs again, and
        which attempt it was: a new one begins, even if the system still shows the old end, and even if nobody has seen
        that end here; `before` is the build as it had ended then. The end of what begins is never written here, however
        fast it came: `record` does that when it sees the build the next time.
        """
        async with self._write() as db:
            await self._own(db, {build.connection})
            rows = await _rows(db, [build.key])
            old = rows.get(build.key)
            if is_presumed and after_attempt is None and old is not None and old.started_by:
                raise AlreadyStarted
            ends = await _last_ends(db, rows.values())
            previous = _previous(old, ends)
            had_ended = (before is not None and before.completed) or (previous is not None and previous.ended)
            if after_attempt is not None and had_ended:
                await self._end_unseen(db, before, previous, after_attempt, now)
                taken = restart(build, previous, after_attempt=after_attempt)
            else:
                taken = step(build, previous)
            last_end = before.completed_at if before is not None else None
            row = _row(taken, old, now, last_end or ends.get(build.key)) if taken else required(old, "The build")
            row = replace(
                row,
                completed=previous is not None and previous.ended and previous.attempt_no == row.attempt_no,
                started_by=user,
                started_team=team,
                started_channel=channel,
                purpose=purpose,
            )
            number = (await self._put(db, PUT_BUILD, [row]))[0][0]
            await self._put(db, ADD_WATCH, watches)
            numbered = [replace(notification, attempt_no=row.attempt_no) for notification in notifications]
            await self._put(db, ADD_NOTIFICATION, numbered)
            await db.execute(CARD.update().where(*of_build(CARD.c, build.key)).values(edit_due_at=now))
        return BuildRow(id=number, **values(row))

    async def _end_unseen(
        self, db: AsyncConnection, before: Build | None, previous: PreviousState | None, attempt_no: int, now: datetime
    ) -> None:
        """Write the end of an attempt that nobody has seen here: it was retried before a poll came by."""
        if (
            before is None
            or not before.completed
            or (previous is not None and (previous.ended or previous.attempt_no > attempt_no))
        ):
            return
        old = (await _rows(db, [before.key])).get(before.key)
        whole = step(before, previous) or Step(build=before, attempt_no=attempt_no)
        taken = replace(whole, attempt_no=attempt_no)
        entry = _Entry(step=taken, previous=previous, row=_row(taken, old, now, None))
        await self._end_attempts(db, [entry], now, None, asks_always=False)

    async def recounted(self, key: BuildKey, attempt_no: int, before: IssueCounts) -> Recorded | None:
        """Return an attempt whose counts were read after its end, with its context; None where it is not the build's last.

        `before` are the counts that were known of it.
        """
        async with self._read() as db:
            row = (await _rows(db, [key])).get(key)
            query = ATTEMPT.select().where(*of_build(ATTEMPT.c, key), ATTEMPT.c.attempt_no == attempt_no)
            end = await ATTEMPT.first(db, query)
            if row is None or end is None or row.attempt_no != attempt_no:
                return None
            build = unpack(row.data)
            item = Recorded(
                build=build,
                row=row,
                before=build.with_issues(before),
                first_seen=False,
                attempt_no=attempt_no,
                finished=None,
                reopened=False,
                blocked=False,
                recounted=end,
            )
            (whole,) = await _with_context(db, [item])
            return whole

    async def stop_tracking(self, key: BuildKey) -> None:
        """Stop tracking a build that the provider no longer has: its cards lose their buttons and say so."""
        now = self._clock()
        async with self._write() as db:
            await self._own(db, {key.connection})
            await note_replaced(db, key, "The CI system no longer has this build", now)
            for statement in (
                BUILD.update().where(*of_build(BUILD.c, key)).values(completed=True),
                WATCH.delete().where(*of_build(WATCH.c, key)),
            ):
                await db.execute(statement)

    async def replace(self, key: BuildKey, *, text: str, url: str = "", now: datetime) -> None:
        """Take the buttons from all cards of a build, and say on them what stands in its place ("Rebuilt as #413").

        `url` is the page of what replaced it.
        """
        async with self._write() as db:
            await note_replaced(db, key, text, now, url=url)

    async def _entries(self, db: AsyncConnection, builds: Sequence[Build], now: datetime) -> list[_Entry]:
        rows: dict[BuildKey, NewBuild] = {**await _rows(db, {build.key for build in builds})}
        ends = await _last_ends(db, rows.values())
        entries = []
        for build in sorted(builds, key=lambda build: _ended_at(build, now, first_seen=build.key not in rows)):
            old = rows.get(build.key)
            previous = _previous(old, ends)
            taken = step(build, previous)
            if taken is None:
                continue
            row = rows[build.key] = _row(taken, old, now, ends.get(build.key))
            if taken.build.completed:
                ends[build.key] = _ended_at(taken.build, now, first_seen=previous is None)
            entries.append(_Entry(step=taken, previous=previous, row=row))
        return entries

    async def _end_attempts(
        self,
        db: AsyncConnection,
        entries: Iterable[_Entry],
        now: datetime,
        counts_after: timedelta | None,
        *,
        asks_always: bool,
    ) -> dict[tuple[BuildKey, int], AttemptRow]:
        """Write the attempts that have ended, and return those that are news."""
        rows = {
            (entry.step.build.key, entry.step.attempt_no): _attempt_row(
                entry, now, counts_after, asks_always=asks_always
            )
            for entry in entries
            if entry.ends
        }
        placed = dict(zip(rows, await place_by_commit(db, list(rows.values())), strict=True))
        finished = {}
        for number, connection, pipeline, build, count in await self._put(db, ADD_ATTEMPT, list(placed.values())):
            place = (BuildKey(connection=connection, pipeline=pipeline, id=build), count)
            row = AttemptRow(id=number, **values(placed[place]))
            # A build so old may have been notified of and forgotten since.
            if row.completed_at > now - timedelta(days=retention.KEEP_DAYS):
                finished[place] = row
        return finished

    async def _correct_attempts(
        self, db: AsyncConnection, entries: Sequence[_Entry]
    ) -> dict[tuple[BuildKey, int], AttemptRow]:
        """Write corrections of attempts that had ended already, and return those with another conclusion or other counts."""
        corrections = [
            {
                "of_connection": entry.row.connection,
                "of_pipeline": entry.row.pipeline,
                "of_build": entry.row.build,
                "of_attempt": entry.step.attempt_no,
                "to_conclusion": entry.step.build.conclusion or "",
                "to_counts": pack_counts(entry.step.build.issues),
            }
            for entry in entries
            if entry.step.build.completed and not entry.ends
        ]
        if corrections:
            await db.execute(CORRECT_ATTEMPT, corrections)
        changed: dict[tuple[BuildKey, int], AttemptRow] = {}
        for entry in entries:
            if entry.ends or entry.previous is None or not entry.step.build.completed:
                continue
            if not _is_corrected(entry) and entry.previous.build.issues == entry.step.build.issues:
                continue
            key, attempt_no = entry.step.build.key, entry.step.attempt_no
            query = ATTEMPT.select().where(*of_build(ATTEMPT.c, key), ATTEMPT.c.attempt_no == attempt_no)
            row = await ATTEMPT.first(db, query)
            if row is not None:
                changed[key, attempt_no] = row
        return changed


def _is_corrected(entry: _Entry) -> bool:
    """Return whether an attempt that had ended has another conclusion now."""
    return entry.previous is not None and entry.previous.build.conclusion is not entry.step.build.conclusion


def _previous(row: NewBuild | None, ends: dict[BuildKey, datetime]) -> PreviousState | None:
    if row is None:
        return None
    build = unpack(row.data)
    return PreviousState(build=build, attempt_no=row.attempt_no, ended=row.completed, last_end=ends.get(build.key))


def _row(taken: Step, old: NewBuild | None, now: datetime, last_end: datetime | None) -> NewBuild:
    build = taken.build
    same = old is not None and old.attempt_no == taken.attempt_no
    if old is not None and old.completed and not same:
        last_end = last_end or old.completed_at or old.seen_at
    waiting_since = old.waiting_since if old is not None and same else None
    approval_seconds = old.approval_seconds if old is not None and same else 0.0
    if waiting_since is not None and not build.waiting:
        until = min(build.completed_at or now, now)
        approval_seconds += max((until - waiting_since) / timedelta(seconds=1), 0.0)
    return NewBuild(
        connection=build.connection,
        pipeline=build.pipeline,
        build=build.id,
        number=build.number,
        branch=build.branch or "",
        commit_sha=(build.commit or "").lower(),
        completed=build.completed,
        attempt_no=taken.attempt_no,
        data=pack(build),
        started_by=old.started_by if old else "",
        started_team=old.started_team if old else "",
        started_channel=old.started_channel if old else "",
        created_at=build.created_at,
        completed_at=build.completed_at,
        seen_at=now,
        built_at=build.created_at or (old.built_at if old else None) or _built_at(build, now),
        began_at=(old.began_at if old is not None and same else None)
        or began_at(build, attempt_no=taken.attempt_no, last_end=last_end, now=now),
        waiting_since=(waiting_since or now) if build.waiting else None,
        approval_seconds=approval_seconds,
        purpose=old.purpose if old is not None else BuildPurpose.NORMAL,
    )


def _built_at(build: Build, now: datetime) -> datetime:
    """Return when a build without a creation time was created, as well as is known."""
    return build.started_at or build.completed_at or build.updated_at or now


def _attempt_row(entry: _Entry, now: datetime, counts_after: timedelta | None, *, asks_always: bool) -> NewAttempt:
    build = entry.step.build
    author = build.author
    is_red = build.conclusion is not None and build.conclusion.is_red
    is_complete = build.issues.known and not is_red and (not asks_always or build.conclusion in NO_RESULT)
    ref = build.history_ref if entry.row.purpose is BuildPurpose.NORMAL else None
    built_at = entry.row.built_at or _built_at(build, now)
    return NewAttempt(
        connection=build.connection,
        pipeline=build.pipeline,
        build=build.id,
        attempt_no=entry.step.attempt_no,
        number=build.number,
        branch=build.branch or "",
        commit_sha=(build.commit or "").lower(),
        author=(author.email or author.login or author.name or "") if author else "",
        conclusion=build.conclusion or "",
        counts=pack_counts(build.issues),
        counts_due_at=None if counts_after is None or is_complete else now + counts_after,
        seconds=attempt_seconds(build, entry.row.began_at, entry.row.approval_seconds),
        completed_at=_ended_at(build, now, first_seen=entry.previous is None),
        seen_at=now,
        ref_kind=ref.kind.value if ref else "",
        ref_name=ref.name if ref else "",
        ref_job=(ref.job or "") if ref else "",
        commit_at=min(built_at, build.first_built_at or built_at),
        built_at=built_at,
        approval_seconds=entry.row.approval_seconds,
    )


def _ended_at(build: Build, now: datetime, *, first_seen: bool) -> datetime:
    """Return when a build ended as well as is known; one that still runs comes after all that ended.

    Lists without an end say when a build changed last. A build met for the first time at its end, and without even
    that, may have ended long ago: when it began is the safer guess, so that nothing old is posted as new.
    """
    if not build.completed:
        return now
    ended_at = build.completed_at or build.updated_at
    if ended_at is None and first_seen:
        ended_at = build.started_at or build.created_at
    return min(ended_at, now) if ended_at else now


Ends = Mapping[tuple[BuildKey, int], AttemptRow]


def _recorded(entry: _Entry, number: int, finished: Ends, corrected: Ends) -> Recorded:
    taken, previous = entry.step, entry.previous
    was_waiting = previous is not None and previous.build.waiting and previous.attempt_no == taken.attempt_no
    changed = corrected.get((taken.build.key, taken.attempt_no))
    return Recorded(
        build=taken.build,
        row=BuildRow(id=number, **values(entry.row)),
        before=previous.build if previous else None,
        first_seen=previous is None,
        attempt_no=taken.attempt_no,
        finished=finished.get((taken.build.key, taken.attempt_no)) if entry.ends else None,
        reopened=taken.reopened,
        blocked=taken.build.waiting and not was_waiting,
        corrected=changed if _is_corrected(entry) else None,
        recounted=None if _is_corrected(entry) else changed,
    )


async def _rows(db: AsyncConnection, keys: Iterable[BuildKey]) -> dict[BuildKey, BuildRow]:
    rows = BUILD.made(await run(db, BUILDS, keys=keys_of(keys)))
    return {BuildKey(connection=row.connection, pipeline=row.pipeline, id=row.build): row for row in rows}


async def _last_ends(db: AsyncConnection, rows: Iterable[NewBuild]) -> dict[BuildKey, datetime]:
    """Return when the builds that run again ended the last time."""
    again = [(row.connection, row.pipeline, row.build) for row in rows if row.attempt_no > 1 and not row.completed]
    if not again:
        return {}
    return {
        BuildKey(connection=connection, pipeline=pipeline, id=build): ended_at
        for connection, pipeline, build, ended_at in await run(db, LAST_ENDS, keys=terms(again))
    }


async def _wake_cards(db: AsyncConnection, entries: Sequence[_Entry], now: datetime) -> None:
    """Make the cards of changed builds due: at once for an end, else not more often than they may be edited.

    A new attempt replaces what the cards of earlier ones show, even if nobody has seen it before its end; its end does so
    again, for one of them may be drawn at this moment with the attempt as it was.
    """
    last = {entry.step.build.key: entry for entry in entries}
    due = []
    for card in CARD.made(await run(db, CARDS, keys=keys_of(last))):
        entry = last[BuildKey(connection=card.connection, pipeline=card.pipeline, id=card.build)]
        taken, previous = entry.step, entry.previous
        changes_all = entry.ends or (previous is not None and previous.attempt_no != taken.attempt_no)
        if not card.live and card.attempt_no != taken.attempt_no and not changes_all:
            continue
        soon = now if taken.build.completed or not card.edited_at else max(now, card.edited_at + CARD_PAUSE)
        if card.edit_due_at is None or card.edit_due_at == card.lease_until or soon < card.edit_due_at:
            due.append({"of_id": card.id, "to_due": soon})
    if due:
        await db.execute(DUE_CARD, due)


async def _with_context(db: AsyncConnection, recorded: Sequence[Recorded]) -> list[Recorded]:
    """Return the records with links, watches, mutes and, for an end, the results before it."""
    links: dict[tuple[str, str], list[LinkRow]] = {}
    watches: dict[tuple[str, str], list[WatchRow]] = {}
    mutes: dict[tuple[str, str], list[MuteRow]] = {}
    pipelines = {(item.build.connection, item.build.pipeline) for item in recorded}
    builds = {item.build.id for item in recorded}
    for link in LINK.made(await run(db, LINKS, keys=terms(pipelines))):
        links.setdefault((link.connection, link.pipeline), []).append(link)
    for watch in WATCH.made(await run(db, WATCHES, keys=terms(pipelines))):
        if not watch.build or watch.build in builds:
            watches.setdefault((watch.connection, watch.pipeline), []).append(watch)
    channels = {(link.team, link.channel) for rows in links.values() for link in rows}
    channels |= {(watch.team, watch.channel) for rows in watches.values() for watch in rows}
    if channels:
        for mute in MUTE.made(await run(db, MUTES, keys=terms(channels))):
            mutes.setdefault((mute.team, mute.channel), []).append(mute)
    whole = []
    for item in recorded:
        pipeline = (item.build.connection, item.build.pipeline)
        mine = tuple(links.get(pipeline, ()))
        theirs = tuple(watch for watch in watches.get(pipeline, ()) if watch.build in {"", item.build.id})
        concerned = dict.fromkeys([(link.team, link.channel) for link in mine])
        concerned |= dict.fromkeys([(watch.team, watch.channel) for watch in theirs])
        history, target_history = await histories(db, item.build, item.end) if item.end else ((), ())
        whole.append(
            replace(
                item,
                turn=await _turn(db, item),
                history=history,
                target_history=target_history,
                links=mine,
                watches=theirs,
                mutes=tuple(mute for channel in concerned for mute in mutes.get(channel, ())),
            )
        )
    return whole


async def _turn(db: AsyncConnection, item: Recorded) -> int:
    """Return which approval of an attempt has just opened, else which was decided last; counted from 1."""
    was_waiting = item.before is not None and item.before.waiting
    if not item.blocked and not was_waiting:
        return 1
    query = select(func.max(NOTIFICATION.c.turn)).where(
        *of_build(NOTIFICATION.c, item.build.key),
        NOTIFICATION.c.attempt_no == item.attempt_no,
        NOTIFICATION.c.event == NotificationEvent.BLOCKED,
    )
    latest: int | None = await db.scalar(query)
    return (latest or 0) + 1 if item.blocked else latest or 1


async def _due_for_history(db: AsyncConnection, recorded: Sequence[Recorded], now: datetime) -> list[Recorded]:
    """Make attempts due for their details whose ref has no earlier build in the store."""
    marked = []
    for item in recorded:
        row = item.finished
        lacks = row is not None and bool(row.ref_kind) and not any(other.build != row.build for other in item.history)
        if row is not None and lacks and row.conclusion not in NO_RESULT:
            due = ATTEMPT.update().where(ATTEMPT.c.id == row.id).values(counts_due_at=now)
            await db.execute(due)
            marked.append(replace(item, finished=replace(row, counts_due_at=now), needs_history=True))
        else:
            marked.append(item)
    return marked
