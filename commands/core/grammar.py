"""The grammar of what people type: words, flags, parameters, targets.

    [verb] [target] [KEY=VALUE …] [--flags]
    target := [pipeline][@ref][#build] | URL | mine | this

Slack changes text before it reaches us (links, mentions, entities, curly quotes, long dashes); `clean` undoes that.
"""

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Self

from bot.core.errors import UsageError
from bot.core.models import Ref, parse_ref
from commands.core.durations import is_span

_FORM = re.compile(r"<([^<>\s][^<>]*)>")
_MENTION = re.compile(r"^<([@#])([A-Z0-9]+)(?:\|([^>]*))?>")
_SPOKEN_AS = re.compile(r"<(?:[@#][A-Z0-9]+|!subteam\^[A-Z0-9]+|!(?:here|channel|everyone))(?:\|([^<>]*+))?>")
_SLACK_FORM = re.compile(r"(<[@#!][^<>]*>)")
_BROADCAST = re.compile(r"<!(here|channel|everyone)(?:\|[^>]*)?>")
_PARAMETER = re.compile(r"^([A-Za-z_][\w.\-]*)=(.*)$", re.DOTALL)
_BUILD = re.compile(r"#([A-Za-z0-9][\w.+-]*|-\d+)$", re.ASCII)
_NUMBER = re.compile(r"-?\d{1,15}", re.ASCII)
_DIGITS = re.compile(r"-?\d+", re.ASCII)
_BUILD_WORDS = frozenset({"last", "running", "failed", "green"})
_LONG_DASH = re.compile(r"(?<!\S)[—–](?=[A-Za-z]|\s+[A-Za-z_][\w.\-]*=)")
_OPENED = {
    "“": "”",
    "”": "”",
    "„": "“”",
    "‟": "”",
    "«": "»",
    "»": "«»",
    "‘": "’",
    "‚": "‘’",
    "‛": "’",
}
"""Typographic marks that open a quotation, and what closes it in the languages that use them."""
_ENDS_OF_VALUES = frozenset(",;)]")
_MAY_OPEN_AFTER = frozenset("=:@,")
_SPACES = re.compile(r"[\u00a0\u2000-\u200a\u202f\u205f\u3000]")
_EDGES = "\u200b\u200e\u200f\u2060\ufeff"
"""Characters that nobody sees and that phones and copied text leave at the edges of words."""
_UNSEEN_EDGE = re.compile(rf"(?<!\S)[{_EDGES}]++|[{_EDGES}]++(?!\S)")
_UNSEEN_INSIDE = re.compile(rf"[{_EDGES}]++(?=[@#:]|\Z)|(?<=[@#:])[{_EDGES}]++")
_VALUE = re.compile(r"(?<!\S)[A-Za-z_][\w.\-]*=\S*+")
NO_ALIASES: Mapping[str, str] = {}
_PIECE = re.compile(r"""\s+|(?:[^\s"'\\]|\\.|"(?:[^"\\]|\\.)*"|'[^']*'|["'\\])+""", re.DOTALL)
"""The spaces of a line, and its words with their quotations whole."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What a command is about, as typed; every part may be missing.

    `build` is a number, a label (a number that is a text, as `20260815.3`), `last`, `running`, `failed`, `green` or
    `-N`; `id` a vendor's build id (buttons of builds without a number carry it). `scope` is `mine`, `this` or `all`.
    `attempt` is the attempt that a button was shown for. `rest` are the words beside the target (flags, parameters), as
    one would type them: a question which target is meant repeats them in its choices.
    """

    pipeline: str | None = None
    ref: Ref | None = None
    build: str | None = None
    id: str | None = None
    url: str | None = None
    scope: str | None = None
    attempt: int | None = None
    rest: str = field(default="", compare=False)

    @property
    def names_build(self) -> bool:
        """Whether one build was named: by number, label, word, id or address."""
        return self.build is not None or self.id is not None or self.url is not None

    @property
    def empty(self) -> bool:
        """Whether nothing was named."""
        return not any((self.pipeline, self.ref, self.build, self.id, self.url, self.scope))

    def of_pipeline(self, verb: str, *, takes_ref: bool = False) -> Self:
        """Return the target of a verb that is about pipelines. Raises UsageError where it names a build or a ref, too.

        A page's address names the pipeline that the page belongs to.
        """
        if self.build is not None or self.id is not None:
            raise UsageError(
                f"`{verb}` is about a pipeline, not about one build.", hint=f"Leave out `#{self.build or self.id}`."
            )
        if self.ref is not None and not takes_ref:
            raise UsageError(f"`{verb}` is about a pipeline, not about one ref.", hint=f"Leave out `@{self.ref}`.")
        return self


