from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.core.models import Build, Conclusion, IssueCounts, Person, Status, Trigger
from bot.store.steps import PreviousState, Step, pack, pack_counts, restart, step, unpack, unpack_counts
from tests.bot.store.rows import NOW, ended, running

LATER = NOW + timedelta(minutes=5)


def known(
    build: Build, *, attempt_no: int = 1, is_ended: bool | None = None, last_end: datetime | None = None
) -> PreviousState:
    return PreviousState(
        build=build, attempt_no=attempt_no, ended=build.completed if is_ended is None else is_ended, last_end=last_end
    )


@pytest.mark.parametrize(
    ("build", "before", "expected"),
    [
        pytest.param(running(), None, (1, False), id="a build met for the first time is in its first attempt"),
        pytest.param(ended(), None, (1, False), id="so is one met at its end"),
        pytest.param(running(attempt=3), None, (3, False), id="unless its system counts attempts"),
        pytest.param(ended(), known(running()), (1, False), id="an end belongs to the attempt that ran"),
        pytest.param(running(), known(ended()), (2, True), id="an ended build that runs again is in a new attempt"),
        pytest.param(
            running(attempt=2), known(ended(attempt=1)), (2, True), id="and the system's count of attempts is used"
        ),
        pytest.param(running(attempt=4), known(ended(attempt=1)), (4, True), id="also when some were missed"),
        pytest.param(running(attempt=1), known(ended(attempt=1)), (2, True), id="or when the count stood still"),
        pytest.param(ended(attempt=2), known(ended(attempt=1)), (2, False), id="a new attempt's end, its start unseen"),
        pytest.param(ended(attempt=2), known(running(attempt=1)), (2, False), id="and the end before unseen too"),
        pytest.param(running(attempt=2), known(running(attempt=1)), (2, False), id="a new attempt, the end unseen"),
        pytest.param(ended(completed_at=LATER), known(ended()), (2, False), id="another end is another attempt"),
        pytest.param(
            ended(attempt=1, completed_at=LATER, raw_state="x"),
            known(ended(attempt=1)),
            (1, False),
            id="but not where the system says it is the same attempt",
        ),
        pytest.param(
            ended(completed_at=NOW + timedelta(milliseconds=999), raw_state="x"),
            known(ended()),
            (1, False),
            id="a fraction of a second is no other end",
        ),
        pytest.param(
            ended(completed_at=None, raw_state="x"), known(ended()), (1, False), id="an end without a time is no other"
        ),
        pytest.param(
            ended(raw_state="x"), known(ended(completed_at=None)), (1, False), id="a time learned later is no other end"
        ),
        pytest.param(
            ended(conclusion=Conclusion.FAILED), known(ended()), (1, False), id="a corrected result is the same attempt"
        ),
        pytest.param(
            ended(), known(ended(), is_ended=False), (1, False), id="an end that a start brought is still to be written"
        ),
        pytest.param(
            ended(completed_at=LATER),
            known(running(), attempt_no=2, last_end=NOW),
            (2, False),
            id="a reopened build's new end",
        ),
    ],
)
def test_a_polled_build_is_put_into_its_attempt(
    build: Build, before: PreviousState | None, expected: tuple[int, bool]
) -> None:
    taken = step(build, before)
    assert taken is not None
    assert (taken.attempt_no, taken.reopened) == expected


@pytest.mark.parametrize(
    ("build", "before"),
    [
        pytest.param(running(), known(running()), id="the same"),
        pytest.param(ended(), known(ended()), id="the same end"),
        pytest.param(
            running(updated_at=NOW), known(running(updated_at=LATER, raw_state="x")), id="an update before the last one"
        ),
        pytest.param(
            running(updated_at=NOW), known(ended(updated_at=LATER)), id="running, in an update before its end"
        ),
        pytest.param(ended(attempt=1), known(running(attempt=2)), id="the attempt before"),
        pytest.param(running(attempt=1), known(ended(attempt=2)), id="the attempt before, running"),
        pytest.param(ended(), known(running(), attempt_no=2, last_end=NOW), id="the end of the attempt before"),
        pytest.param(
            ended(completed_at=NOW - timedelta(seconds=1)),
            known(running(), attempt_no=2, last_end=NOW),
            id="an end before the end of the attempt before",
        ),
        pytest.param(
            running(branch=None, commit=None, author=None, web_url=None),
            known(running(commit="abc1234", author=Person(name="Ada"), web_url="https://ci.example/1")),
            id="the same with less said",
        ),
    ],
)
def test_what_is_old_or_the_same_adds_nothing(build: Build, before: PreviousState) -> None:
    assert step(build, before) is None


