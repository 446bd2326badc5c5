"""How attempts compare: a table of small histories, and a slow reference that any history must agree with."""

import random
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.core.models import Change, Conclusion, IssueCounts, Transition
from bot.notifications.transitions import PastAttempt, compare, state_of

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
NO_RESULT = {Conclusion.CANCELLED, Conclusion.SKIPPED, Conclusion.RETRIED}


def attempt(
    number: int,
    word: str,
    *,
    attempt_no: int = 1,
    commit: str | None = None,
    ended: float | None = None,
    commit_at: float | None = None,
) -> PastAttempt:
    """Build `number`, created at that hour, with a commit of its own unless one is given."""
    built_at = START + number * HOUR
    return PastAttempt(
        build=f"b{number}",
        attempt_no=attempt_no,
        number=number,
        commit=f"commit-{number}" if commit is None else commit,
        conclusion=WORDS[word],
        commit_at=built_at if commit_at is None else START + commit_at * HOUR,
        built_at=built_at,
        completed_at=built_at if ended is None else START + ended * HOUR,
        seconds=60.0 * number,
    )


def attempts(words: str) -> list[PastAttempt]:
    """One build an hour, oldest first, numbered from 1."""
    return [attempt(number, word) for number, word in enumerate(words, 1)]


def after(words: str, counts: IssueCounts | None = None) -> Transition:
    """The last of the words against those before it."""
    *history, last = attempts(words)
    return compare(replace(last, counts=counts or IssueCounts()), history)


def test_a_newer_commit_that_was_built_before_is_not_called_a_newer_build() -> None:
    older, newer = attempt(1, "r", commit="a"), attempt(2, "g", commit="b")
    rebuilt = attempt(3, "r", commit="a", commit_at=1)
    transition = compare(rebuilt, [older, newer])
    assert (transition.is_outdated, transition.newer, transition.is_newer_by_commit) == (True, 2, True)
    late = compare(attempt(1, "r", ended=9), [newer])
    assert (late.is_outdated, late.newer, late.is_newer_by_commit) == (True, 2, False)


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
def test_an_attempt_compares_with_the_builds_before_its_own(case: Case) -> None:
    found = after(case.words)
    hours = None if found.red_seconds is None else found.red_seconds / 3600
    assert (found.change, found.streak, found.red_since, hours) == (
        case.change,
        case.streak,
        case.red_since,
        case.red_hours,
    )
    assert not found.is_outdated


def test_the_baseline_is_the_newest_build_that_was_not_cancelled() -> None:
    history = attempts("ggc")
    history[1] = replace(history[1], counts=IssueCounts(warnings=4))
    history[2] = replace(history[2], counts=IssueCounts(warnings=90))
    found = compare(replace(attempt(4, "g"), counts=IssueCounts(warnings=5)), history)
    assert found.baseline == IssueCounts(warnings=4)
    assert found.delta(IssueCounts(warnings=5), "warnings") == 1


def test_a_cancelled_attempt_has_a_baseline_but_is_neither_worse_nor_better() -> None:
    history = [replace(attempt(1, "g"), counts=IssueCounts(errors=5))]
    found = compare(replace(attempt(2, "c"), counts=IssueCounts(errors=0)), history)
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
    history = [replace(attempt(1, "g"), counts=IssueCounts(**before))]
    found = compare(replace(attempt(2, "g"), counts=IssueCounts(**now)), history)
    assert (found.worse, found.better) == (worse, better)


def test_the_usual_duration_is_the_median_of_passed_builds_alone() -> None:
    history = attempts("ggrgc")
    history[0] = replace(history[0], seconds=None)
    assert compare(attempt(9, "g"), history).usual_seconds == 180.0
    assert compare(attempt(9, "?"), history).usual_seconds == 180.0
    assert after("rg").usual_seconds is None


def test_builds_that_finish_out_of_order_are_compared_in_the_order_of_builds() -> None:
    slow = attempt(1, "r", ended=9)
    quick = attempt(2, "g", ended=3)
    assert compare(quick, []).change is Change.FIRST
    assert compare(quick, [slow]).change is Change.FIXED
    late = compare(slow, [quick])
    assert (late.change, late.is_outdated, late.newer, late.newer_conclusion) == (
        Change.FIRST,
        True,
        2,
        Conclusion.PASSED,
    )


