"""What lists and cards show of a build beside what its system reports: its attempt's times, the wait for people, all fields."""

from dataclasses import replace
from datetime import timedelta

import pytest

from bot.core.models import Build, Conclusion, Pipeline, Status
from bot.store import Store
from tests.commands.fakes import NOW, USER, FakeProvider
from tests.commands.reading import Linked, Recorded, Say, said

MINUTE = timedelta(minutes=1)


@pytest.fixture
async def waited(store: Store, works: FakeProvider, app: Pipeline, linked: Linked, recorded: Recorded) -> Build:
    """Return a build that ran for five minutes and waited for a person for twenty more."""
    await linked()
    start = NOW - 25 * MINUTE
    build = works.running(app, 7, created_at=start, started_at=start)
    await recorded(build, started_by=USER)
    await store.recording.record([replace(build, waiting=True)], now=NOW - 23 * MINUTE)
    await store.recording.record([replace(build, raw_state="on")], now=NOW - 3 * MINUTE)
    ended = replace(build, status=Status.COMPLETED, conclusion=Conclusion.PASSED, completed_at=NOW)
    works.put(ended)
    await store.recording.record([ended], now=NOW)
    return ended


@pytest.mark.usefixtures("waited")
@pytest.mark.parametrize("words", ["last", "status", "status mine", "show #7", "show #7 --all"])
async def test_the_wait_for_an_approval_is_shown_apart_from_the_running_time(say: Say, words: str) -> None:
    text = said(await say(words))
    assert "5 m 00 s" in text
    assert "20 m 00 s" in text
    assert "25 m" not in text


@pytest.mark.usefixtures("waited")
async def test_show_names_who_started_a_build_through_the_bot(say: Say) -> None:
    assert f"started by <@{USER}>" in said(await say("show #7"))


async def test_a_retried_build_has_the_times_of_its_attempt_in_lists(
    say: Say, store: Store, works: FakeProvider, app: Pipeline, linked: Linked
) -> None:
    await linked()
    old = works.build_of(
        app,
        7,
        conclusion=Conclusion.FAILED,
        created_at=NOW - 720 * MINUTE,
        started_at=NOW - 720 * MINUTE,
        completed_at=NOW - 700 * MINUTE,
    )
    await store.recording.record([old], now=NOW - 700 * MINUTE)
    again = replace(old, status=Status.IN_PROGRESS, conclusion=None, completed_at=None)
    await store.recording.record([again], now=NOW - 2 * MINUTE)
    works.put(again)
    for words in ("last", "status", "show #7"):
        assert "running for 2 m 00 s" in said(await say(words))


async def test_show_lists_every_field_on_request(say: Say, works: FakeProvider, app: Pipeline, linked: Linked) -> None:
    await linked()
    works.build_of(app, 7, details={"coverage": "81 %"}, target_branch="main")
    card, everything = said(await say("show #7")), said(await say("show #7 --all"))
    assert "coverage: 81 %" in card
    assert "*Coverage*  81 %" in everything
    assert "*Target branch*  `main`" in everything
    assert "*Target branch*" not in card
