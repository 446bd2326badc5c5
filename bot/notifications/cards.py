"""What a notification looks like now: gathers the build, its attempt, its approvals and its first failure, and draws them.

A card shows one build in one channel. Whatever was true when the notification was decided (`Extra`) stays; the build is
always the latest known.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from statistics import median
from typing import Protocol

import msgspec

from bot.blocks.build import build_card
from bot.blocks.message import Message, context, sections
from bot.blocks.notification import (
    approval_notification,
    notification,
    outage_notification,
    outage_over,
    summary_notification,
)
from bot.blocks.text import Markup
from bot.core.clock import Clock
from bot.core.errors import ProviderError
from bot.core.models import Approval, Build, BuildKey, Conclusion, Issue, Person, Status
from bot.notifications.notification import AUTHOR, Event, Extra
from bot.notifications.outbox import Drawn
from bot.providers.base.capabilities import Capability
from bot.providers.base.provider import AnyProvider
from bot.store import Store, unpack_counts
from bot.store.tables import BuildRow, NotificationRow

Verbs = Callable[[AnyProvider, Build | None], frozenset[str]]
USUAL_OF = 10
MOST_GATES = 5


class Folk(Protocol):
    """What is needed of `bot.slack.people.People`."""

    async def author(self, team: str, author: Person, kind: str) -> str | None:
        """Return the Slack user that a commit's author is."""
        ...

    async def may_mention(self, team: str, user: str) -> bool:
        """Return whether somebody wants to be told by name."""
        ...


