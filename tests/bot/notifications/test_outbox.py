import asyncio
import contextlib
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Any, cast

import pytest

from bot.blocks.message import Message, section
from bot.core.errors import StoreError
from bot.core.models import Conclusion, IssueCounts, Person
from bot.core.tracing import current_trace
from bot.notifications.decisions import decide
from bot.notifications.notification import AUTHOR, Extra, Outcome
from bot.notifications.outbox import GIVEN_UP, LEASE_SECONDS, LOST_LEASES, RENEW_SECONDS, Drawn, Outbox, key_of
from bot.slack.installs import NotInstalled
from bot.slack.sender import SearchResult, SlackError, SlackLimited, SlackUnreachable, SlackUnsure
from bot.store import Store
from bot.store.rows import CardRow, NewMute, NotificationRow
from tests.bot.store.rows import CHANNEL, CONNECTION, NOW, TEAM, ago, ended, key, link, make_due, notification, running
from tests.set_clock import SetClock


class Channels:
    """Slack's channels in memory. `faults` are raised by the next calls of a method; `after` ones once it has acted."""

    def __init__(self) -> None:
        self.posts: list[tuple[str, str, str, str]] = []
        self.edits: list[tuple[str, str]] = []
        self.faults: list[tuple[str, SlackError, bool]] = []
        self.searches: list[str] = []
        self.searched_all = True
        self.short: set[str] = set()
        self.approval: asyncio.Event | None = None

    def fails(self, method: str, error: SlackError, *, after: bool = False) -> None:
        """Let the next call of a method fail."""
        self.faults.append((method, error, after))

    def _fault(self, method: str, *, after: bool) -> None:
        for fault in self.faults:
            if (fault[0], fault[2]) == (method, after):
                self.faults.remove(fault)
                raise fault[1]

    async def post(
        self, team: str, channel: str, message: Message, *, thread: str = "", key: str = ""
    ) -> tuple[str, str]:
        if self.approval is not None:
            await self.approval.wait()
        self._fault("post", after=False)
        self.posts.append((channel, message.text, thread, key))
        self._fault("post", after=True)
        return channel, f"{len(self.posts)}.0"

    def is_short(self, team: str) -> bool:
        return team in self.short

    async def update(self, team: str, channel: str, ts: str, message: Message) -> None:
        self._fault("update", after=False)
        self.edits.append((ts, message.text if message.blocks else f"{message.text} (bare)"))

    async def find(self, team: str, channel: str, key: str, since: datetime, *, thread: str = "") -> SearchResult:
        self.searches.append(key)
        self._fault("find", after=False)
        ts = next((f"{n}.0" for n, post in enumerate(self.posts, 1) if post[3] == key), None)
        return SearchResult(ts=ts, is_certain=self.searched_all)


class Recipients:
    """Who is who, as a test says."""

    def __init__(self) -> None:
        self.users = {"ana@acme.example": "UANA"}
        self.wanting = {"UANA"}
        self.off: dict[str, str] = {}

    async def author(self, team: str, author: Person, kind: str) -> str | None:
        assert kind == "works"
        return self.users.get(author.email or "")

    async def wants_broken(self, team: str, user: str) -> bool:
        return user in self.wanting

    async def off_hours(self, team: str, user: str, now: datetime) -> str:
        return self.off.get(user, "")


class Harness:
    """An outbox with fakes of all it uses."""

    def __init__(self, store: Store, clock: SetClock) -> None:
        self.store = store
        self.clock = clock
        self.slack = Channels()
        self.people = Recipients()
        self.draws: Callable[[NotificationRow, bool], Drawn | None] = self.plain
        self.drawn: list[int] = []
        self.lost: list[tuple[int, str]] = []
        self.times: list[float] = []
        self.outcomes: list[str] = []
        self.outbox = Outbox(
            store,
            cast("Any", self.slack),
            people=cast("Any", self.people),
            kind_of=lambda _name: "works",
            draw=self._draw,
            undelivered=self._undelivered,
            clock=clock,
            owner="o",
            ended=self._ended,
        )

    def _ended(self, outcome: Outcome, seconds: float) -> None:
        self.outcomes.append(outcome.value)
        if outcome is Outcome.POSTED:
            self.times.append(seconds)

    def plain(self, row: NotificationRow, repeated: bool) -> Drawn:
        """Draw a build's name, and a card's for a live one."""
        text = f"{row.build}{' (possibly repeated)' if repeated else ''}"
        return Drawn(message=Message(text=text, blocks=(section(text),)), card=row.event == "started", live=True)

    async def _draw(self, row: NotificationRow, /, *, repeated: bool) -> Drawn | None:
        self.drawn.append(row.id or 0)
        return self.draws(row, repeated)

    async def _undelivered(self, row: NotificationRow, exc: SlackError, drawn: Drawn | None) -> None:
        self.lost.append((row.id or 0, exc.code))

    async def tick(self, **ahead: float) -> None:
        """Go ahead in time, and deliver until nothing is due."""
        self.clock.go(**ahead)
        while await self.outbox.tick():
            await self.outbox.settle()

    async def said(self) -> list[str]:
        """Return what stands in the channels."""
        return [text for _channel, text, _thread, _key in self.slack.posts]

    async def row(self, number: int = 1) -> NotificationRow:
        """Return a notification as it stands."""
        row = await self.store.notifications.get(number)
        assert row is not None
        return row


