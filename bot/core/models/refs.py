"""What a build is of: a branch, a tag, a commit or a pull request."""

import shlex
from dataclasses import dataclass
from enum import StrEnum

from typing_extensions import override

from bot.core.errors import UsageError


class RefKind(StrEnum):
    """The kinds of places in a repository that can be built."""

    BRANCH = "branch"
    TAG = "tag"
    COMMIT = "commit"
    PULL_REQUEST = "pull_request"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ref:
    """A place in a repository. `name` is a branch, a tag, a SHA or a pull request's number.

    `job` narrows the history of a place to the builds of one job, where a build is no more than that.
    """

    kind: RefKind
    name: str
    title: str | None = None
    job: str | None = None

    @override
    def __str__(self) -> str:
        """Return the ref as a person types it after `@`."""
        match self.kind:
            case RefKind.TAG:
                return f"tag:{self.name}"
            case RefKind.PULL_REQUEST:
                return f"pr:{self.name}"
            case RefKind.COMMIT:
                return self.name if is_sha(self.name) else f"commit:{self.name}"
            case RefKind.BRANCH:
                read = parse_ref(self.name) if self.name.strip() else self
                return self.name if (read.kind, read.name) == (self.kind, self.name) else f"branch:{self.name}"


def parse_ref(words: str) -> Ref:
    """Read a ref as a person types it: a branch, `tag:NAME`, `pr:N` or `!N`, or a SHA of 7 to 40 hex digits."""
    text = words.strip()
    if not text:
        message = "A ref is missing after `@`."
        raise UsageError(message, hint="Write a branch, `tag:NAME`, `pr:N` or a commit's SHA.")
    if text.startswith("!") and text[1:].isdigit():
        return Ref(kind=RefKind.PULL_REQUEST, name=text[1:])
    head, colon, rest = text.partition(":")
    if colon and rest:
        match head.lower():
            case "tag":
                return Ref(kind=RefKind.TAG, name=rest)
            case "pr" | "mr":
                return Ref(kind=RefKind.PULL_REQUEST, name=rest.removeprefix("#").removeprefix("!"))
            case "branch":
                return Ref(kind=RefKind.BRANCH, name=rest)
            case "commit" | "sha":
                return Ref(kind=RefKind.COMMIT, name=rest)
            case _:
                pass
    if is_sha(text):
        return Ref(kind=RefKind.COMMIT, name=text.lower())
    return Ref(kind=RefKind.BRANCH, name=text)


def is_sha(text: str) -> bool:
    """Return whether a text reads as a commit: 7 to 40 hex digits, one of them a figure (`deadbeef` is a branch)."""
    return (
        7 <= len(text) <= 40
        and all(c in "0123456789abcdefABCDEF" for c in text)
        and (any(c.isdigit() for c in text) or len(text) == 40)
    )


def spoken(connection: str, pipeline: str, *, ref: Ref | None = None, number: int | None = None) -> str:
    """Return a target as one could type it: `connection:pipeline@ref#number`, in long flags where a name needs them."""
    name = f"{connection}:{pipeline}"
    plain = not any(c in name or (ref is not None and c in str(ref)) for c in "@#\"'\\ =<>&—")
    if plain:
        return name + (f"@{ref}" if ref else "") + (f"#{number}" if number is not None else "")
    words = [f"--pipeline {shlex.quote(name)}"]
    if ref:
        words.append(f"--ref {shlex.quote(str(ref))}")
    if number is not None:
        words.append(f"--build {number}")
    return " ".join(words)
