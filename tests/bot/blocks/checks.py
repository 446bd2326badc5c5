"""What every payload must keep to: Block Kit's limits, and no control sequence that outside text brought in."""

import json
import os
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema_rs

ROOT = Path(__file__).parents[3]
SPECS = Path(os.environ.get("BUILDBELL_SPECS", ROOT.parent / "shared" / "specs"))  # noqa: TID251 - where the specs are
SCHEMA = SPECS / "slack" / "block_kit.schema.json"

FORM = re.compile(
    r"<@[UW][A-Z0-9]+>|<!subteam\^S[A-Z0-9]+>|<#C[A-Z0-9]+>"
    r"|<!date\^\d+\^\{date_short_pretty\} \{time\}\|\d{4}-\d\d-\d\d \d\d:\d\d UTC>"
    r"|<https://ci\.example/[^<>|\s]*\|[^<>|\n]+>"
)
ENTITY = re.compile(r"&(?:amp|lt|gt);")
HIDDEN = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200b\u200e\u200f\u202a-\u202e\u2060-\u2069\ufeff\ud800-\udfff]"
)


def nodes(value: Any) -> Iterator[dict[str, Any]]:
    """Every object inside a payload."""
    if isinstance(value, dict):
        yield value
        for held in value.values():
            yield from nodes(held)
    elif isinstance(value, list):
        for held in value:
            yield from nodes(held)


def mrkdwn_of(payload: dict[str, Any]) -> list[str]:
    """Every text of a payload that Slack reads as mrkdwn."""
    texts = [node["text"] for node in nodes(payload) if node.get("type") == "mrkdwn"]
    return [*texts, payload["text"]] if "text" in payload else texts


def check_harmless(payload: dict[str, Any]) -> None:
    """Assert that nothing but our own forms can be read as a control sequence."""
    for text in mrkdwn_of(payload):
        rest = ENTITY.sub("", FORM.sub("", text))
        assert not set("<>&") & set(rest), text
        assert not HIDDEN.search(text), text
        assert text.count("```") % 2 == 0
    for node in nodes(payload):
        if node.get("type") == "mrkdwn":
            assert node["verbatim"] is True
        if node.get("type") == "plain_text":
            assert node["emoji"] is False
            assert "\n" not in node["text"]
        if node.get("type") == "text":
            assert not HIDDEN.search(node["text"])
        if "url" in node:
            assert re.fullmatch(r"https://ci\.example/[^\s<>|\"]*", node["url"]), node["url"]


def blocks_of(payload: dict[str, Any]) -> list[dict[str, Any]]:
    """Every block of a message or a view, those beside the coloured edge too."""
    return [*payload["blocks"], *(block for held in payload.get("attachments", []) for block in held["blocks"])]


def check_limits(payload: dict[str, Any]) -> None:
    """Assert the lengths and counts that Slack refuses beyond."""
    blocks = blocks_of(payload)
    assert len(blocks) <= (100 if "type" in payload else 50)
    if "type" not in payload:
        assert set(payload) == {"text", "blocks", "attachments"}
        assert 0 < len(payload["text"]) <= 4000
    for block in blocks:
        match block["type"]:
            case "section":
                assert 0 < len(block["text"]["text"]) <= 3000
                assert len(block.get("fields", [])) <= 10
            case "header":
                assert 0 < len(block["text"]["text"]) <= 150
            case "context":
                assert 0 < len(block["elements"]) <= 10
            case "actions":
                ids = [element["action_id"] for element in block["elements"]]
                assert 0 < len(ids) <= 25
                assert len(set(ids)) == len(ids)
            case "rich_text" | "divider" | "input":
                pass
            case other:
                raise AssertionError(other)
    for node in nodes(blocks):
        match node.get("type"):
            case "button":
                assert 0 < len(node["text"]["text"]) <= 75
                assert len(node.get("value", "")) <= 2000
                assert len(node.get("url", "")) <= 3000
                assert "value" in node or "url" in node
                assert re.fullmatch(r"build\.\S+", node["action_id"])
            case "overflow":
                assert 1 <= len(node["options"]) <= 5
            case "static_select" | "multi_static_select":
                assert 1 <= len(node["options"]) <= 100
            case "radio_buttons" | "checkboxes":
                assert 1 <= len(node["options"]) <= 10
            case _:
                pass
        if "value" in node and "text" in node and "type" not in node:
            assert 0 < len(node["value"]) <= 150
            assert 0 < len(node["text"]["text"]) <= 75


@cache
def _validator(name: str) -> jsonschema_rs.Draft202012Validator:
    schema = json.loads(SCHEMA.read_text())
    return jsonschema_rs.Draft202012Validator(schema | {"$ref": f"#/definitions/{name}"})


def check_schema(payload: dict[str, Any]) -> None:
    """Assert that the published types take the blocks, where their description is at hand."""
    if not SCHEMA.exists():
        return
    if payload.get("type") in {"modal", "home"}:
        _validator("ModalView" if payload["type"] == "modal" else "HomeView").validate(payload)
        return
    _validator("MessageBlocks").validate(payload["blocks"])
    for held in payload["attachments"]:
        _validator("MessageBlocks").validate(held["blocks"])


def check(payload: dict[str, Any]) -> None:
    """Assert everything above."""
    check_limits(payload)
    check_harmless(payload)
    check_schema(payload)
