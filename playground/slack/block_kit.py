"""Block Kit's rules as Slack enforces them: counts, lengths, required members, which block goes where.

`message_problems` and `view_problems` return every broken rule as `[ERROR] what [json-pointer:/…]`, the
form in which Slack lists them under `response_metadata.messages`.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

Json = dict[str, Any]
Found = Iterator[tuple[str, str]]

MESSAGE, MODAL, HOME = "message", "modal", "home"
EVERYWHERE = frozenset({MESSAGE, MODAL, HOME})

SURFACES = {
    "actions": EVERYWHERE,
    "alert": frozenset({MODAL}),
    "card": EVERYWHERE,
    "carousel": frozenset({MESSAGE, HOME}),
    "container": frozenset({MESSAGE}),
    "context": EVERYWHERE,
    "context_actions": frozenset({MESSAGE, HOME}),
    "data_table": frozenset({MESSAGE, HOME}),
    "data_visualization": frozenset({MESSAGE}),
    "divider": EVERYWHERE,
    "file": EVERYWHERE,
    "header": EVERYWHERE,
    "image": EVERYWHERE,
    "input": EVERYWHERE,
    "markdown": frozenset({MESSAGE}),
    "plan": frozenset({MESSAGE}),
    "rich_text": EVERYWHERE,
    "section": EVERYWHERE,
    "table": frozenset({MESSAGE, HOME}),
    "task_card": frozenset({MESSAGE}),
    "video": EVERYWHERE,
}

SELECTS = {
    f"{multi}{kind}_select" for multi in ("", "multi_") for kind in ("static", "external", "users", "conversations", "channels")
}  # fmt: skip
TYPED = {"plain_text_input", "email_text_input", "url_text_input", "number_input", "rich_text_input"}
PICKED = {"datepicker", "timepicker", "datetimepicker"}
CHOICES = {"checkboxes", "radio_buttons"}
ACTION_ELEMENTS = {"button", "overflow", "workflow_button", *SELECTS, *PICKED, *CHOICES}
ACCESSORIES = ACTION_ELEMENTS | {"image"}
INPUT_ELEMENTS = {*SELECTS, *TYPED, *PICKED, *CHOICES, "file_input"}
KNOWN = ACCESSORIES | INPUT_ELEMENTS | {"feedback_buttons", "icon_button"}


def message_problems(blocks: object, pointer: str = "/blocks") -> list[str]:
    """Return what Slack would refuse in a message's blocks."""
    problems = list(_blocks(blocks, pointer, MESSAGE, most=50))
    if isinstance(blocks, list):
        dicts = [block for block in blocks if isinstance(block, dict)]
        for kind, most in (("table", 1), ("data_visualization", 2)):
            if sum(block.get("type") == kind for block in dicts) > most:
                problems.append((f"only {most} {kind} blocks allowed", pointer))
        prose = sum(len(str(block.get("text", ""))) for block in dicts if block.get("type") == "markdown")
        if prose > 12_000:
            problems.append(("markdown blocks must hold less than 12001 characters together", pointer))
    return _listed(problems)


def view_problems(view: object) -> list[str]:
    """Return what Slack would refuse in a modal or an App Home."""
    return _listed(_view(view))


def option_problems(answer: Mapping[str, Any]) -> list[str]:
    """Return what Slack would refuse in the answer to a block_suggestion."""
    return _listed(_choices(answer, "", most=100, needed=False))


def _listed(problems: Iterator[tuple[str, str]] | list[tuple[str, str]]) -> list[str]:
    return [f"[ERROR] {what} [json-pointer:{pointer}]" for what, pointer in problems]


def _view(view: object) -> Found:
    if not isinstance(view, dict):
        yield "must be an object", "/view"
        return
    if view.get("type") not in (MODAL, HOME):
        yield "must be either modal or home", "/view/type"
        return
    surface = view["type"]
    if surface == MODAL:
        for member, needed in (("title", True), ("submit", False), ("close", False)):
            yield from _text(view.get(member), f"/view/{member}", most=24, plain=True, needed=needed)
        blocks = view.get("blocks")
        inputs = isinstance(blocks, list) and any(isinstance(it, dict) and it.get("type") == "input" for it in blocks)
        if inputs and "submit" not in view:
            yield "missing required field: submit", "/view"
    yield from _string(view, "private_metadata", "/view", most=3000)
    yield from _string(view, "callback_id", "/view", most=255)
    yield from _string(view, "external_id", "/view", most=255)
    yield from _blocks(view.get("blocks"), "/view/blocks", surface, most=100)


