"""An answer that cannot be read, in words that a person can act on or pass on."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import msgspec

from bot.core.errors import UnexpectedResponse

UNREADABLE = (msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError, RecursionError)
"""What decoding an answer raises."""

_SKIPPED: ContextVar[list[UnexpectedResponse] | None] = ContextVar("skipped", default=None)
"""Where what does not read is noted while something is counted from lists."""

_FIELD = re.compile(r" - at `(?:key in )?\$([^`]*)`$")
_MISSING = re.compile(r"missing required field `([^`]+)`")
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_OWN_WORDS = frozenset({"wire", "attributes"})


def note_skipped(odd: UnexpectedResponse) -> None:
    """Note that something was left out of a list that may be counted: an item, or the list itself."""
    if (skipped := _SKIPPED.get()) is not None:
        skipped.append(odd)


@contextmanager
def noting_skipped() -> Iterator[list[UnexpectedResponse]]:
    """Collect what `note_skipped` is told, by this task and those it begins."""
    skipped: list[UnexpectedResponse] = []
    token = _SKIPPED.set(skipped)
    try:
        yield skipped
    finally:
        _SKIPPED.reset(token)


def unreadable(vendor: str, error: Exception, what: str = "", *, status: int | None = None) -> UnexpectedResponse:
    """Return the error for an answer with another form than documented: `X's answer could not be read (build, field `state`).`

    `what` is the plain name of the object. Class names and byte offsets go to nobody.
    """
    told = ", ".join(part for part in (what, _trouble(error)) if part)
    return UnexpectedResponse(
        f"{possessive(vendor)} answer could not be read ({told}).", provider=vendor, status=status
    )


def possessive(vendor: str) -> str:
    """Return `GitHub's`, `Jenkins'`."""
    return f"{vendor}'" if vendor.endswith("s") else f"{vendor}'s"


def plain_name(kind: type) -> str:
    """Return what a wire class stands for in words: `PipelineRun` is a pipeline run, `BuildWire` a build."""
    words = [word.lower() for word in _WORD.findall(kind.__name__)]
    return " ".join(word for word in words if word not in _OWN_WORDS) or "object"


def _trouble(error: Exception) -> str:
    if not isinstance(error, msgspec.ValidationError):
        return "nested too deeply" if isinstance(error, RecursionError) else "it is not valid JSON"
    said = str(error)
    at = _FIELD.search(said)
    missing = _MISSING.search(said)
    path = ".".join(part for part in re.split(r"[.\[\]]+", at[1] if at else "") if part and part != "...")
    if missing is not None:
        path = f"{path}.{missing[1]}" if path else missing[1]
        return f"field `{path}` is missing"
    return f"field `{path}`" if path else "not an object of that kind"
