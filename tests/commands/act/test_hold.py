"""A held pipeline is started and approved by its holder alone, whatever the way in, until the hold ends."""

import pytest

from bot.core.models import Approval, Conclusion, Pipeline
from bot.store import Store
from commands.core.context import Services, Source
from commands.ended_holds import EndedHolds
from tests.commands.fakes import ADMIN, TEAM, USER, FakeProvider, RecordingSender
from tests.commands.reading import Linked, Recorded, Say, buttons, first, said
from tests.set_clock import SetClock

BO = "U2"


@pytest.fixture
async def held(say: Say, linked: Linked) -> None:
    """Let Ana hold app."""
    await linked()
    assert (await say("hold app checkout isn't up")).outcome == "ok"


@pytest.mark.usefixtures("held")
@pytest.mark.parametrize("words", ["run app", "rebuild app#4", "retry app#4", "retry app#4 --all"])
@pytest.mark.parametrize("source", [Source.SLASH, Source.BUTTON, Source.MENTION, Source.SCHEDULE, Source.TERMINAL])
async def test_what_starts_a_build_is_refused_with_the_holder_and_the_reason(
    say: Say, works: FakeProvider, app: Pipeline, recorded: Recorded, words: str, source: Source
) -> None:
    await recorded(works.build_of(app, 4, conclusion=Conclusion.FAILED))
    handled = await say(words, user=BO, source=source)
    assert handled.outcome == "refused"
    assert f"<@{USER}> has held it since" in first(handled)
    assert "checkout isn't up" in first(handled)
    assert works.acts == []


@pytest.mark.usefixtures("held")
async def test_an_admin_is_refused_too(say: Say, works: FakeProvider) -> None:
    assert (await say("run app", user=ADMIN)).outcome == "refused"
    assert works.acts == []


@pytest.mark.usefixtures("held")
async def test_the_holder_starts_builds_in_person_but_a_schedule_of_theirs_does_not(
    say: Say, works: FakeProvider
) -> None:
    assert (await say("run app", source=Source.SCHEDULE)).outcome == "refused"
    assert works.acts == []
    assert (await say("run app")).outcome == "ok"
    assert [verb for verb, *_ in works.acts] == ["start"]


@pytest.mark.usefixtures("held")
async def test_a_dry_run_and_a_schedule_for_later_are_not_refused(say: Say, works: FakeProvider) -> None:
    assert "Would start" in first(await say("run app --dry-run", user=BO))
    assert (await say('schedule "weekdays 7:00" run app', user=BO)).outcome == "ok"
    assert works.acts == []


@pytest.mark.usefixtures("held")
async def test_a_waiting_step_is_not_approved_but_may_be_rejected(say: Say, works: FakeProvider, app: Pipeline) -> None:
    works.running(app, 5, waiting=True)
    works.open_approvals["b5"] = (Approval(id="g1", build="b5", pipeline=app.id, name="live", can_reject=True),)
    assert (await say("approve #5", user=ADMIN)).outcome == "refused"
    assert works.acts == []
    assert (await say("reject #5", user=ADMIN)).outcome == "ok"
    assert [verb for verb, *_ in works.acts] == ["reject"]


async def test_a_held_environment_refuses_what_names_it_and_nothing_else(
    say: Say, works: FakeProvider, app: Pipeline, linked: Linked
) -> None:
    await linked()
    await say("hold app --env Production release 4.2")
    works.running(app, 5, waiting=True)
    works.open_approvals["b5"] = tuple(
        Approval(id=name, build="b5", pipeline=app.id, name=name, can_reject=True)
        for name in ("Deploy to PRODUCTION", "staging", "productions")
    )
    refused = await say("approve #5 --step 'Deploy to PRODUCTION'", user=ADMIN)
    assert (refused.outcome, "environment `production`" in first(refused)) == ("refused", True)
    assert (await say("run app TARGET=production", user=BO)).outcome == "refused"
    assert works.acts == []
    for words in ("approve #5 --step staging", "approve #5 --step productions", "run app TARGET=staging", "run app"):
        assert (await say(words, user=ADMIN)).outcome == "ok", words
    assert len(works.acts) == 4


@pytest.mark.usefixtures("held")
async def test_who_comes_second_is_told_who_holds_it_and_since_when(say: Say) -> None:
    handled = await say("hold app me too", user=BO)
    assert handled.outcome == "refused"
    assert f"held already: <@{USER}> has held it since" in first(handled)
    assert "checkout isn't up" in first(await say("hold", user=BO))
    assert f"on hold: <@{USER}>" in said(await say("status app", user=BO))


@pytest.mark.usefixtures("held")
async def test_the_holder_releases_it_and_others_start_builds_again(say: Say, works: FakeProvider) -> None:
    handled = await say("release app")
    assert first(handled) == f"<@{USER}> released App"
    assert handled.answer.public
    assert (await say("run app", user=BO)).outcome == "ok"
    assert len(works.acts) == 1
    assert "not on hold" in first(await say("release app"))
    assert first(await say("hold")) == "Nothing is on hold."


