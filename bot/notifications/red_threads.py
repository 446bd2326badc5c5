"""One thread for each red branch: what goes into it, what reaches the channel, and when the time is over. Pure.

A ref is red in a channel from its first red post to the first green build after it. Further failures go into the thread
of that post (the root), so does a fix that the channel's filter leaves out.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import takewhile

from bot.blocks.notification import NEW_BREAKAGE, green_again, red_again, red_standing
from bot.blocks.text import Markup
from bot.core.models import NO_RESULT, Build, BuildKey, Change, Ref, RefKind, Transition
from bot.notifications.decisions import BEFORE_LINKED, NOT_YOURS
from bot.notifications.filters import Filter, filter_of, judge
from bot.notifications.notification import Event, Extra, Verdict
from bot.notifications.quiet_hours import muted
from bot.notifications.transitions import PastAttempt, compare, results_of
from bot.store import Recorded
from bot.store.rows import LinkRow, NewNotification, NewRedBranch, RedBranchRow
from bot.store.states import NotificationState

IN_CHANNEL = (NotificationState.PENDING, NotificationState.HELD)
"""A decision that brings a notification to the channel, now or later."""

Place = tuple[str, str, str, str, str, str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class RefOf:
    """A ref of a pipeline."""

    connection: str
    pipeline: str
    ref: Ref


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The notifications as they are to be written, and the red times that are new or changed."""

    rows: tuple[NewNotification, ...]
    red: tuple[NewRedBranch, ...] = ()


def refs_of(recorded: Iterable[Recorded]) -> list[RefOf]:
    """Return the refs whose ends may concern a red time: those of links that have one thread for each red branch."""
    refs: dict[RefOf, None] = {}
    for item in recorded:
        ref = item.build.history_ref
        if item.finished is None or ref is None or item.build.conclusion in NO_RESULT:
            continue
        if any(filter_of(link).has_branch_thread for link in item.links):
            refs[RefOf(connection=item.build.connection, pipeline=item.build.pipeline, ref=ref)] = None
    return list(refs)


def plan(
    recorded: Sequence[Recorded], rows: Sequence[NewNotification], open_rows: Sequence[RedBranchRow], now: datetime
) -> Plan:
    """Return where the notifications of some ends go, given the red times that are open."""
    state: dict[Place, NewRedBranch] = {_place(row): row for row in open_rows}
    changed: dict[tuple[Place, str], NewRedBranch] = {}
    items = {(item.build.key, item.attempt_no): item for item in recorded if item.finished is not None}
    planned: list[NewNotification] = []
    for row in sorted(rows, key=lambda row: (row.ordered_at or row.created_at, row.number or 0)):
        key = BuildKey(connection=row.connection, pipeline=row.pipeline, id=row.build)
        item = items.get((key, row.attempt_no))
        link = next((link for link in item.links if link.id == row.link), None) if item is not None else None
        if item is None or link is None or row.event != Event.FINISHED:
            planned.append(row)
            continue
        written, red = _step(row, item, link, state, now)
        planned.append(written)
        if red is not None:
            state[_place(red)] = red
            changed[_place(red), red.build] = red
            if red.closed_at is not None:
                del state[_place(red)]
    return Plan(rows=tuple(planned), red=tuple(changed.values()))


def mended(rows: Sequence[RedBranchRow], history: Sequence[PastAttempt], now: datetime) -> list[RedBranchRow]:
    """Return the red times of a ref that are other ones after a correction of its whole `history`.

    One that was opened by a failure that was none is over, or goes on with the failures in its thread. One that was ended
    by a pass that was none is open again; of two that are one streak the first goes on.
    """
    results = [result for result in results_of(history) if result.conclusion is not None]
    red = list(takewhile(lambda result: result.is_red, results))
    places: dict[Place, list[RedBranchRow]] = {}
    for row in sorted(rows, key=lambda row: row.id):
        places.setdefault(_place(row), []).append(row)
    changed: list[RedBranchRow] = []
    for group in places.values():
        current = _current(group, red)
        for row in group:
            then = _open_again(row, red, now) if row is current else _ended(row, results, red, history, now)
            changed += [then] if then != row else []
    return changed


def _current(rows: Sequence[RedBranchRow], red: Sequence[PastAttempt]) -> RedBranchRow | None:
    """Return the red time that is open while the newest builds of its ref are `red`: one whose thread there is already."""
    builds = [result.build for result in reversed(red)]
    mine = sorted((row for row in rows if row.build in builds), key=lambda row: builds.index(row.build))
    open_rows = [row for row in rows if row.closed_at is None]
    return next(iter((*mine, *open_rows)), None) if red else None


def _open_again(row: RedBranchRow, red: Sequence[PastAttempt], now: datetime) -> RedBranchRow:
    first = red[-1].number if red[-1].number is not None else row.since
    going_on = replace(row, streak=len(red), since=first)
    if row.closed_at is None:
        return going_on
    escalate_at = now + timedelta(minutes=row.escalate_minutes) if row.escalate_minutes else None
    return replace(going_on, closed_at=None, closed_by=None, red_seconds=None, escalate_at=escalate_at)