def _blocks(blocks: object, pointer: str, surface: str, *, most: int) -> Found:
    if not isinstance(blocks, list):
        yield "must be an array", pointer
        return
    if len(blocks) > most:
        yield f"no more than {most} items allowed", pointer
    ids: set[str] = set()
    actions: set[tuple[str, str]] = set()
    for number, block in enumerate(blocks):
        here = f"{pointer}/{number}"
        if not isinstance(block, dict) or not isinstance(block.get("type"), str):
            yield "missing required field: type", here
            continue
        kind = block["type"]
        if kind not in SURFACES or surface not in SURFACES[kind]:
            yield f"unsupported type: {kind}", f"{here}/type"
            continue
        yield from _string(block, "block_id", here, most=255)
        block_id = block.get("block_id")
        if isinstance(block_id, str):
            if block_id in ids:
                yield f"`block_id` {block_id} already exists", f"{here}/block_id"
            ids.add(block_id)
        for action_id in _action_ids(block):
            if (here, action_id) in actions:
                yield f"`action_id` {action_id} already exists", here
            actions.add((here, action_id))
        yield from BLOCKS.get(kind, _anything)(block, here)


def _action_ids(block: Json) -> Iterator[str]:
    elements = block.get("elements") if block.get("type") == "actions" else None
    for element in elements if isinstance(elements, list) else []:
        if isinstance(element, dict) and isinstance(element.get("action_id"), str):
            yield element["action_id"]


def _anything(_block: Json, _pointer: str) -> Found:
    yield from ()


def _string(holder: Json, member: str, pointer: str, *, most: int, needed: bool = False) -> Found:
    value = holder.get(member)
    if value is None:
        if needed:
            yield f"missing required field: {member}", pointer
    elif not isinstance(value, str):
        yield "must be a string", f"{pointer}/{member}"
    elif len(value) > most:
        yield f"must be less than {most + 1} characters", f"{pointer}/{member}"
    elif needed and not value:
        yield "must be more than 0 characters", f"{pointer}/{member}"


def _text(value: object, pointer: str, *, most: int, plain: bool = False, needed: bool = True) -> Found:
    if value is None:
        if needed:
            yield f"missing required field: {pointer.rsplit('/', 1)[1]}", pointer.rsplit("/", 1)[0]
        return
    if not isinstance(value, dict) or value.get("type") not in ("plain_text", "mrkdwn"):
        yield "must be a text object", pointer
        return
    if plain and value["type"] != "plain_text":
        yield "must be plain_text", f"{pointer}/type"
    unknown = set(value) - (
        {"type", "text", "emoji"} if value["type"] == "plain_text" else {"type", "text", "verbatim"}
    )
    if unknown:
        yield f"unsupported field: {min(unknown)}", pointer
    yield from _string(value, "text", pointer, most=most, needed=True)


def _list(holder: Json, member: str, pointer: str, most: int) -> Iterator[tuple[str, object]]:
    """Yield each item with its pointer. The caller reports the count by `_count`."""
    items = holder.get(member)
    if isinstance(items, list):
        for number, item in enumerate(items[: most + 1]):
            yield f"{pointer}/{member}/{number}", item


def _count(holder: Json, member: str, pointer: str, *, most: int, least: int = 1) -> Found:
    items = holder.get(member)
    if not isinstance(items, list):
        yield f"missing required field: {member}", pointer
    elif len(items) > most:
        yield f"no more than {most} items allowed", f"{pointer}/{member}"
    elif len(items) < least:
        yield f"must provide at least {least} items", f"{pointer}/{member}"


def _section(block: Json, pointer: str) -> Found:
    if block.get("text") is None and not block.get("fields"):
        yield "missing required field: text or fields", pointer
    yield from _text(block.get("text"), f"{pointer}/text", most=3000, needed=False)
    if "fields" in block:
        yield from _count(block, "fields", pointer, most=10)
        for here, item in _list(block, "fields", pointer, 10):
            yield from _text(item, here, most=2000)
    if "accessory" in block:
        yield from _element(block["accessory"], f"{pointer}/accessory", ACCESSORIES)


def _header(block: Json, pointer: str) -> Found:
    yield from _text(block.get("text"), f"{pointer}/text", most=150, plain=True)


