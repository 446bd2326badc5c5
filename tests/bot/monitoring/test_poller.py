import asyncio
import contextlib
import logging
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from bot.core.errors import AuthFailed, BudgetSpent, NotFound, ProviderError, RateLimited, StoreError, Unavailable
from bot.core.models import BuildKey, Changes, Conclusion, Issue, IssueCounts, IssueKind, Outcome, TestCase, Watched
from bot.core.workflows import Upload, UploadState
from bot.http.quota import Quota
from bot.monitoring.details import MOST_UPLOAD_READS
from bot.monitoring.outages import OUTAGE_AFTER
from bot.monitoring.poller import LEASE_SECONDS, LONGEST_PAUSE_SECONDS, Pace, Poller, pause_seconds
from bot.notifications.failures import unpack_failures
from bot.notifications.notification import Event, Extra
from bot.providers.base.capabilities import Capability
from bot.providers.base.cursor import PollCursor
from bot.store import Store
from bot.store.rows import NewMute, NotificationRow, PollTargetRow
from tests.bot.store.rows import (
    CHANNEL,
    CONNECTION,
    NOW,
    PIPELINE,
    TEAM,
    ago,
    card,
    ended,
    key,
    leased,
    link,
    running,
    watch,
)
from tests.bot.works import PLAIN, Works
from tests.set_clock import SetClock

RED = Conclusion.FAILED
PACE = Pace(busy_seconds=10, idle_seconds=60)
DOWN = Unavailable("The works do not answer.", provider="The Works")


class Harness:
    """A poller with all that it uses."""

    def __init__(self, store: Store, clock: SetClock) -> None:
        self.store = store
        self.clock = clock
        self.works = Works(clock)
        self.works.history[PIPELINE] = []
        self.open: dict[str, Works] = {CONNECTION: self.works}
        self.made_elsewhere: dict[str, Works] = {}
        self.hidden: set[tuple[str, str]] = set()
        self.woken = 0
        self.polls: list[tuple[str, str]] = []
        self.poller = self.another()

    def another(self, owner: str = "w") -> Poller:
        """Return a watcher, as another process has it."""
        return Poller(
            self.store,
            provider_of=self.open.get,
            find=self._find,
            sees=lambda team, connection: (team, connection) not in self.hidden,
            pace=PACE,
            clock=self.clock,
            owner=owner,
            wake_outbox=self._wake,
            polled=lambda kind, outcome, _seconds: self.polls.append((kind, outcome)),
        )

    async def _find(self, connection: str) -> Works | None:
        self.open |= self.made_elsewhere
        return self.open.get(connection)

    def _wake(self) -> None:
        self.woken += 1

    async def follow(self, **fields: Any) -> None:
        """Link the pipeline to a channel, long ago, and want its poll target."""
        row = await self.store.links.save(link(**{"created_at": ago(days=30), "default_branch": "main", **fields}))
        provider = self.open.get(row.connection)
        part = provider.poll_target(row.pipeline) if provider else ""
        await self.store.polling.ensure(row.connection, part, now=self.clock())

    async def tick(self, **ahead: float) -> bool:
        """Go ahead in time, tick, and wait for what that started."""
        self.clock.go(**ahead)
        found = await self.poller.tick()
        await self.poller.settle()
        return found

    async def poll_when_due(self) -> None:
        """Go ahead to the next poll, which the jitter puts somewhere around the pace, and tick."""
        self.clock.now = max(self.clock.now, (await self.poll_target()).due_at)
        await self.tick()

    async def poll_target(self, part: str = "", connection: str = CONNECTION) -> PollTargetRow:
        """Return a poll target as it stands."""
        (row,) = [one for one in await self.store.polling.targets() if (one.connection, one.part) == (connection, part)]
        return row

    async def notifications(self, channel: str = CHANNEL) -> list[NotificationRow]:
        """Return what was decided for a channel."""
        return await self.store.notifications.in_channel(TEAM, channel, ago(days=99))


@pytest.fixture
def harness(store: Store, set_clock: SetClock) -> Harness:
    return Harness(store, set_clock)


# how long to wait


@pytest.mark.parametrize(
    ("busy", "quota", "spent", "seconds"),
    [
        (True, None, 1, 10),
        (False, None, 1, 60),
        (True, Quota(limit=0, remaining=0), 1, 10),
        (True, Quota(limit=1000, remaining=900, resets_at=NOW + timedelta(seconds=600)), 1, 10),
        (True, Quota(limit=100, remaining=60, resets_at=NOW + timedelta(seconds=600)), 1, 60),
        (True, Quota(limit=100, remaining=60, resets_at=NOW + timedelta(seconds=600)), 5, 300),
        (True, Quota(limit=100, remaining=60, resets_at=NOW + timedelta(seconds=600)), 0, 60),
        (True, Quota(limit=100, remaining=50, resets_at=NOW + timedelta(seconds=600)), 1, 600),
        (True, Quota(limit=100, remaining=3, resets_at=NOW + timedelta(hours=5)), 1, LONGEST_PAUSE_SECONDS),
        (False, Quota(limit=100, remaining=3, resets_at=NOW + timedelta(seconds=5)), 1, 60),
        (True, Quota(limit=100, remaining=3, resets_at=NOW), 1, 10),
        (True, Quota(limit=100, remaining=40), 1, 60),
    ],
)
def test_polls_leave_half_of_the_quota_to_others(busy: bool, quota: Quota | None, spent: int, seconds: float) -> None:
    assert pause_seconds(PACE, busy=busy, quota=quota, spent=spent, now=NOW) == seconds


