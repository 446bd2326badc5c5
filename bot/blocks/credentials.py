"""The warning that a connection's credentials end."""

from collections.abc import Iterator, Sequence
from datetime import datetime

from bot.blocks.message import Message, section
from bot.blocks.text import Markup, code, escape, plural
from bot.core.models import Account, Scope


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


def scope_list(scopes: Sequence[Scope]) -> Markup:
    """Return scopes with what each is for, on one line."""
    return Markup("; ".join(f"{code(scope.name)} for {escape(scope.purpose)}" for scope in scopes))


def missing_scopes(account: Account) -> Iterator[Markup]:
    """Yield what does not work without each of the scopes that the credentials lack."""
    for scope in account.missing:
        yield Markup(f"⚠ Scope {code(scope.name)} is missing. Does not work without it: {escape(scope.purpose)}.")


def end_words(expires_at: datetime, days: int) -> Markup:
    """Return when credentials end, in how many days, as a part of a line about their connection."""
    if days == 0:
        return Markup(f"credentials ended on {expires_at:%Y-%m-%d}")
    return Markup(f"credentials end on {expires_at:%Y-%m-%d}, in {plural(days, 'day')}")


def scope_lines(account: Account, label: str, scopes: Sequence[Scope]) -> Iterator[Markup]:
    """Yield which scopes the credentials have, and what does not work without each of those they lack.

    `scopes` is all that the CI system `label` needs; it is shown where the system reports nothing.
    """
    if account.granted:
        yield Markup(f"Scopes: {', '.join(code(scope.name) for scope in account.granted)}.")
    yield from missing_scopes(account)
    if account.without:
        yield Markup(f"Optional scopes it does without: {scope_list(account.without)}.")
    if scopes and not (account.granted or account.missing):
        yield Markup(f"{escape(label)} does not report what these credentials may do. They need {scope_list(scopes)}.")
