"""The call for somebody to look after a branch that has been red for a while."""

from bot.blocks.buttons import build_buttons
from bot.blocks.message import Message, section
from bot.blocks.notification import green_again
from bot.blocks.text import RED, bold, code, duration, plural, safe
from bot.blocks.text import mention as mentioned
from bot.core.models import Build


def escalation_notification(
    build: Build,
    *,
    label: str,
    red_seconds: float,
    streak: int,
    claimed_by: str = "",
    mention: str | None = None,
    actions: frozenset[str] = frozenset(),
) -> Message:
    """Return the call for somebody to look after a branch that has been red for a while.

    `claimed_by` is who is on it all the same, `mention` who is called; both are Slack ids.
    """
    who = f"{mentioned(claimed_by)} is on it" if claimed_by else "nobody is on it"
    builds = f"{plural(streak, 'failure')} in a row"
    ref = f"{code(build.ref, 80)} of " if build.ref else ""
    line = f"{ref}{bold(label, 120)} has been red for {duration(red_seconds)}, {builds}, and {who}"
    call = f"{mentioned(mention)}, can you look at it?" if mention else ""
    words = f"{safe(build.ref, 80)} of " if build.ref else ""
    text = f"{words}{safe(label, 120)} has been red for {duration(red_seconds)}, {builds}, and {who}"
    return Message(
        text=f"{text}. {call}" if call else text,
        blocks=(section(f"✕ {line}"),),
        attached=(*((section(call),) if call else ()), *build_buttons(build, allowed=actions)),
        colour=RED,
    )


def escalation_over(build: Build, *, label: str, by: int | None, red_seconds: float | None) -> Message:
    """Return what is left of a call to look after a branch, now that it is green: one line."""
    again = green_again(by, red_seconds)
    ref = f"{code(build.ref, 80)} of " if build.ref else ""
    words = f"{safe(build.ref, 80)} of " if build.ref else ""
    return Message(
        text=f"{words}{safe(label, 120)}: {again}", blocks=(section(f"✓ {ref}{bold(label, 120)} is {again}"),)
    )
