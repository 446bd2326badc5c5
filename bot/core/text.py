"""Text from outside: made valid, cut to a size, cleaned of terminal control, and names compared.

Commit messages, names, test messages and logs are written by anybody who can push. Every function here reads its
input once (patterns without backtracking), whatever the input is. Pure; imports nothing of ours.
"""

import json
import re
import unicodedata
from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import Any, Final, TypeVar

import msgspec

T = TypeVar("T")

NAME_CHARACTERS: Final = 1_000
"""A pipeline's, job's, test's or person's name is cut to this."""
MESSAGE_CHARACTERS: Final = 16_000
"""A commit message, a test's message, an issue or a reason is cut to this before anything reads it."""
LOG_CHARACTERS: Final = 2_000_000
"""The end of a log, before it is cleaned; what stands further up is left out."""
ERROR_BODY_CHARACTERS: Final = 64_000
"""The part of a refusal's body that is searched for words."""

REPLACEMENT: Final = "\N{REPLACEMENT CHARACTER}"

# valid text

_INVALID = re.compile("[\ud800-\udfff\x00]")


def valid(text: str) -> str:
    """Return text that any database, encoder and client takes: half characters become U+FFFD, NUL is left out.

    Two halves that stand side by side become the character they spell.
    """
    if text.isascii():
        return text.replace("\x00", "") if "\x00" in text else text
    if _INVALID.search(text) is None:
        return text
    joined = text.replace("\x00", "").encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return joined.encode("utf-8", "replace").decode("utf-8")


def text_of(data: bytes) -> str:
    """Return bytes as text: UTF-8 where they are, else 8-bit terminal controls kept and other odd bytes replaced.

    An 8-bit control (0x80-0x9F) that is no part of a UTF-8 sequence becomes the control character of that number, so
    that `clean_terminal` sees it.
    """
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return _STRAY.sub(_stray, data.decode("utf-8", "surrogateescape"))


_STRAY = re.compile("[\udc80-\udcff]")


def _stray(match: re.Match[str]) -> str:
    byte = ord(match[0]) - 0xDC00
    return chr(byte) if byte < 0xA0 else REPLACEMENT


# JSON

_ESCAPE = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|u[dD][89a-fA-F][0-9a-fA-F]{2}|u0000|.)", re.DOTALL
)
_HALF = re.compile(rb"\\u[dD][89a-fA-F]..")


def repaired_json(content: bytes) -> bytes:
    r"""Return JSON whose texts are valid: lone halves (`\ud83d`) and bad UTF-8 become U+FFFD, NUL is left out."""
    whole = content.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "replace").encode()
    return _ESCAPE.sub(_sound, whole).replace(b"\x00", b"")


def _sound(match: re.Match[bytes]) -> bytes:
    escape = match[0]
    if escape == rb"\u0000":
        return b""
    return rb"\ufffd" if len(escape) == 6 and _HALF.match(escape) else escape


def read_json(content: bytes | msgspec.Raw, kind: type[T]) -> T:
    r"""Decode JSON as `kind`; a text in it that is not valid Unicode is repaired instead of refused.

    Sound input pays nothing for it: the repair runs after a refusal, or where a `\u0000` stands.
    Raises msgspec.DecodeError or msgspec.ValidationError (its subclass) for what is no JSON or has another shape.
    """
    data = bytes(content)
    if rb"\u0000" in data:
        data = repaired_json(data)
    try:
        return msgspec.json.decode(data, type=kind)
    except msgspec.ValidationError:
        raise
    except (msgspec.DecodeError, UnicodeDecodeError):
        return msgspec.json.decode(_reread(data), type=kind)


def _reread(data: bytes) -> bytes:
    """Return JSON in a strict form: repaired, and with raw control characters inside texts, which some systems send."""
    repaired = repaired_json(data)
    try:
        msgspec.json.decode(repaired)
    except msgspec.DecodeError:
        try:
            return msgspec.json.encode(valid_tree(json.loads(repaired, strict=False)))
        except (ValueError, RecursionError, OverflowError):
            return repaired
    return repaired


