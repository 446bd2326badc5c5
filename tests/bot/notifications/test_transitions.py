"""How attempts compare: a table of small histories, and what must hold for any."""

import random
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.core.models import Change, Conclusion, IssueCounts, Transition
from bot.notifications.transitions import PastAttempt, compare

START = datetime(2026, 11, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
WORDS: dict[str, Conclusion | None] = {
    "g": Conclusion.PASSED,
    "r": Conclusion.FAILED,
    "t": Conclusion.TIMEOUT,
    "p": Conclusion.PARTIAL,
    "c": Conclusion.CANCELLED,
    "s": Conclusion.SKIPPED,
    "o": Conclusion.RETRIED,
    "?": None,
}


def attempts(words: str) -> list[PastAttempt]:
    """One attempt an hour, oldest first, numbered from 1."""
    return [
        PastAttempt(number=n + 1, conclusion=WORDS[word], completed_at=START + n * HOUR, seconds=60.0 * (n + 1))
        for n, word in enumerate(words)
    ]


def after(words: str, counts: IssueCounts | None = None) -> Transition:
    """The last of the words against those before it."""
    *history, last = attempts(words)
    return compare(last.conclusion, counts or IssueCounts(), last.completed_at, last.number, history)


@dataclass(frozen=True)
class Case:
    words: str
    change: Change
    streak: int = 0
    red_since: int | None = None
    red_hours: float | None = None


CASES = [
    Case("g", Change.FIRST),
    Case("r", Change.FIRST, 1, 1, 0),
    Case("gg", Change.STILL_PASSING),
    Case("gr", Change.BROKEN, 1, 2, 0),
    Case("rgggr", Change.BROKEN, 3, 5, 0),
    Case("gt", Change.BROKEN, 1, 2, 0),
    Case("gp", Change.BROKEN, 1, 2, 0),
    Case("grr", Change.STILL_FAILING, 2, 2, 1),
    Case("grtpr", Change.STILL_FAILING, 4, 2, 3),
    Case("rg", Change.FIXED, 1, 1, 1),
    Case("grrrg", Change.FIXED, 3, 2, 3),
    Case("grcsorg", Change.FIXED, 2, 2, 5),
    Case("gcr", Change.BROKEN, 1, 3, 0),
    Case("g?r", Change.BROKEN, 1, 3, 0),
    Case("r?g", Change.FIXED, 1, 1, 2),
    Case("r?r", Change.STILL_FAILING, 2, 1, 2),
    Case("?r", Change.FIRST, 1, 2, 0),
    Case("?g", Change.FIRST),
    Case("cg", Change.FIRST),
    Case("gc", Change.NONE),
    Case("rs", Change.NONE),
    Case("ro", Change.NONE),
    Case("r?", Change.NONE),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.words)
def test_a_attempt_compares_with_those_that_ended_before_it(case: Case) -> None:
    found = after(case.words)
    hours = None if found.red_seconds is None else found.red_seconds / 3600
    assert (found.change, found.streak, found.red_since, hours) == (
        case.change,
        case.streak,
        case.red_since,
        case.red_hours,
    )


def test_the_baseline_is_the_newest_attempt_that_was_not_cancelled() -> None:
    history = attempts("ggc")
    history[1] = replace(history[1], counts=IssueCounts(warnings=4))
    history[2] = replace(history[2], counts=IssueCounts(warnings=90))
    found = compare(Conclusion.PASSED, IssueCounts(warnings=5), START + 9 * HOUR, 4, history)
    assert found.baseline == IssueCounts(warnings=4)
    assert found.delta(IssueCounts(warnings=5), "warnings") == 1


def test_a_cancelled_attempt_has_a_baseline_but_is_neither_worse_nor_better() -> None:
    history = [replace(attempts("g")[0], counts=IssueCounts(errors=5))]
    found = compare(Conclusion.CANCELLED, IssueCounts(errors=0), START + HOUR, 2, history)
    assert (found.baseline, found.worse, found.better) == (IssueCounts(errors=5), False, False)


@pytest.mark.parametrize(
    ("before", "now", "worse", "better"),
    [
        ({"errors": 1}, {"errors": 2}, True, False),
        ({"errors": 2}, {"errors": 1}, False, True),
        ({"errors": 2, "warnings": 0}, {"errors": 1, "warnings": 1}, True, False),
        ({"errors": 2}, {"errors": 2}, False, False),
        ({"errors": None}, {"errors": 2}, False, False),
        ({"test_failures": 0}, {"test_failures": None}, False, False),
        ({"tests_total": 9}, {"tests_total": 3}, False, False),
        ({"analyzer_warnings": 3}, {"analyzer_warnings": 0}, False, True),
    ],
)
def test_worse_is_a_count_that_grew_and_better_one_that_fell_while_none_grew(
    before: dict[str, int], now: dict[str, int], worse: bool, better: bool
) -> None:
    history = [replace(attempts("g")[0], counts=IssueCounts(**before))]
    found = compare(Conclusion.PASSED, IssueCounts(**now), START + HOUR, 2, history)
    assert (found.worse, found.better) == (worse, better)


def test_the_usual_duration_is_the_median_of_passed_attempts_alone() -> None:
    history = attempts("ggrgc")
    history[0] = replace(history[0], seconds=None)
    assert compare(Conclusion.PASSED, IssueCounts(), START + 9 * HOUR, 9, history).usual_seconds == 180.0
    assert compare(None, IssueCounts(), START + 9 * HOUR, 9, history).usual_seconds == 180.0
    assert after("rg").usual_seconds is None


def test_a_build_that_ends_late_is_compared_with_what_had_ended_by_then() -> None:
    first, second = attempts("rg")
    found = compare(Conclusion.PASSED, IssueCounts(), START - HOUR, 9, [first, second])
    assert found.change is Change.FIRST
    overtaken = compare(Conclusion.PASSED, IssueCounts(), START + HOUR / 2, 9, [first, second])
    assert (overtaken.change, overtaken.red_seconds) == (Change.FIXED, 1800.0)


@pytest.mark.parametrize(
    ("past", "mine", "change"),
    [
        (1, 2, Change.FIXED),
        (2, 1, Change.FIRST),
        (2, 2, Change.FIRST),
        (None, 2, Change.FIRST),
        (1, None, Change.FIRST),
    ],
)
def test_of_two_that_end_together_the_smaller_number_came_first(
    past: int | None, mine: int | None, change: Change
) -> None:
    history = [PastAttempt(number=past, conclusion=Conclusion.FAILED, completed_at=START)]
    assert compare(Conclusion.PASSED, IssueCounts(), START, mine, history).change is change


def test_an_earlier_attempt_of_the_same_build_counts() -> None:
    history = [PastAttempt(number=7, conclusion=Conclusion.FAILED, completed_at=START)]
    found = compare(Conclusion.PASSED, IssueCounts(), START + HOUR, 7, history)
    assert (found.change, found.streak, found.red_since) == (Change.FIXED, 1, 7)


def test_without_an_end_every_attempt_counts_and_the_time_is_unknown() -> None:
    found = compare(Conclusion.PASSED, IssueCounts(), None, None, attempts("gr"))
    assert (found.change, found.streak, found.red_seconds) == (Change.FIXED, 1, None)


def test_attempts_without_a_number_are_compared_all_the_same() -> None:
    history = [PastAttempt(conclusion=word, completed_at=START) for word in (Conclusion.FAILED, Conclusion.FAILED)]
    found = compare(Conclusion.FAILED, IssueCounts(), START + HOUR, None, history)
    assert (found.change, found.streak, found.red_since) == (Change.STILL_FAILING, 3, None)


histories = st.text(alphabet="grtpcso?", max_size=14)


@given(histories, st.sampled_from("grtpcso?"), st.randoms(use_true_random=False))
def test_the_order_of_the_history_does_not_matter(words: str, last: str, chance: random.Random) -> None:
    *history, mine = attempts(words + last)
    shuffled = list(history)
    chance.shuffle(shuffled)
    args = (mine.conclusion, mine.counts, mine.completed_at, mine.number)
    assert compare(*args, shuffled) == compare(*args, history)


@given(histories, st.sampled_from("grtp"))
def test_silent_and_unknown_attempts_change_neither_the_change_nor_the_streak(words: str, last: str) -> None:
    known = [past for past in attempts(words) if past.conclusion and past.conclusion not in {WORDS[w] for w in "cso"}]
    at, number = START + 99 * HOUR, 99
    whole = compare(WORDS[last], IssueCounts(), at, number, attempts(words))
    bare = compare(WORDS[last], IssueCounts(), at, number, known)
    assert (whole.change, whole.streak, whole.red_since, whole.red_seconds) == (
        bare.change,
        bare.streak,
        bare.red_since,
        bare.red_seconds,
    )


@given(histories, st.sampled_from("grtpcso?"))
def test_later_attempts_are_never_looked_at(words: str, last: str) -> None:
    *history, mine = attempts(words + last)
    later = [replace(past, completed_at=past.completed_at + 1000 * HOUR) for past in history]
    args = (mine.conclusion, mine.counts, mine.completed_at, mine.number)
    assert compare(*args, [*history, *later]) == compare(*args, history)


@given(histories)
def test_red_after_red_is_never_new_and_green_after_green_is_never_a_fix(words: str) -> None:
    assert after(words + "rr").change is Change.STILL_FAILING
    assert after(words + "gg").change is Change.STILL_PASSING
    assert after(words + "gr").change is Change.BROKEN
    assert after(words + "rg").change is Change.FIXED


@given(histories, st.integers(1, 8))
def test_a_fix_counts_exactly_the_red_attempts_before_it(words: str, red: int) -> None:
    found = after(words + "g" + "r" * red + "g")
    assert (found.streak, found.red_since, found.red_seconds) == (red, len(words) + 2, red * 3600.0)
