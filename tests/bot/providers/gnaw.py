"""Gnawed bodies: each member in turn missing or of a wrong type."""

from collections.abc import Iterator

ODD_TEXT = "\x00\ud83d<!channel>" + "x" * 5000
"""What no database and no UTF-8 holds, what means something in Slack, and more than anybody reads."""


def gnawed(body: object) -> Iterator[tuple[str, object]]:
    """Yield (what was done, the body after it). Of a list only the first item is gnawed: the others are like it."""
    for wrong in _wrong(body):
        yield f"$ is {_named(wrong)}", wrong
    yield from _inside(body, "$")


def _inside(part: object, at: str) -> Iterator[tuple[str, object]]:
    if isinstance(part, dict):
        for name, value in part.items():
            yield f"{at}.{name} is missing", {key: kept for key, kept in part.items() if key != name}
            for wrong in _wrong(value):
                yield f"{at}.{name} is {_named(wrong)}", {**part, name: wrong}
            for said, inner in _inside(value, f"{at}.{name}"):
                yield said, {**part, name: inner}
    elif isinstance(part, list) and part:
        for wrong in _wrong(part[0]):
            yield f"{at}[0] is {_named(wrong)}", [wrong, *part[1:]]
        for said, inner in _inside(part[0], f"{at}[0]"):
            yield said, [inner, *part[1:]]


def _wrong(value: object) -> tuple[object, ...]:
    match value:
        case bool():
            return None, "yes"
        case int() | float():
            return None, "seven", -1, 10**30
        case str():
            return None, 7, "", ODD_TEXT
        case list():
            return None, {}, "x"
        case dict():
            return None, [], "x"
        case _:
            return 7, "x", {}, []


def _named(value: object) -> str:
    return "odd text" if value == ODD_TEXT else f"{type(value).__name__} {value!r}"[:30]
