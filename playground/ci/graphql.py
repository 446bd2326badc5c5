"""Just enough GraphQL to answer a query over plain data: fields, aliases, arguments, variables; no fragments."""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

_TOKEN = re.compile(
    r'(?:[\s,]|#[^\n]*)*("(?:[^"\\]|\\.)*"|\.\.\.|[A-Za-z_][A-Za-z0-9_]*|-?\d+(?:\.\d+)?|[{}()\[\]:$!=@|&])'
)

Resolver = Callable[[Mapping[str, Any]], Any]


class QueryError(Exception):
    """A query that cannot be answered, in the service's words."""


@dataclass(slots=True)
class Type:
    """A type's fields: plain values, or functions of the arguments that return values, Types, or lists of Types."""

    name: str
    fields: Mapping[str, Any]


@dataclass(slots=True)
class Selection:
    """A field that is asked for, under which name, with what, and what of it."""

    alias: str
    name: str
    arguments: dict[str, Any] = field(default_factory=dict)
    inner: list["Selection"] = field(default_factory=list)


class _Parser:
    def __init__(self, text: str, variables: Mapping[str, Any]) -> None:
        self._tokens: list[str] = []
        self._at = 0
        self._variables = variables
        position = 0
        while text[position:].strip(" \t\r\n,"):
            token = _TOKEN.match(text, position)
            if token is None:
                raise QueryError(f"Parse error on {text[position : position + 12].strip()!r}")
            self._tokens.append(token[1])
            position = token.end()

    def _peek(self) -> str:
        return self._tokens[self._at] if self._at < len(self._tokens) else ""

    def _next(self, expected: str | None = None) -> str:
        token = self._peek()
        if not token or (expected is not None and token != expected):
            raise QueryError(f"Parse error: expected {expected or 'more'}, found {token or 'the end'}")
        self._at += 1
        return token

    def operation(self) -> list[Selection]:
        if self._peek() in {"mutation", "subscription"}:
            raise QueryError("Only queries are answered here")
        if self._peek() == "query":
            self._next()
            if self._peek() not in {"(", "{"}:
                self._next()
            if self._peek() == "(":
                self._variable_definitions()
        selections = self._selections()
        if self._peek():
            raise QueryError(f"Parse error on {self._peek()!r}")
        return selections

    def _variable_definitions(self) -> None:
        defaults: dict[str, Any] = {}
        self._next("(")
        while self._peek() != ")":
            self._next("$")
            name = self._next()
            self._next(":")
            while self._peek() in {"[", "]", "!"} or self._peek().isidentifier():
                self._next()
            if self._peek() == "=":
                self._next()
                defaults[name] = self._value()
        self._next(")")
        self._variables = {**defaults, **self._variables}

    def _selections(self) -> list[Selection]:
        self._next("{")
        selections = []
        while self._peek() != "}":
            if self._peek() == "...":
                raise QueryError("Fragments are not answered here")
            name = alias = self._next()
            if self._peek() == ":":
                self._next()
                name = self._next()
            made = Selection(alias, name)
            if self._peek() == "(":
                self._next()
                while self._peek() != ")":
                    argument = self._next()
                    self._next(":")
                    made.arguments[argument] = self._value()
                self._next(")")
            if self._peek() == "{":
                made.inner = self._selections()
            selections.append(made)
        self._next("}")
        return selections

    def _value(self) -> Any:
        part = self._next()
        if part == "$":
            return self._variables.get(self._next())
        if part == "[":
            items = []
            while self._peek() != "]":
                items.append(self._value())
            self._next("]")
            return items
        if part.startswith('"') or part in {"true", "false", "null"} or part.lstrip("-")[:1].isdigit():
            return json.loads(part)
        return part


def run(query: str, variables: Mapping[str, Any], root: Type) -> dict[str, Any]:
    """Return the answer's body: `data`, or `errors` where the query cannot be answered."""
    try:
        return {"data": _resolve(_Parser(query, variables).operation(), root)}
    except QueryError as exc:
        return {"errors": [{"message": str(exc), "locations": [{"line": 1, "column": 1}]}]}


def _resolve(selections: list[Selection], of: Type) -> dict[str, Any]:
    made = {}
    for selection in selections:
        if selection.name == "__typename":
            made[selection.alias] = of.name
            continue
        if selection.name not in of.fields:
            raise QueryError(f"Field '{selection.name}' doesn't exist on type '{of.name}'")
        value = of.fields[selection.name]
        if callable(value):
            value = value(selection.arguments)
        made[selection.alias] = _complete(value, selection, of.name)
    return made


def _complete(value: Any, selection: Selection, parent: str) -> Any:
    if isinstance(value, list):
        return [_complete(item, selection, parent) for item in value]
    if isinstance(value, Type):
        if not selection.inner:
            raise QueryError(f"Field must have selections (field '{selection.name}' returns {value.name})")
        return _resolve(selection.inner, value)
    if value is not None and selection.inner:
        raise QueryError(f"Selections can't be made on scalars (field '{selection.name}' of {parent})")
    return value
