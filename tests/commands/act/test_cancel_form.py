"""The form to stop running builds."""

from collections.abc import Awaitable, Callable

import pytest

from bot.core.errors import Rejected
from bot.core.models import Build, Pipeline
from bot.providers.base.capabilities import Capability
from bot.store.rows import LinkRow
from tests.commands.fakes import ADMIN, EVERYTHING, USER, FakeProvider
from tests.commands.modals import Modal

Linked = Callable[..., Awaitable[LinkRow]]
Recorded = Callable[..., Awaitable[None]]


@pytest.fixture
async def running(works: FakeProvider, app: Pipeline, linked: Linked, recorded: Recorded) -> list[Build]:
    await linked()
    made = [works.running(app, number, triggered_by="Bo") for number in (40, 41)]
    await recorded(*made)
    mine = works.running(works.add("web"), 9)
    await recorded(mine, started_by=USER)
    return [*made, mine]


def offered(modal: Modal) -> list[str]:
    return [
        option["text"]["text"]
        for block in modal.inputs()
        if block["element"]["type"] == "checkboxes"
        for option in block["element"]["options"]
    ]


async def test_what_runs_here_and_what_is_ones_own_can_be_ticked(modal: Modal, running: list[Build]) -> None:
    await modal.open("cancel --form")
    assert offered(modal)[0].startswith("Web #9 · main")
    assert {label.split(" · ")[0] for label in offered(modal)} == {"Web #9", "App #40", "App #41"}
    assert "Bo" in offered(modal)[1]


async def test_one_build_is_stopped_with_a_reason(modal: Modal, works: FakeProvider, running: list[Build]) -> None:
    await modal.open("cancel --form --reason 'wrong branch'")
    assert await modal.submit({"builds:0": ["works\np-app\nb40"]}) == {}
    assert [act[:2] for act in works.acts] == [("cancel", "b40")]
    assert "stopped App #40 (wrong branch)" in modal.sender.last.text
    assert modal.sender.last.method == "chat.postMessage"


async def test_several_at_once_need_the_approvers_role(modal: Modal, works: FakeProvider, running: list[Build]) -> None:
    await modal.open("cancel --form")
    ticked = {"builds:0": ["works\np-app\nb40", "works\np-app\nb41"]}
    await modal.submit(ticked)
    assert "needs the approver role" in modal.text
    assert modal.value("builds:0") == ticked["builds:0"]
    modal.user = ADMIN
    await modal.submit()
    assert [act[:2] for act in works.acts] == [("cancel", "b40"), ("cancel", "b41")]


async def test_what_fails_beside_others_is_said(modal: Modal, works: FakeProvider, running: list[Build]) -> None:
    modal.user = ADMIN
    await modal.open("cancel --form")
    works.troubles["cancel"] = Rejected("Not that one.", provider="The Works")
    await modal.submit({"builds:0": ["works\np-app\nb40"]})
    assert "Not that one." in modal.text
    assert modal.value("builds:0") == ["works\np-app\nb40"]


async def test_nothing_ticked_and_builds_that_are_over_are_said(
    modal: Modal, works: FakeProvider, app: Pipeline, running: list[Build]
) -> None:
    await modal.open("cancel --form")
    assert "Tick at least one" in (await modal.submit({}))["builds:0"]
    works.build_of(app, 40)
    assert "over already" in (await modal.submit({"builds:0": ["works\np-app\nb40"]}))["builds:0"]
    assert not works.acts


async def test_a_long_list_is_split_and_what_does_not_fit_is_counted(
    modal: Modal, works: FakeProvider, app: Pipeline, linked: Linked, recorded: Recorded
) -> None:
    await linked()
    await recorded(*(works.running(app, number) for number in range(1, 66)))
    await modal.open("cancel --form")
    assert len(offered(modal)) == 60
    assert "5 more builds" in modal.text


async def test_the_only_build_is_ticked_already(
    modal: Modal, works: FakeProvider, app: Pipeline, linked: Linked, recorded: Recorded
) -> None:
    await linked()
    await recorded(works.running(app, 1))
    await modal.open("cancel --form")
    assert modal.value("builds:0") == ["works\np-app\nb1"]


async def test_systems_that_stop_nothing_are_left_out(
    modal: Modal, works: FakeProvider, app: Pipeline, linked: Linked, recorded: Recorded
) -> None:
    works.capabilities = EVERYTHING - {Capability.CANCEL}
    await linked()
    await recorded(works.running(app, 1))
    await modal.open("cancel --form")
    assert "Nothing runs here that I could stop." in modal.text


async def test_without_words_ones_own_only_running_build_is_stopped(
    modal: Modal, works: FakeProvider, running: list[Build]
) -> None:
    assert await modal.open("cancel") == {}
    assert [act[:2] for act in works.acts] == [("cancel", "b9")]


async def test_of_several_own_running_builds_the_form_asks_which(
    modal: Modal, works: FakeProvider, app: Pipeline, running: list[Build], recorded: Recorded
) -> None:
    await recorded(works.running(app, 50), started_by=USER)
    await modal.open("cancel")
    assert len(offered(modal)) == 4
    assert not works.acts


async def test_where_it_is_clear_which_build_is_meant_no_form_opens(
    modal: Modal, works: FakeProvider, app: Pipeline, linked: Linked, recorded: Recorded
) -> None:
    await linked()
    await recorded(works.running(app, 1), started_by=USER)
    assert await modal.open("cancel") == {}
    assert [act[:2] for act in works.acts] == [("cancel", "b1")]


async def test_in_a_channel_without_anything_the_form_says_so(modal: Modal) -> None:
    await modal.open("cancel --form")
    assert "No pipeline is linked to this channel" in modal.text
