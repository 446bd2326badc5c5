from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.core.errors import UsageError
from bot.core.models import (
    Build,
    BuildFilter,
    BuildKey,
    Conclusion,
    IssueCounts,
    Job,
    Ref,
    RefKind,
    Status,
    Trigger,
    is_sha,
    parse_ref,
)

NOON = datetime(2031, 5, 4, 12, 0, tzinfo=UTC)
SHA = "0a1b2c3d4e5f60718293a4b5c6d7e8f901234567"


def build(**more: object) -> Build:
    return Build(connection="gl", pipeline="7", id="41", **more)  # type: ignore[arg-type]


# refs


@pytest.mark.parametrize(
    ("words", "kind", "name"),
    [
        ("main", RefKind.BRANCH, "main"),
        ("  main ", RefKind.BRANCH, "main"),
        ("feature/login", RefKind.BRANCH, "feature/login"),
        ("branch:1234567", RefKind.BRANCH, "1234567"),
        ("wip:later", RefKind.BRANCH, "wip:later"),
        ("tag:v1.2", RefKind.TAG, "v1.2"),
        ("TAG:v1.2", RefKind.TAG, "v1.2"),
        ("pr:12", RefKind.PULL_REQUEST, "12"),
        ("pr:#12", RefKind.PULL_REQUEST, "12"),
        ("mr:!12", RefKind.PULL_REQUEST, "12"),
        ("!12", RefKind.PULL_REQUEST, "12"),
        ("!twelve", RefKind.BRANCH, "!twelve"),
        ("0a1b2c3", RefKind.COMMIT, "0a1b2c3"),
        ("0A1B2C3", RefKind.COMMIT, "0a1b2c3"),
        (SHA, RefKind.COMMIT, SHA),
        ("commit:abcdef0", RefKind.COMMIT, "abcdef0"),
        ("sha:deadbeef", RefKind.COMMIT, "deadbeef"),
        ("deadbeef", RefKind.BRANCH, "deadbeef"),
        ("0a1b2c", RefKind.BRANCH, "0a1b2c"),
        (SHA + "0", RefKind.BRANCH, SHA + "0"),
        ("a" * 40, RefKind.COMMIT, "a" * 40),
    ],
)
def test_refs_are_read_as_people_type_them(words: str, kind: RefKind, name: str) -> None:
    assert parse_ref(words) == Ref(kind=kind, name=name)


@pytest.mark.parametrize("words", ["", "   "])
def test_an_empty_ref_is_refused_with_the_forms_there_are(words: str) -> None:
    with pytest.raises(UsageError, match="missing after `@`") as caught:
        parse_ref(words)
    assert "tag:NAME" in (caught.value.hint or "")


NAMES = st.one_of(
    st.text("abcdef0123456789", min_size=1, max_size=41),
    st.text("abz019/.-_:!#", min_size=1, max_size=20),
    st.sampled_from(["tag:x", "Branch:y", "pr:3", "!9", "commit:z", "deadbeef", "main"]),
)


@given(NAMES)
def test_a_ref_that_was_written_down_is_read_back(name: str) -> None:
    for kind in (RefKind.BRANCH, RefKind.TAG):
        ref = Ref(kind=kind, name=name)
        assert parse_ref(str(ref)) == ref
    commit = Ref(kind=RefKind.COMMIT, name=name)
    assert parse_ref(str(commit)) == commit


def test_a_pull_request_is_read_back() -> None:
    ref = Ref(kind=RefKind.PULL_REQUEST, name="12")
    assert str(ref) == "pr:12"
    assert parse_ref(str(ref)) == ref


def test_plain_names_are_written_plainly() -> None:
    assert str(Ref(kind=RefKind.BRANCH, name="feature/login")) == "feature/login"
    assert str(Ref(kind=RefKind.COMMIT, name=SHA)) == SHA
    assert str(Ref(kind=RefKind.BRANCH, name="")) == ""


def test_a_word_of_hex_letters_alone_is_no_commit() -> None:
    assert not is_sha("deadbeef")
    assert is_sha("deadbee1")
    assert not is_sha("12345g7")


# builds


def test_a_build_is_named_by_its_key_which_sorts() -> None:
    assert build().key == BuildKey(connection="gl", pipeline="7", id="41")
    keys = [BuildKey(connection="b", pipeline="1", id="1"), BuildKey(connection="a", pipeline="9", id="9")]
    assert min(keys).connection == "a"


@pytest.mark.parametrize(
    ("message", "subject"),
    [("Fix it\n\nbecause", "Fix it"), ("\n  Fix it  \nx", "Fix it"), ("", None), ("\n\n", None), (None, None)],
)
def test_the_subject_is_the_first_line_that_says_something(message: str | None, subject: str | None) -> None:
    assert build(message=message).subject == subject


@pytest.mark.parametrize(
    ("parts", "ref"),
    [
        ({"branch": "main", "tag": "v1", "commit": SHA}, "main"),
        ({"tag": "v1", "pull_request": "4"}, "v1"),
        ({"pull_request": "4", "commit": SHA}, "!4"),
        ({"commit": SHA}, "0a1b2c3d"),
        ({}, None),
    ],
)
def test_what_was_built_is_shown_by_its_best_name(parts: dict[str, str], ref: str | None) -> None:
    assert build(**parts).ref == ref


