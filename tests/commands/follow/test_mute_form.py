"""The forms for being quiet."""

from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest

from bot.store import Store
from bot.store.rows import LinkRow, MuteRow
from tests.commands.fakes import ADMIN, CHANNEL, NOW, TEAM
from tests.commands.modals import Modal

Linked = Callable[..., Awaitable[LinkRow]]


async def mutes(store: Store) -> list[MuteRow]:
    return await store.mutes.of_channel(TEAM, CHANNEL)


async def test_everything_is_quiet_for_two_hours_unless_set_otherwise(modal: Modal, store: Store) -> None:
    await modal.open("mute --form")
    assert (modal.value("target"), modal.value("for")) == ("all", "2h")
    assert "Europe/Berlin" in modal.text
    assert await modal.submit() == {}
    (row,) = await mutes(store)
    assert (row.target, row.until) == ("all", NOW + timedelta(hours=2))


async def test_one_pipeline_until_a_time_in_ones_own_zone(modal: Modal, store: Store, linked: Linked) -> None:
    await linked()
    await modal.open("mute --form")
    assert await modal.submit({"target": "works:p-app", "for": "until", "until": "18:00"}) == {}
    (row,) = await mutes(store)
    assert (row.target, row.until) == ("works:p-app", NOW.replace(hour=17))
    await modal.open("mute --form")
    assert "Muted now: App until" in modal.text


async def test_a_persons_builds_are_muted_in_the_form_and_named_there_afterwards(modal: Modal, store: Store) -> None:
    await modal.open("mute <@U0BOB|bob> 4h --form")
    assert (modal.value("person"), modal.value("for")) == ("U0BOB", "4h")
    assert await modal.submit() == {}
    (row,) = await mutes(store)
    assert (row.target, row.until) == ("user:U0BOB", NOW + timedelta(hours=4))
    assert "U0BOB" in row.people.split("\n")
    await modal.open("mute --form")
    assert not modal.value("person")
    assert "Muted now: builds of" in modal.text


async def test_a_pipeline_and_a_person_are_not_muted_at_once(modal: Modal, store: Store, linked: Linked) -> None:
    await linked()
    await modal.open("mute --form")
    assert set(await modal.submit({"target": "works:p-app", "person": "U0BOB"})) == {"person"}
    assert await mutes(store) == []


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"for": "until"}, "until"),
        ({"for": "until", "until": "some day"}, "until"),
        ({"for": "1h", "until": "18:00"}, "for"),
    ],
)
async def test_times_that_can_not_be_are_said_at_their_field(
    modal: Modal, store: Store, values: dict[str, str], field: str
) -> None:
    await modal.open("mute --form")
    assert set(await modal.submit(values)) == {field}
    assert await mutes(store) == []


async def test_a_day_is_for_admins(modal: Modal, store: Store) -> None:
    await modal.open("mute --form")
    await modal.submit({"for": "1d"})
    assert "needs the admin role" in modal.text
    modal.user = ADMIN
    assert modal.value("for") == "1d"
    await modal.submit()
    assert len(await mutes(store)) == 1


async def test_quiet_without_hours_opens_its_form(modal: Modal, store: Store) -> None:
    await modal.open("quiet")
    assert await modal.submit({"hours": "22:00 – 07:00", "days": ["mon", "tue"]}) == {}
    (row,) = await mutes(store)
    assert (row.hours, row.tz) == ("22:00-07:00 mon,tue", "Europe/Berlin")
    await modal.open("quiet")
    assert (modal.value("hours"), modal.value("days")) == ("22:00-07:00", ["mon", "tue"])


async def test_hours_typed_as_spans_of_days_are_shown_as_days(modal: Modal) -> None:
    await modal.open("quiet 18:00-09:00 fri-mon")
    await modal.open("quiet --form")
    assert modal.value("days") == ["mon", "fri", "sat", "sun"]


async def test_empty_hours_end_the_quiet(modal: Modal, store: Store) -> None:
    await modal.open("quiet 22:00-07:00")
    await modal.open("quiet")
    assert await modal.submit({"hours": ""}) == {}
    assert await mutes(store) == []


@pytest.mark.parametrize("values", [{"hours": "ten to six"}, {"hours": "", "days": ["mon"]}])
async def test_hours_that_can_not_be_are_said_at_their_field(
    modal: Modal, store: Store, values: dict[str, str]
) -> None:
    await modal.open("quiet")
    assert set(await modal.submit(values)) == {"hours"}
    assert await mutes(store) == []


async def test_every_day_needs_no_days(modal: Modal, store: Store) -> None:
    await modal.open("quiet")
    await modal.submit({"hours": "22:00-07:00", "days": ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]})
    assert (await mutes(store))[0].hours == "22:00-07:00"
