"""Counts what SQLite's driver is asked, whichever way the store takes to it."""

import sqlite3
from dataclasses import dataclass, field
from typing import Any

import pytest

BOOKKEEPING = ("COMMIT", "ROLLBACK", "PRAGMA", "SAVEPOINT", "RELEASE")


@dataclass(slots=True)
class Spent:
    """What was spent: statements, transactions, calls of Slack's Web API and of a response_url, calls of the CI system."""

    statements: list[str] = field(default_factory=list)
    transactions: int = 0
    slack: int = 0
    vendor: list[str] = field(default_factory=list)

    def trace(self, statement: str) -> None:
        """Count a statement of SQLite's."""
        if statement.startswith("BEGIN"):
            self.transactions += 1
        elif not statement.startswith(BOOKKEEPING):
            self.statements.append(statement)

    def clear(self) -> None:
        """Forget what was counted."""
        self.statements.clear()
        self.vendor.clear()
        self.transactions = 0


@pytest.fixture
def spent(monkeypatch: pytest.MonkeyPatch) -> Spent:
    """Return what is counted from now on, on every connection that is opened after this."""
    counted = Spent()
    connect = sqlite3.connect

    def traced(*arguments: Any, **options: Any) -> sqlite3.Connection:
        connection: sqlite3.Connection = connect(*arguments, **options)
        connection.set_trace_callback(counted.trace)
        return connection

    monkeypatch.setattr(sqlite3, "connect", traced)
    return counted
