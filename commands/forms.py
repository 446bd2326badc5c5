"""What a modal is: opened at once, filled afterwards, checked field by field, ending in a verb.

A form's `arguments` travel in the view's private metadata: short strings, never the data itself.
"""

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from bot.blocks.message import View, context, section
from bot.blocks.text import escape
from bot.errors import BotError, UsageError
from commands.request import Answer, Opening, Request, Services

Values = Mapping[str, str | tuple[str, ...]]
"""What the fields hold, by name: a text, or the values picked."""

CHANNEL = "channel"
THREAD = "thread"
METADATA = 3000


class FieldError(BotError):
    """What a person typed into a field can't be; shown under that field."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


class Form(ABC):
    """One modal."""

    name: ClassVar[str]
    title: ClassVar[str]
    submit_label: ClassVar[str] = "OK"

    @abstractmethod
    async def fill(self, arguments: Mapping[str, str], request: Request, services: Services) -> View:
        """Return the form with its fields; may ask CI systems."""

    @abstractmethod
    async def submit(
        self, values: Values, arguments: Mapping[str, str], request: Request, services: Services
    ) -> Answer:
        """Do what the form says. Raises FieldError for a field, BotError for the whole."""

    async def options(
        self, field: str, typed: str, values: Values, arguments: Mapping[str, str], request: Request, services: Services
    ) -> Sequence[tuple[str, str]]:
        """Return up to 100 (label, value) for a list that asks while a person types."""
        return ()

    async def changed(
        self, field: str, values: Values, arguments: Mapping[str, str], request: Request, services: Services
    ) -> View | None:
        """Return the form anew where a choice changes its other fields."""
        return None

    def view(self, blocks: Sequence[dict[str, Any]], arguments: Mapping[str, str], *, ready: bool = True) -> View:
        """Return a view of this form."""
        return View(
            title=self.title,
            blocks=tuple(blocks),
            callback_id=self.name,
            submit=self.submit_label if ready else None,
            close="Cancel",
            private_metadata=packed(arguments),
        )

    def loading(self, arguments: Mapping[str, str], words: str = "Loading…") -> View:
        """Return what is shown until the form is filled, so that the trigger does not expire."""
        return self.view((section(words),), arguments, ready=False)

    def failed(self, arguments: Mapping[str, str], error: BotError) -> View:
        """Return what is shown when the form can't be filled or what it says can't be done."""
        hint = (context(escape(error.hint)),) if error.hint else ()
        return self.view((section(f"✕ {escape(error.message)}"), *hint), arguments, ready=False)


def opening(form: str, request: Request, **arguments: str) -> Opening:
    """Return what an answer says to open a form from a request."""
    kept = {name: value for name, value in arguments.items() if value}
    return Opening(form=form, arguments={CHANNEL: request.channel, THREAD: request.thread, **kept})


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
    found: dict[str, str | tuple[str, ...]] = {}
    for fields in (state.get("values") or {}).values():
        for name, field in fields.items():
            value = _value(field)
            if value not in ("", ()):
                found[name] = value
    return found


def _value(field: Mapping[str, Any]) -> str | tuple[str, ...]:
    for many in ("selected_options", "selected_users", "selected_conversations", "selected_channels"):
        if many in field:
            picked = field[many] or ()
            return tuple(str(one.get("value") if isinstance(one, dict) else one) for one in picked)
    chosen = field.get("selected_option")
    if isinstance(chosen, dict):
        return str(chosen.get("value") or "")
    for one in (
        "value",
        "selected_user",
        "selected_conversation",
        "selected_channel",
        "selected_date",
        "selected_time",
    ):
        if field.get(one) is not None:
            return str(field[one]).strip()
    return ""


def text(values: Values, name: str) -> str:
    """Return a field's text, "" where it is empty."""
    value = values.get(name, "")
    return value if isinstance(value, str) else ",".join(value)


def picked(values: Values, name: str) -> tuple[str, ...]:
    """Return what was picked in a field."""
    value = values.get(name, ())
    return (value,) if isinstance(value, str) and value else tuple(value)
