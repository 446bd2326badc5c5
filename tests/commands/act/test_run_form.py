"""The form to start a build."""

import json
from dataclasses import replace

import pytest

from bot.core.errors import Unavailable
from bot.core.models import Conclusion, Parameter, ParameterType, Pipeline
from bot.providers.base.capabilities import Capability
from commands.core.context import Access, Services
from tests.commands.fakes import EVERYTHING, NOW, FakeProvider, RecordingSender, branch
from tests.commands.modals import Modal

PARAMETERS = (
    Parameter(name="TARGET", type=ParameterType.CHOICE, choices=(("beta", "Beta"), ("live", "Live")), required=True),
    Parameter(name="DRY", type=ParameterType.BOOLEAN, default="true"),
    Parameter(name="COUNT", type=ParameterType.NUMBER, default="many"),
    Parameter(name="PARTS", type=ParameterType.MULTIPLE, choices=(("a", ""), ("b", "")), default="a,b"),
    Parameter(name="TOKEN", type=ParameterType.SECRET),
    Parameter(name="NOTE", help="What for"),
)


@pytest.fixture
def asking(works: FakeProvider, app: Pipeline) -> FakeProvider:
    works.known_parameters[app.id] = PARAMETERS
    return works


async def test_the_modal_stands_at_once_and_is_filled_afterwards(modal: Modal, sender: RecordingSender) -> None:
    await modal.open("run app --form")
    first, second = [one for one in sender.said if one.method.startswith("views.")]
    assert first.method == "views.open"
    assert "Loading" in json.dumps(first.arguments["view"])
    assert second.method == "views.update"
    assert modal.fields()[:2] == ["pipeline", "ref"]


async def test_without_a_pipeline_only_that_is_asked(modal: Modal) -> None:
    await modal.open("run --form")
    assert modal.fields() == ["pipeline"]
    assert await modal.options("pipeline", "ap") == ["works:p-app"]
    await modal.change("pipeline", "works:p-app")
    assert modal.value("ref") == "main"


async def test_a_name_that_fits_nothing_is_said_and_can_be_chosen_anew(modal: Modal) -> None:
    await modal.open("run rocket --form")
    assert "No pipeline called" in modal.text
    assert modal.fields() == ["pipeline"]


async def test_every_kind_of_parameter_has_its_field(modal: Modal, asking: FakeProvider) -> None:
    await modal.open("run app --form")
    kinds = {one["element"]["action_id"]: one["element"]["type"] for one in modal.inputs()}
    assert kinds["p:TARGET"] == "static_select"
    assert kinds["p:DRY"] == "checkboxes"
    assert kinds["p:COUNT"] == "number_input"
    assert kinds["p:PARTS"] == "multi_static_select"
    assert kinds["p:TOKEN"] == kinds["p:NOTE"] == "plain_text_input"
    assert modal.value("p:DRY") == ["true"]
    assert modal.value("p:COUNT") is None
    assert modal.value("p:PARTS") == ["a", "b"]
    assert "Shown while you type" in modal.block("p:TOKEN")["hint"]["text"]


async def test_a_typed_command_that_lacks_a_parameter_opens_the_form_with_what_was_typed(
    modal: Modal, asking: FakeProvider
) -> None:
    await modal.open("run app@release/2.1 NOTE=hotfix --message 'Go on'")
    assert modal.value("ref") == "release/2.1"
    assert modal.value("p:NOTE") == "hotfix"
    assert modal.value("message") == "Go on"
    assert not asking.acts


async def test_the_build_starts_with_what_stands_in_the_fields(
    modal: Modal, asking: FakeProvider, app: Pipeline
) -> None:
    await modal.open("run app --form")
    errors = await modal.submit({"p:TARGET": "live", "p:DRY": [], "p:TOKEN": "s3cret", "message": "By hand"})
    assert errors == {}
    ((verb, pipeline, start),) = asking.acts
    assert (verb, pipeline, start.ref, start.message) == ("start", app.id, branch("main"), "By hand")
    assert start.parameters == {"TARGET": "live", "DRY": "false", "PARTS": "a,b", "TOKEN": "s3cret"}
    assert start.requested_by == "Ana"


async def test_values_come_again_the_next_time_but_no_secret_does(modal: Modal, asking: FakeProvider) -> None:
    await modal.open("run app --form")
    await modal.submit({"p:TARGET": "live", "p:TOKEN": "s3cret", "p:NOTE": "again"})
    await modal.open("run app --form")
    assert (modal.value("p:TARGET"), modal.value("p:NOTE"), modal.value("p:TOKEN")) == ("live", "again", None)


async def test_a_preset_is_saved_for_the_channel_and_fills_the_form_of_anybody(
    modal: Modal, asking: FakeProvider
) -> None:
    await modal.open("run app --form")
    assert "preset" not in modal.fields()
    await modal.submit({"p:TARGET": "live", "p:NOTE": "hotfix", "p:TOKEN": "s3cret", "save": "hot"})
    modal.user = "U2"
    await modal.open("run app --form")
    assert modal.value("p:NOTE") is None
    await modal.change("preset", "hot")
    assert (modal.value("p:TARGET"), modal.value("p:NOTE"), modal.value("p:TOKEN")) == ("live", "hotfix", None)


