"""Persist polled builds and their attempts, and return each change with the context that decisions need."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, bindparam, delete, update
from sqlmodel import col, func, select
from sqlmodel.ext.asyncio.session import AsyncSession

from bot.core.models import NO_RESULT, Build, BuildKey, Ref, RefKind
from bot.store.database import Repository, among, found, put, table
from bot.store.steps import Known, Step, pack, pack_counts, restart, step, unpack
from bot.store.tables import (
    AttemptRow,
    BuildRow,
    CardNoteRow,
    CardRow,
    LinkRow,
    MuteRow,
    NoteKind,
    NotificationEvent,
    NotificationRow,
    NotificationState,
    WatchRow,
)
from bot.store.times import attempt_seconds, began_at

KEEP_DAYS = 180
HISTORY = 60
LONGEST_HISTORY = 960
NEWER = 40
CARD_PAUSE = timedelta(seconds=15)

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
    """The change that one poll found in a build, with the context that decisions need.

    `build` is the polled build with what was known before filled in. `finished` is the attempt whose end this is.
    `history` holds the results of its ref, those of newer builds and of its own earlier attempts among them, and
    `target_history` those of the branch that a pull request goes to. `blocked` says that an approval has just opened,
    the `turn`-th of its attempt. `corrected` is the attempt where its end had been written with another conclusion.
    `needs_history` says that the store knows no earlier build of the ref, but the CI system may.
    """

    build: Build
    row: BuildRow
    before: Build | None
    first_seen: bool
    attempt_no: int
    finished: AttemptRow | None
    reopened: bool
    blocked: bool
    turn: int = 1
    corrected: AttemptRow | None = None
    history: tuple[AttemptRow, ...] = ()
    target_history: tuple[AttemptRow, ...] = ()
    needs_history: bool = False
    links: tuple[LinkRow, ...] = ()
    watches: tuple[WatchRow, ...] = ()
    mutes: tuple[MuteRow, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Entry:
    """One step that is to be written."""

    step: Step
    known: Known | None
    row: BuildRow

    @property
    def ends(self) -> bool:
        """Whether this poll is the first to show the end of its attempt."""
        if not self.step.build.completed:
            return False
        return self.known is None or not self.known.ended or self.known.attempt_no != self.step.attempt_no


class Recording(Repository):
    """Builds and attempts as the poller writes them."""

    async def has_news(self, builds: Sequence[Build]) -> bool:
        """Return whether `record` would write anything. Costs one question and no transaction that writes."""
        if not builds:
            return False
        async with self._read() as db:
            rows = await _rows(db, {build.key for build in builds})
        for build in builds:
            row = rows.get(build.key)
            if row is None:
                return True
            if (row.completed != build.completed or row.data != pack(build)) and step(build, _known(row, {})):
                return True
        return False

    async def record(
        self,
        builds: Sequence[Build],
        *,
        now: datetime,
        counts_after: timedelta | None = None,
        asks_history: bool = False,
    ) -> list[Recorded]:
        """Write polled builds and return what was new, oldest end first.

        A build that is older than what is known is left out. An attempt that ends without issue counts, or red, is
        due for its details after `counts_after`, if ever; with `asks_history` so is one whose ref has no history yet.
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
            for entry in entries:
                entry.row.id = ids[entry.step.build.key]
            finished = await self._end_attempts(db, entries, now, counts_after)
            corrected = await self._correct_attempts(db, entries)
            await _wake_cards(db, entries, now)
            await mark_moved(db, {entry.step.build.key for entry in entries})
            recorded = await _with_context(db, [_recorded(entry, finished, corrected) for entry in entries])
            return await _due_for_history(db, recorded, now) if asks_history else recorded

    async def record_start(
        self,
        build: Build,
        *,
        team: str,
        channel: str,
        user: str,
        notifications: Sequence[NotificationRow],
        watches: Sequence[WatchRow],
        now: datetime,
        before: Build | None = None,
        after_attempt: int | None = None,
    ) -> BuildRow:
        """Write a build that a person started here, with its notifications and watches, and return its row.

        The notifications get the build's attempt number here. `after_attempt` says that an ended build runs again, and
        which attempt it was: a new one begins, even if the system still shows the old end, and even if nobody has seen
        that end here; `before` is the build as it had ended then. The end of what begins is never written here, however
        fast it came: `record` does that when it sees the build the next time.
        """
        async with self._write() as db:
            await self._own(db, {build.connection})
            rows = await _rows(db, [build.key])
            old = rows.get(build.key)
            ends = await _last_ends(db, rows.values())
            known = _known(old, ends)
            had_ended = (before is not None and before.completed) or (known is not None and known.ended)
            if after_attempt is not None and had_ended:
                await self._end_unseen(db, before, known, after_attempt, now)
                taken = restart(build, known, after_attempt=after_attempt)
            else:
                taken = step(build, known)
            last_end = before.completed_at if before is not None else None
            row = _row(taken, old, now, last_end or ends.get(build.key)) if taken else found(old, "The build")
            row.completed = known is not None and known.ended and known.attempt_no == row.attempt_no
            row.started_by, row.started_team, row.started_channel = user, team, channel
            row.id = (await self._put(db, PUT_BUILD, [row]))[0][0]
            await self._put(db, ADD_WATCH, watches)
            for notification in notifications:
                notification.attempt_no = row.attempt_no
            await self._put(db, ADD_NOTIFICATION, notifications)
            cards = update(CardRow).where(*of_build(CardRow, build.key)).values(edit_due_at=now)
            await db.exec(cards.execution_options(synchronize_session=False))
        return row

    async def _end_unseen(
        self, db: AsyncSession, before: Build | None, known: Known | None, attempt_no: int, now: datetime
    ) -> None:
        """Write the end of an attempt that nobody has seen here: it was retried before a poll came by."""
        if (
            before is None
            or not before.completed
            or (known is not None and (known.ended or known.attempt_no > attempt_no))
        ):
            return
        old = (await _rows(db, [before.key])).get(before.key)
        whole = step(before, known) or Step(build=before, attempt_no=attempt_no)
        taken = replace(whole, attempt_no=attempt_no)
        entry = _Entry(step=taken, known=known, row=_row(taken, old, now, None))
        await self._end_attempts(db, [entry], now, None)

    async def stop_tracking(self, key: BuildKey) -> None:
        """Stop tracking a build that the provider no longer has: its cards lose their buttons and say so."""
        now = self._clock()
        async with self._write() as db:
            await self._own(db, {key.connection})
            await _note_replaced(db, key, "The CI system no longer has this build", now)
            for statement in (
                update(BuildRow).where(*of_build(BuildRow, key)).values(completed=True),
                delete(WatchRow).where(*of_build(WatchRow, key)),
            ):
                await db.exec(statement.execution_options(synchronize_session=False))

    async def replace(self, key: BuildKey, *, text: str, url: str = "", now: datetime) -> None:
        """Take the buttons from all cards of a build, and say on them what stands in its place ("Rebuilt as #413").

        `url` is the page of what replaced it.
        """
        async with self._write() as db:
            await _note_replaced(db, key, text, now, url=url)

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
            row = rows[build.key] = _row(taken, old, now, ends.get(build.key))
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
        await _place_by_commit(db, list(rows.values()))
        finished = {}
        for number, connection, pipeline, build, count in await self._put(db, ADD_ATTEMPT, list(rows.values())):
            place = (BuildKey(connection=connection, pipeline=pipeline, id=build), count)
            row = rows[place]
            row.id = number
            # A build so old may have been notified of and forgotten since.
            if row.completed_at > now - timedelta(days=KEEP_DAYS):
                finished[place] = row
        return finished

    async def _correct_attempts(
        self, db: AsyncSession, entries: Sequence[_Entry]
    ) -> dict[tuple[BuildKey, int], AttemptRow]:
        """Write corrections of attempts that had ended already, and return those whose conclusion is another now."""
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
        changed: dict[tuple[BuildKey, int], AttemptRow] = {}
        for entry in entries:
            if entry.ends or entry.known is None or not entry.step.build.completed:
                continue
            if entry.known.build.conclusion is entry.step.build.conclusion:
                continue
            key, attempt_no = entry.step.build.key, entry.step.attempt_no
            asked = select(AttemptRow).where(*of_build(AttemptRow, key), AttemptRow.attempt_no == attempt_no)
            row = (await db.exec(asked)).first()
            if row is not None:
                changed[key, attempt_no] = row
        return changed


