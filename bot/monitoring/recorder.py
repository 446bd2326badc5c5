"""Persist polled builds, their attempts and the notifications they cause, in one transaction."""

import logging
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from bot.core.clock import Clock
from bot.core.models import Build, BuildKey
from bot.notifications import commit_cards, decisions, red_threads
from bot.providers.base.capabilities import Capability
from bot.providers.base.provider import AnyProvider
from bot.store import Recorded, Store, Transaction
from bot.store.rows import PollTargetRow, RedBranchRow
from bot.store.states import BuildPurpose

log = logging.getLogger(__name__)


class Recorder:
    """Records builds. `sees` says whether a workspace may see a connection."""

    def __init__(self, store: Store, *, clock: Clock, sees: Callable[[str, str], bool]) -> None:
        self._store = store
        self._clock = clock
        self._sees = sees

    async def record(
        self, builds: Sequence[Build], provider: AnyProvider, *, claimed: PollTargetRow | None = None
    ) -> list[Recorded]:
        """Write polled builds with their notifications and return what was new, oldest end first.

        Where the poll target that they were polled by (`claimed`) was deleted or taken over meanwhile, nothing is written.
        An end that changes the comparison of newer builds corrects their notifications and cards.
        """
        if not await self._store.recording.has_news(builds):
            return []
        now = self._clock()
        can_count, can_list = provider.can(Capability.COUNTS), provider.can(Capability.ISSUES)
        async with self._store.transaction() as tx:
            if claimed is not None and not await tx.polling.is_held(claimed):
                log.info("a poll came too late", extra={"connection": claimed.connection, "part": claimed.part})
                return []
            recorded = await tx.recording.record(
                builds,
                now=now,
                counts_after=timedelta(0) if can_count or can_list else None,
                asks_history=True,
                asks_always=provider.can(Capability.UPLOADS),
            )
            # A search for a commit shows its own builds: nobody else is notified of them.
            news = [item for item in recorded if item.row.purpose is BuildPurpose.NORMAL]
            rows = decisions.decide(
                news,
                now=now,
                can_count=can_count,
                can_list=can_list,
                sees=lambda team: self._sees(team, provider.connection),
            )
            open_rows: list[RedBranchRow] = []
            for of in red_threads.refs_of(news):
                open_rows += await tx.red_branches.open_of(of.connection, of.pipeline, of.ref)
            cards = await _on_commit_cards(tx, news, now)
            planned = red_threads.plan(news, commit_cards.grouped(news, rows, cards), open_rows, now)
            await tx.notifications.add(planned.rows)
            await tx.red_branches.save(planned.red, now)
            for card in commit_cards.touched(news, cards):
                await tx.cards.redraw_at(card.key, team=card.team, channel=card.channel, now=now, at_once=card.is_over)
            for item in news:
                await self._reopen(tx, item, now)
                await _correct(tx, item, _called(item.build), now)
                await _replace(tx, item, now)
                if item.finished is not None and any(watch.build for watch in item.watches):
                    await tx.watches.end(item.build.key)
        return recorded

    async def _reopen(self, tx: Transaction, item: Recorded, now: datetime) -> None:
        """Notify the links that stayed silent for a conclusion which was wrong."""
        if item.corrected is None:
            return
        rows = await tx.notifications.finished([(item.build.key, item.attempt_no)])
        for again in decisions.reopened(rows, item, now, lambda team: self._sees(team, item.build.connection)):
            await tx.notifications.reopen(
                again.notification_id, state=again.state, reason=again.reason, extra=again.extra, now=now
            )

    async def record_history(self, builds: Sequence[Build], newest: Build) -> None:
        """Write earlier builds of a ref that nobody is notified of, and correct the notifications of newer ones."""
        now = self._clock()
        async with self._store.transaction() as tx:
            if not await tx.builds.is_tracked(newest.key):
                return
            for item in await tx.recording.record(builds, now=now):
                await _correct(tx, item, "", now)

    async def recount(self, key: BuildKey, attempt_no: int) -> None:
        """Correct what was said of newer builds before the counts of an attempt were read."""
        async with self._store.transaction() as tx:
            item = await tx.recording.recounted(key, attempt_no)
            if item is not None:
                await _correct(tx, item, "", self._clock())


async def _on_commit_cards(tx: Transaction, recorded: Sequence[Recorded], now: datetime) -> dict[BuildKey, str]:
    """Put builds on the cards of their commits where a channel shows them so, and return on which card each stands."""
    builds = [item.build for item in recorded if commit_cards.is_grouped(item)]
    if not builds:
        return {}
    own, pulls = ({of(build) for build in builds} - {""} for of in (commit_cards.card_of, commit_cards.pull_of))
    known = await tx.commit_rows.near(own, pulls)
    rows = commit_cards.placed(builds, known, now)
    await tx.commit_rows.add(rows)
    return {BuildKey(connection=row.connection, pipeline=row.pipeline, id=row.build): row.card for row in rows}


async def _correct(tx: Transaction, item: Recorded, cause: str, now: datetime) -> None:
    """Correct what was said of attempts before an end was known as it is now; `cause` names its build."""
    claims = decisions.corrected([item])
    decided = await tx.notifications.finished(list(claims))
    changed = decisions.corrections(decided, claims, cause, now)
    await tx.notifications.correct(changed.extras, now)
    await tx.notifications.add(changed.replies)


async def _replace(tx: Transaction, item: Recorded, now: datetime) -> None:
    """Say on the cards of a build that somebody rebuilt at the CI system's own page what stands in its place."""
    build = item.build
    if item.first_seen and build.rebuilt_from is not None and build.rebuilt_from != build.id:
        old = BuildKey(connection=build.connection, pipeline=build.pipeline, id=build.rebuilt_from)
        await tx.recording.replace(old, text=f"Rebuilt as {_called(build)}", url=build.web_url or "", now=now)


def _called(build: Build) -> str:
    return f"#{build.number}" if build.number is not None else build.label or "an earlier build"