async def test_the_next_poll_comes_soon_while_something_builds_and_never_in_step(harness: Harness) -> None:
    await harness.follow()
    harness.works.put(running())
    await harness.tick()
    busy = (await harness.poll_target()).due_at - harness.clock()
    assert timedelta(seconds=9) <= busy <= timedelta(seconds=11)
    harness.works.put(ended())
    await harness.tick(seconds=12)
    idle = (await harness.poll_target()).due_at - harness.clock()
    assert timedelta(seconds=54) <= idle <= timedelta(seconds=66)


async def test_a_quota_reported_by_the_vendor_stretches_the_pause(harness: Harness) -> None:
    await harness.follow()
    harness.works.left = Quota(limit=100, remaining=40, resets_at=NOW + timedelta(seconds=300))
    await harness.tick()
    assert (await harness.poll_target()).due_at - NOW >= timedelta(seconds=270)


# what is looked at


async def test_an_end_is_recorded_with_its_notification_and_the_outbox_is_woken(harness: Harness) -> None:
    await harness.follow()
    harness.works.put(running())
    await harness.tick()
    harness.works.put(ended())
    await harness.tick(seconds=12)
    (row,) = await harness.notifications()
    assert (row.event, row.state, row.build) == ("finished", "pending", "b1")
    assert harness.woken >= 1
    assert harness.polls == [("works", "ok"), ("works", "ok")]


async def test_nothing_is_posted_twice_however_often_it_is_polled(harness: Harness) -> None:
    await harness.follow()
    harness.works.put(ended())
    for _poll in range(3):
        await harness.tick(seconds=70)
    assert len(await harness.notifications()) == 1


async def test_the_cursor_goes_with_the_poll_target(harness: Harness) -> None:
    await harness.follow()
    harness.works.cursor = "page-7"
    await harness.tick()
    await harness.tick(seconds=70)
    assert [cursor for cursor, _watched in harness.works.looks] == [None, "page-7"]


async def test_only_linked_pipelines_and_watched_builds_are_asked_about(harness: Harness) -> None:
    await harness.follow()
    await harness.store.watches.add(watch("b9", pipeline="p-other"))
    harness.works.history["p-other"] = []
    harness.works.put(running("b9", pipeline="p-other"))
    harness.works.put(running("b8", pipeline="p-other"))
    await harness.tick()
    (_cursor, watched) = harness.works.looks[0]
    assert watched.pipelines == {PIPELINE}
    assert {one.id for one in watched.unfinished} == {"b9"}


async def test_a_watched_build_of_an_unlinked_pipeline_is_followed_to_its_end(harness: Harness) -> None:
    harness.works.capabilities = PLAIN | {Capability.ACCOUNT_POLL}
    harness.works.put(running("b9"))
    await harness.store.watches.add(watch("b9"))
    await harness.store.polling.ensure(CONNECTION, "", now=NOW)
    await harness.tick()
    harness.works.put(ended("b9"))
    await harness.tick(seconds=12)
    (row,) = await harness.notifications("U1")
    assert (row.build, row.reason) == ("b9", "you are watching it")
    assert await harness.store.watches.of_build(key("b9")) == []
    await harness.tick(seconds=70)
    assert await harness.store.polling.targets() == []


async def test_builds_that_a_list_no_longer_shows_are_read_one_by_one(harness: Harness) -> None:
    harness.works.capabilities = PLAIN | {Capability.ACCOUNT_POLL}
    await harness.follow()
    harness.works.put(running())
    await harness.tick()
    harness.works.put(ended())
    harness.works.listed = False
    await harness.tick(seconds=12)
    assert [row.build for row in await harness.notifications()] == ["b1"]


async def test_a_build_that_its_system_has_lost_is_asked_for_no_more(harness: Harness) -> None:
    harness.works.capabilities = PLAIN | {Capability.ACCOUNT_POLL}
    await harness.follow()
    harness.works.put(running())
    await harness.tick()
    harness.works.history[PIPELINE].clear()
    await harness.tick(seconds=12)
    assert harness.works.took("build") == ["b1"]
    await harness.tick(seconds=70)
    assert harness.works.took("build") == ["b1"]
    assert await harness.notifications() == []


async def test_builds_of_other_pipelines_that_a_list_brings_along_are_left_out(harness: Harness) -> None:
    await harness.follow()
    harness.works.put(ended())
    harness.works.brought = (ended("b7", pipeline="p-secret"),)
    await harness.tick()
    assert await harness.store.builds.get(BuildKey(connection=CONNECTION, pipeline="p-secret", id="b7")) is None
    assert await harness.store.builds.get(key()) is not None


