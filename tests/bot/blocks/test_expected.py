"""The main messages, whole: each is compared with a file that people read. `--write-expected` writes the files."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from bot.blocks import tests as of_tests
from bot.blocks.artifacts import artifacts_message
from bot.blocks.build import build_card, build_list, commit_list
from bot.blocks.error import error_message
from bot.blocks.help import help_message, verb_help
from bot.blocks.issues import issues_message
from bot.blocks.link import link_confirmation
from bot.blocks.logs import log_message
from bot.blocks.message import Message
from bot.blocks.notification import (
    Counts,
    Failures,
    approval_notification,
    notification,
    outage_notification,
    outage_over,
    summary_notification,
)
from bot.blocks.plain import as_text
from bot.blocks.status import StatusRow, status_message
from bot.blocks.text import Markup, mention
from bot.core.errors import Ambiguous
from bot.core.models import Change, Conclusion, IssueCounts, Transition
from tests.bot.blocks import samples as s
from tests.bot.blocks.checks import check

EXPECTED = Path(__file__).parent / "expected"
LABELS = {("lumen", "wf-31"): s.LABEL, ("acme", "web"): "web"}
OTHER = s.passed(connection="acme", pipeline="web", id="w1", number=88, web_url="https://ci.example/web/88")
ROW = StatusRow(
    label=s.LABEL,
    connection="lumen",
    pipeline="wf-31",
    path="Nightly",
    branch="main",
    open=(s.running(number=413), s.queued(number=414)),
    recent=(s.build(), s.passed(number=411), s.passed(number=410), s.build(number=409)),
    green_at=s.NOW - timedelta(hours=5),
    actions=s.EVERY | {"run"},
)
CARD: dict[str, Any] = {"label": s.LABEL, "now": s.NOW, "connection_label": s.SYSTEM, "actions": s.EVERY}
NEWS: dict[str, Any] = {**CARD, "reason": "this channel gets a post for every finished build on main"}

MESSAGES: dict[str, Message] = {
    "card_queued": build_card(s.queued(), **CARD),
    "card_running": build_card(
        s.running(),
        **CARD,
        headline=Markup(f"{mention('U07NOOR')} started #412"),
        usual_seconds=540,
        watched=True,
        note="Shown: the only pipeline linked here.",
    ),
    "card_waiting": build_card(s.running(waiting=True), **CARD, approvals=[s.approval()], attempt_no=2),
    "card_passed": build_card(s.passed(), **CARD),
    "card_failed": build_card(s.build(), **CARD),
    "card_cancelled": build_card(s.build(conclusion=Conclusion.CANCELLED, issues=IssueCounts()), **CARD),
    "card_timed_out": build_card(s.build(conclusion=Conclusion.TIMEOUT), **CARD),
    "card_retried": build_card(s.build(conclusion=Conclusion.RETRIED), **CARD, headline="Retried as #415"),
    "card_unknown": build_card(s.build(conclusion=None, raw_state="half_baked", number=None), **CARD),
    "notification_broken": notification(
        s.build(),
        transition=s.BROKEN,
        **NEWS,
        failures=Failures(first=s.FAILURE, more=2, flaky_of=(4, 30), ref="main"),
        mention="U07NOOR",
    ),
    "notification_fixed": notification(s.passed(**s.BOT_STARTED), transition=s.FIXED, **NEWS),
    "notification_still_failing": notification(
        s.build(),
        transition=s.STILL_FAILING,
        **NEWS,
        failures=Failures(first=s.WARNING),
        late=True,
        repeated=True,
        attempt_no=2,
    ),
    "notification_new_warnings": notification(
        s.passed(issues=IssueCounts(errors=0, warnings=3)),
        transition=Transition(change=Change.STILL_PASSING, baseline=IssueCounts(warnings=1), worse=True),
        **NEWS,
    ),
    "notification_first": notification(
        s.passed(issues=IssueCounts()), transition=Transition(change=Change.FIRST), **NEWS, counts=Counts.PENDING
    ),
    "notification_cancelled": notification(s.build(conclusion=Conclusion.CANCELLED), transition=Transition(), **NEWS),
    "approval": approval_notification(
        s.running(waiting=True),
        [s.approval(), s.approval(id="approval-8", name="Tell the press", fields=(), approvers=(), instructions=None)],
        **CARD,
        requester="U07NOOR",
        mention="S07SHIP",
        going=(
            Markup("<https://ci.example/compare|What would go out> since #411:"),
            Markup("• `a1b2c3d` Cache the token"),
        ),
        approvers=Markup("Ida, members of <#C0SHIP>, admins"),
        policy="two people, not whoever started it",
        reminder=s.NOW + timedelta(hours=1),
        deadline=s.NOW + timedelta(hours=4),
        reason="this channel gets every approval",
    ),
    "approval_decided": approval_notification(
        s.running(), [s.approval()], **CARD, decision=Markup(f"Approved by {mention('U07IDA')}: 'hotfix'")
    ),
    "summary": summary_notification([s.build(number=n) for n in range(400, 423)], labels=LABELS, now=s.NOW),
    "outage": outage_notification("GitLab (main)", s.NOW, "no answer for 10 minutes"),
    "outage_over": outage_over("GitLab (main)", s.NOW - timedelta(minutes=25), s.NOW),
    "status_one": status_message("ios", [ROW], s.NOW),
    "status_several": status_message(
        "ios",
        [
            ROW,
            StatusRow(
                label="web",
                connection="acme",
                pipeline="web",
                path="web",
                recent=(OTHER,),
                paused_reason="the bot is not in the channel",
            ),
        ],
        s.NOW,
    ),
    "status_none": status_message("ios", [], s.NOW),
    "list": build_list(
        [s.running(), s.build(), s.passed()],
        title="Newest builds",
        labels=LABELS,
        now=s.NOW,
        footer="branch main",
        more_command="list builds lumen:wf-31 -n 25",
    ),
    "commit": commit_list(
        [s.build(), s.running(number=413), OTHER],
        sha="4be1c07f9d",
        labels=LABELS,
        connection_labels={"lumen": s.SYSTEM, "acme": "Buildkite"},
        now=s.NOW,
    ),
    "help": help_message(
        [
            ("Look", [("status [target]", "What is running"), ("logs [target]", "Errors of a build"), ("why", "Why")]),
            ("Act", [("run [pipeline][@ref]", "Start a build"), ("cancel [target]", "Stop a build")]),
            ("Follow", [("watch [target]", "Tell me when it ends")]),
            ("Set up", [("link URL", "Add a pipeline"), ("help [verb]", "This")]),
        ],
        channel_name="ios",
        example_pipeline="nightly",
        branch="main",
    ),
    "help_run": verb_help(
        "/build run [pipeline][@ref] [KEY=VALUE …]",
        "Start a build",
        (("--message TEXT", "the build's message"),),
        ("/build run nightly@main", "/build status"),
        inferred="the channel's default pipeline",
        aliases=("start",),
    ),
    "link": link_confirmation(
        name="nightly",
        pipeline=s.LABEL,
        connection_label=s.SYSTEM,
        user="U07NOOR",
        branch="main",
        is_default=True,
        target="nightly",
        would={"all": 21, "edges": 4, "failures": 6},
        enabled=False,
        trouble="Xcode Cloud has not answered for 20 s.",
    ),
    "log": log_message(s.LOG, build=s.build(), label=s.LABEL, job=None, errors_only=True, now=s.NOW),
    "tests": of_tests.tests_message(s.CASES, build=s.build(), label=s.LABEL, now=s.NOW, note="Slowest first."),
    "issues": issues_message([s.FAILURE, s.WARNING], s.build().issues, build=s.build(), label=s.LABEL, now=s.NOW),
    "artifacts": artifacts_message(s.FILES, build=s.build(), label=s.LABEL),
    "ambiguous": error_message(
        Ambiguous(
            "`nightly` fits 2 pipelines.",
            choices=(("Lumen iOS", "run lumen:ios"), ("Lumen Mac", "run lumen:mac")),
            hint="Pick one.",
        )
    ),
}


@pytest.mark.parametrize("name", MESSAGES)
def test_a_message_is_what_its_file_says(name: str, request: pytest.FixtureRequest) -> None:
    payload = MESSAGES[name].payload()
    check(payload)
    drawn = {"payload": payload, "as_text": as_text(payload).splitlines()}
    path = EXPECTED / f"{name}.json"
    written = json.dumps(drawn, indent=1, ensure_ascii=False) + "\n"
    if request.config.getoption("--write-expected") and (not path.exists() or path.read_text() != written):
        path.write_text(written)
        pytest.fail(f"wrote {path.name}: read it, then run again")
    assert json.loads(path.read_text()) == drawn


def test_every_file_belongs_to_a_message() -> None:
    assert {path.stem for path in EXPECTED.glob("*.json")} == set(MESSAGES)