def _context(block: Json, pointer: str) -> Found:
    yield from _count(block, "elements", pointer, most=10)
    for here, item in _list(block, "elements", pointer, 10):
        if isinstance(item, dict) and item.get("type") == "image":
            yield from _image(item, here)
        else:
            yield from _text(item, here, most=3000)


def _actions(block: Json, pointer: str) -> Found:
    yield from _count(block, "elements", pointer, most=25)
    for here, item in _list(block, "elements", pointer, 25):
        yield from _element(item, here, ACTION_ELEMENTS)


def _context_actions(block: Json, pointer: str) -> Found:
    yield from _count(block, "elements", pointer, most=5)
    for here, item in _list(block, "elements", pointer, 5):
        yield from _element(item, here, {"feedback_buttons", "icon_button"})


def _image(block: Json, pointer: str) -> Found:
    if "slack_file" not in block:
        yield from _string(block, "image_url", pointer, most=3000, needed=True)
    yield from _string(block, "alt_text", pointer, most=2000, needed=True)
    yield from _text(block.get("title"), f"{pointer}/title", most=2000, plain=True, needed=False)


def _input(block: Json, pointer: str) -> Found:
    yield from _text(block.get("label"), f"{pointer}/label", most=2000, plain=True)
    yield from _text(block.get("hint"), f"{pointer}/hint", most=2000, plain=True, needed=False)
    if "element" not in block:
        yield "missing required field: element", pointer
    else:
        yield from _element(block["element"], f"{pointer}/element", INPUT_ELEMENTS)


def _rich_text(block: Json, pointer: str) -> Found:
    yield from _count(block, "elements", pointer, most=1000, least=0)
    kinds = {"rich_text_section", "rich_text_list", "rich_text_preformatted", "rich_text_quote"}
    for here, item in _list(block, "elements", pointer, 1000):
        if not isinstance(item, dict) or item.get("type") not in kinds:
            yield "unsupported rich text element", here
        elif not isinstance(item.get("elements"), list):
            yield "missing required field: elements", here


def _markdown(block: Json, pointer: str) -> Found:
    yield from _string(block, "text", pointer, most=12_000, needed=True)


def _rows(block: Json, pointer: str, *, least: int, most: int) -> Found:
    yield from _count(block, "rows", pointer, most=most, least=least)
    for here, row in _list(block, "rows", pointer, most):
        if not isinstance(row, list) or not 1 <= len(row) <= 20:
            yield "a row has 1 to 20 cells", here
            continue
        for column, cell in enumerate(row):
            kind = cell.get("type") if isinstance(cell, dict) else None
            if kind not in ("raw_text", "raw_number", "rich_text"):
                yield "unsupported cell", f"{here}/{column}"


def _table(block: Json, pointer: str) -> Found:
    yield from _rows(block, pointer, least=1, most=100)


def _data_table(block: Json, pointer: str) -> Found:
    yield from _string(block, "caption", pointer, most=3000, needed=True)
    yield from _rows(block, pointer, least=2, most=101)
    rows = block.get("rows")
    if isinstance(rows, list) and len({len(row) for row in rows if isinstance(row, list)}) > 1:
        yield "rows must be of equal length", f"{pointer}/rows"
    if not 1 <= block.get("page_size", 5) <= 100:
        yield "must be between 1 and 100", f"{pointer}/page_size"


def _chart(block: Json, pointer: str) -> Found:
    yield from _string(block, "title", pointer, most=50, needed=True)
    chart = block.get("chart")
    if not isinstance(chart, dict) or chart.get("type") not in ("pie", "bar", "line", "area"):
        yield "missing required field: chart", pointer
        return
    here = f"{pointer}/chart"
    if chart["type"] == "pie":
        yield from _count(chart, "segments", here, most=6)
        return
    yield from _count(chart, "series", here, most=6)
    config = chart.get("axis_config")
    if not isinstance(config, dict):
        yield "missing required field: axis_config", here
        return
    yield from _count(config, "categories", f"{here}/axis_config", most=20)
    categories = config.get("categories")
    for place, series in _list(chart, "series", here, 6):
        data = series.get("data") if isinstance(series, dict) else None
        if not isinstance(data, list) or not isinstance(categories, list) or len(data) != len(categories):
            yield "one value for each category is needed", f"{place}/data"


def _card(block: Json, pointer: str) -> Found:
    for member, most in (("title", 150), ("subtitle", 150), ("body", 200)):
        yield from _text(block.get(member), f"{pointer}/{member}", most=most, needed=False)
    for here, item in _list(block, "actions", pointer, 25):
        yield from _element(item, here, {"button"})