@dataclass(frozen=True, slots=True, kw_only=True)
class ParsedArgs:
    """What stood after a verb: plain words, KEY=VALUE parameters, and flags with their values."""

    words: tuple[str, ...] = ()
    parameters: Mapping[str, str] = field(default_factory=dict)
    flags: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def has(self, name: str) -> bool:
        """Return whether a flag was given."""
        return name in self.flags

    def flag(self, name: str) -> str | None:
        """Return a flag's last value."""
        values = self.flags.get(name)
        return values[-1] if values else None

    def number(self, name: str, *, default: int, most: int) -> int:
        """Return a flag's value as a number from 1 to `most`."""
        value = self.flag(name)
        if value is None:
            return default
        if not _NUMBER.fullmatch(value) or not 1 <= int(value) <= most:
            raise UsageError(f"`--{name}` takes a number from 1 to {most}, not `{value}`.")
        return int(value)

    def target(self, position: int = 0) -> Target:
        """Return the target among the plain words; the long flags replace its parts."""
        word = self.words[position] if len(self.words) > position else ""
        if word and not word.strip():
            raise UsageError("A name that is only spaces names nothing.")
        typed = parse_target(word.strip()) if word else Target()
        ref, build = self.flag("ref"), self.flag("build")
        attempt = self.flag("attempt")
        if build is not None and not (_BUILD.fullmatch(f"#{build}") and _is_build(build) and _fits(build)):
            raise UsageError(
                f"`--build` takes a number, a label, `last`, `running`, `failed`, `green` or `-N`, not `{build}`."
            )
        return Target(
            pipeline=self.flag("pipeline") or typed.pipeline,
            ref=parse_ref(ref) if ref else typed.ref,
            build=_as_build(build) if build else typed.build,
            id=self.flag("id"),
            url=typed.url,
            scope=typed.scope,
            attempt=int(attempt) if attempt is not None and attempt.isdigit() else None,
            rest=self._beside_target(position),
        )

    def _beside_target(self, position: int) -> str:
        """Return the words that are no part of the target, but for the confirmation of an act."""
        words = [shlex.quote(word) for word in self.words[position + 1 :]]
        for name, values in self.flags.items():
            if name == "yes" or name in TARGET_FLAGS:
                continue
            head = "-n " if name == "n" else f"--{name}="
            words += [f"{head}{shlex.quote(value)}" for value in values] or [f"--{name}"]
        pairs = {f"{name}={value}": bool(_PARAMETER.match(f"{name}=")) for name, value in self.parameters.items()}
        words += [shlex.quote(pair) for pair, is_plain in pairs.items() if is_plain]
        odd = [shlex.quote(pair) for pair, is_plain in pairs.items() if not is_plain]
        return " ".join([*words, *(["--", *odd] if odd else [])])

    def only_target(self, usage: str, *, position: int = 0) -> Target:
        """Return the target, which must be the last plain word. Raises UsageError for a word after it."""
        if len(self.words) > position + 1:
            raise unexpected(self.words[position + 1], self.words[position], usage)
        return self.target(position)

    @property
    def public(self) -> bool:
        """Whether the answer is for the whole channel."""
        return self.has("public")


SPAN_FLAGS = frozenset({"for", "since"})
TARGET_FLAGS = ("pipeline", "ref", "build", "id", "attempt")


