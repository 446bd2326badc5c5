"""Variables are named after the thing they hold, not by a pronoun or a participle."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("bot", "commands", "playground", "bench")
WORDS = frozenset(
    {
        "it",
        "one",
        "found",
        "said",
        "known",
        "where",
        "wanted",
        "asked",
        "there",
        "given",
        "told",
        "heard",
    }
)
LINES = 3
NOT_YET: tuple[str, ...] = ()
"""Prefixes of paths whose names are still to be changed."""

Function = ast.FunctionDef | ast.AsyncFunctionDef
Comprehension = ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp


@dataclass(frozen=True)
class Scope:
    """A function, a class body or a module, with the nodes that belong to it and the scopes inside it."""

    owner: ast.AST
    nodes: tuple[ast.AST, ...]
    inner: tuple["Scope", ...]

    def bound(self) -> dict[str, int]:
        """Return the names that this scope binds, with the first line of each."""
        lines: dict[str, int] = {}
        for node in self.nodes:
            for name in _bound_by(node):
                line = getattr(node, "lineno", 1)
                lines[name] = min(line, lines.get(name, line))
        return lines

    def last_use(self, name: str) -> int:
        """Return the last line that reads or binds a name of this scope, in here or in a scope inside."""
        lines = [node.lineno for node in self.nodes if isinstance(node, ast.Name) and node.id == name]
        lines += [scope.last_use(name) for scope in self.inner if name not in scope.bound()]
        return max(lines, default=0)


def scope_of(owner: ast.AST) -> Scope:
    """Return the scope of a function, a class or a module. What a comprehension or a lambda binds is left out."""
    nodes: list[ast.AST] = []
    inner: list[Scope] = []
    if isinstance(owner, Function):
        arguments = owner.args
        nodes.extend((*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs))
        nodes.extend(argument for argument in (arguments.vararg, arguments.kwarg) if argument is not None)
    body: list[tuple[ast.AST, frozenset[str]]] = [(node, frozenset()) for node in getattr(owner, "body", [])]
    while body:
        node, hidden = body.pop()
        if isinstance(node, Function | ast.ClassDef):
            inner.append(scope_of(node))
            continue
        if isinstance(node, Comprehension):
            targets = (name for generator in node.generators for name in ast.walk(generator.target))
            hidden |= {name.id for name in targets if isinstance(name, ast.Name)}
        elif isinstance(node, ast.Lambda):
            hidden |= {argument.arg for argument in node.args.args}
        if not (isinstance(node, ast.Name) and node.id in hidden):
            nodes.append(node)
        body.extend((child, hidden) for child in ast.iter_child_nodes(node))
    return Scope(owner, tuple(nodes), tuple(inner))


def _bound_by(node: ast.AST) -> Iterator[str]:
    match node:
        case ast.arg():
            yield node.arg
        case ast.Name(ctx=ast.Store()):
            yield node.id
        case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
            yield name
        case _:
            pass


def bad_names(source: str) -> list[tuple[int, str]]:
    """Return the line and the name of each field, attribute, parameter and variable that is to be renamed."""
    return sorted(set(_of_scope(scope_of(ast.parse(source)))))


def _of_scope(scope: Scope) -> Iterator[tuple[int, str]]:
    is_function = isinstance(scope.owner, Function)
    for name, line in scope.bound().items():
        if name in WORDS and (not is_function or scope.last_use(name) - line >= LINES):
            yield line, name
    for node in scope.nodes:
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and node.attr in WORDS:
            yield node.lineno, node.attr
    for inner in scope.inner:
        yield from _of_scope(inner)


def _files() -> list[str]:
    files = (path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
    return sorted(path.relative_to(ROOT).as_posix() for path in files if "node_modules" not in path.parts)


@pytest.mark.parametrize("file", [file for file in _files() if not file.startswith(NOT_YET)])
def test_each_name_says_what_it_holds(file: str) -> None:
    bad = bad_names((ROOT / file).read_text(encoding="utf-8"))
    assert not bad, f"{file}: " + ", ".join(f"{name} (line {line})" for line, name in bad)


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("def f(it):\n    a = 1\n    b = 2\n    return it", ["it"]),
        ("def f(it):\n    a = 1\n    return it", []),
        ("def f(*, found=None):\n    a = 1\n    b = 2\n    return [found for _ in a]", ["found"]),
        ("def f():\n    for one in []:\n        a = 1\n        b = 2\n        print(one)", ["one"]),
        ("async def f():\n    async with g() as said:\n        a = 1\n        b = 2\n        print(said)", ["said"]),
        ("def f():\n    if known := g():\n        a = 1\n        b = 2\n        print(f'{known}')", ["known"]),
        ("def f():\n    try:\n        g()\n    except E as told:\n        a = 1\n        b = 2\n        h(told)", ["told"]),
        ("def f(a):\n    match a:\n        case [where]:\n            b = 1\n            c = 2\n            h(where)", ["where"]),
        ("def f():\n    there = 1\n    def g():\n        a = 1\n        return there", ["there"]),
        ("def f():\n    return [\n        one\n        for a in b\n        for one in a\n        if one\n    ]", []),
        ("def f():\n    return g(\n        lambda it: (\n            1,\n            2,\n            it,\n        )\n    )", []),
        ("class A:\n    asked: int", ["asked"]),
        ("class A:\n    def __init__(self):\n        self.heard = 1", ["heard"]),
        ("given = 1", ["given"]),
        ("def f():\n    wanted = 1\n    return wanted\n\n\ndef g():\n    wanted = 2\n    return wanted", []),
    ],
)  # fmt: skip
def test_names_are_judged_by_how_far_they_reach(source: str, names: list[str]) -> None:
    assert [name for _line, name in bad_names(source)] == names