def _carousel(block: Json, pointer: str) -> Found:
    yield from _count(block, "elements", pointer, most=10)
    for here, item in _list(block, "elements", pointer, 10):
        if isinstance(item, dict):
            yield from _card(item, here)


def _container(block: Json, pointer: str) -> Found:
    yield from _count(block, "child_blocks", pointer, most=10)
    yield from _blocks(block.get("child_blocks", []), f"{pointer}/child_blocks", MESSAGE, most=10)


def _alert(block: Json, pointer: str) -> Found:
    yield from _text(block.get("text"), f"{pointer}/text", most=3000)
    if block.get("level", "default") not in ("default", "info", "warning", "error", "success"):
        yield "unsupported level", f"{pointer}/level"


BLOCKS: dict[str, Callable[[Json, str], Found]] = {
    "actions": _actions,
    "alert": _alert,
    "card": _card,
    "carousel": _carousel,
    "container": _container,
    "context": _context,
    "context_actions": _context_actions,
    "data_table": _data_table,
    "data_visualization": _chart,
    "header": _header,
    "image": _image,
    "input": _input,
    "markdown": _markdown,
    "rich_text": _rich_text,
    "section": _section,
    "table": _table,
}


def _element(element: object, pointer: str, allowed: set[str]) -> Found:
    if not isinstance(element, dict) or element.get("type") not in KNOWN:
        yield "unsupported element", pointer
        return
    kind = element["type"]
    if kind not in allowed:
        yield f"unsupported type: {kind}", f"{pointer}/type"
        return
    if kind == "image":
        yield from _image(element, pointer)
        return
    yield from _string(element, "action_id", pointer, most=255)
    yield from _text(element.get("placeholder"), f"{pointer}/placeholder", most=150, plain=True, needed=False)
    if "confirm" in element:
        yield from _confirm(element["confirm"], f"{pointer}/confirm")
    if kind == "button":
        yield from _text(element.get("text"), f"{pointer}/text", most=75, plain=True)
        yield from _string(element, "value", pointer, most=2000)
        yield from _string(element, "url", pointer, most=3000)
        yield from _string(element, "accessibility_label", pointer, most=75)
        if element.get("style", "primary") not in ("primary", "danger"):
            yield "must be primary or danger", f"{pointer}/style"
    elif kind in ("static_select", "multi_static_select"):
        yield from _choices(element, pointer, most=100, needed=True)
    elif kind == "overflow":
        yield from _options(element, pointer, most=5)
    elif kind in CHOICES:
        yield from _options(element, pointer, most=10, long=True)
    elif kind == "number_input" and not isinstance(element.get("is_decimal_allowed"), bool):
        yield "missing required field: is_decimal_allowed", pointer
    elif kind == "plain_text_input" and not 1 <= element.get("max_length", 3000) <= 3000:
        yield "must be between 1 and 3000", f"{pointer}/max_length"


def _confirm(confirm: object, pointer: str) -> Found:
    if not isinstance(confirm, dict):
        yield "must be an object", pointer
        return
    yield from _text(confirm.get("title"), f"{pointer}/title", most=100, plain=True)
    yield from _text(confirm.get("text"), f"{pointer}/text", most=300)
    yield from _text(confirm.get("confirm"), f"{pointer}/confirm", most=30, plain=True)
    yield from _text(confirm.get("deny"), f"{pointer}/deny", most=30, plain=True)


def _choices(holder: Mapping[str, Any], pointer: str, *, most: int, needed: bool) -> Found:
    members = dict(holder)
    if "option_groups" in members:
        yield from _count(members, "option_groups", pointer, most=most)
        for here, group in _list(members, "option_groups", pointer, most):
            if isinstance(group, dict):
                yield from _text(group.get("label"), f"{here}/label", most=75, plain=True)
                yield from _options(group, here, most=100, least=int(needed))
            else:
                yield "must be an object", here
    else:
        yield from _options(members, pointer, most=most, least=int(needed))


def _options(holder: Json, pointer: str, *, most: int, least: int = 1, long: bool = False) -> Found:
    yield from _count(holder, "options", pointer, most=most, least=least)
    for here, option in _list(holder, "options", pointer, most):
        if not isinstance(option, dict):
            yield "must be an object", here
            continue
        yield from _text(option.get("text"), f"{here}/text", most=75, plain=not long)
        yield from _string(option, "value", here, most=150, needed=True)
        yield from _text(option.get("description"), f"{here}/description", most=75, needed=False)
