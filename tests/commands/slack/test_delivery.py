"""How an answer reaches its person."""

from collections.abc import Awaitable, Callable

from commands.core.context import Context
from commands.slack.app import SlackApp
from tests.commands.fakes import RecordingSender


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
