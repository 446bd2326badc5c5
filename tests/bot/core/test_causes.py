"""What a failure is likely to come from, and what recognises it from run to run."""

from typing import Any

import pytest

from bot.core.causes import Cause, diagnose
from bot.core.models import Build, Conclusion, Issue, IssueCounts, IssueKind, Job, Status
from bot.core.signatures import LONGEST, normalised, signature

BUILD = Build(
    connection="works", pipeline="p", id="b", status=Status.COMPLETED, conclusion=Conclusion.FAILED, commit="c" * 40
)


def error(message: str, **fields: Any) -> Issue:
    return Issue(kind=IssueKind.ERROR, message=message, **fields)


def job(reason: str) -> Job:
    return Job(id="j", build="b", pipeline="p", name="unit", reason=reason)


TEST = Issue(kind=IssueKind.TEST_FAILURE, message="LoginTests.testToken — expected 200, got 503 Service Unavailable")


@pytest.mark.parametrize(
    ("conclusion", "issues", "reasons", "same_passed", "cause"),
    [
        ("failed", [error("use of undeclared identifier 'x'")], [], False, Cause.CODE),
        ("failed", [TEST], [], False, Cause.TEST),
        ("failed", [TEST], [], True, Cause.TEST),
        ("timeout", [], [], False, Cause.TIMEOUT),
        ("failed", [], ["job_execution_timeout"], False, Cause.TIMEOUT),
        ("failed", [], ["stuck_or_timeout_failure"], False, Cause.TIMEOUT),
        ("failed", [], ["runner_system_failure"], False, Cause.INFRASTRUCTURE),
        ("failed", [], ["agent lost"], False, Cause.INFRASTRUCTURE),
        ("failed", [], ["infrastructure_fail"], False, Cause.INFRASTRUCTURE),
        ("failed", [TEST], ["agent_lost"], False, Cause.INFRASTRUCTURE),
        ("timeout", [], ["The agent was lost"], False, Cause.INFRASTRUCTURE),
        ("failed", [error("The runner has received a shutdown signal.")], [], False, Cause.INFRASTRUCTURE),
        ("failed", [error("write /var/cache: no space left on device")], [], False, Cause.INFRASTRUCTURE),
        ("failed", [error("curl: (56) Connection reset by peer")], [], False, Cause.INFRASTRUCTURE),
        (
            "failed",
            [error("java.net.UnknownHostException: Could not resolve host: nexus")],
            [],
            False,
            Cause.INFRASTRUCTURE,
        ),
        ("failed", [error("pod was OOMKilled")], [], False, Cause.INFRASTRUCTURE),
        ("failed", [error("exit status 1")], [], True, Cause.INFRASTRUCTURE),
        ("failed", [], [], True, Cause.INFRASTRUCTURE),
        ("failed", [error("Invalid YAML in line 3")], [], False, Cause.CONFIGURATION),
        ("failed", [error("fatal: Authentication failed for 'https://x'")], [], False, Cause.CONFIGURATION),
        ("failed", [], [], False, Cause.UNKNOWN),
        # words of the code are no words of the machines
        ("failed", [error("cannot find 'NetworkAgent' in scope")], [], False, Cause.CODE),
        ("failed", [error("unused variable 'machine'")], [], False, Cause.CODE),
        ("failed", [error("type 'Connection' has no member 'killed'")], [], False, Cause.CODE),
    ],
)
def test_a_failure_has_a_likely_cause(
    conclusion: str, issues: list[Issue], reasons: list[str], same_passed: bool, cause: Cause
) -> None:
    build = Build(
        connection="works",
        pipeline="p",
        id="b",
        status=Status.COMPLETED,
        conclusion=Conclusion(conclusion),
        commit="c" * 40,
    )
    assert diagnose(build, issues, [job(reason) for reason in reasons], same_commit_passed=same_passed).cause is cause


def test_tests_that_are_only_counted_are_tests_too() -> None:
    build = BUILD.with_issues(IssueCounts(test_failures=2))
    assert diagnose(build, [error("exit status 65")]).cause is Cause.TEST


def test_what_the_systems_words_speak_of_is_said() -> None:
    assert diagnose(BUILD, [], [job("runner_system_failure")]).because == "the machine or agent was lost"
    assert diagnose(BUILD, [error("ENOSPC")]).because == "no space was left"
    assert diagnose(BUILD, [error("exit 1")], same_commit_passed=True).because == ""


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("lost 12 of 99 sheep", "lost 3 of 101 sheep"),
        ("took 1,234.5 s", "took 7 s"),
        ("at 0x7fff5fbff8a0 in main", "at 0x1 in main"),
        ("object deadbeef01 is gone", "object 0badcafe99 is gone"),
        ("see 1f2e3d4c-5b6a-4798-8a9b-0c1d2e3f4a5b", "see 00000000-0000-4000-8000-000000000000"),
        ("cannot open /tmp/build-81/a.log", "cannot open /srv/ci/run/b.log"),
        ("cannot open 'C:\\agent\\_work\\1\\s\\a.cs'", "cannot open 'D:\\w\\2\\s\\b.cs'"),
        ("2026-03-04T12:00:01.123Z gone", "2025-01-02 03:04:05 gone"),
        ("[12:01:02] gone", "[23:59] gone"),
        ("GET https://a.example/x?y=1 failed", "GET https://b.example/z failed"),
        ("gone\n  again", "Gone again"),
    ],
)
def test_what_differs_from_run_to_run_is_no_part_of_a_signature(one: str, other: str) -> None:
    assert normalised(one) == normalised(other)
    assert normalised(one)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (error("a is missing"), error("b is missing")),
        (error("gone", job="unit"), error("gone", job="lint")),
        (error("gone", file="src/a.c"), error("gone", file="src/b.c")),
        (error("gone"), Issue(kind=IssueKind.TEST_FAILURE, message="gone")),
        (error("AppTests/testLogin() failed"), error("AppTests/testLogout() failed")),
    ],
)
def test_different_failures_have_different_signatures(one: Issue, other: Issue) -> None:
    assert signature(one) != signature(other)


def test_the_place_of_a_file_and_its_line_are_no_part_of_a_signature() -> None:
    one = Issue(kind=IssueKind.ERROR, message="gone", file="/builds/81/src/a.c", line=3)
    assert signature(one) == signature(Issue(kind=IssueKind.ERROR, message="gone", file="/w/2/src/a.c", line=9))


def test_a_signature_is_short_whatever_the_message() -> None:
    assert len(normalised("word " * 100_000)) <= LONGEST
