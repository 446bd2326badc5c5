"""What Slack sends: the parts that the code reads, of the shapes that everybody relies on, and nothing else."""

from collections.abc import Mapping
from typing import Any

import msgspec

Text = str | None
Flag = bool | str | None


class Part(msgspec.Struct, omit_defaults=True):
    """A part of a payload; what is null is left out."""


class Named(Part):
    """A thing of Slack's, by its id."""

    id: Text = None
    name: Text = None
    team_id: Text = None


class Option(Part):
    """What was chosen in a menu."""

    value: Text = None


class Words(Part):
    """The words on a button."""

    text: Text = None


class Action(Part):
    """What was clicked."""

    action_id: Text = None
    block_id: Text = None
    type: Text = None
    value: Text = None
    action_ts: Text = None
    text: Words | None = None
    selected_option: Option | None = None
    selected_options: list[Option] | None = None


class Container(Part):
    """Where something was clicked."""

    type: Text = None
    message_ts: Text = None
    channel_id: Text = None
    thread_ts: Text = None
    view_id: Text = None
    is_ephemeral: bool | None = None


class SlackMessage(Part):
    """The message that something was clicked on."""

    ts: Text = None
    thread_ts: Text = None
    text: Text = None
    user: Text = None
    bot_id: Text = None


class State(Part):
    """The fields of a form: block id, action id, field."""

    values: dict[str, dict[str, dict[str, Any]]] | None = None


class View(Part):
    """A form."""

    id: Text = None
    type: Text = None
    hash: Text = None
    callback_id: Text = None
    private_metadata: Text = None
    app_installed_team_id: Text = None
    title: dict[str, Any] | None = None
    state: State | None = None
    blocks: list[dict[str, Any]] | None = None


class Item(Part):
    """What a reaction is on."""

    type: Text = None
    channel: Text = None
    ts: Text = None


class SharedLink(Part):
    """A link that was posted."""

    url: Text = None
    domain: Text = None


class Tokens(Part):
    """The tokens that were revoked, by the ids of their users."""

    bot: list[str] | None = None
    oauth: list[str] | None = None


class Event(Part):
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


class Payload(Part):
    """The parts of every kind of payload that the code reads; no other part is handed on, to Bolt either."""

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
    event_time: int | None = None
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


NEEDED: Mapping[str, tuple[tuple[str, ...], ...]] = {
    "block_actions": (("actions",), ("user", "id")),
    "block_suggestion": (("action_id",), ("user", "id")),
    "view_submission": (("view", "callback_id"), ("view", "type"), ("user", "id")),
    "view_closed": (("view", "callback_id"), ("user", "id")),
    "shortcut": (("callback_id",), ("user", "id")),
    "message_action": (("callback_id",), ("user", "id")),
    "event_callback": (("event", "type"),),
}
"""What a payload of a type is nothing without, as a way to it."""


def checked(payload: Mapping[str, Any]) -> dict[str, Any]:
    """Return the known parts of a payload. Raises ValueError for one that lacks what its kind needs, or of odd shapes."""
    try:
        parts: dict[str, Any] = msgspec.to_builtins(
            msgspec.convert(payload, Payload)
        )  # its ValidationError is a ValueError
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if not all(_has(parts, way) for way in NEEDED.get(parts.get("type") or "", ())):
        raise ValueError("lacks what its type is nothing without")
    if _is_of_a_step(parts):
        raise ValueError("of a workflow step, which this app has none of")
    if not all(action.get("action_id") for action in parts.get("actions") or ()):
        raise ValueError("an action without its name")
    return parts


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
