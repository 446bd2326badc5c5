"""A build is started as asked, once, and its card tells the channel."""

from collections.abc import Callable

import pytest

from bot.core.acting import presume_effect
from bot.core.models import Build, Parameter, ParameterType, Pipeline, StartRequest
from bot.core.tracing import traced
from bot.notifications.notification import Extra
from bot.providers.base.capabilities import Capability
from bot.store import Store
from commands.act.presets import presets_of, save_preset
from commands.core.context import Context, Source
from commands.core.grammar import Target
from commands.core.resolve import resolve_pipeline
from tests.commands.fakes import ADMIN, CHANNEL, EVERYTHING, NOW, TEAM, USER, FakeProvider
from tests.commands.reading import Linked, Say, buttons, first, said


async def test_a_build_starts_with_what_was_typed_and_its_card_is_posted(
    say: Say, works: FakeProvider, store: Store
) -> None:
    handled = await say("run app@release/2.1 A=1 B='x, y=z' --message 'Try again' --commit a1b2c3d --clean")
    assert handled.answer.silent
    verb, pipeline, start = works.acts[0]
    assert (verb, pipeline, str(start.ref), start.commit) == ("start", "p-app", "release/2.1", "a1b2c3d")
    assert start.parameters == {"A": "1", "B": "x, y=z"}
    assert (start.message, start.options, start.requested_by) == ("Try again", {"clean": "true"}, "Ana")
    rows = await store.notifications.of_build(works.history["p-app"][0].key)
    assert [row.event for row in rows] == ["started"]
    assert "<@U1> started #1 of App on release/2.1" in rows[0].extra
    assert [row.build for row in await store.watches.of_user(TEAM, USER)] == ["b1"]


async def test_a_build_that_another_command_started_is_not_taken_for_the_one_that_had_no_answer(
    say: Say, works: FakeProvider, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    await say("run app A=1", user="U2")
    theirs = works.history["p-app"][0]

    async def found_by_looking(_pipeline: str, _request: StartRequest) -> Build:
        presume_effect()
        return theirs

    monkeypatch.setattr(works, "start", found_by_looking)
    handled = await say("run app A=2")
    assert "did not answer, and I can't see whether it acted" in first(handled)
    assert "App #1 looks like it, but another command started it." in first(handled)
    assert [row.event for row in await store.notifications.of_build(theirs.key)] == ["started"]
    assert await store.watches.of_user(TEAM, USER) == []


async def test_who_does_not_want_to_watch_does_not(say: Say, store: Store) -> None:
    await say("run app --no-watch")
    assert await store.watches.of_user(TEAM, USER) == []


async def test_a_dry_run_starts_nothing(say: Say, works: FakeProvider) -> None:
    handled = await say("run app A=1 --dry-run")
    assert "Would start App on main (The Works). Nothing was started." in first(handled)
    assert "`A` = `1`" in said(handled)
    assert works.acts == []


async def test_a_second_click_starts_nothing(say: Say, works: FakeProvider) -> None:
    for _ in range(2):
        await say("run works:p-app@main", source=Source.BUTTON)
    await say("run works:p-app@other", source=Source.BUTTON)
    assert len(works.acts) == 2


async def test_parameters_that_are_missing_are_asked_for(say: Say, works: FakeProvider, app: Pipeline) -> None:
    works.known_parameters[app.id] = (
        Parameter(name="ENV", type=ParameterType.CHOICE, choices=(("qa", "QA"), ("live", "Live")), required=True),
        Parameter(name="NOTE", required=True, default="none"),
    )
    handled = await say("run app")
    assert "App needs `ENV`." in first(handled)
    assert "Add ENV=…." in first(handled)
    assert "`ENV` can't be `prod`." in first(await say("run app ENV=prod"))
    form = await say("run app X=1 --message hi", trigger="t1")
    assert form.answer.form is not None
    assert form.answer.form.form == "run"
    assert works.acts == []
    assert (await say("run app ENV=qa")).outcome == "ok"
    works.capabilities = EVERYTHING - {Capability.PARAMETERS}
    assert (await say("run app")).outcome == "ok"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("run app web", "Unexpected `web`"),
        ("run app#4", "`/build rebuild #412`"),
        ("run app --option fast", "takes NAME=VALUE"),
        ("run app --option fast=1", "It has: `clean`."),
        ("run app --preset nope", "has no preset `nope`"),
        ("run app --forget-preset nope", "has no preset `nope`"),
    ],
)
async def test_words_that_make_no_sense_are_refused(say: Say, works: FakeProvider, words: str, told: str) -> None:
    assert told in first(await say(words))
    assert works.acts == []


async def test_a_system_that_cannot_start_says_so(say: Say, works: FakeProvider) -> None:
    works.capabilities = EVERYTHING - {Capability.START}
    assert (await say("run app")).outcome == "failed"


async def test_presets_fill_in_what_was_not_typed_and_are_forgotten_on_request(
    say: Say, works: FakeProvider, context_of: Callable[..., Context]
) -> None:
    where = await resolve_pipeline(Target(pipeline="works:app"), context_of(), acting=True, verb="run")
    await save_preset("qa", {"ENV": "qa", "A": "1"}, where, context_of())
    await say("run app A=2 --preset qa")
    assert works.acts[0][2].parameters == {"ENV": "qa", "A": "2"}
    assert "removed the preset" in first(await say("run app --forget-preset qa"))
    assert await presets_of(where, context_of()) == {}
    assert len(works.acts) == 1


async def test_the_form_opens_where_it_can(say: Say) -> None:
    assert (await say("run app --form", trigger="t1")).answer.form is not None
    assert buttons(await say("run app --form")) == {"Open the form": "run app --form"}


async def test_one_pipeline_follows_another_workspace_never(say: Say, works: FakeProvider) -> None:
    assert (await say("run works:app", team="T2", user=ADMIN)).outcome == "failed"
    assert works.acts == []


async def test_the_card_of_a_started_build_carries_the_trace_of_the_request(say: Say, store: Store) -> None:
    with traced("d7"):
        await say("run app@main")
    (card,) = [row for row in await store.notifications.in_channel(TEAM, CHANNEL, NOW) if row.event == "started"]
    assert Extra.of(card.extra).trace == "d7"


async def test_an_act_that_took_the_channel_s_default_says_which_pipeline_and_why(
    say: Say, linked: Linked, works: FakeProvider
) -> None:
    await linked()
    handled = await say("run")
    assert first(handled) == "Using the only pipeline linked here: *App*"
    assert not handled.answer.public
    assert [act[:2] for act in works.acts] == [("start", "p-app")]
    assert "Using the only pipeline linked here" in said(await say("run --dry-run"))
    assert (await say("run app")).answer.silent
