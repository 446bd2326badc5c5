"""Draw notifications and cards: gather the build, its attempt, its approvals, its first failure and what people did about it.

A card shows one build in one channel. Whatever was true when the notification was decided (`Extra`) stays; the build is
always the latest known.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from statistics import median

from bot.blocks.build import build_card, short_card, signal_over
from bot.blocks.escalation import escalation_notification, escalation_over
from bot.blocks.lines import NO_FACTS, Facts, Note
from bot.blocks.message import Message, actions, button, context, sections
from bot.blocks.notification import (
    NO_FAILURES,
    Counts,
    Failures,
    approval_notification,
    branch_changed,
    decided_notification,
    notification,
    outage_notification,
    outage_over,
    reminder_notification,
    summary_notification,
)
from bot.blocks.text import DOT, Markup, link, mark, mention, safe, since, when
from bot.core.clock import Clock
from bot.core.errors import ProviderError
from bot.core.models import NO_RESULT, Approval, Build, BuildKey, Conclusion, Ref, RefKind, Status
from bot.core.policies import Policy
from bot.notifications.approval_context import ApprovalContext
from bot.notifications.approval_policies import breach, policy_of
from bot.notifications.commit_drawing import CommitDrawing
from bot.notifications.facts import facts_of, offered
from bot.notifications.failures import flakiness, unpack_failures
from bot.notifications.holds import hold_words, holds_of
from bot.notifications.notification import AUTHOR, Event, Extra
from bot.notifications.outbox import MOVES_SECONDS, Drawn
from bot.notifications.red_threads import standing
from bot.providers.base.capabilities import Capability
from bot.providers.base.provider import AnyProvider
from bot.slack.people import People
from bot.store import Store, unpack_counts
from bot.store.recorded import CARD_PAUSE, COUNTS_GIVEN_UP
from bot.store.rows import (
    AttemptRow,
    BuildRow,
    NewNotification,
    NotificationRow,
    RedBranchRow,
    VoteRow,
)
from bot.store.states import NotificationState
from bot.store.times import of_attempt

USUAL_OF = 20
FLAKY_AMONG = 30
CANCELLED_IT = "cancelled it"
"""What a note says of a cancel without a reason: nothing more than line 2 of the notification."""
MOST_APPROVALS = 5
ERASED = "erased"
"""The detail of a build that says when its logs and artifacts were erased."""
COMING = frozenset({NotificationState.PENDING, NotificationState.LEASED})
"""The states of a notification that is about to be posted."""
BAR_CELLS = 10
ESCALATION_VERBS = frozenset({"claim", "logs", "why"})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Subject:
    """A notification about a build, and what it is drawn from."""

    row: NewNotification
    extra: Extra
    provider: AnyProvider
    build: Build
    stored: BuildRow
    facts: Facts
    label: str
    repeated: bool
    red: RedBranchRow | None = None

    @property
    def is_over(self) -> bool:
        """Whether a later attempt of the build has begun."""
        return self.stored.attempt_no > self.row.attempt_no


async def _no_refresh() -> None:
    """Refresh nothing."""


class Cards:
    """Draws notifications and cards.

    `provider_of` returns a connection (by workspace and name) where the workspace may see it; `refresh` reads the
    connections anew, for one that another process has just made. With `offers` false no card has buttons of a build.
    `policies` are the operator's, of approvals.
    """

    def __init__(
        self,
        store: Store,
        *,
        provider_of: Callable[[str, str], AnyProvider | None],
        people: People,
        clock: Clock,
        refresh: Callable[[], Awaitable[None]] = _no_refresh,
        offers: bool = True,
        policies: Sequence[Policy] = (),
    ) -> None:
        self._store = store
        self._provider_of = provider_of
        self._people = people
        self._clock = clock
        self._refresh = refresh
        self._offers = offers
        self._policies = policies
        self._context = ApprovalContext(store, people)
        self._commits = CommitDrawing(store, provider_of=provider_of, clock=clock, offers=offers)

    async def draw(self, row: NewNotification, *, repeated: bool) -> Drawn | None:
        """Draw a notification as of now; None if its build or connection is gone."""
        extra = Extra.of(row.extra)
        event = Event(row.event)
        match event:
            case Event.OUTAGE | Event.OUTAGE_OVER:
                return Drawn(message=_marked(self._outage(row, extra, event), repeated=repeated))
            case Event.SUMMARY:
                return await self._summary(row, extra, repeated=repeated)
            case Event.DIGEST | Event.UNDRAWABLE | Event.CORRECTED:
                tune = (actions(button("Tune noise", "stats --noise")),) if event is Event.DIGEST else ()
                digest = Message(text=extra.text, blocks=(*sections(extra.lines), *tune))
                return Drawn(message=_marked(digest, repeated=repeated))
            case Event.BRANCH_CHANGED:
                label = await self._label(row, None)
                return Drawn(message=_marked(branch_changed(label, extra.headline, extra.text), repeated=repeated))
            case Event.COMMIT:
                builds = await self._commits.drawn(row)
                return builds and replace(builds, message=_marked(builds.message, repeated=repeated))
            case Event.ESCALATED | Event.UNFIXED:
                return await self._escalation(row, extra, repeated=repeated)
            case _:
                return await self._build(row, extra, event, repeated=repeated)

    async def _build(self, row: NewNotification, extra: Extra, event: Event, *, repeated: bool) -> Drawn | None:
        entry = await self._store.builds.get(_key(row))
        provider = await self._provider(row)
        if entry is None or provider is None:
            return None
        build, stored = entry
        build = of_attempt(build, stored.began_at)
        notes = await self._store.cards.notes(_key(row), row.attempt_no, row.team)
        claim = await self._store.claims.get(row.team, _key(row))
        facts = facts_of(row.team, stored, notes, claim, attempt_no=row.attempt_no)
        red = await self._store.red_branches.rooted_at(_key(row), row.attempt_no, row.team, row.channel)
        if red is not None and red.claimed_by and red.claimed_at is not None and not facts.is_claimed:
            note = Note(text="is on it", at=red.claimed_at, user=red.claimed_by)
            facts = replace(facts, notes=(*facts.notes, note), is_claimed=True)
        if stored.attempt_no != row.attempt_no:
            facts = replace(facts, starter=await self._starter_before(row))
        if build.conclusion is Conclusion.RETRIED and not facts.replaced:
            successor = await self._successor(build)
            facts = replace(facts, replaced=_replaced_by(successor)) if successor is not None else facts
        if not facts.replaced and build.details.get(ERASED):
            facts = replace(facts, replaced=f"Its logs and artifacts were erased: {build.details[ERASED]}")
        subject = _Subject(
            row=row,
            extra=extra,
            provider=provider,
            build=build,
            stored=stored,
            facts=facts,
            label=await self._label(row, build),
            repeated=repeated,
            red=red,
        )
        match event:
            case Event.BLOCKED:
                return await self._blocked(subject)
            case Event.DECIDED:
                return await self._decided(subject)
            case Event.REMINDER | Event.DEADLINE:
                return await self._reminder(subject)
            case Event.FINISHED:
                return await self._finished(subject)
            case Event.STARTED:
                return await self._started(subject)
            case _:
                return await self._signal(subject)

    async def _starter_before(self, row: NewNotification) -> str:
        """Return who started an earlier attempt through the bot: the one its live card names."""
        rows = await self._store.notifications.of_build(_key(row), row.team)
        live = (other for other in rows if other.event == Event.STARTED and other.attempt_no == row.attempt_no)
        return next((other.user for other in live), "")

    async def _successor(self, build: Build) -> Build | None:
        """Return the build that a system made in place of one that it calls retried: the next one of the same commit."""
        if build.commit is None or build.created_at is None:
            return None
        made_at = build.created_at
        later = [
            other
            for other in await self._store.builds.of_commit(build.commit, [build.connection])
            if (other.pipeline, other.name) == (build.pipeline, build.name)
            and other.id != build.id
            and other.created_at is not None
            and other.created_at >= made_at
        ]
        return min(later, key=lambda other: other.created_at or made_at, default=None)

    def _verbs(self, provider: AnyProvider, build: Build, facts: Facts, *, approvals: bool) -> frozenset[str]:
        return offered(provider, build, facts, has_approvals=approvals) if self._offers else frozenset()

    async def _started(self, subject: _Subject) -> Drawn:
        """Draw the live card: the full card of its build until another one is, then one line that points to it.

        While that other one is on its way the live card stays as it is: never are there two full cards.
        """
        row, build = subject.row, subject.build
        if subject.is_over:
            attempt = await self._store.attempts.get(_key(row), row.attempt_no)
            build = _as_ended(build, attempt) if attempt is not None else build
        approvals = await self._approvals(subject.provider, build) if not subject.is_over else ()
        live = not build.completed and not subject.is_over
        other = await self._full_card(row, build, has_approvals=bool(approvals))
        if other is not None:
            line = short_card(build, label=subject.label, starter=row.user or subject.facts.starter)
            message = _marked(line, repeated=subject.repeated)
            is_coming = other.state in COMING
            is_decided = other.event == Event.BLOCKED and not approvals  # and the next poll shows what comes of it
            return Drawn(message=message, live=live, card=True, waits=is_coming or is_decided)
        usual_seconds = await self._usual(build)
        card = build_card(
            build,
            label=subject.label,
            now=self._clock(),
            connection_label=subject.provider.label,
            actions=self._verbs(subject.provider, build, subject.facts, approvals=bool(approvals)),
            attempt_no=row.attempt_no,
            headline=Markup(subject.extra.headline) if subject.extra.headline else None,
            usual_seconds=usual_seconds,
            approvals=approvals,
            facts=subject.facts,
        )
        return Drawn(
            message=_marked(card, repeated=subject.repeated),
            live=live,
            card=True,
            moves=live,
            moves_after=_next_cell(usual_seconds),
        )

    async def _signal(self, subject: _Subject) -> Drawn:
        """Draw what is unusual about a running build: its card, or a reply below its live card; one line once it is over."""
        row, build = subject.row, subject.build
        if subject.is_over or build.completed:
            attempt = await self._store.attempts.get(_key(row), row.attempt_no)
            build = _as_ended(build, attempt) if attempt is not None and subject.is_over else build
            has_card = not row.thread and await self._full_card(row, build, has_approvals=False) is not None
            pointer = "see below" if has_card else ""
            line = signal_over(build, label=subject.label, headline=subject.extra.headline, pointer=pointer)
            return Drawn(message=_marked(line, repeated=subject.repeated), card=True)
        usual_seconds = await self._usual(build)
        card = build_card(
            build,
            label=subject.label,
            now=self._clock(),
            connection_label=subject.provider.label,
            actions=self._verbs(subject.provider, build, subject.facts, approvals=False),
            attempt_no=row.attempt_no,
            headline=subject.extra.headline,
            usual_seconds=usual_seconds,
            facts=subject.facts,
        )
        return Drawn(
            message=_marked(card, repeated=subject.repeated),
            live=True,
            card=True,
            moves=True,
            moves_after=_next_cell(usual_seconds),
        )

    async def _rerun(self, row: NewNotification, stored: BuildRow, build: Build) -> Build | None:
        """Return the build where a later attempt of it runs that has no card of its own in the channel."""
        if build.completed or stored.attempt_no <= row.attempt_no:
            return None
        has_card = any(
            other.channel == row.channel
            and other.attempt_no == stored.attempt_no
            and other.state in {NotificationState.SENT, NotificationState.LEASED, NotificationState.PENDING}
            and other.event in {Event.STARTED, Event.BLOCKED}
            for other in await self._store.notifications.of_build(_key(row), row.team)
        )
        return None if has_card else build

    async def _full_card(self, row: NewNotification, build: Build, *, has_approvals: bool) -> NotificationRow | None:
        """Return the notification that is the full card of a build in the channel, or is about to be; None if none is.

        The card of an approval stays that while its build is known to wait, even if it was decided a moment ago.
        """
        candidates = [
            other
            for other in await self._store.notifications.of_build(_key(row), row.team)
            if (other.channel, other.attempt_no, other.thread) == (row.channel, row.attempt_no, row.thread)
            and (other.state == NotificationState.SENT or other.state in COMING)
            and (other.event == Event.FINISHED or (other.event == Event.BLOCKED and build.waiting))
            and (other.event == Event.FINISHED or has_approvals or Extra.of(other.extra).text)
        ]
        posted = [other for other in candidates if other.state == NotificationState.SENT]
        return next(iter(posted or candidates), None)

    async def _blocked(self, subject: _Subject) -> Drawn:
        """Draw the card of an approval: full while it is open, one line once it is decided, wherever that was.

        Each open approval is on the card that showed it first. One that opens later gets a card of its own.
        """
        row, build, facts = subject.row, subject.build, subject.facts
        is_over = subject.is_over or bool(facts.replaced)
        listed = await self._approvals(subject.provider, build) if not is_over else ()
        mine, is_next_open = await self._own_approvals(row, subject.extra, listed)
        is_closed = bool(subject.extra.text) or bool(subject.extra.steps and listed and not mine)
        waits = build.waiting and not is_over and not is_closed
        policy = await policy_of(build, row.team, self._store, self._policies)
        after = await self._store.settings.reminds_after(row.team, row.channel) if waits else None
        reminder = facts.waiting_since + after if facts.waiting_since and after is not None else None
        deadline = self._deadline(subject) if waits else None
        held = await self._holds(row, build, mine) if waits else ()
        decides_here = subject.provider.can(Capability.DECIDE)
        card = approval_notification(
            build,
            mine,
            label=subject.label,
            connection_label=subject.provider.label,
            now=self._clock(),
            actions=self._verbs(subject.provider, build, facts, approvals=bool(mine)),
            attempt_no=row.attempt_no,
            requester=facts.starter or None,
            going=await self._context.going(build, subject.provider) if waits else (),
            approvers=await self._context.approvers(row, build) if waits and decides_here else "",
            policy=policy.sentence if policy else "",
            held=held,
            deadline=deadline,
            reminder=reminder if deadline is None or (reminder is not None and reminder < deadline) else None,
            mention=await self._mention(row, subject.extra, subject.provider, build) if decides_here else None,
            decision=None if waits else await self._decision(subject, policy),
            reason=row.reason,
            repeated=subject.repeated,
            facts=facts,
        )
        return Drawn(
            message=card,
            live=waits,
            card=True,
            moves=build.waiting and not is_over,  # another approval may open before any poll sees this one closed
            steps=tuple(approval.id for approval in mine),
            next_approval=is_next_open,
            deadline=deadline,
        )

    async def _holds(self, row: NewNotification, build: Build, approvals: Sequence[Approval]) -> tuple[Markup, ...]:
        """Return who keeps others from deciding these approvals."""
        rows = await self._store.holds.of_pipeline(row.team, build.connection, build.pipeline)
        names = [approval.name for approval in approvals if approval.name]
        return tuple(Markup(f"On hold: {hold_words(hold)}") for hold in holds_of(rows, names))

    @staticmethod
    def _deadline(subject: _Subject) -> datetime | None:
        """Return when the system ends an approval that nobody has decided, at the latest, where it does."""
        lasts, since = subject.provider.approvals_last, subject.facts.waiting_since
        return since + lasts if lasts is not None and since is not None else None

    async def _own_approvals(
        self, row: NewNotification, extra: Extra, listed: Sequence[Approval]
    ) -> tuple[tuple[Approval, ...], bool]:
        """Return the open approvals that belong on the card of a notification, and whether one is open that no card shows."""
        if not listed:
            return (), False
        others = [
            other
            for other in await self._store.notifications.of_build(_key(row), row.team)
            if other.event == Event.BLOCKED
            and (other.channel, other.attempt_no) == (row.channel, row.attempt_no)
            and (other.link, other.turn) != (row.link, row.turn)
        ]
        live = {card.notification for card in await self._store.cards.of_build(_key(row)) if card.live}
        elsewhere = {step for other in others if other.id in live for step in Extra.of(other.extra).steps}
        if not extra.steps:
            return tuple(approval for approval in listed if approval.id not in elsewhere), False
        mine = tuple(approval for approval in listed if approval.id in extra.steps)
        is_newest = all(other.turn < row.turn for other in others)
        unshown = [approval for approval in listed if approval.id not in {*extra.steps, *elsewhere}]
        return mine, is_newest and bool(unshown)

    async def _decision(self, subject: _Subject, policy: Policy | None) -> Markup | str:
        """Return the line that stands where an approval was open: who decided, and whether that passed a policy by."""
        extra, facts, provider, build = subject.extra, subject.facts, subject.provider, subject.build
        if extra.text:
            return Markup(extra.text)
        if facts.replaced:
            return facts.replaced
        votes = await self._store.approvals.votes(subject.row.team, build.key, subject.row.attempt_no)
        if said := breach(policy, votes, build, provider.label):
            return f"⚠ {said}"
        return "Ended" if build.completed else f"Decided in {provider.label}"

    async def _decided(self, subject: _Subject) -> Drawn | None:
        """Draw the direct message about a decision; None where its reader decided, or a cancelled build left nothing to say."""
        row, build, provider = subject.row, subject.build, subject.provider
        votes = await self._votes_of_turn(row, build)
        others = [vote for vote in votes if vote.user != row.channel]
        if (votes and not others) or (not votes and (subject.facts.cancelled_by or build.conclusion in NO_RESULT)):
            return None
        lines = [
            Markup(
                f"{'Approved' if vote.approve else 'Rejected'} by {mention(vote.user)}{DOT}{when(vote.at)}: "
                f"{safe(vote.name, 80)}{f' “{safe(vote.comment, 300)}”' if vote.comment else ''}"
            )
            for vote in others
        ]
        policy = await policy_of(build, row.team, self._store, self._policies)
        if said := breach(policy, votes, build, provider.label):
            lines.append(safe(f"⚠ {said}", 300))
        elif not lines:
            lines.append(safe(f"Decided in {provider.label}", 120))
        return Drawn(message=decided_notification(build, lines, label=subject.label))

    async def _votes_of_turn(self, row: NewNotification, build: Build) -> list[VoteRow]:
        """Return who voted on the approvals of one turn: those that its cards showed, all of the attempt where none did."""
        votes = await self._store.approvals.votes(row.team, build.key, row.attempt_no)
        steps = {
            (other.turn == row.turn, step)
            for other in await self._store.notifications.of_build(build.key, row.team)
            if other.event == Event.BLOCKED and other.attempt_no == row.attempt_no
            for step in Extra.of(other.extra).steps
        }
        if not any(is_mine for is_mine, _ in steps):
            return [vote for vote in votes if (False, vote.approval) not in steps]
        return [vote for vote in votes if (True, vote.approval) in steps]

    async def _reminder(self, subject: _Subject) -> Drawn | None:
        """Draw the reminder of an open approval, for the thread of its card, which has the buttons; None for one decided."""
        build, facts, steps = subject.build, subject.facts, subject.extra.steps
        listed = await self._approvals(subject.provider, build)
        approvals = tuple(approval for approval in listed if not steps or approval.id in steps)
        is_decided = not approvals and subject.provider.can(Capability.APPROVALS)
        if not build.waiting or subject.is_over or facts.replaced or is_decided:
            return None
        decides_here = subject.provider.can(Capability.DECIDE)
        return Drawn(
            message=reminder_notification(
                build,
                approvals,
                label=subject.label,
                now=self._clock(),
                waiting_since=facts.waiting_since,
                deadline=self._deadline(subject),
                approvers=await self._context.approvers(subject.row, build) if decides_here else "",
                mention=await self._mention(subject.row, subject.extra, subject.provider, build)
                if decides_here
                else None,
            )
        )

    async def _finished(self, subject: _Subject) -> Drawn:
        row, build, facts = subject.row, subject.build, subject.facts
        attempt = await self._store.attempts.get(_key(row), row.attempt_no)
        ended_build, failures, counts = build, NO_FAILURES, Counts.READ
        rerun = await self._rerun(row, subject.stored, build)
        if facts.cancelled_by:
            facts = replace(facts, notes=tuple(note for note in facts.notes if note.text != CANCELLED_IT))
        if attempt is not None:
            ended_build = _as_ended(build, attempt) if subject.is_over else _with_end(build, attempt)
            facts = replace(facts, approval_seconds=attempt.approval_seconds)
            failures = await self._failures(ended_build, attempt)
            if subject.provider.can(Capability.COUNTS) and not attempt.counts:
                gave_up = attempt.counts_tries == COUNTS_GIVEN_UP
                counts = Counts.PENDING if attempt.counts_due_at else Counts.UNAVAILABLE if gave_up else Counts.READ
        verbs = self._verbs(subject.provider, ended_build, facts, approvals=build.waiting)
        if rerun is not None:
            verbs = self._verbs(subject.provider, rerun, NO_FACTS, approvals=False)
            facts = replace(facts, replaced=f"Attempt {subject.stored.attempt_no}: {mark(rerun).word.lower()}")
        transition = subject.extra.transition
        if ended_build.conclusion in NO_RESULT:  # the counts of a build that was stopped compare with nothing
            transition = replace(transition, baseline=None)
        message = notification(
            ended_build,
            transition=transition.with_counts(ended_build.issues),
            label=subject.label,
            connection_label=subject.provider.label,
            reason=row.reason,
            now=self._clock(),
            actions=verbs,
            attempt_no=row.attempt_no,
            rerun=rerun,
            rerun_no=subject.stored.attempt_no,
            failures=failures,
            late=subject.extra.late,
            repeated=subject.repeated,
            mention=await self._mention(row, subject.extra, subject.provider, build),
            counts=counts,
            corrected=subject.extra.correction,
            standing=standing(subject.extra, subject.red, ended_build),
            facts=facts,
        )
        return Drawn(message=message, card=True)

    async def _failures(self, build: Build, attempt: AttemptRow) -> Failures:
        """Return what failed first in an attempt, and whether it is known as flaky on its ref."""
        kept = unpack_failures(attempt)
        if not kept:
            return NO_FAILURES
        ref = build.history_ref
        history = (
            await self._store.attempts.of_ref(build.connection, build.pipeline, ref, limit=FLAKY_AMONG)
            if ref is not None
            else []
        )
        flaky = flakiness(kept[0], history)
        return Failures(
            first=kept[0],
            more=max(attempt.failures_total - 1, 0),
            flaky_of=(flaky.failed, flaky.results) if flaky is not None else None,
            ref=build.ref or "",
        )

    async def _summary(self, row: NewNotification, extra: Extra, *, repeated: bool) -> Drawn | None:
        builds: list[Build] = []
        labels: dict[tuple[str, str], str] = {}
        facts: dict[BuildKey, Facts] = {}
        for connection, pipeline, id_ in extra.builds:
            entry = await self._store.builds.get(BuildKey(connection=connection, pipeline=pipeline, id=id_))
            if entry is not None and self._provider_of(row.team, connection) is not None:
                build, stored = entry
                builds.append(of_attempt(build, stored.began_at))
                facts[build.key] = facts_of(row.team, stored, (), None, attempt_no=stored.attempt_no)
                labels[connection, pipeline] = await self._label(row, build)
        if not builds:
            return None
        builds.sort(key=lambda build: build.completed_at or self._clock())
        return Drawn(
            message=summary_notification(
                builds,
                labels=labels,
                now=self._clock(),
                reason=row.reason,
                repeated=repeated,
                happened=_happened(extra),
                facts=facts,
            )
        )

    async def _escalation(self, row: NewNotification, extra: Extra, *, repeated: bool) -> Drawn | None:
        """Draw the call for somebody to look after a red branch; None where it was green before the call was posted."""
        red = await self._store.red_branches.rooted_at(_key(row), row.attempt_no, row.team, row.channel)
        entry = await self._store.builds.get(_key(row))
        provider = await self._provider(row)
        if red is None or entry is None or provider is None:
            return None
        build, label = entry[0], await self._label(row, entry[0])
        if red.closed_at is not None:
            if not isinstance(row, NotificationRow) or row.state != NotificationState.SENT:
                return None
            over = escalation_over(build, label=label, by=red.closed_by, red_seconds=red.red_seconds)
            return Drawn(message=_marked(over, repeated=repeated), card=True)
        first = await self._store.builds.by_number(row.connection, row.pipeline, red.since) if red.since else None
        since_when = first.completed_at if first is not None and first.completed_at is not None else red.opened_at
        message = escalation_notification(
            build,
            label=label,
            red_seconds=since(min(since_when, red.opened_at), row.created_at),
            streak=red.streak,
            claimed_by=red.claimed_by,
            mention=await self._mention(row, extra, provider, build),
            actions=self._verbs(provider, build, Facts(is_claimed=bool(red.claimed_by)), approvals=False)
            & ESCALATION_VERBS,
        )
        return Drawn(message=_marked(message, repeated=repeated), live=True, card=True)

    def _outage(self, row: NewNotification, extra: Extra, event: Event) -> Message:
        provider = self._provider_of(row.team, row.connection)
        label = f"{provider.label} ({row.connection})" if provider else row.connection
        since = datetime.fromisoformat(row.build)
        if event is Event.OUTAGE:
            return outage_notification(label, since, extra.text)
        return outage_over(label, since, row.created_at)

    async def _mention(self, row: NewNotification, extra: Extra, provider: AnyProvider, build: Build) -> str | None:
        """Return whom the notification mentions, as a Slack id: nobody who has left or switched mentions off."""
        who: str | None = extra.mention or None
        if who == AUTHOR:
            who = await self._people.author(row.team, build.author, provider.kind) if build.author else None
        if who is None or who == row.channel:
            return None
        is_person = who.startswith(("U", "W"))
        return who if not is_person or await self._people.may_mention(row.team, who) else None

    async def _provider(self, row: NewNotification) -> AnyProvider | None:
        """Return the connection of a notification; one that this process does not have yet is read from the store once."""
        provider = self._provider_of(row.team, row.connection)
        if provider is None:
            await self._refresh()
            provider = self._provider_of(row.team, row.connection)
        return provider

    async def _label(self, row: NewNotification, build: Build | None) -> str:
        place = (build.connection, build.pipeline) if build else (row.connection, row.pipeline)
        for followed in await self._store.links.of_channel(row.team, row.channel):
            if (followed.connection, followed.pipeline) == place:
                return followed.alias or followed.name
        listed = await self._store.pipelines.get(*place)
        if listed is not None:
            return listed.name
        return (build.workflow or build.repo if build else None) or place[1]

    async def _usual(self, build: Build) -> float | None:
        """Return the median duration of the passed builds of a ref; of a pull request without any, of its target."""
        ref = build.history_ref
        target = None
        if build.target_branch:
            target = Ref(kind=RefKind.BRANCH, name=build.target_branch, job=ref.job if ref else None)
        for history in (ref, target):
            if history is None:
                continue
            attempts = await self._store.attempts.of_ref(build.connection, build.pipeline, history, limit=USUAL_OF)
            seconds = [row.seconds for row in attempts if row.seconds is not None and row.conclusion == "passed"]
            if seconds:
                return median(seconds)
        return None

    async def _approvals(self, provider: AnyProvider, build: Build) -> tuple[Approval, ...]:
        if not build.waiting or not provider.can(Capability.APPROVALS):
            return ()
        try:
            return (await provider.approvals(build.pipeline, build.id))[:MOST_APPROVALS]
        except ProviderError:
            return ()


def _happened(extra: Extra) -> str:
    if extra.quiet:
        return "while this was muted"
    return "finished within a minute" if extra.storm else "finished while I was away"


def _key(row: NewNotification) -> BuildKey:
    return BuildKey(connection=row.connection, pipeline=row.pipeline, id=row.build)


def _replaced_by(successor: Build) -> Markup:
    """Return what stands on the cards of a build that its system retried as another one."""
    number = successor.label or successor.number
    return Markup(f"Retried as {link(successor.web_url, f'#{number}' if number is not None else 'a new build')}")


def _next_cell(usual_seconds: float | None) -> float:
    """Return after how many seconds a running card's bar has another cell: no card is edited more often than each 15 s."""
    return min(max((usual_seconds or MOVES_SECONDS * BAR_CELLS) / BAR_CELLS, CARD_PAUSE.total_seconds()), MOVES_SECONDS)