def test_a_retried_old_build_stands_on_its_own_and_newer_streaks_do_not_count_it() -> None:
    history = [attempt(8, "g"), attempt(9, "r"), attempt(14, "r"), attempt(15, "g")]
    retried = attempt(9, "r", attempt_no=2, ended=20)
    found = compare(retried, history)
    assert (found.change, found.streak, found.red_since) == (Change.STILL_FAILING, 1, 9)
    assert (found.is_rerun, found.is_outdated, found.newer) == (True, True, 15)
    later = compare(attempt(19, "r"), [*history, retried])
    assert (later.change, later.streak, later.red_since) == (Change.BROKEN, 1, 19)


def test_a_pass_of_the_commit_that_failed_is_a_rerun_and_no_fix_of_its_author() -> None:
    rebuilt = compare(attempt(3, "g", commit="aa"), [attempt(1, "g"), attempt(2, "r", commit="aa")])
    assert (rebuilt.change, rebuilt.is_rerun, rebuilt.streak) == (Change.FIXED, True, 1)
    retried = compare(attempt(2, "g", attempt_no=2, ended=5), [attempt(1, "g"), attempt(2, "r", ended=2.5)])
    assert (retried.change, retried.is_rerun, retried.streak, retried.red_seconds) == (Change.FIXED, True, 1, 9000.0)
    fixed = compare(attempt(3, "g", commit="bb"), [attempt(2, "r", commit="aa")])
    assert (fixed.change, fixed.is_rerun) == (Change.FIXED, False)
    assert not compare(attempt(3, "g", commit=""), [attempt(2, "r", commit="")]).is_rerun


def test_a_failure_of_the_commit_that_passed_is_a_rerun_too() -> None:
    found = compare(attempt(3, "r", commit="aa"), [attempt(2, "g", commit="aa")])
    assert (found.change, found.is_rerun) == (Change.BROKEN, True)


def test_an_old_commit_that_is_rebuilt_keeps_its_place() -> None:
    history = [attempt(1, "g", commit="aa"), attempt(2, "r", commit="bb"), attempt(3, "g", commit="cc")]
    rebuilt = attempt(4, "r", commit="bb", commit_at=2)
    found = compare(rebuilt, history)
    assert (found.change, found.streak, found.is_rerun, found.newer) == (Change.STILL_FAILING, 2, True, 3)
    assert compare(attempt(5, "g", commit="dd"), [*history, rebuilt]).change is Change.STILL_PASSING


def test_the_last_attempt_of_a_build_is_its_result() -> None:
    flaky = [attempt(2, "r"), attempt(2, "g", attempt_no=2, ended=2.5)]
    assert compare(attempt(3, "r"), [attempt(1, "r"), *flaky]).change is Change.BROKEN
    cancelled = [attempt(2, "r"), attempt(2, "c", attempt_no=2, ended=2.5)]
    assert compare(attempt(3, "g"), [attempt(1, "g"), *cancelled]).change is Change.FIXED


def test_a_pull_request_without_earlier_builds_compares_its_counts_with_its_target() -> None:
    target = [replace(attempt(number, "g"), counts=IssueCounts(warnings=number)) for number in (1, 2)]
    mine = replace(attempt(3, "r"), counts=IssueCounts(warnings=5))
    found = compare(mine, [], target=target, target_name="main")
    assert (found.change, found.baseline, found.target) == (Change.FIRST, IssueCounts(warnings=2), "main")
    assert (found.target_conclusion, found.usual_seconds, found.worse) == (Conclusion.PASSED, 90.0, True)
    own = compare(mine, [attempt(2, "g")], target=target, target_name="main")
    assert (own.change, own.target) == (Change.BROKEN, None)


def test_how_a_ref_stands_is_its_newest_build_and_not_an_old_one_that_was_retried_last() -> None:
    assert state_of([]) is None
    assert state_of([attempt(1, "c")]) is None
    history = [attempt(8, "r"), attempt(9, "r"), attempt(14, "g"), attempt(9, "r", attempt_no=2, ended=40)]
    state = state_of(history)
    assert state is not None
    assert (state.newest.number, state.red_since) == (14, None)
    red = state_of([*history, attempt(15, "r"), attempt(16, "t")])
    assert red is not None
    assert red.red_since is not None
    assert (red.newest.number, red.red_since.number) == (16, 15)


def test_builds_without_a_number_are_compared_by_their_creation() -> None:
    history = [replace(attempt(number, "r"), number=None) for number in (1, 2)]
    found = compare(replace(attempt(3, "r"), number=None), history)
    assert (found.change, found.streak, found.red_since) == (Change.STILL_FAILING, 3, None)


