"""Notice builds that are stuck, slow or queued for long, and have that posted once for each attempt."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from bot.core.clock import Clock
from bot.core.models import Build, Conclusion
from bot.notifications.filters import SIGNALS, filter_of
from bot.notifications.notification import Event
from bot.notifications.signals import Signal, Usual, signal_row, signals, usual
from bot.store import Store
from bot.store.rows import BuildRow, LinkRow, NewNotification, NotificationRow
from bot.store.states import NotificationState
from bot.store.times import of_attempt

HISTORY = 60
EVENTS = frozenset({Event.STUCK, Event.SLOW, Event.QUEUED_LONG})
Pipeline = tuple[str, str]


class Stopwatch:
    """Compares builds that are not over with their pipeline's history, for links that ask for it.

    `sees` says whether a workspace may see a connection.
    """

    def __init__(
        self, store: Store, *, clock: Clock, sees: Callable[[str, str], bool], wake_outbox: Callable[[], None]
    ) -> None:
        self._store = store
        self._clock = clock
        self._sees = sees
        self._wake_outbox = wake_outbox

    async def tick(self) -> None:
        """Look at each unfinished build whose pipeline a link wants signals of. Asks the store only."""
        links: dict[Pipeline, list[LinkRow]] = {}
        for link in await self._store.links.all():
            wants = link.subscribed and not link.paused_reason and set(SIGNALS) & set(filter_of(link).passing_events)
            if wants and self._sees(link.team, link.connection):
                links.setdefault((link.connection, link.pipeline), []).append(link)
        if not links:
            return
        measures: dict[Pipeline, Usual] = {}
        for build in await self._store.builds.unfinished(sorted({connection for connection, _ in links})):
            place = (build.connection, build.pipeline)
            if place not in links:
                continue
            if place not in measures:
                measures[place] = await self._usual(*place)
            await self._look(build, measures[place], links[place])

    async def _look(self, build: Build, usually: Usual, links: Sequence[LinkRow]) -> None:
        now = self._clock()
        entry = await self._store.builds.get(build.key)
        if entry is None or entry[1].completed:
            return
        row = entry[1]
        timed = of_attempt(entry[0], row.began_at)
        unusual = signals(timed, usually, now, approval_seconds=row.approval_seconds)
        if not unusual:
            return
        rows = await self._rows(entry[0], row, links, unusual)
        if rows:
            await self._store.notifications.add(rows)
            self._wake_outbox()

    async def _rows(
        self, build: Build, row: BuildRow, links: Sequence[LinkRow], unusual: Sequence[Signal]
    ) -> list[NewNotification]:
        """Return what is to be posted: what was posted of this attempt already, or something worse, is not said again."""
        decided = await self._store.notifications.of_build(build.key)
        mine = [other for other in decided if other.attempt_no == row.attempt_no]
        rows: list[NewNotification] = []
        for link in links:
            mutes = await self._store.mutes.of_channel(link.team, link.channel)
            made = signal_row(build, row, link, unusual, mutes, self._clock())
            here = [other for other in mine if (other.team, other.channel) == (link.team, link.channel)]
            known = {other.event for other in here if other.event in EVENTS}
            if made is None or made.event in known or Event.STUCK in known:
                continue
            rows.append(replace(made, thread=_card_of(here)))
        return rows

    async def _usual(self, connection: str, pipeline: str) -> Usual:
        attempts = await self._store.attempts.newest(connection, pipeline, limit=HISTORY)
        runs = [row.seconds for row in attempts if row.conclusion == Conclusion.PASSED and row.seconds is not None]
        builds = await self._store.builds.of_pipeline(connection, pipeline, limit=HISTORY)
        waits = [build.waited_seconds for build in builds if build.completed and (build.attempt or 1) == 1]
        return usual(runs, (wait for wait in waits if wait is not None))


def _card_of(decided: Sequence[NotificationRow]) -> str:
    """Return the message that is the card of a running attempt in a channel: a live card, else that of an earlier signal."""
    cards = [
        other
        for other in decided
        if (other.event == Event.STARTED or other.event in EVENTS)
        and other.state == NotificationState.SENT
        and not other.thread
    ]
    return min(cards, key=lambda other: (other.event != Event.STARTED, other.id)).ts if cards else ""
