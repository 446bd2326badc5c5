"""Turn many notifications of one channel into one summary: after a downtime, and after quiet. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from bot.blocks.text import plural
from bot.notifications.notification import Event, Extra
from bot.store.rows import NewNotification, NotificationRow
from bot.store.states import NotificationState

MOST_LATE = 5
MOST_AT_ONCE = 5
MOMENT = timedelta(minutes=1)
"""Builds that end for one channel within this time come in one message where they are more than five."""


def collapse(rows: Sequence[NewNotification], now: datetime) -> Iterator[NewNotification]:
    """Yield the rows; where more than five late ends go to one channel, they are silent and one summary follows."""
    late: dict[tuple[str, str], list[NewNotification]] = {}
    for row in rows:
        if row.state == NotificationState.PENDING and row.event == Event.FINISHED and Extra.of(row.extra).late:
            late.setdefault((row.team, row.channel), []).append(row)
    crowds = {place: group for place, group in late.items() if len(group) > MOST_LATE}
    gone = {id(row) for group in crowds.values() for row in group}
    for row in rows:
        if id(row) in gone:
            reason = _told_with(len(crowds[row.team, row.channel]))
            yield replace(row, state=NotificationState.SILENT, reason=reason)
        else:
            yield row
    for group in crowds.values():
        yield summary_row(group, _while_away(len(group)), now)


def gathered(
    row: NotificationRow, waiting: Sequence[NotificationRow], now: datetime
) -> tuple[tuple[int, ...], str, NewNotification] | None:
    """Return which late notifications of a channel become one summary with this one, why, and the summary; None for none.

    `decide` sees the changes of one connection at a time: after a downtime several have late ends for the same channel.
    """
    if not Extra.of(row.extra).late:
        return _storm(row, waiting, now)
    late = [row, *(one for one in waiting if one.event == Event.FINISHED and Extra.of(one.extra).late)]
    if len(late) <= MOST_LATE:
        return None
    group = sorted(late, key=lambda one: one.id)
    return tuple(one.id for one in group), _told_with(len(group)), summary_row(group, _while_away(len(group)), now)


def _storm(
    row: NotificationRow, waiting: Sequence[NotificationRow], now: datetime
) -> tuple[tuple[int, ...], str, NewNotification] | None:
    """Return the builds that ended for a channel within a moment, as `gathered` does; None for five or fewer.

    What somebody here started or watches is theirs and stays by itself, and so does what may turn out to be unwanted.
    """
    if not _is_anybodys(row):
        return None
    near = [other for other in waiting if _is_anybodys(other) and abs(other.created_at - row.created_at) <= MOMENT]
    group = sorted((row, *near), key=lambda other: (other.ordered_at or other.created_at, other.id))
    if len(group) <= MOST_AT_ONCE:
        return None
    reason = f"posted in one summary with {len(group) - 1} others that finished within a minute"
    summary = summary_row(group, f"{len(group)} builds finished within a minute", now, storm=True)
    return tuple(other.id for other in group), reason, replace(summary, build=f"storm-{group[-1].id}", attempt_no=1)


def _is_anybodys(row: NotificationRow) -> bool:
    extra = Extra.of(row.extra)
    return row.event == Event.FINISHED and not row.user and not row.thread and not extra.late and not extra.undecided


def _told_with(count: int) -> str:
    return f"posted in one summary with {count - 1} others that finished while I was away"


def _while_away(count: int) -> str:
    return f"{count} builds finished while I was away"


def summary_row(
    group: Sequence[NewNotification], reason: str, now: datetime, *, quiet: bool = False, storm: bool = False
) -> NewNotification:
    """Return the notification that stands for several rows of one channel."""
    last = group[-1]
    builds = dict.fromkeys((row.connection, row.pipeline, row.build) for row in group)
    return NewNotification(
        team=last.team,
        channel=last.channel,
        connection=last.connection,
        pipeline=last.pipeline,
        build=last.build,
        attempt_no=last.attempt_no,
        event=Event.SUMMARY,
        reason=reason,
        extra=Extra(builds=tuple(builds), quiet=quiet, storm=storm).as_json(),
        due_at=now,
        created_at=now,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """What becomes of held notifications: `free` ones go as they are, `silent` ones are in the summary, if in any."""

    free: tuple[tuple[int, str], ...] = ()
    silent: tuple[tuple[int, str], ...] = ()
    summary: NewNotification | None = None


def release(rows: Sequence[NotificationRow], now: datetime) -> Release:
    """Return what a channel gets when it is no longer quiet: one summary of the builds, and the rest as it is."""
    over = {(row.connection, row.build) for row in rows if row.event == Event.OUTAGE_OVER}
    ended = {_place(row) for row in rows if row.event == Event.FINISHED}
    free: list[NotificationRow] = []
    summarized: list[NotificationRow] = []
    mute: list[tuple[int, str]] = []
    for row in rows:
        match Event(row.event):
            case Event.OUTAGE | Event.OUTAGE_OVER if (row.connection, row.build) in over:
                mute.append((row.id, "the outage was over before the channel was unmuted"))
            case Event.BLOCKED if _place(row) in ended:
                mute.append((row.id, "the build had ended before the channel was unmuted"))
            case Event.FINISHED | Event.BLOCKED:
                summarized.append(row)
            case _:
                free.append(row)
    released = tuple((row.id, Extra.of(row.extra).posted_because or row.reason) for row in free)
    if not summarized:
        return Release(free=released, silent=tuple(mute))
    mute += [
        (row.id, f"in the summary of {plural(len(summarized), 'notification')}: {row.reason}") for row in summarized
    ]
    summary = summary_row(summarized, f"{_were(len(summarized))} held back: {summarized[0].reason}", now, quiet=True)
    # An approval and its build's end may be the last of two summaries: the row's own number distinguishes these.
    summary = replace(summary, build=f"held-{summarized[-1].id}", attempt_no=1)
    return Release(free=released, silent=tuple(mute), summary=summary)


def _were(count: int) -> str:
    return f"{plural(count, 'notification')} {'was' if count == 1 else 'were'}"


def _place(row: NotificationRow) -> tuple[str, str, str, int]:
    return row.connection, row.pipeline, row.build, row.attempt_no
