"""A message's payload as plain text, for the terminal and for people who want no blocks."""

import re
from collections.abc import Mapping, Sequence
from html import unescape
from typing import Any

from bot.blocks.message import Message
from bot.blocks.text import SOFT_HYPHEN, cut, escape

_FORM = re.compile(r"<([^<>|]*)(?:\|([^<>]*))?>")
_STYLED = re.compile(r"(?<![\w*\xad])\*(?=[^\s\xad])([^*\n]++)(?<=[^\s\xad])\*(?![\w*])")
_ITALIC = re.compile(r"(?<![\w\xad])_(?=[^\s\xad])([^_\n]++)(?<=[^\s\xad])_(?!\w)")
_PERSON = re.compile(r"(?<!\w)@([UW][A-Z0-9]{5,})\b")
_CODE = re.compile(r"(```(?:[^`]|`(?!``))*+```|`[^`\n]*+`)")


def as_text(payload: Mapping[str, Any], *, command: str = "/build") -> str:
    """Return a message (or a view) drawn as text: links as `label (url)`, buttons as `[Label: /build command]`."""
    attachments = payload.get("attachments", ())
    blocks = [*payload.get("blocks", ()), *(block for held in attachments for block in held.get("blocks", ()))]
    title = payload.get("title")
    drawn = [title["text"]] if title else []
    drawn += [text for block in blocks if (text := _block(block, command))]
    return "\n".join(drawn) if drawn else mrkdwn(payload.get("text", ""))


def plainly(message: Message, *, command: str = "/build") -> Message:
    """Return a message as text alone: nothing in it depends on colour, shape or layout; mentions stay mentions."""
    drawn = escape(as_text(message.payload(), command=command))
    return Message(text=cut(_PERSON.sub(r"<@\1>", drawn), 4000))


def mrkdwn(text: str) -> str:
    """Return mrkdwn as people would read it, without its control forms and stars."""
    plain_text = "".join(
        unescape(part.strip("`")) if index % 2 else unescape(_unstyled(part))
        for index, part in enumerate(_CODE.split(text))
    )
    return plain_text.replace(SOFT_HYPHEN, "")


def _unstyled(text: str) -> str:
    return _ITALIC.sub(r"\1", _STYLED.sub(r"\1", _FORM.sub(_form, text)))


def _form(found: re.Match[str]) -> str:
    """Return one `<…>` form as text."""
    target, label = found[1], found[2]
    if target.startswith(("@", "#")):
        return f"{target[0]}{label or target[1:]}"
    if target.startswith("!"):
        return label or "@" + target[1:].partition("^")[2]
    return f"{label} ({target})" if label and label != target else target


def _block(block: Mapping[str, Any], command: str) -> str:
    match block["type"]:
        case "header":
            return f"== {block['text']['text']} =="
        case "divider":
            return "-" * 20
        case "section":
            parts = [_text(block["text"]), *(_text(field) for field in block.get("fields", ()))]
            parts += [_element(block["accessory"], command)] if "accessory" in block else []
            return "\n".join(parts)
        case "context":
            return " · ".join(_text(element) for element in block["elements"])
        case "actions":
            return " ".join(_element(element, command) for element in block["elements"])
        case "rich_text":
            return "\n".join(_rich(element) for element in block["elements"])
        case "input":
            return f"{block['label']['text']}: {_element(block['element'], command)}"
        case "data_table":
            return "\n".join((block["caption"], *(" | ".join(cell["text"] for cell in row) for row in block["rows"])))
        case "data_visualization":
            return _chart(block)
        case kind:
            return f"({kind})"


def _chart(block: Mapping[str, Any]) -> str:
    """Return a chart's values, a line for each category."""
    series = block["chart"]["series"]
    lines = (
        f"{category}: " + ", ".join(f"{each['name']} {each['data'][place]['value']:g}" for each in series)
        for place, category in enumerate(block["chart"]["axis_config"]["categories"])
    )
    return "\n".join((block["title"], *lines))


def _text(element: Mapping[str, Any]) -> str:
    text: str = element["text"]
    return mrkdwn(text) if element["type"] == "mrkdwn" else text


def _rich(element: Mapping[str, Any]) -> str:
    return "".join(part.get("text", "") for part in element["elements"])


def _element(element: Mapping[str, Any], command: str) -> str:
    """Return a button, a menu or a field as text."""
    if element["type"] == "button":
        label = element["text"]["text"]
        return f"[{label}: {command} {element['value']}]" if "value" in element else f"[{label}: {element['url']}]"
    options: Sequence[Mapping[str, Any]] = element.get("options", ())
    if element.get("action_id") == "build.more":
        return " ".join(f"[{option['text']['text']}: {command} {option['value']}]" for option in options)
    if options:
        return " / ".join(option["text"]["text"] for option in options)
    return f"({element.get('initial_value', '…')})"
