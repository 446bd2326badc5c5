"""The tables, one for each kind of row in `bot.store.rows`, which says what the columns mean.

They serve migrations and Core statements; no object of these classes is ever made. A class is dear to define, and a
process needs few of them at its start: a module is imported when one of its tables is first asked for.
"""

from importlib import import_module

from sqlalchemy import MetaData, Table

from bot.store.tables.base import TableBase, UtcDateTime

__all__ = ["UtcDateTime", "metadata", "table"]

MODULES: dict[str, tuple[str, ...]] = {
    "acts": (
        "claim",
        "chain",
        "log_follow",
        "bisection",
        "hold",
        "hold_wait",
    ),
    "builds": (
        "build",
        "attempt",
    ),
    "channels": (
        "schedule",
        "digest",
        "preset",
        "switch",
        "channel_setting",
        "feed",
    ),
    "connections": (
        "connection",
        "connection_health",
        "pipeline",
        "binding",
    ),
    "deliveries": ("inbox",),
    "failures": (
        "red_branch",
        "failure",
    ),
    "links": (
        "link",
        "mute",
    ),
    "notifications": (
        "notification",
        "card",
        "card_note",
        "commit_row",
    ),
    "people": (
        "person",
        "identity",
        "grant",
        "approval_policy",
        "vote",
        "last_value",
        "audit",
        "personal_token",
    ),
    "polling": (
        "poll_target",
        "watch",
        "budget",
    ),
    "workspaces": (
        "install",
        "workspace",
        "token",
    ),
}
"""The modules, and the tables of each by their names in the database."""

_module_of = {name: module for module, names in MODULES.items() for name in names}


def table(name: str) -> Table:
    """Return a table by its name, for statements over columns. Raises KeyError for a name that no table has."""
    if name not in TableBase.metadata.tables:
        import_module(f"{__name__}.{_module_of[name]}")
    return TableBase.metadata.tables[name]


def metadata() -> MetaData:
    """Return what holds every table."""
    for module in MODULES:
        import_module(f"{__name__}.{module}")
    return TableBase.metadata
