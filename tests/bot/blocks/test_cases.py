"""The smaller decisions of the renderers, one by one."""

from datetime import timedelta
from typing import Any

import pytest

from bot.blocks import lines
from bot.blocks import tests as of_tests
from bot.blocks.artifacts import size_words
from bot.blocks.build import build_card, build_list
from bot.blocks.buttons import build_buttons, command
from bot.blocks.error import error_message
from bot.blocks.help import help_message, verb_help
from bot.blocks.issues import issues_message
from bot.blocks.lists import ConnectionLine, connections_message, pipelines_message
from bot.blocks.logs import log_message
from bot.blocks.message import Message
from bot.blocks.notification import (
    Failures,
    approval_notification,
    delivery_problem,
    notification,
    outage_notification,
    sentence_of,
    summary_notification,
)
from bot.blocks.plain import as_text
from bot.core.errors import Ambiguous, BotError, RateLimited, Unavailable, UsageError
from bot.core.models import (
    Build,
    Change,
    Conclusion,
    Issue,
    IssueCounts,
    IssueKind,
    Log,
    Outcome,
    Person,
    Starter,
    Status,
    TestCase,
    Transition,
    Trigger,
)
from tests.bot.blocks import samples as s
from tests.bot.blocks.checks import check

CARD: dict[str, Any] = {"label": s.LABEL, "now": s.NOW, "connection_label": s.SYSTEM}


def text_of(message: Message) -> str:
    payload = message.payload()
    check(payload)
    return as_text(payload)


@pytest.mark.parametrize(
    ("counts", "shown"),
    [
        (IssueCounts(), ""),
        (IssueCounts(errors=0, warnings=0), ""),
        (IssueCounts(errors=1), "1 error"),
        (IssueCounts(test_failures=0, tests_total=0), ""),
        (IssueCounts(test_failures=0, tests_total=9), "9 tests passed"),
        (IssueCounts(test_failures=1), "1 test failed"),
        (IssueCounts(test_failures=2, tests_total=9), "2 of 9 tests failed"),
    ],
)
def test_counts_that_are_all_zero_or_unknown_say_nothing(counts: IssueCounts, shown: str) -> None:
    assert lines.counts_line(counts) == shown


def test_a_zero_that_was_more_before_is_shown() -> None:
    before = Transition(baseline=IssueCounts(errors=2, test_failures=3))
    now = IssueCounts(errors=0, test_failures=0, tests_total=9)
    assert lines.counts_line(now, before) == "0 errors (\N{MINUS SIGN}2)    0 of 9 tests failed (\N{MINUS SIGN}3)"
    assert lines.counts_words(now) == "9 tests passed"


@pytest.mark.parametrize(
    ("changes", "shown"),
    [
        ({}, "`4be1c07` Keep the lamp on between screens  ·  Noor Haddad  ·  push"),
        ({"author": Person(login="noor")}, "`4be1c07` Keep the lamp on between screens  ·  @noor  ·  push"),
        ({"author": Person(email="a@b.example"), "commit": None, "message": None}, "a@b.example  ·  push"),
        ({"author": Person(), "message": None, "trigger": Trigger.UNKNOWN}, "`4be1c07`"),
        (
            {"author": None, "message": None, "triggered_by": "Ida", "trigger": Trigger.WEB},
            "`4be1c07`  ·  Ida  ·  started manually",
        ),
        (
            {"message": None, "triggered_by": "cron", "triggered_by_type": Starter.BOT, "trigger": Trigger.UNKNOWN},
            "`4be1c07`  ·  Noor Haddad  ·  by cron (bot)",
        ),
        ({"message": None, "triggered_by": "Ida"}, "`4be1c07`  ·  Noor Haddad  ·  push by Ida"),
    ],
)
def test_line_three_names_what_is_known(changes: dict[str, Any], shown: str) -> None:
    assert lines.commit_line(s.build(**changes)) == shown


