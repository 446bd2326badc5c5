"""Reading verbs: status, last, list, logs, tests, issues, artifacts, changes, why, stats, explain."""

import json
from dataclasses import replace
from datetime import timedelta

import pytest

from bot.core.errors import AuthFailed, Unavailable
from bot.core.models import (
    Account,
    Artifact,
    Conclusion,
    Issue,
    IssueCounts,
    IssueKind,
    Job,
    Log,
    Outcome,
    Person,
    Pipeline,
    Scope,
    Status,
    TestCase,
)
from bot.providers.base.capabilities import Capability
from bot.store import Store
from bot.store.rows import NewNotification
from bot.store.states import NotificationEvent, NotificationState
from commands.look.logs import errors_in
from tests.commands.fakes import CHANNEL, EVERYTHING, NOW, TEAM, USER, FakeConnections, FakeProvider
from tests.commands.reading import Linked, Recorded, Say, buttons, first, said

# status


async def test_status_shows_what_the_channel_follows(
    say: Say, works: FakeProvider, app: Pipeline, linked: Linked
) -> None:
    await linked()
    await linked(works.add("web"), alias="site")
    works.build_of(app, 1)
    works.build_of(app, 2, conclusion=Conclusion.FAILED)
    works.running(app, 3)
    text = said(await say(""))
    for part in ("App", "site", "#2", "#3"):
        assert part in text


async def test_status_without_links_says_how_to_link(say: Say) -> None:
    assert "`/build link`" in first(await say("status"))


async def test_status_of_a_system_that_is_down_shows_what_was_seen_last(
    say: Say, works: FakeProvider, app: Pipeline, linked: Linked, recorded: Recorded
) -> None:
    await linked()
    await recorded(works.build_of(app, 4))
    works.troubles["builds"] = Unavailable("It is down.", provider="The Works")
    text = said(await say("status"))
    assert "It is down." in text
    assert "#4" in text


async def test_status_shows_a_link_whose_connection_is_gone_and_asks_no_other_for_it(
    say: Say, works: FakeProvider, linked: Linked, connections: FakeConnections
) -> None:
    await linked()
    connections.open.clear()
    other = FakeProvider("other")
    other.troubles["pipelines"] = Unavailable("This must not be asked.", provider="Other")
    connections.open["other"] = other
    assert "is not there any more" in said(await say("status"))


async def test_status_of_everything_says_how_much_is_left_out(say: Say, works: FakeProvider, linked: Linked) -> None:
    for number in range(23):
        await linked(works.add(f"p{number:02}"), channel=f"C{number}")
    text = said(await say("all"))
    assert "P00" in text
    assert "3 more" in text


async def test_status_of_one_ref_shows_its_builds(say: Say, works: FakeProvider, app: Pipeline, linked: Linked) -> None:
    await linked()
    works.build_of(app, 1)
    works.build_of(app, 2, branch=None, pull_request="42")
    works.build_of(app, 3, branch="other")
    assert "#2" in said(await say("status @pr:42"))
    assert "#3" in said(await say("status app@other"))


async def test_status_of_a_commit_asks_every_link(
    say: Say, works: FakeProvider, app: Pipeline, linked: Linked, recorded: Recorded
) -> None:
    await linked()
    await recorded(works.build_of(app, 1, commit="a1b2c3d4e5"))
    works.build_of(app, 2, commit="a1b2c3d4e5")
    text = said(await say("A1B2C3D"))
    assert "#1" in text
    assert "#2" in text
    assert "No build of commit `1234567` is known" in first(await say("status @1234567"))
    works.troubles["builds"] = Unavailable("Down.", provider="The Works")
    assert "#1" in said(await say("status a1b2c3d"))


async def test_mine_are_the_builds_i_started(say: Say, works: FakeProvider, app: Pipeline, recorded: Recorded) -> None:
    assert "`/build run" in first(await say("status mine"))
    await recorded(works.running(app, 4), started_by=USER)
    await recorded(works.running(app, 5), started_by="U2")
    text = said(await say("mine"))
    assert "#4" in text
    assert "#5" not in text


# last, show, list


