"""Who hears about a build, and why or why not: pure decisions.

An attempt's end makes at most one decision for each channel: post, hold, or stay silent, with the reason kept.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import msgspec

from bot.core.models import Build, Conclusion, IssueCounts, Transition
from bot.notifications.filters import filter_of, judge, newly_broken
from bot.notifications.notification import AUTHOR, Decision, Event, Extra, Verdict, post, silent
from bot.notifications.quiet_hours import muted
from bot.notifications.transitions import PastAttempt, compare
from bot.store import Recorded
from bot.store.tables import AttemptRow, LinkRow, NotificationRow, WatchRow

LATE_AFTER = timedelta(minutes=10)
BEFORE_THE_LINK = timedelta(minutes=2)
COUNTS_PATIENCE = timedelta(seconds=30)
FAILURES_PATIENCE = timedelta(seconds=5)
LATE_PATIENCE = timedelta(seconds=5)
MOST_LATE = 5

STATES = {Verdict.POST: "pending", Verdict.HOLD: "held", Verdict.SILENT: "silent"}
NOT_YOURS = "this workspace may not see the connection any more"
BEFORE_LINKED = "it finished before the pipeline was linked here"

Sees = Callable[[str], bool]


def past(rows: Iterable[AttemptRow]) -> tuple[PastAttempt, ...]:
    """Return stored attempts as `transitions` takes them."""
    return tuple(
        PastAttempt(
            number=row.number,
            conclusion=Conclusion(row.conclusion) if row.conclusion else None,
            counts=msgspec.json.decode(row.counts, type=IssueCounts) if row.counts else IssueCounts(),
            completed_at=row.completed_at,
            seconds=row.seconds,
        )
        for row in rows
    )


def transition_of(recorded: Recorded) -> Transition:
    """Return how a finished attempt compares with its history."""
    build = recorded.build
    return compare(
        build.conclusion,
        build.issues,
        recorded.finished.completed_at if recorded.finished else recorded.row.seen_at,
        build.number,
        past(recorded.history),
    )


def decide(
    batch: Sequence[Recorded],
    *,
    now: datetime,
    can_count: bool,
    can_list: bool = False,
    sees: Sees = lambda _team: True,
) -> list[NotificationRow]:
    """Return the notifications that a batch of changed builds makes; late ones beyond five a channel become one summary.

    `can_count` says that the CI system may tell issue counts later: such notifications wait for them, at most 30 s.
    `can_list` says that it lists issues: a red build's notification waits for the first of them, at most 5 s. `sees` says
    whether a workspace may see the connection.
    """
    rows = [
        row
        for recorded in batch
        if recorded.finished is not None or recorded.blocked
        for row in _Case.of(recorded, now, can_count=can_count, can_list=can_list).rows(sees)
    ]
    return list(_collapse(rows, now))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Case:
    """One attempt's end, or one approval's opening, and what is the same for all who may hear of it."""

    recorded: Recorded
    event: Event
    transition: Transition
    now: datetime
    late: bool
    due_at: datetime
    counts_to_come: bool

    @classmethod
    def of(cls, recorded: Recorded, now: datetime, *, can_count: bool, can_list: bool) -> "_Case":
        """Return the case that a changed build is."""
        build = recorded.build
        if recorded.finished is None:
            return cls(
                recorded=recorded,
                event=Event.BLOCKED,
                transition=Transition(),
                now=now,
                late=False,
                due_at=now,
                counts_to_come=False,
            )
        ended = build.completed_at or build.updated_at
        late = ended is not None and now - ended > LATE_AFTER
        patience = _patience(build, can_count=can_count, can_list=can_list)
        return cls(
            recorded=recorded,
            event=Event.FINISHED,
            transition=transition_of(recorded),
            now=now,
            late=late,
            # Other systems have late news as well: they may become one summary.
            due_at=now + (max(patience, LATE_PATIENCE) if late else patience),
            counts_to_come=can_count and not build.issues.known,
        )

    def rows(self, sees: Sees) -> Iterator[NotificationRow]:
        """Yield what is decided for each link, for who asked for this build, who follows it, and who broke it."""
        told: set[tuple[str, str]] = set()
        asked = {(watch.team, watch.channel): watch for watch in self.recorded.watches if watch.build}
        for link in self.recorded.links:
            where = (link.team, link.channel)
            row = self._for_link(link, asked.get(where), sees=sees(link.team))
            if row.state != STATES[Verdict.SILENT]:
                told.add(where)
            yield row
        for where, watch in asked.items():
            if where not in told and sees(watch.team):
                told.add(where)
                yield self._for_asker(watch)
        for watch in self.recorded.watches:
            where = (watch.team, watch.channel)
            if not watch.build and where not in told and sees(watch.team):
                row_or_none = self._for_follower(watch)
                if row_or_none is not None:
                    told.add(where)
                    yield row_or_none
        yield from self._for_author(sees)

    def _for_link(self, link: LinkRow, watch: WatchRow | None, *, sees: bool) -> NotificationRow:
        decision = self._judged(link) if sees else silent(NOT_YOURS)
        undecided = self.counts_to_come and filter_of(link).needs_counts
        if watch is not None and sees and decision.verdict is Verdict.SILENT and not link.paused_reason:
            decision, undecided = post(_asked(watch)), False
        elif decision.verdict is Verdict.POST and self._began_before(link.created_at):
            decision = silent(BEFORE_LINKED)
        quiet = muted(self.recorded.mutes, link, link.channel, self.now)
        if decision.verdict is Verdict.POST and quiet and watch is None:
            decision = Decision(verdict=Verdict.HOLD, reason=quiet)
        broken = newly_broken(self.recorded.build, self.transition)
        mention = filter_of(link).told if broken else ""
        if watch is not None and watch.channel != watch.user:
            mention = watch.user
        return self._row(
            (link.team, link.channel),
            decision,
            mention=mention,
            undecided=undecided,
            link=link.id or 0,
            user=watch.user if watch else "",
        )

    def _for_asker(self, watch: WatchRow) -> NotificationRow:
        mention = watch.user if watch.channel != watch.user else ""
        return self._row(
            (watch.team, watch.channel), post(_asked(watch)), mention=mention, thread=watch.thread, user=watch.user
        )

    def _for_follower(self, watch: WatchRow) -> NotificationRow | None:
        link = LinkRow(
            team=watch.team,
            channel=watch.channel,
            connection=watch.connection,
            pipeline=watch.pipeline,
            path="",
            name="",
            created_by=watch.user,
            created_at=watch.created_at,
            filters=watch.filters,
        )
        if self._began_before(watch.created_at) or self._judged(link).verdict is not Verdict.POST:
            return None
        if self.counts_to_come and filter_of(link).needs_counts:
            return self._row((watch.team, watch.channel), post("you follow this pipeline"), undecided=True)
        return self._row((watch.team, watch.channel), post("you follow this pipeline"))

    def _for_author(self, sees: Sees) -> Iterator[NotificationRow]:
        """Yield one row for each workspace that links the pipeline: the outbox finds out who the author is there."""
        build = self.recorded.build
        if self.event is not Event.FINISHED or self.late or build.author is None:
            return
        if not newly_broken(build, self.transition):
            return
        links = [link for link in self.recorded.links if sees(link.team) and not self._began_before(link.created_at)]
        for team in dict.fromkeys(link.team for link in links):
            yield self._row((team, AUTHOR), post("your commit broke it"))

    def _judged(self, link: LinkRow) -> Decision:
        return judge(
            self.recorded.build,
            self.transition,
            link,
            self.event,
            started_by=self.recorded.row.started_by,
            counts_to_come=self.counts_to_come,
        )

    def _began_before(self, moment: datetime) -> bool:
        """Return whether this was no news any more when somebody began to listen.

        A build that was seen running is news. One that is first seen at its end (or at its approval) is so if that came
        after `moment`; where its system tells no time at all, it may be any old build.
        """
        before = self.recorded.before
        if before is not None and not before.completed:
            return False
        build = self.recorded.build
        if self.event is Event.BLOCKED:
            at = build.started_at or build.created_at
        else:
            at = build.completed_at or build.updated_at or build.started_at or build.created_at
        if at is None:
            return self.recorded.first_seen
        return at < (moment if self.recorded.first_seen else moment - BEFORE_THE_LINK)

    def _row(
        self,
        where: tuple[str, str],
        decision: Decision,
        *,
        mention: str = "",
        undecided: bool = False,
        link: int = 0,
        thread: str = "",
        user: str = "",
    ) -> NotificationRow:
        build = self.recorded.build
        extra = Extra(
            transition=self.transition,
            late=self.late,
            mention=mention,
            undecided=undecided and decision.verdict is not Verdict.SILENT,
        )
        return NotificationRow(
            team=where[0],
            channel=where[1],
            link=link,
            connection=build.connection,
            pipeline=build.pipeline,
            build=build.id,
            attempt_no=self.recorded.attempt_no,
            event=self.event.value,
            state=STATES[decision.verdict],
            reason=decision.reason,
            extra=extra.as_json(),
            thread=thread,
            user=user,
            due_at=self.due_at,
            created_at=self.now,
        )


def _patience(build: Build, *, can_count: bool, can_list: bool) -> timedelta:
    if can_count and not build.issues.known:
        return COUNTS_PATIENCE
    is_red = build.conclusion is not None and build.conclusion.is_red
    return FAILURES_PATIENCE if is_red and can_list else timedelta()


def _asked(watch: WatchRow) -> str:
    if watch.why == "started":
        return f"<@{watch.user}> started it here" if watch.channel != watch.user else "you started it"
    return f"<@{watch.user}> asked to hear its end" if watch.channel != watch.user else "you asked to hear its end"


def reconsidered(row: NotificationRow, link: LinkRow, build: Build, counts: IssueCounts, *, started_by: str) -> str:
    """Return why a notification that waited for its counts is not to be posted after all, or an empty text."""
    transition = Extra.of(row.extra).transition.with_counts(counts)
    decision = judge(build.with_issues(counts), transition, link, Event(row.event), started_by=started_by)
    return decision.reason if decision.verdict is Verdict.SILENT else ""


def _collapse(rows: Sequence[NotificationRow], now: datetime) -> Iterator[NotificationRow]:
    late: dict[tuple[str, str], list[NotificationRow]] = {}
    for row in rows:
        if row.state == "pending" and row.event == Event.FINISHED and Extra.of(row.extra).late:
            late.setdefault((row.team, row.channel), []).append(row)
    crowds = {place: group for place, group in late.items() if len(group) > MOST_LATE}
    gone = {id(row) for group in crowds.values() for row in group}
    for row in rows:
        if id(row) in gone:
            row.state = "silent"
            row.reason = _told_with(len(crowds[row.team, row.channel]))
        yield row
    for group in crowds.values():
        yield summary_row(group, _while_away(len(group)), now)


def gathered(
    row: NotificationRow, waiting: Sequence[NotificationRow], now: datetime
) -> tuple[tuple[int, ...], str, NotificationRow] | None:
    """Return which late notifications of a channel become one summary with this one, why, and the summary; None for none.

    `decide` sees the news of one connection at a time: after a downtime several have late news for the same channel.
    """
    late = [row, *(one for one in waiting if one.event == Event.FINISHED and Extra.of(one.extra).late)]
    if not Extra.of(row.extra).late or len(late) <= MOST_LATE:
        return None
    group = sorted(late, key=lambda one: one.id or 0)
    return tuple(one.id or 0 for one in group), _told_with(len(group)), summary_row(group, _while_away(len(group)), now)


def _told_with(count: int) -> str:
    return f"told in one summary with {count - 1} others that finished while I was away"


def _while_away(count: int) -> str:
    return f"{count} builds finished while I was away"


def summary_row(
    group: Sequence[NotificationRow], reason: str, now: datetime, *, quiet: bool = False
) -> NotificationRow:
    """Return the notification that tells in one message what several rows of one channel would have told."""
    last = group[-1]
    builds = dict.fromkeys((row.connection, row.pipeline, row.build) for row in group)
    return NotificationRow(
        team=last.team,
        channel=last.channel,
        connection=last.connection,
        pipeline=last.pipeline,
        build=last.build,
        attempt_no=last.attempt_no,
        event=Event.SUMMARY.value,
        reason=reason,
        extra=Extra(builds=tuple(builds), quiet=quiet).as_json(),
        due_at=now,
        created_at=now,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """What becomes of held notifications: `free` ones go as they are, `silent` ones are told by the summary, if by any."""

    free: tuple[int, ...] = ()
    silent: tuple[tuple[int, str], ...] = ()
    summary: NotificationRow | None = None


def release(held: Sequence[NotificationRow], now: datetime) -> Release:
    """Return what a channel is told when it is no longer quiet: one notification as it is, several as one summary."""
    over = {(row.connection, row.build) for row in held if row.event == Event.OUTAGE_OVER}
    ended = {_place(row) for row in held if row.event == Event.FINISHED}
    free: list[NotificationRow] = []
    told: list[NotificationRow] = []
    mute: list[tuple[int, str]] = []
    for row in held:
        match Event(row.event):
            case Event.OUTAGE | Event.OUTAGE_OVER if (row.connection, row.build) in over:
                mute.append((row.id or 0, "the outage was over before the channel listened again"))
            case Event.BLOCKED if _place(row) in ended:
                mute.append((row.id or 0, "the build had ended before the channel listened again"))
            case Event.FINISHED | Event.BLOCKED:
                told.append(row)
            case _:
                free.append(row)
    if len(told) < 2:
        return Release(free=tuple(row.id or 0 for row in (*free, *told)), silent=tuple(mute))
    mute += [(row.id or 0, f"told in one summary of {len(told)} notices, after {row.reason}") for row in told]
    summary = summary_row(told, f"{told[0].reason} held back {len(told)} notices", now, quiet=True)
    # An approval and its build's end may be the last of two summaries: the row's own number tells these apart.
    summary.build, summary.attempt_no = f"held-{told[-1].id}", 1
    return Release(free=tuple(row.id or 0 for row in free), silent=tuple(mute), summary=summary)


def _place(row: NotificationRow) -> tuple[str, str, str, int]:
    return row.connection, row.pipeline, row.build, row.attempt_no


def started_row(
    build: Build,
    *,
    team: str,
    channel: str,
    user: str,
    attempt_no: int,
    headline: str,
    response_url: str,
    thread: str,
    now: datetime,
) -> NotificationRow:
    """Return the notification that posts a live card for a build somebody started here."""
    return NotificationRow(
        team=team,
        channel=channel,
        connection=build.connection,
        pipeline=build.pipeline,
        build=build.id,
        attempt_no=attempt_no,
        event=Event.STARTED.value,
        reason="somebody started it here",
        user=user,
        thread=thread,
        due_at=now,
        created_at=now,
        extra=Extra(headline=headline, response_url=response_url).as_json(),
    )


def outage_row(
    team: str,
    channel: str,
    *,
    connection: str,
    since: datetime,
    error: str,
    over: bool,
    now: datetime,
    quiet: str | None = None,
) -> NotificationRow:
    """Return the notification to a channel that a connection has failed for a while, or works again.

    `quiet` is why the channel is not to be disturbed now: the notification is held.
    """
    return NotificationRow(
        team=team,
        channel=channel,
        connection=connection,
        pipeline="",
        build=since.isoformat(),
        attempt_no=1,
        event=(Event.OUTAGE_OVER if over else Event.OUTAGE).value,
        state=STATES[Verdict.HOLD if quiet else Verdict.POST],
        reason=quiet or "a connection fails or works again",
        extra=Extra(text=error).as_json(),
        due_at=now,
        created_at=now,
    )
