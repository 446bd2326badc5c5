"""Every regular expression of the bot reads its input in linear time, and so does everything built of them.

The patterns are found, not listed: those held by modules and classes of `bot` and `commands`, and those written inside
functions. Each is run as the code runs it, over texts made for it: its own examples, prefixes of them and pumped
repetitions, and what attackers send. A pattern whose cost grows faster than its input fails here.
"""

import ast
import importlib
import pkgutil
import re
import time
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from re import _constants as codes  # type: ignore[attr-defined]
from re import _parser as parser  # type: ignore[attr-defined]
from types import ModuleType
from typing import Any

import pytest

import bot
import commands
from bot.blocks.message import preformatted
from bot.blocks.plain import mrkdwn
from bot.blocks.text import code, escape, harmless, link, markup, one_line, safe
from bot.core.text import clean_message, clean_terminal, read_json, step_name, text_of, valid
from bot.http.errors import message_of
from bot.logs import masked
from bot.providers.base.convert import repository
from bot.providers.base.logs import clean_log
from bot.security.redaction import redact
from bot.security.secret_rules import _AFTER
from commands.core.grammar import clean, parse_target, plain, split
from tests.bot.http.wire import reply

SEARCHING = {"search", "sub", "subn", "finditer", "findall", "split"}
ANCHORED = {"match", "fullmatch"}
LARGE = 2_000
SLOWEST_RATIO = 9.0
"""Four times the input may cost four times as much; nine is far from the sixteen of a square, and from noise."""
WORTH_A_LOOK_SECONDS = 0.002
ATTACKS = (
    "a", "A", "0", " ", "\t", "\n", "-", "_", ".", "/", "@", ":", "=", "?", "#", '"', "'", "`", "<", ">", "&", "*", "\\",
    "[", "]", "(", "\x1b", "\x1b[", "\x1b]", "\x1bP", "\x9b", "\b", "\r", "a ", "a:", "a@", "a.", "a/", "a-", "a\n", "<a",
    "<a ", "<@U1|a", "eyJ-", "eyJ-eyJ-", "https://", "https://a:b@", "token=", 'token="', "-----BEGIN PRIVATE KEY-----",
    "&lt;", "::", "##[", "\x1bPa\n", "\x90a\n", "\ud83d", "é", "“", "‘a", "„",
)  # fmt: skip


def modules() -> Iterator[ModuleType]:
    for package in (bot, commands):
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if ".migrations" not in found.name and not found.name.endswith("__main__"):
                yield importlib.import_module(found.name)


def patterns_in(value: Any, name: str, depth: int = 4) -> Iterator[tuple[str, re.Pattern[Any]]]:
    if isinstance(value, re.Pattern):
        yield name, value
    elif depth and isinstance(value, Mapping):
        for each in value.values():
            yield from patterns_in(each, "", depth - 1)
    elif depth and isinstance(value, tuple | list | set | frozenset):
        for each in value:
            yield from patterns_in(each, "", depth - 1)
    elif isinstance(value, type) and depth > 2 and value.__module__.partition(".")[0] in {"bot", "commands"}:
        for attribute, each in vars(value).items():
            yield from patterns_in(each, attribute, depth - 1)


def sources() -> Iterator[tuple[Path, ast.Module]]:
    for package in (bot, commands):
        for path in Path(package.__path__[0]).rglob("*.py"):
            yield path, ast.parse(path.read_text("utf-8"))


HELD_FOR_A_PLACE = {"_AFTER"}
"""Tables whose patterns are tried at one place of a text; the texts for `redact` below repeat their beginnings."""


@cache
def uses() -> dict[tuple[str, str], set[str]]:
    """How each pattern is used, by its module (none: by other modules) and the name that holds it."""
    found: dict[tuple[str, str], set[str]] = {}
    for path, tree in sources():
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and node.attr in SEARCHING | ANCHORED:
                holder = node.value
                name = (
                    holder.id
                    if isinstance(holder, ast.Name)
                    else holder.attr
                    if isinstance(holder, ast.Attribute)
                    else ""
                )
                found.setdefault(("" if name[:1] != "_" else str(path), name), set()).add(node.attr)
    return found


def inline() -> Iterator[tuple[str, re.Pattern[Any], set[str]]]:
    """The patterns written where they are used."""
    for path, tree in sources():
        for node in ast.walk(tree):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
                continue
            owner = node.func.value
            if (
                isinstance(owner, ast.Name)
                and owner.id == "re"
                and node.func.attr in SEARCHING | ANCHORED
                and node.args
            ):
                written = node.args[0]
                where = f"{path.name}:{node.lineno}"
                assert isinstance(written, ast.Constant), f"{where}: a pattern made while running can't be checked"
                yield where, re.compile(written.value), {node.func.attr}


