"""Validly signed payloads of any shape, through the web, the inbox, Bolt and the executor: refused, or acked and done for who sent them."""

import asyncio
import copy
import hashlib
import hmac
import itertools
import json
import logging
import shutil
from collections.abc import AsyncGenerator, Coroutine, Generator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar, cast
from urllib.parse import urlencode

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typing_extensions import override

from bot.connections import Connections
from bot.manifest import GLOBAL_SHORTCUTS, MESSAGE_SHORTCUTS
from bot.security.vault import Vault
from bot.slack.inbox import Inbox
from bot.slack.people import People
from bot.slack.sender import Sender
from bot.store import Store
from bot.web.app import WebDependencies, web_app
from bot.web.slack import BODY_BYTES
from bot.web.webhooks import WebhookQueue
from commands.core.catalogue import Catalogue
from commands.core.context import Services
from commands.registry import REGISTRY
from commands.slack.app import SlackApp
from commands.slack.events import SlackEvents
from commands.slack.home import TURN
from tests.bot.providers.gnaw import ODD_TEXT
from tests.commands.fakes import ADMIN, CHANNEL, TEAM, USER, FakeConnections, FakeProvider, RecordingSender
from tests.commands.slack.test_events import Installs
from tests.conftest import FUZZ
from tests.set_clock import SetClock

T = TypeVar("T")
SECRET = "fuzz-signing-secret"
ODD: tuple[Any, ...] = (
    None, True, 0, -1, 2**80, 1e308, "", "\0", "a\0b", "\ud83d", "\udc00x", ODD_TEXT, "x" * 200_000, "&=%00%zz+", "U2",
    [], [None], [[]], ["text"], {}, {"": None}, {"id": 7}, {"id": ["x"]}, {"values": {"a": 1}}, {"values": {"a": {"b": {}}}},
    {"type": []}, {"value": {}}, [{"id": []}],
)  # fmt: skip
PLACE = {"channel": {"id": CHANNEL, "name": "ios"}, "response_url": "https://hooks.slack.example/actions/1"}
PERSON = {"team": {"id": TEAM, "domain": "acme"}, "user": {"id": ADMIN, "team_id": TEAM, "name": "boss"}}
VIEW = {
    "id": "V1",
    "hash": "h1",
    "type": "modal",
    "callback_id": "run",
    "title": {"type": "plain_text", "text": "Start a build"},
    "app_installed_team_id": TEAM,
    "private_metadata": json.dumps({"channel": CHANNEL, "pipeline": "works:p-app"}),
    "blocks": [
        {"type": "input", "block_id": "pipeline", "element": {"type": "external_select", "action_id": "pipeline"}},
        {"type": "input", "block_id": "ref", "element": {"type": "external_select", "action_id": "ref"}},
    ],
    "state": {
        "values": {
            "pipeline": {"pipeline": {"type": "external_select", "selected_option": {"value": "works:p-app"}}},
            "ref": {"ref": {"type": "external_select", "selected_option": {"value": "branch:main"}}},
        }
    },
}
BODIES: dict[str, dict[str, Any]] = {
    "command": {
        "command": "/build",
        "text": "run app@main",
        "team_id": TEAM,
        "channel_id": CHANNEL,
        "channel_name": "ios",
        "user_id": ADMIN,
        "response_url": "https://hooks.slack.example/commands/1",
        "trigger_id": "",
    },
    "block_actions": {
        "type": "block_actions",
        **PERSON,
        **PLACE,
        "container": {"type": "message", "message_ts": "7.7", "channel_id": CHANNEL, "is_ephemeral": False},
        "message": {"ts": "7.7", "thread_ts": "7.1", "text": "a card", "blocks": [{"type": "section"}]},
        "actions": [{"type": "button", "action_id": "build.cancel", "value": "cancel app#7 --yes", "action_ts": "9.1"}],
        "state": {"values": {}},
        "trigger_id": "",
    },
    "view_submission": {"type": "view_submission", **PERSON, "view": VIEW, "response_urls": [], "trigger_id": ""},
    "block_suggestion": {
        "type": "block_suggestion",
        **PERSON,
        "container": {"type": "view", "view_id": "V1"},
        "action_id": "pipeline",
        "block_id": "pipeline",
        "value": "ap",
        "view": VIEW,
    },
    "shortcut": {"type": "shortcut", **PERSON, "callback_id": GLOBAL_SHORTCUTS[0][0], "trigger_id": ""},
    "message_action": {
        "type": "message_action",
        **PERSON,
        **PLACE,
        "callback_id": MESSAGE_SHORTCUTS[0][0],
        "message": {"ts": "1.1", "text": "see <https://works.example/app/7>", "user": "U2"},
        "trigger_id": "",
    },
    "event_callback": {
        "type": "event_callback",
        "event_id": "",
        "team_id": TEAM,
        "authorizations": [{"team_id": TEAM, "user_id": "UBOT", "is_bot": True}],
        "event": {
            "type": "app_mention",
            "channel": CHANNEL,
            "user": ADMIN,
            "text": "<@UBOT> run app@main",
            "ts": "3.2",
            "thread_ts": "3.1",
        },
    },
}
WAYS_TO_THE_PERSON: dict[str, tuple[str, ...]] = {
    "command": ("user_id",),
    "event_callback": ("event", "user"),
}
WAYS_TO_THE_WORKSPACE: dict[str, list[tuple[str, ...]]] = {
    "command": [("team_id",)],
    "event_callback": [("team_id",)],
    "view_submission": [("team", "id"), ("user", "team_id"), ("view", "app_installed_team_id")],
    "block_suggestion": [("team", "id"), ("user", "team_id"), ("view", "app_installed_team_id")],
}
ABSENT: tuple[Any, ...] = ("is missing", None, "", 0, [], {})


