"""Jenkins' `tree` parameter: which members of an answer are wanted, how deep, and which range of a list."""

import re
from dataclasses import dataclass, field
from typing import Any

_TOKEN = re.compile(r"\s*([A-Za-z_*][A-Za-z0-9_]*|\[|\]|,|\{\d*,?\d*\})")


class BadTree(Exception):
    """A tree that cannot be read."""


@dataclass(slots=True)
class Node:
    """The members wanted of one object; `low` and `high` bound a list."""

    members: dict[str, "Node"] = field(default_factory=dict)
    low: int = 0
    high: int | None = None


def parse(text: str) -> Node:
    """Return what a tree asks for. The same sibling named twice: the last one wins."""
    tokens, at = [], 0
    while at < len(text):
        token = _TOKEN.match(text, at)
        if token is None:
            raise BadTree(text[at:])
        tokens.append(token[1])
        at = token.end()
    node, rest = _members(tokens)
    if rest:
        raise BadTree(rest[0])
    return node


def _members(tokens: list[str]) -> tuple[Node, list[str]]:
    node = Node()
    while tokens and tokens[0] != "]":
        name, tokens = tokens[0], tokens[1:]
        if name in {"[", ","} or name.startswith("{"):
            raise BadTree(name)
        inner = Node()
        if tokens and tokens[0] == "[":
            inner, tokens = _members(tokens[1:])
            if not tokens:
                raise BadTree("]")
            tokens = tokens[1:]
        if tokens and tokens[0].startswith("{"):
            inner.low, inner.high = _range(tokens[0])
            tokens = tokens[1:]
        node.members[name] = inner
        if tokens and tokens[0] == ",":
            tokens = tokens[1:]
        elif tokens and tokens[0] != "]":
            raise BadTree(tokens[0])
    return node, tokens


def _range(token: str) -> tuple[int, int | None]:
    low, comma, high = token[1:-1].partition(",")
    if not comma:
        return int(low or 0), int(low or 0) + 1
    return int(low or 0), int(high) if high else None


def prune(value: Any, node: Node) -> Any:
    """Return what the node asks of a value. `_class` always comes; a name without members of its own brings scalars."""
    if isinstance(value, list):
        return [prune(item, Node(node.members)) for item in value[node.low : node.high]]
    if not isinstance(value, dict):
        return value
    kept = {"_class": value["_class"]} if "_class" in value else {}
    names = value.keys() if "*" in node.members else [name for name in node.members if name in value]
    for name in names:
        kept[name] = prune(value[name], node.members.get(name, Node()))
    return kept
