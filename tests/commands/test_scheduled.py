"""What is due: once each, late but not too late, paused for people who left, whatever the clock does."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import pytest

from bot.slack.inbox import Inbox
from bot.slack.sender import SlackError
from bot.store import Store
from bot.store.rows import LinkRow, NewSchedule, ScheduleRow
from commands.core.context import Answer, Context, Services
from commands.core.executor import Handled
from commands.scheduled import LATEST, ScheduledCommands
from tests.commands.fakes import ADMIN, CHANNEL, NOW, TEAM, USER, FakeProvider, RecordingSender
from tests.set_clock import SetClock

Say = Callable[..., Awaitable[Handled]]
Linked = Callable[..., Awaitable[LinkRow]]
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
SEVEN = datetime(2026, 3, 5, 6, tzinfo=UTC)  # 7:00 in Berlin


class Channel:
    """What the channel was shown; `refusal` is Slack's word against it."""

    def __init__(self) -> None:
        self.shown: list[str] = []
        self.refusal = ""

    async def deliver(self, context: Context, answer: Answer) -> None:
        if self.refusal:
            raise SlackError(self.refusal)
        assert answer.silent or answer.message is not None
        self.shown.append("a build's card" if answer.message is None else str(answer.message.payload()))


@pytest.fixture
def channel() -> Channel:
    return Channel()


@pytest.fixture
def timed(services: Services, channel: Channel, inbox: Inbox) -> ScheduledCommands:
    return ScheduledCommands(services, channel.deliver, inbox)


async def the_row(store: Store) -> ScheduleRow:
    (row,) = await store.schedules.of_channel(TEAM, CHANNEL)
    return row


def builds(works: FakeProvider) -> int:
    return sum(verb == "start" for verb, *_rest in works.acts)


@pytest.fixture
async def nightly(say: Say, linked: Linked) -> None:
    await linked()
    assert (await say('schedule "daily 7:00" run app@main')).outcome == "ok"


@pytest.mark.usefixtures("nightly")
@pytest.mark.parametrize("days", [0, 3, 400])
async def test_after_a_downtime_the_latest_missed_run_takes_place_once_if_it_is_not_too_old(
    store: Store, works: FakeProvider, set_clock: SetClock, timed: ScheduledCommands, days: int
) -> None:
    latest = SEVEN + days * DAY if days < 300 else datetime(2027, 4, 9, 5, tzinfo=UTC)  # summer time by then
    set_clock.now = latest + 40 * MINUTE
    await timed.tick()
    await timed.tick()
    assert builds(works) == 1
    row = await the_row(store)
    assert (row.next_at, row.last_outcome) == (latest + DAY, "ok")


@pytest.mark.usefixtures("nightly")
async def test_a_run_missed_by_more_than_an_hour_is_left_out_and_said_once(
    store: Store, works: FakeProvider, set_clock: SetClock, timed: ScheduledCommands, channel: Channel
) -> None:
    set_clock.now = SEVEN + 2 * DAY + LATEST + MINUTE
    await timed.tick()
    await timed.tick()
    assert builds(works) == 0
    (told,) = channel.shown
    for part in ("did not run", "2026-03-07 06:00 UTC", "run app@main", "daily 7:00 (Europe/Berlin)", "Run it now"):
        assert part in told
    assert "2026-03-08 06:00 UTC" in told
    row = await the_row(store)
    assert (row.next_at, row.last_outcome) == (SEVEN + 3 * DAY, "missed")
    set_clock.now = SEVEN + 3 * DAY
    await timed.tick()
    assert builds(works) == 1


@pytest.mark.parametrize("minutes", [5, 45, 90])
async def test_an_interval_keeps_its_beat_over_a_restart_and_makes_no_burst(
    say: Say,
    store: Store,
    works: FakeProvider,
    set_clock: SetClock,
    inbox: Inbox,
    services: Services,
    channel: Channel,
    linked: Linked,
    minutes: int,
) -> None:
    await linked()
    await say(f'schedule "every {minutes} minutes" run app@main')
    gap = minutes * MINUTE
    for beat in range(1, 4):
        set_clock.now = NOW + beat * gap + timedelta(seconds=7)
        await ScheduledCommands(services, channel.deliver, inbox).tick()
        assert builds(works) == beat
        assert (await the_row(store)).next_at == NOW + (beat + 1) * gap
    set_clock.now = NOW + 20 * gap + 2 * MINUTE
    for _turn in range(3):
        await ScheduledCommands(services, channel.deliver, inbox).tick()
    assert builds(works) == 4
    assert (await the_row(store)).next_at == NOW + 21 * gap


