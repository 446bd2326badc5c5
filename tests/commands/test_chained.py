"""A chained command runs once when its build has passed, with the rights of that moment, whichever process does it."""

from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from bot.core.models import Build, Conclusion, Parameter, ParameterType, Pipeline, Status
from bot.slack.inbox import Inbox
from bot.store import Store
from commands.chained import ChainedCommands
from commands.core.context import Services
from tests.commands.fakes import CHANNEL, NOW, TEAM, USER, FakeProvider
from tests.commands.reading import Linked, Recorded, Say, buttons, first
from tests.commands.test_scheduled import Channel
from tests.set_clock import SetClock

Tick = Callable[[], Awaitable[None]]


@pytest.fixture
def channel() -> Channel:
    return Channel()


@pytest.fixture
def tick(services: Services, channel: Channel, inbox: Inbox) -> Tick:
    return ChainedCommands(services, channel.deliver, inbox).tick


@pytest.fixture
async def web(works: FakeProvider, linked: Linked) -> Pipeline:
    """Link app and web."""
    await linked()
    pipeline = works.add("web")
    await linked(pipeline)
    return pipeline


def started(works: FakeProvider) -> list[str]:
    """Return the pipelines whose builds were started."""
    return [what for verb, what, _details in works.acts if verb == "start"]


async def ends(store: Store, works: FakeProvider, build: Build, conclusion: Conclusion) -> None:
    """Let a build end, and the poller see it."""
    ended = works.put(replace(build, status=Status.COMPLETED, conclusion=conclusion, completed_at=build.created_at))
    await store.recording.record([ended], now=NOW)


@pytest.mark.usefixtures("web")
async def test_a_command_runs_once_when_its_build_has_passed(
    say: Say, works: FakeProvider, app: Pipeline, store: Store, tick: Tick, channel: Channel
) -> None:
    await say('run app@main --then "run web@main LANE=beta"')
    (build, *_rest) = works.history[app.id]
    await tick()
    assert started(works) == ["p-app"]
    assert "`run web@main LANE=beta` when App #" in first(await say("chains"))
    await ends(store, works, build, Conclusion.PASSED)
    await tick()
    await tick()
    assert started(works) == ["p-app", "p-web"]
    assert channel.shown == ["a build's card"]
    assert "No command waits" in first(await say("chains"))


@pytest.mark.usefixtures("web")
@pytest.mark.parametrize("conclusion", [Conclusion.FAILED, Conclusion.CANCELLED, Conclusion.PARTIAL])
async def test_a_build_that_did_not_pass_runs_nothing_and_says_so(
    say: Say,
    works: FakeProvider,
    app: Pipeline,
    store: Store,
    tick: Tick,
    channel: Channel,
    conclusion: Conclusion,
) -> None:
    await say('run app@main --then "run web@main"')
    await ends(store, works, works.history[app.id][0], conclusion)
    await tick()
    assert started(works) == ["p-app"]
    (shown,) = channel.shown
    assert f"ended as {conclusion.value}, so `run web@main` of <@{USER}> was not run" in shown


@pytest.mark.usefixtures("web")
async def test_a_build_that_never_ends_is_given_up_after_days(
    say: Say, works: FakeProvider, tick: Tick, channel: Channel, set_clock: SetClock
) -> None:
    await say('run app@main --then "run web@main"')
    set_clock.go(days=3)
    await tick()
    assert started(works) == ["p-app"]
    assert "did not end in time" in channel.shown[0]


@pytest.mark.usefixtures("web")
async def test_the_rights_are_judged_when_it_runs(
    say: Say, works: FakeProvider, app: Pipeline, store: Store, tick: Tick, channel: Channel
) -> None:
    await say('run app@main --then "run web@main"')
    await say("hold web release day", user="U2")
    await ends(store, works, works.history[app.id][0], Conclusion.PASSED)
    await tick()
    assert started(works) == ["p-app"]
    assert "<@U2> has held it" in channel.shown[0]