def test_what_is_unknown_leaves_no_trace() -> None:
    bare = Build(connection="lumen", pipeline="wf", id="1")
    assert lines.commit_line(bare) == lines.commit_words(bare) == lines.jobs_line(bare) == ""
    assert lines.progress_line(bare, usual_seconds=60, now=s.NOW) == ""
    assert lines.commit_words(s.build(author=None)) == "Keep the lamp on between screens"
    assert lines.commit_words(s.build(message=None)) == "By Noor Haddad"
    shown = text_of(build_card(bare, **CARD))
    assert shown.startswith("◌ QUEUED  Lumen iOS / Nightly\nXcode Cloud · 2026-11-20 14:30 UTC")
    assert text_of(build_list([], title="Builds", labels={}, now=s.NOW)) == "Builds\nNo builds."
    assert "wf" in text_of(build_list([bare], title="Builds", labels={}, now=s.NOW))
    ended = Build(connection="lumen", pipeline="wf", id="1", status=Status.COMPLETED)
    assert lines.build_line(ended, label="web", now=s.NOW) == "• *Ended*  web"
    assert text_of(approval_notification(bare, [], **CARD)).startswith("⏸ WAITING FOR APPROVAL")


@pytest.mark.parametrize(
    ("minutes", "shown"),
    [
        (0, "▱▱▱▱▱▱▱▱▱▱  0 s (usually 10 m)"),
        (5, "▰▰▰▰▰▱▱▱▱▱  5 m 00 s (usually 10 m)"),
        (10, "▰▰▰▰▰▰▰▰▰▰  10 m 00 s (usually 10 m)"),
        (25, "▰▰▰▰▰▰▰▰▰▰  25 m 00 s (usually 10 m) — longer than usual"),
    ],
)
def test_the_bar_fills_in_ten_cells(minutes: int, shown: str) -> None:
    build = s.running(started_at=s.NOW - timedelta(minutes=minutes))
    assert lines.progress_line(build, usual_seconds=600, now=s.NOW) == shown


def words_of(build: Build, **given: Any) -> list[str]:
    rows = build_buttons(build, **({"allowed": s.EVERY} | given))
    return [element["text"]["text"] for row in rows for element in row["elements"] if "text" in element]


def test_only_what_is_allowed_is_offered() -> None:
    assert words_of(s.build(), allowed=frozenset()) == ["Open"]
    assert words_of(s.running(), allowed=frozenset({"cancel", "retry", "erase"})) == ["Open", "Cancel"]
    assert words_of(s.build(), allowed=frozenset({"retry", "logs"})) == ["Open", "Logs", "Retry failed"]
    assert words_of(s.build(conclusion=Conclusion.RETRIED)) == ["Open"]
    assert words_of(s.running(), watched=True) == ["Open", "Cancel", "Unwatch"]


def test_an_approval_offers_what_the_system_and_the_person_can() -> None:
    waiting = s.running(waiting=True)
    approvals = [s.approval(can_reject=False)]
    assert words_of(waiting, approvals=approvals, allowed=frozenset({"approve", "reject"})) == [
        "Approve",
        "Details",
        "Open",
    ]
    assert words_of(waiting, approvals=approvals, allowed=frozenset()) == ["Details", "Open"]


def test_commands_name_the_build_and_acting_ones_the_attempt() -> None:
    assert command("cancel", s.build(), attempt_no=3) == "cancel lumen:wf-31#412 --attempt 3"
    assert command("logs", s.build(), attempt_no=3) == "logs lumen:wf-31#412"
    assert command("cancel", s.build(number=None, id="a b")) == "cancel lumen:wf-31 --id 'a b' --attempt 1"
    assert command("logs", s.build(pipeline="my app")) == "logs --pipeline 'lumen:my app' --build 412"


