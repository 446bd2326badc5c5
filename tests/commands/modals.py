"""A person at a modal: opens it, fills it in, submits it, with payloads as Slack sends them."""

import json
from collections.abc import Mapping
from typing import Any

from commands.slack.app import SlackApp
from tests.bot.blocks.checks import check
from tests.commands.fakes import CHANNEL, TEAM, USER, RecordingSender

HEADERS = {"content-type": "application/x-www-form-urlencoded"}


class Modal:
    """One person's modal. Fields are named by their action ids; what was typed stays, as in Slack, by block id."""

    def __init__(self, slack_app: SlackApp, sender: RecordingSender) -> None:
        self.slack_app = slack_app
        self.sender = sender
        self.user = USER
        self.team = TEAM
        self.installed_team = TEAM
        self.shown: dict[str, Any] = {}
        self.state: dict[str, dict[str, Any]] = {}
        self.clicks = 0

    async def open(self, words: str, **fields: str) -> dict[str, Any]:
        """Type a command and return the modal that comes of it."""
        self._forget()
        body = {
            "command": "/build",
            "text": words,
            "team_id": self.team,
            "channel_id": CHANNEL,
            "channel_name": "ios",
            "user_id": self.user,
            "trigger_id": "111.222.valid",
            "response_url": "https://hooks.slack.example/commands/1",
            **fields,
        }
        await self.slack_app.dispatch(body, HEADERS)
        await self.slack_app.settle()
        return self._look()

    async def press(self, words: str, **fields: Any) -> dict[str, Any]:
        """Press a button of a message and return the modal that comes of it."""
        self._forget()
        self.clicks += 1
        body = {
            "type": "block_actions",
            "user": {"id": self.user, "team_id": self.team},
            "team": {"id": self.team},
            "container": {"type": "message", "message_ts": "111.222", "channel_id": CHANNEL},
            "channel": {"id": CHANNEL, "name": "ios"},
            "trigger_id": "111.222.valid",
            "response_url": "https://hooks.slack.example/actions/1",
            "actions": [
                {
                    "action_id": f"build.{words.split(maxsplit=1)[0]}",
                    "type": "button",
                    "value": words,
                    "action_ts": str(self.clicks),
                }
            ],
            **fields,
        }
        await self.slack_app.dispatch(body, HEADERS)
        await self.slack_app.settle()
        return self._look()

    async def change(self, field: str, value: Any) -> dict[str, Any]:
        """Change a field that tells the bot at once, and return the modal after that."""
        block = self.block(field)
        assert block.get("dispatch_action"), f"{field} does not tell the bot"
        self.fill({field: value})
        body = {
            "type": "block_actions",
            "user": {"id": self.user, "team_id": self.team},
            "team": {"id": self.team},
            "container": {"type": "view", "view_id": "V1"},
            "trigger_id": "111.223.valid",
            "view": self._view(),
            "actions": [{"action_id": field, "block_id": block["block_id"], "type": block["element"]["type"]}],
        }
        await self.slack_app.dispatch(body, HEADERS)
        await self.slack_app.settle()
        return self._look()

    async def options(self, field: str, typed: str = "") -> list[str]:
        """Type into a list that asks, and return the values it offers."""
        body = {
            "type": "block_suggestion",
            "user": {"id": self.user, "team_id": self.team},
            "team": {"id": self.team},
            "container": {"type": "view", "view_id": "V1"},
            "action_id": field,
            "block_id": self.block(field)["block_id"],
            "value": typed,
            "view": self._view(),
        }
        reply = await self.slack_app.dispatch(body, HEADERS)
        return [option["value"] for option in json.loads(reply.body)["options"]]

    async def submit(self, values: Mapping[str, Any] | None = None) -> dict[str, str]:
        """Fill in and submit; return the errors by field, nothing where the modal closed or shows something else."""
        self.fill(values or {})
        for block in self.shown["blocks"]:
            if block["type"] == "input" and not block.get("optional"):
                assert self._held(block), f"Slack would ask for {block['element']['action_id']}"
        body = {
            "type": "view_submission",
            "user": {"id": self.user, "team_id": self.team},
            "team": {"id": self.team},
            "trigger_id": "111.224.valid",
            "view": self._view(),
            "response_urls": [],
        }
        reply = await self.slack_app.dispatch(body, HEADERS)
        await self.slack_app.settle()
        said = json.loads(reply.body) if reply.body else {}
        match said.get("response_action"):
            case "errors":
                names = {block["block_id"]: block["element"]["action_id"] for block in self.inputs()}
                return {names[block]: words for block, words in said["errors"].items()}
            case "update":
                self.sender.views["V1"] = said["view"]
                self._look()
                return {}
            case _:
                self.shown = {}
                return {}

    def fill(self, values: Mapping[str, Any]) -> None:
        """Type into fields."""
        for field, value in values.items():
            block = self.block(field)
            self.state[block["block_id"]] = {field: _typed(block["element"], value)}

    def inputs(self) -> list[dict[str, Any]]:
        """Return the fields."""
        return [block for block in self.shown["blocks"] if block["type"] == "input"]

    def fields(self) -> list[str]:
        """Return the fields' names."""
        return [block["element"]["action_id"] for block in self.inputs()]

    def block(self, field: str) -> dict[str, Any]:
        """Return a field's block."""
        return next(block for block in self.inputs() if block["element"]["action_id"] == field)

    def value(self, field: str) -> Any:
        """Return what stands in a field."""
        return _plain(self._held(self.block(field)))

    @property
    def text(self) -> str:
        """Return what can be read in the modal."""
        return json.dumps(self.shown, ensure_ascii=False)

    def _forget(self) -> None:
        self.sender.views.clear()
        self.shown, self.state = {}, {}

    def _held(self, block: Mapping[str, Any]) -> dict[str, Any]:
        element = block["element"]
        typed = self.state.get(block["block_id"], {}).get(element["action_id"])
        return typed if typed is not None else _initial(element)

    def _view(self) -> dict[str, Any]:
        values = {block["block_id"]: {block["element"]["action_id"]: self._held(block)} for block in self.inputs()}
        return {
            "id": "V1",
            "hash": "1.a",
            "type": "modal",
            "callback_id": self.shown["callback_id"],
            "private_metadata": self.shown.get("private_metadata", ""),
            "blocks": self.shown["blocks"],
            "state": {"values": values},
            "app_installed_team_id": self.installed_team,
        }

    def _look(self) -> dict[str, Any]:
        if not self.sender.views:
            return {}
        self.shown = self.sender.view
        blocks = {block.get("block_id") for block in self.shown["blocks"]}
        self.state = {block: held for block, held in self.state.items() if block in blocks}
        check(self.shown)
        return self.shown


