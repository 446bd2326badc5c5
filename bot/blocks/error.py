"""Answers when something cannot be done: what happened, why, and the next thing to type or press."""

from collections.abc import Mapping, Sequence
from typing import Literal

from bot.blocks.lines import lines_of
from bot.blocks.message import Block, Message, actions, button, context, picker, section
from bot.blocks.text import Markup, bold, clip, code, duration, escape, markup, plural, safe
from bot.errors import Ambiguous, BotError, RateLimited, Unavailable, UsageError
from bot.models import spoken

# Up to this many choices are buttons; more are a list.
MOST_BUTTONS = 5


def error_message(error: BotError, *, usage: str | None = None, slash: str = "/build") -> Message:
    """Return a refusal in words: what happened, what to do next, the usage line, and the choices where a name fits several.

    The error's backticks stay (they are ours); everything else is shown as it stands.
    """
    said = _said(error.message)
    line = usage or (error.usage if isinstance(error, UsageError) else None)
    hint = _said(error.hint) if error.hint else ""
    wait = ""
    if isinstance(error, RateLimited) and error.retry_after > 0:
        wait = f"It asks me to wait {duration(error.retry_after)}."
    elif isinstance(error, Unavailable) and error.acted:
        wait = "It may have taken effect all the same: look before you repeat it."
    body = lines_of(said, hint, wait, f"Usage: {code(f'{slash} {line}', 400)}" if line else "")
    text = " ".join(part for part in (said, hint, wait) if part)
    offered = _choices(error.choices) if isinstance(error, Ambiguous) else ()
    return Message(text=text, blocks=(section(body), *offered))


def ambiguous(message: str, choices: Sequence[tuple[str, str]], *, hint: str | None = None) -> Message:
    """Return a question between several things, each (label, command) to be pressed."""
    return error_message(Ambiguous(message, choices=tuple(choices), hint=hint))


def surprise_message(reference: str, acted: str) -> Message:
    """Return what a person reads after a fault of ours. `acted` is a sentence: whether something was done."""
    line = f"Something broke on my side. Reference {code(reference, 40)}, logged. {_said(acted)}".strip()
    return Message(text=line, blocks=(section(line),))


def link_confirmation(
    *,
    label: str,
    connection: str,
    path: str,
    channel_name: str,
    branch: str | None,
    counts: Mapping[str, int],
    hears: str = "every finished build",
    user: str | Markup = "",
    days: int = 7,
    slash: str = "/build",
) -> Message:
    """Return what a channel reads when a pipeline is linked: what it will hear, and how to narrow that.

    `counts` says how many posts each preset (`all`, `edges`, `failures`) would have made in the last `days` days.
    """
    where = f"#{channel_name}" if channel_name else "this channel"
    by = f" by {markup(user, 80)}" if user else ""
    line = f"{bold(label, 120)} is linked to {safe(where, 80)}{by}."
    on = f" on {code(branch, 80)}" if branch else " on any branch"
    target = spoken(connection, path)
    total = counts.get("all")
    past = f" In the last {days} days that would have been {plural(total, 'post')}." if total is not None else ""
    narrower: list[Block] = []
    presets: tuple[tuple[str, str, Literal["primary"] | None], ...] = (
        ("edges", "Only changes", "primary"),
        ("failures", "Only failures", None),
    )
    for preset, words, style in presets:
        known = f" ({counts[preset]} in {days} days)" if preset in counts else ""
        narrower.append(button(f"{words}{known}", f"subscribe {target} --on {preset}", style=style))
    return Message(
        text=f"{safe(label, 120)} is linked to {safe(where, 80)}. This channel hears {safe(hears, 120)}",
        blocks=(
            section(f"✓ {line}\nThis channel hears {safe(hears, 120)}{on}.{past}"),
            actions(*narrower, button("Status", f"status {target}"), button("Unlink", f"unlink {target}")),
            context(f"{code(f'{slash} subscribe')} changes what is heard · {code(f'{slash} mute 2h')} keeps it quiet"),
        ),
    )


def _said(text: str) -> Markup:
    """Return a sentence of ours: it may name commands in backticks, and vendors' words inside it stay harmless."""
    return escape(clip(text.strip(), 1500))


def _choices(choices: Sequence[tuple[str, str]]) -> tuple[Block, ...]:
    if not choices:
        return ()
    if len(choices) <= MOST_BUTTONS:
        return (actions(*(button(label, words) for label, words in choices)),)
    left = len(choices) - 100
    more = (context(f"… {left} more; a longer part of the name finds them"),) if left > 0 else ()
    return (actions(picker(choices, "Pick one")), *more)
