"""The workspace in memory is shown to work, and to fail where a real one would."""

import inspect
from collections.abc import Awaitable, Callable

from bot.core.models import Build, BuildFilter, Pipeline
from bot.providers.base.capabilities import OVERRIDES, Capability
from bot.providers.base.provider import Provider
from bot.store.rows import LinkRow
from commands.core.executor import Handled
from tests.commands.fakes import EVERYTHING, FakeProvider, RecordingSender

Say = Callable[..., Awaitable[Handled]]


def test_the_works_do_all_that_a_system_can_do() -> None:
    for capability in EVERYTHING:
        name = OVERRIDES[capability]
        assert getattr(FakeProvider, name) is not getattr(Provider, name), name
    assert not inspect.isabstract(FakeProvider)


async def test_the_works_list_builds_newest_first_and_keep_to_the_filter(works: FakeProvider, app: Pipeline) -> None:
    works.build_of(app, 1)
    works.build_of(app, 2, branch="other")
    works.build_of(app, 3)
    assert [one.number async for one in works.builds(app.id, BuildFilter(branch="main"))] == [3, 1]


async def test_a_command_starts_a_build_in_the_works(say: Say, works: FakeProvider) -> None:
    handled = await say("run app")
    assert handled.outcome == "ok", handled.answer
    assert [act[0] for act in works.acts] == ["start"]


async def test_a_system_without_a_skill_says_so(say: Say, works: FakeProvider, app: Pipeline) -> None:
    works.capabilities = EVERYTHING - {Capability.CANCEL}
    works.running(app, 7)
    handled = await say("cancel app#7 --yes")
    assert handled.outcome == "failed"
    assert "can't cancel" in (handled.answer.message.text if handled.answer.message else "")


async def test_stored_builds_and_links_are_found(
    say: Say,
    works: FakeProvider,
    app: Pipeline,
    linked: Callable[..., Awaitable[LinkRow]],
    recorded: Callable[..., Awaitable[None]],
) -> None:
    await linked()
    build: Build = works.build_of(app, 12)
    await recorded(build)
    handled = await say("show #12")
    assert handled.answer.message is not None
    assert "#12" in handled.answer.message.text


async def test_views_are_kept_as_slack_keeps_them(sender: RecordingSender) -> None:
    said = await sender.call("T1", "views.open", {"trigger_id": "1", "view": {"type": "modal"}})
    await sender.call("T1", "views.update", {"view_id": said["view"]["id"], "view": {"type": "modal", "n": 2}})
    assert sender.view == {"type": "modal", "n": 2}
