"""One thread for each red branch: what goes into it, what reaches the channel, and when the time is over. Pure.

A ref is red in a channel from its first red post to the first green build after it. Further failures go into the thread
of that post (the root), so does a fix that the channel's filter leaves out.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from bot.core.models import NO_RESULT, BuildKey, Change, Ref, RefKind, Transition
from bot.notifications.decisions import BEFORE_LINKED, NOT_YOURS
from bot.notifications.filters import Filter, filter_of, judge
from bot.notifications.notification import Event, Extra, Verdict
from bot.notifications.quiet_hours import muted
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


def _place(row: NewRedBranch) -> Place:
    return row.team, row.channel, row.connection, row.pipeline, row.ref_kind, row.ref_name, row.ref_job


def ref_of(row: NewRedBranch) -> Ref:
    """Return the ref of a red time."""
    return Ref(kind=RefKind(row.ref_kind), name=row.ref_name, job=row.ref_job or None)
