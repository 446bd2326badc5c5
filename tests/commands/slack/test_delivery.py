"""How an answer reaches its person."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from bot.core.models import Pipeline
from commands.core.context import Context, Source
from commands.slack import delivery
from commands.slack.app import SlackApp
from tests.commands.fakes import ADMIN, CHANNEL, FakeProvider, RecordingSender
from tests.commands.reading import Linked

URL = "https://slack.example/response/1"


async def test_who_asked_for_plain_text_gets_it(
    slack_app: SlackApp,
    sender: RecordingSender,
    context_of: Callable[..., Context],
    linked: Callable[..., Awaitable[object]],
) -> None:
    await linked()
    url = "https://slack.example/response/1"
    await slack_app.answer("status", context_of(response_url=url))
    drawn = sender.last.message
    assert drawn is not None
    assert drawn.blocks or drawn.attached
    await slack_app.answer("me plain on", context_of(response_url=url))
    await slack_app.answer("status", context_of(response_url=url))
    plain = sender.last.message
    assert plain is not None
    assert plain.blocks == ()
    assert plain.attached == ()
    assert "[Run" in plain.text
    await slack_app.answer("me plain off", context_of(response_url=url))
    await slack_app.answer("status", context_of(response_url=url))
    again = sender.last.message
    assert again is not None
    assert again.blocks or again.attached


async def test_a_pressed_choice_leaves_nothing_where_the_channel_sees_the_act(
    slack_app: SlackApp,
    sender: RecordingSender,
    context_of: Callable[..., Context],
    linked: Linked,
    works: FakeProvider,
    app: Pipeline,
) -> None:
    await linked()
    works.running(app, 4)
    pressed = context_of(user=ADMIN, source=Source.BUTTON, response_url=URL)
    await slack_app.answer("cancel app#4 --yes", pressed, from_ephemeral=True)
    assert [call.arguments for call in sender.of("response_url") if call.message is None] == [
        {"url": URL, "delete": True}
    ]
    spoken = [call.message.text for call in sender.said if call.message is not None]
    assert spoken == [f"<@{ADMIN}> stopped App #4"]


async def test_who_waits_for_an_act_is_told_and_the_line_goes_when_the_answer_comes(
    slack_app: SlackApp,
    sender: RecordingSender,
    context_of: Callable[..., Context],
    linked: Linked,
    works: FakeProvider,
    app: Pipeline,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(delivery, "PATIENCE_SECONDS", 0.0)
    works.running(app, 4)
    await linked()
    works.gates["cancel"] = asyncio.Event()
    work = asyncio.ensure_future(slack_app.answer("cancel app#4 --yes", context_of(user=ADMIN, response_url=URL)))
    async with asyncio.timeout(10):
        await sender.posted.wait()
    (line,) = sender.of("chat.postMessage")
    assert line.message is not None
    assert "takes its time" in line.message.text
    works.gates["cancel"].set()
    await work
    (gone,) = sender.of("chat.delete")
    assert gone.arguments["channel"] == CHANNEL
    assert sender.said[-1].method == "chat.delete"


async def test_who_waits_for_a_private_answer_gets_the_answer_alone(
    slack_app: SlackApp,
    sender: RecordingSender,
    context_of: Callable[..., Context],
    linked: Linked,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(delivery, "PATIENCE_SECONDS", 0.0)
    await linked()
    await slack_app.answer("status", context_of(response_url=URL))
    assert [call.method for call in sender.said] == ["response_url"]
