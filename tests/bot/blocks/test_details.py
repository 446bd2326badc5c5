"""What a system says beyond our word for a state, and everything that is known of a build."""

from dataclasses import fields
from typing import Any

import pytest

from bot.blocks.build import build_card, build_list
from bot.blocks.details import FIELDS, MOST_DETAILS, all_details
from bot.blocks.lines import Facts, outcome_line
from bot.blocks.notification import notification
from bot.blocks.plain import as_text
from bot.core.models import Build, Conclusion, IssueCounts, Starter, Status, Transition, Trigger
from tests.bot.blocks import samples as s
from tests.bot.blocks.checks import check

CARD: dict[str, Any] = {"label": s.LABEL, "now": s.NOW, "connection_label": s.SYSTEM}


@pytest.mark.parametrize(
    ("conclusion", "raw_state", "reason", "line"),
    [
        (Conclusion.CANCELLED, "canceled", "superseded by a newer build", "Cancelled: superseded by a newer build"),
        (Conclusion.CANCELLED, "CANCELED", "cancelled by a newer build", "Cancelled by a newer build"),
        (Conclusion.FAILED, "ERRORED", "errored", "Failed: the system could not carry it out (errored)"),
        (Conclusion.FAILED, "startup_failure", None, "Failed: it could not start"),
        (Conclusion.FAILED, "infrastructureFail", None, "Failed: infrastructure fail"),
        (Conclusion.FAILED, "FAILURE", None, ""),
        (Conclusion.FAILED, "errored", "ran out of time", "Failed: ran out of time"),
        (Conclusion.CANCELLED, "stale", None, "Cancelled: the system gave it up as stale"),
        (Conclusion.CANCELLED, "ABORTED", None, ""),
        (Conclusion.PASSED, "neutral", None, "Passed: neutral"),
        (Conclusion.PASSED, "succeeded", None, ""),
        (Conclusion.PARTIAL, "partiallySucceeded", None, ""),
        (None, "odd_end", None, "The system calls it `odd_end`"),
        (Conclusion.FAILED, "failed", "token=ghp_" + "a1B2" * 9, "Failed: token=…"),
        (Conclusion.FAILED, "failed", "<!channel> *now*", "Failed: &lt;!channel&gt; \u00ad*\u00adnow\u00ad*\u00ad"),
    ],
)
def test_a_reason_or_a_word_that_says_more_than_ours_stands_beside_the_conclusion(
    conclusion: Conclusion | None, raw_state: str, reason: str | None, line: str
) -> None:
    build = s.build(conclusion=conclusion, raw_state=raw_state, reason=reason)
    shown = outcome_line(build)
    if "…" in line:
        assert shown.startswith(line.partition("…")[0])
        assert "ghp_" not in shown
    else:
        assert shown == line


def test_what_still_runs_has_no_outcome_unless_its_system_gives_a_reason() -> None:
    assert not outcome_line(s.running(raw_state="failing"))
    assert outcome_line(s.queued(reason="no machine is free")) == "Queued: no machine is free"


def test_the_notification_of_a_cancelled_build_says_why_once() -> None:
    build = s.build(conclusion=Conclusion.CANCELLED, reason="superseded by a newer build", issues=IssueCounts())
    text = as_text(notification(build, transition=Transition(), reason="", **CARD).payload())
    assert text.count("superseded by a newer build") == 1
    by_ana = notification(
        build, transition=Transition(), reason="", facts=Facts(cancelled_by="U7"), mention="U7", **CARD
    )
    assert "Cancelled by @U7" in as_text(by_ana.payload())
    assert as_text(by_ana.payload()).count("@U7") == 1


def test_the_card_and_the_notification_of_a_failed_build_say_what_the_system_means() -> None:
    build = s.build(raw_state="ERRORED")
    for message in (build_card(build, **CARD), notification(build, transition=Transition(), reason="", **CARD)):
        assert "Failed: the system could not carry it out (errored)" in as_text(message.payload())