def _with_end(build: Build, attempt: AttemptRow) -> Build:
    """Return a build with how its present attempt ended, whatever else is known of it."""
    counts = unpack_counts(attempt.counts)
    return replace(
        build.with_issues(counts if attempt.counts else build.issues),
        completed_at=build.completed_at or attempt.completed_at,
        conclusion=Conclusion(attempt.conclusion) if attempt.conclusion else None,
        status=Status.COMPLETED,
    )


def _as_ended(build: Build, attempt: AttemptRow) -> Build:
    """Return a build as an earlier attempt of it ended."""
    started_at = None
    if attempt.seconds is not None:
        started_at = attempt.completed_at - timedelta(seconds=attempt.seconds + attempt.approval_seconds)
    return replace(
        build.with_issues(unpack_counts(attempt.counts)),
        created_at=started_at,
        started_at=started_at,
        completed_at=attempt.completed_at,
        conclusion=Conclusion(attempt.conclusion) if attempt.conclusion else None,
        status=Status.COMPLETED,
        waiting=False,
        # These are the present attempt's.
        raw_state=None,
        reason=None,
        jobs=None,
        details={},
    )


def _marked(message: Message, *, repeated: bool) -> Message:
    """Return a message that says, where `repeated`, that it may stand in the channel already."""
    if not repeated:
        return message
    return replace(
        message, blocks=(*message.blocks, context("Possibly repeated: Slack did not say whether it took it"))
    )