@dataclass(frozen=True)
class Run:
    """One attempt of a history as it is generated."""

    build: int
    word: str
    commit: int
    ended: int


runs = st.lists(
    st.builds(
        Run,
        build=st.integers(1, 7),
        word=st.sampled_from("ggrrtpcso?"),
        commit=st.integers(1, 4),
        ended=st.integers(1, 50),
    ),
    max_size=12,
)


def history_of(listed: list[Run]) -> list[PastAttempt]:
    """Attempts of up to seven builds, some of the same commits, ended at any time."""
    commits: dict[int, int] = {}
    counted: dict[int, int] = {}
    first: dict[int, int] = {}
    for run in listed:
        commit = commits.setdefault(run.build, run.commit)
        first[commit] = min(first.get(commit, run.build), run.build)
    made = []
    for run in listed:
        counted[run.build] = counted.get(run.build, 0) + 1
        commit = commits[run.build]
        made.append(
            attempt(
                run.build,
                run.word,
                attempt_no=counted[run.build],
                commit=f"c{commit}",
                commit_at=first[commit],
                ended=run.ended,
            )
        )
    return made


def slowly(mine: PastAttempt, history: list[PastAttempt]) -> tuple[Change, int]:
    """Say what a careful person says who walks through the builds one by one."""
    if mine.conclusion is None or mine.conclusion in NO_RESULT:
        return Change.NONE, 0
    order = sorted({past.position for past in history} | {mine.position})
    colours: list[str] = []
    for position in order[: order.index(mine.position)]:
        results = [past for past in history if past.position == position and past.conclusion not in NO_RESULT]
        results.sort(key=lambda past: past.attempt_no)
        if results and results[-1].conclusion is not None:
            colours.append("red" if results[-1].is_red else "green")
    own = [
        "red" if past.is_red else "green"
        for past in sorted(history, key=lambda past: past.attempt_no)
        if past.build == mine.build
        and past.attempt_no < mine.attempt_no
        and past.conclusion is not None
        and past.conclusion not in NO_RESULT
    ]
    last = own[-1] if own else colours[-1] if colours else ""
    same = 0
    for colour in reversed(colours):
        if colour != colours[-1]:
            break
        same += 1
    red_before = same if colours and colours[-1] == "red" else 0
    green_before = same if colours and colours[-1] == "green" else 0
    if not last:
        return Change.FIRST, 1 if mine.is_red else 0
    if mine.is_red and last == "red":
        return Change.STILL_FAILING, red_before + 1
    if mine.is_red:
        return Change.BROKEN, green_before or 1
    if last == "red":
        return Change.FIXED, red_before + (1 if own else 0)
    return Change.STILL_PASSING, 0


@given(runs, st.data())
def test_any_history_reads_as_a_careful_person_reads_it(listed: list[Run], data: st.DataObject) -> None:
    history = history_of(listed)
    if not history:
        return
    mine = data.draw(st.sampled_from(history))
    found = compare(mine, [past for past in history if past is not mine])
    assert (found.change, found.streak) == slowly(mine, history)


@given(runs, st.randoms(use_true_random=False))
def test_the_order_of_the_history_does_not_matter(listed: list[Run], chance: random.Random) -> None:
    history = history_of(listed)
    shuffled = list(history)
    chance.shuffle(shuffled)
    mine = attempt(8, "r")
    assert compare(mine, shuffled) == compare(mine, history)
    assert state_of(shuffled) == state_of(history)


@given(runs)
def test_when_a_build_ended_changes_neither_the_change_nor_the_streak(listed: list[Run]) -> None:
    history = history_of(listed)
    moved = [replace(past, completed_at=past.completed_at + 1000 * HOUR) for past in history]
    mine = attempt(8, "g")
    found, later = compare(mine, history), compare(mine, moved)
    assert (found.change, found.streak, found.red_since, found.is_rerun) == (
        later.change,
        later.streak,
        later.red_since,
        later.is_rerun,
    )


@given(runs, st.sampled_from("grtp"))
def test_newer_builds_change_nothing_but_that_they_are_there(listed: list[Run], last: str) -> None:
    history = history_of(listed)
    mine = attempt(8, last)
    found = compare(mine, [*history, attempt(9, "r"), attempt(10, "g")])
    assert found.is_outdated
    assert replace(found, is_outdated=False, newer=None, newer_conclusion=None) == compare(mine, history)
