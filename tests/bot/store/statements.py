"""What the store sends to its database, written down as it is sent."""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import event

from bot.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """One statement as the driver gets it."""

    text: str
    parameters: Any = ()


@contextmanager
def watched_statements(store: Store) -> Generator[list[Statement]]:
    """Collect the statements that a store sends while the block runs, those that begin and end transactions too."""
    statements: list[Statement] = []
    engine = store._engine.sync_engine

    def observed(text: str, parameters: Any) -> None:
        statements.append(Statement(text=text, parameters=parameters))

    def sent(_connection: object, _cursor: object, text: str, parameters: Any, *_rest: object) -> None:
        # A list is one statement for several rows, a tuple the parameters of one, which may insert several.
        statements.extend(
            Statement(text=text, parameters=each)
            for each in (parameters if isinstance(parameters, list) else [parameters])
        )

    def begun(_connection: object) -> None:
        if store.dialect == "postgresql":
            observed("BEGIN", ())

    listeners: dict[str, Callable[..., Any]] = {
        "before_cursor_execute": sent,
        "begin": begun,
        "commit": lambda _connection: observed("COMMIT", ()),
        "rollback": lambda _connection: observed("ROLLBACK", ()),
    }
    for name, listener in listeners.items():
        event.listen(engine, name, listener)
    store.observe = observed
    try:
        yield statements
    finally:
        store.observe = None
        for name, listener in listeners.items():
            event.remove(engine, name, listener)