@pytest.mark.usefixtures("held")
async def test_somebody_elses_hold_takes_steal_and_a_confirmation_and_its_holder_is_told(
    say: Say, sender: RecordingSender
) -> None:
    assert "--steal" in first(await say("release app", user=BO))
    asked = await say("release app --steal", user=BO)
    assert asked.answer.is_question
    assert f"on hold: <@{USER}>" in said(await say("status app"))
    done = await say(buttons(asked)["Release it"], user=BO, source=Source.BUTTON)
    assert first(done) == f"<@{BO}> released App, which <@{USER}> held."
    posted = sender.of("chat.postMessage")[-1]
    assert posted.arguments["channel"] == USER
    assert f"Your hold of *App* was released by <@{BO}>" in posted.text
    assert first(await say("hold")) == "Nothing is on hold."


@pytest.mark.usefixtures("held")
async def test_a_holder_who_cannot_be_told_keeps_nobody_from_releasing(say: Say, sender: RecordingSender) -> None:
    sender.refusals["chat.postMessage"] = "user_disabled"
    assert "could not reach them" in first(await say("release app --steal --yes", user=BO))


async def test_a_hold_ends_by_itself(say: Say, works: FakeProvider, linked: Linked, set_clock: SetClock) -> None:
    await linked()
    await say("hold app --for 2h")
    set_clock.go(minutes=119)
    assert (await say("run app", user=BO)).outcome == "refused"
    set_clock.go(minutes=1)
    assert (await say("run app", user=BO)).outcome == "ok"
    assert len(works.acts) == 1


async def test_another_workspaces_hold_stops_nobody_here(say: Say, works: FakeProvider, linked: Linked) -> None:
    await linked()
    await say("hold app")
    row = (await say("hold")).answer.message
    assert row is not None
    handled = await say("run app", user=BO, team="T-other", source=Source.TERMINAL)
    assert "has held" not in first(handled)
    assert works.acts == []


async def test_several_held_environments_are_asked_about(say: Say, linked: Linked) -> None:
    await linked()
    await say("hold app --env staging")
    await say("hold app --env production")
    asked = await say("release app")
    assert set(buttons(asked)) == {"staging", "production"}
    assert (await say(buttons(asked)["staging"])).outcome == "ok"
    assert "production" in first(await say("hold"))
    assert "staging" not in first(await say("hold"))


@pytest.mark.parametrize(
    "words", ["hold app#4", "hold app@main", "release app#4", "hold app --env=", "hold app --for x"]
)
async def test_words_that_name_no_pipeline_are_refused(say: Say, linked: Linked, words: str) -> None:
    await linked()
    assert (await say(words)).outcome == "refused"


async def test_an_environment_is_held_across_the_channels_pipelines_and_released_at_once(
    say: Say, works: FakeProvider, linked: Linked, store: Store
) -> None:
    await linked()
    await linked(works.add("deploy"))
    held = first(await say("hold all --env production --for 2h release day"))
    assert "holds the environment `production` of App, Deploy" in held
    assert len(await store.holds.of_team(TEAM)) == 2
    assert "on hold" in first(await say("run deploy TARGET=production", user=BO))
    assert (await say("run deploy TARGET=staging", user=BO)).outcome == "ok"
    assert "held already" in first(await say("hold --env production", user=BO))
    assert first(await say("release --env production")) == f"<@{USER}> released App, Deploy for `production`"
    assert await store.holds.of_team(TEAM) == []


async def test_the_end_of_a_hold_is_said_to_its_holder_and_to_who_waited(
    say: Say, linked: Linked, services: Services, sender: RecordingSender, set_clock: SetClock
) -> None:
    await linked()
    await say("hold app --for 2h")
    await say("run app", user=BO)
    await say("run app", user=BO)
    ended = EndedHolds(services)
    set_clock.go(minutes=119)
    await ended.tick()
    assert sender.of("chat.postMessage") == []
    set_clock.go(minutes=2)
    await ended.tick()
    await ended.tick()
    posts = [(call.arguments["channel"], call.message and call.message.text) for call in sender.of("chat.postMessage")]
    assert posts == [
        (USER, "Your hold of *App* has ended, as you said."),
        (BO, "*App* is not on hold any more. You wanted: Starting builds of App"),
    ]


async def test_a_release_is_said_to_who_waited_but_not_to_who_released(
    say: Say, linked: Linked, sender: RecordingSender
) -> None:
    await linked()
    await say("hold app")
    await say("run app", user=BO)
    await say("release app")
    assert [call.arguments["channel"] for call in sender.of("chat.postMessage")] == [BO]
