"""What attempts of builds add up to: by day, by branch, by author; pure."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta, tzinfo

from bot.core.models import Conclusion, RefKind
from bot.store.rows import AttemptRow

RED = frozenset(conclusion.value for conclusion in Conclusion if conclusion.is_red)
MOST_BUCKETS = 20
OTHERS = "pull requests and others"


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """Percentiles of durations in seconds; None where nothing was timed."""

    p50: float | None = None
    p90: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """How some attempts ended and how long they took. `name` says which: a day, a branch, a person."""

    name: str
    builds: int
    passed: int
    failed: int
    runs: Times
    waits: Times

    @property
    def share(self) -> float | None:
        """Return the part that passed of what passed or failed, in percent; None where nothing did either."""
        judged = self.passed + self.failed
        return 100 * self.passed / judged if judged else None


def is_of_branch(attempt: AttemptRow, branch: str) -> bool:
    """Return whether an attempt belongs to a branch: builds of pull requests and of forks never do."""
    return attempt.ref_kind == RefKind.BRANCH.value and attempt.ref_name == branch


def percentile(values: Iterable[float], share: float) -> float | None:
    """Return the smallest value that at least `share` (0 to 1) of the values do not exceed, None of none."""
    ordered = sorted(values)
    return ordered[max(math.ceil(share * len(ordered)) - 1, 0)] if ordered else None


def times_of(values: Iterable[float]) -> Times:
    """Return the percentiles that are shown of durations."""
    kept = list(values)
    return Times(p50=percentile(kept, 0.5), p90=percentile(kept, 0.9))


def queue_seconds(attempt: AttemptRow) -> float | None:
    """Return how long a build waited for its start, None where that is not known or the attempt is a retry."""
    if attempt.attempt_no != 1 or attempt.built_at is None or attempt.seconds is None:
        return None
    waited = (attempt.completed_at - attempt.built_at).total_seconds() - attempt.seconds - attempt.approval_seconds
    return waited if waited >= 0 else None


def tally(name: str, attempts: Sequence[AttemptRow]) -> Tally:
    """Add attempts up. Only passed ones count for the run time: failures end early."""
    passed = [attempt for attempt in attempts if attempt.conclusion == Conclusion.PASSED.value]
    return Tally(
        name=name,
        builds=len(attempts),
        passed=len(passed),
        failed=sum(attempt.conclusion in RED for attempt in attempts),
        runs=times_of(attempt.seconds for attempt in passed if attempt.seconds is not None),
        waits=times_of(waited for attempt in attempts if (waited := queue_seconds(attempt)) is not None),
    )


def by_day(attempts: Sequence[AttemptRow], since: datetime, now: datetime, zone: tzinfo) -> tuple[list[Tally], int]:
    """Return the days on which builds ended, oldest first, and how many days make one of them (1 up to 20 days)."""
    first = since.astimezone(zone).date()
    days = (now.astimezone(zone).date() - first).days + 1
    width = math.ceil(days / MOST_BUCKETS)
    groups: dict[date, list[AttemptRow]] = {}
    for attempt in attempts:
        day = attempt.completed_at.astimezone(zone).date()
        begin = first + timedelta(days=max((day - first).days, 0) // width * width)
        groups.setdefault(begin, []).append(attempt)
    has_years = days > 360
    return [
        tally(f"{day:%b} {day.day}" + (f" {day.year}" if has_years else ""), groups[day]) for day in sorted(groups)
    ][-MOST_BUCKETS:], width


def by(attempts: Sequence[AttemptRow], name: Callable[[AttemptRow], str]) -> list[Tally]:
    """Return attempts added up by a name, the largest group first."""
    groups: dict[str, list[AttemptRow]] = {}
    for attempt in attempts:
        groups.setdefault(name(attempt) or "(none)", []).append(attempt)
    return sorted((tally(key, group) for key, group in groups.items()), key=lambda each: (-each.builds, each.name))


def branch_of(attempt: AttemptRow) -> str:
    """Return the branch an attempt counts for."""
    return attempt.branch if is_of_branch(attempt, attempt.branch) else OTHERS


def flaky_commits(attempts: Iterable[AttemptRow]) -> int:
    """Return how many commits of a branch both passed and failed; where a build is one job, in the same job."""
    ends: dict[tuple[str, str, str], set[bool]] = {}
    for attempt in attempts:
        if attempt.commit_sha and attempt.conclusion in {"passed", "failed", "timeout"}:
            place = (attempt.branch, attempt.ref_job, attempt.commit_sha)
            ends.setdefault(place, set()).add(attempt.conclusion == "passed")
    return len({(branch, commit) for (branch, _job, commit), both in ends.items() if len(both) > 1})