async def test_a_repeated_time_runs_once_and_a_left_out_one_at_the_end_of_the_gap(
    say: Say, store: Store, works: FakeProvider, set_clock: SetClock, timed: ScheduledCommands, linked: Linked
) -> None:
    await linked()
    set_clock.now = datetime(2026, 3, 28, 12, tzinfo=UTC)
    await say('schedule "daily 2:30" run app@main')
    assert (await the_row(store)).next_at == datetime(2026, 3, 29, 1, tzinfo=UTC)
    set_clock.now = datetime(2026, 10, 25, 0, 0, tzinfo=UTC)
    await timed.tick()
    before = builds(works)
    for quarter in range(4 * 12):
        set_clock.now = datetime(2026, 10, 25, 0, 0, tzinfo=UTC) + quarter * 15 * MINUTE
        await timed.tick()
    assert builds(works) - before == 1


@pytest.mark.usefixtures("nightly")
@pytest.mark.parametrize("back", [10 * MINUTE, 2 * HOUR])
async def test_a_clock_set_back_repeats_no_run(
    store: Store, works: FakeProvider, set_clock: SetClock, timed: ScheduledCommands, back: timedelta
) -> None:
    set_clock.now = SEVEN + MINUTE
    await timed.tick()
    set_clock.now -= back
    while set_clock.now < SEVEN + 5 * MINUTE:
        await timed.tick()
        set_clock.go(minutes=5)
    assert builds(works) == 1
    assert (await the_row(store)).next_at == SEVEN + DAY


@pytest.mark.usefixtures("nightly")
@pytest.mark.parametrize("ahead", [DAY, 3 * DAY, 3000 * DAY])
async def test_a_clock_that_ran_ahead_and_was_set_right_loses_no_run(
    say: Say, store: Store, works: FakeProvider, set_clock: SetClock, timed: ScheduledCommands, ahead: timedelta
) -> None:
    await say("digest daily 7:00")
    set_clock.now = NOW + ahead
    await timed.tick()
    assert builds(works) == 0
    digests = await store.digests.of_channel(TEAM, CHANNEL)
    assert digests[0].next_at > NOW + ahead
    set_clock.now = NOW + MINUTE
    await timed.tick()
    assert (await the_row(store)).next_at == SEVEN
    assert [row.next_at for row in await store.digests.of_channel(TEAM, CHANNEL)] == [SEVEN]
    set_clock.now = SEVEN
    await timed.tick()
    assert builds(works) == 1


@pytest.mark.usefixtures("nightly")
async def test_schedules_of_who_left_rest_and_say_so_once_until_they_are_back(
    store: Store,
    works: FakeProvider,
    set_clock: SetClock,
    timed: ScheduledCommands,
    channel: Channel,
    sender: RecordingSender,
    say: Say,
) -> None:
    sender.users[USER]["deleted"] = True
    channel.refusal = "channel_not_found"
    set_clock.now = SEVEN
    await timed.tick()
    channel.refusal = ""
    for day in range(1, 4):
        set_clock.now = SEVEN + day * DAY
        await timed.tick()
    assert builds(works) == 0
    (told,) = channel.shown
    for part in ("is paused", f"<@{USER}>", "deactivated", 'schedule "daily 7:00" run app@main', "schedule remove"):
        assert part in told
    notices = [call for call in sender.of("chat.postMessage") if call.arguments["channel"] == ADMIN]
    assert [f"In <#{CHANNEL}>: Schedule 1 is paused" in notice.text for notice in notices] == [True]
    row = await the_row(store)
    assert (row.last_outcome, row.next_at) == ("paused", SEVEN + 4 * DAY)
    assert "paused" in str((await say("schedule list")).answer.message)
    sender.users[USER]["deleted"] = False
    set_clock.now = SEVEN + 4 * DAY
    await timed.tick()
    assert builds(works) == 1
    assert (await the_row(store)).last_outcome == "ok"