def unexpected(word: str, before: str, usage: str) -> UsageError:
    """Return the error for a word that nothing takes; a number after a name was probably meant as a build."""
    guess = f" Did you mean `{before}#{word}`?" if _NUMBER.fullmatch(word) and before else ""
    return UsageError(f"Unexpected `{word}`.{guess}", usage=usage)


def _is_build(text: str) -> bool:
    """Return whether a text after `#` can name a build: a word of ours, a number, or a label, which has a figure in it."""
    if text.lower() in _BUILD_WORDS or _DIGITS.fullmatch(text):
        return True
    return any(char.isdigit() for char in text)


def _fits(build: str) -> bool:
    """Return whether a build's number has at most 15 figures; a label always fits."""
    return bool(_NUMBER.fullmatch(build)) or not _DIGITS.fullmatch(build)


def _as_build(text: str) -> str:
    """Return a build as targets hold it: words of ours in lower case, labels as typed."""
    return text.lower() if text.lower() in _BUILD_WORDS else text


def clean(text: str) -> str:
    """Return what the person typed, before Slack and their phone changed it.

    Links become their address, auto-linked names the name; mentions stay as `<@U1|name>`; entities are undone once.
    Only syntax is made plain: typographic quotes that delimit a value become straight ones, a long dash before a flag
    two dashes, odd spaces between words a space; invisible characters at the edges of words are left out. Values stay
    as typed: what stands in quotes, and what follows the `=` of a parameter.
    """
    text = _FORM.sub(_typed, text)
    kept = _SLACK_FORM.split(text)
    text = "".join(
        part if index % 2 else part.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
        for index, part in enumerate(kept)
    )
    return "".join(_plain_syntax(text)).strip()


def _plain_syntax(text: str) -> Iterator[str]:
    """Yield a line in pieces: quoted values as typed between straight quotes, and what is between them made plain."""
    closers = _Closers(text)
    start = at = 0
    may_open = True
    while at < len(text):
        char = text[at]
        end = closers.end(at, char) if may_open and (char in "\"'" or char in _OPENED) else None
        if end is not None:
            yield _plain_words(text[start:at])
            yield _requoted(text[at : end + 1])
            start = at = end + 1
            may_open = True
            continue
        if char == "\\":
            at += 1
            may_open = False
        else:
            may_open = char.isspace() or char in _MAY_OPEN_AFTER or char in _EDGES
        at += 1
    yield _plain_words(text[start:])


class _Closers:
    """Where quotations of a line end, each kind of mark looked for once: a line of opening marks costs its length."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._nowhere: set[str] = set()

    def end(self, at: int, opening: str) -> int | None:
        """Return where the closing mark stands for the one at `at`, None where there is none (it is a letter then)."""
        if opening in self._nowhere:
            return None
        end = self._straight(at, opening) if opening in "\"'" else self._typographic(at, opening)
        if end is None:
            self._nowhere.add(opening)
        return end

    def _straight(self, at: int, opening: str) -> int | None:
        text = self._text
        start = at
        at += 1
        while at < len(text):
            if text[at] == "\\" and opening == '"':
                at += 1
            elif text[at] == opening:
                return at
            at += 1
        last = text.rfind("”") if opening == '"' else -1
        return last if last > start and self._ends_a_value(last) else None

    def _typographic(self, at: int, opening: str) -> int | None:
        closing = _OPENED[opening]
        text = self._text
        depth = 1
        for place in range(at + 1, len(text)):
            char = text[place]
            if char in closing and (closing != "’" or self._ends_a_value(place)):
                depth -= 1
                if depth == 0:
                    return place
            elif char == opening:
                depth += 1
        # Some keyboards close with the opening mark, or with a straight one.
        ends = opening + closing + ('"' if closing != "’" else "")
        last = max(text.rfind(mark, at + 1) for mark in ends)
        return last if last > at and self._ends_a_value(last) else None

    def _ends_a_value(self, place: int) -> bool:
        after = self._text[place + 1 : place + 2]
        return not after or after.isspace() or after in _ENDS_OF_VALUES or after in _EDGES


def _requoted(quotation: str) -> str:
    """Return a quotation between straight quotes, its inside as typed."""
    opening, inside = quotation[0], quotation[1:-1]
    if opening in "\"'" and quotation[-1] == opening:
        return quotation
    if _OPENED[opening] == "’" and "'" not in inside:
        return f"'{inside}'"
    return '"' + inside.replace('"', '\\"') + '"'


def _plain_words(text: str) -> str:
    """Return what stands between quotations with plain spaces, dashes and edges; a parameter's value stays as typed."""
    text = _SPACES.sub(" ", text)
    parts: list[str] = []
    at = 0
    for value in _VALUE.finditer(text):
        parts += [_plain_word(text[at : value.start()]), value[0]]
        at = value.end()
    whole = "".join([*parts, _plain_word(text[at:])])
    return _LONG_DASH.sub("--", whole)


