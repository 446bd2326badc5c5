"""Draw the card of a commit: the newest build of each pipeline that the channel groups, and one verdict."""

from collections.abc import Callable
from datetime import timedelta

from bot.blocks.commit_card import CommitRowView, commit_card
from bot.blocks.text import DOT
from bot.core.clock import Clock
from bot.core.models import Build, BuildKey, Conclusion
from bot.notifications.commit_cards import commit_of
from bot.notifications.facts import facts_of, offered
from bot.notifications.filters import filter_of
from bot.notifications.outbox import MOVES_SECONDS, Drawn
from bot.providers.base.provider import AnyProvider
from bot.store import Store
from bot.store.recorded import CARD_PAUSE
from bot.store.rows import BuildRow, LinkRow, NewNotification
from bot.store.steps import unpack
from bot.store.times import of_attempt

COUNTS_COME = timedelta(seconds=60)
"""How long after an end the card of its commit is drawn anew: issue counts come later."""


class CommitDrawing:
    """Draws cards of commits. `provider_of` returns a connection that a workspace may see; with `offers` false no card has buttons."""

    def __init__(
        self,
        store: Store,
        *,
        provider_of: Callable[[str, str], AnyProvider | None],
        clock: Clock,
        offers: bool,
    ) -> None:
        self._store = store
        self._provider_of = provider_of
        self._clock = clock
        self._offers = offers

    async def drawn(self, row: NewNotification) -> Drawn | None:
        """Return the card of a notification's commit as of now; None where no build of it is shown in the channel."""
        links = {
            (link.connection, link.pipeline): link
            for link in await self._store.links.of_channel(row.team, row.channel)
            if filter_of(link).is_by_commit and self._provider_of(row.team, link.connection) is not None
        }
        newest: dict[tuple[str, str], dict[str, tuple[Build, BuildRow]]] = {}
        for build, stored in await self._builds(row.build, {connection for connection, _ in links}):
            if build.conclusion is not Conclusion.RETRIED:
                # Where a build is no more than one job, each job is a row.
                newest.setdefault((build.connection, build.pipeline), {}).setdefault(build.job or "", (build, stored))
        rows = [
            await self._view(row.team, link, *newest[place][job])
            for place, link in links.items()
            for job in sorted(newest.get(place, ()))
        ]
        if not rows:
            return None
        now = self._clock()
        builds = [view.build for view in rows]
        is_open = any(not build.completed for build in builds)
        just_ended = any(build.completed_at is not None and now - build.completed_at < COUNTS_COME for build in builds)
        return Drawn(
            message=commit_card(rows, now=now, reason=row.reason),
            live=is_open,
            card=True,
            moves=is_open or just_ended,
            moves_after=MOVES_SECONDS if is_open else CARD_PAUSE.total_seconds(),
        )

    async def _builds(self, card: str, connections: set[str]) -> list[tuple[Build, BuildRow]]:
        """Return the builds that stand on a card, newest first, with those of its commit that stand on none."""
        of_commit = await self._store.builds.of_commit(commit_of(card), sorted(connections), has_bisections=False)
        elsewhere = await self._store.commit_rows.of_builds([build.key for build in of_commit])
        keys = {key for key in await self._store.commit_rows.of_card(card) if key.connection in connections}
        keys |= {build.key for build in of_commit if elsewhere.get(build.key, card) == card}
        rows = (await self._store.builds.rows(keys)).values()
        pairs = [(of_attempt(unpack(row.data), row.began_at), row) for row in rows]
        return sorted(pairs, key=lambda pair: (pair[1].built_at or self._clock(), pair[0].id), reverse=True)

    async def _view(self, team: str, link: LinkRow, build: Build, stored: BuildRow) -> CommitRowView:
        key = BuildKey(connection=build.connection, pipeline=build.pipeline, id=build.id)
        notes = await self._store.cards.notes(key, stored.attempt_no, team)
        claim = await self._store.claims.get(team, key)
        facts = facts_of(team, stored, notes, claim, attempt_no=stored.attempt_no)
        provider = self._provider_of(team, build.connection)
        return CommitRowView(
            build=build,
            label=DOT.join(name for name in (link.alias or link.name, build.job) if name),
            system=provider.label if provider is not None else build.connection,
            attempt_no=stored.attempt_no,
            facts=facts,
            verbs=offered(provider, build, facts, has_approvals=False) if provider and self._offers else frozenset(),
        )
