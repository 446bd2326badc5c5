"""Blocks and their elements: completed as Slack gives them back, found by their ids, and read as form values."""

import secrets
from collections.abc import Iterator
from typing import Any

from playground.slack.model import Json, SlackError

# Which member of an action carries the choice, and what stands there while nothing is chosen.
CHOICE_OF = {
    "static_select": "selected_option",
    "external_select": "selected_option",
    "users_select": "selected_user",
    "conversations_select": "selected_conversation",
    "channels_select": "selected_channel",
    "multi_static_select": "selected_options",
    "multi_external_select": "selected_options",
    "multi_users_select": "selected_users",
    "multi_conversations_select": "selected_conversations",
    "multi_channels_select": "selected_channels",
    "overflow": "selected_option",
    "radio_buttons": "selected_option",
    "checkboxes": "selected_options",
    "datepicker": "selected_date",
    "timepicker": "selected_time",
    "datetimepicker": "selected_date_time",
    "plain_text_input": "value",
    "email_text_input": "value",
    "url_text_input": "value",
    "number_input": "value",
}
MANY = frozenset(kind for kind, member in CHOICE_OF.items() if member.endswith("s"))
INITIAL = {
    "selected_option": "initial_option", "selected_options": "initial_options", "selected_user": "initial_user",
    "selected_users": "initial_users", "selected_conversation": "initial_conversation",
    "selected_conversations": "initial_conversations", "selected_channel": "initial_channel",
    "selected_channels": "initial_channels", "selected_date": "initial_date", "selected_time": "initial_time",
    "selected_date_time": "initial_date_time", "value": "initial_value",
}  # fmt: skip


def elements(blocks: list[Json]) -> Iterator[tuple[Json, Json]]:
    """Yield every (block, element) that can be acted on, those inside containers and cards too."""
    for block in blocks:
        candidates = [block.get("accessory"), block.get("element")]
        if block["type"] in ("actions", "context_actions"):
            candidates += block.get("elements", [])
        if block["type"] == "card":
            candidates += block.get("actions", [])
        yield from ((block, it) for it in candidates if isinstance(it, dict) and "action_id" in it)
        yield from elements(block.get("child_blocks", []))
        if block["type"] == "carousel":
            yield from elements(block.get("elements", []))


def form_values(blocks: list[Json], state: Json) -> Json:
    """Return `state.values`: what was typed or chosen, else what each element started with."""
    values: Json = {}
    for block, element in elements(blocks):
        if (member := CHOICE_OF.get(element["type"])) is None or element["type"] == "overflow":
            continue
        empty: Any = [] if element["type"] in MANY else None
        value = (
            state.get(block["block_id"], {})
            .get(element["action_id"], {})
            .get(member, element.get(INITIAL[member], empty))
        )
        if member == "value" and value == "":
            value = None
        values.setdefault(block["block_id"], {})[element["action_id"]] = {"type": element["type"], member: value}
    return values


def find_element(blocks: list[Json], action_id: str, block_id: str, text: str) -> tuple[Json, Json]:
    """Return the (block, element) with an action id, narrowed by block id and label where given. Raises action_not_found."""
    for block, element in elements(blocks):
        if element["action_id"] != action_id or block_id not in ("", block["block_id"]):
            continue
        if text in ("", element.get("text", {}).get("text")):
            return block, element
    raise SlackError("action_not_found")


def with_ids(holder: Json) -> Json:
    """Return a view, message or attachment as Slack gives it back: ids for blocks and actions, defaults filled in."""
    if "blocks" not in holder:
        return holder
    return {**holder, "blocks": [_with_defaults(_block_with_ids(block)) for block in holder["blocks"] or []]}


def _with_defaults(value: Any) -> Any:
    if isinstance(value, list):
        return [_with_defaults(item) for item in value]
    if not isinstance(value, dict):
        return value
    filled = {key: _with_defaults(item) for key, item in value.items()}
    match filled.get("type"):
        case "plain_text":
            return {**filled, "emoji": filled.get("emoji", True)}
        case "mrkdwn":
            return {**filled, "verbatim": filled.get("verbatim", False)}
        case "input":
            return {"optional": False, "dispatch_action": False, **filled}
        case _:
            return filled


def _block_with_ids(block: Json) -> Json:
    filled = {"block_id": secrets.token_urlsafe(4), **block}
    for member in ("accessory", "element"):
        if isinstance(filled.get(member), dict):
            filled[member] = _element_with_id(filled[member])
    for member in ("elements", "actions"):
        if filled["type"] in ("actions", "context_actions", "card") and member in filled:
            filled[member] = [_element_with_id(element) for element in filled[member]]
    for member in ("child_blocks", "cards"):
        if member in filled:
            filled[member] = [_block_with_ids(child) for child in filled[member]]
    if filled["type"] == "carousel":
        filled["elements"] = [_block_with_ids(card) for card in filled.get("elements", [])]
    return filled


def _element_with_id(element: Json) -> Json:
    return element if element.get("type") == "image" else {"action_id": secrets.token_urlsafe(4), **element}
