"""The same delivery has the same key, another one has another; odd shapes are no fault."""

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.slack.deliveries import identify, is_addressed_to_us, needed, sender_of
from bot.store.inbox import InboxKind

COMMAND = {
    "command": "/build",
    "text": "run web",
    "team_id": "T1",
    "channel_id": "C1",
    "user_id": "U1",
    "trigger_id": "1.2",
    "response_url": "https://hooks.example/1",
}
CLICK = {
    "type": "block_actions",
    "team": {"id": "T1"},
    "user": {"id": "U1"},
    "container": {"channel_id": "C1", "message_ts": "7.7"},
    "message": {"ts": "7.7", "thread_ts": "7.1", "text": "a long card", "blocks": [{"type": "section"}]},
    "actions": [{"type": "button", "action_id": "build.cancel", "value": "cancel web#1", "action_ts": "9.1"}],
    "trigger_id": "1.3",
}
FORM = {
    "type": "view_submission",
    "team": {"id": "T1"},
    "user": {"id": "U1"},
    "trigger_id": "1.4",
    "view": {
        "id": "V1",
        "hash": "h1",
        "title": {"text": "Start a build"},
        "private_metadata": "{}",
        "state": {"values": {"ref": {"ref": {"value": "main"}}}},
    },
}
MENTION = {
    "type": "event_callback",
    "event_id": "Ev1",
    "team_id": "T1",
    "event": {"type": "app_mention", "channel": "C1", "user": "U1", "text": "status", "thread_ts": "3.1"},
}
SHORTCUT = {"type": "shortcut", "callback_id": "start", "team": {"id": "T1"}, "user": {"id": "U1"}, "trigger_id": "1.5"}
ALL = (COMMAND, CLICK, FORM, MENTION, SHORTCUT)


def key(body: Any, fallback: str = "a") -> str:
    identity = identify(body, fallback=fallback, handles=lambda kind: kind == "app_mention")
    return identity.key if identity else ""


def changed(body: dict[str, Any], **paths: Any) -> dict[str, Any]:
    """Return a copy in which values stand at other values; a double underscore goes one level down."""
    other = copy.deepcopy(body)
    for path, value in paths.items():
        target: Any = other
        *parents, last = path.split("__")
        for name in parents:
            target = target[0 if isinstance(target, list) else name]
        target[last] = value
    return other


@pytest.mark.parametrize("body", ALL, ids=lambda body: body.get("type", "command"))
def test_a_delivery_that_comes_again_has_the_same_key_whatever_carries_it(body: dict[str, Any]) -> None:
    assert key(body) == key(copy.deepcopy(body), fallback="another signature") != ""


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (COMMAND, changed(COMMAND, trigger_id="1.9")),
        (COMMAND, changed(COMMAND, user_id="U2")),
        (CLICK, changed(CLICK, actions=[{"action_id": "build.cancel", "value": "cancel web#1", "action_ts": "9.2"}])),
        (CLICK, changed(CLICK, actions=[{"action_id": "build.cancel", "value": "cancel web#2", "action_ts": "9.1"}])),
        (FORM, changed(FORM, view__hash="h2")),
        (FORM, changed(FORM, view__state={"values": {"ref": {"ref": {"value": "dev"}}}})),
        (MENTION, changed(MENTION, event_id="Ev2")),
        (SHORTCUT, changed(SHORTCUT, trigger_id="1.9")),
        (COMMAND, SHORTCUT),
    ],
)
def test_another_delivery_has_another_key(first: dict[str, Any], second: dict[str, Any]) -> None:
    assert key(first) != key(second)


def test_a_form_that_is_pressed_again_with_the_same_content_is_the_same_delivery() -> None:
    assert key(FORM) == key(changed(FORM, trigger_id="another press"))


def test_what_has_no_id_of_slacks_is_known_by_what_carries_it() -> None:
    bare = {"command": "/build", "text": "status"}
    assert key(bare, "a") == key(bare, "a") != key(bare, "b")
    assert key(bare, "a") != key({**bare, "text": "run"}, "a")


@pytest.mark.parametrize(
    "body",
    [
        {"type": "block_suggestion"},
        {"type": "view_closed"},
        {"type": "event_callback", "event_id": "Ev1", "event": {"type": "channel_created"}},
        {"type": "something_new"},
        {},
    ],
)
def test_what_leaves_nothing_to_do_is_not_kept(body: dict[str, Any]) -> None:
    assert key(body) == ""


def test_a_sender_is_read_from_each_kind() -> None:
    command = sender_of(InboxKind.COMMAND, COMMAND)
    assert (command.team, command.channel, command.user) == ("T1", "C1", "U1")
    assert (command.words, command.response_url) == ("/build run web", "https://hooks.example/1")
    click = sender_of(InboxKind.CLICK, CLICK)
    assert (click.team, click.channel, click.user, click.thread) == ("T1", "C1", "U1", "7.1")
    assert click.words == "cancel web#1"
    assert sender_of(InboxKind.FORM, FORM).words == "Start a build"
    mention = sender_of(InboxKind.EVENT, MENTION)
    assert (mention.channel, mention.user, mention.thread, mention.words) == ("C1", "U1", "3.1", "status")
    due = sender_of(InboxKind.SCHEDULE, {"team": "T1", "channel": "C1", "user": "U1", "command": "run web"})
    assert (due.team, due.channel, due.user, due.words) == ("T1", "C1", "U1", "run web")


def test_who_waits_for_an_answer() -> None:
    assert is_addressed_to_us(InboxKind.COMMAND, COMMAND)
    assert is_addressed_to_us(InboxKind.EVENT, MENTION)
    assert not is_addressed_to_us(InboxKind.EVENT, changed(MENTION, event__type="reaction_added"))


def test_of_a_clicks_message_only_its_place_is_kept() -> None:
    kept = needed(InboxKind.CLICK, CLICK)
    assert kept["message"] == {"ts": "7.7", "thread_ts": "7.1"}
    assert {name: kept[name] for name in CLICK if name != "message"} == {
        name: value for name, value in CLICK.items() if name != "message"
    }
    assert needed(InboxKind.FORM, FORM) == FORM


ODD = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(alphabet=st.characters(categories=None)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


@given(body=st.sampled_from(ALL), data=st.data(), odd=ODD)
def test_any_field_may_be_anything(body: dict[str, Any], data: st.DataObject, odd: Any) -> None:
    name = data.draw(st.sampled_from(sorted(body)))
    inner = body[name]
    if isinstance(inner, dict) and data.draw(st.booleans()):
        odd = {**inner, data.draw(st.sampled_from(sorted(inner))): odd}
    strange = {**body, name: odd}
    identity = identify(strange, fallback="a", handles=lambda _kind: True)
    if identity is not None:
        assert identity.key.isascii()
        assert sender_of(identity.kind, needed(identity.kind, strange)) is not None
