"""The arguments of a Web API call: those that must be there, and the page of a list."""

from base64 import b64decode, b64encode
from collections.abc import Sequence
from typing import TypeVar

from playground.slack.model import Json, SlackError

T = TypeVar("T")


def need(args: Json, *names: str) -> list[str]:
    """Return arguments that must be there. Raises invalid_arguments naming the ones that are not."""
    missing = [name for name in names if args.get(name) in (None, "")]
    if missing:
        messages = [f"[ERROR] missing required field: {name}" for name in missing]
        raise SlackError("invalid_arguments", response_metadata={"messages": messages})
    return [str(args[name]) for name in names]


def page(items: Sequence[T], args: Json, *, standard: int = 100, most: int = 1000) -> tuple[list[T], str]:
    """Return one page of a list and the cursor of the next, empty at the end."""
    try:
        limit = int(args.get("limit") or standard)
        start = (
            int(b64decode(str(args["cursor"]), validate=True).decode().removeprefix("at:")) if args.get("cursor") else 0
        )
    except ValueError as exc:
        raise SlackError("invalid_cursor" if args.get("cursor") else "invalid_limit") from exc
    if not 1 <= limit <= most:
        raise SlackError("invalid_limit")
    end = start + limit
    return list(items[start:end]), b64encode(f"at:{end}".encode()).decode() if end < len(items) else ""
