"""What is said of a hold: who keeps others from starting and approving what, since when, until when and why. Pure."""

import re
from collections.abc import Iterable, Sequence

from bot.blocks.text import Markup, code, safe, when
from bot.core.text import folded
from bot.store.rows import HoldRow

MOST_REASON = 200
_WORD = re.compile(r"[^\W_]+")


def hold_words(row: HoldRow) -> Markup:
    """Return who holds what since when, until when and why, as a clause of mrkdwn."""
    holder = f"<@{row.user}>" if row.user else "the terminal"
    what = f"the environment {code(row.environment)}" if row.environment else "it"
    until = f" until {when(row.until)}" if row.until is not None else ""
    why = f" ({safe(row.reason, MOST_REASON)})" if row.reason else ""
    return Markup(f"{holder} has held {what} since {when(row.made_at)}{until}{why}")


def holds_of(rows: Iterable[HoldRow], environments: Sequence[str]) -> list[HoldRow]:
    """Return the holds that concern an act: those of the whole pipeline, and of environments that its texts name."""
    return [
        row
        for row in rows
        if not row.environment or any(names_environment(text, row.environment) for text in environments)
    ]


def names_environment(text: str, environment: str) -> bool:
    """Return whether a text names an environment as a word of its own: `Deploy to production`, `deploy-production`."""
    return f" {_words(environment)} " in f" {_words(text)} "


def _words(text: str) -> str:
    return " ".join(_WORD.findall(folded(text)))