async def test_a_preset_can_be_typed_overruled_and_forgotten(modal: Modal, asking: FakeProvider) -> None:
    await modal.open("run app --form")
    await modal.submit({"p:TARGET": "live", "p:NOTE": "hotfix", "save": "hot"})
    await modal.open("run app NOTE=other --preset hot")
    assert asking.acts[-1][2].parameters["NOTE"] == "other"
    assert asking.acts[-1][2].parameters["TARGET"] == "live"
    await modal.open("run app --forget-preset hot")
    assert "removed the preset" in modal.sender.last.text
    await modal.open("run app --preset hot")
    assert "has no preset `hot`" in modal.sender.last.text
    assert len(asking.acts) == 2


@pytest.mark.parametrize("name", ["two words", "x" * 41, "a/b"])
async def test_a_bad_name_for_a_preset_is_said_at_its_field_and_nothing_starts(
    modal: Modal, asking: FakeProvider, name: str
) -> None:
    await modal.open("run app --form")
    assert "save" in await modal.submit({"p:TARGET": "live", "save": name})
    assert not asking.acts


async def test_another_pipeline_brings_its_own_fields_and_values(modal: Modal, asking: FakeProvider) -> None:
    web = asking.add("web", default_branch="trunk")
    asking.known_parameters[web.id] = (Parameter(name="NOTE", default="web's own"),)
    await modal.open("run app --form")
    modal.fill({"p:NOTE": "app's", "message": "stays"})
    await modal.change("pipeline", "works:p-web")
    assert (modal.value("ref"), modal.value("p:NOTE"), modal.value("message")) == ("trunk", "web's own", "stays")
    assert "p:TARGET" not in modal.fields()


async def test_another_branch_asks_for_its_parameters_and_keeps_what_was_typed(
    modal: Modal, asking: FakeProvider, app: Pipeline
) -> None:
    await modal.open("run app --form")
    modal.fill({"p:NOTE": "typed"})
    asking.known_parameters[app.id] = (Parameter(name="NOTE"), Parameter(name="NEW"))
    await modal.change("ref", "release/2.1")
    assert [name for name in modal.fields() if name.startswith("p:")] == ["p:NOTE", "p:NEW"]
    assert modal.value("p:NOTE") == "typed"


async def test_a_form_whose_fields_belong_to_another_pipeline_is_not_taken(modal: Modal, asking: FakeProvider) -> None:
    asking.add("web")
    await modal.open("run app --form")
    errors = await modal.submit({"pipeline": "works:p-web", "p:TARGET": "live"})
    assert "on their way" in errors["pipeline"]
    assert not asking.acts


async def test_branches_are_offered_and_any_other_can_be_typed(modal: Modal) -> None:
    await modal.open("run app --form")
    assert await modal.options("ref", "rel") == ["rel", "release/2.1"]
    assert await modal.options("ref") == ["main", "release/2.1"]


async def test_without_known_parameters_pairs_can_be_written(modal: Modal, works: FakeProvider) -> None:
    works.capabilities = EVERYTHING - {Capability.PARAMETERS, Capability.REFS}
    await modal.open("run app --form")
    assert modal.block("ref")["element"]["type"] == "plain_text_input"
    assert "KEY=VALUE" in (await modal.submit({"extra": "A=1\nnonsense"}))["extra"]
    await modal.submit({"extra": "A=1\nB=x=y", "ref": "tag:v1"})
    assert works.acts[0][2].parameters == {"A": "1", "B": "x=y"}
    assert str(works.acts[0][2].ref) == "tag:v1"


async def test_a_required_parameter_left_empty_is_said_at_its_field(
    modal: Modal, asking: FakeProvider, app: Pipeline
) -> None:
    asking.known_parameters[app.id] = ()
    await modal.open("run app --form")
    asking.known_parameters[app.id] = (Parameter(name="NEW", required=True),)
    await modal.submit()
    assert "This one is needed" in modal.text
    assert not asking.acts


async def test_who_may_not_start_builds_reads_that_at_the_pipeline(
    modal: Modal, services: Services, works: FakeProvider
) -> None:
    modal.slack_app._services = replace(services, access=Access(protected=("main",)))
    await modal.open("run app --form")
    assert "protected ref" in (await modal.submit())["pipeline"]
    assert not works.acts


async def test_what_the_system_refuses_stands_above_the_form_as_it_was_left(modal: Modal, works: FakeProvider) -> None:
    works.troubles["start"] = Unavailable("The Works are closed.", provider="The Works")
    await modal.open("run app --form")
    await modal.submit({"message": "Nearly lost", "ref": "release/2.1"})
    assert "The Works are closed" in modal.text
    assert (modal.value("message"), modal.value("ref")) == ("Nearly lost", "release/2.1")
    del works.troubles["start"]
    await modal.submit()
    assert works.acts[0][2].message == "Nearly lost"