@pytest.fixture
def harness(store: Store, set_clock: SetClock) -> Harness:
    return Harness(store, set_clock)


# once


async def test_a_notification_is_posted_with_its_key_and_remembered(harness: Harness) -> None:
    await harness.store.notifications.add([notification(thread="1.5", created_at=ago(seconds=2))])
    await harness.tick()
    assert harness.slack.posts == [(CHANNEL, "b1", "1.5", "n1-r1-finished")]
    row = await harness.row()
    assert (row.state, row.ts, row.sent_at) == ("sent", "1.0", NOW)
    assert harness.times == [2.0]
    await harness.tick(hours=1)
    assert len(harness.slack.posts) == 1


async def test_keys_differ_by_attempt_and_event_and_say_nothing_of_the_build() -> None:
    keys = {
        key_of(notification(id=7)),
        key_of(notification(id=7, attempt_no=2)),
        key_of(notification(id=7, event="started")),
    }
    assert keys == {"n7-r1-finished", "n7-r2-finished", "n7-r1-started"}


async def test_a_post_whose_answer_was_lost_is_found_and_not_repeated(harness: Harness) -> None:
    await harness.store.notifications.add([notification(event="started")])
    harness.slack.fails("post", SlackUnsure(), after=True)
    await harness.tick()
    assert (await harness.row()).unsure
    await harness.tick(seconds=1)
    assert len(harness.slack.posts) == 1
    row = await harness.row()
    assert (row.state, row.ts) == ("sent", "1.0")
    assert len(await harness.store.cards.of_build(key())) == 1


async def test_a_post_that_did_not_arrive_is_made_after_looking(harness: Harness) -> None:
    await harness.store.notifications.add([notification()])
    harness.slack.fails("post", SlackUnsure())
    await harness.tick()
    await harness.tick(seconds=1)
    assert harness.slack.searches == ["n1-r1-finished"]
    assert await harness.said() == ["b1"]


async def test_a_sender_that_died_between_post_and_note_leaves_no_double(harness: Harness) -> None:
    await harness.store.notifications.add([notification()])
    (row,) = await harness.store.notifications.claim("dead", now=NOW, lease_seconds=LEASE_SECONDS, limit=9)
    await harness.slack.post(TEAM, CHANNEL, Message(text="b1"), key=key_of(row))
    await harness.tick(seconds=LEASE_SECONDS)
    assert len(harness.slack.posts) == 1
    assert (await harness.row()).state == "sent"


async def test_the_lease_of_a_slow_delivery_is_kept(harness: Harness) -> None:
    await harness.store.notifications.add([notification()])
    harness.slack.approval = asyncio.Event()
    await harness.outbox.tick()
    for _tick in range(9):
        harness.clock.go(seconds=RENEW_SECONDS)
        await harness.outbox.tick()
        assert await harness.store.notifications.claim("other", now=harness.clock(), lease_seconds=9, limit=9) == []
    harness.slack.approval.set()
    await harness.outbox.settle()
    assert (await harness.row()).state == "sent"


async def test_who_was_away_for_longer_than_a_lease_posts_nothing_that_another_has_taken_over(harness: Harness) -> None:
    await harness.store.notifications.add([notification()])

    def paused(row: NotificationRow, repeated: bool) -> Drawn:
        harness.clock.go(seconds=LEASE_SECONDS)
        return harness.plain(row, repeated)

    harness.draws = paused
    taken: list[NotificationRow] = []
    is_still_ours = harness.store.notifications.renew

    async def after_another(owner: str, ids: Iterable[int], lease_until: datetime) -> frozenset[int]:
        taken.extend(await harness.store.notifications.claim("other", now=harness.clock(), lease_seconds=60, limit=9))
        return await is_still_ours(owner, ids, lease_until)

    harness.store.notifications.renew = after_another  # type: ignore[method-assign]
    await harness.tick()
    assert [row.lease_owner for row in taken] == ["other"]
    assert harness.slack.posts == []
    row = await harness.row()
    assert (row.state, row.lease_owner) == ("leased", "other")