def _plain_word(text: str) -> str:
    return _UNSEEN_INSIDE.sub("", _UNSEEN_EDGE.sub("", text))


def _typed(form: re.Match[str]) -> str:
    inside, _, label = form[1].partition("|")
    if inside.startswith(("@", "#")):
        return f"<{inside}|{label.replace(' ', '_')}>" if label else f"<{inside}>"
    if inside.startswith("!"):
        return form[0].replace(" ", "_")
    if inside.startswith(("mailto:", "tel:")):
        return label or inside.partition(":")[2]
    if label and inside.removeprefix("https://").removeprefix("http://").rstrip("/") == label.rstrip("/"):
        return label if not label.startswith("http") else inside
    return inside


def plain(word: str) -> str:
    """Return a word with mentions turned back into the text they were made from.

    Raises UsageError where Slack dropped that text.
    """
    return _SPOKEN_AS.sub(_spoken, word)


def _spoken(form: re.Match[str]) -> str:
    broadcast = _BROADCAST.fullmatch(form[0])
    label = broadcast[1] if broadcast else form[1]
    if not label:
        raise UsageError(
            "Slack turned a part of that into a mention, and I can't see what you typed.",
            hint="Write it in the long form: `--pipeline NAME --ref NAME --build N`.",
        )
    return ("#" if form[0].startswith("<#") else "@") + label.removeprefix("@")


def mentioned_user(word: str) -> str | None:
    """Return the user id of a mention."""
    form = _MENTION.match(word)
    return form[2] if form and form[1] == "@" else None


def mentioned_channel(word: str) -> str | None:
    """Return the channel id of a channel link."""
    form = _MENTION.match(word)
    return form[2] if form and form[1] == "#" else None


def mentioned_group(word: str) -> str | None:
    """Return the id of a user group's mention."""
    form = re.match(r"^<!subteam\^([A-Z0-9]+)", word)
    return form[1] if form else None


def split(text: str) -> list[str]:
    """Return the words of a line, quoted as in a shell; a quote inside a word (`don't`) is a letter.

    Within double quotes a backslash speaks only before a quote or another one, so a pattern arrives as typed.
    Raises UsageError where a quote is not closed.
    """
    words: list[str] = []
    word: list[str] | None = None
    quote = ""
    escaped = False
    may_open = True
    for char in text:
        if word is None:
            if char.isspace():
                continue
            word = []
        opens, may_open = may_open, False
        if escaped:
            if quote and char not in '"\\':
                word.append("\\")
            word.append(char)
            escaped = False
        elif char == "\\" and quote != "'":
            escaped = True
        elif char == quote:
            quote, may_open = "", True
        elif quote:
            word.append(char)
        elif char in "\"'" and opens:
            quote = char
        elif char.isspace():
            words.append("".join(word))
            word, may_open = None, True
        else:
            word.append(char)
            may_open = char in "=:@,"
    if quote:
        raise UsageError(f"A quote ({quote}) is not closed.")
    if word is not None:
        words.append("".join(word))
    return words


