"""What recording a poll found."""

from dataclasses import dataclass
from datetime import timedelta

from bot.core.models import Build, BuildKey
from bot.store.rows import AttemptRow, BuildRow, LinkRow, MuteRow, WatchRow

CARD_PAUSE = timedelta(seconds=15)
"""The least time between two edits of a live card."""

COUNTS_GIVEN_UP = -1
"""The `counts_tries` of an attempt whose details are read no more."""


class AlreadyStarted(Exception):
    """Another start of this build is written already."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """The change that one poll found in a build, with the context that decisions need.

    `build` is the polled build with what was known before filled in. `finished` is the attempt whose end this is.
    `history` holds the results of its ref, those of newer builds and of its own earlier attempts among them, and
    `target_history` those of the branch that a pull request goes to. `blocked` says that an approval has just opened,
    the `turn`-th of its attempt; where one was open before and none is now, that was the `turn`-th. `corrected` is the
    attempt where its end had been written with another conclusion, `recounted` where it had with other issue counts.
    `needs_history` says that the store knows no earlier build of the ref, but the CI system may.
    """

    build: Build
    row: BuildRow
    before: Build | None
    first_seen: bool
    attempt_no: int
    finished: AttemptRow | None
    reopened: bool
    blocked: bool
    turn: int = 1
    corrected: AttemptRow | None = None
    recounted: AttemptRow | None = None
    history: tuple[AttemptRow, ...] = ()
    target_history: tuple[AttemptRow, ...] = ()
    needs_history: bool = False
    links: tuple[LinkRow, ...] = ()
    watches: tuple[WatchRow, ...] = ()
    mutes: tuple[MuteRow, ...] = ()

    @property
    def end(self) -> AttemptRow | None:
        """Return the attempt whose end is new, or known in another way now."""
        return self.finished or self.corrected or self.recounted


def card_key(card: str) -> BuildKey:
    """Return what a card of a commit, and the notification that posts it, have for the key of a build."""
    return BuildKey(connection="", pipeline="", id=card)