def valid_tree(value: Any) -> Any:
    """Return decoded JSON with every text in it made valid."""
    if isinstance(value, str):
        return valid(value)
    if isinstance(value, list):
        return [valid_tree(item) for item in value]
    if isinstance(value, dict):
        return {valid(name): valid_tree(item) for name, item in value.items()}
    return value


# terminal output

# Each alternative always matches once it has begun, and gives nothing back: a sequence that never ends costs its
# length, not its square. A string (OSC, DCS, SOS, PM, APC) without terminator ends with its line.
_TERMINAL = re.compile(
    r"(?:\x1b[PX^_]|[\x90\x98\x9e\x9f])"
    r"(?:[^\x1b\x07\x18\x1a\x90\x98\x9b-\x9f]*+(?:\x1b\\|[\x9c\x07\x18\x1a])|[^\x1b\x07\x18\x1a\x90\x98\x9b-\x9f\n]*+)"
    r"|(?:\x1b\]|\x9d)[^\x1b\x07\x9c\x18\x1a\n]*+(?:\x1b\\|[\x07\x9c\x18\x1a])?+"
    r"|(?:\x1b\[|\x9b)[0-?]*+[ -/]*+[@-~]?+"
    r"|\x1b[ -/]++[0-~]?+"
    r"|\x1b[0-~]?+"
)
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_SUSPECT = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u241b\ud800-\udfff]|\[[0-9;]{0,20}m|\\(?:x1[bB]|u001[bB]|033|e)\[")
# What is left of colours where a report's writer dropped or spelled out the escape character.
_SPELLED = re.compile(r"(?:\u241b|\ufffd|\\x1[bB]|\\u001[bB]|\\033|\\e|&#(?:27|x1[bB]);)\[[0-9;]{0,20}[mK]")
_BARE_COLOUR = re.compile(
    r"\[(?:0|[1-47](?=[;m][^\s\]])|[34][0-9]|9[0-7]|10[0-7]|2[1-9])?(?:;[0-9]{1,3}){0,5}m(?<!\[m)|\[m(?![\w-])"
)
_BARE_RESET = re.compile(r"\[(?:0|39|49|22|23|24|27|0;0|39;49)m|\[m(?![\w-])")


def clean_terminal(text: str) -> str:
    """Return what a reader would have seen at the end: no escape sequences, controls or overwritten states of a line.

    A carriage return and backspaces move back; what is written after them replaces the rest of the line. Lines end
    with a line feed, tabs stay.
    """
    if _SUSPECT.search(text) is None:
        return text
    text = _TERMINAL.sub("", valid(text))
    if "[" in text:
        text = _without_spelled_colours(text)
    if "\r" in text or "\b" in text:
        text = "\n".join(map(_last_state, text.split("\n")))
    return _CONTROL.sub("", text)


def _without_spelled_colours(text: str) -> str:
    text = _SPELLED.sub("", text)
    # Brackets alone are colours only where one of them ends a colour: `[5m 3s]` is a duration.
    return _BARE_COLOUR.sub("", text) if _BARE_RESET.search(text) else text


def _last_state(line: str) -> str:
    if "\b" not in line:
        shown = line.rstrip("\r")
        return shown.rsplit("\r", 1)[-1]
    cells: list[str] = []
    at = 0
    for char in line:
        if char == "\r":
            at = 0
        elif char == "\b":
            at = max(at - 1, 0)
        elif char >= " " or char == "\t":
            del cells[at:]
            cells.append(char)
            at += 1
    return "".join(cells)


def clean_message(text: str, limit: int = MESSAGE_CHARACTERS) -> str:
    """Return a message from outside (commit, test, issue, reason): cut to `limit` characters first, then cleaned."""
    return clean_terminal(text[:limit])


def clean_name(text: str) -> str:
    """Return a name from outside, cut and cleaned; its lines stay as they are."""
    return clean_terminal(text[:NAME_CHARACTERS])


# emoji short codes in step names

_SHORT_CODES = re.compile(r"(?<!\S)(?::[a-z0-9_+-]{1,40}:)++(?!\S)")
_SHORT_CODE = re.compile(r":([a-z0-9_+-]{1,40}):")
_DRAWN: Final = {
    "rocket": "🚀",
    "white_check_mark": "✅",
    "heavy_check_mark": "✔",
    "x": "❌",
    "warning": "⚠",
    "fire": "🔥",
    "bug": "🐛",
    "lock": "🔒",
    "key": "🔑",
    "package": "📦",
    "hammer": "🔨",
    "wrench": "🔧",
    "hammer_and_wrench": "🛠",
    "gear": "⚙",
    "mag": "🔍",
    "eyes": "👀",
    "tada": "🎉",
    "sparkles": "✨",
    "broom": "🧹",
    "whale": "🐳",
    "test_tube": "🧪",
    "microscope": "🔬",
    "memo": "📝",
    "book": "📖",
    "books": "📚",
    "apple": "🍎",
    "penguin": "🐧",
    "globe_with_meridians": "🌐",
    "cloud": "☁",
    "shield": "🛡",
    "stopwatch": "⏱",
    "zap": "⚡",
    "art": "🎨",
    "raised_hand": "✋",
    "hand": "✋",
    "ship": "🚢",
    "shipit": "",
    "construction": "🚧",
    "recycle": "♻",
    "arrow_up": "⬆",
    "robot_face": "🤖",
    "bell": "🔔",
}


def without_short_codes(name: str) -> str:
    """Return a step's name with emoji short codes drawn where Unicode has them, left out else (`:jest: Unit tests`).

    A code stands alone between spaces, so `std::vector`, `a:b:c` and `12:30:45` stay. A name of codes alone keeps
    their words: `:docker:` is `docker`.
    """
    if name.count(":") < 2:
        return name
    shown = " ".join(_SHORT_CODES.sub(_drawn, name).split())
    return shown or " ".join(name.replace(":", " ").split()) or name


def _drawn(codes: re.Match[str]) -> str:
    return _SHORT_CODE.sub(lambda code: code[0] if code[1].isdigit() else _DRAWN.get(code[1], ""), codes[0])


def step_name(name: str) -> str:
    """Return the name of a step, job or pipeline from outside: cut, cleaned, emoji short codes drawn or left out."""
    return without_short_codes(clean_name(name))


# names that people type


def composed(name: str) -> str:
    """Return a name canonically composed: `u` with a diaeresis behind it is `ü`. Letters keep their case."""
    return name if name.isascii() else unicodedata.normalize("NFC", name)


def folded(name: str) -> str:
    """Return a name's form for comparing: canonically composed and case-folded, so that `STRASSE` fits `straße`."""
    if name.isascii():
        return name.lower()
    return composed(composed(name).casefold())


def repository_key(repository: str) -> str:
    """Return a repository's name as it is compared with another system's name of it."""
    return repository.lower().strip("/").removesuffix(".git")


def same_name(name: str | None, other: str | None) -> bool:
    """Return whether two names are the same to a person. A missing name is like none."""
    if not name or not other:
        return False
    return name == other or folded(name) == folded(other)


def among_names(name: str, names: Iterable[str | None]) -> bool:
    """Return whether a name is one of several, as `same_name` compares them."""
    sought = folded(name)
    return bool(sought) and any(sought == folded(other) for other in names if other)


def holds_name(whole: str | None, part: str) -> bool:
    """Return whether a name holds what somebody typed of it."""
    return bool(whole) and folded(part) in folded(whole or "")


def fits_glob(name: str, glob: str, *, case: bool = False) -> bool:
    """Return whether a name fits a pattern with `*`, `?` and `[…]`; with `case`, letters must be of the same case."""
    if case:
        return fnmatchcase(composed(name), composed(glob))
    return fnmatchcase(folded(name), folded(glob))
