"""Builds and their parts for the tests of the renderers; every name in them is made up."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from bot.core.models import (
    Approval,
    Artifact,
    Build,
    Change,
    Conclusion,
    Issue,
    IssueCounts,
    IssueKind,
    Log,
    Outcome,
    Parameter,
    Person,
    Ref,
    RefKind,
    Starter,
    Status,
    TestCase,
    Transition,
    Trigger,
)

NOW = datetime(2026, 11, 20, 14, 30, tzinfo=UTC)
LABEL = "Lumen iOS / Nightly"
SYSTEM = "Xcode Cloud"
EVERY = frozenset(
    {
        "approve",
        "artifacts",
        "cancel",
        "changes",
        "claim",
        "erase",
        "issues",
        "logs",
        "mute",
        "rebuild",
        "reject",
        "retry",
        "settings",
        "stats",
        "tests",
        "watch",
        "why",
    }
)


def build(**changes: Any) -> Build:
    """Return a failed build, changed as wanted."""
    failed = Build(
        connection="lumen",
        pipeline="wf-31",
        id="run-900",
        number=412,
        name="Nightly",
        branch="main",
        commit="4be1c07f9d3355aa01",
        message="Keep the lamp on between screens\n\nIt went dark.",
        author=Person(name="Noor Haddad", email="noor@lumen.example"),
        status=Status.COMPLETED,
        conclusion=Conclusion.FAILED,
        trigger=Trigger.PUSH,
        created_at=NOW - timedelta(seconds=763),
        started_at=NOW - timedelta(seconds=723),
        completed_at=NOW,
        web_url="https://ci.example/lumen/412",
        issues=IssueCounts(errors=2, warnings=14, analyzer_warnings=0, test_failures=3, tests_total=812),
    )
    return replace(failed, **changes)


def running(**changes: Any) -> Build:
    """Return a build that runs."""
    return build(
        **{
            "status": Status.IN_PROGRESS,
            "conclusion": None,
            "completed_at": None,
            "started_at": NOW - timedelta(minutes=3),
            "issues": IssueCounts(),
            "jobs": {"passed": 2, "failed": 1, "in_progress": 1, "queued": 1},
            **changes,
        }
    )


def queued(**changes: Any) -> Build:
    """Return a build that waits for a machine."""
    return running(**{"status": Status.QUEUED, "started_at": None, "jobs": None, **changes})


def passed(**changes: Any) -> Build:
    """Return a green build."""
    counts = IssueCounts(errors=0, warnings=0, test_failures=0, tests_total=812)
    return build(**{"conclusion": Conclusion.PASSED, "issues": counts, **changes})


def approval(**changes: Any) -> Approval:
    """Return an approval with fields."""
    asked = Approval(
        id="approval-7",
        build="run-900",
        pipeline="wf-31",
        name="Ship to production",
        fields=(
            Parameter(name="REGION", label="Region", default="eu-north"),
            Parameter(name="TICKET", required=True),
        ),
        approvers=("release team", "Ida"),
        can_reject=True,
        instructions="Look at the dashboard first",
        url="https://ci.example/lumen/412/approval",
    )
    return replace(asked, **changes)


BROKEN = Transition(
    change=Change.BROKEN,
    baseline=IssueCounts(errors=0, warnings=13, analyzer_warnings=0, test_failures=0, tests_total=810),
    streak=9,
    red_since=412,
    red_seconds=0.0,
    usual_seconds=540.0,
    worse=True,
)
FIXED = Transition(
    change=Change.FIXED,
    baseline=IssueCounts(errors=2, warnings=1, test_failures=3),
    streak=3,
    red_since=409,
    red_seconds=7800.0,
    usual_seconds=540.0,
    better=True,
)
STILL_FAILING = Transition(
    change=Change.STILL_FAILING,
    baseline=IssueCounts(errors=3, warnings=14, test_failures=3),
    streak=3,
    red_since=410,
    red_seconds=3600.0,
    better=True,
)

FAILURE = Issue(
    kind=IssueKind.TEST_FAILURE,
    message="expected 200,\n got 401",
    job="Unit tests",
    file="LampTests.swift",
    line=88,
    url="https://ci.example/lumen/412/tests",
)
WARNING = Issue(kind=IssueKind.WARNING, message="'glow' was deprecated", file="Lamp.swift", line=3)

CASES = (
    TestCase(name="testGlow", class_name="LampTests", outcome=Outcome.PASSED, seconds=4.2),
    TestCase(
        name="testRefresh",
        class_name="LampTests",
        outcome=Outcome.FAILED,
        seconds=1.5,
        detail="iPhone 17",
        message="expected 200, got 401",
    ),
    TestCase(name="testDim", outcome=Outcome.FAILED),
    TestCase(name="testLater", outcome=Outcome.SKIPPED),
    TestCase(name="testOdd", outcome=Outcome.UNKNOWN),
)

FILES = (
    Artifact(
        id="f1", build="run-900", pipeline="wf-31", name="Lumen.ipa", size_bytes=48_300_000, kind="archive", job="build"
    ),
    Artifact(id="f2", build="run-900", pipeline="wf-31", name="report.html", url="https://ci.example/f2"),
)

LOG = Log(text="compiling\nerror: no lamp\npassword=hunter2-and-more\n", job="Unit tests", truncated=True)


BOT_STARTED = {"triggered_by": "nightly-bot", "triggered_by_type": Starter.BOT, "trigger": Trigger.CRON}
MAIN = Ref(kind=RefKind.BRANCH, name="main", title="the trunk")
