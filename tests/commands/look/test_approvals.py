"""When a channel is reminded of an approval that stays open."""

from datetime import timedelta

import pytest

from bot.store import Store
from commands.core.context import Source
from tests.commands.fakes import CHANNEL, TEAM
from tests.commands.reading import Linked, Say, first


@pytest.mark.parametrize(
    ("words", "after", "says"),
    [
        ("30m", timedelta(minutes=30), "open for 30 m"),
        ("off", None, "no reminder of open approvals; one before a deadline stays"),
        ("default", timedelta(hours=1), "open for 1 h"),
    ],
)
async def test_a_channel_sets_when_it_is_reminded(
    say: Say, linked: Linked, store: Store, words: str, after: timedelta | None, says: str
) -> None:
    await linked()
    await say("approvals --remind 2h")
    assert says in first(await say(f"approvals --remind {words}"))
    assert await store.settings.reminds_after(TEAM, CHANNEL) == after
    assert await store.settings.reminds_after(TEAM, "C-other") == timedelta(hours=1)


@pytest.mark.parametrize("words", ["--remind 1m", "--remind 30d", "--remind soon", "app --remind 30m"])
async def test_a_time_that_makes_no_sense_is_refused(say: Say, linked: Linked, words: str) -> None:
    await linked()
    assert (await say(f"approvals {words}")).outcome == "refused"


async def test_a_direct_message_has_no_reminders_to_set(say: Say) -> None:
    assert "Reminders go to a channel" in first(await say("approvals --remind 30m", channel="D1", source=Source.DIRECT))
