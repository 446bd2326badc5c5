"""The form for who one is to the bot."""

import json

import pytest

from bot.store import Store
from bot.store.rows import NewIdentity
from tests.commands.fakes import NOW, TEAM, USER
from tests.commands.modals import Modal


async def known(store: Store) -> set[str]:
    return {f"{row.kind}:{row.value}" for row in await store.people.identities(TEAM, USER) if row.manual}


async def test_addresses_handles_and_wishes_are_kept(modal: Modal, store: Store) -> None:
    await modal.open("me --form")
    assert modal.value("switches") == ["mentions"]
    assert "ana@works.example" in modal.text
    typed = {
        "emails": "Ana@home.example, ana@old.example",
        "handles": "github:ana",
        "switches": ["broken", "plain"],
        "hours": "9 – 18",
    }
    assert await modal.submit(typed) == {}
    assert await known(store) == {"email:ana@home.example", "email:ana@old.example", "github:ana"}
    person = await store.people.get(TEAM, USER)
    assert person is not None
    assert json.loads(person.settings) == {"mentions": "off", "broken": "on", "plain": "on", "hours": "9-18"}
    await modal.open("me --form")
    assert modal.value("emails") == "ana@home.example\nana@old.example"
    assert (modal.value("switches"), modal.value("hours")) == (["broken", "plain"], "9-18")


async def test_what_is_taken_out_is_forgotten(modal: Modal, store: Store) -> None:
    await modal.open("me --form")
    await modal.submit({"emails": "a@x.example\nb@x.example", "handles": "github:ana", "hours": "9-18"})
    await modal.open("me --form")
    await modal.submit({"emails": "b@x.example", "handles": "", "hours": ""})
    assert await known(store) == {"email:b@x.example"}
    await modal.open("me --form")
    assert modal.value("hours") is None


@pytest.mark.parametrize(
    ("field", "value"), [("emails", "ana at home"), ("handles", "ana"), ("hours", "9-99"), ("hours", "always")]
)
async def test_what_does_not_read_is_said_at_its_field_and_nothing_changes(
    modal: Modal, store: Store, field: str, value: str
) -> None:
    await modal.open("me --form")
    assert set(await modal.submit({"switches": [], field: value})) == {field}
    assert await known(store) == set()
    person = await store.people.get(TEAM, USER)
    assert person is None or json.loads(person.settings) == {}


async def test_an_address_of_somebody_else_is_not_taken(modal: Modal, store: Store) -> None:
    row = NewIdentity(team=TEAM, kind="email", value="bo@x.example", user="U2", manual=True, looked_at=NOW)
    await store.people.save_identity(row)
    await modal.open("me --form")
    assert "belongs to" in (await modal.submit({"emails": "bo@x.example"}))["emails"]
    await modal.open("me forget bo@x.example")
    assert "I know no `bo@x.example` of yours" in modal.sender.last.text
    assert (await store.people.identity(TEAM, "email", "bo@x.example")) is not None


async def test_nothing_changed_is_nothing_done(modal: Modal, store: Store) -> None:
    await modal.open("me --form")
    assert await modal.submit() == {}
    assert await known(store) == set()
    assert "Ana" in modal.sender.last.text
