"""The one redactor: secrets masked in whatever CI systems, commands, errors and our own log lines print.

Its rules are many patterns, dear to compile: they are read when the first text comes.
"""

from collections.abc import Mapping
from functools import cache
from importlib import import_module
from types import ModuleType


def redact(text: str) -> str:
    """Return a text with what reads as a secret masked as `[masked: what it was]`.

    A long text is taken in pieces of whole lines. A line longer than a piece is cut at a space where it has one.
    """
    redacted: str = rules().redact(text)
    return redacted


def without_secrets(parameters: Mapping[str, str]) -> dict[str, str]:
    """Return parameters without those whose name or value says that they hold a secret."""
    return {
        name: value
        for name, value in parameters.items()
        if not is_secret_name(name) and redact(value) == value and redact(f"{name}={value}") == f"{name}={value}"
    }


def is_secret_name(name: str) -> bool:
    """Return whether a value under this name is a secret: `DB_PASSWORD`, `clientSecret`, `api-key`."""
    is_secret: bool = rules().is_secret_name(name)
    return is_secret


@cache
def rules() -> ModuleType:
    """Return the rules; the first call imports them."""
    return import_module("bot.security.secret_rules")
