"""Persist polled builds, their attempts and the notifications they cause, in one transaction."""

import logging
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from bot.core.clock import Clock
from bot.core.models import Build, BuildKey, IssueCounts
from bot.notifications import commit_cards, corrections, decisions, red_threads
from bot.providers.base.capabilities import Capability
from bot.providers.base.provider import AnyProvider
from bot.store import Recorded, Store, Transaction
from bot.store.rows import NewNotification, PollTargetRow, RedBranchRow
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
                await self._correct(tx, item, _called(item.build), now)
                await _replace(tx, item, now)
                if item.finished is not None and any(watch.build for watch in item.watches):
                    await tx.watches.end(item.build.key)
        return recorded

    async def record_history(self, builds: Sequence[Build], newest: Build) -> None:
        """Write earlier builds of a ref that nobody is notified of, and correct the notifications of newer ones."""
        now = self._clock()
        async with self._store.transaction() as tx:
            if not await tx.builds.is_tracked(newest.key):
                return
            for item in await tx.recording.record(builds, now=now):
                await self._correct(tx, item, "", now)

    async def recount(self, key: BuildKey, attempt_no: int, before: IssueCounts) -> None:
        """Correct what was said of an attempt and of newer builds with the counts that were known `before` its own were read."""
        async with self._store.transaction() as tx:
            item = await tx.recording.recounted(key, attempt_no, before)
            if item is not None and item.build.issues != before:
                await self._correct(tx, item, _called(item.build), self._clock())

    async def _correct(self, tx: Transaction, item: Recorded, cause: str, now: datetime) -> None:
        """Correct what was said of attempts before an end was known as it is now; `cause` names its build."""
        claims = corrections.claims_of(item)
        rows = await tx.notifications.finished(list(claims)) if claims else []
        if not rows:
            return
        changed = corrections.corrections(rows, claims, cause, now, news=corrections.news_of(item))
        await tx.notifications.correct(changed.extras, now)
        await tx.notifications.add(changed.replies)
        await _mend_red_times(tx, item, now)
        subjects = {key: subject for key, _no in claims if (subject := await tx.builds.get(key)) is not None}
        for renewed in corrections.renewed(
            item,
            claims,
            rows,
            subjects,
            cause=cause,
            now=now,
            sees=lambda team: self._sees(team, item.build.connection),
        ):
            if await _renew(tx, renewed, now):
                await _mend_red_times(tx, item, now)


async def _on_commit_cards(tx: Transaction, recorded: Sequence[Recorded], now: datetime) -> dict[BuildKey, str]:
    """Put builds on the cards of their commits where a channel shows them so, and return on which card each stands."""
    builds = [item.build for item in recorded if commit_cards.is_grouped(item)]
    if not builds:
        return {}
    own, pulls = ({of(build) for build in builds} - {""} for of in (commit_cards.card_of, commit_cards.pull_of))
    placed_rows = await tx.commit_rows.near(own, pulls)
    rows = commit_cards.placed(builds, placed_rows, now)
    await tx.commit_rows.add(rows)
    return {BuildKey(connection=row.connection, pipeline=row.pipeline, id=row.build): row.card for row in rows}


async def _mend_red_times(tx: Transaction, item: Recorded, now: datetime) -> None:
    """Correct the red times of a ref after one of its ends turned out to be another one."""
    ref, end = item.build.history_ref, item.end
    if ref is None or end is None or item.recounted is not None:
        return
    red_times = await tx.red_branches.newest_of(item.build.connection, item.build.pipeline, ref)
    history = decisions.past((*item.history, end))
    await tx.red_branches.save(red_threads.mended(red_times, history, now), now)


async def _renew(tx: Transaction, renewed: corrections.Renewed, now: datetime) -> bool:
    """Notify those of an attempt who stayed silent for what was not true, and return whether a red time was opened."""
    again = [renewed.recorded]
    open_rows: list[RedBranchRow] = []
    for of in red_threads.refs_of(again) if renewed.rows else ():
        open_rows += await tx.red_branches.open_of(of.connection, of.pipeline, of.ref)
    cards = await _on_commit_cards(tx, again, now)
    planned = red_threads.plan(again, commit_cards.grouped(again, renewed.rows, cards), open_rows, now)
    fresh: list[NewNotification] = []
    for row in (*planned.rows, *renewed.still):
        silent = renewed.silent.get(corrections.place_of(row))
        if silent is None or row.event != silent.event:
            fresh.append(row)
        else:
            await tx.notifications.reopen(silent.id, state=row.state, reason=row.reason, extra=row.extra, now=now)
    await tx.notifications.add(fresh)
    # How those that are open stand is known: the attempt need not be the newest of its ref.
    roots = {row.build for row in open_rows}
    opened = [red for red in planned.red if red.build not in roots and red.closed_at is None]
    await tx.red_branches.save(opened, now)
    return bool(opened)


async def _replace(tx: Transaction, item: Recorded, now: datetime) -> None:
    """Say on the cards of a build that somebody rebuilt at the CI system's own page what stands in its place."""
    build = item.build
    if item.first_seen and build.rebuilt_from is not None and build.rebuilt_from != build.id:
        old = BuildKey(connection=build.connection, pipeline=build.pipeline, id=build.rebuilt_from)
        await tx.recording.replace(old, text=f"Rebuilt as {_called(build)}", url=build.web_url or "", now=now)


def _called(build: Build) -> str:
    return f"#{build.number}" if build.number is not None else build.label or "an earlier build"
