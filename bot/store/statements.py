"""Statements that are asked often: compiled once for each database, and run by the bare driver.

SQLAlchemy's way to the driver (a session or connection of its own, greenlets, result objects) costs many times what
these statements do. What is written here once are the steps that its types need: values in, columns out.
"""

import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Protocol, TypeAlias

from sqlalchemy import CompoundSelect, Dialect, Float, Select, Table, UpdateBase
from sqlalchemy.sql.elements import CompilerElement
from sqlalchemy.types import TypeEngine

from bot.core.text import valid

Convert: TypeAlias = Callable[[Any], Any] | None
Core: TypeAlias = Select[Any] | CompoundSelect[Any] | UpdateBase
Values: TypeAlias = tuple[Any, ...]
Observer: TypeAlias = Callable[[str, Values], None]

FLOAT8 = 701  # PostgreSQL's number for the type of our numbers: its dialect asks for one


def dialect_of(name: str) -> Dialect:
    """Return the dialect `sqlite` or `postgresql` as its driver wants it. It is imported where it is used: it is dear."""
    dialect: Dialect
    if name == "sqlite":
        dialect = import_module("sqlalchemy.dialects.sqlite").dialect(paramstyle="qmark")
    else:
        dialect = import_module("sqlalchemy.dialects.postgresql.asyncpg").dialect()
    return dialect


def insert_into(dialect: str, into: Table) -> Any:
    """Return an insert that knows `on_conflict_do_update` and `on_conflict_do_nothing`.

    The two databases have classes of their own for it, with the same methods and nothing above them: hence Any.
    """
    return import_module(f"sqlalchemy.dialects.{dialect}").insert(into)


@dataclass(frozen=True, slots=True)
class Compiled:
    """A statement in the words of one driver."""

    text: str
    _binds: tuple[tuple[str, bool, Any, Convert], ...]
    _converted: tuple[tuple[int, Callable[[Any], Any]], ...]

    def arguments(self, parameters: Mapping[str, Any]) -> Values:
        """Return what the driver takes, in its order. Raises KeyError for a parameter that was left out."""
        arguments = []
        for name, is_parameter, fixed, convert in self._binds:
            value = parameters[name] if is_parameter else fixed
            if convert is not None:
                value = convert(value)
            arguments.append(valid(value) if isinstance(value, str) else value)
        return tuple(arguments)

    def rows(self, fetched: Iterable[Sequence[Any]]) -> list[Values]:
        """Return rows as their columns' types give them."""
        if not self._converted:
            return [tuple(row) for row in fetched]
        rows = []
        for row in fetched:
            values = list(row)
            for place, convert in self._converted:
                values[place] = convert(values[place])
            rows.append(tuple(values))
        return rows


class Statement:
    """A statement whose values are `bindparam`s without a value, or what makes one for a dialect."""

    def __init__(self, statement: Core | Callable[[str], Core]) -> None:
        self._make: Callable[[str], Core] = statement if callable(statement) else lambda _dialect: statement
        self._cores: dict[str, Core] = {}
        self._compiled: dict[str, Compiled] = {}

    def core(self, dialect: str) -> Core:
        """Return the statement as SQLAlchemy runs it, for a transaction that has begun already."""
        core = self._cores.get(dialect)
        if core is None:
            core = self._cores[dialect] = self._make(dialect)
        return core

    def compiled(self, dialect: str) -> Compiled:
        """Return the statement in a driver's words."""
        compiled = self._compiled.get(dialect)
        if compiled is None:
            compiled = self._compiled[dialect] = _compile(self.core(dialect), dialect_of(dialect))
        return compiled


class Run(Protocol):
    """Runs a prepared statement in a transaction of SQLite that has begun, and returns its rows."""

    def __call__(self, statement: Statement, **parameters: Any) -> list[Values]:
        """Run it."""


def runner(connection: sqlite3.Connection, observe: Observer | None) -> Run:
    """Return what runs prepared statements on SQLite's driver."""

    def run(statement: Statement, **parameters: Any) -> list[Values]:
        compiled = statement.compiled("sqlite")
        arguments = compiled.arguments(parameters)
        if observe is not None:
            observe(compiled.text, arguments)
        return compiled.rows(connection.execute(compiled.text, arguments).fetchall())

    return run


def _compile(statement: Core, dialect: Dialect) -> Compiled:
    element: CompilerElement = statement
    compiled: Any = element.compile(dialect=dialect)
    binds = tuple(
        (name, bind.required, bind.value, _bind_processor(bind.type, dialect))
        for name, bind in ((name, compiled.binds[name]) for name in compiled.positiontup or ())
    )
    columns = (
        column.type.dialect_impl(dialect).result_processor(dialect, FLOAT8 if isinstance(column.type, Float) else None)
        for column in statement.exported_columns
    )
    converted = tuple((place, convert) for place, convert in enumerate(columns) if convert is not None)
    return Compiled(str(compiled), binds, converted)


def _bind_processor(kind: TypeEngine[Any], dialect: Dialect) -> Convert:
    return kind.dialect_impl(dialect).bind_processor(dialect)
