"""What Slack sends, checked to have the shapes that everybody relies on."""

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

import msgspec

from bot.core.text import valid_tree

MOST_FIELDS = 200

Text = str | None
Flag = bool | str | None


class Named(msgspec.Struct):
    """A thing of Slack's, by its id."""

    id: Text = None
    name: Text = None
    team_id: Text = None


class Option(msgspec.Struct):
    """What was chosen in a menu."""

    value: Text = None


class Action(msgspec.Struct):
    """What was clicked."""

    action_id: Text = None
    block_id: Text = None
    type: Text = None
    value: Text = None
    action_ts: Text = None
    selected_option: Option | None = None
    selected_options: list[Option] | None = None


class Container(msgspec.Struct):
    """Where something was clicked."""

    type: Text = None
    message_ts: Text = None
    channel_id: Text = None
    thread_ts: Text = None
    view_id: Text = None
    is_ephemeral: bool | None = None


class SlackMessage(msgspec.Struct):
    """The message that something was clicked on."""

    ts: Text = None
    thread_ts: Text = None
    text: Text = None
    user: Text = None
    bot_id: Text = None
    blocks: list[dict[str, Any]] | None = None
    attachments: list[dict[str, Any]] | None = None


class State(msgspec.Struct):
    """The fields of a form: block id, action id, field."""

    values: dict[str, dict[str, dict[str, Any]]] | None = None


class View(msgspec.Struct):
    """A form."""

    id: Text = None
    hash: Text = None
    callback_id: Text = None
    private_metadata: Text = None
    app_installed_team_id: Text = None
    title: dict[str, Any] | None = None
    state: State | None = None
    blocks: list[dict[str, Any]] | None = None


class Item(msgspec.Struct):
    """What a reaction is on."""

    type: Text = None
    channel: Text = None
    ts: Text = None


class SharedLink(msgspec.Struct):
    """A link that was posted."""

    url: Text = None
    domain: Text = None


class Tokens(msgspec.Struct):
    """The tokens that were revoked, by the ids of their users."""

    bot: list[str] | None = None
    oauth: list[str] | None = None


class Event(msgspec.Struct):
    """What happened in a workspace."""

    type: Text = None
    subtype: Text = None
    user: Text | Named = None
    channel: Text | Named = None
    channel_type: Text = None
    text: Text = None
    ts: Text = None
    thread_ts: Text = None
    event_ts: Text = None
    message_ts: Text = None
    bot_id: Text = None
    tab: Text = None
    reaction: Text = None
    unfurl_id: Text = None
    source: Text = None
    item: Item | None = None
    links: list[SharedLink] | None = None
    tokens: Tokens | None = None


class Payload(msgspec.Struct):
    """The parts of every kind of payload that the code reads; no other part is read."""

    type: Text = None
    command: Text = None
    text: Text = None
    challenge: Text = None
    callback_id: Text = None
    action_id: Text = None
    block_id: Text = None
    value: Text = None
    team_id: Text = None
    enterprise_id: Text = None
    user_id: Text = None
    channel_id: Text = None
    channel_name: Text = None
    trigger_id: Text = None
    response_url: Text = None
    event_id: Text = None
    action_ts: Text = None
    message_ts: Text = None
    api_app_id: Text = None
    ssl_check: Text = None
    is_enterprise_install: Flag = None
    team: Named | None = None
    user: Named | None = None
    channel: Named | None = None
    enterprise: Named | None = None
    container: Container | None = None
    message: SlackMessage | None = None
    view: View | None = None
    state: State | None = None
    event: Event | None = None
    actions: list[Action] | None = None
    authorizations: list[dict[str, Any]] | None = None


NEEDED: Mapping[str, tuple[tuple[str, ...], ...]] = {
    "block_actions": (("actions",), ("user", "id")),
    "block_suggestion": (("action_id",), ("user", "id")),
    "view_submission": (("view", "callback_id"), ("user", "id")),
    "view_closed": (("view", "callback_id"), ("user", "id")),
    "shortcut": (("callback_id",), ("user", "id")),
    "message_action": (("callback_id",), ("user", "id")),
    "event_callback": (("event", "type"),),
}
"""What a payload of a type is nothing without, as a way to it."""


def read_payload(body: bytes, content_type: str) -> dict[str, Any]:
    """Return a body of Slack's, its texts made valid. Raises ValueError for anything Slack does not send."""
    if content_type.lower().startswith("application/json"):
        text = body.decode("utf-8")
        payload = _loaded(text)
    else:
        text = body.decode("utf-8")
        fields = _form_fields(text)
        text = fields.get("payload", text)
        payload = _loaded(text) if "payload" in fields else fields
    if not isinstance(payload, dict) or not payload:
        raise ValueError("not an object as Slack sends them")
    if "%00" in text or "\\u0000" in text or "\\ud" in text or "\\uD" in text or "\0" in text:
        payload = _repaired(payload)
    msgspec.convert(payload, Payload)  # its ValidationError is a ValueError
    whole: dict[str, Any] = payload
    if not all(_has(whole, way) for way in NEEDED.get(whole.get("type") or "", ())):
        raise ValueError("lacks what its type is nothing without")
    if _is_of_a_step(whole):
        raise ValueError("of a workflow step, which this app has none of")
    if not all(action.get("action_id") for action in whole.get("actions") or ()):
        raise ValueError("an action without its name")
    return whole


def _form_fields(text: str) -> dict[str, str]:
    """Return a form's fields as `parse_qsl` does, in a third of its time: most of Slack's values hold nothing encoded."""
    parts = text.split("&")
    if len(parts) > MOST_FIELDS:
        raise ValueError("too many fields")
    pairs = (part.partition("=") for part in parts if part)
    return {_unquoted(name): _unquoted(value) for name, _, value in pairs}


def _unquoted(text: str) -> str:
    text = text.replace("+", " ")
    return unquote(text, errors="strict") if "%" in text else text


def _is_of_a_step(payload: Mapping[str, Any]) -> bool:
    """Return whether a payload is of a step from apps: Slack has retired them, and Bolt fails at one that is not whole."""
    return (
        payload.get("type") == "workflow_step_edit"
        or (payload.get("view") or {}).get("type") == "workflow_step"
        or (payload.get("event") or {}).get("type") == "workflow_step_execute"
    )


def _has(payload: Mapping[str, Any], way: tuple[str, ...]) -> bool:
    value: Any = payload
    for name in way:
        value = value.get(name) if isinstance(value, dict) else None
    return bool(value)


def _loaded(text: str) -> Any:
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _repaired(payload: Any) -> Any:
    try:
        return valid_tree(payload)
    except RecursionError:
        raise ValueError("nested too deeply") from None