@cache
def all_patterns() -> dict[str, tuple[re.Pattern[Any], frozenset[str]]]:
    found: dict[str, tuple[re.Pattern[Any], frozenset[str]]] = {}
    for module in modules():
        for name, value in vars(module).items():
            for held, pattern in patterns_in(value, name):
                methods = uses().get(("" if held[:1] != "_" else str(module.__file__), held)) or SEARCHING | ANCHORED
                methods = {"match"} if name in HELD_FOR_A_PLACE else set(methods)
                key = f"{module.__name__}.{held or name}: {pattern.pattern[:40]!r}"
                found.setdefault(repr(pattern.pattern) + key, (pattern, frozenset(methods)))
    for where, pattern, used in inline():
        found.setdefault(repr(pattern.pattern) + where, (pattern, frozenset(used)))
    distinct: dict[tuple[Any, int, bool], tuple[str, re.Pattern[Any], frozenset[str]]] = {}
    for key, (pattern, ways) in found.items():
        distinct.setdefault((pattern.pattern, pattern.flags, bool(ways & SEARCHING)), (key, pattern, ways))
    return {key: (pattern, ways) for key, pattern, ways in distinct.values()}


# texts made for a pattern


def example(tree: Any) -> str:
    """A text that a parsed pattern (roughly) matches."""
    return "".join(sample(code_, argument) for code_, argument in tree)


def sample(code_: Any, argument: Any) -> str:
    match code_:
        case codes.LITERAL:
            return chr(argument)
        case codes.NOT_LITERAL:
            return "a" if argument != ord("a") else "b"
        case codes.ANY:
            return "a"
        case codes.IN:
            return member(argument)
        case codes.BRANCH:
            return example(argument[1][0])
        case codes.SUBPATTERN:
            return example(argument[3])
        case codes.ATOMIC_GROUP:
            return example(argument)
        case codes.MAX_REPEAT | codes.MIN_REPEAT | codes.POSSESSIVE_REPEAT:
            return example(argument[2]) * max(int(argument[0]), 1)
        case _:
            return ""


CATEGORIES = {
    codes.CATEGORY_DIGIT: "1",
    codes.CATEGORY_SPACE: " ",
    codes.CATEGORY_WORD: "a",
    codes.CATEGORY_NOT_DIGIT: "a",
    codes.CATEGORY_NOT_SPACE: "a",
    codes.CATEGORY_NOT_WORD: "-",
}


def member(items: list[tuple[Any, Any]]) -> str:
    if items[0][0] is codes.NEGATE:
        refused = {chr(value) for kind, value in items[1:] if kind is codes.LITERAL}
        return next(char for char in "aA1-. " if char not in refused)
    kind, value = items[0]
    if kind is codes.LITERAL:
        return chr(value)
    return chr(value[0]) if kind is codes.RANGE else str(CATEGORIES[value])


def pumped(tree: Any, before: str = "") -> Iterator[tuple[str, str]]:
    """For each repetition in a pattern: what leads to it, and what it repeats."""
    for code_, argument in tree:
        if code_ in {codes.MAX_REPEAT, codes.MIN_REPEAT, codes.POSSESSIVE_REPEAT}:
            yield before, example(argument[2])
            yield from pumped(argument[2], before)
        elif code_ is codes.SUBPATTERN:
            yield from pumped(argument[3], before)
        elif code_ is codes.ATOMIC_GROUP:
            yield from pumped(argument, before)
        elif code_ is codes.BRANCH:
            for branch in argument[1]:
                yield from pumped(branch, before)
        before += sample(code_, argument)


