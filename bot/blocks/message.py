"""A message and a view as Slack takes them, and the parts they are made of, each within Block Kit's limits.

What is too long is cut with an ellipsis, what is too many is left out and counted. `section`, `context` and their
kin take mrkdwn whose outside parts went through `bot.blocks.text`; labels, titles and options are plain text.
https://docs.slack.dev/reference/block-kit/blocks
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from bot.blocks.text import clean_url, clip, cut, one_line, plural, visible

Block = dict[str, Any]

MESSAGE_BLOCKS = 50
VIEW_BLOCKS = 100
SECTION_TEXT = 3000
COMMAND = 2000
MENU_COMMAND = 150


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """What is posted: `text` for notifications and screen readers, `blocks` above, `attached` beside a coloured edge.

    `fallback` stands for `blocks` that hold charts or sortable tables, where those are not taken.
    """

    text: str
    blocks: tuple[Block, ...] = ()
    attached: tuple[Block, ...] = ()
    colour: str | None = None
    fallback: tuple[Block, ...] = ()

    @property
    def simple(self) -> "Message":
        """Return the message without charts and sortable tables: with its `fallback`, where it has one."""
        return replace(self, blocks=self.fallback, fallback=()) if self.fallback else self

    def payload(self) -> dict[str, Any]:
        """Return text, blocks and attachments, all three always: an edit must replace whatever stood there before."""
        text = str(cut(self.text, 4000)) or "—"
        blocks = _whole(self.blocks)
        attached = _whole(self.attached)
        room = MESSAGE_BLOCKS - len(attached)
        if room < 1:
            blocks, attached = _fit(blocks, 10), _fit(attached, MESSAGE_BLOCKS - min(len(blocks), 10))
        else:
            blocks = _fit(blocks, room)
        attachment: dict[str, Any] = {"fallback": text, "blocks": attached}
        if self.colour:
            attachment["color"] = self.colour
        return {"text": text, "blocks": blocks, "attachments": [attachment] if attached else []}


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """A modal, or a person's App Home. `submit` must be set where there are input blocks."""

    title: str
    blocks: tuple[Block, ...]
    callback_id: str = ""
    submit: str | None = None
    close: str = "Close"
    private_metadata: str = ""
    kind: Literal["modal", "home"] = "modal"
    notify_on_close: bool = False
    external_id: str = ""

    def payload(self) -> dict[str, Any]:
        """Return the view as `views.open` and `views.publish` take it."""
        view: dict[str, Any] = {"type": self.kind, "blocks": _fit(_whole(self.blocks), VIEW_BLOCKS)}
        if self.kind == "modal":
            view |= {"title": _plain(self.title, 24), "close": _plain(self.close, 24)}
            if self.submit is not None:
                view["submit"] = _plain(self.submit, 24)
            if self.notify_on_close:
                view["notify_on_close"] = True
        named = {
            "callback_id": self.callback_id,
            "private_metadata": self.private_metadata,
            "external_id": self.external_id,
        }
        return view | {key: value for key, value in named.items() if value}


def section(text: str, *, accessory: Block | None = None, fields: Sequence[str] = ()) -> Block:
    """Return a paragraph of mrkdwn, with up to ten short fields and an element at its right."""
    block: Block = {"type": "section", "text": _mrkdwn(text, SECTION_TEXT)}
    if fields:
        block["fields"] = [_mrkdwn(field, 2000) for field in fields[:10]]
    if accessory is not None and _usable(accessory):
        block["accessory"] = accessory
    return block


def sections(lines: Iterable[str]) -> tuple[Block, ...]:
    """Return lines of mrkdwn packed into as few sections as hold them."""
    packed: list[str] = []
    for line in lines:
        fitting = cut(line, SECTION_TEXT)
        if packed and len(packed[-1]) + 1 + len(fitting) <= SECTION_TEXT:
            packed[-1] += "\n" + fitting
        else:
            packed.append(fitting)
    return tuple(section(text) for text in packed)


def header(text: str) -> Block:
    """Return a large line of plain text."""
    return {"type": "header", "text": _plain(text, 150)}


def context(*texts: str) -> Block:
    """Return small grey mrkdwn, up to ten pieces."""
    return {"type": "context", "elements": [_mrkdwn(text, SECTION_TEXT) for text in texts[:10]]}