_MEMBERS = {
    "plain_text_input": "value",
    "number_input": "value",
    "static_select": "selected_option",
    "external_select": "selected_option",
    "radio_buttons": "selected_option",
    "checkboxes": "selected_options",
    "multi_static_select": "selected_options",
    "users_select": "selected_user",
}


def _typed(element: Mapping[str, Any], value: Any) -> dict[str, Any]:
    kind = element["type"]
    member = _MEMBERS[kind]
    if kind == "external_select":
        return {"type": kind, member: {"text": {"type": "plain_text", "text": value, "emoji": False}, "value": value}}
    if member == "selected_option":
        return {"type": kind, member: next(one for one in element["options"] if one["value"] == value)}
    if member == "selected_options":
        known = {one["value"]: one for one in element["options"]}
        return {"type": kind, member: [known[one] for one in value]}
    return {"type": kind, member: value or None}


def _initial(element: Mapping[str, Any]) -> dict[str, Any]:
    member = _MEMBERS[element["type"]]
    initial = {
        "value": "initial_value",
        "selected_option": "initial_option",
        "selected_options": "initial_options",
        "selected_user": "initial_user",
    }[member]
    held = element.get(initial)
    return {"type": element["type"], member: held if held is not None or member != "selected_options" else []}


def _plain(held: Mapping[str, Any]) -> Any:
    value = next((value for name, value in held.items() if name != "type"), None)
    if isinstance(value, list):
        return [one["value"] for one in value]
    return value["value"] if isinstance(value, dict) else value
