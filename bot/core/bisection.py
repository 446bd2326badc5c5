"""The search for the commit that broke a branch: which commit to build next, and what the results say. Pure.

Commits are numbered oldest first. What stands before number 0 is good and the last one is bad: the person says so.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum

from bot.core.models import Commit


class Result(StrEnum):
    """What a build says about its commit. SKIPPED: nothing, so that another commit is built in its place."""

    GOOD = "good"
    BAD = "bad"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """How far a search has come.

    The first bad commit is one of `low` + 1 to `high`. `next` is the commit to build, None where nothing is left to build.
    `is_monotone` is False where a commit passed after one that had failed: then what broke the branch last is looked for,
    and no commit can be named as the only one.
    """

    low: int
    high: int
    next: int | None
    is_monotone: bool

    @property
    def is_over(self) -> bool:
        """Whether no build can narrow the range."""
        return self.next is None

    @property
    def first_bad(self) -> int | None:
        """Return the commit that is certainly the first bad one, None where a range or a doubt remains."""
        return self.high if self.high - self.low == 1 and self.is_monotone else None

    @property
    def builds_left(self) -> int:
        """Return how many more builds the search takes at most, where none of them is skipped."""
        return (self.high - self.low - 1).bit_length()


def search(count: int, results: Mapping[int, Result]) -> Search:
    """Return how far a search in `count` commits has come. The results of commits that were not built are missing.

    The newest good commit and the oldest bad one after it bound the range. A commit without a result nearest to the middle
    is built next; of two the older one. Raises ValueError where there is no commit.
    """
    if count < 1:
        raise ValueError("there is no commit to search in")
    good = [number for number, result in results.items() if result is Result.GOOD and 0 <= number < count - 1]
    low = max(good, default=-1)
    bad = [number for number, result in results.items() if result is Result.BAD and 0 <= number < count]
    high = min((number for number in bad if number > low), default=count - 1)
    is_monotone = all(number > low for number in bad) and results.get(count - 1) is not Result.GOOD
    open_numbers = [number for number in range(low + 1, high) if number not in results]
    middle = (low + high) / 2
    following = min(open_numbers, key=lambda number: (abs(number - middle), number), default=None)
    return Search(low=low, high=high, next=following, is_monotone=is_monotone)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One commit's build. Without a result it is to be started (no `build`), or runs; `is_reused` builds were there before.

    `name` is the build as people read it, `note` what failed in it or why it says nothing.
    """

    commit: int
    at: datetime
    build: str = ""
    name: str = ""
    url: str = ""
    result: Result | None = None
    note: str = ""
    is_reused: bool = False
    is_running: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Bisection:
    """A search in the commits after `good` up to `bad`, oldest first, that starts at most `most` builds of `branch`.

    `good` and `bad` are what the person named, as people read it. With `is_complete` no commit between them is missing.
    `outcome` is why the search has ended before its end, "" where it has not.
    """

    commits: tuple[Commit, ...]
    is_complete: bool
    good: str
    bad: str
    branch: str
    most: int
    parameters: Mapping[str, str] = field(default_factory=dict)
    steps: tuple[Step, ...] = ()
    outcome: str = ""
    good_sha: str = ""
    tries: int = 0
    """How often in a row a step could not be taken."""

    @property
    def progress(self) -> Search:
        """Return how far it has come."""
        return search(len(self.commits), {step.commit: step.result for step in self.steps if step.result is not None})

    @property
    def started(self) -> int:
        """Return how many builds it has started."""
        return sum(not step.is_reused for step in self.steps)

    @property
    def open_step(self) -> Step | None:
        """Return the step whose build is to be started, or runs."""
        return next((step for step in self.steps if step.result is None), None)

    def with_step(self, step: Step) -> "Bisection":
        """Return the search with a step added, or put in the place of that of its commit."""
        kept = tuple(other for other in self.steps if other.commit != step.commit)
        is_news = bool(step.build) or step.result is not None
        return replace(self, steps=(*kept, step), tries=0 if is_news else self.tries)