async def test_last_lists_newest_first_narrowed_by_state_and_ref(
    say: Say, works: FakeProvider, app: Pipeline, linked: Linked
) -> None:
    await linked()
    for number in range(1, 8):
        works.build_of(app, number, conclusion=Conclusion.FAILED if number % 2 else Conclusion.PASSED)
    works.build_of(app, 8, branch=None, tag="v1")
    text = said(await say("last -n 2 --state failed"))
    assert text.index("#7") < text.index("#5")
    assert "#3" not in text
    assert "#8" in said(await say("last @tag:v1"))
    assert "#6" in said(await say("last @0000006"))
    assert "has no such builds" in said(await say("last app@nowhere"))
    assert "There is no state `sad`" in first(await say("last --state sad"))
    assert "from 1 to 25" in first(await say("last -n 26"))


async def test_lists(say: Say, works: FakeProvider, app: Pipeline, linked: Linked) -> None:
    await linked()
    works.add("web")
    works.build_of(app, 3)
    works.running(app, 4)
    assert "App" in said(await say("list"))
    assert "App" not in said(await say("list links zzz"))
    pipelines = said(await say("ls pipelines --refresh"))
    assert "Web" in pipelines
    assert "App" in pipelines
    assert "App" not in said(await say("list pipelines w*"))
    assert "#4" in said(await say("list builds app --state running"))
    assert "#3" in said(await say("list build"))
    assert "release/2.1" in said(await say("list branches app@rel"))
    assert "release/2.1" in said(await say("list branches --pipeline works:app"))
    assert "works" in said(await say("list connections"))
    assert "Nothing is scheduled here" in first(await say("list schedules"))
    assert "I can't list `cats`" in first(await say("list cats"))


# logs


@pytest.fixture
async def failed(works: FakeProvider, app: Pipeline, linked: Linked) -> None:
    """Let #5 of app have failed in two jobs, with logs."""
    await linked()
    build = works.build_of(app, 5, conclusion=Conclusion.FAILED)
    works.known_jobs[build.id] = tuple(
        Job(
            id=f"j{n}",
            build=build.id,
            pipeline=app.id,
            name=name,
            status=Status.COMPLETED,
            conclusion=end,
            tolerated=may,
        )
        for n, name, end, may in (
            (1, "flaky", Conclusion.FAILED, True),
            (2, "unit", Conclusion.FAILED, False),
            (3, "deploy", Conclusion.SKIPPED, False),
        )
    )
    works.logs["j1"] = Log(text="soft\nerror: tolerated\n")
    works.logs["j2"] = Log(
        text="\n".join([*(f"line {n}" for n in range(90)), "FAILED: token=ghp_" + "a" * 36, "after"])
    )


@pytest.mark.usefixtures("failed")
async def test_logs_show_the_errors_of_the_most_telling_job_with_secrets_masked(say: Say) -> None:
    text = said(await say("logs"))
    assert "FAILED" in text
    assert "line 89" in text
    assert "line 10" not in text
    assert "ghp_aaaa" not in text
    assert "error: tolerated" in said(await say("logs #5 flaky"))


@pytest.mark.usefixtures("failed")
async def test_logs_show_the_last_lines_or_those_that_hold_a_text_or_all_as_a_file(say: Say) -> None:
    assert "line 50" in said(await say("logs --tail 60"))
    assert "line 77" in said(await say("logs --grep 'LINE 77'"))
    assert "No line near the end of unit holds `zzz`" in first(await say("logs --grep zzz"))
    file = (await say("logs --file")).answer.file
    assert file is not None
    assert file.name == "App-5.log"
    assert b"line 1\n" in file.content
    assert b"ghp_aaaa" not in file.content


@pytest.mark.usefixtures("failed")
async def test_logs_that_are_not_there_are_said_to_be_missing(say: Say, works: FakeProvider, app: Pipeline) -> None:
    assert "No job of this build is called `nope`" in first(await say("logs #5 nope"))
    build = works.running(app, 6)
    assert "has no jobs with a log" in first(await say("logs #6"))
    works.known_jobs[build.id] = (Job(id="j9", build="b6", pipeline=app.id, name="x", status=Status.IN_PROGRESS),)
    works.logs["j9"] = Log(text="compiling")
    assert "compiling" in said(await say("logs #6"))
    works.capabilities = EVERYTHING - {Capability.LIVE_LOG}
    assert (await say("logs #6")).outcome == "failed"


def test_errors_are_cut_out_with_what_stands_around_them() -> None:
    lines = ["a", "b", "c", "error: x", "d", "e", "f", "g", "h", "Traceback", "i"]
    assert errors_in(lines) == ["b", "c", "error: x", "d", "e", "…", "g", "h", "Traceback", "i"]
    assert errors_in(["fine", "terror"]) == []


