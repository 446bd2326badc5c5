"""What every form has in common: it opens at once, is filled afterwards, and loses nothing that was typed."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

from bot.core.errors import Ambiguous, BotError, Unavailable, UsageError
from bot.core.models import Pipeline
from bot.store import Store
from commands.core.context import Context
from commands.core.forms import METADATA, FieldError, opening, packed, unpacked, values_of
from commands.registry import REGISTRY
from commands.slack import app as bolt
from commands.slack.app import SlackApp
from tests.commands.fakes import NOW, TEAM, USER, FakeProvider, RecordingSender
from tests.commands.modals import HEADERS, Modal


@pytest.mark.parametrize("name", REGISTRY.forms)
def test_titles_and_labels_fit(name: str) -> None:
    form = REGISTRY.forms[name]
    assert form.name == name
    assert len(form.title) <= 24
    assert len(form.submit_label) <= 24


def test_forms_and_verbs_are_audited_under_names_people_know() -> None:
    verbs = {command.verb for command in REGISTRY.commands}
    assert {*REGISTRY.forms} - verbs == {"decide", "delete_workflow", "delete_product"}


async def test_a_trigger_that_expired_is_reported_to_the_person(modal: Modal, sender: RecordingSender) -> None:
    sender.refusals["views.open"] = "expired_trigger_id"
    await modal.open("run app --form")
    assert sender.last.method == "response_url"
    assert "three seconds" in sender.last.text
    assert sender.last.arguments["public"] is False
    assert not sender.of("views.update")


async def test_any_other_refusal_is_reported_in_slacks_words(modal: Modal, sender: RecordingSender) -> None:
    sender.refusals["views.open"] = "invalid_arguments"
    await modal.open("run app --form")
    assert "Slack refused: invalid arguments" in sender.last.text


async def test_a_form_closed_before_it_was_filled_is_no_trouble(modal: Modal, sender: RecordingSender) -> None:
    sender.refusals["views.update"] = "not_found"
    await modal.open("run app --form")
    assert not [one for one in sender.said if one.message is not None]


async def test_a_bug_while_filling_is_reported_with_a_reference(
    modal: Modal, works: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_args: Any, **_kwargs: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(works, "parameters", broken)
    await modal.open("run app --form")
    assert "Something broke on my side. Reference" in modal.text
    assert "Nothing was changed." in modal.text


async def test_a_bug_while_redrawing_keeps_no_half_form(
    modal: Modal, works: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_args: Any, **_kwargs: Any) -> None:
        raise ZeroDivisionError

    await modal.open("run app --form")
    monkeypatch.setattr(works, "parameters", broken)
    await modal.change("pipeline", "works:p-app")
    assert "Something broke on my side" in modal.text


async def test_a_bug_while_sending_says_to_look_before_repeating(
    modal: Modal, works: FakeProvider, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_args: Any, **_kwargs: Any) -> None:
        raise ZeroDivisionError

    await modal.open("run app --form")
    monkeypatch.setattr(works, "start", broken)
    await modal.submit()
    assert "look before you repeat it" in modal.text
    assert modal.fields() == []
    assert [row.outcome for row in await store.audit.since(TEAM, since=NOW)] == ["broke", "asked"]


async def test_a_slow_act_shows_that_it_is_under_way_and_then_that_it_is_done(
    modal: Modal, works: FakeProvider, sender: RecordingSender, monkeypatch: pytest.MonkeyPatch
) -> None:
    await modal.open("run app --form")
    monkeypatch.setattr(bolt, "INLINE_SECONDS", 0)
    await modal.submit()
    assert works.acts
    assert "Done. You can close this." in json.dumps(sender.of("views.update")[-1].arguments["view"])


async def test_a_slow_act_that_fails_brings_back_what_was_typed(
    modal: Modal, works: FakeProvider, sender: RecordingSender, monkeypatch: pytest.MonkeyPatch
) -> None:
    await modal.open("run app --form")
    works.troubles["start"] = Unavailable("Closed.", provider="The Works")
    monkeypatch.setattr(bolt, "INLINE_SECONDS", 0)
    modal.fill({"message": "Nearly lost"})
    await modal.submit()
    shown = sender.of("views.update")[-1].arguments["view"]
    assert "Closed." in json.dumps(shown)
    message = next(block for block in shown["blocks"] if block.get("block_id") == "message")
    assert message["element"]["initial_value"] == "Nearly lost"


async def test_trouble_stands_above_once_however_often_it_comes(modal: Modal, works: FakeProvider) -> None:
    works.troubles["start"] = Unavailable("Closed.", provider="The Works")
    await modal.open("run app --form")
    await modal.submit()
    await modal.submit()
    assert modal.text.count("Closed.") == 1


async def test_the_workspace_of_a_shared_channel_is_the_one_the_app_is_in(
    modal: Modal, works: FakeProvider, sender: RecordingSender
) -> None:
    await modal.open("run app --form")
    modal.team = "TOTHER"
    modal.installed_team = TEAM
    await modal.submit()
    assert [act[0] for act in works.acts] == ["start"]


async def test_another_workspace_sees_no_pipeline_in_a_form_it_forged(modal: Modal, works: FakeProvider) -> None:
    await modal.open("run app --form")
    modal.installed_team = "TOTHER"
    assert await modal.options("pipeline") == []
    await modal.submit()
    assert not works.acts


async def test_a_list_that_can_not_be_asked_for_is_empty(
    modal: Modal, works: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    await modal.open("run app --form")
    monkeypatch.setattr(works, "refs", lambda *_args: 1 / 0)
    assert await modal.options("ref", "x") == []


async def test_a_list_that_takes_too_long_is_empty(
    modal: Modal, works: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    await modal.open("run app --form")

    async def never(*_args: Any) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(REGISTRY.forms["run"], "options", never)
    monkeypatch.setattr(bolt, "INLINE_SECONDS", -0.4)
    assert await modal.options("ref", "x") == []


async def test_forms_of_somebody_else_are_acked_and_left(slack_app: SlackApp, sender: RecordingSender) -> None:
    view = {"id": "V9", "type": "modal", "callback_id": "unknown", "state": {"values": {}}, "blocks": []}
    team, user = {"id": TEAM}, {"id": USER}
    for body in (
        {"type": "view_submission", "team": team, "user": user, "view": view},
        {"type": "view_closed", "team": team, "user": user, "view": view, "is_cleared": False},
        {"type": "block_suggestion", "team": team, "user": user, "view": view, "action_id": "a", "block_id": "b",
         "value": "", "container": {"type": "view", "view_id": "V9"}},
    ):  # fmt: skip
        assert (await slack_app.dispatch(body, HEADERS)).status == 200
    await slack_app.settle()
    assert not sender.said


async def test_no_form_opens_from_a_form_or_without_a_trigger(
    modal: Modal, works: FakeProvider, app: Pipeline, sender: RecordingSender
) -> None:
    await modal.open("run app --form", trigger_id="")
    assert not sender.of("views.open")
    assert not works.acts
    assert "Open the form" in sender.last.text


def test_arguments_travel_and_foreign_metadata_holds_none() -> None:
    assert unpacked(packed({"a": "1", "b": ""})) == {"a": "1"}
    assert unpacked("{") == unpacked("[1]") == unpacked("") == {}
    with pytest.raises(UsageError, match="too much"):
        packed({"a": "x" * METADATA})


def test_words_too_long_for_a_form_are_refused_before_it_opens(context_of: Callable[..., Context]) -> None:
    with pytest.raises(UsageError):
        opening("run", context_of(), pipeline="x" * METADATA)


def test_every_kind_of_field_is_read() -> None:
    state: dict[str, Any] = {
        "values": {
            "1": {"text": {"type": "plain_text_input", "value": " typed "}},
            "2": {"empty": {"type": "plain_text_input", "value": None}},
            "3": {"one": {"type": "static_select", "selected_option": {"value": "x"}}},
            "4": {"none": {"type": "static_select", "selected_option": None}},
            "5": {"many": {"type": "checkboxes", "selected_options": [{"value": "a"}, {"value": "b"}]}},
            "6": {"nothing": {"type": "checkboxes", "selected_options": []}},
            "7": {"people": {"type": "multi_users_select", "selected_users": ["U1", "U2"]}},
            "8": {"person": {"type": "users_select", "selected_user": "U1"}},
        }
    }
    found = {"text": "typed", "one": "x", "many": ("a", "b"), "people": ("U1", "U2"), "person": "U1"}
    assert values_of(state) == found


def test_what_is_wrong_is_reported_by_label_where_it_has_no_field_any_more() -> None:
    shown = {
        "blocks": [
            {"type": "input", "block_id": "x", "label": {"text": "Branch"}, "element": {"action_id": "ref"}},
        ]
    }
    error = FieldError("ref", "Which one?", others={"gone": "Not <there>."})
    text = json.dumps(REGISTRY.forms["run"].again(shown, {}, error).payload(), ensure_ascii=False)
    assert "*Branch*: Which one?" in text
    assert "Not &lt;there&gt;." in text
    several = Ambiguous("Two fit.", choices=(("Web", "run web"), ("Webhooks", "run webhooks")))
    assert "• Webhooks" in json.dumps(REGISTRY.forms["run"].again(shown, {}, several).payload(), ensure_ascii=False)
    assert REGISTRY.forms["run"].again(shown, {}, BotError("Broke.")).submit is None