def seeds(pattern: re.Pattern[Any]) -> list[tuple[str, str]]:
    """What to repeat, after what: (before, repeated)."""
    tree = parser.parse(pattern.pattern, pattern.flags & ~re.DEBUG)
    whole = example(tree)[:400]
    cuts = {whole[: max(len(whole) * part // 8, 1)] for part in range(1, 8)} if whole else set()
    pumps = [(before[:400], body[:100]) for before, body in pumped(tree) if body][:12]
    made = [
        ("", whole),
        ("", whole[:-1]),
        *(("", cut) for cut in cuts),
        *pumps,
        *(("", before + body) for before, body in pumps),
    ]
    made += [("", attack) for attack in ATTACKS]
    return [pair for pair in dict.fromkeys(made) if pair[1]]


def seconds(work: Callable[[], object], tries: int) -> float:
    """The least CPU time of several tries: what else runs on the machine does not count."""
    times = []
    for _ in range(tries):
        began = time.thread_time()
        work()
        times.append(time.thread_time() - began)
    return min(times)


def grows_too_fast(run: Callable[[Any], object], made: Callable[[int], Any]) -> bool:
    """Whether the cost of `run` grows faster than its input; a cube is told at a size where it does not hang."""
    for size in (LARGE // 64, LARGE // 32, LARGE // 16, LARGE // 8, LARGE // 4, LARGE // 2, LARGE):
        text = made(size)
        if seconds(lambda text=text: run(text), 1) > WORTH_A_LOOK_SECONDS:  # type: ignore[misc]
            break
    else:
        return False
    small, large = made(size), made(4 * size)
    for tries, enough in ((1, SLOWEST_RATIO / 2), (3, SLOWEST_RATIO / 2), (5, SLOWEST_RATIO)):
        ratio = seconds(lambda: run(large), tries) / max(seconds(lambda: run(small), tries), 1e-6)
        if ratio < enough:  # few tries are trusted only where they are far from a square: a busy machine stretches any
            return False
    return True


def runners(pattern: re.Pattern[Any], methods: frozenset[str]) -> list[Callable[[Any], object]]:
    nothing = b"" if isinstance(pattern.pattern, bytes) else ""
    ways: list[Callable[[Any], object]] = []
    if methods & SEARCHING:
        ways.append(lambda text: pattern.sub(nothing, text))
    if methods & ANCHORED:
        ways.append(pattern.fullmatch if "fullmatch" in methods else pattern.match)
    return ways


@pytest.mark.parametrize("part", range(8))
def test_no_pattern_costs_more_than_its_input_is_long(part: int) -> None:
    slow: list[str] = []
    for key, (pattern, methods) in sorted(all_patterns().items())[part::8]:
        is_bytes = isinstance(pattern.pattern, bytes)
        for before, body in seeds(pattern):
            for run in runners(pattern, methods):

                def made(size: int, before: str = before, body: str = body, *, is_bytes: bool = is_bytes) -> Any:
                    text = before + body * (size // len(body) + 1)
                    return text.encode("latin-1", "replace") if is_bytes else text

                if grows_too_fast(run, made):
                    slow.append(f"{key}: {before!r} + {body!r} * n")
                    break
    assert not slow, "\n".join(slow)


def test_the_patterns_are_really_found() -> None:
    assert len(all_patterns()) > 120


def test_squares_and_cubes_would_be_noticed() -> None:
    square = re.compile(r"a*b")
    assert grows_too_fast(square.search, lambda size: "a" * size)
    cube = re.compile(r"a*a*b")
    assert grows_too_fast(cube.search, lambda size: "a" * size)


def quietly(work: Callable[[str], object]) -> Callable[[str], object]:
    def run(text: str) -> object:
        try:
            return work(text)
        except (ValueError, Exception):  # noqa: BLE001 - what is refused in time is fine
            return None

    return run


READERS: dict[str, Callable[[str], object]] = {
    "redact": redact,
    "clean_terminal": clean_terminal,
    "clean_log": clean_log,
    "valid": valid,
    "text_of": lambda text: text_of(text.encode("utf-8", "surrogatepass")),
    "read_json": quietly(lambda text: read_json(b'["' + text.encode("utf-8", "surrogatepass") + b'"]', object)),
    "message_of": lambda text: message_of(reply(400, text.encode("utf-8", "surrogatepass"))),
    "log line": masked,
    "escape": escape,
    "safe": safe,
    "one_line": one_line,
    "code": code,
    "markup": markup,
    "harmless": harmless,
    "link": lambda text: link("https://x.example", text),
    "preformatted": preformatted,
    "terminal": mrkdwn,
    "step_name": step_name,
    "clean_message": clean_message,
    "repository": repository,
    "typed": quietly(lambda text: split(clean(text))),
    "target": quietly(parse_target),
    "mention": quietly(plain),
}


@pytest.fixture(autouse=True)
def nothing_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Clean each text anew: a remembered one costs nothing at its second try."""
    monkeypatch.setattr("bot.blocks.text.REMEMBERED_CHARACTERS", -1)


@pytest.mark.parametrize("name", READERS)
def test_a_megabyte_of_anything_is_read_in_time_that_grows_with_it(name: str) -> None:
    read = READERS[name]
    begins = _AFTER if name == "redact" else ()
    slow = [
        attack
        for attack in (*ATTACKS, *begins)
        if grows_too_fast(read, lambda size, attack=attack: attack * (size // len(attack) + 1))  # type: ignore[misc]
    ]
    assert not slow


def test_a_failing_test_with_a_megabyte_for_a_message_is_drawn_at_once() -> None:
    began = time.thread_time()
    for attack in ("eyJ-eyJ-", "https://", "\x1b]", "token=", "a@"):
        text = attack * (1_000_000 // len(attack))
        safe(redact(clean_message(text)), 200)
    assert time.thread_time() - began < 5