def of_build(
    row: type[BuildRow | AttemptRow | NotificationRow | CardRow | CardNoteRow | WatchRow], key: BuildKey
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


async def _note_replaced(db: AsyncSession, key: BuildKey, text: str, now: datetime, *, url: str = "") -> None:
    """Write on all cards of a build that something else stands in its place, and have them drawn anew."""
    places = select(CardRow.team, CardRow.attempt_no).where(*of_build(CardRow, key)).distinct()
    for team, attempt_no in list(await db.exec(places)):
        db.add(
            CardNoteRow(
                team=team,
                connection=key.connection,
                pipeline=key.pipeline,
                build=key.id,
                attempt_no=attempt_no,
                kind=NoteKind.REPLACED.value,
                text=text,
                url=url,
                at=now,
            )
        )
    due = update(CardRow).where(*of_build(CardRow, key)).values(edit_due_at=now)
    await db.exec(due.execution_options(synchronize_session=False))


async def release_waiting(db: AsyncSession, key: BuildKey, count: int, now: datetime) -> None:
    """Make due the notifications that waited for counts; one that was refused before keeps its own time."""
    await db.exec(
        update(NotificationRow)
        .where(
            *of_build(NotificationRow, key),
            col(NotificationRow.attempt_no) == count,
            col(NotificationRow.state) == NotificationState.PENDING.value,
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


def _row(taken: Step, old: BuildRow | None, now: datetime, last_end: datetime | None) -> BuildRow:
    build = taken.build
    same = old is not None and old.attempt_no == taken.attempt_no
    if old is not None and old.completed and not same:
        last_end = last_end or old.completed_at or old.seen_at
    waiting_since = old.waiting_since if old is not None and same else None
    approval_seconds = old.approval_seconds if old is not None and same else 0.0
    if waiting_since is not None and not build.waiting:
        until = min(build.completed_at or now, now)
        approval_seconds += max((until - waiting_since) / timedelta(seconds=1), 0.0)
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
        built_at=build.created_at or (old.built_at if old else None) or _built_at(build, now),
        began_at=(old.began_at if old is not None and same else None)
        or began_at(build, attempt_no=taken.attempt_no, last_end=last_end, now=now),
        waiting_since=(waiting_since or now) if build.waiting else None,
        approval_seconds=approval_seconds,
    )


def _built_at(build: Build, now: datetime) -> datetime:
    """Return when a build without a creation time was created, as well as is known."""
    return build.started_at or build.completed_at or build.updated_at or now


def _attempt_row(entry: _Entry, now: datetime, counts_after: timedelta | None) -> AttemptRow:
    build = entry.step.build
    author = build.author
    is_red = build.conclusion is not None and build.conclusion.is_red
    ref = build.history_ref
    built_at = entry.row.built_at or _built_at(build, now)
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
        seconds=attempt_seconds(build, entry.row.began_at, entry.row.approval_seconds),
        completed_at=_ended_at(build, now, first_seen=entry.known is None),
        seen_at=now,
        ref_kind=ref.kind.value if ref else "",
        ref_name=ref.name if ref else "",
        commit_at=built_at,
        built_at=built_at,
        approval_seconds=entry.row.approval_seconds,
    )


async def _place_by_commit(db: AsyncSession, rows: Sequence[AttemptRow]) -> None:
    """Give attempts the time when their ref first built their commit, and correct attempts that were given a later one."""
    for row in rows:
        if not row.ref_kind or not row.commit_sha:
            continue
        same = (*_of_ref(row, RefKind(row.ref_kind), row.ref_name), col(AttemptRow.commit_sha) == row.commit_sha)
        first = (await db.exec(select(func.min(AttemptRow.commit_at)).where(*same))).one()
        mates = [mate.built_at for mate in rows if _is_same_commit(mate, row) and mate.built_at is not None]
        times = [*mates, *([first] if first is not None else [])]
        row.commit_at = min(times)
        if first is not None and first > row.commit_at:
            moved = update(AttemptRow).where(*same, col(AttemptRow.commit_at) > row.commit_at)
            await db.exec(moved.values(commit_at=row.commit_at).execution_options(synchronize_session=False))


def _is_same_commit(row: AttemptRow, other: AttemptRow) -> bool:
    names = ("connection", "pipeline", "ref_kind", "ref_name", "commit_sha")
    return all(getattr(row, name) == getattr(other, name) for name in names)


def _of_ref(row: AttemptRow, kind: RefKind, name: str) -> tuple[ColumnElement[bool], ...]:
    """Return the conditions that an attempt belongs to the history of a ref of the same pipeline."""
    return (
        col(AttemptRow.connection) == row.connection,
        col(AttemptRow.pipeline) == row.pipeline,
        col(AttemptRow.ref_kind) == kind.value,
        col(AttemptRow.ref_name) == name,
    )


def _ended_at(build: Build, now: datetime, *, first_seen: bool) -> datetime:
    """Return when a build ended as well as is known; one that still runs comes after all that ended.

    Lists without an end say when a build changed last. A build met for the first time at its end, and without even
    that, may have ended long ago: when it began is the safer guess, so that nothing old is posted as new.
    """
    if not build.completed:
        return now
    told = build.completed_at or build.updated_at
    if told is None and first_seen:
        told = build.started_at or build.created_at
    return min(told, now) if told else now


Ends = Mapping[tuple[BuildKey, int], AttemptRow]


def _recorded(entry: _Entry, finished: Ends, corrected: Ends) -> Recorded:
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
        corrected=corrected.get((taken.build.key, taken.attempt_no)),
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
    """Mark notifications that are being posted now: they were drawn before this change, so their cards are drawn again."""
    posting = update(NotificationRow).where(
        _about(db, NotificationRow, keys), col(NotificationRow.state) == NotificationState.LEASED.value
    )
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
        end = item.finished or item.corrected
        history, target_history = await _histories(db, item.build, end) if end else ((), ())
        whole.append(
            replace(
                item,
                turn=await _turn(db, item) if item.blocked else 1,
                history=history,
                target_history=target_history,
                links=mine,
                watches=theirs,
                mutes=tuple(mute for channel in concerned for mute in mutes.get(channel, ())),
            )
        )
    return whole


async def _turn(db: AsyncSession, item: Recorded) -> int:
    """Return how many approvals of an attempt there have been with the one that has just opened."""
    asked = select(func.max(NotificationRow.turn)).where(
        *of_build(NotificationRow, item.build.key),
        col(NotificationRow.attempt_no) == item.attempt_no,
        col(NotificationRow.event) == NotificationEvent.BLOCKED.value,
    )
    return ((await db.exec(asked)).one() or 0) + 1


Rows = tuple[AttemptRow, ...]


async def _histories(db: AsyncSession, build: Build, finished: AttemptRow) -> tuple[Rows, Rows]:
    """Return the results of an attempt's ref, and of the branch a pull request without earlier builds goes to."""
    ref = build.history_ref
    if ref is None:
        return (), ()
    before = await _before(db, finished, ref)
    others = [row for row in before if row.build != finished.build]
    after = await _after(db, finished, ref)
    target: Rows = ()
    if ref.kind is RefKind.PULL_REQUEST and build.target_branch and not others:
        target = await _before(db, finished, Ref(kind=RefKind.BRANCH, name=build.target_branch))
    return (*before, *after), target


async def _before(db: AsyncSession, finished: AttemptRow, ref: Ref) -> Rows:
    """Return the results up to an attempt's commit, the newest first; as many as it takes to see the end of a red streak."""
    limit = HISTORY
    while True:
        asked = (
            select(AttemptRow)
            .where(
                *_of_ref(finished, ref.kind, ref.name),
                col(AttemptRow.commit_at) <= finished.commit_at,
                col(AttemptRow.conclusion).not_in(NO_RESULT),
                col(AttemptRow.id) != finished.id,
            )
            .order_by(col(AttemptRow.commit_at).desc(), col(AttemptRow.built_at).desc(), col(AttemptRow.number).desc())
            .limit(limit)
        )
        rows = tuple(await db.exec(asked))
        if len(rows) < limit or limit >= LONGEST_HISTORY or any(row.conclusion == "passed" for row in rows):
            return rows
        limit *= 4


async def _after(db: AsyncSession, finished: AttemptRow, ref: Ref) -> Rows:
    """Return the results of newer commits than an attempt's, the oldest first."""
    asked = (
        select(AttemptRow)
        .where(
            *_of_ref(finished, ref.kind, ref.name),
            col(AttemptRow.commit_at) > finished.commit_at,
            col(AttemptRow.conclusion).not_in(NO_RESULT),
        )
        .order_by(col(AttemptRow.commit_at), col(AttemptRow.built_at), col(AttemptRow.number))
        .limit(NEWER)
    )
    return tuple(await db.exec(asked))


async def _due_for_history(db: AsyncSession, recorded: Sequence[Recorded], now: datetime) -> list[Recorded]:
    """Make attempts due for their details whose ref has no earlier build in the store."""
    marked = []
    for item in recorded:
        row = item.finished
        lacks = row is not None and bool(row.ref_kind) and not any(other.build != row.build for other in item.history)
        if row is not None and lacks and row.conclusion not in NO_RESULT:
            due = update(AttemptRow).where(col(AttemptRow.id) == row.id).values(counts_due_at=now)
            await db.exec(due.execution_options(synchronize_session=False))
            row.counts_due_at = now
            marked.append(replace(item, needs_history=True))
        else:
            marked.append(item)
    return marked
