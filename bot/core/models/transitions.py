"""How an attempt compares with the ones before it."""

from dataclasses import dataclass, replace
from enum import StrEnum

from bot.core.models.builds import ISSUE_COUNTS, IssueCounts
from bot.core.models.states import Conclusion


class Change(StrEnum):
    """How an attempt compares with the one before it on the same pipeline and branch."""

    FIRST = "first"
    BROKEN = "broken"
    FIXED = "fixed"
    STILL_FAILING = "still-failing"
    STILL_PASSING = "still-passing"
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Transition:
    """What a finished attempt means beside the earlier ones of its pipeline and branch.

    `baseline` are the counts of the last finished, not cancelled attempt (None: there is none). `streak` counts red
    attempts in a row with this one while it is red; on BROKEN it counts the green ones before, on FIXED the red ones.
    `red_since` is the number of the first red build of the streak, `red_seconds` the time since its end.
    `usual_seconds` is the median duration of earlier passed attempts. `is_rerun` says that the result before this one
    is of the same commit. `is_outdated` says that a newer build of the ref has ended: `newer` is the newest one's number,
    and `is_newer_by_commit` says that it is newer by its commit alone: this one was made after it, from an older commit.
    `target` is the branch whose counts are the baseline of a pull request without earlier builds. `is_surely_first`
    says that the CI system knows no earlier build of the ref either.
    """

    change: Change = Change.NONE
    baseline: IssueCounts | None = None
    streak: int = 0
    red_since: int | None = None
    red_seconds: float | None = None
    usual_seconds: float | None = None
    worse: bool = False
    better: bool = False
    is_rerun: bool = False
    is_outdated: bool = False
    newer: int | None = None
    newer_conclusion: Conclusion | None = None
    is_newer_by_commit: bool = False
    target: str | None = None
    target_conclusion: Conclusion | None = None
    is_surely_first: bool = False

    def delta(self, now: IssueCounts, name: str) -> int | None:
        """Return how much a count (`errors`, `warnings`, …) moved against the baseline, None where either is unknown."""
        after: int | None = getattr(now, name)
        before: int | None = getattr(self.baseline, name) if self.baseline else None
        return None if after is None or before is None else after - before

    def with_counts(self, counts: IssueCounts) -> "Transition":
        """Return this with `worse` and `better` as counts say: worse where one grew, better where one fell, none grew.

        An attempt that says nothing about the code is neither.
        """
        if self.change is Change.NONE:
            return self
        deltas = [delta for name in ISSUE_COUNTS if (delta := self.delta(counts, name))]
        worse = any(delta > 0 for delta in deltas)
        return replace(self, worse=worse, better=bool(deltas) and not worse)