@pytest.mark.usefixtures("web")
async def test_two_processes_run_it_once(
    say: Say, works: FakeProvider, app: Pipeline, store: Store, services: Services, channel: Channel, inbox: Inbox
) -> None:
    await say('run app@main --then "run web@main"')
    await ends(store, works, works.history[app.id][0], Conclusion.PASSED)
    first_process, second = (ChainedCommands(services, channel.deliver, inbox) for _process in range(2))
    await first_process.tick()
    await second.tick()
    assert started(works) == ["p-app", "p-web"]


@pytest.mark.usefixtures("web")
async def test_one_that_was_claimed_by_a_process_that_died_is_taken_over(
    say: Say,
    works: FakeProvider,
    app: Pipeline,
    store: Store,
    services: Services,
    channel: Channel,
    inbox: Inbox,
    set_clock: SetClock,
) -> None:
    await say('run app@main --then "run web@main"')
    await ends(store, works, works.history[app.id][0], Conclusion.PASSED)
    chained = ChainedCommands(services, channel.deliver, inbox)
    assert await chained._claim() is not None
    inbox.held.clear()
    set_clock.go(hours=1)
    await inbox.tick()
    await inbox.settle()
    assert started(works) == ["p-app", "p-web"]


async def test_a_start_waits_until_the_running_build_of_its_branch_has_passed(
    say: Say,
    works: FakeProvider,
    app: Pipeline,
    web: Pipeline,
    store: Store,
    tick: Tick,
    recorded: Recorded,
    channel: Channel,
) -> None:
    build = works.running(app, 7)
    await recorded(build)
    works.running(app, 8, branch="other")
    handled = await say("run web@main LANE='a b' --when green")
    assert first(handled).startswith(f"<@{USER}> will start Web on main when App #7 has passed.")
    assert started(works) == []
    await ends(store, works, build, Conclusion.PASSED)
    await tick()
    await tick()
    (act,) = works.acts
    assert act[:2] == ("start", web.id)
    assert act[2].parameters == {"LANE": "a b"}
    assert channel.shown == ["a build's card"]


async def test_without_a_running_build_or_with_several_nothing_waits(
    say: Say, works: FakeProvider, app: Pipeline, web: Pipeline, store: Store, linked: Linked
) -> None:
    assert "No build of `main` is running here" in first(await say("run web@main --when green"))
    third = works.add("third")
    await linked(third)
    works.running(app, 7)
    works.running(third, 9)
    assert "Several builds of `main` are running" in first(await say("run web@main --when green"))
    assert await store.chains.of_channel(TEAM, CHANNEL) == []


@pytest.mark.usefixtures("web")
@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ('run app@main --then "cancel #1"', "can't chain"),
        ('run app@main --then "run nope"', "nope"),
        ('run app@main --then "run web --form"', "can't be chained"),
        ('run app@main --then "run web TOKEN=ghp_' + "a1B2" * 9 + '"', "password or token"),
        ('run app@main --then "run web KEY=1"', "holds a secret"),
        ("run app@main --when red", "takes `green`"),
        ('schedule "daily 7:00" run app --when green', "can't be scheduled"),
    ],
)
async def test_what_cannot_be_chained_starts_nothing(say: Say, works: FakeProvider, words: str, reason: str) -> None:
    works.known_parameters["p-web"] = (Parameter(name="KEY", type=ParameterType.SECRET),)
    assert reason in first(await say(words))
    assert started(works) == []


@pytest.mark.usefixtures("web")
async def test_somebody_elses_command_is_removed_after_a_question(
    say: Say, works: FakeProvider, app: Pipeline, store: Store, tick: Tick
) -> None:
    await say('run app@main --then "run web@main"')
    (row,) = await store.chains.of_channel(TEAM, CHANNEL)
    asked = await say(f"chains remove {row.id}", user="U2")
    assert asked.answer.is_question
    assert (await say(buttons(asked)["Remove it"], user="U2")).outcome == "ok"
    await ends(store, works, works.history[app.id][0], Conclusion.PASSED)
    await tick()
    assert started(works) == ["p-app"]
    assert (await say("chains remove 99")).outcome == "refused"