class World:
    """The whole way of a delivery in this process. `errors` are the lines of the log that no delivery may cause."""

    def __init__(self, store: Store, set_clock: SetClock) -> None:
        self.clock = set_clock
        self.numbers = itertools.count(1)
        self.works = FakeProvider()
        self.app = self.works.add("app")
        self.sender = RecordingSender()
        self.sender.person(USER, "Ana")
        self.sender.person(ADMIN, "Boss", is_admin=True)
        self.services = Services(
            store=store,
            connections=cast("Connections", FakeConnections(self.works)),
            people=People(store, cast("Sender", self.sender), set_clock),
            sender=cast("Sender", self.sender),
            clock=set_clock,
            registry=REGISTRY,
            catalogue=Catalogue(store, set_clock),
        )
        self.slack_app = SlackApp(self.services, cast("Sender", self.sender), bot_user=lambda: "UBOT")
        events = SlackEvents(self.services, cast("Any", Installs()), self.slack_app.answer)
        self.slack_app.listen(
            events=events.events,
            shortcuts=dict.fromkeys([name for name, *_ in (*GLOBAL_SHORTCUTS, *MESSAGE_SHORTCUTS)], events.shortcut),
            actions={TURN: events.turn_page},
            home_pressed=events.home_pressed,
        )
        self.inbox = Inbox(
            store,
            dispatch=self.slack_app.dispatch,
            sender=cast("Any", self.sender),
            vault=Vault.empty,
            clock=set_clock,
            owner="fuzz",
            handles=lambda event: event in self.slack_app.handled_events,
        )
        web = web_app(
            WebDependencies(
                take=self.inbox.take,
                signing_secrets=(SECRET,),
                provider_of=self._nobody,
                webhooks=WebhookQueue(self._nothing),
                checks={},
                metrics=self._no_metrics,
                installed=self._nothing,
                clock=set_clock,
            )
        )
        self.http = httpx.AsyncClient(transport=httpx.ASGITransport(web), base_url="http://bot.example")

    async def _nobody(self, _name: str) -> None:
        return None

    async def _nothing(self, _what: object) -> None:
        return None

    async def _no_metrics(self) -> tuple[bytes, str]:
        return b"", "text/plain"

    def fresh(self, kind: str) -> dict[str, Any]:
        """Return a payload with ids of its own, so that it is no repetition of an earlier one; build 7 runs."""
        self.works.running(self.app, 7)
        self.works.acts.clear()
        self.sender.said.clear()
        body = copy.deepcopy(BODIES[kind])
        number = str(next(self.numbers))
        for name in ("trigger_id", "event_id"):
            if name in body:
                body[name] = f"1.{number}"
        if kind == "view_submission":
            body["view"]["hash"] = number
        return body

    async def send(self, kind: str, body: Mapping[str, Any]) -> int:
        """Send a payload as Slack does, wait until all that comes of it has ended, and return the status."""
        if kind == "event_callback":
            content, form = json.dumps(body).encode(), "application/json"
        elif kind == "command":
            fields = {name: value if isinstance(value, str) else json.dumps(value) for name, value in body.items()}
            content, form = urlencode(fields, errors="surrogatepass").encode(), "application/x-www-form-urlencoded"
        else:
            content, form = urlencode({"payload": json.dumps(body)}).encode(), "application/x-www-form-urlencoded"
        stamp = str(int(self.clock().timestamp()))
        digest = hmac.new(SECRET.encode(), f"v0:{stamp}:".encode() + content, hashlib.sha256).hexdigest()
        headers = {
            "content-type": form,
            "x-slack-request-timestamp": stamp,
            "x-slack-signature": f"v0={digest}",
        }
        reply = await self.http.post("/slack/events", content=content, headers=headers)
        await self.slack_app.settle()
        await self.inbox.settle()
        return reply.status_code


