"""Waiting steps are decided by those who may, once, and the card says who did."""

from collections.abc import Awaitable, Callable

import pytest

from bot.core.models import Approval, Build, Conclusion, Parameter, Pipeline
from bot.providers.base.capabilities import Capability
from bot.store import Store
from commands.core.context import Source
from tests.commands.fakes import ADMIN, EVERYTHING, FakeProvider
from tests.commands.reading import Linked, Recorded, Say, buttons, first

Waiting = Callable[..., Awaitable[None]]


@pytest.fixture
async def waiting(works: FakeProvider, app: Pipeline, linked: Linked) -> Waiting:
    """Return what lets approvals open in #5, with #6 running after it."""

    async def opened(*approvals: Approval) -> None:
        works.running(app, 5, waiting=True)
        works.running(app, 6)
        works.open_approvals["b5"] = approvals

    await linked()
    return opened


def approval(name: str, **fields: object) -> Approval:
    return Approval(id=f"g {name}", build="b5", pipeline="p-app", name=name, can_reject=True, **fields)  # type: ignore[arg-type]


async def test_the_only_open_step_of_the_build_that_waits_is_approved(
    say: Say, works: FakeProvider, waiting: Waiting
) -> None:
    await waiting(approval("production"))
    handled = await say("approve --comment hotfix", user=ADMIN)
    verb, what, details = works.acts[0]
    assert (verb, what) == ("approve", "g production")
    assert details["comment"] == f"hotfix (Slack user {ADMIN})"
    assert first(handled) == f"<@{ADMIN}> approved production of App #5: hotfix"
    assert handled.answer.public


async def test_a_step_is_rejected(say: Say, works: FakeProvider, waiting: Waiting) -> None:
    await waiting(approval("production"))
    assert "rejected production" in first(await say("reject #5 prod", user=ADMIN))
    assert works.acts[0][2]["comment"] == f"Decided in Slack by Slack user {ADMIN}"


async def test_several_steps_are_asked_about_and_the_button_decides_one(
    say: Say, works: FakeProvider, waiting: Waiting
) -> None:
    await waiting(approval("it's qa"), approval("live"))
    asked = await say("approve", user=ADMIN)
    assert works.acts == []
    await say(buttons(asked)["it's qa"], user=ADMIN, source=Source.BUTTON)
    assert works.acts[0][1] == "g it's qa"
    again = await say(buttons(asked)["it's qa"], user=ADMIN, source=Source.BUTTON)
    assert again.outcome == "failed"
    assert "These wait: `live`." in first(again)


async def test_a_step_that_asks_for_values_gets_them(say: Say, works: FakeProvider, waiting: Waiting) -> None:
    await waiting(approval("deploy", fields=(Parameter(name="ENV", required=True), Parameter(name="N", default="2"))))
    assert "deploy asks for `ENV`." in first(await say("approve", user=ADMIN))
    form = (await say("approve", user=ADMIN, trigger="t1")).answer.form
    assert form is not None
    assert form.form == "decide"
    await say("approve #5 deploy ENV=qa", user=ADMIN)
    assert works.acts[0][2]["fields"] == {"ENV": "qa", "N": "2"}


async def test_nobody_decides_without_the_role(say: Say, works: FakeProvider, waiting: Waiting) -> None:
    await waiting(approval("production"))
    handled = await say("approve")
    assert "needs the approver role here" in first(handled)
    assert works.acts == []


async def test_what_is_not_open_or_cannot_be_refused_is_said(
    say: Say, works: FakeProvider, app: Pipeline, waiting: Waiting
) -> None:
    await waiting(Approval(id="g1", build="b5", pipeline="p-app", name="qa"))
    assert "has no open step `nope`" in first(await say("approve #5 nope", user=ADMIN))
    assert "Nothing waits for approval in App #6 now" in first(await say("approve #6", user=ADMIN))
    assert (await say("reject #5", user=ADMIN)).outcome == "failed"
    works.capabilities = EVERYTHING - {Capability.REJECT}
    assert (await say("reject #5", user=ADMIN)).outcome == "failed"
    works.capabilities = EVERYTHING - {Capability.APPROVALS}
    assert (await say("approve #5", user=ADMIN)).outcome == "failed"
    assert works.acts == []


async def test_erasing_asks_first_and_then_erases_that_build(
    say: Say, works: FakeProvider, app: Pipeline, recorded: Recorded, store: Store
) -> None:
    works.build_of(app, 4, conclusion=Conclusion.FAILED)
    assert (await say("erase app")).outcome == "refused"
    asked = await say("erase app#4", user=ADMIN)
    assert works.acts == []
    works.build_of(app, 5)
    done = await say(buttons(asked)["Erase"], user=ADMIN, source=Source.BUTTON)
    assert works.acts == [("erase", "b4", None)]
    assert "erased the logs and artifacts of App #4" in first(done)
    assert (await say(buttons(asked)["Erase"], user=ADMIN, source=Source.BUTTON)).answer.silent
    assert len(works.acts) == 1


async def test_erasing_the_page_of_a_job_erases_that_job_only(
    say: Say, works: FakeProvider, app: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    build = works.build_of(app, 4)
    other = works.build_of(app, 5)
    owners = {"j7": build, "j9": other}

    async def build_of_job(_pipeline: str, job: str) -> Build:
        return owners[job]

    monkeypatch.setattr(works, "build_of_job", build_of_job)
    asked = await say("erase app#4 --job j7", user=ADMIN)
    assert works.acts == []
    (confirm,) = [words for words in buttons(asked).values() if words.startswith("erase")]
    await say(confirm, user=ADMIN)
    assert works.acts == [("erase_job", build.id, "j7")]
    refused = await say("erase app#4 --job j9 --yes", user=ADMIN)
    assert "not one of" in first(refused)
    assert len(works.acts) == 1