def divider() -> Block:
    """Return a thin line."""
    return {"type": "divider"}


def actions(*elements: Block) -> Block:
    """Return a row of up to 25 elements with distinct action ids.

    An element nobody could press (a command or an address too long for Slack, an empty menu) is left out; a row of
    none is left out of its message.
    """
    row: list[Block] = []
    used: dict[str, int] = {}
    for element in [element for element in elements if _usable(element)][:25]:
        name = element["action_id"]
        used[name] = used.get(name, 0) + 1
        row.append(element if used[name] == 1 else element | {"action_id": f"{name}:{used[name]}"})
    return {"type": "actions", "elements": row}


def button(
    label: str,
    command: str,
    *,
    style: Literal["primary", "danger"] | None = None,
    confirm: Block | None = None,
    url: str | None = None,
) -> Block:
    """Return a button that does what a person could have typed: `value` is the command, `action_id` names its verb."""
    verb = (command.split(maxsplit=1) or ["help"])[0]
    element: Block = {
        "type": "button",
        "text": _plain(label, 75),
        "action_id": clip(f"build.{verb}", 240),
        "value": command,
    }
    if style:
        element["style"] = style
    if confirm:
        element["confirm"] = confirm
    target = clean_url(url)
    if target:
        element["url"] = target
    return element


def link_button(label: str, url: str | None) -> Block:
    """Return a button that opens a page. Without an http(s) address it is one that `actions` leaves out."""
    element: Block = {"type": "button", "text": _plain(label, 75), "action_id": "build.open"}
    target = clean_url(url)
    return element | {"url": target} if target else element


def menu(options: Sequence[tuple[str, str]]) -> Block:
    """Return the `⋯` menu of up to five (label, command). A command longer than 150 characters is left out."""
    return {"type": "overflow", "action_id": "build.more", "options": _options(options, 5)}


def picker(options: Sequence[tuple[str, str]], placeholder: str) -> Block:
    """Return a list of up to 100 (label, command) that acts like the `⋯` menu when one is picked."""
    return {
        "type": "static_select",
        "action_id": "build.more",
        "placeholder": _plain(placeholder, 150),
        "options": _options(options, 100),
    }


def confirm(title: str, text: str, yes: str, no: str = "Back") -> Block:
    """Return the question asked before a button acts."""
    return {
        "title": _plain(title, 100),
        "text": _plain(text, 300),
        "confirm": _plain(yes, 30),
        "deny": _plain(no, 30),
    }


def preformatted(text: str, limit: int = SECTION_TEXT) -> Block:
    """Return text as it stands, in a fixed font. Slack reads nothing into rich text, so nothing needs escaping."""
    element = {"type": "text", "text": clip(visible(text), limit) or "—"}
    return {"type": "rich_text", "elements": [{"type": "rich_text_preformatted", "elements": [element]}]}


def input_block(
    label: str,
    element: Block,
    *,
    name: str,
    hint: str | None = None,
    optional: bool = False,
    dispatch: bool = False,
) -> Block:
    """Return a field of a modal. `name` becomes both its block id and its action id, so a form reads by names."""
    block: Block = {
        "type": "input",
        "block_id": clip(name, 255),
        "label": _plain(label, 2000),
        "element": element | {"action_id": clip(name, 255)},
        "optional": optional,
    }
    if hint:
        block["hint"] = _plain(hint, 2000)
    if dispatch:
        block["dispatch_action"] = True
    return block


def text_field(*, initial: str | None = None, placeholder: str | None = None, multiline: bool = False) -> Block:
    """Return an element that takes up to 3,000 characters of text."""
    element: Block = {"type": "plain_text_input", "multiline": multiline, "max_length": 3000}
    return _prompted(element, placeholder) | ({"initial_value": initial[:3000]} if initial else {})


def number_field(*, initial: str | None = None, decimal: bool = True) -> Block:
    """Return an element that takes a number."""
    element: Block = {"type": "number_input", "is_decimal_allowed": decimal}
    return element | ({"initial_value": initial} if initial else {})