class Errors(logging.Handler):
    """The lines of the log that say that something broke."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.lines: list[str] = []

    @override
    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))


class Fuzzed:
    """A world with an event loop of its own, for tests whose examples are many."""

    def __init__(self, loop: asyncio.AbstractEventLoop, world: World) -> None:
        self.loop = loop
        self.world = world

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(work)

    def status_of(self, kind: str, body: Mapping[str, Any]) -> int:
        """Send a payload and return the status; nothing may break on the way."""
        errors = Errors()
        logging.getLogger().addHandler(errors)
        try:
            status = self.run(self.world.send(kind, body))
        finally:
            logging.getLogger().removeHandler(errors)
        assert errors.lines == []
        return status


@asynccontextmanager
async def opened(folder: Path) -> AsyncGenerator[World]:
    set_clock = SetClock()
    store = await Store.open(f"sqlite:///{folder / 'fuzz.db'}", clock=set_clock)
    await store.migrate()
    world = World(store, set_clock)
    try:
        yield world
    finally:
        await world.http.aclose()
        await world.services.catalogue.close()
        await store.close()


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory: pytest.TempPathFactory) -> Generator[Fuzzed]:
    folder = tmp_path_factory.mktemp("fuzz")
    loop = asyncio.new_event_loop()
    world = opened(folder)
    try:
        yield Fuzzed(loop, loop.run_until_complete(world.__aenter__()))
        loop.run_until_complete(world.__aexit__(None, None, None))
    finally:
        loop.close()
        shutil.rmtree(folder)


def ways(value: Any, way: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the way to every value inside of one."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [step for name, part in inner for step in ((*way, name), *ways(part, (*way, name)))]


def changed(body: dict[str, Any], way: tuple[Any, ...], odd: Any) -> dict[str, Any]:
    """Return a body with something else at a way, or without it."""
    target: Any = body
    for step in way[:-1]:
        target = target[step]
    if odd == "is missing":
        del target[way[-1]]
    else:
        target[way[-1]] = odd
    return body


EVERY_KIND = pytest.mark.parametrize("kind", sorted(BODIES))
CASES = [(kind, way) for kind, body in BODIES.items() for way in ways(body)]
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(alphabet=st.characters(categories=None)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)


@EVERY_KIND
def test_each_payload_as_it_is_does_what_it_says(fuzzed: Fuzzed, kind: str) -> None:
    assert fuzzed.status_of(kind, fuzzed.world.fresh(kind)) == 200
    acts = [verb for verb, *_ in fuzzed.world.works.acts]
    expected = {
        "command": ["start"],
        "event_callback": ["start"],
        "view_submission": ["start"],
        "block_actions": ["cancel"],
    }
    assert acts == expected.get(kind, [])


@settings(max_examples=250 * FUZZ)
@given(case=st.sampled_from(CASES), odd=st.one_of(st.just("is missing"), st.sampled_from(ODD), ANYTHING))
def test_every_field_may_be_missing_or_anything(fuzzed: Fuzzed, case: tuple[str, tuple[Any, ...]], odd: Any) -> None:
    kind, way = case
    assert fuzzed.status_of(kind, changed(fuzzed.world.fresh(kind), way, odd)) in {200, 400, 413}


@EVERY_KIND
@pytest.mark.parametrize("absent", ABSENT, ids=repr)
def test_nothing_is_done_for_nobody(fuzzed: Fuzzed, kind: str, absent: Any) -> None:
    body = changed(fuzzed.world.fresh(kind), WAYS_TO_THE_PERSON.get(kind, ("user", "id")), absent)
    assert fuzzed.status_of(kind, body) in {200, 400}
    assert fuzzed.world.works.acts == []
    assert fuzzed.world.sender.said == []


@EVERY_KIND
@pytest.mark.parametrize("absent", ABSENT, ids=repr)
def test_nothing_is_done_in_no_workspace(fuzzed: Fuzzed, kind: str, absent: Any) -> None:
    body = fuzzed.world.fresh(kind)
    for way in WAYS_TO_THE_WORKSPACE.get(kind, [("team", "id"), ("user", "team_id")]):
        body = changed(body, way, absent)
    assert fuzzed.status_of(kind, body) == 400
    assert fuzzed.world.works.acts == []
    assert fuzzed.world.sender.said == []


@EVERY_KIND
def test_more_than_slack_sends_is_refused_unread(fuzzed: Fuzzed, kind: str) -> None:
    body = changed(fuzzed.world.fresh(kind), ("x",) if kind == "command" else ("response_url",), "x" * BODY_BYTES)
    assert fuzzed.status_of(kind, body) == 413
    assert fuzzed.world.works.acts == []
