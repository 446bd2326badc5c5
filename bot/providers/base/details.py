"""What a vendor reports beside the fields of our models, by a plain name."""

from collections.abc import Mapping
from datetime import datetime

Fact = str | float | bool | datetime | tuple[str | None, ...] | None
"""What a detail may hold; None, "" and an empty list are unknown."""


def plain_details(facts: Mapping[str, Fact]) -> dict[str, str]:
    """Return the facts that are known as texts, in their order. Yes is said, no is not."""
    texts = {name: _text(fact) for name, fact in facts.items()}
    return {name: text for name, text in texts.items() if text}


def _text(fact: Fact) -> str:
    match fact:
        case None | False:
            return ""
        case True:
            return "yes"
        case datetime():
            return f"{fact:%Y-%m-%d %H:%M:%S} UTC"
        case tuple():
            return ", ".join(part for part in fact if part)
        case float():
            return f"{fact:g}"
        case _:
            return str(fact)


def seconds(count: float | None) -> str | None:
    """Return a number of seconds as a detail says it."""
    return None if count is None else f"{count:g} s"