async def test_what_may_have_started_is_not_offered_again(modal: Modal, works: FakeProvider) -> None:
    works.troubles["start"] = Unavailable("No answer came.", provider="The Works", acted=True)
    await modal.open("run app --form")
    await modal.submit()
    assert "submit" not in modal.shown
    assert modal.fields() == []


async def test_a_system_that_starts_nothing_says_so(modal: Modal, works: FakeProvider) -> None:
    works.capabilities = EVERYTHING - {Capability.START}
    await modal.open("run app --form")
    assert "can't start a build" in modal.text
    assert modal.fields() == ["pipeline"]


async def test_the_last_result_stands_in_the_preview(modal: Modal, works: FakeProvider, app: Pipeline) -> None:
    build = works.build_of(app, 41, conclusion=Conclusion.FAILED, triggered_by="Bo")
    await modal.slack_app._services.store.recording.record([build], now=NOW)
    await modal.open("run app --form")
    assert "Will start App on main. Last build there: #41 by Bo, failed." in modal.text


async def test_a_trouble_with_the_parameters_leaves_the_rest_of_the_form(modal: Modal, asking: FakeProvider) -> None:
    asking.troubles["parameters"] = Unavailable("Not now.", provider="The Works")
    await modal.open("run app --form")
    assert "The parameters could not be read: Not now." in modal.text
    assert "extra" in modal.fields()


async def test_more_parameters_than_fit_are_named(modal: Modal, works: FakeProvider, app: Pipeline) -> None:
    works.known_parameters[app.id] = tuple(Parameter(name=f"P{n}") for n in range(90))
    await modal.open("run app --form")
    assert "Only in a typed command" in modal.text
    assert len(modal.shown["blocks"]) <= 100


async def test_a_job_without_branches_starts_without_one(modal: Modal, works: FakeProvider) -> None:
    works.add("nightly", default_branch=None)
    await modal.open("run nightly --form")
    assert "Will start Nightly." in modal.text
    assert await modal.submit() == {}
    assert works.acts[0][2].ref is None


async def test_a_pipeline_that_went_away_meanwhile_is_said_above(modal: Modal, works: FakeProvider) -> None:
    await modal.open("run app --form")
    works.add("app2")
    await modal.change("pipeline", "works:p-gone")
    assert "No pipeline called" in modal.text
    assert modal.value("pipeline") == "works:p-gone"


async def test_a_long_or_broken_default_is_left_to_the_system(modal: Modal, works: FakeProvider, app: Pipeline) -> None:
    many = tuple((f"v{n}", "") for n in range(101))
    works.known_parameters[app.id] = (
        Parameter(name="LONG", default="x" * 3001),
        Parameter(name="LINES", default="a\nb"),
        Parameter(name="MANY", type=ParameterType.CHOICE, choices=many),
    )
    await modal.open("run app --form")
    assert modal.value("p:LONG") is None
    assert modal.block("p:LINES")["element"]["multiline"] is True
    assert modal.block("p:MANY")["element"]["type"] == "plain_text_input"
    assert "One of v0, v1" in modal.block("p:MANY")["hint"]["text"]


OPTIONS = {
    "branch": "the branch that a commit is built under",
    "clean": "start from nothing",
    "clean_checkout": "the same in another word",
    "ignore_filters": "yes to build what the filters leave out",
    "author": "who it is for",
    "input.": "and a name: a value for that input",
}


async def test_the_systems_own_options_are_fields(
    modal: Modal, works: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FakeProvider, "start_options", OPTIONS)
    await modal.open("run app --form")
    kinds = {one["element"]["action_id"]: one["element"]["type"] for one in modal.inputs()}
    assert {name: kind for name, kind in kinds.items() if name.startswith("o:")} == {
        "o:clean": "checkboxes",
        "o:ignore_filters": "checkboxes",
        "o:author": "plain_text_input",
        "o:input.": "plain_text_input",
    }
    modal.fill({"o:clean": ["true"], "o:input.": "env=live\nnote=a = b"})
    await modal.submit({})
    assert works.acts[0][2].options == {"clean": "true", "input.env": "live", "input.note": "a = b"}


async def test_typed_options_stand_in_their_fields_and_can_be_taken_back(
    modal: Modal, works: FakeProvider, app: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FakeProvider, "start_options", OPTIONS)
    works.known_parameters[app.id] = (Parameter(name="NEEDED", required=True),)
    await modal.open(f"run app --clean --option input.env=live --option branch=main --commit {'a1' * 20}")
    assert modal.value("o:branch") == "main"
    assert modal.value("o:input.") == "env=live"
    errors = await modal.submit({"p:NEEDED": "x", "o:input.": "no pair"})
    assert "no KEY=VALUE" in errors["o:input."]
    await modal.submit({"p:NEEDED": "x", "o:input.": "env=test", "o:clean": []})
    assert works.acts[0][2].options == {"branch": "main", "input.env": "test"}


async def test_a_system_without_parameters_is_not_asked_for_any(
    modal: Modal, works: FakeProvider, app: Pipeline
) -> None:
    works.takes_parameters = False  # type: ignore[misc]
    works.capabilities -= {Capability.PARAMETERS}
    await modal.open("run app@main --form")
    assert "extra" not in modal.fields()
