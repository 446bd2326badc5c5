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
from bot.blocks.build import build_card, commit_card, short_card, signal_over
from bot.blocks.lines import NO_FACTS, Facts, Note
from bot.blocks.message import Message, context, sections
from bot.blocks.notification import (
    NEW_BREAKAGE,
    Counts,
    approval_notification,
    branch_changed,
    escalation_notification,
    green_again,
    notification,
    outage_notification,
    outage_over,
    red_standing,
    summary_notification,
)
from bot.blocks.text import DOT, Markup, mark, mention, since, when
from bot.core.clock import Clock
from bot.core.errors import ProviderError
from bot.core.models import NO_RESULT, Approval, Build, BuildKey, Conclusion, Issue, Ref, RefKind, Status
from bot.notifications.commit_cards import commit_of
from bot.notifications.filters import filter_of
from bot.notifications.notification import AUTHOR, Event, Extra
from bot.notifications.outbox import MOVES_SECONDS, Drawn
from bot.notifications.red_threads import red_streak
from bot.providers.base.capabilities import Capability
from bot.providers.base.provider import AnyProvider
from bot.slack.people import People
from bot.store import Store, unpack_counts
from bot.store.attempts import COUNTS_GIVEN_UP
from bot.store.claims import KEPT_FOR as CLAIM_KEPT_FOR
from bot.store.recording import CARD_PAUSE
from bot.store.rows import AttemptRow, BuildRow, CardNoteRow, ClaimRow, NewNotification, RedBranchRow
from bot.store.states import NoteKind, NotificationState
from bot.store.times import of_attempt

