"""A search for the commit that broke a pipeline: what it builds, what its one card shows, and how it ends."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

import pytest

from bot.core.errors import Unavailable
from bot.core.models import (
    Build,
    Commit,
    Conclusion,
    Issue,
    IssueKind,
    Parameter,
    ParameterType,
    Person,
    Pipeline,
    Status,
)
from bot.monitoring.recorder import Recorder
from bot.store import Store
from bot.store.states import BuildPurpose
from commands.bisections import LEASE, BisectionSteps
from commands.core.context import Services, Source
from tests.commands.fakes import CHANNEL, NOW, TEAM, USER, FakeProvider, RecordingSender
from tests.commands.reading import Linked, Recorded, Say, buttons, first, said
from tests.set_clock import SetClock

SHAS = [f"{number:x}" * 40 for number in range(1, 10)]
"""Nine commits, oldest first: the first is good, the last bad."""
Turn = Callable[[], Awaitable[None]]


@pytest.fixture
async def compared(works: FakeProvider, linked: Linked) -> Sequence[str]:
    """Let the CI system know what lies between the first and the last commit."""
    await linked()
    commits = tuple(
        Commit(sha=sha, subject=f"Change {number}", author=f"Author {number}")
        for number, sha in reversed(list(enumerate(SHAS))[1:])
    )
    works.compared[SHAS[0], SHAS[-1]] = commits
    return SHAS


@pytest.fixture
def turn(services: Services, set_clock: SetClock) -> Turn:
    """Return what lets the worker come by."""

    async def came() -> None:
        set_clock.go(seconds=30)
        await BisectionSteps(services).tick()

    return came


def started(works: FakeProvider) -> list[str]:
    """Return the commits whose builds were started."""
    return [details.commit for verb, _what, details in works.acts if verb == "start"]


async def end(works: FakeProvider, turn: Turn, conclusion: Conclusion) -> None:
    """Let the newest build end, and the worker see it."""
    newest = works.history["p-app"][0]
    works.put(replace(newest, status=Status.COMPLETED, conclusion=conclusion, completed_at=newest.created_at))
    await turn()


def card(sender: RecordingSender) -> str:
    """Return the text of the card as it stands."""
    return str(sender.last.message and sender.last.message.payload())


BEGIN = f"bisect app --good {SHAS[0]} --bad {SHAS[-1]}"


@pytest.mark.usefixtures("compared")
async def test_the_first_bad_commit_is_found_in_three_builds_on_one_card(
    say: Say, works: FakeProvider, sender: RecordingSender, store: Store, turn: Turn
) -> None:
    asked = await say(BEGIN)
    assert asked.answer.is_question
    assert "8 commits after `1111111` up to `9999999`" in said(asked)
    assert "at most 3 builds" in said(asked)
    assert (works.acts, sender.of("chat.postMessage")) == ([], [])
    await say(buttons(asked)["Start the search"], source=Source.BUTTON)
    await turn()
    assert started(works) == [SHAS[4]]
    assert "Queued" in card(sender)
    await end(works, turn, Conclusion.PASSED)
    assert started(works) == [SHAS[4], SHAS[6]]
    works.known_issues[works.history["p-app"][0].id] = (
        Issue(kind=IssueKind.TEST_FAILURE, message="expected 200, got 401", job="test"),
    )
    await end(works, turn, Conclusion.FAILED)
    await end(works, turn, Conclusion.PASSED)
    assert started(works) == [SHAS[4], SHAS[6], SHAS[5]]
    text = card(sender)
    assert "*First bad commit:* `7777777` Change 6 by Author 6" in text
    assert "test: expected 200, got 401" in text
    assert len(sender.of("chat.postMessage")) == 1
    assert len({edit.arguments["ts"] for edit in sender.of("chat.update")}) == 1
    assert await store.bisections.of_channel(TEAM, CHANNEL) == []
    assert all(request.ref.name == "main" for _verb, _what, request in works.acts)


@pytest.mark.usefixtures("compared")
async def test_known_results_are_used_before_anything_is_built(
    say: Say, works: FakeProvider, app: Pipeline, recorded: Recorded, sender: RecordingSender, turn: Turn
) -> None:
    await recorded(
        works.build_of(app, 1, commit=SHAS[5]),
        works.build_of(app, 2, commit=SHAS[6], conclusion=Conclusion.FAILED),
    )
    handled = await say(BEGIN)
    await turn()
    assert works.acts == []
    assert handled.outcome == "ok"
    assert "*First bad commit:* `7777777`" in card(sender)
    assert "2 results known before" in card(sender)


@pytest.mark.usefixtures("compared")
async def test_a_commit_that_passed_and_failed_before_says_nothing(
    say: Say, works: FakeProvider, app: Pipeline, recorded: Recorded, sender: RecordingSender, turn: Turn
) -> None:
    await recorded(
        works.build_of(app, 1, commit=SHAS[4]), works.build_of(app, 2, commit=SHAS[4], conclusion=Conclusion.FAILED)
    )
    await say(f"{BEGIN} --yes")
    await turn()
    assert started(works) == [SHAS[3]]
    assert "it passed and failed" in card(sender)


@pytest.mark.usefixtures("compared")
@pytest.mark.parametrize("conclusion", [Conclusion.CANCELLED, Conclusion.SKIPPED, None])
async def test_a_build_without_a_result_is_skipped_and_another_commit_built(
    say: Say, works: FakeProvider, sender: RecordingSender, turn: Turn, conclusion: Conclusion
) -> None:
    await say(f"{BEGIN} --yes")
    await turn()
    await end(works, turn, conclusion)
    assert started(works) == [SHAS[4], SHAS[3]]
    assert "skipped in" in card(sender)


@pytest.mark.usefixtures("compared")
async def test_a_lost_machine_says_nothing_about_its_commit(
    say: Say, works: FakeProvider, sender: RecordingSender, turn: Turn
) -> None:
    await say(f"{BEGIN} --yes")
    await turn()
    works.known_issues[works.history["p-app"][0].id] = (
        Issue(kind=IssueKind.ERROR, message="agent lost contact", job="test"),
    )
    await end(works, turn, Conclusion.FAILED)
    assert "the machine or agent was lost" in card(sender)
    assert started(works) == [SHAS[4], SHAS[3]]


@pytest.mark.usefixtures("compared")
async def test_the_limit_of_builds_ends_it_with_the_range_that_remains(
    say: Say, works: FakeProvider, sender: RecordingSender, turn: Turn
) -> None:
    asked = await say(f"{BEGIN} --max 1")
    assert "The limit of 1 build may end it before its end" in said(asked)
    await say(f"{BEGIN} --max 1 --yes")
    assert "builds to go at most, of which the limit allows 1" in card(sender)
    await turn()
    await end(works, turn, Conclusion.PASSED)
    assert started(works) == [SHAS[4]]
    assert "The limit of 1 build is reached. The first bad commit is one of the 4 commits that remain." in card(sender)
    assert "First bad commit:" not in card(sender)
    assert f"bisect works:p-app --good {SHAS[0]} --bad {SHAS[-1]} --max 1" in card(sender)  # what Go on stands for


@pytest.mark.usefixtures("compared")
async def test_it_is_stopped_with_its_own_build_and_no_other(
    say: Say, works: FakeProvider, app: Pipeline, sender: RecordingSender, turn: Turn
) -> None:
    await say(f"{BEGIN} --yes")
    await turn()
    own = works.history["p-app"][0]
    works.running(app, 99)
    assert (await say("bisect stop app", user="U2")).answer.is_question
    await say("bisect stop app --yes", user="U2")
    await turn()
    assert [(verb, what) for verb, what, _details in works.acts if verb == "cancel"] == [("cancel", own.id)]
    assert "Stopped by <@U2>" in card(sender)
    assert "No search runs here" in first(await say("bisect stop"))
    await turn()
    assert len(started(works)) == 1


@pytest.mark.usefixtures("compared")
async def test_another_process_goes_on_after_a_restart_and_adopts_a_build_it_finds(
    say: Say, works: FakeProvider, store: Store, sender: RecordingSender, turn: Turn, monkeypatch: pytest.MonkeyPatch
) -> None:
    await say(f"{BEGIN} --yes")
    broken = store.recording.record_start

    async def dies(*_args: object, **_fields: object) -> None:
        raise RuntimeError("the process died")

    monkeypatch.setattr(store.recording, "record_start", dies)
    await turn()
    monkeypatch.setattr(store.recording, "record_start", broken)
    for _minute in range(6):
        await turn()
    assert started(works) == [SHAS[4]]
    await end(works, turn, Conclusion.PASSED)
    assert started(works) == [SHAS[4], SHAS[6]]
    assert len(sender.of("chat.postMessage")) == 1


@pytest.mark.usefixtures("compared")
async def test_two_processes_start_one_build(say: Say, works: FakeProvider, services: Services) -> None:
    await say(f"{BEGIN} --yes")
    await BisectionSteps(services).tick()
    await BisectionSteps(services).tick()
    assert len(started(works)) == 1


@pytest.mark.usefixtures("compared")
async def test_a_process_whose_search_was_taken_over_starts_no_build_and_a_stop_is_not_put_off(
    say: Say, works: FakeProvider, services: Services, store: Store, set_clock: SetClock
) -> None:
    await say(f"{BEGIN} --yes")
    [stale] = await store.bisections.claim(set_clock.go(minutes=1), again=LEASE, limit=1)
    [claimed] = await store.bisections.claim(set_clock.go(seconds=30), again=LEASE, limit=1)
    await BisectionSteps(services)._guarded(stale)
    assert started(works) == []
    assert await store.bisections.stop(claimed.id, USER, set_clock())
    assert await store.bisections.save(claimed, data=claimed.data, ts="9.9", due_at=set_clock() + LEASE)
    row = await store.bisections.get(claimed.id)
    assert row is not None
    assert (row.ts, row.due_at) == ("9.9", set_clock())


@pytest.mark.usefixtures("compared")
async def test_a_ci_system_that_does_not_answer_is_asked_again_and_given_up_in_words(
    say: Say, works: FakeProvider, store: Store, sender: RecordingSender, turn: Turn
) -> None:
    await say(f"{BEGIN} --yes")
    works.troubles["start"] = Unavailable("The Works does not answer.", provider="The Works")
    await turn()
    assert len(await store.bisections.of_channel(TEAM, CHANNEL)) == 1
    for _try in range(10):
        await turn()
    assert await store.bisections.of_channel(TEAM, CHANNEL) == []
    assert "The Works does not answer." in card(sender)


@pytest.mark.usefixtures("compared")
async def test_a_hold_is_kept_by_each_build(say: Say, works: FakeProvider, sender: RecordingSender, turn: Turn) -> None:
    await say(f"{BEGIN} --yes")
    await say("hold app release day", user="U2")
    await turn()
    assert works.acts == []
    assert "on hold: <@U2>" in card(sender)
    assert (await say(BEGIN)).outcome == "refused"


@pytest.mark.usefixtures("compared")
async def test_one_search_runs_for_a_pipeline_and_channel(say: Say) -> None:
    await say(f"{BEGIN} --yes")
    assert "runs in this channel already" in first(await say(f"{BEGIN} --yes"))
    assert "App*: 8 commits left" in first(await say("bisect"))


@pytest.mark.usefixtures("compared")
async def test_its_builds_are_no_news_and_no_part_of_the_branchs_history(
    say: Say, works: FakeProvider, store: Store, turn: Turn, set_clock: SetClock
) -> None:
    await say(f"{BEGIN} --yes")
    await turn()
    build = works.history["p-app"][0]
    ended = replace(build, status=Status.COMPLETED, conclusion=Conclusion.FAILED, completed_at=set_clock())
    await Recorder(store, clock=set_clock, sees=lambda _team, _name: True).record([ended], works)
    row = await store.builds.get(build.key)
    assert row is not None
    assert row[1].purpose is BuildPurpose.BISECTION
    assert await store.notifications.claim("w", now=set_clock.go(hours=1), lease_seconds=60, limit=9) == []
    assert build.history_ref is not None
    assert await store.attempts.of_ref(build.connection, build.pipeline, build.history_ref) == []


async def test_without_a_comparison_the_commits_are_those_that_builds_name(
    say: Say,
    works: FakeProvider,
    app: Pipeline,
    linked: Linked,
    recorded: Recorded,
    sender: RecordingSender,
    turn: Turn,
) -> None:
    await linked()
    builds: list[Build] = []
    for number in range(1, 7):
        conclusion = Conclusion.PASSED if number == 1 else Conclusion.FAILED if number == 6 else Conclusion.CANCELLED
        builds.append(
            works.build_of(
                app,
                number,
                commit=SHAS[number],
                conclusion=conclusion,
                author=Person(name="Mika"),
                created_at=NOW.replace(minute=number),
            )
        )
    await recorded(*builds)
    asked = await say("bisect app --good #1 --bad failed")
    assert "5 commits after" in said(asked)
    assert "a push may hold more" in said(asked)
    await say("bisect app --good #1 --bad failed --yes")
    await turn()
    assert started(works) == [SHAS[3]]
    await end(works, turn, Conclusion.FAILED)
    await end(works, turn, Conclusion.PASSED)
    assert "*First bad commit of those that were built:* `4444444` Change number 3 by Mika" in card(sender)
    assert "A commit that was pushed with it may be the one" in card(sender)


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ("bisect app", "`--good` and `--bad` is missing"),
        ("bisect app --good #1", "`--bad` is missing"),
        (f"bisect app --good {SHAS[0]} --bad {SHAS[0]}", "Both are the same commit"),
        (f"bisect app --good {SHAS[0]} --bad {SHAS[2]}", "I don't know the commits between 1111111 and 3333333"),
        ("bisect app --good 1234567 --bad #1", "No build here has a commit that begins with"),
        (f"{BEGIN} --max 0", "from 1 to 20"),
        (f"{BEGIN} KEY=1", "holds a secret"),
        ("bisect app@main --good #1 --bad #2", "name the commits"),
    ],
)
@pytest.mark.usefixtures("compared")
async def test_what_cannot_be_searched_is_refused_with_what_to_do(
    say: Say, works: FakeProvider, app: Pipeline, words: str, reason: str
) -> None:
    works.known_parameters[app.id] = (Parameter(name="KEY", type=ParameterType.SECRET),)
    works.build_of(app, 1, commit=SHAS[0])
    assert reason in first(await say(words))
    assert works.acts == []


@pytest.mark.usefixtures("compared")
async def test_an_end_whose_stored_build_says_the_opposite_is_refused(
    say: Say, works: FakeProvider, app: Pipeline, recorded: Recorded
) -> None:
    await recorded(works.build_of(app, 1, commit=SHAS[0], conclusion=Conclusion.FAILED))
    assert "`--good` names 1111111, which has not passed: #1 of it failed" in first(await say(BEGIN))


@pytest.mark.usefixtures("compared")
async def test_a_system_that_starts_no_commits_says_so(
    say: Say, works: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FakeProvider, "starts_commits", False)
    assert "starts branches and tags, not single commits" in first(await say(BEGIN))
    assert works.acts == []


@pytest.mark.usefixtures("compared")
async def test_who_asked_is_named_on_the_card(say: Say, sender: RecordingSender, turn: Turn) -> None:
    await say(f"{BEGIN} --yes")
    await turn()
    assert f"asked for by <@{USER}>" in card(sender)