@pytest.mark.parametrize(
    ("transition", "changes", "shown"),
    [
        (Transition(change=Change.BROKEN), {}, "Newly broken"),
        (Transition(change=Change.BROKEN, streak=1), {}, "Newly broken — green for 1 build"),
        (
            Transition(change=Change.FIXED, streak=1),
            {"commit": None, "author": None},
            "Back to green after 1 red build",
        ),
        (
            Transition(change=Change.FIXED, streak=2, red_seconds=60),
            {"author": Person(login="noor")},
            "Back to green after 1 m 00 s and 2 red builds · fixed by 4be1c07 noor",
        ),
        (Transition(change=Change.STILL_FAILING, streak=2), {}, "Still failing — 2nd in a row"),
        (
            Transition(change=Change.STILL_FAILING, streak=2, red_since=3, worse=True),
            {},
            "Still failing — 2nd in a row, since #3, with more issues",
        ),
        (Transition(change=Change.STILL_PASSING), {}, "Still green"),
        (Transition(change=Change.FIRST), {"branch": None, "tag": "v1"}, "No earlier result to compare with"),
        (Transition(change=Change.FIRST, baseline=IssueCounts()), {}, "No earlier result to compare with"),
        (Transition(change=Change.FIRST, is_surely_first=True), {}, "First build on this branch"),
        (
            Transition(change=Change.FIRST, is_surely_first=True),
            {"branch": None, "tag": "v1"},
            "First build on this tag",
        ),
        (
            Transition(change=Change.FIRST, target="main", target_conclusion=Conclusion.PASSED),
            {"pull_request": "42"},
            "First result of this pull request — `main` passed",
        ),
        (
            Transition(change=Change.FIXED, streak=3, red_seconds=60, is_rerun=True),
            {},
            "Passed on a rerun of the same commit after 1 m 00 s and 3 red builds: flaky",
        ),
        (
            Transition(change=Change.BROKEN, streak=4, is_rerun=True),
            {},
            "Newly broken — the same commit passed before: flaky",
        ),
        (
            Transition(
                change=Change.STILL_FAILING,
                streak=1,
                is_rerun=True,
                is_outdated=True,
                newer=15,
                newer_conclusion=Conclusion.PASSED,
            ),
            {},
            "Failed again on a rerun of the same commit · a newer build, #15, passed",
        ),
        (
            Transition(change=Change.STILL_FAILING, streak=3, red_since=9, is_rerun=True),
            {},
            "Failed again on a rerun of the same commit — 3rd in a row, since #9",
        ),
        (
            Transition(change=Change.BROKEN, is_outdated=True, newer_conclusion=Conclusion.FAILED),
            {},
            "Newly broken · a newer build failed",
        ),
        (
            Transition(
                change=Change.STILL_PASSING,
                is_outdated=True,
                newer=9,
                newer_conclusion=Conclusion.PASSED,
                is_newer_by_commit=True,
            ),
            {},
            "Still green · the build of a newer commit, #9, passed",
        ),
        (Transition(), {"conclusion": Conclusion.SKIPPED}, "Skipped"),
        (Transition(), {"conclusion": None}, "Ended in a state that counts as neither passed nor failed"),
        (Transition(), {}, "No earlier result to compare with"),
    ],
)
def test_line_two_says_what_the_attempt_means(transition: Transition, changes: dict[str, Any], shown: str) -> None:
    assert sentence_of(transition, s.build(**changes)) == shown


def told(**given: Any) -> list[str]:
    message = notification(s.build(), **({"transition": s.BROKEN, "reason": "", **CARD} | given))
    return text_of(message).splitlines()


def test_the_first_failure_is_cleaned_and_masked() -> None:
    failure = Issue(kind=IssueKind.ERROR, message="bad\n  token=abcdef12345", file="a.py")
    assert told(failures=Failures(first=failure))[4:6] == ["✕ a.py — bad", "      token=[masked: secret]"]
    assert (
        told(failures=Failures(first=Issue(kind=IssueKind.ERROR, message=""), more=1))[4] == "✕ no message  ·  +1 more"
    )
    assert told(failures=Failures(more=3))[4] == "+3 more"