USUAL_OF = 20
CANCELLED_IT = "cancelled it"
"""What a note says of a cancel without a reason: nothing more than line 2 of the notification."""
MOST_APPROVALS = 5
BAR_CELLS = 10
COUNTS_COME = timedelta(seconds=60)
"""How long after an end the card of its commit is drawn anew: issue counts come later."""
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
    ) -> None:
        self._store = store
        self._provider_of = provider_of
        self._people = people
        self._clock = clock
        self._refresh = refresh
        self._offers = offers

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
                digest = Message(text=extra.text, blocks=sections(extra.lines))
                return Drawn(message=_marked(digest, repeated=repeated))
            case Event.BRANCH_CHANGED:
                label = await self._label(row, None)
                return Drawn(message=_marked(branch_changed(label, extra.headline, extra.text), repeated=repeated))
            case Event.COMMIT:
                return await self._commit(row, repeated=repeated)
            case Event.ESCALATED | Event.UNFIXED:
                return await self._escalation(row, extra, event, repeated=repeated)
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
        facts = _facts(row, stored, notes, claim)
        red = await self._store.red_branches.rooted_at(_key(row), row.attempt_no, row.team, row.channel)
        if red is not None and red.claimed_by and red.claimed_at is not None and not facts.is_claimed:
            note = Note(text="is on it", at=red.claimed_at, user=red.claimed_by)
            facts = replace(facts, notes=(*facts.notes, note), is_claimed=True)
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
            red=red,
        )
        match event:
            case Event.BLOCKED:
                return await self._blocked(subject)
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
            pointer = await self._full_card(row, build, waits=False) if not row.thread else ""
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
        card = approval_notification(
            build,
            approvals,
            label=subject.label,
            connection_label=subject.provider.label,
            now=self._clock(),
            actions=self._verbs(subject.provider, build, facts, approvals=bool(approvals)),
            attempt_no=row.attempt_no,
            requester=facts.starter or None,
            mention=await self._mention(row, subject.extra, subject.provider, build),
            decision=None if waits else _decision(subject.extra, facts, subject.provider, build),
            reason=row.reason,
            repeated=subject.repeated,
            facts=facts,
        )
        return Drawn(message=card, live=waits, card=True, moves=waits)

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
            standing=_standing(subject.extra, subject.red),
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
                builds, labels=labels, now=self._clock(), reason=row.reason, repeated=repeated, quiet=extra.quiet
            )
        )

    async def _commit(self, row: NewNotification, *, repeated: bool) -> Drawn | None:
        """Draw the card of a commit: the newest build of each pipeline that the channel groups, and one verdict."""
        links = [
            link
            for link in await self._store.links.of_channel(row.team, row.channel)
            if filter_of(link).is_by_commit and self._provider_of(row.team, link.connection) is not None
        ]
        places = {(link.connection, link.pipeline): link.alias or link.name for link in links}
        newest: dict[tuple[str, str], Build] = {}
        stored = await self._store.builds.of_commit(commit_of(row.build), sorted({link.connection for link in links}))
        for build in stored:
            if (build.connection, build.pipeline) in places and build.conclusion is not Conclusion.RETRIED:
                newest.setdefault((build.connection, build.pipeline), build)
        if not newest:
            return None
        builds = [newest[place] for place in places if place in newest]
        now = self._clock()
        providers = {build.connection: self._provider_of(row.team, build.connection) for build in builds}
        message = commit_card(
            builds,
            labels=places,
            connection_labels={name: provider.label for name, provider in providers.items() if provider is not None},
            now=now,
            reason=row.reason,
            offers=self._offers,
        )
        is_open = any(not build.completed for build in builds)
        just_ended = any(build.completed_at is not None and now - build.completed_at < COUNTS_COME for build in builds)
        return Drawn(
            message=_marked(message, repeated=repeated),
            live=is_open,
            card=True,
            moves=is_open or just_ended,
            moves_after=MOVES_SECONDS if is_open else CARD_PAUSE.total_seconds(),
        )

    async def _escalation(self, row: NewNotification, extra: Extra, event: Event, *, repeated: bool) -> Drawn | None:
        """Draw the call for somebody to look after a red branch; None where it is green again."""
        red = await self._store.red_branches.rooted_at(_key(row), row.attempt_no, row.team, row.channel)
        entry = await self._store.builds.get(_key(row))
        provider = await self._provider(row)
        if red is None or entry is None or provider is None or red.closed_at is not None:
            return None
        build = entry[0]
        facts = Facts(is_claimed=event is Event.UNFIXED)
        message = escalation_notification(
            build,
            label=await self._label(row, build),
            red_seconds=since(red.opened_at, row.created_at),
            streak=red.streak,
            claimed_by=red.claimed_by,
            mention=await self._mention(row, extra, provider, build),
            actions=self._verbs(provider, build, facts, approvals=False) & ESCALATION_VERBS,
        )
        return Drawn(message=_marked(message, repeated=repeated))

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


def _next_cell(usual_seconds: float | None) -> float:
    """Return after how many seconds a running card's bar has another cell: no card is edited more often than each 15 s."""
    return min(max((usual_seconds or MOVES_SECONDS * BAR_CELLS) / BAR_CELLS, CARD_PAUSE.total_seconds()), MOVES_SECONDS)


def _standing(extra: Extra, red: RedBranchRow | None) -> Markup | str:
    """Return what ends line 2 of a card: what has become of the red branch whose thread hangs on it."""
    if extra.is_new_breakage:
        return NEW_BREAKAGE
    if red is None:
        return ""
    if red.closed_at is not None:
        return green_again(red.closed_by, red.red_seconds)
    return red_standing(red.streak, red.since) if red.streak > red_streak(extra.transition) else ""


def _replaced_words(note: CardNoteRow) -> str:
    return f"{mention(note.user)} {note.text}{DOT}{when(note.at)}" if note.user else note.text


def _decision(extra: Extra, facts: Facts, provider: AnyProvider, build: Build) -> Markup | str:
    """Return the line that stands where an approval was open."""
    if extra.text:
        return Markup(extra.text)
    if facts.replaced:
        return facts.replaced
    return "Ended" if build.completed else f"Decided in {provider.label}"


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
