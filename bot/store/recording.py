"""What the poller finds, written down: builds, their attempts, and in the same breath who is to hear of them."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, bindparam, delete, or_, update
from sqlmodel import col, func, select
from sqlmodel.ext.asyncio.session import AsyncSession

from bot.core.models import Build, BuildKey
from bot.store.database import Repository, among, found, put, table
from bot.store.steps import Known, Step, pack, pack_counts, restart, step, unpack
from bot.store.tables import AttemptRow, BuildRow, CardRow, LinkRow, MuteRow, NotificationRow, WatchRow

KEEP_DAYS = 180
HISTORY = 20
CARD_PAUSE = timedelta(seconds=15)
NO_RESULT = ("cancelled", "skipped")

PUT_BUILD = put("build", key=("connection", "pipeline", "build"), returning=("id", "connection", "pipeline", "build"))
ADD_ATTEMPT = put(
    "attempt",
    key=("connection", "pipeline", "build", "attempt_no"),
    replace=False,
    returning=("id", "connection", "pipeline", "build", "attempt_no"),
)
ADD_NOTIFICATION = put(
    "notification",
    key=("team", "channel", "link", "connection", "pipeline", "build", "attempt_no", "event"),
    replace=False,
)
ADD_WATCH = put("watch", key=("team", "channel", "user", "connection", "pipeline", "build"), replace=False)
CORRECT_ATTEMPT = (
    update(table("attempt"))
    .where(
        table("attempt").c.connection == bindparam("of_connection"),
        table("attempt").c.pipeline == bindparam("of_pipeline"),
        table("attempt").c.build == bindparam("of_build"),
        table("attempt").c.attempt_no == bindparam("of_attempt"),
    )
    .values(conclusion=bindparam("to_conclusion"), counts=bindparam("to_counts"))
)
DUE_CARD = update(table("card")).where(table("card").c.id == bindparam("of_id")).values(edit_due_at=bindparam("to_due"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """What a look at a build changed, with all that is needed to decide who hears of it.

    `build` is the look with what was known before filled in. `finished` is the attempt whose end this is.
    `history` holds the results before it on its branch, newest first. `blocked` says that an approval has just opened.
    """

    build: Build
    row: BuildRow
    before: Build | None
    first_seen: bool
    attempt_no: int
    finished: AttemptRow | None
    reopened: bool
    blocked: bool
    history: tuple[AttemptRow, ...] = ()
    links: tuple[LinkRow, ...] = ()
    watches: tuple[WatchRow, ...] = ()
    mutes: tuple[MuteRow, ...] = ()


Decide = Callable[[Sequence[Recorded]], Sequence[NotificationRow]]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Entry:
    """One step that is to be written."""

    step: Step
    known: Known | None
    row: BuildRow

    @property
    def ends(self) -> bool:
        """Whether this look is the first to see the end of its attempt."""
        if not self.step.build.completed:
            return False
        return self.known is None or not self.known.ended or self.known.attempt_no != self.step.attempt_no


class Recording(Repository):
    """Builds, attempts and notifications as the poller writes them."""

    async def record(
        self, builds: Sequence[Build], decide: Decide, *, now: datetime, counts_after: timedelta | None = None
    ) -> list[Recorded]:
        """Write what a look found, with the notifications that `decide` makes of it; return what was new, oldest end first.

        All in one transaction, except that nothing is begun when nothing is new: that costs one question. A look
        that is older than what is known is left out. `decide` is pure and quick, and is asked once; a notification that is
        there already stays as it is. An attempt that ends without issue counts, or red, wants a second look after `counts_after`, if ever.
        """
        if not await self._has_news(builds):
            return []
        async with self._write() as db:
            await self._own(db, {build.connection for build in builds})
            entries = await self._entries(db, builds, now)
            ids = {
                BuildKey(connection=connection, pipeline=pipeline, id=build): number
                for number, connection, pipeline, build in await self._put(
                    db, PUT_BUILD, list({entry.step.build.key: entry.row for entry in entries}.values())
                )
            }
            for entry in entries:
                entry.row.id = ids[entry.step.build.key]
            finished = await self._end_attempts(db, entries, now, counts_after)
            await self._correct_attempts(db, entries)
            await _wake_cards(db, entries, now)
            await mark_moved(db, {entry.step.build.key for entry in entries})
            recorded = await _with_context(db, [_recorded(entry, finished) for entry in entries])
            await self._put(db, ADD_NOTIFICATION, decide(recorded) if recorded else ())
        return recorded

    async def record_start(
        self,
        build: Build,
        *,
        team: str,
        channel: str,
        user: str,
        notifications: Callable[[BuildRow], Sequence[NotificationRow]],
        watches: Sequence[WatchRow],
        now: datetime,
        reopened: bool = False,
    ) -> BuildRow:
        """Write a build that a person started here, with who is to hear of it, and return its row.

        `reopened` says that an ended build runs again, even if the system still shows its old end. The end is never
        written here, however fast it came: `record` does that when it sees the build the next time.
        """
        async with self._write() as db:
            await self._own(db, {build.connection})
            rows = await _rows(db, [build.key])
            old = rows.get(build.key)
            ends = await _last_ends(db, rows.values())
            known = _known(old, ends)
            if known is not None and known.ended and reopened:
                taken: Step | None = restart(build, known)
            else:
                taken = step(build, known)
            row = _row(taken, old, now) if taken else found(old, "The build")
            row.completed = known is not None and known.ended and known.attempt_no == row.attempt_no
            row.started_by, row.started_team, row.started_channel = user, team, channel
            row.id = (await self._put(db, PUT_BUILD, [row]))[0][0]
            await self._put(db, ADD_WATCH, watches)
            await self._put(db, ADD_NOTIFICATION, notifications(row))
        return row

    async def stop_tracking(self, key: BuildKey) -> None:
        """Ask no more about a build that its system has lost: nobody is told, its live cards stay as they are."""
        async with self._write() as db:
            await self._own(db, {key.connection})
            for statement in (
                update(BuildRow).where(*of_build(BuildRow, key)).values(completed=True),
                delete(CardRow).where(*of_build(CardRow, key), col(CardRow.live).is_(True)),
                delete(WatchRow).where(*of_build(WatchRow, key)),
            ):
                await db.exec(statement.execution_options(synchronize_session=False))

    async def _has_news(self, builds: Sequence[Build]) -> bool:
        async with self._read() as db:
            rows = await _rows(db, {build.key for build in builds})
        for build in builds:
            row = rows.get(build.key)
            if row is None:
                return True
            if (row.completed != build.completed or row.data != pack(build)) and step(build, _known(row, {})):
                return True
        return False

    async def _entries(self, db: AsyncSession, builds: Sequence[Build], now: datetime) -> list[_Entry]:
        rows = await _rows(db, {build.key for build in builds})
        ends = await _last_ends(db, rows.values())
        entries = []
        for build in sorted(builds, key=lambda build: _ended_at(build, now, first_seen=build.key not in rows)):
            old = rows.get(build.key)
            known = _known(old, ends)
            taken = step(build, known)
            if taken is None:
                continue
            row = rows[build.key] = _row(taken, old, now)
            if taken.build.completed:
                ends[build.key] = _ended_at(taken.build, now, first_seen=known is None)
            entries.append(_Entry(step=taken, known=known, row=row))
        return entries

    async def _end_attempts(
        self, db: AsyncSession, entries: Iterable[_Entry], now: datetime, counts_after: timedelta | None
    ) -> dict[tuple[BuildKey, int], AttemptRow]:
        """Write the attempts that have ended, and return those that are news."""
        rows = {
            (entry.step.build.key, entry.step.attempt_no): _attempt_row(entry, now, counts_after)
            for entry in entries
            if entry.ends
        }
        finished = {}
        for number, connection, pipeline, build, count in await self._put(db, ADD_ATTEMPT, list(rows.values())):
            place = (BuildKey(connection=connection, pipeline=pipeline, id=build), count)
            row = rows[place]
            row.id = number
            # A build so old may have been told of and forgotten since.
            if row.completed_at > now - timedelta(days=KEEP_DAYS):
                finished[place] = row
        return finished

    async def _correct_attempts(self, db: AsyncSession, entries: Iterable[_Entry]) -> None:
        """Write what a system says otherwise about an attempt that had ended already."""
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
            await (await db.connection()).execute(CORRECT_ATTEMPT, corrections)


def of_build(
    row: type[BuildRow | AttemptRow | NotificationRow | CardRow | WatchRow], key: BuildKey
) -> tuple[ColumnElement[bool], ...]:
    """Return the conditions that a row is about a build."""
    return (col(row.connection) == key.connection, col(row.pipeline) == key.pipeline, col(row.build) == key.id)


def _about(
    db: AsyncSession, row: type[BuildRow | NotificationRow | CardRow], keys: Iterable[BuildKey]
) -> ColumnElement[bool]:
    """Return the condition that a row is about one of some builds."""
    columns = (col(row.connection), col(row.pipeline), col(row.build))
    return among(db, columns, [(key.connection, key.pipeline, key.id) for key in keys])


async def redraw_cards(db: AsyncSession, key: BuildKey, count: int, now: datetime) -> None:
    """Make the cards of an attempt due."""
    cards = update(CardRow).where(*of_build(CardRow, key), col(CardRow.attempt_no) == count).values(edit_due_at=now)
    await db.exec(cards.execution_options(synchronize_session=False))


async def release_waiting(db: AsyncSession, key: BuildKey, count: int, now: datetime) -> None:
    """Make due the notifications that waited for counts; one that was refused before keeps its own time."""
    await db.exec(
        update(NotificationRow)
        .where(
            *of_build(NotificationRow, key),
            col(NotificationRow.attempt_no) == count,
            col(NotificationRow.state) == "pending",
            col(NotificationRow.tries) == 0,
            col(NotificationRow.due_at) > now,
        )
        .values(due_at=now)
        .execution_options(synchronize_session=False)
    )


def _known(row: BuildRow | None, ends: dict[BuildKey, datetime]) -> Known | None:
    if row is None:
        return None
    build = unpack(row.data)
    return Known(build=build, attempt_no=row.attempt_no, ended=row.completed, last_end=ends.get(build.key))


def _row(taken: Step, old: BuildRow | None, now: datetime) -> BuildRow:
    build = taken.build
    return BuildRow(
        id=old.id if old else None,
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
    )


def _attempt_row(entry: _Entry, now: datetime, counts_after: timedelta | None) -> AttemptRow:
    build = entry.step.build
    author = build.author
    is_red = build.conclusion is not None and build.conclusion.is_red
    return AttemptRow(
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
        counts_due_at=None if counts_after is None or (build.issues.known and not is_red) else now + counts_after,
        seconds=build.seconds,
        completed_at=_ended_at(build, now, first_seen=entry.known is None),
        seen_at=now,
    )


def _ended_at(build: Build, now: datetime, *, first_seen: bool) -> datetime:
    """Return when a build ended as well as is known; one that still runs comes after all that ended.

    Lists without an end say when a build changed last. A build met for the first time at its end, and without even
    that, may have ended long ago: when it began is the safer guess, so that nothing old is told as new.
    """
    if not build.completed:
        return now
    told = build.completed_at or build.updated_at
    if told is None and first_seen:
        told = build.started_at or build.created_at
    return min(told, now) if told else now


def _recorded(entry: _Entry, finished: dict[tuple[BuildKey, int], AttemptRow]) -> Recorded:
    taken, known = entry.step, entry.known
    was_waiting = known is not None and known.build.waiting and known.attempt_no == taken.attempt_no
    return Recorded(
        build=taken.build,
        row=entry.row,
        before=known.build if known else None,
        first_seen=known is None,
        attempt_no=taken.attempt_no,
        finished=finished.get((taken.build.key, taken.attempt_no)) if entry.ends else None,
        reopened=taken.reopened,
        blocked=taken.build.waiting and not was_waiting,
    )


async def _rows(db: AsyncSession, keys: Iterable[BuildKey]) -> dict[BuildKey, BuildRow]:
    rows: dict[BuildKey, BuildRow] = {}
    for row in await db.exec(select(BuildRow).where(_about(db, BuildRow, keys))):
        rows[BuildKey(connection=row.connection, pipeline=row.pipeline, id=row.build)] = row
    db.expunge_all()
    return rows


async def _last_ends(db: AsyncSession, rows: Iterable[BuildRow]) -> dict[BuildKey, datetime]:
    """Return when the builds that run again ended the last time."""
    again = [(row.connection, row.pipeline, row.build) for row in rows if row.attempt_no > 1 and not row.completed]
    if not again:
        return {}
    columns = (col(AttemptRow.connection), col(AttemptRow.pipeline), col(AttemptRow.build))
    asked = select(*columns, func.max(AttemptRow.completed_at)).where(among(db, columns, again)).group_by(*columns)
    return {
        BuildKey(connection=connection, pipeline=pipeline, id=build): ended_at
        for connection, pipeline, build, ended_at in await db.exec(asked)
    }


async def _wake_cards(db: AsyncSession, entries: Sequence[_Entry], now: datetime) -> None:
    """Make the cards of changed builds due: at once for an end, else not more often than they may be edited."""
    last = {entry.step.build.key: entry.step for entry in entries}
    due = []
    for card in await db.exec(select(CardRow).where(_about(db, CardRow, last)).order_by(col(CardRow.id))):
        taken = last[BuildKey(connection=card.connection, pipeline=card.pipeline, id=card.build)]
        if not card.live and card.attempt_no != taken.attempt_no:
            continue
        soon = now if taken.build.completed or not card.edited_at else max(now, card.edited_at + CARD_PAUSE)
        if card.edit_due_at is None or card.edit_due_at == card.lease_until or soon < card.edit_due_at:
            due.append({"of_id": card.id, "to_due": soon})
    if due:
        await (await db.connection()).execute(DUE_CARD, due)


async def mark_moved(db: AsyncSession, keys: Iterable[BuildKey]) -> None:
    """Mark notifications that are being posted now: they were drawn before this change, so their cards need another look."""
    posting = update(NotificationRow).where(_about(db, NotificationRow, keys), col(NotificationRow.state) == "leased")
    await db.exec(posting.values(moved=True).execution_options(synchronize_session=False))


async def _with_context(db: AsyncSession, recorded: Sequence[Recorded]) -> list[Recorded]:
    """Return the records with links, watches, mutes and, for an end, the results before it."""
    links: dict[tuple[str, str], list[LinkRow]] = {}
    watches: dict[tuple[str, str], list[WatchRow]] = {}
    mutes: dict[tuple[str, str], list[MuteRow]] = {}
    pipelines = {(item.build.connection, item.build.pipeline) for item in recorded}
    builds = {item.build.id for item in recorded}
    followed = among(db, (col(LinkRow.connection), col(LinkRow.pipeline)), pipelines)
    watched = among(db, (col(WatchRow.connection), col(WatchRow.pipeline)), pipelines)
    for link in await db.exec(select(LinkRow).where(followed).order_by(col(LinkRow.id))):
        links.setdefault((link.connection, link.pipeline), []).append(link)
    for watch in await db.exec(select(WatchRow).where(watched).order_by(col(WatchRow.id))):
        if not watch.build or watch.build in builds:
            watches.setdefault((watch.connection, watch.pipeline), []).append(watch)
    channels = {(link.team, link.channel) for rows in links.values() for link in rows}
    channels |= {(watch.team, watch.channel) for rows in watches.values() for watch in rows}
    muted = among(db, (col(MuteRow.team), col(MuteRow.channel)), channels)
    if channels:
        for mute in await db.exec(select(MuteRow).where(muted).order_by(col(MuteRow.id))):
            mutes.setdefault((mute.team, mute.channel), []).append(mute)
    whole = []
    for item in recorded:
        pipeline = (item.build.connection, item.build.pipeline)
        mine = tuple(links.get(pipeline, ()))
        theirs = tuple(watch for watch in watches.get(pipeline, ()) if watch.build in {"", item.build.id})
        concerned = dict.fromkeys([(link.team, link.channel) for link in mine])
        concerned |= dict.fromkeys([(watch.team, watch.channel) for watch in theirs])
        whole.append(
            replace(
                item,
                history=await _history(db, item.build, item.finished) if item.finished else (),
                links=mine,
                watches=theirs,
                mutes=tuple(mute for channel in concerned for mute in mutes.get(channel, ())),
            )
        )
    return whole


async def _history(db: AsyncSession, build: Build, finished: AttemptRow) -> tuple[AttemptRow, ...]:
    """Return the results before an attempt on its branch; a pull request without any compares with its target."""
    branches = [finished.branch]
    if build.pull_request and build.target_branch and build.target_branch != finished.branch:
        branches.append(build.target_branch)
    for branch in branches:
        asked = (
            select(AttemptRow)
            .where(
                AttemptRow.connection == finished.connection,
                AttemptRow.pipeline == finished.pipeline,
                AttemptRow.branch == branch,
                col(AttemptRow.completed_at) <= finished.completed_at,
                or_(col(AttemptRow.completed_at) < finished.completed_at, col(AttemptRow.id) < finished.id),
                col(AttemptRow.conclusion).not_in(NO_RESULT),
            )
            .order_by(col(AttemptRow.completed_at).desc(), col(AttemptRow.id).desc())
            .limit(HISTORY)
        )
        rows = tuple(await db.exec(asked))
        if rows:
            return rows
    return ()