async def test_an_interval_of_who_left_catches_nothing_up(
    say: Say,
    works: FakeProvider,
    set_clock: SetClock,
    timed: ScheduledCommands,
    sender: RecordingSender,
    linked: Linked,
) -> None:
    await linked()
    await say('schedule "hourly" run app@main')
    sender.users[USER]["deleted"] = True
    for _hour in range(12):
        set_clock.go(hours=1)
        await timed.tick()
    before = builds(works)
    sender.users[USER]["deleted"] = False
    set_clock.go(hours=2)
    await timed.tick()
    assert builds(works) - before == 1


async def test_a_row_that_cannot_be_read_stops_no_other(
    say: Say, store: Store, works: FakeProvider, set_clock: SetClock, timed: ScheduledCommands, linked: Linked
) -> None:
    await linked()
    row = NewSchedule(
        team=TEAM,
        channel=CHANNEL,
        user=USER,
        words="sometimes",
        cron="0 0 1 * *",
        tz="UTC",
        command="run app",
        next_at=NOW,
        created_at=NOW,
    )
    await store.schedules.add(row)
    await say('schedule "daily 14:00" run app@main')
    set_clock.now = NOW + 61 * MINUTE
    await timed.tick()
    assert builds(works) == 1
    rows = await store.schedules.of_channel(TEAM, CHANNEL)
    assert {known.last_outcome for known in rows} == {"missed", "ok"}
    assert min(known.next_at for known in rows) > set_clock.now


async def test_a_fault_in_one_run_leaves_the_others_their_turn(
    say: Say,
    works: FakeProvider,
    set_clock: SetClock,
    inbox: Inbox,
    services: Services,
    linked: Linked,
    caplog: pytest.LogCaptureFixture,
) -> None:
    await linked()
    for _each in range(3):
        await say('schedule "daily 14:00" run app@main')

    async def broken(_context: Context, _answer: Answer) -> None:
        raise RuntimeError("a fault of ours")

    set_clock.now = NOW + HOUR
    await ScheduledCommands(services, broken, inbox).tick()
    assert builds(works) == 3
    assert sum("what was due broke" in record.message for record in caplog.records) == 3


async def test_a_process_killed_between_claim_and_run_leaves_the_run_to_another(
    say: Say,
    store: Store,
    works: FakeProvider,
    set_clock: SetClock,
    services: Services,
    channel: Channel,
    linked: Linked,
    inbox: Inbox,
) -> None:
    await linked()
    await say('schedule "daily 14:00" run app@main')
    await say("digest daily 14:00")
    set_clock.go(hours=1)
    timed = ScheduledCommands(services, channel.deliver, inbox)
    await timed._claim_schedule(set_clock.now)
    await timed._claim_digest(set_clock.now)
    inbox.held.clear()  # it died, and renews no lease any more
    assert builds(works) == 0
    set_clock.go(seconds=16)
    for _turn in range(2):
        await inbox.tick()
        await inbox.settle()
        await timed.tick()
    assert builds(works) == 1
    digests = [row for row in await store.notifications.in_channel(TEAM, CHANNEL, NOW) if row.event == "digest"]
    assert len(digests) == 1
    assert await store.inbox.count_open() == 0


@pytest.mark.parametrize(("short", "minutes"), [(set(), 0), ({TEAM}, 10)])
async def test_a_digest_waits_where_the_workspace_takes_few_posts(
    say: Say,
    store: Store,
    sender: RecordingSender,
    set_clock: SetClock,
    timed: ScheduledCommands,
    linked: Linked,
    short: set[str],
    minutes: int,
) -> None:
    await linked()
    await say("digest daily 14:00")
    sender.short = short
    set_clock.go(hours=1)
    await timed.tick()
    (digest,) = [row for row in await store.notifications.in_channel(TEAM, CHANNEL, NOW) if row.event == "digest"]
    assert digest.due_at == digest.ordered_at == set_clock() + minutes * MINUTE
