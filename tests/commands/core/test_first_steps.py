"""The installer's checklist ticks itself off: one message, edited once for each step, by whoever does it."""

import pytest

from bot.core.models import Conclusion, Pipeline
from bot.store import Store
from commands.core import first_steps
from commands.core.context import Services
from tests.commands.fakes import TEAM, USER, FakeConnections, FakeProvider, RecordingSender
from tests.commands.reading import Linked, Recorded, Say


def edits(sender: RecordingSender) -> list[str]:
    return [call.message.text for call in sender.of("chat.update") if call.message is not None]


async def test_steps_are_ticked_off_as_people_do_them(
    services: Services,
    connections: FakeConnections,
    sender: RecordingSender,
    say: Say,
    works: FakeProvider,
    store: Store,
) -> None:
    connections.open.clear()
    await first_steps.begin(TEAM, USER, services)
    posted = sender.of("chat.postMessage")[-1]
    assert posted.arguments["channel"] == USER
    assert posted.message is not None
    assert posted.message.text.count("◌") == 3
    connections.open[works.connection] = works
    assert (await say("status app", user="U2")).outcome == "ok"
    assert edits(sender) == []
    assert (await say("link works:app", user="U2")).outcome == "ok"
    (text,) = edits(sender)
    assert "✓ Connect a CI system" in text
    assert "✓ Invite me to a channel" in text
    assert "◌ Start a build" in text
    assert (await say("link works:app --default", user="U2")).outcome == "ok"
    assert len(edits(sender)) == 1
    assert (await say("run app", user="U2")).outcome == "ok"
    assert edits(sender)[1].startswith("All three steps are done")
    assert {(call.arguments["channel"], call.arguments["ts"]) for call in sender.of("chat.update")} == {
        (USER, sender.of("chat.update")[0].arguments["ts"])
    }
    assert (await say("run app", user="U2")).outcome == "ok"
    assert len(edits(sender)) == 2
    assert await store.tokens.value(f"first-steps:{TEAM}") is None


async def test_what_stands_already_is_ticked_from_the_beginning(
    services: Services, sender: RecordingSender, linked: Linked
) -> None:
    await linked()
    await first_steps.begin(TEAM, USER, services)
    message = sender.of("chat.postMessage")[-1].message
    assert message is not None
    assert (message.text.count("✓"), message.text.count("◌")) == (2, 1)


@pytest.mark.parametrize("words", ["retry #9", "retry"])
async def test_what_fails_ticks_nothing_and_a_refusal_of_slack_stops_no_command(
    services: Services,
    sender: RecordingSender,
    say: Say,
    linked: Linked,
    recorded: Recorded,
    works: FakeProvider,
    app: Pipeline,
    words: str,
) -> None:
    await linked()
    await first_steps.begin(TEAM, USER, services)
    assert (await say(words)).outcome != "ok"
    assert edits(sender) == []
    await recorded(works.build_of(app, 5, conclusion=Conclusion.FAILED))
    assert (await say("retry #5")).outcome == "ok"
    assert len(edits(sender)) == 1