def _ended(
    row: RedBranchRow,
    results: Sequence[PastAttempt],
    red: Sequence[PastAttempt],
    history: Sequence[PastAttempt],
    now: datetime,
) -> RedBranchRow:
    """Return a red time that is over: with the pass that ended it, without one where it never was or is part of another."""
    root = next((past for past in history if past.build == row.build), None)
    if root is None:  # it is older than what is known
        return row
    never_was = not any(past.is_red for past in history if (past.build, past.attempt_no) == (row.build, row.attempt_no))
    later = [result for result in reversed(results) if result.position >= root.position]
    failures = [index for index, result in enumerate(later) if result.is_red]
    first = 0 if not failures or row.closed_at is not None else failures[-1]
    green = next((result for result in later[first:] if not result.is_red), None)
    if green is None or any(result.build == row.build for result in red) or (never_was and not failures):
        return replace(row, closed_at=row.closed_at or now, closed_by=None, red_seconds=None, escalate_at=None)
    return replace(
        row,
        closed_at=green.completed_at,
        closed_by=green.number,
        red_seconds=compare(green, history).red_seconds,
        escalate_at=None,
    )


def _step(
    row: NewNotification, item: Recorded, link: LinkRow, state: Mapping[Place, NewRedBranch], now: datetime
) -> tuple[NewNotification, NewRedBranch | None]:
    """Return one notification as it is to be written, and the red time that it opens, goes on with or ends."""
    build, link_filter, ref = item.build, filter_of(link), item.build.history_ref
    transition = Extra.of(row.extra).transition
    if ref is None or not link_filter.has_branch_thread or build.conclusion in NO_RESULT or transition.is_outdated:
        return row, None
    place = (row.team, row.channel, row.connection, row.pipeline, ref.kind.value, ref.name, ref.job or "")
    red = state.get(place)
    ended_at = row.ordered_at or now
    if build.conclusion is None:  # neither red nor green
        return row, None
    if not build.conclusion.is_red:
        if red is None:
            return row, None
        closed = replace(
            red,
            closed_at=ended_at,
            closed_by=build.number,
            red_seconds=transition.red_seconds,
            escalate_at=None,
        )
        return _into_thread(row, item, link, now) if row.state not in IN_CHANNEL else row, closed
    if red is None:
        return row, _opened(row, ref, link_filter, transition) if _is_root(row) else None
    further = replace(red, streak=red_streak(transition), since=transition.red_since or red.since)
    return _into_thread(row, item, link, now), further


def _is_root(row: NewNotification) -> bool:
    return row.state in IN_CHANNEL and not row.thread


def red_streak(transition: Transition) -> int:
    """Return how many red builds in a row there are with this one."""
    return max(transition.streak, 1) if transition.change is Change.STILL_FAILING else 1


def _opened(row: NewNotification, ref: Ref, link_filter: Filter, transition: Transition) -> NewRedBranch:
    pause = timedelta(minutes=link_filter.escalate_minutes)
    return NewRedBranch(
        team=row.team,
        channel=row.channel,
        link=row.link,
        connection=row.connection,
        pipeline=row.pipeline,
        ref_kind=ref.kind.value,
        ref_name=ref.name,
        ref_job=ref.job or "",
        build=row.build,
        attempt_no=row.attempt_no,
        streak=red_streak(transition),
        since=transition.red_since,
        opened_at=row.ordered_at or row.created_at,
        escalate_minutes=link_filter.escalate_minutes,
        escalate_to=link_filter.escalate_to,
        escalate_at=(row.ordered_at or row.created_at) + pause if link_filter.escalate_minutes else None,
    )


def _into_thread(row: NewNotification, item: Recorded, link: LinkRow, now: datetime) -> NewNotification:
    """Return a notification as one that goes into the thread; one that the link wants in no way stays silent.

    What somebody asked for (it has a `user`) goes where they asked.
    """
    if row.user:
        return row
    extra = replace(Extra.of(row.extra), in_thread=True)
    if row.state in IN_CHANNEL:
        return replace(row, extra=extra.as_json())
    quiet = muted(item.mutes, link, link.channel, now)
    if quiet or row.reason in {BEFORE_LINKED, NOT_YOURS} or not _wants_in_thread(item, link):
        return row
    return replace(
        row,
        state=NotificationState.PENDING,
        reason="this channel has one thread for each red branch",
        extra=replace(extra, undecided=False).as_json(),
    )


def _wants_in_thread(item: Recorded, link: LinkRow) -> bool:
    """Return whether a link whose events leave an end out wants it by its other conditions: branch, trigger, people."""
    conditions = replace(filter_of(link), preset="all", events=(), min_streak=0, min_delta=())
    trial = replace(link, filters=conditions.words())
    decision = judge(item.build, Extra().transition, trial, Event.FINISHED, started_by=item.row.started_by)
    return decision.verdict is Verdict.POST


def standing(extra: Extra, red: RedBranchRow | None, build: Build) -> Markup | str:
    """Return what ends line 2 of a card: what has become of the red branch whose thread hangs on it."""
    if extra.is_new_breakage:
        return NEW_BREAKAGE
    if red is None:
        return ""
    is_red = build.conclusion is not None and build.conclusion.is_red
    if red.closed_at is not None:
        is_fixed = is_red and (red.closed_by is not None or red.red_seconds is not None)
        return green_again(red.closed_by, red.red_seconds) if is_fixed else ""
    own = extra.transition.red_since if is_red else None
    if red.since is not None and red.since != (build.number if own is None and is_red else own):
        return red_again(red.streak, red.since)
    return red_standing(red.streak, red.since) if red.streak > red_streak(extra.transition) else ""


def _place(row: NewRedBranch) -> Place:
    return row.team, row.channel, row.connection, row.pipeline, row.ref_kind, row.ref_name, row.ref_job


def ref_of(row: NewRedBranch) -> Ref:
    """Return the ref of a red time."""
    return Ref(kind=RefKind(row.ref_kind), name=row.ref_name, job=row.ref_job or None)