# tests, issues, artifacts, changes


@pytest.fixture
async def two(works: FakeProvider, app: Pipeline, linked: Linked) -> None:
    """Let #4 have failed one way, #5 been cancelled, #6 failed that way and another."""
    await linked()
    works.build_of(app, 4, conclusion=Conclusion.FAILED, issues=IssueCounts(errors=1, warnings=5), commit="c4" * 20)
    works.build_of(app, 5, conclusion=Conclusion.CANCELLED)
    works.build_of(app, 6, conclusion=Conclusion.FAILED, issues=IssueCounts(errors=2, warnings=5), commit="c6" * 20)
    old = TestCase(name="testOld", outcome=Outcome.FAILED)
    works.known_tests = {
        "b4": (old,),
        "b6": (
            old,
            TestCase(name="testNew", outcome=Outcome.FAILED),
            TestCase(name="ok", outcome=Outcome.PASSED, seconds=9),
        ),
    }
    error = Issue(kind=IssueKind.ERROR, message="old trouble", file="a.c", line=3)
    works.known_issues = {
        "b4": (error,),
        "b6": (replace(error, line=9), Issue(kind=IssueKind.WARNING, message="new trouble")),
    }


@pytest.mark.usefixtures("two")
async def test_tests_show_what_failed_and_what_failed_anew(say: Say) -> None:
    text = said(await say("tests"))
    assert "testOld" in text
    assert "testNew" in text
    new = said(await say("tests --new"))
    assert "testNew" in new
    assert "testOld" not in new
    assert "testOld" in said(await say("tests #4 --new"))
    assert "Slowest first" in said(await say("tests --slow"))


@pytest.mark.usefixtures("two")
async def test_issues_are_narrowed_by_severity_and_newness(say: Say) -> None:
    assert "old trouble" in said(await say("issues"))
    assert "new trouble" not in said(await say("issues --severity errors"))
    new = said(await say("issues --new"))
    assert "new trouble" in new
    assert "old trouble" not in new
    assert "old trouble" in said(await say("issues #4 --new"))
    assert "There is no severity `sad`" in first(await say("issues --severity sad"))


@pytest.mark.usefixtures("two")
async def test_changes_compare_with_the_finished_build_before(say: Say) -> None:
    text = said(await say("changes"))
    assert "#4 → #6" in text
    assert "2 errors (+1)" in text
    assert "5 warnings" in text
    assert "is the first build of App" in first(await say("diff #4"))


@pytest.mark.usefixtures("two")
async def test_artifacts_are_listed_and_one_is_uploaded(say: Say, works: FakeProvider, app: Pipeline) -> None:
    def left(name: str, size: int | None = 3) -> Artifact:
        return Artifact(id=name, build="b6", pipeline=app.id, name=name, size_bytes=size)

    works.files["b6"] = (left("out/app.ipa"), left("report.html"), left("big.zip", 10**9), left("empty.txt", None))
    works.contents = {"out/app.ipa": b"ipa", "report.html": b"<p>"}
    assert "report.html" in said(await say("artifacts"))
    assert "report.html" not in said(await say("artifacts *.ipa"))
    file = (await say("artifacts #6 app.ipa --upload")).answer.file
    assert file is not None
    assert (file.name, file.content) == ("app.ipa", b"ipa")
    assert "Which of 4 files?" in first(await say("artifacts --upload"))
    assert "is larger than 50 MiB" in first(await say("artifacts big.zip --upload"))
    assert (await say("artifacts empty.txt --upload")).outcome == "failed"


@pytest.mark.usefixtures("two")
async def test_why_names_the_kind_of_trouble_the_first_of_it_and_who_changed_what(
    say: Say, works: FakeProvider, app: Pipeline
) -> None:
    works.history[app.id].append(works.history[app.id][0])
    works.build_of(app, 7, conclusion=Conclusion.FAILED, author=Person(name="Mika"), commit="c7" * 20)
    works.known_issues["b7"] = (Issue(kind=IssueKind.ERROR, message="connection reset by peer", job="unit"),)
    handled = await say("why")
    text = said(handled)
    assert "infrastructure" in text
    assert "connection reset by peer" in text
    assert "Mika" in text
    assert buttons(handled)["Logs"] == "logs works:p-app#7"
    works.build_of(app, 8)
    assert "did not fail" in first(await say("why #8"))


