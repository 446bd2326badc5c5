"""Answers when something cannot be done: what happened, why, and the next thing to type or press."""

from collections.abc import Sequence

from bot.blocks.lines import lines_of
from bot.blocks.message import Block, Message, actions, button, context, link_button, picker, section
from bot.blocks.text import Markup, clip, code, duration, harmless
from bot.core.errors import BotError, ProviderError, RateLimited, Unavailable, UsageError

# Up to this many choices are buttons; more are a list.
MOST_BUTTONS = 5
OURS = "/build"
"""The slash command as sentences spell it that do not know the one in use."""


def error_message(error: BotError, *, usage: str | None = None, command: str = "/build") -> Message:
    """Return a refusal in words: what happened, what to do next, the usage line, and the choices.

    The error's backticks stay (they are ours); everything else is shown as it stands.
    """
    is_ours = not isinstance(error, ProviderError)
    sentence = _said(error.message, command, styles=is_ours)
    usage_line = usage or (error.usage if isinstance(error, UsageError) else None)
    hint = _said(error.hint, command, styles=is_ours) if error.hint else ""
    # Where a button opens the page, its address is not spelled out as well.
    advice = hint
    if error.hint and error.url and error.url in error.hint:
        advice = _said(error.hint.replace(error.url, "").rstrip(" :.") + ".", command, styles=is_ours)
    wait = ""
    if isinstance(error, RateLimited) and error.retry_after > 0:
        wait = f"It asks me to wait {duration(error.retry_after)}."
    elif isinstance(error, Unavailable) and error.acted:
        wait = "It may have taken effect all the same: look before you repeat it."
    body = lines_of(sentence, advice, wait, f"Usage: {code(f'{command} {usage_line}', 400)}" if usage_line else "")
    text = " ".join(part for part in (sentence, advice, wait) if part)
    opened = (actions(link_button("Open", error.url)),) if error.url else ()
    return Message(text=text, blocks=(section(body), *_choices(error.choices), *opened))


def surprise_message(reference: str, acted: str) -> Message:
    """Return what a person reads after a fault of ours. `acted` is a sentence: whether something was done."""
    line = f"Something broke on my side. Reference {code(reference, 40)}, logged. {_said(acted)}".strip()
    return Message(text=line, blocks=(section(line),))


def _said(text: str, command: str = OURS, *, styles: bool = True) -> Markup:
    """Return a sentence of ours: it may name commands and a person, and vendors' words inside it stay harmless."""
    return harmless(clip(text.strip().replace(f"`{OURS} ", f"`{command} "), 1500), styles=styles)


def _choices(choices: Sequence[tuple[str, str]]) -> tuple[Block, ...]:
    if not choices:
        return ()
    if len(choices) <= MOST_BUTTONS:
        return (actions(*(button(label, words) for label, words in choices)),)
    left = len(choices) - 100
    more = (context(f"… {left} more; a longer part of the name finds them"),) if left > 0 else ()
    return (actions(picker(choices, "Pick one")), *more)
