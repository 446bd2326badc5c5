"""The form to approve or reject a step that waits."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any, cast

import pytest

from bot.core.models import Approval, Build, Parameter, ParameterType, Pipeline
from bot.store import Store
from bot.store.rows import LinkRow, NewGrant
from commands.core.context import Access, Role, Services
from commands.slack.app import SlackApp
from tests.commands.fakes import ADMIN, NOW, TEAM, FakeProvider
from tests.commands.modals import Modal

FIELDS = (
    Parameter(name="reason", required=True),
    Parameter(name="size", type=ParameterType.CHOICE, choices=(("s", "Small"), ("l", "Large")), default="s"),
    Parameter(name="loud", type=ParameterType.BOOLEAN),
)


@pytest.fixture
def waiting(works: FakeProvider, app: Pipeline) -> Build:
    build = works.running(app, 88, waiting=True)
    works.open_approvals[build.id] = (
        Approval(id="g1", build=build.id, pipeline=app.id, name="Production", fields=FIELDS, can_reject=True,
             instructions="Look at the <charts>"),
        Approval(id="g2", build=build.id, pipeline=app.id, name="Staging"),
    )  # fmt: skip
    return build


@pytest.fixture
def approver(modal: Modal) -> Modal:
    modal.user = ADMIN
    return modal


async def test_one_click_decides_a_step_that_asks_for_nothing(
    approver: Modal, works: FakeProvider, waiting: Build
) -> None:
    assert await approver.press("approve works:p-app#88 --step g2") == {}
    assert [act[:2] for act in works.acts] == [("approve", "g2")]


async def test_a_step_that_asks_for_something_opens_its_form(
    approver: Modal, works: FakeProvider, waiting: Build
) -> None:
    await approver.press("approve works:p-app#88 --step g1")
    assert not works.acts
    assert approver.fields() == ["approval", "decision", "p:reason", "p:size", "p:loud", "comment"]
    assert (approver.value("approval"), approver.value("decision"), approver.value("p:size")) == ("g1", "approve", "s")
    assert "Look at the &lt;charts&gt;" in approver.text
    assert await approver.submit({"p:reason": "hotfix", "p:size": "l", "comment": "Go"}) == {}
    ((verb, approval, details),) = works.acts
    assert (verb, approval) == ("approve", "g1")
    assert details["fields"] == {"reason": "hotfix", "size": "l", "loud": "false"}
    assert details["comment"].startswith("Go")
    said = approver.sender.last
    assert said.method == "chat.postMessage"
    assert "approved Production of App #88: Go" in said.text


async def test_a_rejection_asks_for_no_values(approver: Modal, works: FakeProvider, waiting: Build) -> None:
    await approver.open("reject works:p-app#88 --step g1 --form")
    assert approver.value("decision") == "reject"
    assert approver.fields() == ["approval", "decision", "comment"]
    await approver.change("decision", "approve")
    assert "p:reason" in approver.fields()
    await approver.change("decision", "reject")
    assert await approver.submit({"comment": "Not before Monday"}) == {}
    assert works.acts[0][:2] == ("reject", "g1")


async def test_another_step_has_its_own_fields(approver: Modal, works: FakeProvider, waiting: Build) -> None:
    await approver.open("approve works:p-app#88 --step g1 --form")
    await approver.change("approval", "g2")
    assert approver.fields() == ["approval", "decision", "comment"]
    assert [option["value"] for option in approver.block("decision")["element"]["options"]] == ["approve"]
    await approver.submit()
    assert works.acts[0][:2] == ("approve", "g2")


async def test_a_step_chosen_while_its_fields_are_under_way_is_not_decided(
    approver: Modal, works: FakeProvider, waiting: Build
) -> None:
    await approver.open("approve works:p-app#88 --step g2 --form")
    assert "on their way" in (await approver.submit({"approval": "g1"}))["approval"]
    assert not works.acts


async def test_a_step_that_was_decided_elsewhere_is_not_mistaken_for_another(
    approver: Modal, works: FakeProvider, waiting: Build
) -> None:
    await approver.open("approve works:p-app#88 --step g2 --form")
    works.open_approvals[waiting.id] = works.open_approvals[waiting.id][:1]
    assert "does not wait any more" not in approver.text
    await approver.submit()
    assert "does not wait any more" in approver.text
    works.open_approvals[waiting.id] = ()
    await approver.submit()
    assert "Nothing waits in App #88 any more." in approver.text
    assert not works.acts


async def test_the_role_is_asked_when_the_form_is_sent(
    modal: Modal, works: FakeProvider, waiting: Build, store: Store, services: Services
) -> None:
    grant = NewGrant(team=TEAM, role=Role.APPROVE.word, subject="user:U1", granted_by=ADMIN, granted_at=NOW)
    await store.grants.add(grant)
    await modal.open("approve works:p-app#88 --step g2 --form")
    assert modal.fields() == ["approval", "decision", "comment"]
    modal.user = "U2"
    await modal.submit({"comment": "Kept"})
    assert "needs the approver role here" in modal.text
    assert modal.value("comment") == "Kept"
    assert not works.acts
    modal.slack_app = SlackApp(
        replace(services, access=Access(admins=frozenset({"U2"}))), cast("Any", modal.sender), bot_user=lambda: "UBOT"
    )
    await modal.submit()
    assert works.acts[0][:2] == ("approve", "g2")


async def test_details_show_what_waits_to_anybody(modal: Modal, works: FakeProvider, waiting: Build) -> None:
    await modal.press("approve works:p-app#88 --step g1 --form")
    assert "Look at the" in modal.text
    await modal.submit({"p:reason": "because"})
    assert "needs the approver role here" in modal.text
    assert not works.acts


async def test_without_words_the_newest_waiting_build_is_meant(
    approver: Modal, works: FakeProvider, waiting: Build, linked: Callable[..., Awaitable[LinkRow]]
) -> None:
    await linked()
    await approver.open("approve --form")
    assert "App #88" in approver.text
    await approver.change("approval", "g2")
    await approver.submit()
    assert works.acts[0][:2] == ("approve", "g2")


async def test_the_only_step_is_named(approver: Modal, works: FakeProvider, waiting: Build) -> None:
    works.open_approvals[waiting.id] = works.open_approvals[waiting.id][:1]
    await approver.open("approve works:p-app#88 --form")
    assert "approval" not in approver.fields()
    assert "Production" in approver.text
