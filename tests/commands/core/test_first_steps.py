"""The installer's checklist ticks itself off: one message, edited once for each step, by whoever does it."""

import pytest

from bot.core.models import Conclusion, Pipeline
from bot.slack.sender import SlackError, SlackUnreachable, SlackUnsure
from bot.store import Store
from commands.core import first_steps
from commands.core.context import Services
from tests.commands.fakes import TEAM, USER, FakeConnections, FakeProvider, RecordingSender
from tests.commands.reading import Linked, Recorded, Say
from tests.set_clock import SetClock


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
    await first_steps.begin(TEAM, [USER], services)
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


async def test_a_connection_that_stands_already_is_ticked_from_the_beginning(
    services: Services, sender: RecordingSender
) -> None:
    await first_steps.begin(TEAM, [USER], services)
    message = sender.of("chat.postMessage")[-1].message
    assert message is not None
    assert (message.text.count("✓"), message.text.count("◌")) == (1, 2)


async def test_a_workspace_whose_channels_follow_builds_already_gets_no_checklist(
    services: Services, sender: RecordingSender, linked: Linked
) -> None:
    await linked()
    assert not await first_steps.begin(TEAM, [USER], services)
    assert sender.of("chat.postMessage") == []


async def test_a_workspace_gets_the_checklist_once_for_good(
    services: Services, sender: RecordingSender, set_clock: SetClock
) -> None:
    assert await first_steps.begin(TEAM, [USER], services)
    assert not await first_steps.begin(TEAM, ["U2"], services)
    set_clock.go(days=400)
    await services.store.prune(set_clock.now)
    assert not await first_steps.begin(TEAM, [USER], services)
    assert len(sender.of("chat.postMessage")) == 1


@pytest.mark.parametrize(
    ("error", "posts", "is_due"),
    [
        (SlackError("channel_not_found"), [USER, "U2"], True),
        (SlackUnreachable(), [USER], True),
        (SlackUnsure(), [USER], False),
    ],
    ids=["somebody else", "later", "perhaps posted"],
)
async def test_only_what_certainly_was_not_posted_is_posted_again(
    services: Services, sender: RecordingSender, error: SlackError, posts: list[str], is_due: bool
) -> None:
    sender.refusals["chat.postMessage"] = error
    if type(error) is SlackUnreachable:
        with pytest.raises(SlackUnreachable):
            await first_steps.begin(TEAM, [USER, "U2"], services)
    else:
        assert not await first_steps.begin(TEAM, [USER, "U2"], services)
    assert [call.arguments["channel"] for call in sender.of("chat.postMessage")] == posts
    assert await first_steps.is_due(TEAM, services) is is_due


async def test_what_was_done_in_no_command_is_ticked_at_the_next_start(
    services: Services, connections: FakeConnections, sender: RecordingSender, works: FakeProvider
) -> None:
    connections.open.clear()
    await first_steps.begin(TEAM, [USER], services)
    await first_steps.catch_up(TEAM, services)
    assert edits(sender) == []
    connections.open[works.connection] = works
    await first_steps.catch_up(TEAM, services)
    await first_steps.catch_up(TEAM, services)
    (text,) = edits(sender)
    assert (text.count("✓"), text.count("◌")) == (1, 2)


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
    await first_steps.begin(TEAM, [USER], services)
    await linked()
    assert (await say(words)).outcome != "ok"
    assert edits(sender) == []
    await recorded(works.build_of(app, 5, conclusion=Conclusion.FAILED))
    assert (await say("retry #5")).outcome == "ok"
    assert len(edits(sender)) == 1
