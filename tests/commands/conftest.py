"""A workspace in memory: one CI system called `works` with the pipeline `app`, a channel, Ana and an admin.

`say` does what a person typed; `services`, `works`, `sender` and `store` show what came of it.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any, cast

import pytest

from bot.connections import Connections
from bot.core.models import Build, Pipeline
from bot.security.vault import Vault
from bot.slack.deliveries import Ack
from bot.slack.inbox import Inbox
from bot.slack.people import People
from bot.slack.sender import Sender
from bot.store import Store
from bot.store.rows import LinkRow, NewLink
from commands.core.catalogue import Catalogue
from commands.core.context import Context, Services
from commands.core.executor import Handled, execute
from commands.registry import REGISTRY
from commands.slack.app import SlackApp
from tests.commands.fakes import ADMIN, CHANNEL, NOW, TEAM, USER, FakeConnections, FakeProvider, RecordingSender
from tests.commands.modals import Modal
from tests.databases import store_on
from tests.set_clock import SetClock


@pytest.fixture
def set_clock() -> SetClock:
    return SetClock()


@pytest.fixture
async def store(sqlite_url: str, set_clock: SetClock) -> AsyncGenerator[Store]:
    opened = store_on(sqlite_url, set_clock)
    yield opened
    await opened.close()


@pytest.fixture
def works() -> FakeProvider:
    """Return the CI system `works` with the pipeline `app` (id `p-app`, default branch main)."""
    made = FakeProvider()
    made.add("app")
    return made


@pytest.fixture
def app(works: FakeProvider) -> Pipeline:
    return works.known["p-app"]


@pytest.fixture
def connections(works: FakeProvider) -> FakeConnections:
    return FakeConnections(works)


@pytest.fixture
def sender() -> RecordingSender:
    """Return a Slack where Ana (U1) and Bo (U2) are members and UADMIN administers the workspace."""
    made = RecordingSender()
    made.person(USER, "Ana")
    made.person("U2", "Bo")
    made.person(ADMIN, "Boss", is_admin=True)
    return made


@pytest.fixture
async def services(
    store: Store, connections: FakeConnections, sender: RecordingSender, set_clock: SetClock
) -> AsyncGenerator[Services]:
    made = Services(
        store=store,
        connections=cast("Connections", connections),
        people=People(store, cast("Sender", sender), set_clock),
        sender=cast("Sender", sender),
        clock=set_clock,
        registry=REGISTRY,
        catalogue=Catalogue(store, set_clock),
        public_url="https://bell.example",
    )
    yield made
    await made.catalogue.close()


@pytest.fixture
def inbox(store: Store, sender: RecordingSender, set_clock: SetClock) -> Inbox:
    """Return an inbox for what the clock starts; nothing of Slack's goes through it."""

    async def nothing(_body: object, _headers: object) -> Ack:
        return Ack(200)

    return Inbox(
        store,
        dispatch=nothing,
        sender=cast("Any", sender),
        vault=Vault.empty,
        clock=set_clock,
        owner="test",
        handles=lambda _event: False,
    )


@pytest.fixture
async def slack_app(services: Services, sender: RecordingSender) -> AsyncGenerator[SlackApp]:
    """Return Bolt's side of the bot; `dispatch` it payloads, then `settle`."""
    made = SlackApp(services, cast("Sender", sender), bot_user=lambda: "UBOT")
    yield made
    await made.settle()


@pytest.fixture
def context_of(set_clock: SetClock, services: Services) -> Callable[..., Context]:
    """Return what makes a context of Ana's in the channel."""

    def made(**fields: Any) -> Context:
        plain = Context(
            services=services,
            team=TEAM,
            channel=CHANNEL,
            channel_name="ios",
            user=USER,
            now=set_clock(),
        )
        return replace(plain, **fields)

    return made


@pytest.fixture
def say(context_of: Callable[..., Context]) -> Callable[..., Awaitable[Handled]]:
    """Return what runs a command as typed: `await say("cancel #41", user=ADMIN)`."""

    async def said(text: str, **fields: Any) -> Handled:
        return await execute(text, context_of(**fields))

    return said


@pytest.fixture
def linked(store: Store, works: FakeProvider, app: Pipeline) -> Callable[..., Awaitable[LinkRow]]:
    """Return what links a pipeline (`app`, unless told) to the channel."""

    async def made(pipeline: Pipeline = app, **fields: Any) -> LinkRow:
        row = NewLink(
            team=TEAM,
            channel=CHANNEL,
            connection=works.connection,
            pipeline=pipeline.id,
            path=pipeline.path,
            name=pipeline.name,
            default_branch=pipeline.default_branch or "",
            created_by=USER,
            created_at=NOW - timedelta(days=30),
        )
        await store.pipelines.save(works.connection, [pipeline], NOW)
        return await store.links.save(replace(row, **fields))

    return made


@pytest.fixture
def recorded(store: Store, works: FakeProvider) -> Callable[..., Awaitable[None]]:
    """Return what lets the store know builds, as if the poller had seen them."""

    async def done(*builds: Build, started_by: str = "") -> None:
        for build in builds:
            works.put(build)
            if started_by:
                await store.recording.record_start(
                    build,
                    team=TEAM,
                    channel=CHANNEL,
                    user=started_by,
                    notifications=(),
                    watches=(),
                    now=NOW,
                )
        await store.recording.record(builds, now=NOW)

    return done


@pytest.fixture
def modal(slack_app: SlackApp, sender: RecordingSender) -> Modal:
    return Modal(slack_app, sender)
