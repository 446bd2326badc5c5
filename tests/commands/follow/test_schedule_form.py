"""The form for a command typed by the clock."""

from bot.store import Store
from tests.commands.fakes import CHANNEL, TEAM
from tests.commands.modals import Modal


async def test_the_next_three_times_are_shown_and_follow_the_words(modal: Modal) -> None:
    await modal.open("schedule --form")
    assert modal.text.count("<!date^") == 3
    assert "2026-03-05 06:00 UTC" in modal.text
    await modal.change("words", "sat,sun 9:30")
    assert "2026-03-07 08:30 UTC" in modal.text
    await modal.change("words", "whenever")
    assert "I don't understand the time" in modal.text
    assert modal.value("words") == "whenever"


async def test_a_command_is_scheduled_in_ones_own_zone(modal: Modal, store: Store) -> None:
    await modal.open("schedule --form")
    assert await modal.submit({"words": "mon,wed 18:30", "command": "/build run app@main"}) == {}
    (row,) = await store.schedules.of_channel(TEAM, CHANNEL)
    assert (row.command, row.cron, row.tz) == ("run app@main", "30 18 * * mon,wed", "Europe/Berlin")
    await modal.open("schedule --form")
    assert "run app@main" in modal.text


async def test_both_fields_say_what_is_wrong(modal: Modal, store: Store) -> None:
    await modal.open("schedule --form")
    assert set(await modal.submit({"words": "whenever", "command": "disconnect works"})) == {"words", "command"}
    assert await store.schedules.of_channel(TEAM, CHANNEL) == []


async def test_the_list_leads_to_the_form(modal: Modal) -> None:
    await modal.open("schedule")
    assert "schedule --form" in modal.sender.last.text
    await modal.press("schedule --form")
    assert modal.fields() == ["words", "command"]
