"""The worker's parts joined over a store, and a Slack in memory in which every message is counted."""

from datetime import datetime
from typing import Any, cast

from bot.blocks.plain import as_text
from bot.core.models import Build, Conclusion, Issue, IssueKind, Person
from bot.monitoring.poller import Pace, Poller
from bot.monitoring.stopwatch import Stopwatch
from bot.notifications.cards import Cards
from bot.notifications.escalations import Escalations
from bot.notifications.outbox import Outbox
from bot.providers.base.capabilities import Capability
from bot.slack.sender import SearchResult
from bot.store import Store
from bot.store.rows import NotificationRow
from tests.bot.store.rows import CHANNEL, PIPELINE, ago, ended, link
from tests.bot.works import PLAIN, Works
from tests.set_clock import SetClock

RED, GREEN = Conclusion.FAILED, Conclusion.PASSED
ANA = Person(name="Ana", email="ana@acme.example")


class Slack:
    """Channels in memory: each message as it stands now with its thread, in the order of posting."""

    def __init__(self) -> None:
        self.messages: dict[str, tuple[str, str, str]] = {}
        self.posted = 0
        self.edits = 0

    async def post(self, team: str, channel: str, message: Any, *, thread: str = "", key: str = "") -> tuple[str, str]:
        self.posted += 1
        ts = f"{self.posted}.0"
        self.messages[ts] = (channel, thread, as_text(message.payload()))
        return channel, ts

    def is_short(self, _team: str) -> bool:
        return False

    async def update(self, team: str, channel: str, ts: str, message: Any) -> None:
        self.edits += 1
        self.messages[ts] = (*self.messages[ts][:2], as_text(message.payload()))

    async def find(self, *_args: Any, **_kwargs: Any) -> SearchResult:
        return SearchResult(ts=None)

    def in_channel(self, channel: str = CHANNEL) -> list[str]:
        return [text for place, thread, text in self.messages.values() if place == channel and not thread]

    def in_thread(self, channel: str = CHANNEL) -> list[str]:
        return [text for place, thread, text in self.messages.values() if place == channel and thread]


class People:
    """Ana is the only one whom anybody knows."""

    async def author(self, team: str, author: Person, kind: str) -> str | None:
        return "UANA" if author.email == ANA.email else None

    async def may_mention(self, team: str, user: str) -> bool:
        return True

    async def wants_broken(self, team: str, user: str) -> bool:
        return False

    async def off_hours(self, team: str, user: str, now: datetime) -> str:
        return ""


class Bench:
    """The worker's parts, joined; `processes` outboxes share the store."""

    def __init__(self, store: Store, clock: SetClock, processes: int = 1) -> None:
        self.store = store
        self.clock = clock
        self.slack = Slack()
        self.works = Works(clock, can=PLAIN | {Capability.ISSUES})
        self.works.history[PIPELINE] = []
        self.works.listed = False
        people = cast("Any", People())
        cards = Cards(store, provider_of=lambda _team, _name: self.works, people=people, clock=clock)
        self.outboxes = [
            Outbox(
                store,
                cast("Any", self.slack),
                people=people,
                kind_of=lambda _name: "works",
                draw=cards.draw,
                undelivered=self._undelivered,
                clock=clock,
                owner=f"o{number}",
            )
            for number in range(processes)
        ]
        self.poller = Poller(
            store,
            provider_of=lambda _name: self.works,
            pace=Pace(),
            clock=clock,
            owner="p",
            wake_outbox=lambda: None,
        )
        self.escalations = Escalations(store, clock=clock, wake_outbox=lambda: None)
        self.stopwatch = Stopwatch(store, clock=clock, sees=lambda _team, _name: True, wake_outbox=lambda: None)

    async def _undelivered(self, row: NotificationRow, *_args: Any) -> None:
        raise AssertionError(row.reason)

    async def ends(self, number: int, conclusion: Conclusion, failure: str = "boom", **fields: Any) -> None:
        """Let ten minutes pass, a build of main end, and deliver what comes of it."""
        self.clock.go(minutes=10)
        build = f"b{number}"
        if conclusion is RED:
            self.works.known_issues[build] = (Issue(kind=IssueKind.ERROR, message=failure),)
        made: dict[str, Any] = {"number": number, "commit": f"{number:07}c", "author": ANA, **fields}
        await self.sees(ended(build, conclusion=conclusion, completed_at=self.clock(), **made))

    async def sees(self, *builds: Build) -> None:
        await self.poller.record(builds, self.works)
        await self.deliver()

    async def deliver(self) -> None:
        """Read details and deliver until nothing is due."""
        for _ in range(3):
            await self.poller.tick()
            await self.poller.settle()
            self.clock.go(seconds=6)
            for outbox in self.outboxes:
                while await outbox.tick():
                    await outbox.settle()

    async def escalates(self, **ahead: float) -> None:
        self.clock.go(**ahead)
        await self.escalations.tick()
        await self.deliver()

    async def looks(self, **ahead: float) -> None:
        """Let time pass, and look for builds that are stuck, slow or queued for long, three times."""
        self.clock.go(**ahead)
        for _ in range(3):
            await self.stopwatch.tick()
            await self.deliver()


async def made_bench(store: Store, clock: SetClock, filters: str, processes: int = 1) -> Bench:
    await store.links.save(link(created_at=ago(days=9), default_branch="main", filters=filters))
    bench = Bench(store, clock, processes)
    await bench.sees(ended("b400", number=400, completed_at=ago(hours=1)))
    bench.slack.messages.clear()
    return bench
