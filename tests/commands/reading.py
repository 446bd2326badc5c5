"""What tests read of an answer."""

from collections.abc import Awaitable, Callable, Iterator
from typing import Any

from bot.store.rows import LinkRow
from commands.core.executor import Handled

Say = Callable[..., Awaitable[Handled]]
Linked = Callable[..., Awaitable[LinkRow]]
Recorded = Callable[..., Awaitable[None]]


def said(handled: Handled) -> str:
    """Return everything a person could read of an answer."""
    assert handled.answer.message is not None, handled
    return str(handled.answer.message.payload())


def first(handled: Handled) -> str:
    """Return an answer's text alone."""
    assert handled.answer.message is not None, handled
    return handled.answer.message.text


def buttons(handled: Handled) -> dict[str, str]:
    """Return the commands of an answer's buttons and lists by their labels."""
    assert handled.answer.message is not None, handled
    return dict(_values(handled.answer.message.payload()))


def _values(part: Any) -> Iterator[tuple[str, str]]:
    if isinstance(part, dict):
        if "value" in part and isinstance(part.get("text"), dict):
            yield part["text"]["text"], part["value"]
        for inner in part.values():
            yield from _values(inner)
    elif isinstance(part, list):
        for inner in part:
            yield from _values(inner)