def select(options: Sequence[tuple[str, str]], *, initial: str | None = None, placeholder: str | None = None) -> Block:
    """Return a list of up to 100 (label, value); `initial` is a value."""
    given = _options(options, 100)
    element: Block = _prompted({"type": "static_select", "options": given}, placeholder)
    chosen = [option for option in given if option["value"] == initial]
    return element | ({"initial_option": chosen[0]} if chosen else {})


def multi_select(
    options: Sequence[tuple[str, str]], *, initial: Iterable[str] = (), placeholder: str | None = None
) -> Block:
    """Return a list of up to 100 (label, value) of which several may be picked."""
    option_objects = _options(options, 100)
    element: Block = _prompted({"type": "multi_static_select", "options": option_objects}, placeholder)
    initial_values = frozenset(initial)
    chosen = [option for option in option_objects if option["value"] in initial_values]
    return element | ({"initial_options": chosen} if chosen else {})


def external_select(*, initial: tuple[str, str] | None = None, placeholder: str | None = None, after: int = 0) -> Block:
    """Return a list whose (label, value) are asked for while a person types, from `after` characters on."""
    element: Block = _prompted({"type": "external_select", "min_query_length": after}, placeholder)
    chosen = _options([initial], 1) if initial else []
    return element | ({"initial_option": chosen[0]} if chosen else {})


def person_select(*, initial: str = "", placeholder: str | None = None) -> Block:
    """Return a list of the workspace's people; `initial` is a Slack id."""
    element: Block = _prompted({"type": "users_select"}, placeholder)
    return element | ({"initial_user": initial} if initial else {})


def checkboxes(options: Sequence[tuple[str, str]], *, initial: Iterable[str] = ()) -> Block:
    """Return up to ten (label, value) to tick."""
    option_objects = _options(options, 10)
    initial_values = frozenset(initial)
    chosen = [option for option in option_objects if option["value"] in initial_values]
    element: Block = {"type": "checkboxes", "options": option_objects}
    return element | ({"initial_options": chosen} if chosen else {})


def radios(options: Sequence[tuple[str, str]], *, initial: str | None = None) -> Block:
    """Return up to ten (label, value) of which one is picked."""
    given = _options(options, 10)
    chosen = [option for option in given if option["value"] == initial]
    element: Block = {"type": "radio_buttons", "options": given}
    return element | ({"initial_option": chosen[0]} if chosen else {})


def suggestions(options: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """Return the answer to a list that asks while a person types: up to 100 (label, value)."""
    return {"options": _options(options, 100)}


def _options(options: Sequence[tuple[str, str]], limit: int) -> list[Block]:
    """Return options that fit; a value longer than 150 characters cannot be sent back and is left out."""
    fitting = [(label, value) for label, value in options if 0 < len(value) <= MENU_COMMAND]
    return [{"text": _plain(label, 75), "value": value} for label, value in fitting[:limit]]


def _prompted(element: Block, placeholder: str | None) -> Block:
    return element | {"placeholder": _plain(placeholder, 150)} if placeholder else element


def _plain(text: str, limit: int) -> Block:
    # Without `emoji: false` Slack would draw the `:name:` of an outside string.
    return {"type": "plain_text", "text": one_line(text, limit) or "—", "emoji": False}


def _mrkdwn(text: str, limit: int) -> Block:
    # Without `verbatim` Slack also turns bare `@here`, `#general` and addresses into mentions and links.
    return {"type": "mrkdwn", "text": str(cut(text, limit)) or "—", "verbatim": True}


def _usable(element: Block) -> bool:
    """Return whether an element can be pressed or picked."""
    if "options" in element:
        return bool(element["options"])
    if element["type"] == "button":
        return "url" in element or 0 < len(element.get("value", "")) <= COMMAND
    return True


def _whole(blocks: Iterable[Block]) -> list[Block]:
    """Return the blocks without empty rows, which Slack would refuse."""
    return [block for block in blocks if block.get("elements") != []]


def _fit(blocks: list[Block], limit: int) -> list[Block]:
    """Return at most `limit` blocks; a row of buttons at the end stays, and a line says how much is left out."""
    if len(blocks) <= limit:
        return blocks
    tail = blocks[-1:] if blocks[-1]["type"] == "actions" else []
    kept = limit - 1 - len(tail)
    return [*blocks[:kept], context(f"… {plural(len(blocks) - kept - len(tail), 'more', 'more')}"), *tail]