class Cards:
    """Draws notifications and cards.

    `provider_of` returns a connection (by workspace and name) where the workspace may see it; `verbs_of` says which
    verbs a system allows on a build.
    """

    def __init__(
        self,
        store: Store,
        *,
        provider_of: Callable[[str, str], AnyProvider | None],
        people: Folk,
        verbs_of: Verbs,
        clock: Clock,
    ) -> None:
        self._store = store
        self._provider_of = provider_of
        self._people = people
        self._verbs_of = verbs_of
        self._clock = clock

    async def draw(self, row: NotificationRow, *, repeated: bool) -> Drawn | None:
        """Return what a notification looks like now, or None where its build or connection is gone."""
        extra = Extra.of(row.extra)
        event = Event(row.event)
        match event:
            case Event.OUTAGE | Event.OUTAGE_OVER:
                return Drawn(message=_marked(self._outage(row, extra, event), repeated=repeated))
            case Event.SUMMARY:
                return await self._summary(row, extra, repeated=repeated)
            case Event.DIGEST:
                digest = Message(text=extra.text, blocks=sections(extra.lines))
                return Drawn(message=_marked(digest, repeated=repeated))
            case Event.STARTED | Event.FINISHED | Event.BLOCKED:
                return await self._build(row, extra, event, repeated=repeated)

    async def _build(self, row: NotificationRow, extra: Extra, event: Event, *, repeated: bool) -> Drawn | None:
        known = await self._store.builds.get(_key(row))
        provider = self._provider_of(row.team, row.connection)
        if known is None or provider is None:
            return None
        build, stored = known
        label = await self._label(row, build)
        is_over = stored.attempt_no > row.attempt_no
        verbs = frozenset[str]() if is_over else self._verbs_of(provider, build)
        now = self._clock()
        match event:
            case Event.STARTED:
                note = None
                if is_over:
                    note = f"Attempt {stored.attempt_no} of this build has its own card."
                card = build_card(
                    build,
                    label=label,
                    now=now,
                    connection_label=provider.label,
                    actions=verbs,
                    attempt_no=row.attempt_no,
                    headline=Markup(extra.headline) if extra.headline else None,
                    usual_seconds=await self._usual(build),
                    approvals=await self._approvals(provider, build),
                    note=note,
                )
                live = not build.completed and not is_over
                return Drawn(
                    message=_marked(card, repeated=repeated),
                    live=live,
                    card=True,
                    moves=live and build.status is Status.IN_PROGRESS and not build.waiting,
                )
            case Event.BLOCKED:
                approvals = await self._approvals(provider, build)
                card = approval_notification(
                    build,
                    approvals,
                    label=label,
                    connection_label=provider.label,
                    now=now,
                    actions=verbs if approvals else verbs - {"approve", "reject"},
                    attempt_no=row.attempt_no,
                    requester=stored.started_by or None,
                    mention=await self._mention(row, extra, provider, build),
                    decision=None
                    if approvals or build.waiting
                    else Markup(extra.text)
                    if extra.text
                    else "Nothing waits there any more.",
                    reason=row.reason,
                    repeated=repeated,
                )
                return Drawn(message=card, live=bool(approvals), card=True)
            case _:
                return await self._finished(row, extra, provider, build, stored, label, repeated=repeated)

    async def _finished(
        self,
        row: NotificationRow,
        extra: Extra,
        provider: AnyProvider,
        build: Build,
        stored: BuildRow,
        label: str,
        *,
        repeated: bool,
    ) -> Drawn:
        attempt = await self._store.attempts.get(_key(row), row.attempt_no)
        is_over = stored.attempt_no > row.attempt_no
        shown = build
        failures: tuple[Issue, ...] = ()
        total = 0
        if attempt is not None:
            counts = unpack_counts(attempt.counts)
            shown = replace(
                build.with_issues(counts if attempt.counts or is_over else build.issues),
                started_at=None if is_over else build.started_at,
                completed_at=attempt.completed_at if is_over else build.completed_at or attempt.completed_at,
                conclusion=Conclusion(attempt.conclusion) if attempt.conclusion else None,
                status=Status.COMPLETED,
            )
            if attempt.failures:
                failures = msgspec.json.decode(attempt.failures, type=tuple[Issue, ...])
                total = attempt.failures_total
        message = notification(
            shown,
            transition=extra.transition.with_counts(shown.issues),
            label=label,
            connection_label=provider.label,
            reason=f"{row.reason}. Attempt {stored.attempt_no} has replaced it" if is_over else row.reason,
            now=self._clock(),
            actions=frozenset() if is_over else self._verbs_of(provider, build),
            attempt_no=row.attempt_no,
            first_failure=failures[0] if failures else None,
            more_failures=max(total - 1, 0),
            late=extra.late,
            repeated=repeated,
            mention=await self._mention(row, extra, provider, build),
            counts_pending=provider.can(Capability.COUNTS)
            and attempt is not None
            and not attempt.counts
            and attempt.counts_due_at is not None,
        )
        return Drawn(message=message, card=True)

    async def _summary(self, row: NotificationRow, extra: Extra, *, repeated: bool) -> Drawn | None:
        builds: list[Build] = []
        labels: dict[tuple[str, str], str] = {}
        for connection, pipeline, id_ in extra.builds:
            known = await self._store.builds.get(BuildKey(connection=connection, pipeline=pipeline, id=id_))
            if known is not None and self._provider_of(row.team, connection) is not None:
                builds.append(known[0])
                labels[connection, pipeline] = await self._label(row, known[0])
        if not builds:
            return None
        builds.sort(key=lambda build: build.completed_at or self._clock())
        return Drawn(
            message=summary_notification(
                builds, labels=labels, now=self._clock(), reason=row.reason, repeated=repeated, quiet=extra.quiet
            )
        )

    def _outage(self, row: NotificationRow, extra: Extra, event: Event) -> Message:
        provider = self._provider_of(row.team, row.connection)
        label = f"{provider.label} ({row.connection})" if provider else row.connection
        since = datetime.fromisoformat(row.build)
        if event is Event.OUTAGE:
            return outage_notification(label, since, extra.text)
        return outage_over(label, since, row.created_at)

    async def _mention(self, row: NotificationRow, extra: Extra, provider: AnyProvider, build: Build) -> str | None:
        """Return whom the notification tells by name, in Slack's id, if anybody: nobody who has left or wants none of it."""
        who: str | None = extra.mention or None
        if who == AUTHOR:
            who = await self._people.author(row.team, build.author, provider.kind) if build.author else None
        if who is None or who == row.channel:
            return None
        is_person = who.startswith(("U", "W"))
        return who if not is_person or await self._people.may_mention(row.team, who) else None

    async def _label(self, row: NotificationRow, build: Build) -> str:
        for link in await self._store.links.of_channel(row.team, row.channel):
            if (link.connection, link.pipeline) == (build.connection, build.pipeline):
                return link.alias or link.name
        listed = await self._store.pipelines.get(build.connection, build.pipeline)
        return listed.name if listed is not None else build.workflow or build.repo or build.pipeline

    async def _usual(self, build: Build) -> float | None:
        attempts = await self._store.attempts.history(
            build.connection, build.pipeline, build.branch or "", limit=USUAL_OF
        )
        seconds = [one.seconds for one in attempts if one.seconds is not None and one.conclusion == "passed"]
        return median(seconds) if seconds else None

    async def _approvals(self, provider: AnyProvider, build: Build) -> tuple[Approval, ...]:
        if not build.waiting or not provider.can(Capability.APPROVALS):
            return ()
        try:
            return (await provider.approvals(build.pipeline, build.id))[:MOST_GATES]
        except ProviderError:
            return ()


def _key(row: NotificationRow) -> BuildKey:
    return BuildKey(connection=row.connection, pipeline=row.pipeline, id=row.build)


def _marked(message: Message, *, repeated: bool) -> Message:
    """Return a message that says, where that is so, that it may stand in the channel already."""
    if not repeated:
        return message
    return replace(
        message, blocks=(*message.blocks, context("Possibly repeated: Slack did not say whether it took it"))
    )
