"""What a modal is: opened at once, filled afterwards, checked field by field, ending in a verb.

A form's `arguments` travel in the view's private metadata: short strings, never the data itself.
"""

import json
import zlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from bot.blocks.message import Block, View, section
from bot.blocks.message import context as small_print
from bot.blocks.text import escape, harmless
from bot.core.errors import Ambiguous, BotError, Unavailable, UsageError
from commands.core.context import Context, Opening

Values = Mapping[str, str | tuple[str, ...]]
"""What the fields hold, by name: a text, or the values picked."""

CHANNEL = "channel"
THREAD = "thread"
METADATA = 3000
TROUBLE = "trouble"


class FieldError(BotError):
    """What a person typed into a field can't be; shown under that field, and further messages under `others`."""

    def __init__(self, field: str, message: str, *, others: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.field = field
        self.errors: Mapping[str, str] = {field: message, **(others or {})}


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """The command that a form's fields stand for: its verb and its own typed arguments."""

    verb: str
    args: Any


class Form(ABC):
    """One modal. It builds a command's arguments and has no business logic of its own."""

    name: ClassVar[str]
    title: ClassVar[str]
    submit_label: ClassVar[str] = "OK"
    close_label: ClassVar[str] = "Cancel"

    @abstractmethod
    async def fill(self, arguments: Mapping[str, str], context: Context) -> View:
        """Return the form with its fields; may ask CI systems."""

    @abstractmethod
    async def submitted(self, values: Values, arguments: Mapping[str, str], context: Context) -> "Submission":
        """Return the command that the fields stand for; the executor runs it. Raises FieldError for a field.

        Checks only what fields hold (needed, readable): resolving, rights and acting are the executor's.
        """

    def at_field(self, error: BotError, values: Values) -> BotError:
        """Return a command's error at the field that caused it; as it is where no field did."""
        return error

    async def options(
        self, field: str, typed: str, values: Values, arguments: Mapping[str, str], context: Context
    ) -> Sequence[tuple[str, str]]:
        """Return up to 100 (label, value) for a list that asks while a person types."""
        return ()

    async def changed(self, field: str, values: Values, arguments: Mapping[str, str], context: Context) -> View | None:
        """Return the form anew where a choice changes its other fields."""
        return None

    def view(self, blocks: Sequence[dict[str, Any]], arguments: Mapping[str, str], *, ready: bool = True) -> View:
        """Return a view of this form."""
        return View(
            title=self.title,
            blocks=tuple(blocks),
            callback_id=self.name,
            submit=self.submit_label if ready else None,
            close=self.close_label,
            private_metadata=packed(arguments),
        )

    def loading(self, arguments: Mapping[str, str], words: str = "Loading…") -> View:
        """Return what is shown until the form is filled, so that the trigger does not expire."""
        return self.view((section(words),), arguments, ready=False)

    def failed(self, arguments: Mapping[str, str], error: BotError) -> View:
        """Return what is shown when the form can't be filled or what it says can't be done."""
        return self.view(_trouble(error, {}), arguments, ready=False)

    def again(self, shown: Mapping[str, Any], arguments: Mapping[str, str], error: BotError) -> View:
        """Return the form as the person left it, with what is wrong above, so that nothing has to be typed twice.

        Where the act may have taken effect, the form is not offered again.
        """
        if type(error) is BotError or (isinstance(error, Unavailable) and error.acted):
            return self.failed(arguments, error)
        values = (shown.get("state") or {}).get("values") or {}
        blocks = [block for block in shown.get("blocks") or () if not str(block.get("block_id")).startswith(TROUBLE)]
        refilled = [_refilled(block, values.get(block.get("block_id")) or {}) for block in blocks]
        return self.view((*_trouble(error, labels_of(shown)), *refilled), arguments)


def _trouble(error: BotError, labels: Mapping[str, str]) -> tuple[Block, ...]:
    errors = error.errors if isinstance(error, FieldError) else {"": error.message}
    lines = [
        f"✕ {f'*{escape(labels[name])}*: ' if name in labels else ''}{harmless(said)}" for name, said in errors.items()
    ]
    if isinstance(error, Ambiguous):
        lines += [f"• {escape(label)}" for label, _words in error.choices[:20]]
    hint = (small_print(harmless(error.hint)),) if error.hint else ()
    return tuple(
        {**block, "block_id": f"{TROUBLE}{index}"} for index, block in enumerate((section("\n".join(lines)), *hint))
    )


_INITIAL = {
    "value": "initial_value",
    "selected_option": "initial_option",
    "selected_options": "initial_options",
    "selected_user": "initial_user",
}


def _refilled(block: Block, fields: Mapping[str, Any]) -> Block:
    """Return an input block that begins with what stands in it now."""
    element = block.get("element") or {}
    typed = fields.get(str(element.get("action_id")))
    if block.get("type") != "input" or not isinstance(typed, dict):
        return block
    plain = {name: value for name, value in element.items() if name not in _INITIAL.values()}
    held = {initial: typed[name] for name, initial in _INITIAL.items() if typed.get(name)}
    return {**block, "element": {**plain, **held}}


def opening(form: str, context: Context, **arguments: str) -> Opening:
    """Return the form to open with its arguments. Raises UsageError where they are too long for Slack."""
    kept = {name: value for name, value in arguments.items() if value}
    opens = {CHANNEL: context.channel, THREAD: context.thread, **kept}
    packed(opens)
    return Opening(form=form, arguments=opens)


def renewed(blocks: Iterable[Block], *about: str) -> list[Block]:
    """Return fields under block ids of their own for what they are about.

    Slack keeps what stands in a field whose block id comes again, whatever its new initial value says.
    """
    mark = f"~{zlib.crc32(chr(0).join(about).encode()):08x}"
    return [
        {**block, "block_id": f"{block['block_id'][:240]}{mark}"} if "block_id" in block else block for block in blocks
    ]


def fields_of(view: Mapping[str, Any]) -> dict[str, str]:
    """Return the block id of each field of a view, by the field's name."""
    return {
        str(block["element"].get("action_id")): str(block.get("block_id"))
        for block in view.get("blocks") or ()
        if block.get("type") == "input" and isinstance(block.get("element"), dict)
    }


def labels_of(view: Mapping[str, Any]) -> dict[str, str]:
    """Return the label of each field of a view, by the field's name."""
    return {
        str(block["element"].get("action_id")): str((block.get("label") or {}).get("text") or "")
        for block in view.get("blocks") or ()
        if block.get("type") == "input" and isinstance(block.get("element"), dict)
    }


def packed(arguments: Mapping[str, str]) -> str:
    """Return arguments as private metadata. Raises UsageError where they are too long for Slack."""
    text = json.dumps({name: value for name, value in arguments.items() if value}, separators=(",", ":"))
    if len(text) > METADATA:
        raise UsageError("That is too much for a form.", hint="Type the command instead.")
    return text


def unpacked(metadata: str) -> dict[str, str]:
    """Return arguments from private metadata; metadata that is not ours holds none."""
    try:
        read = json.loads(metadata or "{}")
    except ValueError:
        return {}
    return {str(name): str(value) for name, value in read.items()} if isinstance(read, dict) else {}


def values_of(state: Mapping[str, Any]) -> dict[str, str | tuple[str, ...]]:
    """Return what the fields of a view's state hold; fields left empty are not there."""
    values: dict[str, str | tuple[str, ...]] = {}
    for fields in (state.get("values") or {}).values():
        for name, field in fields.items():
            value = _value(field)
            if value not in ("", ()):
                values[name] = value
    return values


def _value(field: Mapping[str, Any]) -> str | tuple[str, ...]:
    for many in ("selected_options", "selected_users", "selected_conversations", "selected_channels"):
        if many in field:
            picked = field[many] or ()
            return tuple(str(one.get("value") if isinstance(one, dict) else one) for one in picked)
    chosen = field.get("selected_option")
    if isinstance(chosen, dict):
        return str(chosen.get("value") or "")
    for key in (
        "value",
        "selected_user",
        "selected_conversation",
        "selected_channel",
        "selected_date",
        "selected_time",
    ):
        if field.get(key) is not None:
            return str(field[key]).strip()
    return ""


def text(values: Values, name: str) -> str:
    """Return a field's text, "" where it is empty."""
    value = values.get(name, "")
    return value if isinstance(value, str) else ",".join(value)


def picked(values: Values, name: str) -> tuple[str, ...]:
    """Return what was picked in a field."""
    value = values.get(name, ())
    return (value,) if isinstance(value, str) and value else tuple(value)