def test_a_failure_has_three_lines_at_most_and_is_called_flaky_where_its_commit_passed() -> None:
    message = "testLogin — expected 200\n\n   got 401 \n at Login.swift:12\nin line four"
    failure = Issue(kind=IssueKind.TEST_FAILURE, message=message)
    shown = told(failures=Failures(first=failure, more=2, flaky_of=(4, 30), ref="main"))
    assert [line.strip() for line in shown[4:8]] == [
        "✕ testLogin — expected 200  ·  +2 more",
        "got 401",
        "at Login.swift:12",
        "Flaky: failed 4 of the last 30 on main, and the same commit passed",
    ]
    key = "-----BEGIN RSA PRIVATE KEY-----\nMIIEabcdefgh\n-----END RSA PRIVATE KEY-----"
    assert "MIIE" not in "".join(told(failures=Failures(first=Issue(kind=IssueKind.ERROR, message=f"read\n{key}"))))


def test_a_notification_without_a_reason_or_doubt_says_neither() -> None:
    assert told()[4].endswith("2026-11-20 14:30 UTC")
    assert "Posted because" not in "\n".join(told())


def test_a_fixed_build_with_new_warnings_is_fixed() -> None:
    fixed = Transition(change=Change.FIXED, streak=1, baseline=IssueCounts(warnings=1))
    message = notification(s.passed(issues=IssueCounts(warnings=2)), transition=fixed, reason="", **CARD)
    assert message.text.startswith("Fixed: Lumen iOS / Nightly #412 on main. Back to green after 1 red build")


def test_an_outage_without_a_word_says_so() -> None:
    assert "no answer" in text_of(outage_notification("GitLab", s.NOW, ""))


def test_a_channel_that_cannot_be_posted_to_is_reported_with_the_remedy() -> None:
    shown = text_of(delivery_problem("ios", "The channel is archived.", ["Nightly"], commands=["unlink nightly", " "]))
    assert shown.splitlines() == [
        "⚠ I can no longer post in #ios",
        "The channel is archived.",
        "Paused until that is fixed:",
        "• Nightly",
        "[Unlink: /build unlink nightly]",
    ]
    assert text_of(delivery_problem("", "", [])) == "⚠ I can no longer post in a channel"


@pytest.mark.parametrize(
    ("size", "shown"),
    [
        (0, "0 bytes"),
        (1, "1 byte"),
        (999, "999 bytes"),
        (1000, "1.0 kB"),
        (999_960, "1.0 MB"),
        (48_300_000, "48.3 MB"),
        (10**16, "10000.0 TB"),
    ],
)
def test_sizes_are_spelled(size: int, shown: str) -> None:
    assert size_words(size) == shown


@pytest.mark.parametrize(
    ("error", "shown"),
    [
        (BotError("It broke.", hint="Mend it with `fix <this>`."), "It broke.\nMend it with fix <this>."),
        (UsageError("Which?", usage="cancel <build>"), "Which?\nUsage: /ci cancel <build>"),
        (
            RateLimited("Jenkins is busy.", provider="Jenkins", retry_after=40),
            "Jenkins is busy.\nIt asks me to wait 40 s.",
        ),
        (RateLimited("Jenkins is busy.", provider="Jenkins", retry_after=0), "Jenkins is busy."),
        (
            Unavailable("No answer.", provider="Jenkins", acted=True),
            "No answer.\nIt may have taken effect all the same: look before you repeat it.",
        ),
        (Unavailable("No answer.", provider="Jenkins"), "No answer."),
    ],
)
def test_an_error_says_what_happened_and_what_to_do(error: BotError, shown: str) -> None:
    assert text_of(error_message(error, command="/ci")) == shown


def test_the_verbs_own_usage_wins() -> None:
    assert "Usage: /build run X" in text_of(error_message(UsageError("No.", usage="other"), usage="run X"))


def test_choices_are_buttons_then_a_list() -> None:
    assert text_of(error_message(Ambiguous("Which?", choices=()))) == "Which?"
    few = error_message(Ambiguous("Which?", choices=tuple((f"P{n}", f"run p{n}") for n in range(5)))).payload()[
        "blocks"
    ][1]["elements"]
    assert [element["value"] for element in few] == [f"run p{n}" for n in range(5)]
    many = error_message(Ambiguous("Which?", choices=tuple((f"P{n}", f"run p{n}") for n in range(6)))).payload()[
        "blocks"
    ]
    assert (many[1]["elements"][0]["type"], len(many)) == ("static_select", 2)
    most = error_message(Ambiguous("Which?", choices=tuple((f"P{n}", f"run p{n}") for n in range(103)))).payload()[
        "blocks"
    ]
    assert most[2]["elements"][0]["text"].startswith("… 3 more")


