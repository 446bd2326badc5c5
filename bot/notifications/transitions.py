"""Compare a finished attempt with the history of its ref. Pure: attempts in, a Transition out.

The history of a ref is ordered by build, never by the time an attempt ended: by the commit (the time its ref first
built it), then by the build's creation, then by its number. A build that is retried keeps its place, and the last
attempt of a build is its result. Cancelled, skipped and retried attempts are no results; a conclusion in a word we do
not know neither breaks nor fixes anything.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import takewhile
from statistics import median

from bot.core.models import NO_RESULT, Change, Conclusion, IssueCounts, Transition


@dataclass(frozen=True, slots=True, kw_only=True)
class PastAttempt:
    """A finished attempt of a build. `seconds` is how long it ran, without the wait for people.

    `built_at` is when the build was created, `commit_at` when its ref first built its commit.
    """

    build: str
    attempt_no: int = 1
    number: int | None = None
    commit: str = ""
    conclusion: Conclusion | None = None
    counts: IssueCounts = field(default_factory=IssueCounts)
    commit_at: datetime
    built_at: datetime
    completed_at: datetime
    seconds: float | None = None

    @property
    def position(self) -> tuple[datetime, datetime, int, str]:
        """Return the place of the build in the history of its ref."""
        return self.commit_at, self.built_at, -1 if self.number is None else self.number, self.build

    @property
    def is_red(self) -> bool:
        """Whether somebody has to mend something."""
        return self.conclusion is not None and self.conclusion.is_red


@dataclass(frozen=True, slots=True, kw_only=True)
class RefState:
    """How a ref stands: the result of its newest build, and the first of the red builds in a row up to it."""

    newest: PastAttempt
    red_since: PastAttempt | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Result:
    """A build's result: its last attempt that is one, and the end of its first red attempt."""

    last: PastAttempt
    red_at: datetime


def state_of(history: Iterable[PastAttempt]) -> RefState | None:
    """Return how a ref stands now, or None without any result. Old builds that were retried do not count as new."""
    results = _results(history)
    if not results:
        return None
    red = list(takewhile(lambda result: result.last.is_red, _known(results)))
    return RefState(newest=results[0].last, red_since=red[-1].last if red else None)


def results_of(history: Iterable[PastAttempt]) -> list[PastAttempt]:
    """Return the last attempt of each build that has a result, the newest build first."""
    return [result.last for result in _results(history)]


def compare(
    attempt: PastAttempt,
    history: Sequence[PastAttempt],
    *,
    target: Sequence[PastAttempt] = (),
    target_name: str | None = None,
) -> Transition:
    """Return how an attempt compares with the builds before its own; `history` may come in any order and hold anything.

    `target` is the history of the branch that a pull request goes to: it gives the counts to compare with where the
    pull request has no earlier build. `worse` and `better` speak of the counts alone.
    """
    others = [past for past in history if past.build != attempt.build]
    results = _results(others)
    earlier = [result for result in results if result.last.position < attempt.position]
    newer = next((result.last for result in results if result.last.position > attempt.position), None)
    own = sorted(
        (past for past in history if past.build == attempt.build and past.attempt_no < attempt.attempt_no),
        key=lambda past: past.attempt_no,
    )
    own = [past for past in own if past.conclusion not in NO_RESULT]
    base = earlier or [result for result in _results(target) if result.last.position < attempt.position]
    baseline = base[0].last.counts if base else None
    usual = _usual([result.last for result in base])
    plain = Transition(
        baseline=baseline,
        usual_seconds=usual,
        is_outdated=newer is not None,
        newer=newer.number if newer else None,
        newer_conclusion=newer.conclusion if newer else None,
        is_newer_by_commit=newer is not None and newer.built_at < attempt.built_at,
    )
    if attempt.conclusion is None or attempt.conclusion in NO_RESULT:
        return plain

    known_results = _known(earlier)
    red = list(takewhile(lambda result: result.last.is_red, known_results))
    green = list(takewhile(lambda result: not result.last.is_red, known_results))
    known_own = [past for past in own if past.conclusion is not None]
    previous = known_own[-1] if known_own else known_results[0].last if known_results else None
    change, streak = _change(attempt, previous, red=len(red), green=len(green))
    red_since, red_seconds = _red_time(attempt, known_own, red, change)
    return replace(
        plain,
        change=change,
        streak=streak,
        red_since=red_since,
        red_seconds=red_seconds,
        is_rerun=previous is not None
        and (previous.build == attempt.build or bool(attempt.commit and previous.commit == attempt.commit)),
        target=target_name if base and not earlier else None,
        target_conclusion=base[0].last.conclusion if base and not earlier else None,
    ).with_counts(attempt.counts)


def _change(attempt: PastAttempt, previous: PastAttempt | None, *, red: int, green: int) -> tuple[Change, int]:
    """Return the change and its streak, given how many builds just before were red or green (one of them is zero)."""
    if previous is None:
        return Change.FIRST, int(attempt.is_red)
    if attempt.is_red:
        return (Change.STILL_FAILING, red + 1) if previous.is_red else (Change.BROKEN, max(green, 1))
    if not previous.is_red:
        return Change.STILL_PASSING, 0
    return Change.FIXED, red + int(previous.build == attempt.build)


def _red_time(
    attempt: PastAttempt, own: Sequence[PastAttempt], red: Sequence[_Result], change: Change
) -> tuple[int | None, float | None]:
    """Return the number of the first red build of the streak, and the seconds since its end."""
    if not attempt.is_red and change is not Change.FIXED:
        return None, None
    first_own = next((past for past in own if past.is_red), None)
    if red and (change is not Change.BROKEN):
        return red[-1].last.number, _between(red[-1].red_at, attempt.completed_at)
    if first_own is not None and change is not Change.BROKEN:
        return attempt.number, _between(first_own.completed_at, attempt.completed_at)
    return attempt.number, 0.0


def _between(start: datetime, end: datetime) -> float:
    return max((end - start) / timedelta(seconds=1), 0.0)


def _usual(earlier: Sequence[PastAttempt]) -> float | None:
    durations = [past.seconds for past in earlier if past.conclusion is Conclusion.PASSED and past.seconds is not None]
    return median(durations) if durations else None


def _known(results: Sequence[_Result]) -> list[_Result]:
    return [result for result in results if result.last.conclusion is not None]


def _results(history: Iterable[PastAttempt]) -> list[_Result]:
    """Return the result of each build, the newest build first."""
    builds: dict[str, list[PastAttempt]] = {}
    for past in history:
        if past.conclusion not in NO_RESULT:
            builds.setdefault(past.build, []).append(past)
    results = []
    for attempts in builds.values():
        last = max(attempts, key=lambda past: past.attempt_no)
        ends = [past.completed_at for past in attempts if past.is_red]
        results.append(_Result(last=last, red_at=min(ends, default=last.completed_at)))
    return sorted(results, key=lambda result: result.last.position, reverse=True)
