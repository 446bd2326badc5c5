"""What follows a target is a step's name, a reason, or both; an undo changes no newer link; pickers forgive typing mistakes."""

import pytest

from bot.core.models import Approval, Build, Pipeline
from commands.core.context import Context
from commands.core.executor import Outcome
from commands.core.fields import pipeline_options
from commands.registry import REGISTRY
from tests.commands.fakes import ADMIN, FakeProvider
from tests.commands.reading import Linked, Say, buttons, first


@pytest.fixture
def waiting(works: FakeProvider, app: Pipeline) -> Build:
    build = works.running(app, 7, waiting=True)
    works.open_approvals[build.id] = (
        Approval(id="g1", build=build.id, pipeline=app.id, name="Production", can_reject=True),
    )
    return build


@pytest.mark.parametrize(
    ("words", "comment"),
    [
        ("reject app looks bad to me", "looks bad to me"),
        ("reject app because no QA sign-off", "no QA sign-off"),
        ("reject app production no QA", "no QA"),
        ("reject app#7 Production", ""),
        ("reject app prod", ""),
        ("reject app --comment 'as said'", "as said"),
        ("reject it's", None),
    ],
)
async def test_words_after_a_target_that_name_no_step_are_the_comment(
    words: str, comment: str | None, say: Say, works: FakeProvider, linked: Linked, waiting: Build
) -> None:
    await linked()
    handled = await say(words, user=ADMIN)
    if comment is None:
        assert works.acts == []
        return
    ((act, what, details),) = works.acts
    assert (act, what) == ("reject", "g1")
    assert first(handled).endswith(f": {comment}" if comment else "of App #7")
    assert comment in str(details)


async def test_a_mistyped_step_decides_no_other_one(
    say: Say, works: FakeProvider, linked: Linked, waiting: Build
) -> None:
    await linked()
    handled = await say("approve app prodution", user=ADMIN)
    assert works.acts == []
    assert "no open step `prodution`" in str(handled.error)


async def test_several_steps_are_asked_about_with_the_comment_kept(
    say: Say, works: FakeProvider, app: Pipeline, linked: Linked, waiting: Build
) -> None:
    await linked()
    works.open_approvals[waiting.id] += (
        Approval(id="g2", build=waiting.id, pipeline=app.id, name="Press", can_reject=True),
    )
    handled = await say("reject app it is too late", user=ADMIN)
    assert handled.outcome is Outcome.ASKED
    assert all("too late" in words for words in buttons(handled).values())


async def test_a_reason_follows_what_is_cancelled(say: Say, works: FakeProvider, app: Pipeline, linked: Linked) -> None:
    await linked()
    works.running(app, 4)
    assert "(wrong branch)" in first(await say("cancel app#4 because wrong branch --yes", user=ADMIN))
    refused = await say("cancel app 4", user=ADMIN)
    assert "Did you mean `app#4`?" in str(refused.error)


def test_the_reason_of_a_hold_needs_no_because() -> None:
    command, rest = REGISTRY.split("hold web for 2h because the shop is down")
    assert command.parse(rest).reason == "the shop is down"


async def test_an_undo_leaves_a_newer_link_alone(say: Say, linked: Linked) -> None:
    await linked()
    removed = await say("unlink app --yes", user=ADMIN)
    (undo,) = buttons(removed).values()
    await linked(alias="newer")
    handled = await say(undo, user=ADMIN)
    assert "already linked again by" in str(handled.error)


async def test_a_picker_forgives_a_typing_mistake(works: FakeProvider, context_of: object) -> None:
    works.add("backend")
    works.add("website")
    context: Context = context_of()  # type: ignore[operator]
    assert [value for _label, value in await pipeline_options("bankend", context)] == ["works:p-backend"]
    assert await pipeline_options("zzzzzz", context) == []