def test_help_stays_within_twelve_lines_and_is_filled_for_the_channel() -> None:
    verbs = [("status", "What is running"), ("logs", "Errors"), ("run", "Start"), ("why", "Why"), ("x", "y")]
    groups = [(name, verbs) for name in ("Look", "Act", "Follow", "Set up")]
    plain = help_message(groups, channel_name="", example_pipeline=None, branch="main", command="/ci")
    shown = text_of(plain)
    assert shown.startswith("Builds in this channel\nLook  /ci status")
    assert len(plain.blocks[0]["text"]["text"].splitlines()) <= 12
    runs = [("Act", [("run [pipeline]", "Start")])]
    odd = help_message(runs, channel_name="ios", example_pipeline="my app", branch="main")
    assert "/build run my app  Start" in text_of(odd)


def test_a_verb_without_flags_has_short_help() -> None:
    assert text_of(verb_help("/build version", "Which version", (), ())) == "Usage  /build version\nWhich version"
    assert text_of(verb_help("/build last", "x", (), ("last -n 5",))).endswith("[last -n 5: /build last -n 5]")


def test_a_log_keeps_its_end() -> None:
    body = "\n".join(f"line {n}" for n in range(1000))
    given: dict[str, Any] = {"build": s.build(), "label": s.LABEL, "now": s.NOW, "errors_only": False}
    shown = text_of(log_message(Log(text=body), job="unit", **given))
    assert shown.splitlines()[0] == "Log of unit  ·  Lumen iOS / Nightly #412"
    assert "line 999" in shown
    assert "line 1\n" not in shown
    assert "the end of a longer log" in shown
    assert "It is empty." in text_of(log_message(Log(text="\n"), job=None, **given))
    assert "No errors found" in text_of(log_message(Log(text=""), job=None, **(given | {"errors_only": True})))
    assert "xxx" in text_of(log_message(Log(text="x" * 5000), job=None, **given))


def test_tests_of_a_running_build_are_so_far() -> None:
    given: dict[str, Any] = {"build": s.running(), "label": s.LABEL, "now": s.NOW}
    assert "so far" in text_of(of_tests.tests_message([], **given))
    assert "none reported" in text_of(of_tests.tests_message([], **given))
    plenty = [TestCase(name=f"t{n}", outcome=Outcome.FAILED) for n in range(30)]
    assert "… 5 more failed" in text_of(of_tests.tests_message(plenty, **(given | {"build": s.build()})))


def test_issues_without_counts_are_counted() -> None:
    given: dict[str, Any] = {"build": s.build(), "label": s.LABEL, "now": s.NOW}
    assert "1 issue" in text_of(issues_message([s.WARNING], IssueCounts(), **given))
    assert "none" in text_of(issues_message([], IssueCounts(), **given))


def test_lists_say_what_is_missing() -> None:
    rows_of = [
        ConnectionLine(name="bk", label="Buildkite"),
        ConnectionLine(name="gl", label="GitLab", error="token=abcdef12345"),
    ]
    assert text_of(connections_message(rows_of)) == (
        "Connections\n✓ bk  ·  Buildkite\n✕ gl  ·  GitLab  ·  token=[masked: secret]"
    )
    assert text_of(connections_message([])) == "Connections\nnone; an admin adds one with connect"
    rows = [("bk", "web", "Web", True, "https://ci.example/web")]
    assert text_of(pipelines_message(rows, total=1)).splitlines()[1] == "• Web (https://ci.example/web)  ·  bk:web"


def test_a_short_summary_leaves_nothing_out() -> None:
    shown = text_of(summary_notification([s.build(), s.passed()], labels={}, now=s.NOW, reason="you were away"))
    assert shown.splitlines()[0] == "2 builds finished while I was away"
    assert " more" not in shown
    assert text_of(summary_notification([], labels={}, now=s.NOW)) == "0 builds finished while I was away"