def read(
    text: str,
    *,
    values: Sequence[str] = (),
    switches: Sequence[str] = (),
    parameters: bool = False,
    aliases: Mapping[str, str] = NO_ALIASES,
) -> ParsedArgs:
    """Return the words of a command, its flags (`values` take one, `switches` none) and, if wanted, its parameters.

    `aliases` are other names of flags.
    """
    value_flags = (*TARGET_FLAGS, *values)
    plain_words: list[str] = []
    pairs: dict[str, str] = {}
    flags: dict[str, tuple[str, ...]] = {}
    words = split(text)
    position = 0
    only_parameters = False
    while position < len(words):
        word = words[position]
        position += 1
        if word == "--" and not only_parameters:
            only_parameters = True
            continue
        if only_parameters:
            name, equals, value = word.partition("=")
            if not name or not equals or not parameters:
                raise UsageError(f"After `--` I expect KEY=VALUE, not `{word}`.")
            pairs[name] = value
        elif word.startswith("--") or word == "-n":
            name, equals, value = ("n", "", "") if word == "-n" else word[2:].partition("=")
            name = _flag(aliases.get(name.lower(), name.lower()), value_flags, switches)
            if name in switches:
                if equals:
                    raise UsageError(f"`--{name}` takes no value.")
                flags[name] = ()
                continue
            if not equals:
                if position >= len(words) or words[position].startswith("--"):
                    raise UsageError(f"`--{name}` needs a value.", hint=f"One that begins with dashes: `--{name}=…`.")
                value = words[position]
                position += 1
                if name in SPAN_FLAGS and not is_span([value]) and is_span([value, *words[position : position + 1]]):
                    value = f"{value} {words[position]}"  # `--for 2 hours`
                    position += 1
            flags[name] = (*flags.get(name, ()), value)
        elif parameters and not word.startswith(("http://", "https://")) and (pair := _PARAMETER.match(word)):
            pairs[pair[1]] = pair[2]
        else:
            plain_words.append(word)
    return ParsedArgs(words=tuple(plain_words), parameters=pairs, flags=flags)


def without_switch(text: str, name: str) -> tuple[str, bool]:
    """Return a line without the switch `--name`, and whether it stood there: as a word, unquoted, before a bare `--`."""
    words, dashes, after = _before_parameters(text)
    kept = [part for part in words if part.lower() != f"--{name}"]
    return "".join([*kept, dashes, after]).strip(), len(kept) < len(words)


def _before_parameters(text: str) -> tuple[list[str], str, str]:
    """Return the words and the spaces of a line as they stand, a bare `--`, and what follows it."""
    parts = [match[0] for match in _PIECE.finditer(text)]
    end = parts.index("--") if "--" in parts else len(parts)
    return parts[:end], "--" if end < len(parts) else "", "".join(parts[end + 1 :])


def _flag(name: str, values: Sequence[str], switches: Sequence[str]) -> str:
    if name in values or name in switches:
        return name
    near = get_close_matches(name, [*values, *switches], n=1)
    raise UsageError(f"I don't know `--{name}` here." + (f" Did you mean `--{near[0]}`?" if near else ""))


def parse_target(word: str) -> Target:
    """Read `[pipeline][@ref][#build]`, a page's URL, `mine`, `this`, or a build word alone. Raises UsageError."""
    if word.startswith(("http://", "https://")):
        return Target(url=word)
    text = plain(word)
    lowered = text.lower()
    if lowered in {"mine", "this"}:
        return Target(scope=lowered)
    if lowered in _BUILD_WORDS or _NUMBER.fullmatch(text):
        return Target(build=lowered)
    build: str | None = None
    # `web@fix/#12-crash` is a branch: a ref does not end with a slash.
    at = _BUILD.search(text)
    is_in_ref = at is not None and text[: at.start()].endswith("/") and not _NUMBER.fullmatch(at[1])
    if at is not None and _is_build(at[1]) and not is_in_ref:
        build = _as_build(at[1])
        text = text[: at.start()]
        if not _fits(build):
            raise UsageError(f"No build has a number of {len(build)} figures.")
    name, sign, ref = text.partition("@")
    if sign and not ref:
        raise UsageError("A ref is missing after `@`.", hint="Write `nightly@main`, `@tag:v1.4` or `@pr:42`.")
    return Target(pipeline=name or None, ref=parse_ref(ref) if ref else None, build=build)
