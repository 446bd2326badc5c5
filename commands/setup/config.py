"""A channel's set-up as a YAML document: read, written, and compared with what is stored.

Documents are read by PyYAML's safe loader without anchors (a few lines of them can stand for gigabytes), then checked
field by field: what is not known is refused, never ignored.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

import msgspec

from bot.core.errors import UsageError
from bot.notifications.filters import read_filter
from bot.security.redaction import redact

VERSION = 1
MOST_CHARACTERS = 20_000
MOST_ENTRIES = 300

T = TypeVar("T")


class LinkEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """A followed pipeline (`connection:path`), its notifications in the words of `subscribe`, its presets."""

    pipeline: str
    alias: str = ""
    default: bool = False
    branch: str = ""
    notifications: bool = True
    filters: str = ""
    protected: str = ""
    presets: dict[str, dict[str, str]] = msgspec.field(default_factory=dict)


class RoleEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """A role in this channel; `subject` is `user:U…`, `group:S…` or `channel:C…`."""

    role: str
    subject: str
    pipelines: str = "*"
    refs: str = "*"


class ScheduleEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """A scheduled command: `times` and `command` as one types them after `schedule`."""

    times: str
    command: str


class Document(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """A channel's set-up. A part that is None is left as it is; one that is there replaces what is stored."""

    version: int = VERSION
    links: tuple[LinkEntry, ...] | None = None
    roles: tuple[RoleEntry, ...] | None = None
    schedules: tuple[ScheduleEntry, ...] | None = None


class Act(StrEnum):
    """What an import does to one thing; the value is how a difference marks it."""

    ADD = "+"
    CHANGE = "~"
    REMOVE = "-"


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One thing that an import adds, changes or removes, in words."""

    act: Act
    words: str


def read_documents(texts: Iterable[str]) -> Document:
    """Return one document read from texts, each a document of its own whose lists are joined. Raises UsageError."""
    parts = [_read(text) for text in texts if text.strip()]
    if not parts:
        raise UsageError("There is nothing to import.")
    document = Document(
        links=_joined([part.links for part in parts]),
        roles=_joined([part.roles for part in parts]),
        schedules=_joined([part.schedules for part in parts]),
    )
    _check(document)
    return document


def _joined(lists: Sequence[tuple[T, ...] | None]) -> tuple[T, ...] | None:
    present = [entries for entries in lists if entries is not None]
    return tuple(entry for entries in present for entry in entries) if present else None


def _read(text: str) -> Document:
    if len(text) > MOST_CHARACTERS:
        raise UsageError(f"A document may have {MOST_CHARACTERS:,} characters.")
    if redact(text) != text:
        raise UsageError(
            "The document holds what reads as a password or token.",
            hint="Keep secrets in the CI system. Nothing was imported.",
        )
    from commands.setup import yaml_text  # noqa: PLC0415 - see there

    content = yaml_text.load(text)
    try:
        document = msgspec.convert(content if content is not None else {}, Document)
    except msgspec.ValidationError as exc:
        hint = "Texts like `yes`, `on` or `1.20` stand in quotes." if "Expected `str`" in str(exc) else None
        raise UsageError(f"The document has another shape: {exc}.", hint=hint) from exc
    if document.version != VERSION:
        raise UsageError(f"The document is of version {document.version}; {VERSION} is known here.")
    return document


def _check(document: Document) -> None:
    """Raise UsageError where entries contradict each other."""
    lists: tuple[Sequence[object], ...] = (document.links or (), document.roles or (), document.schedules or ())
    if any(len(entries) > MOST_ENTRIES for entries in lists):
        raise UsageError(f"A document may have {MOST_ENTRIES} entries of a kind.")
    links = document.links or ()
    for name, values in (
        ("pipeline", [link.pipeline for link in links]),
        ("alias", [link.alias.casefold() for link in links if link.alias]),
    ):
        if twice := next((value for value in values if values.count(value) > 1), None):
            raise UsageError(f"The {name} `{twice}` stands there twice.")
    if sum(link.default for link in links) > 1:
        raise UsageError("A channel has one default pipeline.")


def written(document: Document) -> str:
    """Return a document as YAML, which `read_documents` reads back to the same."""
    from commands.setup import yaml_text  # noqa: PLC0415 - see there

    return yaml_text.dump({"version": VERSION, **msgspec.to_builtins(document, str_keys=True)})


def normal_filters(words: str) -> str:
    """Return filters in the form in which they are stored, "" for none. Raises UsageError."""
    return read_filter(words).words() if words.strip() else ""


def changed_fields(before: LinkEntry, after: LinkEntry) -> list[str]:
    """Return what differs between two entries of a link, a phrase each."""
    phrases = [
        f"{name} {_shown(getattr(before, name))} → {_shown(getattr(after, name))}"
        for name in ("alias", "default", "branch", "notifications", "filters", "protected")
        if getattr(before, name) != getattr(after, name)
    ]
    return phrases + preset_changes(before.presets, after.presets)


def preset_changes(before: Mapping[str, Mapping[str, str]], after: Mapping[str, Mapping[str, str]]) -> list[str]:
    """Return which presets come, go or change, a phrase each."""
    phrases = []
    for name in dict.fromkeys([*before, *after]):
        if name not in after:
            phrases.append(f"without preset {name}")
        elif before.get(name) != after[name]:
            values = " ".join(f"{key}={value}" for key, value in after[name].items())
            phrases.append(f"{'preset' if name in before else 'new preset'} {name}: {values or 'no values'}")
    return phrases


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return str(value) or "(none)"


def fingerprint(differences: Iterable[Difference]) -> str:
    """Return what two plans have in common only where they do the same."""
    text = "\n".join(f"{difference.act.value} {difference.words}" for difference in differences)
    return hashlib.sha256(text.encode()).hexdigest()