def test_what_a_list_leaves_out_is_kept_from_a_fuller_answer() -> None:
    full = running(commit="abc1234", message="Fix", trigger=Trigger.PUSH, jobs={"passed": 1}, attempt=1, updated_at=NOW)
    short = running(branch=None, raw_state="still_running", created_at=None)
    assert step(short, known(full)) == Step(build=replace(full, raw_state="still_running"), attempt_no=1)


def test_job_counts_of_another_state_are_not_kept() -> None:
    taken = step(ended(), known(running(jobs={"in_progress": 2})))
    assert taken is not None
    assert taken.build.jobs is None


def test_issue_counts_of_an_ended_attempt_are_kept() -> None:
    counted = ended(issues=IssueCounts(errors=2))
    assert step(ended(), known(counted)) is None


def test_issue_counts_of_a_running_build_are_not_taken_for_its_result() -> None:
    taken = step(ended(), known(running(issues=IssueCounts(errors=0))))
    assert taken is not None
    assert not taken.build.issues.known


def test_issue_counts_of_one_attempt_are_not_taken_into_the_next() -> None:
    taken = step(running(), known(ended(issues=IssueCounts(errors=2), started_at=NOW)))
    assert taken is not None
    assert not taken.build.issues.known
    assert taken.build.started_at is None
    assert taken.build.completed_at is None


def test_the_first_time_reported_of_an_end_stays() -> None:
    nearly = NOW + timedelta(milliseconds=300)
    whole = ended()
    assert step(replace(whole, completed_at=nearly), known(whole)) is None


@pytest.mark.parametrize(
    ("build", "before", "attempt_no", "attempt"),
    [
        (ended(), known(ended(), attempt_no=3), 4, None),
        (running(), None, 4, None),
        (running(attempt=5), None, 5, 5),
        (running(attempt=1), known(ended(attempt=1), attempt_no=3), 4, None),
        (running(attempt=2), known(ended(attempt=1), attempt_no=3), 4, 2),
    ],
)
def test_a_restarted_build_is_in_a_new_attempt_whatever_its_system_shows(
    build: Build, before: PreviousState | None, attempt_no: int, attempt: int | None
) -> None:
    taken = restart(build, before, after_attempt=3)
    assert taken is not None
    assert (taken.attempt_no, taken.build.attempt, taken.reopened) == (attempt_no, attempt, True)


def test_an_attempt_that_a_system_counts_after_it_answered_is_counted_once() -> None:
    taken = restart(ended(attempt=1), known(ended(attempt=1)), after_attempt=1)
    assert taken is not None
    counted = step(running(attempt=2), known(taken.build, attempt_no=2, is_ended=False))
    assert counted is not None
    assert (counted.attempt_no, counted.build.attempt) == (2, 2)


def test_a_restart_that_a_poll_has_seen_already_is_no_second_one() -> None:
    assert restart(running(), known(running(), attempt_no=2, is_ended=False), after_attempt=1) is None


def test_a_fork_and_a_label_last_where_a_list_leaves_them_out() -> None:
    taken = step(running(raw_state="half"), known(running(from_fork=True, label="20260815.3"), is_ended=False))
    assert taken is not None
    assert (taken.build.from_fork, taken.build.label) == (True, "20260815.3")


def test_builds_come_back_as_they_were_and_equal_ones_are_equal_text() -> None:
    build = ended(
        author=Person(name="Ada"), issues=IssueCounts(errors=1), jobs={"passed": 2, "failed": 1}, trigger=Trigger.CRON
    )
    assert unpack(pack(build)) == build
    assert pack(build) == pack(replace(build, jobs={"failed": 1, "passed": 2}))


def test_unknown_counts_are_empty_text_and_come_back_unknown() -> None:
    assert pack_counts(IssueCounts(tests_total=3)) == ""
    assert unpack_counts("") == IssueCounts()
    assert unpack_counts(pack_counts(IssueCounts(errors=0))) == IssueCounts(errors=0)


looks = st.builds(
    lambda status, attempt, end, updated: running(
        status=status,
        attempt=attempt,
        completed_at=NOW + timedelta(seconds=end) if end is not None and status is Status.COMPLETED else None,
        updated_at=NOW + timedelta(seconds=updated) if updated is not None else None,
    ),
    st.sampled_from(Status),
    st.none() | st.integers(1, 3),
    st.none() | st.integers(0, 30),
    st.none() | st.integers(0, 30),
)


@given(st.lists(looks, max_size=8))
def test_attempts_never_go_back_and_the_same_poll_twice_adds_nothing(seen: list[Build]) -> None:
    before: PreviousState | None = None
    for build in seen:
        taken = step(build, before)
        if taken is not None:
            assert before is None or taken.attempt_no >= before.attempt_no
            before = PreviousState(build=taken.build, attempt_no=taken.attempt_no, ended=taken.build.completed)
        assert step(build, before) is None
