"""Decide who is notified of a build's change, and why or why not. Pure.

An attempt's end makes at most one decision for each channel: post, hold, or stay silent, with the reason kept.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import msgspec

from bot.blocks.text import roughly
from bot.core.models import Build, Conclusion, IssueCounts, Transition
from bot.notifications.filters import NOTHING_PENDING, Pending, filter_of, judge, newly_broken
from bot.notifications.notification import AUTHOR, Decision, Event, Extra, Verdict, post, silent
from bot.notifications.quiet_hours import Happening, muted
from bot.notifications.summaries import collapse
from bot.notifications.transitions import PastAttempt, compare
from bot.store import Recorded
from bot.store.rows import AttemptRow, BuildRow, LinkRow, NewLink, NewNotification, NotificationRow, WatchRow
from bot.store.states import NotificationState

LATE_AFTER = timedelta(minutes=10)
BEFORE_THE_LINK = timedelta(minutes=2)
COUNTS_PATIENCE = timedelta(seconds=30)
FAILURES_PATIENCE = timedelta(seconds=5)
LATE_PATIENCE = timedelta(seconds=5)
HISTORY_PATIENCE = timedelta(seconds=10)
WARN_BEFORE = timedelta(days=1)
"""How long before an approval's deadline its thread gets a reminder; half of what is left where that is shorter."""

STATES = {
    Verdict.POST: NotificationState.PENDING,
    Verdict.HOLD: NotificationState.HELD,
    Verdict.SILENT: NotificationState.SILENT,
}
NOT_YOURS = "this workspace may not see the connection any more"
DECIDED_REASON = "you started it, and its approval was decided"
BEFORE_LINKED = "it finished before the pipeline was linked here"
BROKE_IT = "your commit broke it"
"""The reason of the direct message for a commit's author."""

Sees = Callable[[str], bool]


def past(rows: Iterable[AttemptRow]) -> tuple[PastAttempt, ...]:
    """Return stored attempts as `transitions` takes them."""
    return tuple(past_attempt(row) for row in rows)


def past_attempt(row: AttemptRow) -> PastAttempt:
    """Return a stored attempt as `transitions` takes it."""
    built_at = row.built_at or row.completed_at
    return PastAttempt(
        build=row.build,
        attempt_no=row.attempt_no,
        number=row.number,
        commit=row.commit_sha,
        conclusion=Conclusion(row.conclusion) if row.conclusion else None,
        counts=msgspec.json.decode(row.counts, type=IssueCounts) if row.counts else IssueCounts(),
        commit_at=row.commit_at or built_at,
        built_at=built_at,
        completed_at=row.completed_at,
        seconds=row.seconds,
    )


def transition_of(recorded: Recorded) -> Transition:
    """Return how a finished attempt compares with its history."""
    row, build = recorded.finished, recorded.build
    if row is None:
        return Transition()
    attempt = replace(past_attempt(row), conclusion=build.conclusion, counts=build.issues)
    return compare(
        attempt, past(recorded.history), target=past(recorded.target_history), target_name=build.target_branch
    )


def decide(
    batch: Sequence[Recorded],
    *,
    now: datetime,
    can_count: bool,
    can_list: bool = False,
    sees: Sees = lambda _team: True,
) -> list[NewNotification]:
    """Return the notifications that a batch of changed builds makes; late ones beyond five a channel become one summary.

    `can_count` says that the CI system may report issue counts later: such notifications wait for them, at most 30 s.
    `can_list` says that it lists issues: a red build's notification waits for the first of them, at most 5 s. One whose
    ref has no history yet waits for it at most 10 s. `sees` says whether a workspace may see the connection.
    """
    rows = [row for recorded in batch for row in _decided(recorded, now, sees)]
    rows += [
        row
        for recorded in batch
        if recorded.finished is not None or recorded.blocked
        for row in Case.of(recorded, now, can_count=can_count, can_list=can_list).rows(sees)
    ]
    return list(collapse(rows, now))


