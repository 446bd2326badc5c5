"""What a finished attempt means beside the earlier ones of its pipeline and branch. Pure: attempts in, a Transition out.

Attempts are compared by the time they ended, whatever order they were started or reported in. Cancelled, skipped and
retried attempts say nothing about the code and are passed over; a conclusion in a word we do not know neither breaks
nor mends anything.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import takewhile
from statistics import median

from bot.core.models import Change, Conclusion, IssueCounts, Transition

_SILENT = frozenset({Conclusion.CANCELLED, Conclusion.SKIPPED, Conclusion.RETRIED})


@dataclass(frozen=True, slots=True, kw_only=True)
class PastAttempt:
    """A finished attempt of the same pipeline and branch. `seconds` is how long it ran."""

    number: int | None = None
    conclusion: Conclusion | None = None
    counts: IssueCounts = field(default_factory=IssueCounts)
    completed_at: datetime
    seconds: float | None = None


def compare(
    conclusion: Conclusion | None,
    counts: IssueCounts,
    completed_at: datetime | None,
    number: int | None,
    history: Sequence[PastAttempt],
) -> Transition:
    """Return how an attempt compares with the ones that ended before it; `history` may come in any order.

    `worse` and `better` speak of the counts alone: worse where one grew, better where one fell and none grew.
    Without `completed_at` every attempt of the history counts as earlier.
    """
    earlier = sorted(
        (past for past in history if past.conclusion not in _SILENT and _before(past, completed_at, number)),
        key=lambda past: (past.completed_at, -1 if past.number is None else past.number),
        reverse=True,
    )
    baseline = earlier[0].counts if earlier else None
    durations = [past.seconds for past in earlier if past.conclusion is Conclusion.PASSED and past.seconds is not None]
    usual = median(durations) if durations else None
    if conclusion is None or conclusion in _SILENT:
        return Transition(baseline=baseline, usual_seconds=usual)

    known = [past for past in earlier if past.conclusion is not None]
    red = list(takewhile(_is_red, known))
    green = list(takewhile(lambda past: not _is_red(past), known))
    first_red = red[-1] if red else None
    change, streak = _change(conclusion, red=len(red), green=len(green))
    red_since, red_seconds = None, None
    if first_red is not None:
        red_since = first_red.number
        red_seconds = (completed_at - first_red.completed_at) / timedelta(seconds=1) if completed_at else None
    elif conclusion.is_red:
        red_since, red_seconds = number, 0.0
    return Transition(
        change=change,
        baseline=baseline,
        streak=streak,
        red_since=red_since,
        red_seconds=red_seconds,
        usual_seconds=usual,
    ).with_counts(counts)


def _change(conclusion: Conclusion, *, red: int, green: int) -> tuple[Change, int]:
    """Return the change and its streak, given how many attempts just before were red or green (one of them is zero)."""
    if conclusion.is_red:
        if red:
            return Change.STILL_FAILING, red + 1
        return (Change.BROKEN, green) if green else (Change.FIRST, 1)
    if red:
        return Change.FIXED, red
    return (Change.STILL_PASSING if green else Change.FIRST), 0


def _is_red(past: PastAttempt) -> bool:
    return past.conclusion is not None and past.conclusion.is_red


def _before(past: PastAttempt, completed_at: datetime | None, number: int | None) -> bool:
    """Return whether an attempt ended before this one; of two that ended together the smaller number did."""
    if completed_at is None or past.completed_at < completed_at:
        return True
    if past.completed_at > completed_at or past.number is None or number is None:
        return False
    return past.number < number
