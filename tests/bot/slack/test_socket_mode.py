import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from bot.http.transport import Network
from bot.slack.deliveries import Ack
from bot.slack.socket_mode import SocketMode
from tests.bot.slack.conftest import LocalSlack
from tests.playground.fake_bot import APP_TOKEN


class Bot:
    """Remembers what comes over the socket and answers as told."""

    def __init__(self) -> None:
        self.received: list[Mapping[str, Any]] = []
        self.fallbacks: list[str] = []
        self.reply = Ack()
        self.arrived = asyncio.Event()

    async def take(self, body: Mapping[str, Any], headers: Mapping[str, str], *, fallback: str) -> Ack:
        assert headers == {}
        self.fallbacks.append(fallback)
        self.received.append(body)
        self.arrived.set()
        return self.reply


@pytest.fixture
def bot() -> Bot:
    return Bot()


@pytest.fixture
async def socket(slack: LocalSlack, network: Network, bot: Bot) -> AsyncIterator[SocketMode]:
    made = SocketMode(APP_TOKEN, session=network.session, api_url=slack.api_url, dispatch=bot.take)
    task = asyncio.ensure_future(made.run())
    async with asyncio.timeout(10):
        while not await made.connected():  # noqa: ASYNC110 - it connects in a task of its own
            await asyncio.sleep(0)
    yield made
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def test_a_command_comes_over_the_socket_and_its_ack_goes_back(
    slack: LocalSlack, socket: SocketMode, bot: Bot
) -> None:
    answer = await slack.people.command(user=slack.ana, channel=slack.ios, text="run payload-service")
    assert answer["ok"], answer
    assert [(body["text"], body["user_id"]) for body in bot.received] == [("run payload-service", slack.ana)]
    assert slack.bot.received == []


@pytest.mark.parametrize("body", ['{"text": "on it"}', "on it"])
async def test_what_the_ack_says_is_shown(slack: LocalSlack, socket: SocketMode, bot: Bot, body: str) -> None:
    bot.reply = Ack(body=body)
    await slack.people.command(user=slack.ana, channel=slack.ios, text="status")
    assert "on it" in [message.text for message in slack.workspace.messages[slack.ios].values()]


async def test_an_envelope_is_acked_once_its_payload_is_taken_and_not_where_it_could_not_be(
    slack: LocalSlack, socket: SocketMode, bot: Bot
) -> None:
    sent: list[str] = []

    class Client:
        """The SDK's client, as far as answers go."""

        async def send_socket_mode_response(self, response: Any) -> None:
            sent.append(response.envelope_id)

    @dataclass
    class Envelope:
        """What the SDK hands over."""

        envelope_id: str
        payload: Any
        type: str = "events_api"
        accepts_response_payload: bool = False

    client: Any = Client()
    event = {"type": "event_callback", "event_id": "Ev1", "event": {"type": "app_mention"}}
    for envelope in (Envelope("e1", event), Envelope("e2", {"type": "x"})):
        given: Any = envelope
        await socket._take(client, given)
    hello: Any = Envelope("e0", {}, type="hello")
    await socket._take(client, hello)
    odd: Any = Envelope("e4", "text")
    await socket._take(client, odd)
    bot.reply = Ack(status=503)
    again: Any = Envelope("e5", event)
    await socket._take(client, again)
    broken: Any = Envelope("e6", {"type": "view_submission", "view": {"callback_id": "run"}, "user": []})
    await socket._take(client, broken)
    assert sent == ["e1", "e2", "e6"]
    assert [body.get("event_id") for body in bot.received] == ["Ev1", None, "Ev1"]
    assert bot.fallbacks == ["e1", "e2", "e5"]


async def test_without_a_connection_it_says_so_and_keeps_trying(
    network: Network, bot: Bot, caplog: pytest.LogCaptureFixture
) -> None:
    made = SocketMode("xapp-x", session=network.session, api_url="http://127.0.0.1:9/api", dispatch=bot.take)
    assert not await made.connected()
    task = asyncio.ensure_future(made.run())
    async with asyncio.timeout(10):
        while "Socket Mode can't connect" not in caplog.messages:  # noqa: ASYNC110 - the same
            await asyncio.sleep(0)
    assert not task.done()
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    assert "xapp-x" not in caplog.text