def test_durations_are_known_only_with_both_ends_and_never_negative() -> None:
    later = NOON + timedelta(seconds=90)
    timed = build(created_at=NOON, started_at=later, completed_at=later + timedelta(seconds=0.5))
    assert (timed.waited_seconds, timed.seconds) == (90.0, 0.5)
    assert build(started_at=NOON).seconds is None
    assert build(completed_at=NOON).seconds is None
    assert build(created_at=NOON).waited_seconds is None
    assert build(created_at=later, started_at=later, completed_at=NOON).seconds == 0.0
    assert build(created_at=later, started_at=NOON).waited_seconds == 0.0
    job = Job(id="1", build="41", pipeline="7", name="test", started_at=NOON, completed_at=later)
    assert job.seconds == 90.0
    assert Job(id="1", build="41", pipeline="7", name="test", started_at=NOON).seconds is None


def test_a_build_is_completed_by_its_status_alone() -> None:
    assert build(status=Status.COMPLETED).completed
    assert not build(status=Status.IN_PROGRESS, conclusion=Conclusion.FAILED).completed


@pytest.mark.parametrize("conclusion", list(Conclusion))
def test_red_is_what_somebody_has_to_mend(conclusion: Conclusion) -> None:
    assert conclusion.is_red is (conclusion.value in {"failed", "timeout", "partial"})


# counts


def test_unknown_counts_are_filled_and_known_zeros_stay() -> None:
    counts = IssueCounts(errors=0, warnings=None)
    filled = counts.filled(IssueCounts(errors=5, warnings=2, analyzer_warnings=1, test_failures=3, tests_total=9))
    assert filled == IssueCounts(errors=0, warnings=2, analyzer_warnings=1, test_failures=3, tests_total=9)
    assert filled.filled(IssueCounts()) == filled
    assert build().with_issues(filled).issues == filled


def test_counts_are_known_when_one_of_the_four_is() -> None:
    assert not IssueCounts().known
    assert not IssueCounts(tests_total=4).known
    assert IssueCounts(test_failures=0).known


# filters


@pytest.mark.parametrize(
    ("wanted", "admitted"),
    [
        (BuildFilter(), True),
        (BuildFilter(branch="main"), True),
        (BuildFilter(branch="Main"), False),
        (BuildFilter(commit="0a1b2c3"), True),
        (BuildFilter(commit="0A1B2C3"), True),
        (BuildFilter(commit="1b2c3d4"), False),
        (BuildFilter(states=frozenset({"failed"})), True),
        (BuildFilter(states=frozenset({"completed"})), True),
        (BuildFilter(states=frozenset({"passed", "in_progress"})), False),
        (BuildFilter(states=frozenset({"blocked"})), False),
        (BuildFilter(branch="main", states=frozenset({"passed"})), False),
    ],
)
def test_a_filter_admits_by_branch_commit_and_states(wanted: BuildFilter, admitted: bool) -> None:
    failed = build(branch="main", commit=SHA, status=Status.COMPLETED, conclusion=Conclusion.FAILED)
    assert wanted.admits(failed) is admitted


def test_a_filter_knows_waiting_builds_and_ends_in_unknown_words() -> None:
    waiting = build(status=Status.IN_PROGRESS, waiting=True)
    assert BuildFilter(states=frozenset({"blocked"})).admits(waiting)
    assert BuildFilter(states=frozenset({"in_progress"})).admits(waiting)
    assert BuildFilter(states=frozenset({"unknown"})).admits(build(status=Status.COMPLETED))
    assert not BuildFilter(commit="0a1b2c3").admits(build())
    assert not BuildFilter(branch="main").admits(build())


@pytest.mark.parametrize(
    ("fields", "ref"),
    [
        ({"branch": "main"}, Ref(kind=RefKind.BRANCH, name="main")),
        ({"branch": "main", "trigger": Trigger.PUSH, "from_fork": False}, Ref(kind=RefKind.BRANCH, name="main")),
        ({"branch": "main", "pull_request": "7"}, Ref(kind=RefKind.PULL_REQUEST, name="7")),
        ({"branch": "main", "pull_request": "7", "from_fork": True}, Ref(kind=RefKind.PULL_REQUEST, name="7")),
        ({"branch": "main", "from_fork": True}, None),
        ({"branch": "main", "trigger": Trigger.MERGE_REQUEST}, None),
        ({"branch": "main", "trigger": Trigger.MERGE_REQUEST, "from_fork": False}, None),
        ({"tag": "v1"}, Ref(kind=RefKind.TAG, name="v1")),
        ({"tag": "v1", "trigger": Trigger.MERGE_REQUEST}, None),
        ({"commit": "a1b2c3d"}, None),
    ],
)
def test_a_build_whose_origin_is_unknown_is_in_no_branch_s_history_unless_it_was_pushed(
    fields: dict[str, Any], ref: Ref | None
) -> None:
    assert Build(connection="c", pipeline="p", id="1", **fields).history_ref == ref
