"""A followed log is one message in the build's thread, edited at most every 15 s until its job ends."""

from dataclasses import replace
from typing import Any

import pytest

from bot.core.errors import Unavailable
from bot.core.models import Conclusion, Job, Log, Pipeline, Status
from bot.store import Store
from commands.core.context import Services, Source
from commands.followed_logs import FollowedLogs
from tests.commands.fakes import CHANNEL, NOW, TEAM, FakeProvider, RecordingSender
from tests.commands.reading import Linked, Recorded, Say, first, post_card
from tests.set_clock import SetClock

JOB = Job(id="j1", build="b5", pipeline="p-app", name="test", status=Status.IN_PROGRESS, started_at=NOW)


@pytest.fixture
async def job(works: FakeProvider, app: Pipeline, linked: Linked, recorded: Recorded, store: Store) -> Job:
    """Let #5 of app run, with a card in the channel and a job that writes."""
    await linked()
    build = works.running(app, 5)
    await recorded(build)
    await post_card(store, build, ts="111.5", live=True)
    works.known_jobs["b5"] = (JOB,)
    works.logs["j1"] = Log(text="one\nTOKEN=ghp_" + "a1B2" * 9 + "\n")
    return JOB


@pytest.fixture
def logs(services: Services) -> FollowedLogs:
    return FollowedLogs(services)


def end(works: FakeProvider) -> None:
    works.known_jobs["b5"] = (replace(JOB, status=Status.COMPLETED, conclusion=Conclusion.FAILED, completed_at=NOW),)


@pytest.mark.usefixtures("job")
async def test_a_log_is_followed_in_the_builds_thread_until_its_job_ends(
    say: Say, works: FakeProvider, sender: RecordingSender, store: Store, logs: FollowedLogs, set_clock: SetClock
) -> None:
    assert (await say("logs #5 --follow")).answer.silent
    (posted,) = sender.of("chat.postMessage")
    assert (posted.arguments["channel"], posted.arguments["thread"]) == (CHANNEL, "111.5")
    assert "one" in posted.text
    assert "ghp_" not in posted.text
    set_clock.go(seconds=14)
    await logs.tick()
    assert sender.of("chat.update") == []
    works.logs["j1"] = Log(text="one\ntwo\n")
    set_clock.go(seconds=1)
    await logs.tick()
    await logs.tick()
    (edit,) = sender.of("chat.update")
    assert "two" in edit.text
    assert "Following" in edit.text
    end(works)
    set_clock.go(seconds=15)
    await logs.tick()
    assert "The job has ended: failed" in sender.of("chat.update")[-1].text
    assert await store.log_follows.of_channel(TEAM, CHANNEL) == []
    set_clock.go(minutes=5)
    await logs.tick()
    assert len(sender.of("chat.update")) == 2


@pytest.mark.usefixtures("job")
async def test_another_process_goes_on_after_a_restart_and_two_do_not_both_edit(
    say: Say, services: Services, sender: RecordingSender, set_clock: SetClock
) -> None:
    await say("logs #5 --follow")
    set_clock.go(seconds=15)
    await FollowedLogs(services).tick()
    await FollowedLogs(services).tick()
    assert len(sender.of("chat.update")) == 1


@pytest.mark.usefixtures("job")
async def test_who_was_away_until_the_next_edit_was_due_leaves_it_to_another(
    say: Say, works: FakeProvider, services: Services, store: Store, sender: RecordingSender, set_clock: SetClock
) -> None:
    await say("logs #5 --follow")
    set_clock.go(seconds=15)
    end(works)
    read = works.log

    async def slow(job: Job, **options: Any) -> Log:
        set_clock.go(seconds=15)
        return await read(job, **options)

    works.log = slow  # type: ignore[method-assign,assignment]
    await FollowedLogs(services).tick()
    assert sender.of("chat.update") == []
    assert len(await store.log_follows.of_channel(TEAM, CHANNEL)) == 1
    works.log = read  # type: ignore[method-assign]
    await FollowedLogs(services).tick()
    assert "The job has ended: failed" in sender.of("chat.update")[-1].text


@pytest.mark.usefixtures("job")
async def test_what_passes_is_tried_again_and_a_message_that_is_gone_is_not(
    say: Say, works: FakeProvider, sender: RecordingSender, store: Store, logs: FollowedLogs, set_clock: SetClock
) -> None:
    await say("logs #5 --follow")
    works.troubles["log"] = Unavailable("works does not answer.", provider="works")
    set_clock.go(seconds=15)
    await logs.tick()
    assert len(await store.log_follows.of_channel(TEAM, CHANNEL)) == 1
    works.troubles.clear()
    sender.refusals["chat.update"] = "message_not_found"
    set_clock.go(seconds=15)
    await logs.tick()
    assert await store.log_follows.of_channel(TEAM, CHANNEL) == []


@pytest.mark.usefixtures("job")
async def test_a_job_that_never_ends_is_given_up_after_hours(
    say: Say, sender: RecordingSender, store: Store, logs: FollowedLogs, set_clock: SetClock
) -> None:
    await say("logs #5 --follow")
    set_clock.go(hours=6)
    await logs.tick()
    assert "Not followed any longer" in sender.of("chat.update")[-1].text
    assert await store.log_follows.of_channel(TEAM, CHANNEL) == []


@pytest.mark.usefixtures("job")
async def test_what_is_followed_twice_ended_or_private_is_not_followed(say: Say, works: FakeProvider) -> None:
    assert "in a channel" in first(await say("logs works:app#5 --follow", channel="D1", source=Source.DIRECT))
    assert "goes with it" in first(await say("logs #5 --follow --grep x"))
    await say("logs #5 --follow")
    assert "followed here already" in first(await say("logs #5 --follow"))
    end(works)
    assert first(await say("logs #5 --follow")).startswith("Log of test")
