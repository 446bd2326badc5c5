"""Three workers on one PostgreSQL: what is due is done once, by whichever, and what a dead one had begun goes on elsewhere."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, cast

import pytest
from typing_extensions import override

from bot.connections import Connections
from bot.core.acting import begin_act
from bot.core.models import Build, Conclusion, Pipeline, Status
from bot.security.vault import Vault
from bot.slack.deliveries import Ack
from bot.slack.inbox import LEASE, Inbox
from bot.slack.people import People
from bot.slack.sender import Sender
from bot.store import Store
from bot.store.rows import NewChain, NewDigest, NewLink, NewSchedule
from commands.chained import ChainedCommands
from commands.core.catalogue import Catalogue
from commands.core.context import Services
from commands.registry import REGISTRY
from commands.scheduled import ScheduledCommands
from tests.commands.fakes import CHANNEL, NOW, TEAM, USER, FakeConnections, FakeProvider, RecordingSender
from tests.commands.test_scheduled import Channel
from tests.set_clock import SetClock

pytestmark = pytest.mark.postgres

EACH = 7
DAILY = {"cron": "0 7 * * *", "tz": "UTC", "next_at": NOW}


class ActingProvider(FakeProvider):
    """A CI system whose client says when it is about to act, as the real one does."""

    @override
    async def start(self, *args: Any, **options: Any) -> Build:
        await begin_act()
        return await super().start(*args, **options)


@pytest.fixture
def works() -> FakeProvider:
    made = ActingProvider()
    made.add("app")
    return made


async def nothing(_body: Mapping[str, Any], _headers: Mapping[str, str]) -> Ack:
    return Ack(200)


@dataclass(frozen=True, kw_only=True)
class Worker:
    """One worker's parts."""

    store: Store
    inbox: Inbox
    scheduled: ScheduledCommands
    chained: ChainedCommands

    async def tick(self) -> None:
        await self.scheduled.tick()
        await self.chained.tick()
        await self.take_over()

    async def take_over(self) -> None:
        await self.inbox.tick()
        await self.inbox.settle()


@pytest.fixture
async def workers(
    postgres_url: str,
    works: FakeProvider,
    app: Pipeline,
    connections: FakeConnections,
    sender: RecordingSender,
    set_clock: SetClock,
) -> AsyncGenerator[list[Worker]]:
    channel = Channel()
    made = []
    for number in range(3):
        store = await Store.open(postgres_url, clock=set_clock)
        services = Services(
            store=store,
            connections=cast("Connections", connections),
            people=People(store, cast("Sender", sender), set_clock),
            sender=cast("Sender", sender),
            clock=set_clock,
            registry=REGISTRY,
            catalogue=Catalogue(store, set_clock),
        )
        inbox = Inbox(
            store,
            dispatch=nothing,
            sender=cast("Any", sender),
            vault=Vault.empty,
            clock=set_clock,
            owner=f"w{number}",
            handles=lambda _event: False,
        )
        made.append(
            Worker(
                store=store,
                inbox=inbox,
                scheduled=ScheduledCommands(services, channel.deliver, inbox),
                chained=ChainedCommands(services, channel.deliver, inbox),
            )
        )
    link = NewLink(
        team=TEAM,
        channel=CHANNEL,
        connection=works.connection,
        pipeline=app.id,
        path=app.path,
        name=app.name,
        default_branch="main",
        created_by=USER,
        created_at=NOW - timedelta(days=30),
    )
    await made[0].store.pipelines.save(works.connection, [app], NOW)
    await made[0].store.links.save(link)
    yield made
    for worker in made:
        await worker.inbox.settle()
        await worker.store.close()


def schedule(number: int) -> NewSchedule:
    return NewSchedule(
        team=TEAM,
        channel=CHANNEL,
        user=USER,
        words="daily 7:00",
        command=f"run app@main N={number}",
        created_at=NOW,
        **cast("dict[str, Any]", DAILY),
    )


def digest(number: int) -> NewDigest:
    return NewDigest(
        team=TEAM, channel=f"CD{number}", period="daily", made_by=USER, made_at=NOW, **cast("dict[str, Any]", DAILY)
    )


def chain(number: int, works: FakeProvider) -> NewChain:
    return NewChain(
        team=TEAM,
        channel=CHANNEL,
        user=USER,
        connection=works.connection,
        pipeline="p-app",
        build="b1",
        label="App #1",
        command=f"run app@main CHAIN={number}",
        until=NOW + timedelta(days=1),
        made_at=NOW,
    )


def started(works: FakeProvider) -> int:
    return sum(verb == "start" for verb, *_rest in works.acts)


async def digests_of(store: Store) -> list[str]:
    return [
        row.channel
        for number in range(EACH)
        for row in await store.notifications.in_channel(TEAM, f"CD{number}", NOW - timedelta(hours=1))
    ]


async def test_schedules_digests_and_chains_that_are_due_run_once_each(
    workers: list[Worker], works: FakeProvider, app: Pipeline
) -> None:
    store = workers[0].store
    await store.recording.record(
        [replace(works.running(app, 1), status=Status.COMPLETED, conclusion=Conclusion.PASSED, completed_at=NOW)],
        now=NOW,
    )
    for number in range(EACH):
        await store.schedules.add(schedule(number))
        await store.digests.set(digest(number))
        await store.chains.add(chain(number, works))
    for _turn in range(2):
        await asyncio.gather(*(worker.tick() for worker in workers))
    assert started(works) == 2 * EACH
    assert sorted(await digests_of(store)) == [f"CD{number}" for number in range(EACH)]
    assert await store.inbox.count_open() == 0
    assert await store.chains.of_channel(TEAM, CHANNEL) == []


async def test_a_schedule_whose_worker_died_is_run_by_another_and_not_again_when_that_one_wakes_up(
    workers: list[Worker], works: FakeProvider, set_clock: SetClock
) -> None:
    dead, other, third = workers
    await dead.store.schedules.add(schedule(1))
    claimed = await dead.scheduled._claim_schedule(NOW)
    assert claimed is not None
    row, delivery = claimed
    await asyncio.gather(other.tick(), third.tick())
    assert started(works) == 0
    set_clock.go(seconds=LEASE.total_seconds())
    await asyncio.gather(other.tick(), third.tick())
    assert started(works) == 1
    await delivery.run(dead.scheduled._run(row, set_clock()))
    assert started(works) == 1
    assert await other.store.inbox.count_open() == 0


async def test_a_digest_whose_worker_died_is_made_by_another_once(workers: list[Worker], set_clock: SetClock) -> None:
    dead, other, third = workers
    await dead.store.digests.set(digest(1))
    claimed = await dead.scheduled._claim_digest(NOW)
    assert claimed is not None
    row, delivery = claimed
    set_clock.go(seconds=LEASE.total_seconds())
    await asyncio.gather(other.tick(), third.tick())
    assert await digests_of(other.store) == ["CD1"]
    await delivery.run(dead.scheduled._digest(row, set_clock()))
    assert await digests_of(other.store) == ["CD1"]
