"""The form to follow a pipeline."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any, cast

import pytest

from bot.store import Store
from bot.store.rows import LinkRow
from commands.core.context import Services
from commands.slack.app import SlackApp
from tests.commands.fakes import CHANNEL, NOW, SITE, TEAM, FakeConnections, FakeProvider
from tests.commands.modals import Modal


@pytest.fixture
async def listed(works: FakeProvider, store: Store) -> FakeProvider:
    web = works.add("web", name="Web Shop", default_branch="trunk")
    await store.pipelines.save("works", [works.known["p-app"], web], NOW)
    return works


async def test_a_pipeline_is_found_by_a_part_of_its_name(modal: Modal, listed: FakeProvider, store: Store) -> None:
    await modal.open("link")
    assert await modal.options("pipeline", "shop") == ["works:p-web"]
    await modal.change("pipeline", "works:p-web")
    assert modal.block("branch")["element"]["placeholder"]["text"] == "trunk"
    assert modal.block("alias")["element"]["placeholder"]["text"] == "web-shop"
    assert await modal.submit({"alias": "shop", "branch": "release/1", "default": []}) == {}
    (row,) = await store.links.of_channel(TEAM, CHANNEL)
    assert (row.pipeline, row.alias, row.branch) == ("p-web", "shop", "release/1")
    assert "linked to this channel" in modal.sender.last.text


async def test_the_first_link_becomes_the_default_and_a_later_one_when_ticked(
    modal: Modal, listed: FakeProvider, store: Store
) -> None:
    await modal.open("link")
    assert modal.value("default") == ["true"]
    await modal.submit({"pipeline": "works:p-app"})
    await modal.open("link")
    assert modal.value("default") == []
    await modal.submit({"address": f"{SITE}/works/web/builds/7", "default": ["true"]})
    assert [(row.pipeline, row.is_default) for row in await store.links.of_channel(TEAM, CHANNEL)] == [
        ("p-app", False),
        ("p-web", True),
    ]


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({}, "pipeline"),
        ({"pipeline": "works:p-app", "address": f"{SITE}/works/app"}, "address"),
        ({"address": "works/app"}, "address"),
        ({"address": "https://elsewhere.example/app"}, "address"),
        ({"pipeline": "works:p-app", "alias": "two words"}, "alias"),
        ({"pipeline": "works:p-app", "alias": "a@b"}, "alias"),
    ],
)
async def test_what_can_not_be_is_said_at_its_field(
    modal: Modal, listed: FakeProvider, store: Store, values: dict[str, str], field: str
) -> None:
    await modal.open("link")
    assert set(await modal.submit(values)) == {field}
    assert await store.links.of_channel(TEAM, CHANNEL) == []


async def test_an_alias_that_is_taken_is_said_at_its_field(
    modal: Modal, listed: FakeProvider, linked: Callable[..., Awaitable[LinkRow]]
) -> None:
    await linked(alias="shop")
    await modal.open("link")
    errors = await modal.submit({"pipeline": "works:p-web", "alias": "shop"})
    assert "shop already stands for app" in errors["alias"]
    assert (modal.value("pipeline"), modal.value("alias")) == ("works:p-web", "shop")
    assert await modal.submit({"alias": "web"}) == {}


async def test_without_a_connection_the_form_says_who_can_make_one(modal: Modal, services: Services) -> None:
    modal.slack_app = SlackApp(
        replace(services, connections=cast("Any", FakeConnections())),
        cast("Any", modal.sender),
        bot_user=lambda: "UBOT",
    )
    await modal.open("link")
    assert "No CI system is connected" in modal.text
    assert "/build connect" in modal.text
