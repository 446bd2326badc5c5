"""What a notification is about, what is decided about it, and what its renderer needs."""

from dataclasses import dataclass, field
from enum import StrEnum

import msgspec

from bot.core.models import Transition

AUTHOR = "@author"
"""Stands for a commit's author: as a notification's channel until the outbox knows who that is in Slack, and as a mention."""


class Event(StrEnum):
    """What a notification row is about; part of its key, so each is told once."""

    STARTED = "started"
    FINISHED = "finished"
    BLOCKED = "blocked"
    SUMMARY = "summary"
    OUTAGE = "outage"
    OUTAGE_OVER = "outage-over"
    DIGEST = "digest"


class Verdict(StrEnum):
    """What becomes of a notification."""

    POST = "post"
    HOLD = "hold"
    SILENT = "silent"


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What becomes of a notification, and why, in a person's words."""

    verdict: Verdict
    reason: str


def post(reason: str) -> Decision:
    """Return the decision to tell."""
    return Decision(verdict=Verdict.POST, reason=reason)


def silent(reason: str) -> Decision:
    """Return the decision not to tell."""
    return Decision(verdict=Verdict.SILENT, reason=reason)


@dataclass(frozen=True, slots=True, kw_only=True)
class Extra:
    """What the renderer needs beside the build; kept with the row, because history moves on.

    `mention` is a Slack id, or `AUTHOR`. `builds` are those of a summary, as (connection, pipeline, build), and `quiet`
    says that they were held back, not missed. `undecided` says that the issue counts, once read, decide whether the
    link wants it.
    """

    transition: Transition = field(default_factory=Transition)
    late: bool = False
    mention: str = ""
    undecided: bool = False
    headline: str = ""
    response_url: str = ""
    builds: tuple[tuple[str, str, str], ...] = ()
    quiet: bool = False
    text: str = ""
    lines: tuple[str, ...] = ()

    def as_json(self) -> str:
        """Return the text for `NoticeRow.extra`."""
        return msgspec.json.encode(self).decode()

    @classmethod
    def of(cls, text: str) -> "Extra":
        """Return what `as_json` wrote."""
        return msgspec.json.decode(text, type=cls)