async def test_a_workspace_that_may_not_see_a_connection_any_more_gets_nothing(harness: Harness) -> None:
    await harness.follow()
    harness.hidden.add((TEAM, CONNECTION))
    harness.works.put(ended())
    await harness.tick()
    (row,) = await harness.notifications()
    assert row.state == "silent"


# webhook events


async def test_a_webhook_event_reads_only_the_build_it_names(harness: Harness) -> None:
    await harness.follow()
    harness.works.put(running())
    await harness.tick()
    before = (await harness.poll_target()).poll_at
    harness.works.put(ended())
    harness.clock.go(seconds=1)
    await harness.store.polling.request(CONNECTION, "", [(PIPELINE, "b1")], full=False, now=harness.clock())
    await harness.tick()
    assert harness.works.took("build") == ["b1"]
    assert len(harness.works.looks) == 1
    assert [row.build for row in await harness.notifications()] == ["b1"]
    assert (await harness.poll_target()).poll_at <= before + timedelta(seconds=1)


async def test_webhook_events_about_builds_that_nobody_follows_cost_no_request(harness: Harness) -> None:
    await harness.follow()
    await harness.tick()
    harness.works.put(running("b5", pipeline="p-secret"))
    await harness.store.polling.request(CONNECTION, "", [("p-secret", "b5")], full=False, now=harness.clock())
    await harness.tick()
    assert harness.works.took("build") == []
    assert len(harness.works.looks) == 1


async def test_the_whole_is_read_where_more_builds_than_five_may_have_ended_before_the_one_that_is_named(
    harness: Harness,
) -> None:
    await harness.follow()
    for number in range(1, 9):
        harness.works.put(running(number=number, id=f"b{number}"))
    await harness.tick()
    for number in range(1, 9):
        harness.works.put(ended(RED, number=number, id=f"b{number}", completed_at=ago(seconds=60 - number)))
    harness.works.asked.clear()
    await harness.store.polling.request(CONNECTION, "", [(PIPELINE, "b8")], full=False, now=harness.clock())
    await harness.tick(seconds=5)
    assert [method for method, _, _ in harness.works.asked if method in {"changes", "build"}] == ["build", "changes"]
    assert {row.build for row in await harness.notifications()} == {f"b{number}" for number in range(1, 9)}