WHOLE = Build(
    connection="lumen",
    pipeline="wf-31",
    id="run-900",
    number=412,
    label="20260815.3",
    attempt=2,
    name="Nightly",
    workflow="Night shift",
    repo="lumen/ios",
    branch="topic",
    tag="v1",
    pull_request="7",
    target_branch="main",
    from_fork=False,
    commit="4be1c07f9d33",
    message="Keep the lamp on\n\nIt went dark.",
    author=s.build().author,
    status=Status.COMPLETED,
    conclusion=Conclusion.CANCELLED,
    raw_state="CANCELED",
    reason="cancelled by a newer build",
    waiting=True,
    trigger=Trigger.MERGE_REQUEST,
    triggered_by="noor",
    triggered_by_type=Starter.USER,
    created_at=s.build().created_at,
    started_at=s.build().started_at,
    completed_at=s.build().completed_at,
    updated_at=s.NOW,
    web_url="https://ci.example/lumen/412",
    issues=IssueCounts(errors=1, warnings=2, analyzer_warnings=3, test_failures=4, tests_total=5),
    jobs={"passed": 6},
    details={"coverage": "81 %", "runner": "mac-3"},
    rebuilt_from="run-880",
    first_built_at=s.build().created_at,
    job="unit",
    head_commit="c0ffee1",
)


def test_every_field_of_a_build_is_listed_in_plain_words() -> None:
    lines = as_text(all_details(WHOLE, **CARD, attempt_no=2, facts=Facts(approval_seconds=30)).payload()).splitlines()
    text = "\n".join(lines)
    for part in (
        "Label  20260815.3",
        "Attempt  2",
        "Workflow  Night shift",
        "From a fork  no",
        "Reason  cancelled by a newer build",
        "Trigger  pull request",
        "Started by  noor (a person)",
        "1 errors, 2 warnings, 3 analyzer warnings, 4 failed tests, 5 tests",
        "Jobs  6 passed",
        "Coverage  81 %",
        "Runner  mac-3",
        "Ran  11 m 33 s",
        "Waited for approval  30 s",
        "Commit of the pull request  c0ffee1",
        "It went dark.",
    ):
        assert part in text
    check(all_details(WHOLE, **CARD).payload())


def test_each_field_of_the_model_changes_the_list() -> None:
    whole = as_text(all_details(WHOLE, **CARD).payload())
    bare = Build(connection="c", pipeline="p", id="i")
    for field in fields(Build):
        changed = {
            **{name.name: getattr(WHOLE, name.name) for name in fields(Build)},
            field.name: getattr(bare, field.name),
        }
        assert as_text(all_details(Build(**changed), **CARD).payload()) != whole, field.name


def test_unknown_fields_are_left_out() -> None:
    lines = as_text(all_details(Build(connection="c", pipeline="p", id="i"), **CARD).payload())
    assert [name for name in FIELDS if f"{name}  " in lines] == [
        "State",
        "Connection",
        "Pipeline's id",
        "Build's id",
    ]


def test_a_build_with_more_details_than_a_message_holds_says_how_many_are_left() -> None:
    build = s.build(details={f"item {number}": "x" * 900 for number in range(200)})
    message = all_details(build, **CARD)
    check(message.payload())
    assert f"… {200 - MOST_DETAILS} more on the build's page" in as_text(message.payload())


def test_a_list_shows_the_wait_for_people_apart_from_the_time_it_ran() -> None:
    build = s.passed()
    message = build_list([build], title="Nightly", labels={}, now=s.NOW, facts={build.key: Facts(approval_seconds=600)})
    assert "2 m 03 s  ·  waited 10 m 00 s for approval" in as_text(message.payload())


def test_the_card_of_show_names_what_else_the_system_reports() -> None:
    build = s.build(details={"coverage": "81 %", "runner": "<!here>"})
    assert "coverage: 81 %  ·  runner: <!here>" in as_text(build_card(build, **CARD, with_details=True).payload())
    assert "coverage" not in as_text(build_card(build, **CARD).payload())
