"""Every renderer with hostile words in every field: nothing pings, nothing links elsewhere, nothing is too long."""

import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bot.blocks import tests as of_tests
from bot.blocks.artifacts import artifacts_message
from bot.blocks.build import build_card, build_line, build_list, commit_list
from bot.blocks.error import error_message, surprise_message
from bot.blocks.help import help_message, verb_help
from bot.blocks.issues import issues_message
from bot.blocks.link import link_confirmation
from bot.blocks.lists import ConnectionLine, branches_message, connections_message, links_message, pipelines_message
from bot.blocks.logs import log_message
from bot.blocks.message import Message, View, section
from bot.blocks.notification import (
    Failures,
    approval_notification,
    delivery_problem,
    notification,
    outage_notification,
    outage_over,
    summary_notification,
)
from bot.blocks.plain import as_text
from bot.blocks.status import StatusRow, status_message
from bot.blocks.text import SOFT_HYPHEN, STAR, Markup
from bot.core.errors import Ambiguous, AuthFailed, UsageError
from bot.core.models import (
    Approval,
    Artifact,
    Build,
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
from tests.bot.blocks import samples as s
from tests.bot.blocks.checks import check, mrkdwn_of

EVIL = [
    "<!channel>",
    "<!here|here>",
    "<https://evil.example|Approve>",
    "@everyone #general http://evil.example",
    "`code` ```fence```",
    "*bold* _it_ ~no~\n> quote",
    "&amp; &lt;!channel&gt; &",
    "a\r\nb\u2028c\x00\x1b[31m\u202eevil\ud83d",
    "<" * 10_000,
    "&`<!channel>" * 900,
    "😀" * 10_000,
    "x" * 10_000,
    '\'; --yes "$(run)" \\',
    " \n\t",
    "",
]
words = st.one_of(
    st.sampled_from(EVIL),
    st.text(max_size=80),
    st.text(alphabet="<>&|`*_~!@#^:;\n\\\"' aA1/", max_size=200),
)


def evil_build(x: str, **changes: Any) -> Build:
    fields: dict[str, Any] = {
        "connection": x,
        "pipeline": x,
        "id": x,
        "number": 4 if len(x) % 2 else None,
        "name": x,
        "workflow": x,
        "repo": x,
        "branch": x,
        "commit": x,
        "message": x,
        "author": Person(name=x, email=x, login=x),
        "status": Status.COMPLETED,
        "conclusion": Conclusion.FAILED,
        "raw_state": x,
        "trigger": Trigger.PUSH,
        "triggered_by": f"{x}!",
        "triggered_by_type": Starter.BOT,
        "created_at": s.NOW - timedelta(hours=1),
        "started_at": s.NOW - timedelta(minutes=30),
        "completed_at": s.NOW,
        "web_url": f"https://ci.example/{x}" if len(x) % 3 else x,
        "issues": IssueCounts(errors=10**9, warnings=0),
        "jobs": {x: 3, "queued": 1},
    }
    return Build(**(fields | changes))


def evil_running(x: str) -> Build:
    return evil_build(x, status=Status.IN_PROGRESS, conclusion=None, completed_at=None, waiting=True)


def evil_approval(x: str) -> Approval:
    asked = tuple(Parameter(name=x, label=x, default=x) for _ in range(9))
    return Approval(
        id=x,
        build=x,
        pipeline=x,
        name=x,
        fields=asked,
        approvers=(x,) * 12,
        can_reject=True,
        instructions=x,
        url=f"https://ci.example/{x}",
    )


def evil_issue(x: str) -> Issue:
    return Issue(kind=IssueKind.ERROR, message=x, job=x, file=x, line=4, url=f"https://ci.example/{x}")


def evil_row(x: str) -> StatusRow:
    return StatusRow(
        label=x,
        connection=x,
        pipeline=x,
        path=x,
        branch=x,
        open=(evil_running(x),) * 6,
        recent=(evil_build(x),) * 12,
        paused_reason=x,
        actions=s.EVERY | {"run"},
    )


def card(x: str) -> dict[str, Any]:
    return {"label": x, "now": s.NOW, "connection_label": x, "actions": s.EVERY}


RENDERERS: dict[str, Callable[[str], Message]] = {
    "card": lambda x: build_card(evil_build(x), **card(x), headline=x, note=x),
    "card_unknown": lambda x: build_card(evil_build(x, conclusion=None), **card(x), watched=True),
    "card_waiting": lambda x: build_card(evil_running(x), **card(x), approvals=[evil_approval(x)] * 7, headline=x),
    "line": lambda x: Message(text="x", blocks=(section(build_line(evil_build(x), label=x, now=s.NOW)),)),
    "list": lambda x: build_list(
        [evil_build(x)] * 40, title=x, labels={(x, x): x}, now=s.NOW, footer=x, more_command=f"list {x}"
    ),
    "commit": lambda x: commit_list(
        [evil_build(x), evil_running(x)], sha=x, labels={}, connection_labels={x: x}, now=s.NOW, footer=x
    ),
    "commit_none": lambda x: commit_list([], sha=x, labels={}, connection_labels={}, now=s.NOW),
    "notification": lambda x: notification(
        evil_build(x),
        transition=s.BROKEN,
        **card(x),
        reason=x,
        failures=Failures(first=evil_issue(x), more=3, flaky_of=(4, 30), ref=x),
        mention=x,
        late=True,
        repeated=True,
    ),
    "notification_fixed": lambda x: notification(
        evil_build(x, conclusion=Conclusion.PASSED), transition=s.FIXED, **card(x), reason=x
    ),
    "notification_unknown": lambda x: notification(
        evil_build(x, conclusion=None), transition=Transition(), **card(x), reason=x
    ),
    "summary": lambda x: summary_notification([evil_build(x)] * 30, labels={}, now=s.NOW, reason=x, repeated=True),
    "approval": lambda x: approval_notification(
        evil_running(x),
        [evil_approval(x)] * 7,
        **card(x),
        requester=x,
        mention=x,
        going=(x,),
        approvers=x,
        policy=x,
        reason=x,
        repeated=True,
    ),
    "gate_decided": lambda x: approval_notification(evil_running(x), [evil_approval(x)], **card(x), decision=x),
    "outage": lambda x: outage_notification(x, s.NOW, x),
    "outage_over": lambda x: outage_over(x, s.NOW, s.NOW),
    "delivery": lambda x: delivery_problem(x, x, [x] * 14, commands=[x, f"unlink {x}"]),
    "status": lambda x: status_message(x, [evil_row(x)] * 20, s.NOW),
    "status_one": lambda x: status_message(x, [evil_row(x)], s.NOW),
    "status_none": lambda x: status_message(x, [], s.NOW),
    "help": lambda x: help_message(
        [(x, [(f"run {x}", x), (x, x), (x, x), (x, x)])] * 4, channel_name=x, example_pipeline=x, branch=x
    ),
    "verb": lambda x: verb_help(x, x, [(x, x)] * 30, [x, f"/build status {x}"], inferred=x, aliases=[x]),
    "error": lambda x: error_message(UsageError(x, hint=x, usage=x)),
    "provider_error": lambda x: error_message(AuthFailed(x, provider=x, hint=x), usage=x),
    "ambiguous": lambda x: error_message(Ambiguous(x, choices=((x, f"run {x}"),) * 3, hint=x)),
    "ambiguous_many": lambda x: error_message(Ambiguous(x, choices=tuple((x, f"run {n} {x}") for n in range(130)))),
    "surprise": lambda x: surprise_message(x, x),
    "link": lambda x: link_confirmation(
        name=x,
        pipeline=x,
        connection_label=x,
        user=x,
        branch=x,
        is_default=True,
        target=x,
        would={"all": 3},
        enabled=False,
        trouble=x,
    ),
    "log": lambda x: log_message(
        Log(text=x, job=x, url=f"https://ci.example/{x}"),
        build=evil_build(x),
        label=x,
        job=None,
        errors_only=True,
        now=s.NOW,
    ),
    "tests": lambda x: of_tests.tests_message(
        [TestCase(name=x, class_name=x, outcome=Outcome.FAILED, seconds=9, detail=x, message=x)] * 30,
        build=evil_build(x),
        label=x,
        now=s.NOW,
        note=x,
    ),
    "issues": lambda x: issues_message([evil_issue(x)] * 30, IssueCounts(), build=evil_running(x), label=x, now=s.NOW),
    "artifacts": lambda x: artifacts_message(
        [
            Artifact(id=x, build=x, pipeline=x, name=x, job=x, size_bytes=10**16, kind=x, url=url)
            for url in (None, f"https://ci.example/{x}", x)
        ]
        * 30,
        build=evil_build(x),
        label=x,
    ),
    "pipelines": lambda x: pipelines_message(
        [(x, x, x, False, f"https://ci.example/{x}"), (x, x, x, True, None)] * 35,
        pattern=x,
        troubles={x: x},
        more_command=f"list pipelines {x}",
    ),
    "links": lambda x: links_message([(x, x, x, x, True, x)] * 60, channel_name=x),
    "connections": lambda x: connections_message([ConnectionLine(name=x, label=x, error=x)] * 60),
    "branches": lambda x: branches_message(
        [Ref(kind=RefKind.BRANCH, name=x, title=x)] * 60, label=x, default=x, more_command="list branches"
    ),
}


@pytest.mark.parametrize("name", RENDERERS)
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(x=words)
def test_hostile_words_stay_words(name: str, x: str) -> None:
    payload = RENDERERS[name](x).payload()
    check(payload)
    assert as_text(payload)


@pytest.mark.parametrize("name", RENDERERS)
@pytest.mark.parametrize("x", EVIL, ids=range(len(EVIL)))
def test_the_known_attacks_stay_words(name: str, x: str) -> None:
    check(RENDERERS[name](x).payload())


SECRET = "q7Lw9Zt2Kx4Vb8Nm5s3D"
NAMED_LIKE_SECRETS = (
    f"fix/ghp_{SECRET}",
    f"https://ana:{SECRET}@git.example/x",
    f"revert token={SECRET}",
    f"Ana <ana:{SECRET}@mail.example>",
)


def shown_to_people(node: Any) -> Iterator[str]:
    """Every text and address of a payload; not the commands behind buttons, which name a branch as it is called."""
    if isinstance(node, dict):
        for key, value in node.items():
            if isinstance(value, str):
                if key in {"text", "url", "alt_text", "title"}:
                    yield value
            else:
                yield from shown_to_people(value)
    elif isinstance(node, list):
        for value in node:
            yield from shown_to_people(value)


@pytest.mark.parametrize("name", RENDERERS)
@pytest.mark.parametrize("x", NAMED_LIKE_SECRETS)
def test_a_secret_in_a_name_a_branch_or_an_address_is_shown_nowhere(name: str, x: str) -> None:
    payload = RENDERERS[name](x).payload()
    assert [text for text in shown_to_people(payload) if SECRET in text] == []


LIVE = re.compile(r"(?<![\w\xad*])\*(?!\xad)all|(?<![\w\xad])_(?!\xad)x|(?<![\w\xad~])~(?!\xad)y|(?m:^&gt;)")
OUR_SENTENCES = {"error", "ambiguous", "ambiguous_many", "surprise"}
"""Renderers whose words are ours and may be styled."""


@pytest.mark.parametrize("name", sorted(RENDERERS.keys() - OUR_SENTENCES))
def test_styles_in_outside_words_show_as_typed(name: str) -> None:
    typed = "> *all* _x_ ~y~"
    for text in mrkdwn_of(RENDERERS[name](typed).payload()):
        outside_code = re.sub(r"`[^`\n]*`", "", text)
        assert not LIVE.search(outside_code), outside_code
        read_back = text.replace(SOFT_HYPHEN, "").replace(STAR, "*").replace("&gt;", ">")
        assert read_back.count("*all*") >= read_back.count("_x_ ~y~")


def test_the_check_itself_sees_what_it_must_not() -> None:
    for text in ("<!channel>", "<https://evil.example|Approve>", "a & b", "\u202e"):
        payload = Message(text="x", blocks=(section(Markup(text)),)).payload()
        with pytest.raises(AssertionError):
            check(payload)


def test_a_view_is_checked_too() -> None:
    check(View(title="<!channel>", blocks=(section("x"),)).payload())
