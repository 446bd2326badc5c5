"""What is decided about a notification, and what its renderer needs."""

from dataclasses import dataclass, field
from enum import StrEnum

import msgspec

from bot.core.models import Transition
from bot.store.states import NotificationEvent

Event = NotificationEvent
AUTHOR = "@author"
"""Stands for a commit's author: as a notification's channel until the outbox knows who that is in Slack, and as a mention."""


class Verdict(StrEnum):
    """What becomes of a notification."""

    POST = "post"
    HOLD = "hold"
    SILENT = "silent"


class Outcome(StrEnum):
    """How the sender's work on a notification ended."""

    POSTED = "posted"
    HELD = "held"
    SILENT = "silent"
    FAILED = "failed"
    GIVEN_UP = "given_up"
    SET_ASIDE = "set_aside"


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What becomes of a notification, and why, in a person's words."""

    verdict: Verdict
    reason: str


def post(reason: str) -> Decision:
    """Return the decision to post."""
    return Decision(verdict=Verdict.POST, reason=reason)


def silent(reason: str) -> Decision:
    """Return the decision not to post."""
    return Decision(verdict=Verdict.SILENT, reason=reason)


class News(StrEnum):
    """What about a build corrects what was said of another one, or of itself: its end, another result, other counts."""

    END = "end"
    RESULT = "result"
    COUNTS = "counts"

    def words(self, label: str) -> str:
        """Return it as a clause about the build called `label`: `#412 ended`."""
        match self:
            case News.END:
                return f"{label} ended"
            case News.RESULT:
                return f"the result of {label} changed"
            case News.COUNTS:
                return f"the issues of {label} were counted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Extra:
    """What the renderer needs beside the build; kept with the row, because history moves on.

    `mention` is a Slack id, or `AUTHOR`. `builds` are those of a summary, as (connection, pipeline, build), and `quiet`
    says that they were held back, `storm` that they ended at once, not missed. `undecided` says that the issue counts or the history, once read, decide
    whether the link wants it. `posted_because` is the reason of one that was held
    back. `corrected` is the build that changed the sentence, `corrected_by` what about it did so, and `taken_back` how often
    the thread was told that the sentence was false. `steps` are the approvals that the card of an
    approval shows, by their ids: each is on one card. `in_thread` says that it goes into the thread of its red
    branch, `is_new_breakage` that it is in the channel all the same: something else broke. `trace` is the id, in
    the log, of what made the notification.
    """

    transition: Transition = field(default_factory=Transition)
    late: bool = False
    mention: str = ""
    undecided: bool = False
    posted_because: str = ""
    corrected: str = ""
    corrected_by: News = News.END
    taken_back: int = 0
    headline: str = ""
    response_url: str = ""
    builds: tuple[tuple[str, str, str], ...] = ()
    quiet: bool = False
    storm: bool = False
    in_thread: bool = False
    is_new_breakage: bool = False
    text: str = ""
    lines: tuple[str, ...] = ()
    steps: tuple[str, ...] = ()
    trace: str = ""

    @property
    def correction(self) -> str:
        """Return what changed the sentence (`#412 ended`), empty where nothing did."""
        return self.corrected_by.words(self.corrected) if self.corrected else ""

    def as_json(self) -> str:
        """Return the text for `NotificationRow.extra`."""
        return msgspec.json.encode(self).decode()

    @classmethod
    def of(cls, text: str) -> "Extra":
        """Return what `as_json` wrote."""
        return msgspec.json.decode(text, type=cls)