async def test_an_end_that_is_named_waits_for_those_before_it_where_too_little_is_left_to_read_them(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    await harness.follow()
    for number in (1, 2):
        harness.works.put(running(number=number, id=f"b{number}"))
    await harness.tick()
    for number in (1, 2):
        harness.works.put(ended(RED, number=number, id=f"b{number}", completed_at=ago(seconds=60 - number)))
    whole = harness.works.build_or_none

    async def only_the_second(key: BuildKey) -> Any:
        if key.id == "b1":
            raise BudgetSpent("Too little is left.", provider="The Works", retry_after=1)
        return await whole(key)

    with monkeypatch.context() as patch:
        patch.setattr(harness.works, "build_or_none", only_the_second)
        await harness.store.polling.request(CONNECTION, "", [(PIPELINE, "b2")], full=False, now=harness.clock())
        await harness.tick()
        assert await harness.notifications() == []
    await harness.poll_when_due()
    assert [row.build for row in await harness.notifications()] == ["b1", "b2"]


async def test_an_end_that_is_named_while_the_poll_is_behind_is_left_to_the_poll(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    await harness.follow()
    changes = harness.works.changes
    with monkeypatch.context() as patch:
        spent = BudgetSpent("Too little is left.", provider="The Works", retry_after=1)

        async def partly(cursor: str | None, watched: Watched) -> Changes:
            behind = PollCursor(behind=(PIPELINE,)).encode()
            return replace(await changes(cursor, watched), builds=(), cursor=behind, held=spent)

        patch.setattr(harness.works, "changes", partly)
        await harness.tick()
    for number in (1, 2):
        harness.works.put(ended(RED, number=number, id=f"b{number}", completed_at=ago(seconds=60 - number)))
    await harness.store.polling.request(CONNECTION, "", [(PIPELINE, "b2")], full=False, now=harness.clock())
    await harness.tick()
    assert await harness.notifications() == []
    await harness.poll_when_due()
    assert [row.build for row in await harness.notifications()] == ["b1", "b2"]


async def test_a_webhook_event_without_a_build_has_the_whole_poll_target_polled(harness: Harness) -> None:
    await harness.follow()
    await harness.tick()
    await harness.store.polling.request(CONNECTION, None, [], full=True, now=harness.clock())
    await harness.tick(seconds=1)
    assert len(harness.works.looks) == 2


async def test_a_webhook_event_that_comes_while_a_poll_runs_is_not_lost(harness: Harness) -> None:
    await harness.follow()
    harness.works.put(running())

    async def tap() -> None:
        harness.works.before_answer = None
        await harness.store.polling.request(CONNECTION, "", [(PIPELINE, "b1")], full=False, now=harness.clock())

    harness.works.before_answer = tap
    await harness.tick()
    harness.works.put(ended())
    assert (await harness.poll_target()).due_at <= harness.clock()
    await harness.tick()
    assert harness.works.took("build") == ["b1"]
    assert [row.build for row in await harness.notifications()] == ["b1"]


async def test_a_webhook_event_whose_poll_fails_is_made_good_by_the_poll_after_it(harness: Harness) -> None:
    await harness.follow()
    harness.works.put(running())
    await harness.tick()
    harness.works.put(ended())
    await harness.store.polling.request(CONNECTION, "", [(PIPELINE, "b1")], full=False, now=harness.clock())
    harness.works.troubles["build"] = DOWN
    await harness.tick()
    assert await harness.notifications() == []
    harness.works.troubles.clear()
    await harness.tick(seconds=12)
    assert [row.build for row in await harness.notifications()] == ["b1"]


# poll targets


async def test_a_poll_target_that_nobody_wants_is_dropped_and_comes_back(harness: Harness) -> None:
    await harness.store.polling.ensure(CONNECTION, "", now=NOW)
    await harness.tick()
    assert await harness.store.polling.targets() == []
    await harness.follow()
    await harness.tick(seconds=1)
    assert len(harness.works.looks) == 1


async def test_each_part_of_a_connection_is_polled_for_itself(harness: Harness) -> None:
    harness.works.poll_targets = {PIPELINE: "one", "p-web": "two"}
    harness.works.history["p-web"] = []
    await harness.follow()
    await harness.follow(channel="C2", pipeline="p-web")
    await harness.tick()
    assert sorted(next(iter(watched.pipelines)) for _cursor, watched in harness.works.looks) == [PIPELINE, "p-web"]
    (web,) = [row for row in await harness.store.links.all() if row.pipeline == "p-web"]
    await harness.store.links.delete(web.id or 0)
    await harness.tick(seconds=70)
    assert [poll_target.part for poll_target in await harness.store.polling.targets()] == ["one"]


async def test_poll_targets_that_are_missing_for_what_is_watched_are_made(harness: Harness) -> None:
    await harness.store.links.save(link(created_at=ago(days=1)))
    await harness.store.links.save(link(connection="gone"))
    assert await harness.tick()
    assert [poll_target.connection for poll_target in await harness.store.polling.targets()] == [CONNECTION]
    await harness.store.polling.drop(CONNECTION)
    await harness.tick(seconds=299)
    assert await harness.store.polling.targets() == []
    await harness.tick(seconds=1)
    assert len(await harness.store.polling.targets()) == 1


async def test_a_connection_that_vanished_is_left_alone_until_it_is_back(harness: Harness) -> None:
    await harness.follow()
    del harness.open[CONNECTION]
    await harness.tick()
    poll_target = await harness.poll_target()
    assert poll_target.last_error == f"There is no connection `{CONNECTION}`."
    assert poll_target.due_at == harness.clock() + timedelta(seconds=60)
    harness.open[CONNECTION] = harness.works
    harness.works.put(ended())
    await harness.tick(seconds=60)
    assert [row.event for row in await harness.notifications()] == ["finished"]


async def test_a_connection_that_vanished_with_its_links_takes_its_poll_target_along(harness: Harness) -> None:
    await harness.store.polling.ensure("gone", "", now=NOW)
    await harness.tick()
    assert await harness.store.polling.targets() == []


async def test_a_link_made_while_its_poll_target_is_dropped_gets_it_back(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    await harness.store.polling.ensure(CONNECTION, "", now=NOW)
    drop = harness.store.polling.drop

    async def just_before(connection: str, part: str | None = None) -> None:
        await harness.follow()
        await drop(connection, part)

    monkeypatch.setattr(harness.store.polling, "drop", just_before)
    await harness.tick()
    assert len(await harness.store.polling.targets()) == 1


async def test_a_poll_target_is_one_workers_until_its_lease_ends(harness: Harness) -> None:
    await harness.follow()
    (poll_target,) = await harness.store.polling.claim("dead", now=NOW, lease_seconds=LEASE_SECONDS, limit=9)
    assert not await harness.tick(seconds=LEASE_SECONDS - 1)
    assert await harness.tick(seconds=1)
    assert len(harness.works.looks) == 1
    harness.works.troubles["changes"] = DOWN
    await harness.poller.poll(poll_target)  # the dead one wakes up and fails: the poll target is no longer its own
    assert (await harness.poll_target()).failing_since is None


async def test_a_stop_in_the_middle_of_a_poll_gives_the_poll_target_back(harness: Harness) -> None:
    await harness.follow()
    reached = asyncio.Event()

    async def hang() -> None:
        reached.set()
        await asyncio.Event().wait()

    harness.works.before_answer = hang
    task = asyncio.ensure_future(harness.poller.run())
    await reached.wait()
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    poll_target = await harness.poll_target()
    assert (poll_target.lease_until, poll_target.due_at) == (None, NOW)
    assert poll_target.failing_since is None


async def test_a_slow_poll_target_stops_no_other(harness: Harness) -> None:
    slow = Works(harness.clock, connection="slow")
    slow.history[PIPELINE] = []
    harness.open["slow"] = slow
    hanging = asyncio.Event()

    async def hang() -> None:
        await hanging.wait()

    slow.before_answer = hang
    await harness.follow(connection="slow")
    await harness.follow()
    harness.works.put(ended())
    await harness.poller.tick()
    async with asyncio.timeout(10):
        while not await harness.notifications():  # noqa: ASYNC110 - the other poll target's task writes to the store
            await asyncio.sleep(0)
    hanging.set()
    await harness.poller.settle()


async def test_the_loop_begins_by_freeing_what_a_crash_left_leased_and_survives_a_lost_database(
    harness: Harness, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    await harness.follow()
    await harness.store.polling.claim("crashed", now=NOW, lease_seconds=LEASE_SECONDS, limit=9)
    claim = harness.store.polling.claim
    faults = [StoreError("The connection to the database broke.")]

    async def fragile(*args: Any, **kwargs: Any) -> Any:
        if faults:
            raise faults.pop()
        return await claim(*args, **kwargs)

    monkeypatch.setattr(harness.store.polling, "claim", fragile)
    polled = asyncio.Event()

    async def seen() -> None:
        polled.set()

    harness.works.before_answer = seen
    task = asyncio.ensure_future(harness.poller.run())
    async with asyncio.timeout(10):
        while not polled.is_set():
            harness.poller.wake()
            await asyncio.sleep(0)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    assert "the poller can't read what is due" in caplog.messages


# outages


async def fail_for(harness: Harness, minutes: float, error: ProviderError = DOWN) -> None:
    harness.works.troubles["changes"] = error
    end = harness.clock() + timedelta(minutes=minutes)
    while harness.clock() < end:
        await harness.tick(seconds=20)


async def test_an_outage_is_logged_when_it_starts_and_when_it_ends(
    harness: Harness, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "bot.monitoring.outages")
    await harness.follow()
    await fail_for(harness, 5)
    assert caplog.messages == ["a connection fails"]
    assert await harness.notifications() == []
    harness.works.troubles.clear()
    await harness.tick(seconds=70)
    assert caplog.messages == ["a connection fails", "a connection works again"]
    assert await harness.notifications() == []


async def test_channels_are_notified_once_after_ten_minutes_and_once_when_it_is_over(harness: Harness) -> None:
    await harness.follow()
    await harness.follow(channel="C2", paused_reason="is archived")
    await harness.follow(channel="C3", subscribed=False)
    await fail_for(harness, OUTAGE_AFTER / timedelta(minutes=1) + 8)
    (row,) = await harness.notifications()
    assert (row.event, row.state) == (Event.OUTAGE, "pending")
    harness.works.troubles.clear()
    harness.works.put(ended(completed_at=harness.clock()))
    await harness.tick(seconds=70)
    await harness.tick(seconds=70)
    assert [one.event for one in await harness.notifications()] == ["outage", "outage-over", "finished"]
    assert {one.event for channel in ("C2", "C3") for one in await harness.notifications(channel)} == {"finished"}


async def test_a_channel_is_notified_once_of_a_connection_whose_poll_targets_all_fail(harness: Harness) -> None:
    harness.works.poll_targets = {PIPELINE: "one", "p-web": "two", "p-api": "three"}
    harness.works.history |= {"p-web": [], "p-api": []}
    await harness.follow()
    await harness.follow(pipeline="p-web")
    await harness.follow(pipeline="p-web", channel="C2")
    await fail_for(harness, 16)
    assert [one.event for one in await harness.notifications()] == ["outage"]
    assert [one.event for one in await harness.notifications("C2")] == ["outage"]
    harness.works.troubles.clear()
    await harness.tick(seconds=70)
    await harness.tick(seconds=70)
    assert [one.event for one in await harness.notifications()] == ["outage", "outage-over"]
    assert [one.event for one in await harness.notifications("C2")] == ["outage", "outage-over"]


async def test_an_outage_is_held_where_a_channel_is_muted(harness: Harness) -> None:
    await harness.follow()
    mute = NewMute(team=TEAM, channel=CHANNEL, until=NOW + timedelta(hours=8), made_by="U1", made_at=NOW)
    await harness.store.mutes.set(mute)
    await fail_for(harness, 16)
    (row,) = await harness.notifications()
    assert (row.event, row.state) == ("outage", "held")


async def test_one_connections_outage_stops_no_other(harness: Harness) -> None:
    other = Works(harness.clock, connection="other")
    other.history[PIPELINE] = [ended(connection="other")]
    harness.open["other"] = other
    await harness.follow()
    await harness.follow(connection="other", channel="C2")
    harness.works.troubles["changes"] = AuthFailed("The token is wrong.", provider="The Works")
    await harness.tick()
    assert [row.connection for row in await harness.notifications("C2")] == ["other"]
    assert ("works", "AuthFailed") in harness.polls


async def test_a_pause_that_a_vendor_asks_for_is_kept(harness: Harness) -> None:
    await harness.follow()
    harness.works.troubles["changes"] = RateLimited("Slow down.", provider="The Works", retry_after=200)
    await harness.tick()
    assert (await harness.poll_target()).due_at - NOW >= timedelta(seconds=200)
    harness.works.troubles["changes"] = RateLimited("Slow down.", provider="The Works", retry_after=99_999)
    await harness.tick(seconds=250)
    assert (await harness.poll_target()).due_at - harness.clock() <= timedelta(seconds=LONGEST_PAUSE_SECONDS * 1.1)


async def test_a_poll_that_takes_too_long_is_an_outage(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bot.monitoring.poller.POLL_SECONDS", 0.0)
    await harness.follow()

    async def hang() -> None:
        await asyncio.Event().wait()

    harness.works.before_answer = hang
    await harness.tick()
    assert (await harness.poll_target()).last_error == "The Works took longer than 0 s."
    assert harness.polls == [("works", "timeout")]


# issue counts


async def counting(harness: Harness, *can: Capability) -> None:
    harness.works.capabilities = PLAIN | set(can)
    await harness.follow()


async def test_counts_are_read_at_once_and_release_the_notification(harness: Harness) -> None:
    await counting(harness, Capability.COUNTS)
    harness.works.read_counts["b1"] = IssueCounts(errors=2)
    harness.works.put(ended())
    await harness.tick()
    (row,) = await harness.notifications()
    assert row.due_at == NOW + timedelta(seconds=30)
    await harness.tick(seconds=1)
    (row,) = await harness.notifications()
    assert row.due_at == harness.clock()
    known = await harness.store.builds.get(key())
    assert known is not None
    assert known[0].issues == IssueCounts(errors=2)


async def test_a_red_build_whose_counts_are_known_still_gets_its_first_failures(harness: Harness) -> None:
    await counting(harness, Capability.COUNTS, Capability.ISSUES)
    kinds = (IssueKind.WARNING, IssueKind.ERROR, IssueKind.TEST_FAILURE, IssueKind.ERROR, IssueKind.ERROR)
    harness.works.known_issues["b1"] = tuple(Issue(kind=kind, message=kind.value) for kind in kinds)
    harness.works.put(ended(conclusion=RED, issues=IssueCounts(errors=3)))
    await harness.tick()
    await harness.tick(seconds=1)
    attempt = await harness.store.attempts.get(key(), 1)
    assert attempt is not None
    assert attempt.failures_total == 4
    assert attempt.failures.startswith('[{"kind":"test_failure"')
    assert [issue.kind.value for issue in unpack_failures(attempt)] == ["test_failure", "error", "error", "error"]


async def test_a_failing_test_is_named_before_the_exit_status_of_the_job_that_ran_it(harness: Harness) -> None:
    await counting(harness, Capability.COUNTS, Capability.ISSUES, Capability.TESTS)
    harness.works.known_issues["b1"] = (Issue(kind=IssueKind.ERROR, message="exit status 1", job="Unit tests"),)
    harness.works.known_tests["b1"] = (
        TestCase(name="starts", outcome=Outcome.PASSED),
        TestCase(name="token refresh", class_name="Login", outcome=Outcome.FAILED, message="expected 200, got 401"),
    )
    harness.works.put(ended(conclusion=RED, issues=IssueCounts(errors=1)))
    await harness.tick()
    await harness.tick(seconds=1)
    attempt = await harness.store.attempts.get(key(), 1)
    assert attempt is not None
    assert attempt.failures.startswith(
        '[{"kind":"test_failure","message":"Login.token refresh — expected 200, got 401"'
    )
    assert attempt.failures_total == 2


UPLOAD = Upload(id="u", number="42", version="2.1.0", state=UploadState.PROCESSING)


async def test_what_a_build_handed_to_a_store_is_read_while_its_notification_is_out(harness: Harness) -> None:
    await counting(harness, Capability.COUNTS, Capability.UPLOADS)
    harness.works.known_uploads["b1"] = (UPLOAD,)
    harness.works.put(ended(issues=IssueCounts(errors=0)))
    await harness.tick()
    later = harness.clock() + timedelta(seconds=10)
    (leased,) = await harness.store.notifications.claim("o", now=later, lease_seconds=60, limit=9)
    await harness.store.notifications.set_sent(leased, ts="1.1", card=card(), now=harness.clock())
    await harness.tick(seconds=1)
    stored = await harness.store.builds.get(key())
    assert stored is not None
    assert stored[0].details == {"TestFlight": "build 42 (2.1.0), processing"}
    (shown,) = await harness.store.cards.of_build(key())
    assert shown.edit_due_at == harness.clock()
    await harness.tick(seconds=50)
    assert harness.works.took("uploads") == ["b1"]
    await harness.tick(seconds=15)  # a minute later it is still processed
    assert harness.works.took("uploads") == ["b1", "b1"]
    harness.works.known_uploads["b1"] = (replace(UPLOAD, state=UploadState.VALID),)
    await harness.tick(seconds=121)
    again = await harness.store.builds.get(key())
    assert again is not None
    assert again[0].details == {"TestFlight": "build 42 (2.1.0), ready"}
    await harness.tick(seconds=3600)
    assert harness.works.took("uploads") == ["b1"] * 3  # it is not asked again once it is ready


async def test_an_upload_that_stays_in_processing_is_given_up_after_some_hours(harness: Harness) -> None:
    await counting(harness, Capability.COUNTS, Capability.UPLOADS)
    harness.works.known_uploads["b1"] = (UPLOAD,)
    harness.works.put(ended(issues=IssueCounts(errors=0)))
    await harness.tick()
    for _ in range(40):
        await harness.tick(seconds=901)
    assert len(harness.works.took("uploads")) == MOST_UPLOAD_READS + 1


@pytest.mark.parametrize("conclusion", [Conclusion.CANCELLED, Conclusion.SKIPPED])
async def test_a_build_without_a_result_is_not_asked_for_uploads(harness: Harness, conclusion: Conclusion) -> None:
    await counting(harness, Capability.COUNTS, Capability.UPLOADS)
    harness.works.put(ended(conclusion=conclusion))
    await harness.tick()
    await harness.tick(seconds=1)
    assert harness.works.took("uploads") == []


async def test_uploads_that_can_not_be_read_hold_up_nothing(harness: Harness) -> None:
    await counting(harness, Capability.COUNTS, Capability.UPLOADS)
    harness.works.troubles["uploads"] = DOWN
    harness.works.read_counts["b1"] = IssueCounts(errors=2)
    harness.works.put(ended())
    await harness.tick()
    await harness.tick(seconds=1)
    stored = await harness.store.builds.get(key())
    assert stored is not None
    assert (stored[0].issues, stored[0].details) == (IssueCounts(errors=2), {})


async def test_a_test_that_did_not_fail_before_is_named_before_those_that_did(harness: Harness) -> None:
    await counting(harness, Capability.COUNTS, Capability.ISSUES, Capability.TESTS)
    for number, names in (("1", ("old",)), ("2", ("old", "new"))):
        harness.works.known_tests[f"b{number}"] = tuple(TestCase(name=name, outcome=Outcome.FAILED) for name in names)
        at = harness.clock()
        harness.works.put(ended(f"b{number}", number=int(number), conclusion=RED, completed_at=at, created_at=at))
        await harness.poll_when_due()
        await harness.tick(seconds=1)
    attempt = await harness.store.attempts.get(key("b2"), 1)
    assert attempt is not None
    assert [issue.message for issue in unpack_failures(attempt)] == ["new", "old"]


async def test_counts_that_are_read_late_give_newer_builds_their_baseline(harness: Harness) -> None:
    await counting(harness, Capability.COUNTS)
    harness.works.read_counts |= {"b1": IssueCounts(warnings=3), "b2": IssueCounts(warnings=5)}
    harness.works.troubles["counts"] = DOWN
    for number in (1, 2):
        at = harness.clock()
        harness.works.put(ended(f"b{number}", number=number, completed_at=at, created_at=at))
        await harness.poll_when_due()
    await harness.tick(seconds=1)
    (row,) = [row for row in await harness.notifications() if row.build == "b2"]
    assert Extra.of(row.extra).transition.delta(IssueCounts(warnings=5), "warnings") is None
    harness.works.troubles.clear()
    await harness.tick(seconds=31)
    (row,) = [row for row in await harness.notifications() if row.build == "b2"]
    assert Extra.of(row.extra).transition.delta(IssueCounts(warnings=5), "warnings") == 2


async def test_counts_that_can_not_be_read_are_tried_three_times(
    harness: Harness, caplog: pytest.LogCaptureFixture
) -> None:
    await counting(harness, Capability.COUNTS)
    harness.works.troubles["counts"] = DOWN
    harness.works.put(ended())
    await harness.tick()
    await harness.store.notifications.claim("o", now=harness.clock() + timedelta(seconds=30), lease_seconds=60, limit=9)
    await harness.store.notifications.set_sent(
        await leased(harness.store, 1), ts="1.1", card=card(), now=harness.clock()
    )
    for _try in range(5):
        await harness.tick(seconds=61)
    assert harness.works.took("counts") == ["b1"] * 3
    attempt = await harness.store.attempts.get(key(), 1)
    assert attempt is not None
    assert (attempt.counts, attempt.counts_due_at) == ("", None)
    (shown,) = await harness.store.cards.of_build(key())
    assert shown.edit_due_at is not None


async def test_counts_of_a_build_that_is_lost_are_given_up_at_once(harness: Harness) -> None:
    await counting(harness, Capability.COUNTS)
    harness.works.troubles["counts"] = NotFound("There is no such build.", provider="The Works")
    harness.works.put(ended())
    await harness.tick()
    await harness.tick(seconds=61)
    await harness.tick(seconds=61)
    assert harness.works.took("counts") == ["b1"]


async def test_counts_of_a_attempt_that_a_newer_one_replaced_are_not_read(harness: Harness) -> None:
    await counting(harness, Capability.COUNTS)
    harness.works.put(ended())
    await harness.tick()
    await harness.store.recording.record([running()], now=harness.clock())
    await harness.tick(seconds=1)
    assert harness.works.took("counts") == []


async def test_a_connection_that_another_process_has_just_made_is_polled_at_once(harness: Harness) -> None:
    await harness.follow()
    harness.works.put(ended())
    harness.made_elsewhere[CONNECTION] = harness.open.pop(CONNECTION)
    await harness.tick()
    assert (await harness.poll_target()).last_error == ""
    assert await harness.store.builds.get(key()) is not None


async def test_counts_of_a_connection_that_is_gone_hold_up_nothing(harness: Harness) -> None:
    await counting(harness, Capability.COUNTS)
    harness.works.put(ended())
    await harness.tick()
    del harness.open[CONNECTION]
    await harness.tick(seconds=1)
    (row,) = await harness.notifications()
    assert row.due_at == harness.clock()


async def test_the_first_failures_may_be_missing(harness: Harness) -> None:
    await counting(harness, Capability.ISSUES)
    harness.works.troubles["issues"] = DOWN
    harness.works.put(ended(conclusion=RED))
    await harness.tick()
    await harness.tick(seconds=1)
    attempt = await harness.store.attempts.get(key(), 1)
    assert attempt is not None
    assert (attempt.failures, attempt.counts_due_at) == ("", None)


async def test_a_poll_reads_some_of_many_unfinished_builds_and_others_the_next_time(harness: Harness) -> None:
    await harness.follow()
    unfinished = [running(number=number, id=f"b{number}") for number in range(100)]
    for build in unfinished:
        harness.works.put(build)
    await harness.store.recording.record(unfinished, now=harness.clock())
    harness.works.listed = False
    seen: set[str] = set()
    for _poll in range(30):
        await harness.poll_when_due()
        _cursor, watched = harness.works.looks[-1]
        assert len(watched.unfinished) == 40
        seen |= {build.id for build in watched.unfinished}
    assert len(seen) == 100


async def test_a_poll_for_which_the_budget_is_too_small_comes_later_and_smaller_until_one_succeeds(
    harness: Harness,
) -> None:
    await harness.follow()
    unfinished = [running(number=number, id=f"b{number}") for number in range(100)]
    for build in unfinished:
        harness.works.put(build)
    await harness.store.recording.record(unfinished, now=harness.clock())
    harness.works.listed = False
    sizes: list[int] = []
    for poll in range(12):
        if poll < 6:
            harness.works.troubles["changes"] = BudgetSpent("Too little is left.", provider="The Works", retry_after=1)
        else:
            harness.works.troubles.pop("changes", None)
        await harness.poll_when_due()
        sizes.append(len(harness.works.looks[-1][1].unfinished))
        if poll < 6:
            assert (await harness.poll_target()).due_at - harness.clock() >= timedelta(seconds=25)
    assert sizes == [40, 20, 10, 5, 5, 5, 5, 10, 20, 40, 40, 40]


async def test_what_a_poll_has_read_before_its_budget_ended_is_recorded_and_the_rest_is_read_later(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    await harness.follow()
    changes = harness.works.changes
    spent = BudgetSpent("Too little is left.", provider="The Works", retry_after=1)

    async def partly(cursor: str | None, watched: Watched) -> Changes:
        return replace(await changes(cursor, watched), cursor="halfway", held=spent)

    monkeypatch.setattr(harness.works, "changes", partly)
    harness.works.put(ended(RED, number=1))
    await harness.tick()
    poll_target = await harness.poll_target()
    assert len(await harness.notifications()) == 1
    assert poll_target.cursor == "halfway"
    assert poll_target.failing_since is None
    assert poll_target.due_at - harness.clock() >= timedelta(seconds=20)
    assert harness.polls == [(harness.works.kind, "partial")]


async def test_a_poll_that_read_nothing_because_the_system_is_away_has_failed(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    await harness.follow()

    async def nothing(_cursor: str | None, _watched: Watched) -> Changes:
        return Changes(builds=(), cursor="lost", held=DOWN)

    monkeypatch.setattr(harness.works, "changes", nothing)
    await harness.tick()
    poll_target = await harness.poll_target()
    assert (poll_target.cursor, poll_target.failing_since) == ("", harness.clock())


async def test_where_most_unfinished_builds_are_of_pipelines_without_a_link_they_come_first(harness: Harness) -> None:
    await harness.follow()
    alone = [running(number=number, id=f"a{number}", pipeline="other") for number in range(60)]
    linked = [running(number=number, id=f"b{number}") for number in range(3)]
    harness.works.history["other"] = []
    for build in (*alone, *linked):
        harness.works.put(build)
    await harness.store.recording.record([*alone, *linked], now=harness.clock())
    for build in alone:
        await harness.store.watches.add(watch(build.id, pipeline="other"))
    harness.works.listed = False
    await harness.poll_when_due()
    unfinished = harness.works.looks[-1][1].unfinished
    assert sum(key.pipeline == "other" for key in unfinished) == 40
    assert sum(key.pipeline == PIPELINE for key in unfinished) == 3
