"""What a notice looks like now: gathers the build, its round, its gates and its first failure, and draws them.

A card shows one build in one channel. Whatever was true when the notice was decided (`Extra`) stays; the build is
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
from bot.blocks.notice import gate_notice, notice, outage_notice, outage_over, summary_notice
from bot.blocks.text import Markup
from bot.core.clock import Clock
from bot.core.errors import ProviderError
from bot.core.models import Build, BuildKey, Conclusion, Gate, Issue, Person, Status
from bot.notifications.notification import AUTHOR, Event, Extra
from bot.notifications.outbox import Drawn
from bot.providers.base.provider import AnyProvider, Capability
from bot.store import Store, unpack_counts
from bot.store.tables import BuildRow, NoticeRow

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
    """Draws notices and cards.

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

    async def draw(self, row: NoticeRow, *, repeated: bool) -> Drawn | None:
        """Return what a notice looks like now, or None where its build or connection is gone."""
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

    async def _build(self, row: NoticeRow, extra: Extra, event: Event, *, repeated: bool) -> Drawn | None:
        known = await self._store.builds.get(_key(row))
        provider = self._provider_of(row.team, row.connection)
        if known is None or provider is None:
            return None
        build, stored = known
        label = await self._label(row, build)
        is_over = stored.round > row.round
        verbs = frozenset[str]() if is_over else self._verbs_of(provider, build)
        now = self._clock()
        match event:
            case Event.STARTED:
                note = None
                if is_over:
                    note = f"Attempt {stored.round} of this build has its own card."
                card = build_card(
                    build,
                    label=label,
                    now=now,
                    connection_label=provider.label,
                    actions=verbs,
                    round=row.round,
                    headline=Markup(extra.headline) if extra.headline else None,
                    usual_seconds=await self._usual(build),
                    gates=await self._gates(provider, build),
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
                gates = await self._gates(provider, build)
                card = gate_notice(
                    build,
                    gates,
                    label=label,
                    connection_label=provider.label,
                    now=now,
                    actions=verbs if gates else verbs - {"approve", "reject"},
                    round=row.round,
                    requester=stored.started_by or None,
                    mention=await self._mention(row, extra, provider, build),
                    decision=None
                    if gates or build.waiting
                    else Markup(extra.text)
                    if extra.text
                    else "Nothing waits there any more.",
                    reason=row.reason,
                    repeated=repeated,
                )
                return Drawn(message=card, live=bool(gates), card=True)
            case _:
                return await self._finished(row, extra, provider, build, stored, label, repeated=repeated)

    async def _finished(
        self,
        row: NoticeRow,
        extra: Extra,
        provider: AnyProvider,
        build: Build,
        stored: BuildRow,
        label: str,
        *,
        repeated: bool,
    ) -> Drawn:
        round_ = await self._store.attempts.get(_key(row), row.round)
        is_over = stored.round > row.round
        shown = build
        failures: tuple[Issue, ...] = ()
        total = 0
        if round_ is not None:
            counts = unpack_counts(round_.counts)
            shown = replace(
                build.with_issues(counts if round_.counts or is_over else build.issues),
                started_at=None if is_over else build.started_at,
                completed_at=round_.completed_at if is_over else build.completed_at or round_.completed_at,
                conclusion=Conclusion(round_.conclusion) if round_.conclusion else None,
                status=Status.COMPLETED,
            )
            if round_.failures:
                failures = msgspec.json.decode(round_.failures, type=tuple[Issue, ...])
                total = round_.failures_total
        message = notice(
            shown,
            transition=extra.transition.with_counts(shown.issues),
            label=label,
            connection_label=provider.label,
            reason=f"{row.reason}. Attempt {stored.round} has replaced it" if is_over else row.reason,
            now=self._clock(),
            actions=frozenset() if is_over else self._verbs_of(provider, build),
            round=row.round,
            first_failure=failures[0] if failures else None,
            more_failures=max(total - 1, 0),
            late=extra.late,
            repeated=repeated,
            mention=await self._mention(row, extra, provider, build),
            counts_pending=provider.can(Capability.COUNTS)
            and round_ is not None
            and not round_.counts
            and round_.counts_due_at is not None,
        )
        return Drawn(message=message, card=True)

    async def _summary(self, row: NoticeRow, extra: Extra, *, repeated: bool) -> Drawn | None:
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
            message=summary_notice(
                builds, labels=labels, now=self._clock(), reason=row.reason, repeated=repeated, quiet=extra.quiet
            )
        )

    def _outage(self, row: NoticeRow, extra: Extra, event: Event) -> Message:
        provider = self._provider_of(row.team, row.connection)
        label = f"{provider.label} ({row.connection})" if provider else row.connection
        since = datetime.fromisoformat(row.build)
        if event is Event.OUTAGE:
            return outage_notice(label, since, extra.text)
        return outage_over(label, since, row.created_at)

    async def _mention(self, row: NoticeRow, extra: Extra, provider: AnyProvider, build: Build) -> str | None:
        """Return whom the notice tells by name, in Slack's id, if anybody: nobody who has left or wants none of it."""
        who: str | None = extra.mention or None
        if who == AUTHOR:
            who = await self._people.author(row.team, build.author, provider.kind) if build.author else None
        if who is None or who == row.channel:
            return None
        is_person = who.startswith(("U", "W"))
        return who if not is_person or await self._people.may_mention(row.team, who) else None

    async def _label(self, row: NoticeRow, build: Build) -> str:
        for link in await self._store.links.of_channel(row.team, row.channel):
            if (link.connection, link.pipeline) == (build.connection, build.pipeline):
                return link.alias or link.name
        listed = await self._store.pipelines.get(build.connection, build.pipeline)
        return listed.name if listed is not None else build.workflow or build.repo or build.pipeline

    async def _usual(self, build: Build) -> float | None:
        rounds = await self._store.attempts.history(
            build.connection, build.pipeline, build.branch or "", limit=USUAL_OF
        )
        seconds = [one.seconds for one in rounds if one.seconds is not None and one.conclusion == "passed"]
        return median(seconds) if seconds else None

    async def _gates(self, provider: AnyProvider, build: Build) -> tuple[Gate, ...]:
        if not build.waiting or not provider.can(Capability.GATES):
            return ()
        try:
            return (await provider.gates(build.pipeline, build.id))[:MOST_GATES]
        except ProviderError:
            return ()


def _key(row: NoticeRow) -> BuildKey:
    return BuildKey(connection=row.connection, pipeline=row.pipeline, id=row.build)


def _marked(message: Message, *, repeated: bool) -> Message:
    """Return a message that says, where that is so, that it may stand in the channel already."""
    if not repeated:
        return message
    return replace(
        message, blocks=(*message.blocks, context("Possibly repeated: Slack did not say whether it took it"))
    )
