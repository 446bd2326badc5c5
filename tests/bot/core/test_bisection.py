"""The search for a first bad commit, against every history that hypothesis thinks of."""

from math import ceil, log2

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.core.bisection import Result, Search, search

GOOD, BAD, SKIPPED = Result.GOOD, Result.BAD, Result.SKIPPED
HISTORIES = st.lists(st.sampled_from(Result), max_size=60).map(lambda truth: [*truth, BAD])


def play(truth: list[Result], known: dict[int, Result] | None = None) -> tuple[Search, int]:
    """Search a history whose builds end as `truth` says; return the end and how many builds it took."""
    results = dict(known or {})
    builds = 0
    while not (found := search(len(truth), results)).is_over:
        assert found.next is not None
        assert found.next not in results
        results[found.next] = truth[found.next]
        builds += 1
    return found, builds


@given(before=st.integers(0, 300), after=st.integers(0, 300))
def test_the_first_bad_commit_of_a_monotone_history_is_found_in_logarithmic_time(before: int, after: int) -> None:
    truth = [GOOD] * before + [BAD] * (after + 1)
    over, builds = play(truth)
    assert over.first_bad == before
    assert builds <= ceil(log2(len(truth)))


@given(before=st.integers(0, 60), after=st.integers(0, 60), data=st.data())
def test_results_that_are_known_already_are_never_built_again_and_cost_nothing(
    before: int, after: int, data: st.DataObject
) -> None:
    truth = [GOOD] * before + [BAD] * (after + 1)
    numbers = data.draw(st.sets(st.integers(0, len(truth) - 1)))
    over, builds = play(truth, {number: truth[number] for number in numbers})
    assert over.first_bad == before
    assert builds <= ceil(log2(len(truth)))


@given(truth=HISTORIES, data=st.data())
def test_whatever_the_history_a_commit_named_as_certain_is_bad_and_the_one_before_it_is_good(
    truth: list[Result], data: st.DataObject
) -> None:
    numbers = data.draw(st.sets(st.integers(0, len(truth) - 1)))
    over, builds = play(truth, {number: truth[number] for number in numbers})
    assert builds <= len(truth)
    if over.first_bad is not None:
        assert truth[over.first_bad] is BAD
        assert over.first_bad == 0 or truth[over.first_bad - 1] is GOOD


@given(truth=HISTORIES)
def test_the_range_that_remains_begins_after_a_good_commit_and_ends_with_a_bad_one(truth: list[Result]) -> None:
    over, _builds = play(truth)
    assert truth[over.high] is BAD
    assert over.low == -1 or truth[over.low] is GOOD
    assert all(truth[number] is SKIPPED for number in range(over.low + 1, over.high))
    assert (over.first_bad is None) == (over.high - over.low > 1 or not over.is_monotone)


@given(before=st.integers(0, 60), after=st.integers(0, 60), skipped=st.data())
def test_skipped_commits_never_make_another_commit_certain(before: int, after: int, skipped: st.DataObject) -> None:
    numbers = skipped.draw(st.sets(st.integers(0, before + after)))
    truth = [
        SKIPPED if number in numbers and number < before + after else GOOD if number < before else BAD
        for number in range(before + after + 1)
    ]
    over, _builds = play(truth)
    assert over.low < before <= over.high
    assert over.first_bad in {None, before}


@pytest.mark.parametrize(
    ("count", "results", "expected"),
    [
        (1, {}, Search(low=-1, high=0, next=None, is_monotone=True)),
        (8, {}, Search(low=-1, high=7, next=3, is_monotone=True)),
        (8, {3: GOOD}, Search(low=3, high=7, next=5, is_monotone=True)),
        (8, {3: BAD}, Search(low=-1, high=3, next=1, is_monotone=True)),
        (8, {3: SKIPPED}, Search(low=-1, high=7, next=2, is_monotone=True)),
        (4, {0: GOOD, 1: SKIPPED, 2: BAD}, Search(low=0, high=2, next=None, is_monotone=True)),
        (5, {1: BAD, 2: GOOD, 3: BAD}, Search(low=2, high=3, next=None, is_monotone=False)),
        (3, {1: GOOD, 2: GOOD}, Search(low=1, high=2, next=None, is_monotone=False)),
    ],
)
def test_what_is_built_next_and_where_a_search_ends(count: int, results: dict[int, Result], expected: Search) -> None:
    assert search(count, results) == expected


def test_how_many_builds_are_left_is_known() -> None:
    assert [search(count, {}).builds_left for count in (1, 2, 3, 4, 5, 8, 9)] == [0, 1, 2, 2, 3, 3, 4]


def test_no_commit_is_no_search() -> None:
    with pytest.raises(ValueError, match="no commit"):
        search(0, {})
