"""The warning that a connection's credentials end."""

from datetime import datetime

from bot.blocks.message import Message, section
from bot.blocks.text import Markup, code, escape, plural


def expiry_line(name: str, label: str, expires_at: datetime, days: int) -> Markup:
    """Return one line of mrkdwn: whose credentials end, when, and in how many days."""
    whose = f"The credentials of {escape(label)} ({code(name)})"
    if days == 0:
        return Markup(f"{whose} ended on {expires_at:%Y-%m-%d}. Its builds can't be read until they are renewed.")
    return Markup(f"{whose} end on {expires_at:%Y-%m-%d}, in {plural(days, 'day')}.")


def credentials_end(name: str, label: str, expires_at: datetime, days: int) -> Message:
    """Return the warning for who can renew them."""
    line = expiry_line(name, label, expires_at, days)
    help_ = "Make a new token at the CI system and put it in place of the old one, where that was set."
    return Message(text=f"{line} {help_}", blocks=(section(f"⚠ {line}\n{help_}"),))