def _decided(recorded: Recorded, now: datetime, sees: Sees) -> Iterator[NewNotification]:
    """Yield the direct message for who started a build whose approval is open no more: drawn from the votes of then."""
    before, build, row = recorded.before, recorded.build, recorded.row
    was_open = before is not None and before.waiting and not build.waiting and not recorded.reopened
    if was_open and row.started_by and sees(row.started_team):
        yield NewNotification(
            team=row.started_team,
            channel=row.started_by,
            connection=build.connection,
            pipeline=build.pipeline,
            build=build.id,
            attempt_no=recorded.attempt_no,
            event=Event.DECIDED,
            turn=recorded.turn,
            reason=DECIDED_REASON,
            user=row.started_by,
            due_at=now,
            created_at=now,
            number=build.number,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One attempt's end, or one approval's opening, and what is the same for everybody it may be posted to."""

    recorded: Recorded
    event: Event
    transition: Transition
    now: datetime
    late: bool
    due_at: datetime
    pending: Pending = NOTHING_PENDING

    @classmethod
    def of(cls, recorded: Recorded, now: datetime, *, can_count: bool, can_list: bool) -> "Case":
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
            )
        ended = build.completed_at or build.updated_at
        late = ended is not None and now - ended > LATE_AFTER
        patience = _patience(build, can_count=can_count, can_list=can_list)
        if recorded.needs_history:
            patience = max(patience, HISTORY_PATIENCE)
        return cls(
            recorded=recorded,
            event=Event.FINISHED,
            transition=transition_of(recorded),
            now=now,
            late=late,
            # Other systems have late news as well: they may become one summary.
            due_at=now + (max(patience, LATE_PATIENCE) if late else patience),
            pending=Pending(counts=can_count and not build.issues.known, history=recorded.needs_history),
        )

    @classmethod
    def again(cls, recorded: Recorded, transition: Transition, now: datetime) -> "Case":
        """Return the case of an attempt that ended earlier, with what is known of it by now: nothing is waited for."""
        ended = recorded.build.completed_at or recorded.build.updated_at
        late = ended is not None and now - ended > LATE_AFTER
        return cls(recorded=recorded, event=Event.FINISHED, transition=transition, now=now, late=late, due_at=now)

    def rows(self, sees: Sees) -> Iterator[NewNotification]:
        """Yield what is decided for each link, for who asked for this build, who follows it, and who broke it.

        A channel or person gets one post at most, whatever the number of links and watches.
        """
        notified: set[tuple[str, str]] = set()
        build_watches = {(watch.team, watch.channel): watch for watch in self.recorded.watches if watch.build}
        for link in self.recorded.links:
            address = (link.team, link.channel)
            row = self._for_link(link, build_watches.get(address), sees=sees(link.team))
            if address in notified:
                row = replace(row, state=STATES[Verdict.SILENT], reason="posted for another link of this channel")
            if row.state != STATES[Verdict.SILENT]:
                notified.add(address)
            yield row
        for address, watch in build_watches.items():
            if address not in notified and sees(watch.team):
                notified.add(address)
                yield self._for_watcher(watch)
        for watch in self.recorded.watches:
            address = (watch.team, watch.channel)
            if not watch.build and address not in notified and sees(watch.team):
                row_or_none = self._for_follower(watch)
                if row_or_none is not None:
                    notified.add(address)
                    yield row_or_none
        yield from self._for_author(sees)

    def _for_link(self, link: LinkRow, watch: WatchRow | None, *, sees: bool) -> NewNotification:
        decision = self._judged(link) if sees else silent(NOT_YOURS)
        undecided = filter_of(link).needs(self.pending)
        if watch is not None and sees and decision.verdict is Verdict.SILENT and not link.paused_reason:
            decision, undecided = post(_asked(watch)), False
        elif decision.verdict is Verdict.POST and self._began_before(link.created_at):
            decision = silent(BEFORE_LINKED)
        quiet = muted(self.recorded.mutes, link, link.channel, self.now, self._happening)
        posted_because = decision.reason
        if decision.verdict is Verdict.POST and quiet and watch is None:
            decision = Decision(verdict=Verdict.HOLD, reason=quiet)
        elif decision.verdict is Verdict.POST and quiet and watch is not None:
            decision = post(_asked(watch))  # a mute does not hold what somebody asked for
        broken = newly_broken(self.recorded.build, self.transition)
        mention = filter_of(link).mention_target if broken else ""
        if watch is not None and watch.channel != watch.user:
            mention = watch.user
        return self._row(
            (link.team, link.channel),
            decision,
            mention=mention,
            undecided=undecided,
            link=link.id,
            user=watch.user if watch else "",
            posted_because=posted_because if decision.verdict is Verdict.HOLD else "",
        )

    def _for_watcher(self, watch: WatchRow) -> NewNotification:
        mention = watch.user if watch.channel != watch.user else ""
        return self._row(
            (watch.team, watch.channel), post(_asked(watch)), mention=mention, thread=watch.thread, user=watch.user
        )

    def _for_follower(self, watch: WatchRow) -> NewNotification | None:
        link = link_of(watch)
        if self._began_before(watch.created_at) or self._judged(link).verdict is not Verdict.POST:
            return None
        if filter_of(link).needs(self.pending):
            return self._row((watch.team, watch.channel), post("you follow this pipeline"), undecided=True)
        return self._row((watch.team, watch.channel), post("you follow this pipeline"))

    def _for_author(self, sees: Sees) -> Iterator[NewNotification]:
        """Yield one row for each workspace that links the pipeline: the outbox finds out who the author is there."""
        build = self.recorded.build
        if self.event is not Event.FINISHED or self.late or build.author is None:
            return
        if not newly_broken(build, self.transition):
            return
        links = [link for link in self.recorded.links if sees(link.team) and not self._began_before(link.created_at)]
        for team in dict.fromkeys(link.team for link in links):
            yield self._row((team, AUTHOR), post(BROKE_IT))

    @property
    def _happening(self) -> Happening:
        return Happening(
            build=self.recorded.build,
            event=self.event,
            transition=self.transition,
            started_by=self.recorded.row.started_by,
            pending=self.pending,
        )

    def _judged(self, link: NewLink) -> Decision:
        return judge(
            self.recorded.build,
            self.transition,
            link,
            self.event,
            started_by=self.recorded.row.started_by,
            pending=self.pending,
        )

    def _began_before(self, since: datetime) -> bool:
        """Return whether this was no news any more when somebody began to follow.

        A build that was seen running is news. One that is first seen at its end (or at its approval) is so if that came
        after `since`; where its system reports no time at all, it may be any old build.
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
        return at < (since if self.recorded.first_seen else since - BEFORE_THE_LINK)

    def _row(
        self,
        address: tuple[str, str],
        decision: Decision,
        *,
        mention: str = "",
        undecided: bool = False,
        link: int = 0,
        thread: str = "",
        user: str = "",
        posted_because: str = "",
    ) -> NewNotification:
        build = self.recorded.build
        extra = Extra(
            transition=self.transition,
            late=self.late,
            mention=mention,
            posted_because=posted_because,
            undecided=undecided and decision.verdict is not Verdict.SILENT,
        )
        return NewNotification(
            team=address[0],
            channel=address[1],
            link=link,
            connection=build.connection,
            pipeline=build.pipeline,
            build=build.id,
            attempt_no=self.recorded.attempt_no,
            event=self.event,
            state=STATES[decision.verdict],
            reason=decision.reason,
            extra=extra.as_json(),
            thread=thread,
            user=user,
            due_at=self.due_at,
            created_at=self.now,
            ordered_at=self.recorded.finished.completed_at if self.recorded.finished else self.now,
            number=build.number,
            turn=self.recorded.turn,
        )


def _patience(build: Build, *, can_count: bool, can_list: bool) -> timedelta:
    if can_count and not build.issues.known:
        return COUNTS_PATIENCE
    is_red = build.conclusion is not None and build.conclusion.is_red
    return FAILURES_PATIENCE if is_red and can_list else timedelta()


def _asked(watch: WatchRow) -> str:
    if watch.why == "started":
        return f"<@{watch.user}> started it here" if watch.channel != watch.user else "you started it"
    return f"<@{watch.user}> is watching it" if watch.channel != watch.user else "you are watching it"


def link_of(watch: WatchRow) -> NewLink:
    """Return what somebody who follows a pipeline is notified of, as a link of theirs."""
    return NewLink(
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


def started_row(
    build: Build,
    *,
    team: str,
    channel: str,
    user: str,
    attempt_no: int = 1,
    headline: str,
    response_url: str,
    thread: str,
    now: datetime,
    trace: str = "",
) -> NewNotification:
    """Return the notification that posts a live card for a build somebody started here.

    `Recording.record_start` gives it the attempt's number.
    """
    return NewNotification(
        team=team,
        channel=channel,
        connection=build.connection,
        pipeline=build.pipeline,
        build=build.id,
        attempt_no=attempt_no,
        event=Event.STARTED,
        reason="somebody started it here",
        user=user,
        thread=thread,
        due_at=now,
        created_at=now,
        extra=Extra(headline=headline, response_url=response_url, trace=trace).as_json(),
    )


def next_approval_row(row: NotificationRow, now: datetime) -> NewNotification:
    """Return the notification of an approval that opened while an earlier one of its attempt was open, or just decided."""
    return NewNotification(
        team=row.team,
        channel=row.channel,
        link=row.link,
        connection=row.connection,
        pipeline=row.pipeline,
        build=row.build,
        attempt_no=row.attempt_no,
        event=row.event,
        turn=row.turn + 1,
        reason=row.reason,
        thread=row.thread,
        user=row.user,
        due_at=now,
        created_at=now,
        ordered_at=now,
        number=row.number,
        extra=Extra(mention=Extra.of(row.extra).mention).as_json(),
    )


def decided_row(row: NotificationRow, started: BuildRow, now: datetime) -> NewNotification:
    """Return the direct message for who started a build that an approval of it, which a card showed, is decided.

    Its turn is the card's: each decision is a message of its own, once.
    """
    return NewNotification(
        team=started.started_team,
        channel=started.started_by,
        connection=row.connection,
        pipeline=row.pipeline,
        build=row.build,
        attempt_no=row.attempt_no,
        event=Event.DECIDED,
        turn=row.turn,
        reason=DECIDED_REASON,
        user=started.started_by,
        due_at=now,
        created_at=now,
        number=row.number,
    )


def reminder_rows(
    row: NotificationRow,
    ts: str,
    steps: tuple[str, ...],
    now: datetime,
    *,
    after: timedelta | None,
    deadline: datetime | None,
) -> list[NewNotification]:
    """Return the reminders of the approvals whose card was posted just now, in the card's thread: `after` a time, and before the deadline.

    `steps` are the ids of the card's approvals. Each is drawn only if one of them is open then.
    """
    rows = []
    if after is not None and (deadline is None or now + after < deadline):
        reason = f"its approval has been open for {roughly(after / timedelta(seconds=1))}"
        rows.append(_reminder(row, ts, steps, now + after, Event.REMINDER, reason))
    if deadline is not None and deadline > now:
        warned_at = deadline - min(WARN_BEFORE, (deadline - now) / 2)
        rows.append(_reminder(row, ts, steps, warned_at, Event.DEADLINE, "its approval expires soon"))
    return rows


def _reminder(
    row: NotificationRow, ts: str, steps: tuple[str, ...], due_at: datetime, event: Event, reason: str
) -> NewNotification:
    return NewNotification(
        team=row.team,
        channel=row.channel,
        link=row.link,
        connection=row.connection,
        pipeline=row.pipeline,
        build=row.build,
        attempt_no=row.attempt_no,
        event=event,
        turn=row.turn,
        reason=reason,
        extra=Extra(mention=Extra.of(row.extra).mention, steps=steps).as_json(),
        thread=row.thread or ts,
        due_at=due_at,
        created_at=due_at,
        number=row.number,
    )


def undrawable_row(row: NotificationRow, reference: str, label: str, now: datetime) -> NewNotification:
    """Return the plain notification that stands in for one that could not be drawn. `reference` is in the log."""
    return NewNotification(
        team=row.team,
        channel=row.channel,
        connection=row.connection,
        pipeline=row.pipeline,
        build=f"undrawable-{row.id}",
        attempt_no=1,
        event=Event.UNDRAWABLE,
        reason=f"notification {row.id} could not be drawn",
        thread=row.thread,
        due_at=now,
        created_at=now,
        ordered_at=row.ordered_at or row.created_at,
        number=row.number,
        extra=Extra(
            text=f"A notification about {label} could not be drawn. Reference {reference}, logged.",
            lines=(f"⚠ A notification about {label} could not be drawn. Reference `{reference}`, logged.",),
        ).as_json(),
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
) -> NewNotification:
    """Return the notification to a channel that a connection has failed for a while, or works again.

    `quiet` is why the channel is not to be disturbed now: the notification is held.
    """
    return NewNotification(
        team=team,
        channel=channel,
        connection=connection,
        pipeline="",
        build=since.isoformat(),
        attempt_no=1,
        event=Event.OUTAGE_OVER if over else Event.OUTAGE,
        state=STATES[Verdict.HOLD if quiet else Verdict.POST],
        reason=quiet or "a connection fails or works again",
        extra=Extra(text=error).as_json(),
        due_at=now,
        created_at=now,
    )