@pytest.mark.parametrize(
    ("fields", "issue", "kind"),
    [
        ({"conclusion": Conclusion.TIMEOUT}, None, "a time-out"),
        ({}, Issue(kind=IssueKind.TEST_FAILURE, message="x"), "failing tests (1)"),
        ({}, Issue(kind=IssueKind.ERROR, message="invalid YAML"), "configuration or credentials"),
        ({}, Issue(kind=IssueKind.ERROR, message="no semicolon"), "the code or its build"),
        ({}, None, "unknown"),
    ],
)
async def test_kinds_of_trouble(
    say: Say, works: FakeProvider, app: Pipeline, fields: dict[str, object], issue: Issue | None, kind: str
) -> None:
    works.build_of(app, 5, **{"conclusion": Conclusion.FAILED, **fields})
    works.known_issues["b5"] = (issue,) if issue else ()
    assert kind in said(await say("why works:app#5"))


async def test_stats_count_what_was_seen_to_end(
    say: Say, works: FakeProvider, app: Pipeline, linked: Linked, recorded: Recorded
) -> None:
    await linked()
    assert "No build of App ended in that time" in first(await say("stats"))
    await recorded(
        works.build_of(app, 1),
        works.build_of(app, 2, conclusion=Conclusion.FAILED),
        works.build_of(app, 3, commit="2" * 7),
        works.build_of(app, 4, commit="2" * 7, conclusion=Conclusion.FAILED, branch="main"),
    )
    text = said(await say("stats app@main --since 7d"))
    assert "4 builds · 2 passed · 2 failed · 50 % green" in text
    assert "flaky" in text


async def test_explain_shows_each_decision_but_not_other_peoples_messages(
    say: Say, works: FakeProvider, app: Pipeline, linked: Linked, recorded: Recorded, store: Store
) -> None:
    build = works.build_of(app, 5)
    assert "no channel of this workspace follows" in said(await say("explain works:app#5"))
    await linked()
    assert "I have not seen its end" in said(await say("explain #5"))
    await recorded(build)
    assert "it ended before the pipeline was linked" in said(await say("explain #5"))

    def row(channel: str, reason: str, state: NotificationState) -> NewNotification:
        return NewNotification(
            team=TEAM,
            channel=channel,
            connection="works",
            pipeline=app.id,
            build="b5",
            attempt_no=1,
            event=NotificationEvent.FINISHED,
            reason=reason,
            extra=json.dumps({}),
            state=state,
            due_at=NOW,
            created_at=NOW,
            user=channel,
        )

    await store.notifications.add(
        [
            row(CHANNEL, "nobody asked", NotificationState.SILENT),
            row("C9", "it broke", NotificationState.PENDING),
            row(USER, "you asked", NotificationState.HELD),
            row("U2", "secret", NotificationState.PENDING),
        ]
    )
    text = said(await say("explain #5"))
    for part in ("here: not posted, because nobody asked", "<#C9>: about to be posted", "by direct message: held back"):
        assert part in text
    assert "secret" not in text


async def test_help_and_version(say: Say, linked: Linked) -> None:
    await linked(alias="site")
    assert "site" in said(await say("help"))
    assert "run nightly@main" in said(await say("help start"))
    assert "I don't know `fly`" in first(await say("help fly"))
    assert (await say("help --dismiss")).answer.replace
    assert "Buildbell" in first(await say("version"))


@pytest.mark.parametrize(
    "words",
    [
        "status a b",
        "last a b",
        "show a b",
        "tests a b",
        "issues a b",
        "artifacts a b c",
        "why a b",
        "changes a b",
        "stats a b",
    ],
)
async def test_a_word_too_many_is_refused(say: Say, words: str) -> None:
    assert (await say(words)).outcome == "refused"


async def test_connections_are_listed_with_when_their_credentials_end_and_what_those_lack(
    say: Say, works: FakeProvider
) -> None:
    works.account = Account(
        name="bot",
        missing=(Scope(name="write_builds", purpose="starting builds"),),
        expires_at=NOW + timedelta(days=12),
    )
    text = said(await say("list connections"))
    assert "⚠ *works*  ·  The Works  ·  credentials end on 2026-03-16, in 12 days" in text
    assert "Scope `write_builds` is missing. Does not work without it: starting builds." in text
    works.troubles["check"] = AuthFailed("The Works refused the token.", provider="The Works")
    assert "✕ *works*  ·  The Works  ·  The Works refused the token." in said(await say("list connections"))
