"""Numbers of many builds: percentiles, days, groups, flaky tests, slow jobs, queues, commits."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from bot.core.errors import Unavailable
from bot.core.models import Build, Conclusion, Job, Outcome, Person, Pipeline, Status, TestCase
from bot.store import Store
from bot.store.rows import AttemptRow
from commands.core.context import Context, Source
from commands.look.newest import flaky_tests
from commands.look.statistics import by_day, percentile, queue_seconds, tally
from commands.slack.app import SlackApp
from tests.bot.blocks.checks import check_schema
from tests.commands.fakes import NOW, FakeProvider, RecordingSender
from tests.commands.reading import Linked, Recorded, Say, first, said
from tests.set_clock import SetClock

URL = "https://slack.example/response/1"


def attempt(**fields: Any) -> AttemptRow:
    """Return an attempt that waited 30 s and ran 5 m, unless told otherwise."""
    given: dict[str, Any] = {
        "id": 1,
        "connection": "works",
        "pipeline": "p-app",
        "build": "b1",
        "attempt_no": 1,
        "conclusion": "passed",
        "seconds": 300.0,
        "built_at": NOW - timedelta(seconds=330),
        "completed_at": NOW,
        "seen_at": NOW,
    }
    return AttemptRow(**(given | fields))


@pytest.mark.parametrize(
    ("values", "share", "expected"),
    [
        ([], 0.5, None),
        ([7], 0.9, 7),
        ([4, 1, 3, 2], 0.5, 2),
        ([5, 1, 3, 2, 4], 0.5, 3),
        (list(range(1, 11)), 0.9, 9),
        (list(range(1, 12)), 0.9, 10),
        ([1, 2], 1.0, 2),
        ([1, 2], 0.0, 1),
    ],
)
def test_a_percentile_is_a_value_that_so_many_do_not_exceed(
    values: list[float], share: float, expected: float | None
) -> None:
    assert percentile(values, share) == expected


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, 30.0),
        ({"approval_seconds": 20.0}, 10.0),
        ({"attempt_no": 2}, None),
        ({"built_at": None}, None),
        ({"seconds": None}, None),
        ({"built_at": NOW}, None),
    ],
)
def test_a_build_waited_from_its_creation_to_its_start(fields: dict[str, Any], expected: float | None) -> None:
    assert queue_seconds(attempt(**fields)) == expected


def test_only_what_passed_or_failed_counts_for_the_success_rate() -> None:
    ends = ["passed", "passed", "failed", "timeout", "cancelled", "skipped"]
    group = tally("all", [attempt(conclusion=end) for end in ends])
    assert (group.builds, group.passed, group.failed, group.share) == (6, 2, 2, 50.0)
    assert tally("none", [attempt(conclusion="cancelled")]).share is None


def test_days_are_those_of_the_readers_zone() -> None:
    late = datetime(2026, 3, 1, 23, 30, tzinfo=UTC)
    days, width = by_day(
        [attempt(completed_at=late)], late - timedelta(days=2), late + timedelta(hours=1), ZoneInfo("Asia/Tokyo")
    )
    assert ([day.name for day in days], width) == (["Mar 2"], 1)


@pytest.mark.parametrize(("span", "width"), [(1, 1), (19, 1), (20, 2), (30, 2), (365, 19), (3660, 184)])
def test_any_span_fits_into_twenty_days_that_differ_in_name(span: int, width: int) -> None:
    since = NOW - timedelta(days=span)
    ended = [attempt(completed_at=since + timedelta(days=day)) for day in range(span + 1)]
    days, days_each = by_day(ended, since, NOW, UTC)
    assert days_each == width
    assert len({day.name for day in days}) == len(days) <= 20
    assert sum(day.builds for day in days) == span + 1


def run_of(commit: str, **outcomes: Outcome) -> tuple[Build, list[TestCase]]:
    build = Build(connection="works", pipeline="p-app", id=commit, commit=commit)
    return build, [TestCase(name=name, outcome=outcome) for name, outcome in outcomes.items()]


def test_a_test_is_flaky_that_passed_and_failed_for_one_commit_or_keeps_changing() -> None:
    passed, failed = Outcome.PASSED, Outcome.FAILED
    runs = [
        run_of("a", both=failed, mended=passed, swings=passed, broken=passed, skipped=Outcome.SKIPPED),
        run_of("a", both=passed, mended=passed, swings=failed, broken=passed, skipped=failed),
        run_of("b", both=passed, mended=failed, swings=passed, broken=failed),
        run_of("c", both=passed, mended=passed, swings=failed, broken=failed),
    ]
    flaky = flaky_tests(runs)
    assert [(test.name, test.runs, test.failed, test.same_commit, test.flips) for test in flaky] == [
        ("swings", 4, 2, 1, 3),
        ("both", 4, 1, 1, 1),
    ]


@pytest.fixture
async def history(works: FakeProvider, app: Pipeline, linked: Linked, recorded: Recorded) -> list[Build]:
    """Let four builds of app have ended on two days, with tests and jobs."""
    await linked()
    builds = [
        works.build_of(
            app,
            number,
            conclusion=Conclusion.FAILED if number % 2 else Conclusion.PASSED,
            commit="c" * 40,
            created_at=NOW - timedelta(days=day, minutes=12),
            started_at=NOW - timedelta(days=day, minutes=10),
            completed_at=NOW - timedelta(days=day),
            author=Person(name="Mika"),
        )
        for number, day in ((1, 3), (2, 3), (3, 1), (4, 0))
    ]
    for build in builds:
        end = Outcome.FAILED if (build.number or 0) % 2 else Outcome.PASSED
        works.known_tests[build.id] = (TestCase(name="testToken", class_name="Auth", outcome=end),)
        works.known_jobs[build.id] = tuple(
            Job(
                id=f"{name}{build.id}",
                build=build.id,
                pipeline=app.id,
                name=name,
                status=Status.COMPLETED,
                conclusion=Conclusion.PASSED,
                started_at=NOW,
                completed_at=NOW + timedelta(minutes=minutes),
            )
            for name, minutes in (("lint", 1), ("e2e", 8))
        )
    await recorded(*builds)
    return builds


@pytest.mark.usefixtures("history")
async def test_stats_draw_two_charts_and_their_tables_and_say_the_same_as_text(say: Say) -> None:
    message = (await say("stats --since 7d")).answer.message
    assert message is not None
    payload = message.payload()
    check_schema(payload)
    charts = [block for block in payload["blocks"] if block["type"] == "data_visualization"]
    tables = {block["caption"]: block for block in payload["blocks"] if block["type"] == "data_table"}
    ends, times = (chart["chart"] for chart in charts)
    assert {each["name"]: [point["value"] for point in each["data"]] for each in ends["series"]} == {
        "Passed": [1, 0, 1],
        "Failed": [1, 1, 0],
        "Success %": [50, 0, 100],
    }
    assert {each["name"]: [point["value"] for point in each["data"]] for each in times["series"]} == {
        "Run p50": [10, 0, 10],
        "Run p90": [10, 0, 10],
        "Queue p50": [2, 2, 2],
        "Queue p90": [2, 2, 2],
    }
    assert [cell["text"] for cell in tables["Flakiest tests"]["rows"][1]] == ["Auth.testToken", "4", "2", "1", "3"]
    assert [row[0]["text"] for row in tables["Slowest jobs"]["rows"]] == ["Job", "e2e", "lint"]
    simple = message.simple.payload()
    assert {block["type"] for block in simple["blocks"]} <= {"section", "context"}
    for words in ("50 % passed", "Auth.testToken", "e2e", "failed 2 of 4", "waited 2 m"):
        assert words in message.text, words
        assert words in str(simple["blocks"]), words


@pytest.mark.usefixtures("history")
@pytest.mark.parametrize(
    ("words", "caption", "row"),
    [
        ("stats --by author", "By author", ["Mika", "4", "2", "2", "50 %"]),
        ("stats --by Branch", "By branch", ["main", "4", "2", "2", "50 %"]),
        ("stats --by job", "Slowest jobs", ["e2e", "4", "0", "8 m 00 s", "8 m 00 s"]),
    ],
)
async def test_stats_are_added_up_by_what_was_named(say: Say, words: str, caption: str, row: list[str]) -> None:
    message = (await say(words)).answer.message
    assert message is not None
    (table,) = [block for block in message.blocks if block["type"] == "data_table"]
    assert table["caption"] == caption
    assert [cell["text"] for cell in table["rows"][1]][: len(row)] == row


@pytest.mark.usefixtures("history")
async def test_stats_come_without_what_the_ci_system_refuses(say: Say, works: FakeProvider) -> None:
    works.troubles["tests"] = Unavailable("works does not answer.", provider="works")
    handled = await say("stats")
    assert handled.outcome == "ok"
    assert "Tests and jobs could not be read: works does not answer." in said(handled)


@pytest.mark.parametrize("words", ["stats --by phase", "tests --flaky --new", "queue app#4", "changes a b c"])
async def test_words_without_a_meaning_are_refused(say: Say, words: str) -> None:
    assert (await say(words)).outcome == "refused"


@pytest.mark.usefixtures("history")
async def test_a_workspace_that_refuses_charts_gets_text_and_is_not_asked_again_for_a_week(
    slack_app: SlackApp, sender: RecordingSender, context_of: Callable[..., Context], set_clock: SetClock
) -> None:
    sender.unknown_blocks = {"data_table", "data_visualization"}

    async def posted(words: str, **fields: Any) -> list[bool]:
        """Return of each message that was tried whether it had charts."""
        before = len(sender.said)
        await slack_app.answer(words, context_of(**fields))
        assert "Auth.testToken" in sender.last.text
        return ["data_table" in call.text for call in sender.said[before:] if call.message is not None]

    assert await posted("stats", source=Source.MENTION) == [True, False]
    assert await posted("stats", source=Source.MENTION) == [False]
    assert await posted("stats", response_url=URL) == [False]
    assert await posted("stats", source=Source.MENTION, team="T1") == [False]
    set_clock.go(days=8)
    assert await posted("stats --since 60d", response_url=URL) == [True, True, False]


@pytest.mark.usefixtures("history")
async def test_charts_are_for_messages_and_not_for_forms(
    slack_app: SlackApp, sender: RecordingSender, context_of: Callable[..., Context]
) -> None:
    await slack_app._delivery.answer_in_modal("stats", context_of(trigger="T1"), view_id="")
    assert "data_" not in str(sender.view)
    assert "Auth.testToken" in str(sender.view)


@pytest.mark.usefixtures("history")
async def test_who_wants_plain_text_reads_the_charts_as_lines(
    slack_app: SlackApp, sender: RecordingSender, context_of: Callable[..., Context]
) -> None:
    await slack_app.answer("me plain on", context_of(response_url=URL))
    await slack_app.answer("stats", context_of(response_url=URL))
    plain = sender.last.message
    assert plain is not None
    assert plain.blocks == ()
    assert "Auth.testToken" in plain.text
    assert "Passed 1, Failed 1, Success % 50" in plain.text


@pytest.mark.usefixtures("history")
async def test_flaky_tests_are_found_in_the_newest_builds(say: Say, works: FakeProvider) -> None:
    handled = await say("tests --flaky")
    assert "1 flaky test in the last 4 builds" in first(handled)
    assert "Auth.testToken" in said(handled)
    for build in works.known_tests:
        works.known_tests[build] = (TestCase(name="steady", outcome=Outcome.PASSED),)
    assert "0 flaky tests in the last 4 builds" in first(await say("tests --flaky"))


async def test_a_queue_shows_who_waits_longest_first_and_what_runs(
    say: Say, works: FakeProvider, app: Pipeline, linked: Linked, recorded: Recorded
) -> None:
    await linked()
    await recorded(works.build_of(app, 1))
    for number, minutes in ((7, 3), (8, 25)):
        works.build_of(app, number, status=Status.QUEUED, started_at=None, created_at=NOW - timedelta(minutes=minutes))
    works.running(app, 6, started_at=NOW - timedelta(minutes=4), details={"runner": "mac-3"})
    works.running(app, 5, waiting=True)
    text = first(await say("queue"))
    assert text.splitlines() == [
        "2 builds waiting in App",
        "*App*: 2 queued, 1 running, 1 waiting for approval, the wait is usually 1 m, p90 1 m",
        "1. #8 on main, waiting for 25 m",
        "2. #7 on main, waiting for 3 m",
        "▶ #6 on main, running for 4 m on mac-3",
    ]


async def test_a_queue_that_cannot_be_read_says_why(say: Say, works: FakeProvider, linked: Linked) -> None:
    assert "No pipeline is linked" in first(await say("queue"))
    await linked()
    works.troubles["builds"] = Unavailable("works does not answer.", provider="works")
    assert "works does not answer" in first(await say("queue app"))


async def test_changes_list_the_commits_that_were_built_since(
    say: Say, works: FakeProvider, app: Pipeline, linked: Linked, recorded: Recorded, store: Store
) -> None:
    await linked()
    works.build_of(app, 1)
    works.build_of(app, 2, conclusion=Conclusion.CANCELLED, author=Person(name="Mika"))
    works.build_of(app, 3, branch="other")
    works.build_of(app, 4, conclusion=Conclusion.FAILED)
    works.build_of(app, 5)
    text = said(await say("changes app#4"))
    assert "2 commits of the builds in between" in text
    assert "Change number 2  ·  Mika" in text
    assert "Change number 3" not in text
    compared = said(await say("changes app#1 #5"))
    assert "App: #1 → #5" in compared
    assert "3 commits of the builds in between" in compared
    assert "can't be compared with itself" in first(await say("changes app#1 #1"))