@pytest.mark.parametrize("code", ["missing_scope", "not_in_channel", "channel_not_found"])
async def test_where_history_may_not_be_read_it_is_repeated_and_says_so(harness: Harness, code: str) -> None:
    await harness.store.notifications.add([notification()])
    harness.slack.fails("post", SlackUnsure(), after=True)
    await harness.tick()
    harness.slack.fails("find", SlackError(code))
    await harness.tick(seconds=1)
    assert await harness.said() == ["b1", "b1 (possibly repeated)"]


@pytest.mark.parametrize("error", [SlackLimited(7.0), SlackUnsure(), SlackUnreachable()])
async def test_a_history_that_can_not_be_read_now_is_read_later(harness: Harness, error: SlackError) -> None:
    await harness.store.notifications.add([notification()])
    harness.slack.fails("post", SlackUnsure(), after=True)
    await harness.tick()
    harness.slack.fails("find", error)
    await harness.tick(seconds=1)
    row = await harness.row()
    assert (row.state, row.unsure) == ("pending", True)
    await harness.tick(seconds=7)
    assert await harness.said() == ["b1"]
    assert (await harness.row()).state == "sent"


async def test_a_delivery_that_hangs_is_taken_for_unsure_before_its_lease_ends(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.notifications.outbox.WORK_SECONDS", 0.0)
    await harness.store.notifications.add([notification()])
    harness.slack.approval = asyncio.Event()
    await harness.tick()
    row = await harness.row()
    assert (row.state, row.unsure) == ("pending", True)


async def test_what_was_never_sent_is_simply_sent_again(harness: Harness) -> None:
    await harness.store.notifications.add([notification()])
    harness.slack.fails("post", SlackUnreachable())
    await harness.tick()
    await harness.tick(seconds=1)
    assert harness.slack.searches == []
    assert await harness.said() == ["b1"]


async def test_a_search_that_did_not_see_everything_repeats_and_says_so(harness: Harness) -> None:
    await harness.store.notifications.add([notification()])
    harness.slack.fails("post", SlackUnsure())
    await harness.tick()
    harness.slack.searched_all = False
    await harness.tick(seconds=1)
    assert await harness.said() == ["b1 (possibly repeated)"]


@pytest.mark.parametrize("error", [SlackLimited(600), SlackUnreachable(), SlackError("some_new_word")])
async def test_passing_refusals_never_use_up_tries(harness: Harness, error: SlackError) -> None:
    await harness.store.notifications.add([notification()])
    for _try in range(30):
        harness.slack.fails("post", error)
        await harness.tick(seconds=601)
    await harness.tick(seconds=601)
    assert await harness.said() == ["b1"]
    assert harness.lost == []


async def test_a_notification_is_given_up_after_a_day_and_holds_up_no_other(harness: Harness) -> None:
    await harness.store.notifications.add([notification(), notification("b2")])
    for _try in range(3):
        harness.slack.fails("post", SlackUnreachable())
    await harness.tick()
    await harness.tick(hours=23)
    assert (await harness.row()).state == "pending"
    await harness.tick(hours=1)
    assert ((await harness.row()).state, (await harness.row()).reason) == (
        "failed",
        "Slack could not take it for a day",
    )
    assert harness.lost == [(1, GIVEN_UP)]
    assert await harness.said() == ["b2"]
    assert harness.outcomes == ["given_up", "posted"]


async def test_the_day_begins_with_the_first_try_and_not_while_it_was_held(harness: Harness) -> None:
    await harness.store.notifications.add([notification(created_at=ago(days=3))])
    harness.slack.fails("post", SlackUnreachable())
    await harness.tick()
    await harness.tick(seconds=1)
    assert await harness.said() == ["b1"]


# what cannot be drawn


def faulty(row: NotificationRow, repeated: bool) -> Drawn:
    """Draw as a fault of ours would."""
    if row.event == "finished":
        raise ValueError(row.build)
    text = Extra.of(row.extra).text
    return Drawn(message=Message(text=text, blocks=(section(text),)))


async def test_a_notification_that_cannot_be_drawn_is_set_aside_and_replaced_by_a_plain_one(harness: Harness) -> None:
    await harness.store.notifications.add([notification(number=412), notification("b2", event="digest")])
    harness.draws = faulty
    await harness.tick()
    row = await harness.row()
    assert row.state == "failed"
    assert row.reason.startswith("it could not be drawn: ValueError (reference ")
    reference = row.reason[-5:-1]
    assert set(await harness.said()) == {
        f"A notification about build #412 could not be drawn. Reference {reference}, logged.",
        "",
    }
    await harness.tick(hours=2)
    assert harness.drawn.count(1) == 1
    assert len(harness.slack.posts) == 2
    assert sorted(harness.outcomes) == ["posted", "posted", "set_aside"]


async def test_a_drawing_that_takes_too_long_is_tried_for_ten_minutes_and_set_aside_then(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    await harness.store.notifications.add([notification()])
    drawing = asyncio.Event()

    async def hang(row: NotificationRow, /, *, repeated: bool) -> Drawn:
        if row.event == "finished":
            await drawing.wait()
        return harness.plain(row, repeated)

    monkeypatch.setattr("bot.notifications.outbox.DRAW_SECONDS", 0.0)
    harness.outbox._draw = hang
    for _try in range(8):
        await harness.tick(seconds=60)
    assert (await harness.row()).state == "pending"
    assert harness.slack.posts == []
    for _try in range(2):
        await harness.tick(seconds=600)
    assert (await harness.row()).state == "failed"
    assert len(harness.slack.posts) == 1


async def test_a_notification_that_took_its_workers_down_is_set_aside(harness: Harness) -> None:
    await harness.store.notifications.add([notification()])
    for _worker in range(LOST_LEASES + 1):
        await harness.store.notifications.claim("dead", now=harness.clock(), lease_seconds=LEASE_SECONDS, limit=9)
        harness.clock.go(seconds=LEASE_SECONDS)
    await harness.tick()
    assert harness.drawn == [2]
    assert (await harness.row()).state == "failed"


async def test_a_plain_notification_that_cannot_be_drawn_either_is_given_up(harness: Harness) -> None:
    await harness.store.notifications.add([notification(event="undrawable")])

    def fail(row: NotificationRow, repeated: bool) -> Drawn:
        raise ValueError(row.build)

    harness.draws = fail
    await harness.tick()
    assert (await harness.row()).state == "failed"
    assert await harness.store.notifications.get(2) is None


async def test_a_text_that_slack_finds_unfit_is_set_aside(harness: Harness) -> None:
    await harness.store.notifications.add([notification()])
    harness.slack.fails("post", SlackError("msg_too_long"))
    harness.slack.fails("post", SlackError("msg_too_long"))
    await harness.tick()
    assert (await harness.row()).state == "failed"
    assert [text for _channel, text, *_rest in harness.slack.posts] == ["undrawable-1"]


async def test_who_was_away_for_longer_than_a_cards_lease_leaves_the_edit_to_another(harness: Harness) -> None:
    made = await with_card(harness)
    await make_due(harness.store, made.id, harness.clock())
    plain = harness.draws

    def paused(row: NotificationRow, repeated: bool) -> Drawn:
        harness.clock.go(seconds=LEASE_SECONDS)
        return harness.plain(row, repeated)

    harness.draws = paused
    edits = list(harness.slack.edits)
    await harness.outbox.tick()
    await harness.outbox.settle()
    assert harness.slack.edits == edits
    harness.draws = plain
    await harness.outbox.tick()
    await harness.outbox.settle()
    assert len(harness.slack.edits) == len(edits) + 1


async def test_a_card_that_cannot_be_drawn_stays_as_it_is(harness: Harness) -> None:
    made = await with_card(harness)

    def fail(row: NotificationRow, repeated: bool) -> Drawn:
        raise ValueError(row.build)

    harness.draws = fail
    await make_due(harness.store, made.id, harness.clock())
    await harness.tick(hours=1)
    (kept,) = await harness.store.cards.of_build(key())
    assert (kept.edit_due_at, harness.slack.edits) == (None, [])


# order and pauses


async def test_each_channels_notifications_go_in_order_and_one_by_one(harness: Harness) -> None:
    await harness.store.notifications.add([notification(f"b{n}", channel=f"C{n % 2}") for n in range(6)])
    await harness.tick()
    posts = harness.slack.posts
    assert [text for channel, text, *_rest in posts if channel == "C0"] == ["b0", "b2", "b4"]
    assert [text for channel, text, *_rest in posts if channel == "C1"] == ["b1", "b3", "b5"]


async def test_ends_go_out_by_time_and_number_in_whatever_order_they_were_written(harness: Harness) -> None:
    later, earlier = ago(seconds=5), ago(seconds=9)
    await harness.store.notifications.add(
        [
            notification("b3", number=3, ordered_at=later),
            notification("b2", number=2, ordered_at=later),
            notification("b1", number=9, ordered_at=earlier),
        ]
    )
    await harness.tick()
    assert await harness.said() == ["b1", "b2", "b3"]


async def test_an_earlier_end_that_comes_after_a_later_one_was_posted_is_marked_late(harness: Harness) -> None:
    await harness.store.notifications.add([notification("b2", number=2, ordered_at=ago(seconds=5))])
    await harness.tick()
    await harness.store.notifications.add([notification("b1", number=1, ordered_at=ago(seconds=9))])
    await harness.tick(seconds=1)
    assert await harness.said() == ["b2", "b1"]
    assert Extra.of((await harness.row(2)).extra).late
    assert not Extra.of((await harness.row(1)).extra).late


async def test_the_card_of_a_build_that_somebody_just_started_waits_for_no_other_end(harness: Harness) -> None:
    await harness.store.notifications.add(
        [notification("b1", due_at=NOW + timedelta(seconds=30)), notification("b2", event="started")]
    )
    await harness.tick()
    assert await harness.said() == ["b2"]


async def test_a_429_pauses_that_channel_only_and_as_long_as_asked(harness: Harness) -> None:
    await harness.store.notifications.add([notification("b1"), notification("b2"), notification("b3", channel="C2")])
    harness.slack.fails("post", SlackLimited(40))
    await harness.tick()
    assert await harness.said() == ["b3"]
    await harness.tick(seconds=39)
    assert await harness.said() == ["b3"]
    await harness.tick(seconds=1)
    assert await harness.said() == ["b3", "b1", "b2"]
    assert harness.slack.searches == []


async def test_a_slow_channel_holds_up_no_other(harness: Harness) -> None:
    await harness.store.notifications.add([notification("b1"), notification("b2", channel="C2")])
    harness.slack.approval = asyncio.Event()
    await harness.outbox.tick()
    waiting, harness.slack.approval = harness.slack.approval, None
    await harness.store.notifications.add([notification("b3", channel="C3")])
    await harness.outbox.tick()
    async with asyncio.timeout(10):
        while "b3" not in await harness.said():  # noqa: ASYNC110 - what it waits for is another task's post
            await asyncio.sleep(0)
    waiting.set()
    await harness.outbox.settle()


# refusals


@pytest.mark.parametrize(
    "error",
    [
        SlackError("channel_not_found"),
        SlackError("is_archived"),
        SlackError("not_in_channel"),
        SlackError("token_revoked"),
        SlackError("restricted_action_read_only_channel"),
        SlackError("no_permission"),
        NotInstalled("The bot is not installed."),
    ],
)
async def test_a_channel_that_can_not_be_reached_is_reported_once_for_each_notification(
    harness: Harness, error: SlackError
) -> None:
    await harness.store.notifications.add([notification()])
    harness.slack.fails("post", error)
    await harness.tick()
    await harness.tick(hours=1)
    assert harness.lost == [(1, error.code)]
    row = await harness.row()
    assert (row.state, row.reason) == ("failed", f"Slack refused: {error.code}")


async def test_blocks_that_slack_finds_unfit_are_left_out(harness: Harness) -> None:
    await harness.store.notifications.add([notification(event="started")])
    harness.slack.fails("post", SlackError("invalid_blocks"))
    await harness.tick()
    assert await harness.said() == ["b1"]
    (shown,) = await harness.store.cards.of_build(key())
    await make_due(harness.store, shown.id, harness.clock())
    harness.slack.fails("update", SlackError("msg_blocks_too_long"))
    await harness.tick()
    assert harness.slack.edits == [("1.0", "b1 (bare)")]


async def test_what_has_nothing_left_to_say_is_not_said(harness: Harness) -> None:
    await harness.store.notifications.add([notification()])
    harness.draws = lambda _row, _repeated: None
    await harness.tick()
    assert (await harness.row()).reason == "its build or connection is gone"


# cards


async def with_card(harness: Harness, **fields: Any) -> CardRow:
    await harness.store.recording.record([running()], now=NOW)
    await harness.store.notifications.add([notification(event="started")])
    await harness.tick()
    (made,) = await harness.store.cards.of_build(key())
    return made


async def edits(harness: Harness) -> int:
    return len(harness.slack.edits)


async def test_the_first_edit_after_posting_is_free_and_later_ones_wait_fifteen_seconds(harness: Harness) -> None:
    await with_card(harness)
    for step, expected in enumerate([1, 1, 1, 2]):
        await harness.store.recording.record([running(raw_state=f"step {step}")], now=harness.clock())
        await harness.tick(seconds=5)
        assert await edits(harness) == expected


async def test_the_last_edit_comes_at_once_and_is_never_dropped(harness: Harness) -> None:
    await with_card(harness)
    await harness.store.recording.record([running(raw_state="testing")], now=NOW)
    await harness.tick()
    harness.slack.fails("update", SlackUnsure())
    harness.slack.fails("update", SlackLimited(20))
    await harness.store.recording.record([ended()], now=harness.clock())
    harness.draws = lambda row, _repeated: Drawn(message=Message(text="over", blocks=(section("x"),)), card=True)
    await harness.tick()
    await harness.tick(seconds=15)
    assert await edits(harness) == 1
    await harness.tick(seconds=20)
    assert harness.slack.edits[-1] == ("1.0", "over")
    (made,) = await harness.store.cards.of_build(key())
    assert (made.live, made.edit_due_at, made.shown) == (False, None, "over")


async def test_a_change_while_the_card_is_posted_is_shown_right_after(harness: Harness) -> None:
    await harness.store.recording.record([running()], now=NOW)
    await harness.store.notifications.add([notification(event="started")])
    harness.slack.approval = asyncio.Event()
    await harness.outbox.tick()
    await asyncio.sleep(0)
    await harness.store.recording.record([ended()], now=NOW)
    harness.slack.approval.set()
    await harness.outbox.settle()
    await harness.tick()
    assert await edits(harness) == 1


async def test_a_card_that_moves_by_time_alone_is_drawn_each_minute(harness: Harness) -> None:
    harness.draws = lambda row, _repeated: Drawn(
        message=Message(text="runs", blocks=(section("x"),)), card=True, live=True, moves=True
    )
    await with_card(harness)
    await harness.tick(seconds=59)
    assert await edits(harness) == 0
    await harness.tick(seconds=1)
    await harness.tick(seconds=60)
    assert await edits(harness) == 2


async def test_an_edit_that_hangs_is_made_again(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    made = await with_card(harness)
    await make_due(harness.store, made.id, harness.clock())
    monkeypatch.setattr("bot.notifications.outbox.EDIT_SECONDS", 0.0)

    async def hang(*_args: Any) -> None:
        await asyncio.Event().wait()

    update = harness.slack.update
    monkeypatch.setattr(harness.slack, "update", hang)
    await harness.tick()
    monkeypatch.setattr("bot.notifications.outbox.EDIT_SECONDS", 20.0)
    monkeypatch.setattr(harness.slack, "update", update)
    await harness.tick(seconds=15)
    assert await edits(harness) == 1


@pytest.mark.parametrize("code", ["message_not_found", "cant_update_message", "channel_not_found"])
async def test_a_card_whose_message_is_gone_is_forgotten(harness: Harness, code: str) -> None:
    made = await with_card(harness)
    await make_due(harness.store, made.id, harness.clock())
    harness.slack.fails("update", SlackError(code))
    await harness.tick()
    assert await harness.store.cards.of_build(key()) == []


async def test_a_card_with_nothing_left_to_show_is_forgotten(harness: Harness) -> None:
    made = await with_card(harness)
    await make_due(harness.store, made.id, harness.clock())
    harness.draws = lambda _row, _repeated: None
    await harness.tick()
    assert await harness.store.cards.of_build(key()) == []


# people


async def broken(harness: Harness, **author: str) -> None:
    build = ended(conclusion=Conclusion.FAILED, author=Person(**author))
    await harness.store.recording.record([build], now=NOW)
    await harness.store.notifications.add([notification(channel=AUTHOR)])


async def test_an_author_who_asked_for_it_is_notified_of_what_they_broke(harness: Harness) -> None:
    await broken(harness, email="ana@acme.example")
    await harness.tick()
    assert [(channel, text) for channel, text, *_rest in harness.slack.posts] == [("UANA", "b1")]


@pytest.mark.parametrize(
    ("email", "reason"),
    [
        ("ana@acme.example", "<@UANA> wants no direct message about it"),
        ("bo@acme.example", "nobody here is known as the commit's author"),
    ],
)
async def test_nobody_else_is_disturbed(harness: Harness, email: str, reason: str) -> None:
    harness.people.wanting.clear()
    await broken(harness, email=email)
    await harness.tick()
    assert harness.slack.posts == []
    row = await harness.row()
    assert (row.state, row.reason) == ("silent", reason)


async def test_an_author_who_is_notified_anyway_is_notified_once(harness: Harness) -> None:
    await harness.store.notifications.add([notification(channel="UANA")])
    await harness.tick()
    await harness.store.recording.record([ended(author=Person(email="ana@acme.example"))], now=NOW)
    await harness.store.notifications.add([notification(channel=AUTHOR)])
    await harness.tick()
    assert len(harness.slack.posts) == 1
    assert (await harness.row(2)).reason == "<@UANA> gets it anyway"


async def test_direct_messages_wait_for_working_hours_and_come_as_one(harness: Harness) -> None:
    harness.people.off["U1"] = "outside your working hours (9-18)"
    await harness.store.recording.record([ended(), ended("b2")], now=NOW)
    await harness.store.notifications.add(
        [notification(channel="U1"), notification("b2", channel="U1"), notification("b3", channel="U2")]
    )
    await harness.tick()
    assert await harness.said() == ["b3"]
    assert (await harness.row()).reason == "outside your working hours (9-18)"
    await harness.outbox.release()
    await harness.tick()
    assert await harness.said() == ["b3"]
    harness.people.off.clear()
    await harness.outbox.release()
    await harness.tick()
    assert len(harness.slack.posts) == 2
    summary = await harness.row(4)
    assert [build for *_place, build in Extra.of(summary.extra).builds] == ["b1", "b2"]


async def test_a_card_that_somebody_started_in_a_direct_message_does_not_wait(harness: Harness) -> None:
    harness.people.off["U1"] = "outside your working hours (9-18)"
    await harness.store.notifications.add([notification(channel="U1", event="started")])
    await harness.tick()
    assert await harness.said() == ["b1"]


# mutes


async def muted(harness: Harness, target: str = "all", **fields: Any) -> None:
    whole = {"until": NOW + timedelta(hours=1), **fields}
    await harness.store.mutes.set(
        NewMute(team=TEAM, channel=CHANNEL, target=target, made_by="U1", made_at=NOW, **whole)
    )


async def test_what_was_held_comes_as_one_summary_when_the_mute_ends(harness: Harness) -> None:
    await muted(harness)
    await harness.store.notifications.add([notification(f"b{n}", state="held", reason="muted") for n in range(3)])
    await harness.outbox.release()
    await harness.tick()
    assert harness.slack.posts == []
    harness.clock.go(hours=1)
    await harness.outbox.release()
    await harness.outbox.release()
    await harness.tick()
    (said,) = harness.slack.posts
    assert said[3] == "n4-r1-summary"
    assert {(await harness.row(n)).state for n in (1, 2, 3)} == {"silent"}


async def test_a_single_held_notification_comes_as_a_summary(harness: Harness) -> None:
    await harness.store.notifications.add([notification(state="held")])
    await harness.outbox.release()
    await harness.tick()
    assert await harness.said() == ["held-1"]


async def test_a_mute_of_one_pipeline_holds_back_that_one_only(harness: Harness) -> None:
    app = await harness.store.links.save(link())
    web = await harness.store.links.save(link(pipeline="p-web", name="Web", path="web"))
    await muted(harness, target=f"{CONNECTION}:p-web")
    rows = [notification(state="held", link=app.id), notification("b2", state="held", link=web.id, pipeline="p-web")]
    await harness.store.notifications.add(rows)
    await harness.outbox.release()
    await harness.tick()
    assert await harness.said() == ["held-1"]
    assert [row.build for row in await harness.store.notifications.held(TEAM, CHANNEL)] == ["b2"]


async def test_late_news_that_wait_together_come_as_one_summary(harness: Harness) -> None:
    late = Extra(late=True).as_json()
    await harness.store.notifications.add([notification(f"b{n}", connection=f"c{n}", extra=late) for n in range(6)])
    await harness.store.notifications.add([notification("new"), notification("b0", channel="C2", extra=late)])
    await harness.tick()
    keys = [(channel, key_) for channel, _text, _thread, key_ in harness.slack.posts]
    assert keys == [("C2", "n8-r1-finished"), (CHANNEL, "n7-r1-finished"), (CHANNEL, "n9-r1-summary")]
    assert {(await harness.row(n)).state for n in range(1, 7)} == {"silent"}


# counts that decide


async def undecided(harness: Harness, filters: str, counts: IssueCounts) -> None:
    await harness.store.links.save(link(filters=filters, created_at=ago(days=9)))
    await harness.store.recording.record(
        [ended("b0", completed_at=ago(hours=1), issues=IssueCounts(warnings=1))], now=NOW
    )
    async with harness.store.transaction() as tx:
        recorded = await tx.recording.record([ended()], now=NOW, counts_after=timedelta(0))
        await tx.notifications.add(decide(recorded, now=NOW, can_count=True))
    await harness.store.attempts.set_counts(key(), 1, counts, NOW)


async def test_a_notification_that_waited_for_its_counts_is_posted_if_they_moved(harness: Harness) -> None:
    await undecided(harness, "--on worse", IssueCounts(warnings=2))
    await harness.tick()
    assert await harness.said() == ["b1"]


async def test_a_notification_that_waited_for_its_counts_stays_unsaid_if_they_did_not(harness: Harness) -> None:
    await undecided(harness, "--on worse", IssueCounts(warnings=1))
    await harness.tick()
    assert harness.slack.posts == []
    (row,) = await harness.store.notifications.of_build(key())
    assert (row.state, row.reason) == ("silent", "passed is not among what this channel is notified of (worse)")


async def test_held_notifications_are_judged_by_their_counts_too(harness: Harness) -> None:
    await muted(harness)
    await undecided(harness, "--on worse", IssueCounts(warnings=1))
    harness.clock.go(hours=1)
    await harness.outbox.release()
    (row,) = await harness.store.notifications.of_build(key())
    assert row.state == "silent"


async def test_a_notification_whose_link_went_meanwhile_is_not_judged_again(harness: Harness) -> None:
    await harness.store.notifications.add([notification(link=99, extra=Extra(undecided=True).as_json())])
    await harness.tick()
    assert await harness.said() == ["b1"]


# the loop


async def test_the_loop_takes_over_what_a_crash_left_and_survives_a_lost_database(
    harness: Harness, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    await harness.store.notifications.add([notification()])
    await harness.store.notifications.claim("crashed", now=NOW, lease_seconds=LEASE_SECONDS, limit=9)
    claim = harness.store.notifications.claim
    faults = [StoreError("The connection to the database broke.")]

    async def fragile(*args: Any, **kwargs: Any) -> Any:
        if faults:
            raise faults.pop()
        return await claim(*args, **kwargs)

    monkeypatch.setattr(harness.store.notifications, "claim", fragile)
    task = asyncio.ensure_future(harness.outbox.run())
    async with asyncio.timeout(10):
        while (await harness.row()).state != "sent":
            harness.outbox.wake()
            await asyncio.sleep(0)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    assert "the outbox can't read what is due" in caplog.messages
    assert await harness.said() == ["b1"]
    assert harness.slack.searches == ["n1-r1-finished"]


async def test_a_database_that_is_away_while_delivering_is_no_crash(
    harness: Harness, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    await harness.store.notifications.add([notification()])

    async def away(*_args: Any, **_fields: Any) -> None:
        raise StoreError("The connection to the database broke.")

    monkeypatch.setattr(harness.store.notifications, "set_sent", away)
    await harness.outbox.tick()
    await harness.outbox.settle()
    assert "a delivery failed and will be tried again" in caplog.messages


# a flood


async def test_edits_wait_while_a_workspace_takes_few_posts_and_notifications_do_not(
    store: Store, set_clock: SetClock
) -> None:
    harness = Harness(store, set_clock)
    await store.notifications.add([notification("b1", event="started")])
    await harness.tick()
    harness.slack.short = {TEAM}
    await store.notifications.add([notification("b2", event="started")])
    await make_due(store, 1, set_clock())
    await harness.tick()
    assert (await harness.said(), harness.slack.edits) == (["b1", "b2"], [])
    await harness.tick(minutes=2)
    assert harness.slack.edits == []
    harness.slack.short = set()
    await harness.tick(seconds=16)
    assert ("1.0", "b1") in harness.slack.edits


# in the log


async def test_a_post_has_the_trace_of_the_command_that_caused_it_else_its_own(
    store: Store, set_clock: SetClock
) -> None:
    harness = Harness(store, set_clock)
    traces: list[str] = []

    def draw(row: NotificationRow, repeated: bool) -> Drawn:
        traces.append(current_trace())
        return harness.plain(row, repeated)

    harness.draws = draw
    extra = Extra(trace="d7").as_json()
    await store.notifications.add([notification("b1", event="started", extra=extra)])
    await harness.tick()
    await store.notifications.add([notification("b2", event="started")])
    await harness.tick()
    assert traces == ["d7", "n2-r1-started"]
