"""Draw notifications and cards: gather the build, its attempt, its approvals, its first failure and what people did about it.

A card shows one build in one channel. Whatever was true when the notification was decided (`Extra`) stays; the build is
always the latest known.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from statistics import median

import msgspec

from bot.blocks.available_actions import available_actions
from bot.blocks.build import build_card, short_card
from bot.blocks.lines import NO_FACTS, Facts, Note
from bot.blocks.message import Message, actions, button, context, sections
from bot.blocks.notification import (
    Counts,
    approval_notification,
    branch_changed,
    decided_notification,
    notification,
    outage_notification,
    outage_over,
    reminder_notification,
    summary_notification,
)
from bot.blocks.text import DOT, Markup, mark, mention, safe, when
from bot.core.clock import Clock
from bot.core.errors import ProviderError
from bot.core.models import NO_RESULT, Approval, Build, BuildKey, Conclusion, Issue, Ref, RefKind, Status
from bot.core.policies import Policy
from bot.notifications.approval_context import ApprovalContext
from bot.notifications.approval_policies import breach, policy_of
from bot.notifications.decisions import REMIND_AFTER
from bot.notifications.notification import AUTHOR, Event, Extra
from bot.notifications.outbox import Drawn
from bot.providers.base.capabilities import Capability
from bot.providers.base.provider import AnyProvider
from bot.slack.people import People
from bot.store import Store, unpack_counts
from bot.store.attempts import COUNTS_GIVEN_UP
from bot.store.claims import KEPT_FOR as CLAIM_KEPT_FOR
from bot.store.rows import AttemptRow, BuildRow, CardNoteRow, ClaimRow, NewNotification
from bot.store.states import NoteKind, NotificationState
from bot.store.times import of_attempt

USUAL_OF = 20
CANCELLED_IT = "cancelled it"
"""What a note says of a cancel without a reason: nothing more than line 2 of the notification."""
MOST_APPROVALS = 5


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

    async def draw(self, row: NewNotification, *, repeated: bool) -> Drawn | None:
        """Draw a notification as of now; None if its build or connection is gone."""
        extra = Extra.of(row.extra)
        event = Event(row.event)
        match event:
            case Event.OUTAGE | Event.OUTAGE_OVER:
                return Drawn(message=_marked(self._outage(row, extra, event), repeated=repeated))
            case Event.SUMMARY:
                return await self._summary(row, extra, repeated=repeated)
            case Event.DIGEST | Event.UNDRAWABLE:
                tune = (actions(button("Tune noise", "stats --noise")),) if event is Event.DIGEST else ()
                digest = Message(text=extra.text, blocks=(*sections(extra.lines), *tune))
                return Drawn(message=_marked(digest, repeated=repeated))
            case Event.BRANCH_CHANGED:
                label = await self._label(row, None)
                return Drawn(message=_marked(branch_changed(label, extra.headline, extra.text), repeated=repeated))
            case Event.STARTED | Event.FINISHED | Event.BLOCKED | Event.DECIDED | Event.REMINDER:
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
        facts = _facts(row, stored, notes, claim)
        if stored.attempt_no != row.attempt_no:
            facts = replace(facts, starter=await self._starter_before(row))
        subject = _Subject(
            row=row,
            extra=extra,
            provider=provider,
            build=build,
            stored=stored,
            facts=facts,
            label=await self._label(row, build),
            repeated=repeated,
        )
        match event:
            case Event.STARTED:
                return await self._started(subject)
            case Event.BLOCKED:
                return await self._blocked(subject)
            case Event.DECIDED:
                return await self._decided(subject)
            case Event.REMINDER:
                return await self._reminder(subject)
            case _:
                return await self._finished(subject)

    async def _starter_before(self, row: NewNotification) -> str:
        """Return who started an earlier attempt through the bot: the one its live card names."""
        rows = await self._store.notifications.of_build(_key(row), row.team)
        live = (other for other in rows if other.event == Event.STARTED and other.attempt_no == row.attempt_no)
        return next((other.user for other in live), "")

    def _verbs(self, provider: AnyProvider, build: Build, facts: Facts, *, approvals: bool) -> frozenset[str]:
        if not self._offers:
            return frozenset()
        return available_actions(
            build,
            provider.capabilities,
            cancels_waiting=provider.cancels_waiting,
            has_approvals=approvals,
            is_claimed=facts.is_claimed,
            is_replaced=bool(facts.replaced),
        )

    async def _started(self, subject: _Subject) -> Drawn:
        """Draw the live card: the full card of its build until another one is, then one line that points to it."""
        row, build = subject.row, subject.build
        if subject.is_over:
            attempt = await self._store.attempts.get(_key(row), row.attempt_no)
            build = _as_ended(build, attempt) if attempt is not None else build
        approvals = await self._approvals(subject.provider, build) if not subject.is_over else ()
        live = not build.completed and not subject.is_over
        if pointer := await self._full_card(row, build, waits=bool(approvals)):
            line = short_card(build, label=subject.label, starter=row.user or subject.facts.starter, pointer=pointer)
            return Drawn(message=_marked(line, repeated=subject.repeated), live=live, card=True)
        card = build_card(
            build,
            label=subject.label,
            now=self._clock(),
            connection_label=subject.provider.label,
            actions=self._verbs(subject.provider, build, subject.facts, approvals=bool(approvals)),
            attempt_no=row.attempt_no,
            headline=Markup(subject.extra.headline) if subject.extra.headline else None,
            usual_seconds=await self._usual(build),
            approvals=approvals,
            facts=subject.facts,
        )
        return Drawn(message=_marked(card, repeated=subject.repeated), live=live, card=True, moves=live)

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

    async def _full_card(self, row: NewNotification, build: Build, *, waits: bool) -> str:
        """Return where the full card of a build stands in the channel, if it is another one than the live card."""
        for other in await self._store.notifications.of_build(_key(row), row.team):
            if (other.channel, other.attempt_no) != (row.channel, row.attempt_no):
                continue
            if other.state != NotificationState.SENT or other.thread != row.thread:
                continue
            if other.event == Event.FINISHED or (other.event == Event.BLOCKED and waits and build.waiting):
                return "see below"
        return ""

    async def _blocked(self, subject: _Subject) -> Drawn:
        """Draw the card of an approval: full while it is open, one line once it is decided, wherever that was."""
        row, build, facts = subject.row, subject.build, subject.facts
        is_over = subject.is_over or bool(facts.replaced)
        approvals = await self._approvals(subject.provider, build) if not is_over else ()
        is_decided = bool(subject.extra.text) and not approvals  # the system may show the build as waiting for a while
        waits = build.waiting and not is_over and not is_decided
        policy = await policy_of(build, row.team, self._store, self._policies)
        card = approval_notification(
            build,
            approvals,
            label=subject.label,
            connection_label=subject.provider.label,
            now=self._clock(),
            actions=self._verbs(subject.provider, build, facts, approvals=bool(approvals)),
            attempt_no=row.attempt_no,
            requester=facts.starter or None,
            going=await self._context.going(build, subject.provider.kind) if waits else (),
            approvers=await self._context.approvers(row, build) if waits else "",
            policy=policy.sentence if policy else "",
            reminder=facts.waiting_since + REMIND_AFTER if waits and facts.waiting_since else None,
            mention=await self._mention(row, subject.extra, subject.provider, build),
            decision=None if waits else await self._decision(subject, policy),
            reason=row.reason,
            repeated=subject.repeated,
            facts=facts,
        )
        return Drawn(message=card, live=waits, card=True, moves=waits)

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
        votes = await self._store.approvals.votes(row.team, build.key, row.attempt_no)
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

    async def _reminder(self, subject: _Subject) -> Drawn | None:
        """Draw the reminder of an open approval, for the thread of its card, which has the buttons; None for one decided."""
        build, facts = subject.build, subject.facts
        approvals = await self._approvals(subject.provider, build)
        is_decided = not approvals and subject.provider.can(Capability.APPROVALS)
        if not build.waiting or subject.is_over or facts.replaced or is_decided:
            return None
        return Drawn(
            message=reminder_notification(
                build,
                approvals,
                label=subject.label,
                now=self._clock(),
                waiting_since=facts.waiting_since,
                approvers=await self._context.approvers(subject.row, build),
                mention=await self._mention(subject.row, subject.extra, subject.provider, build),
            )
        )

    async def _finished(self, subject: _Subject) -> Drawn:
        row, build, facts = subject.row, subject.build, subject.facts
        attempt = await self._store.attempts.get(_key(row), row.attempt_no)
        ended_build, failures, total, counts = build, tuple[Issue, ...](), 0, Counts.READ
        rerun = await self._rerun(row, subject.stored, build)
        if facts.cancelled_by:
            facts = replace(facts, notes=tuple(note for note in facts.notes if note.text != CANCELLED_IT))
        if attempt is not None:
            ended_build = _as_ended(build, attempt) if subject.is_over else _with_end(build, attempt)
            facts = replace(facts, approval_seconds=attempt.approval_seconds)
            if attempt.failures:
                failures = msgspec.json.decode(attempt.failures, type=tuple[Issue, ...])
                total = attempt.failures_total
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
            first_failure=failures[0] if failures else None,
            more_failures=max(total - 1, 0),
            late=subject.extra.late,
            repeated=subject.repeated,
            mention=await self._mention(row, subject.extra, subject.provider, build),
            counts=counts,
            corrected=subject.extra.corrected,
            facts=facts,
        )
        return Drawn(message=message, card=True)

    async def _summary(self, row: NewNotification, extra: Extra, *, repeated: bool) -> Drawn | None:
        builds: list[Build] = []
        labels: dict[tuple[str, str], str] = {}
        for connection, pipeline, id_ in extra.builds:
            entry = await self._store.builds.get(BuildKey(connection=connection, pipeline=pipeline, id=id_))
            if entry is not None and self._provider_of(row.team, connection) is not None:
                builds.append(entry[0])
                labels[connection, pipeline] = await self._label(row, entry[0])
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
            )
        )

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
        for link in await self._store.links.of_channel(row.team, row.channel):
            if (link.connection, link.pipeline) == place:
                return link.alias or link.name
        listed = await self._store.pipelines.get(*place)
        if listed is not None:
            return listed.name
        return (build.workflow or build.repo if build else None) or place[1]

    async def _usual(self, build: Build) -> float | None:
        """Return the median duration of the passed builds of a ref; of a pull request without any, of its target."""
        ref = build.history_ref
        target = Ref(kind=RefKind.BRANCH, name=build.target_branch) if build.target_branch else None
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


def _facts(row: NewNotification, stored: BuildRow, notes: Sequence[CardNoteRow], claim: ClaimRow | None) -> Facts:
    """Return what the bot knows of an attempt beside its build, as one workspace may read it."""
    is_current = stored.attempt_no == row.attempt_no
    replaced = next((_replaced_words(note) for note in reversed(notes) if note.kind == NoteKind.REPLACED), "")
    if not replaced and not is_current:
        replaced = f"Attempt {stored.attempt_no} has replaced it"
    cancelled = next((note.user for note in notes if note.kind == NoteKind.CANCELLED), "")
    acts = [
        Note(text=note.text, at=note.at, user=note.user)
        for note in notes
        if note.kind in {NoteKind.ACT, NoteKind.CANCELLED}
    ]
    if claim is not None and is_current:
        acts.append(Note(text="is on it", at=claim.until - CLAIM_KEPT_FOR, user=claim.user))
    return Facts(
        starter=stored.started_by if stored.started_team == row.team and is_current else "",
        cancelled_by=cancelled,
        waiting_since=stored.waiting_since if is_current else None,
        approval_seconds=stored.approval_seconds if is_current else 0.0,
        notes=tuple(acts),
        is_claimed=claim is not None and is_current,
        replaced=replaced,
    )


def _replaced_words(note: CardNoteRow) -> str:
    return f"{mention(note.user)} {note.text}{DOT}{when(note.at)}" if note.user else note.text


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
    )


def _marked(message: Message, *, repeated: bool) -> Message:
    """Return a message that says, where `repeated`, that it may stand in the channel already."""
    if not repeated:
        return message
    return replace(
        message, blocks=(*message.blocks, context("Possibly repeated: Slack did not say whether it took it"))
    )
