"""What failed first: tests before steps, new before known, retried passes left out, flaky by the bot's own history."""

from typing import Any

import pytest

from bot.core.models import Issue, IssueKind, Outcome, TestCase
from bot.notifications.failures import (
    MOST_KEPT,
    Flakiness,
    failing_tests,
    flakiness,
    in_order,
    known_before,
    pack_failures,
    signature,
    unpack_failures,
)
from bot.store.rows import AttemptRow
from tests.bot.store.rows import CONNECTION, NOW, PIPELINE, ago

TEST, ERROR = IssueKind.TEST_FAILURE, IssueKind.ERROR


def failed_test(name: str, why: str = "no") -> Issue:
    return Issue(kind=TEST, message=f"{name} — {why}")


def row(number: int, *failures: Issue, attempt_no: int = 1, commit: str = "", conclusion: str = "") -> AttemptRow:
    return AttemptRow(
        id=number,
        connection=CONNECTION,
        pipeline=PIPELINE,
        build=f"b{number}",
        attempt_no=attempt_no,
        number=number,
        commit_sha=commit,
        conclusion=conclusion or ("failed" if failures else "passed"),
        failures=pack_failures(failures),
        completed_at=NOW,
        seen_at=NOW,
        built_at=ago(hours=50 - number),
    )


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (failed_test("testLogin", "expected 1"), failed_test("testLogin", "timed out"), True),
        (failed_test("testLogin"), failed_test("testLogout"), False),
        (failed_test("case 17"), failed_test("case 18"), True),
        (Issue(kind=ERROR, message="exit 1 at 0x7ffe\nlog"), Issue(kind=ERROR, message="exit 2 at 0x1a\nother"), True),
        (Issue(kind=ERROR, message="a", file="x.c"), Issue(kind=ERROR, message="a", file="y.c"), False),
        (Issue(kind=ERROR, message="a"), Issue(kind=TEST, message="a"), False),
    ],
)
def test_a_failure_is_known_again_whatever_numbers_it_holds(one: Issue, other: Issue, same: bool) -> None:
    assert (signature(one) == signature(other)) is same


def test_tests_come_before_steps_and_new_ones_before_known_ones() -> None:
    old, new, step = failed_test("old"), failed_test("new"), Issue(kind=ERROR, message="exit status 1")
    warning = Issue(kind=IssueKind.WARNING, message="unused")
    known = frozenset({signature(old)})
    assert in_order([step, old, warning, new], known) == [new, old, step]


def case(outcome: Outcome, **fields: Any) -> TestCase:
    return TestCase(**{"name": "refresh", "class_name": "Login", **fields}, outcome=outcome)


@pytest.mark.parametrize(
    ("tests", "count"),
    [
        ((case(Outcome.FAILED, message="401"),), 1),
        ((case(Outcome.FAILED), case(Outcome.PASSED)), 0),
        ((case(Outcome.PASSED), case(Outcome.FAILED)), 0),
        ((case(Outcome.FAILED), case(Outcome.SKIPPED)), 1),
        ((case(Outcome.FAILED, detail="iPhone"), case(Outcome.PASSED, detail="iPad")), 1),
        ((case(Outcome.FAILED), case(Outcome.PASSED, class_name="Logout")), 1),
    ],
)
def test_a_test_that_passed_on_a_retry_is_no_failure(tests: tuple[TestCase, ...], count: int) -> None:
    assert len(failing_tests(tests)) == count


def test_what_failed_before_is_the_earlier_attempt_s_else_the_build_s_before() -> None:
    history = [row(9, failed_test("newer")), row(7, failed_test("before")), row(5, failed_test("long ago"))]
    assert known_before(row(8, failed_test("x")), history) == {signature(failed_test("before"))}
    again = row(8, failed_test("x"), attempt_no=2)
    assert known_before(again, [*history, row(8, failed_test("first try"))]) == {signature(failed_test("first try"))}
    assert known_before(row(1, failed_test("x")), history) == frozenset()


def test_a_failure_is_flaky_where_a_commit_that_had_it_passed_as_well() -> None:
    mine = failed_test("refresh", "401")
    history = [
        row(9, mine, commit="cc"),
        row(8, commit="bb"),
        row(7, failed_test("refresh", "500"), commit="aa"),
        row(6, commit="aa"),
        row(5, failed_test("other"), commit="dd"),
    ]
    assert flakiness(mine, history) == Flakiness(failed=2, results=5)
    assert flakiness(mine, [entry for entry in history if entry.number != 6]) is None
    assert flakiness(failed_test("other"), history) is None
    retried = [row(4, mine), row(4, attempt_no=2)]
    assert flakiness(mine, retried) == Flakiness(failed=1, results=2)


def test_many_failures_are_kept_by_name_and_the_first_ones_whole() -> None:
    failures = [failed_test(f"test {chr(97 + number % 26)}{number}", "x" * 900) for number in range(50)]
    kept = unpack_failures(row(1, *failures))
    assert len(kept) == MOST_KEPT
    assert [len(issue.message) > 900 for issue in kept[:4]] == [True, True, True, False]
    assert signature(kept[20]) == signature(failures[20])
    assert unpack_failures(row(2)) == ()
