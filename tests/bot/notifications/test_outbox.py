import asyncio
import contextlib
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from bot.blocks.message import Message, section
from bot.core.errors import StoreError
from bot.core.models import Conclusion, IssueCounts, Person
from bot.notifications.decisions import decide
from bot.notifications.notification import AUTHOR, Extra
from bot.notifications.outbox import GIVEN_UP, LEASE_SECONDS, LOST_LEASES, Drawn, Outbox, key_of
from bot.slack.installs import NotInstalled
from bot.slack.sender import Found, SlackError, SlackLimited, SlackUnreachable, SlackUnsure
from bot.store import Store
from bot.store.tables import CardRow, MuteRow, NotificationRow
from tests.bot.store.conftest import SetClock
from tests.bot.store.rows import CHANNEL, CONNECTION, NOW, TEAM, ago, ended, key, link, notification, running


class Channels:
    """Slack's channels in memory. `faults` are raised by the next calls of a method; `after` ones once it has acted."""

    def __init__(self) -> None:
        self.posts: list[tuple[str, str, str, str]] = []
        self.edits: list[tuple[str, str]] = []
        self.faults: list[tuple[str, SlackError, bool]] = []
        self.searches: list[str] = []
        self.searched_all = True
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

    async def update(self, team: str, channel: str, ts: str, message: Message) -> None:
        self._fault("update", after=False)
        self.edits.append((ts, message.text if message.blocks else f"{message.text} (bare)"))

    async def find(self, team: str, channel: str, key: str, since: datetime, *, thread: str = "") -> Found:
        self.searches.append(key)
        self._fault("find", after=False)
        ts = next((f"{n}.0" for n, post in enumerate(self.posts, 1) if post[3] == key), None)
        return Found(ts=ts, is_certain=self.searched_all)


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


class Desk:
    """An outbox with everything it talks to."""

    def __init__(self, store: Store, clock: SetClock) -> None:
        self.store = store
        self.clock = clock
        self.slack = Channels()
        self.people = Recipients()
        self.draws: Callable[[NotificationRow, bool], Drawn | None] = self.plain
        self.drawn: list[int] = []
        self.lost: list[tuple[int, str]] = []
        self.times: list[float] = []
        self.outbox = Outbox(
            store,
            self.slack,
            people=self.people,
            kind_of=lambda _name: "works",
            draw=self._draw,
            undelivered=self._undelivered,
            clock=clock,
            owner="o",
            posted=self.times.append,
        )

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
def desk(store: Store, set_clock: SetClock) -> Desk:
    return Desk(store, set_clock)


# once


async def test_a_notification_is_posted_with_its_key_and_remembered(desk: Desk) -> None:
    await desk.store.notifications.add([notification(thread="1.5", created_at=ago(seconds=2))])
    await desk.tick()
    assert desk.slack.posts == [(CHANNEL, "b1", "1.5", "n1-r1-finished")]
    row = await desk.row()
    assert (row.state, row.ts, row.sent_at) == ("sent", "1.0", NOW)
    assert desk.times == [2.0]
    await desk.tick(hours=1)
    assert len(desk.slack.posts) == 1


async def test_keys_differ_by_attempt_and_event_and_say_nothing_of_the_build() -> None:
    keys = {
        key_of(notification(id=7)),
        key_of(notification(id=7, attempt_no=2)),
        key_of(notification(id=7, event="started")),
    }
    assert keys == {"n7-r1-finished", "n7-r2-finished", "n7-r1-started"}


async def test_a_post_whose_answer_was_lost_is_found_and_not_repeated(desk: Desk) -> None:
    await desk.store.notifications.add([notification(event="started")])
    desk.slack.fails("post", SlackUnsure(), after=True)
    await desk.tick()
    assert (await desk.row()).unsure
    await desk.tick(seconds=1)
    assert len(desk.slack.posts) == 1
    row = await desk.row()
    assert (row.state, row.ts) == ("sent", "1.0")
    assert len(await desk.store.cards.of_build(key())) == 1


async def test_a_post_that_did_not_arrive_is_made_after_looking(desk: Desk) -> None:
    await desk.store.notifications.add([notification()])
    desk.slack.fails("post", SlackUnsure())
    await desk.tick()
    await desk.tick(seconds=1)
    assert desk.slack.searches == ["n1-r1-finished"]
    assert await desk.said() == ["b1"]


async def test_a_sender_that_died_between_post_and_note_leaves_no_double(desk: Desk) -> None:
    await desk.store.notifications.add([notification()])
    (row,) = await desk.store.notifications.claim("dead", now=NOW, lease_seconds=LEASE_SECONDS, limit=9)
    await desk.slack.post(TEAM, CHANNEL, Message(text="b1"), key=key_of(row))
    await desk.tick(seconds=LEASE_SECONDS)
    assert len(desk.slack.posts) == 1
    assert (await desk.row()).state == "sent"


@pytest.mark.parametrize("code", ["missing_scope", "not_in_channel", "channel_not_found"])
async def test_where_history_may_not_be_read_it_is_repeated_and_says_so(desk: Desk, code: str) -> None:
    await desk.store.notifications.add([notification()])
    desk.slack.fails("post", SlackUnsure(), after=True)
    await desk.tick()
    desk.slack.fails("find", SlackError(code))
    await desk.tick(seconds=1)
    assert await desk.said() == ["b1", "b1 (possibly repeated)"]


@pytest.mark.parametrize("error", [SlackLimited(7.0), SlackUnsure(), SlackUnreachable()])
async def test_a_history_that_can_not_be_read_now_is_read_later(desk: Desk, error: SlackError) -> None:
    await desk.store.notifications.add([notification()])
    desk.slack.fails("post", SlackUnsure(), after=True)
    await desk.tick()
    desk.slack.fails("find", error)
    await desk.tick(seconds=1)
    row = await desk.row()
    assert (row.state, row.unsure) == ("pending", True)
    await desk.tick(seconds=7)
    assert await desk.said() == ["b1"]
    assert (await desk.row()).state == "sent"


async def test_a_delivery_that_hangs_is_taken_for_unsure_before_its_lease_ends(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.notifications.outbox.WORK_SECONDS", 0.0)
    await desk.store.notifications.add([notification()])
    desk.slack.approval = asyncio.Event()
    await desk.tick()
    row = await desk.row()
    assert (row.state, row.unsure) == ("pending", True)


async def test_what_was_never_sent_is_simply_sent_again(desk: Desk) -> None:
    await desk.store.notifications.add([notification()])
    desk.slack.fails("post", SlackUnreachable())
    await desk.tick()
    await desk.tick(seconds=1)
    assert desk.slack.searches == []
    assert await desk.said() == ["b1"]


async def test_a_search_that_did_not_see_everything_repeats_and_says_so(desk: Desk) -> None:
    await desk.store.notifications.add([notification()])
    desk.slack.fails("post", SlackUnsure())
    await desk.tick()
    desk.slack.searched_all = False
    await desk.tick(seconds=1)
    assert await desk.said() == ["b1 (possibly repeated)"]


@pytest.mark.parametrize("error", [SlackLimited(600), SlackUnreachable(), SlackError("some_new_word")])
async def test_passing_refusals_never_use_up_tries(desk: Desk, error: SlackError) -> None:
    await desk.store.notifications.add([notification()])
    for _try in range(30):
        desk.slack.fails("post", error)
        await desk.tick(seconds=601)
    await desk.tick(seconds=601)
    assert await desk.said() == ["b1"]
    assert desk.lost == []


async def test_a_notification_is_given_up_after_a_day_and_holds_up_no_other(desk: Desk) -> None:
    await desk.store.notifications.add([notification(), notification("b2")])
    for _try in range(3):
        desk.slack.fails("post", SlackUnreachable())
    await desk.tick()
    await desk.tick(hours=23)
    assert (await desk.row()).state == "pending"
    await desk.tick(hours=1)
    assert ((await desk.row()).state, (await desk.row()).reason) == ("failed", "Slack could not take it for a day")
    assert desk.lost == [(1, GIVEN_UP)]
    assert await desk.said() == ["b2"]


async def test_the_day_begins_with_the_first_try_and_not_while_it_was_held(desk: Desk) -> None:
    await desk.store.notifications.add([notification(created_at=ago(days=3))])
    desk.slack.fails("post", SlackUnreachable())
    await desk.tick()
    await desk.tick(seconds=1)
    assert await desk.said() == ["b1"]


# what cannot be drawn


def faulty(row: NotificationRow, repeated: bool) -> Drawn:
    """Draw as a fault of ours would."""
    if row.event == "finished":
        raise ValueError(row.build)
    text = Extra.of(row.extra).text
    return Drawn(message=Message(text=text, blocks=(section(text),)))


async def test_a_notification_that_cannot_be_drawn_is_set_aside_and_replaced_by_a_plain_one(desk: Desk) -> None:
    await desk.store.notifications.add([notification(number=412), notification("b2", event="digest")])
    desk.draws = faulty
    await desk.tick()
    row = await desk.row()
    assert row.state == "failed"
    assert row.reason.startswith("it could not be drawn: ValueError (reference ")
    reference = row.reason[-5:-1]
    assert set(await desk.said()) == {
        f"A notification about build #412 could not be drawn. Reference {reference}, logged.",
        "",
    }
    await desk.tick(hours=2)
    assert desk.drawn.count(1) == 1
    assert len(desk.slack.posts) == 2


async def test_a_drawing_that_takes_too_long_is_set_aside_after_some_tries(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    await desk.store.notifications.add([notification()])
    drawing = asyncio.Event()

    async def hang(row: NotificationRow, /, *, repeated: bool) -> Drawn:
        if row.event == "finished":
            await drawing.wait()
        return desk.plain(row, repeated)

    monkeypatch.setattr("bot.notifications.outbox.DRAW_SECONDS", 0.0)
    desk.outbox._draw = hang
    for _try in range(4):
        await desk.tick(seconds=10)
    assert (await desk.row()).state == "failed"
    assert len(desk.slack.posts) == 1


async def test_a_notification_that_took_its_workers_down_is_set_aside(desk: Desk) -> None:
    await desk.store.notifications.add([notification()])
    for _worker in range(LOST_LEASES + 1):
        await desk.store.notifications.claim("dead", now=desk.clock(), lease_seconds=LEASE_SECONDS, limit=9)
        desk.clock.go(seconds=LEASE_SECONDS)
    await desk.tick()
    assert desk.drawn == [2]
    assert (await desk.row()).state == "failed"


async def test_a_plain_notification_that_cannot_be_drawn_either_is_given_up(desk: Desk) -> None:
    await desk.store.notifications.add([notification(event="undrawable")])

    def fail(row: NotificationRow, repeated: bool) -> Drawn:
        raise ValueError(row.build)

    desk.draws = fail
    await desk.tick()
    assert (await desk.row()).state == "failed"
    assert await desk.store.notifications.get(2) is None


async def test_a_text_that_slack_finds_unfit_is_set_aside(desk: Desk) -> None:
    await desk.store.notifications.add([notification()])
    desk.slack.fails("post", SlackError("msg_too_long"))
    desk.slack.fails("post", SlackError("msg_too_long"))
    await desk.tick()
    assert (await desk.row()).state == "failed"
    assert [text for _channel, text, *_rest in desk.slack.posts] == ["undrawable-1"]


async def test_a_card_that_cannot_be_drawn_stays_as_it_is(desk: Desk) -> None:
    made = await with_card(desk)

    def fail(row: NotificationRow, repeated: bool) -> Drawn:
        raise ValueError(row.build)

    desk.draws = fail
    await desk.store.cards.touch(made.id or 0, desk.clock())
    await desk.tick(hours=1)
    (kept,) = await desk.store.cards.of_build(key())
    assert (kept.edit_due_at, desk.slack.edits) == (None, [])


# order and pauses


async def test_each_channels_notifications_go_in_order_and_one_by_one(desk: Desk) -> None:
    await desk.store.notifications.add([notification(f"b{n}", channel=f"C{n % 2}") for n in range(6)])
    await desk.tick()
    posts = desk.slack.posts
    assert [text for channel, text, *_rest in posts if channel == "C0"] == ["b0", "b2", "b4"]
    assert [text for channel, text, *_rest in posts if channel == "C1"] == ["b1", "b3", "b5"]


async def test_ends_go_out_by_time_and_number_in_whatever_order_they_were_written(desk: Desk) -> None:
    later, earlier = ago(seconds=5), ago(seconds=9)
    await desk.store.notifications.add(
        [
            notification("b3", number=3, ordered_at=later),
            notification("b2", number=2, ordered_at=later),
            notification("b1", number=9, ordered_at=earlier),
        ]
    )
    await desk.tick()
    assert await desk.said() == ["b1", "b2", "b3"]


async def test_an_earlier_end_that_comes_after_a_later_one_was_posted_is_marked_late(desk: Desk) -> None:
    await desk.store.notifications.add([notification("b2", number=2, ordered_at=ago(seconds=5))])
    await desk.tick()
    await desk.store.notifications.add([notification("b1", number=1, ordered_at=ago(seconds=9))])
    await desk.tick(seconds=1)
    assert await desk.said() == ["b2", "b1"]
    assert Extra.of((await desk.row(2)).extra).late
    assert not Extra.of((await desk.row(1)).extra).late


async def test_the_card_of_a_build_that_somebody_just_started_waits_for_no_other_end(desk: Desk) -> None:
    await desk.store.notifications.add(
        [notification("b1", due_at=NOW + timedelta(seconds=30)), notification("b2", event="started")]
    )
    await desk.tick()
    assert await desk.said() == ["b2"]


async def test_a_429_pauses_that_channel_only_and_as_long_as_asked(desk: Desk) -> None:
    await desk.store.notifications.add([notification("b1"), notification("b2"), notification("b3", channel="C2")])
    desk.slack.fails("post", SlackLimited(40))
    await desk.tick()
    assert await desk.said() == ["b3"]
    await desk.tick(seconds=39)
    assert await desk.said() == ["b3"]
    await desk.tick(seconds=1)
    assert await desk.said() == ["b3", "b1", "b2"]
    assert desk.slack.searches == []


async def test_a_slow_channel_holds_up_no_other(desk: Desk) -> None:
    await desk.store.notifications.add([notification("b1"), notification("b2", channel="C2")])
    desk.slack.approval = asyncio.Event()
    await desk.outbox.tick()
    waiting, desk.slack.approval = desk.slack.approval, None
    await desk.store.notifications.add([notification("b3", channel="C3")])
    await desk.outbox.tick()
    async with asyncio.timeout(10):
        while "b3" not in await desk.said():  # noqa: ASYNC110 - what it waits for is another task's post
            await asyncio.sleep(0)
    waiting.set()
    await desk.outbox.settle()


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
async def test_a_channel_that_can_not_be_told_is_reported_once_for_each_notification(
    desk: Desk, error: SlackError
) -> None:
    await desk.store.notifications.add([notification()])
    desk.slack.fails("post", error)
    await desk.tick()
    await desk.tick(hours=1)
    assert desk.lost == [(1, error.code)]
    row = await desk.row()
    assert (row.state, row.reason) == ("failed", f"Slack refused: {error.code}")


async def test_blocks_that_slack_finds_unfit_are_left_out(desk: Desk) -> None:
    await desk.store.notifications.add([notification(event="started")])
    desk.slack.fails("post", SlackError("invalid_blocks"))
    await desk.tick()
    assert await desk.said() == ["b1"]
    (shown,) = await desk.store.cards.of_build(key())
    await desk.store.cards.touch(shown.id or 0, desk.clock())
    desk.slack.fails("update", SlackError("msg_blocks_too_long"))
    await desk.tick()
    assert desk.slack.edits == [("1.0", "b1 (bare)")]


async def test_what_has_nothing_left_to_say_is_not_said(desk: Desk) -> None:
    await desk.store.notifications.add([notification()])
    desk.draws = lambda _row, _repeated: None
    await desk.tick()
    assert (await desk.row()).reason == "its build or connection is gone"


# cards


async def with_card(desk: Desk, **fields: Any) -> CardRow:
    await desk.store.recording.record([running()], now=NOW)
    await desk.store.notifications.add([notification(event="started")])
    await desk.tick()
    (made,) = await desk.store.cards.of_build(key())
    return made


async def edits(desk: Desk) -> int:
    return len(desk.slack.edits)


async def test_the_first_edit_after_posting_is_free_and_later_ones_wait_fifteen_seconds(desk: Desk) -> None:
    await with_card(desk)
    for step, expected in enumerate([1, 1, 1, 2]):
        await desk.store.recording.record([running(raw_state=f"step {step}")], now=desk.clock())
        await desk.tick(seconds=5)
        assert await edits(desk) == expected


async def test_the_last_edit_comes_at_once_and_is_never_dropped(desk: Desk) -> None:
    await with_card(desk)
    await desk.store.recording.record([running(raw_state="testing")], now=NOW)
    await desk.tick()
    desk.slack.fails("update", SlackUnsure())
    desk.slack.fails("update", SlackLimited(20))
    await desk.store.recording.record([ended()], now=desk.clock())
    desk.draws = lambda row, _repeated: Drawn(message=Message(text="over", blocks=(section("x"),)), card=True)
    await desk.tick()
    await desk.tick(seconds=15)
    assert await edits(desk) == 1
    await desk.tick(seconds=20)
    assert desk.slack.edits[-1] == ("1.0", "over")
    (made,) = await desk.store.cards.of_build(key())
    assert (made.live, made.edit_due_at, made.shown) == (False, None, "over")


async def test_a_change_while_the_card_is_posted_is_shown_right_after(desk: Desk) -> None:
    await desk.store.recording.record([running()], now=NOW)
    await desk.store.notifications.add([notification(event="started")])
    desk.slack.approval = asyncio.Event()
    await desk.outbox.tick()
    await asyncio.sleep(0)
    await desk.store.recording.record([ended()], now=NOW)
    desk.slack.approval.set()
    await desk.outbox.settle()
    await desk.tick()
    assert await edits(desk) == 1


async def test_a_card_that_moves_by_time_alone_is_drawn_each_minute(desk: Desk) -> None:
    desk.draws = lambda row, _repeated: Drawn(
        message=Message(text="runs", blocks=(section("x"),)), card=True, live=True, moves=True
    )
    await with_card(desk)
    await desk.tick(seconds=59)
    assert await edits(desk) == 0
    await desk.tick(seconds=1)
    await desk.tick(seconds=60)
    assert await edits(desk) == 2


async def test_an_edit_that_hangs_is_made_again(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    made = await with_card(desk)
    await desk.store.cards.touch(made.id or 0, desk.clock())
    monkeypatch.setattr("bot.notifications.outbox.WORK_SECONDS", 0.0)

    async def hang(*_args: Any) -> None:
        await asyncio.Event().wait()

    update = desk.slack.update
    monkeypatch.setattr(desk.slack, "update", hang)
    await desk.tick()
    monkeypatch.setattr("bot.notifications.outbox.WORK_SECONDS", 60.0)
    monkeypatch.setattr(desk.slack, "update", update)
    await desk.tick(seconds=15)
    assert await edits(desk) == 1


@pytest.mark.parametrize("code", ["message_not_found", "cant_update_message", "channel_not_found"])
async def test_a_card_whose_message_is_gone_is_forgotten(desk: Desk, code: str) -> None:
    made = await with_card(desk)
    await desk.store.cards.touch(made.id or 0, desk.clock())
    desk.slack.fails("update", SlackError(code))
    await desk.tick()
    assert await desk.store.cards.of_build(key()) == []


async def test_a_card_with_nothing_left_to_show_is_forgotten(desk: Desk) -> None:
    made = await with_card(desk)
    await desk.store.cards.touch(made.id or 0, desk.clock())
    desk.draws = lambda _row, _repeated: None
    await desk.tick()
    assert await desk.store.cards.of_build(key()) == []


# people


async def broken(desk: Desk, **author: str) -> None:
    build = ended(conclusion=Conclusion.FAILED, author=Person(**author))
    await desk.store.recording.record([build], now=NOW)
    await desk.store.notifications.add([notification(channel=AUTHOR)])


async def test_an_author_who_asked_for_it_hears_what_they_broke(desk: Desk) -> None:
    await broken(desk, email="ana@acme.example")
    await desk.tick()
    assert [(channel, text) for channel, text, *_rest in desk.slack.posts] == [("UANA", "b1")]


@pytest.mark.parametrize(
    ("email", "reason"),
    [
        ("ana@acme.example", "<@UANA> wants no direct message about it"),
        ("bo@acme.example", "nobody here is known as the commit's author"),
    ],
)
async def test_nobody_else_is_disturbed(desk: Desk, email: str, reason: str) -> None:
    desk.people.wanting.clear()
    await broken(desk, email=email)
    await desk.tick()
    assert desk.slack.posts == []
    row = await desk.row()
    assert (row.state, row.reason) == ("silent", reason)


async def test_an_author_who_hears_of_it_anyway_is_told_once(desk: Desk) -> None:
    await desk.store.notifications.add([notification(channel="UANA")])
    await desk.tick()
    await desk.store.recording.record([ended(author=Person(email="ana@acme.example"))], now=NOW)
    await desk.store.notifications.add([notification(channel=AUTHOR)])
    await desk.tick()
    assert len(desk.slack.posts) == 1
    assert (await desk.row(2)).reason == "<@UANA> gets it anyway"


async def test_direct_messages_wait_for_working_hours_and_come_as_one(desk: Desk) -> None:
    desk.people.off["U1"] = "outside your working hours (9-18)"
    await desk.store.recording.record([ended(), ended("b2")], now=NOW)
    await desk.store.notifications.add(
        [notification(channel="U1"), notification("b2", channel="U1"), notification("b3", channel="U2")]
    )
    await desk.tick()
    assert await desk.said() == ["b3"]
    assert (await desk.row()).reason == "outside your working hours (9-18)"
    await desk.outbox.release()
    await desk.tick()
    assert await desk.said() == ["b3"]
    desk.people.off.clear()
    await desk.outbox.release()
    await desk.tick()
    assert len(desk.slack.posts) == 2
    summary = await desk.row(4)
    assert [build for *_place, build in Extra.of(summary.extra).builds] == ["b1", "b2"]


async def test_a_card_that_somebody_started_in_a_direct_message_does_not_wait(desk: Desk) -> None:
    desk.people.off["U1"] = "outside your working hours (9-18)"
    await desk.store.notifications.add([notification(channel="U1", event="started")])
    await desk.tick()
    assert await desk.said() == ["b1"]


# mutes


async def muted(desk: Desk, target: str = "all", **fields: Any) -> None:
    whole = {"until": NOW + timedelta(hours=1), **fields}
    await desk.store.mutes.set(MuteRow(team=TEAM, channel=CHANNEL, target=target, made_by="U1", made_at=NOW, **whole))


async def test_what_was_held_comes_as_one_summary_when_the_mute_ends(desk: Desk) -> None:
    await muted(desk)
    await desk.store.notifications.add([notification(f"b{n}", state="held", reason="muted") for n in range(3)])
    await desk.outbox.release()
    await desk.tick()
    assert desk.slack.posts == []
    desk.clock.go(hours=1)
    await desk.outbox.release()
    await desk.outbox.release()
    await desk.tick()
    (said,) = desk.slack.posts
    assert said[3] == "n4-r1-summary"
    assert {(await desk.row(n)).state for n in (1, 2, 3)} == {"silent"}


async def test_a_single_held_notification_comes_as_a_summary(desk: Desk) -> None:
    await desk.store.notifications.add([notification(state="held")])
    await desk.outbox.release()
    await desk.tick()
    assert await desk.said() == ["held-1"]


async def test_a_mute_of_one_pipeline_holds_back_that_one_only(desk: Desk) -> None:
    app = await desk.store.links.save(link())
    web = await desk.store.links.save(link(pipeline="p-web", name="Web", path="web"))
    await muted(desk, target=f"{CONNECTION}:p-web")
    rows = [notification(state="held", link=app.id), notification("b2", state="held", link=web.id, pipeline="p-web")]
    await desk.store.notifications.add(rows)
    await desk.outbox.release()
    await desk.tick()
    assert await desk.said() == ["held-1"]
    assert [row.build for row in await desk.store.notifications.held(TEAM, CHANNEL)] == ["b2"]


async def test_late_news_that_wait_together_come_as_one_summary(desk: Desk) -> None:
    late = Extra(late=True).as_json()
    await desk.store.notifications.add([notification(f"b{n}", connection=f"c{n}", extra=late) for n in range(6)])
    await desk.store.notifications.add([notification("new"), notification("b0", channel="C2", extra=late)])
    await desk.tick()
    keys = [(channel, key_) for channel, _text, _thread, key_ in desk.slack.posts]
    assert keys == [("C2", "n8-r1-finished"), (CHANNEL, "n7-r1-finished"), (CHANNEL, "n9-r1-summary")]
    assert {(await desk.row(n)).state for n in range(1, 7)} == {"silent"}


# counts that decide


async def undecided(desk: Desk, filters: str, counts: IssueCounts) -> None:
    await desk.store.links.save(link(filters=filters, created_at=ago(days=9)))
    await desk.store.recording.record([ended("b0", completed_at=ago(hours=1), issues=IssueCounts(warnings=1))], now=NOW)
    async with desk.store.transaction() as tx:
        recorded = await tx.recording.record([ended()], now=NOW, counts_after=timedelta(0))
        await tx.notifications.add(decide(recorded, now=NOW, can_count=True))
    await desk.store.attempts.set_counts(key(), 1, counts, NOW)


async def test_a_notification_that_waited_for_its_counts_is_posted_if_they_moved(desk: Desk) -> None:
    await undecided(desk, "--on worse", IssueCounts(warnings=2))
    await desk.tick()
    assert await desk.said() == ["b1"]


async def test_a_notification_that_waited_for_its_counts_stays_unsaid_if_they_did_not(desk: Desk) -> None:
    await undecided(desk, "--on worse", IssueCounts(warnings=1))
    await desk.tick()
    assert desk.slack.posts == []
    (row,) = await desk.store.notifications.of_build(key())
    assert (row.state, row.reason) == ("silent", "passed is not among what this channel is notified of (worse)")


async def test_held_notifications_are_judged_by_their_counts_too(desk: Desk) -> None:
    await muted(desk)
    await undecided(desk, "--on worse", IssueCounts(warnings=1))
    desk.clock.go(hours=1)
    await desk.outbox.release()
    (row,) = await desk.store.notifications.of_build(key())
    assert row.state == "silent"


async def test_a_notification_whose_link_went_meanwhile_is_not_judged_again(desk: Desk) -> None:
    await desk.store.notifications.add([notification(link=99, extra=Extra(undecided=True).as_json())])
    await desk.tick()
    assert await desk.said() == ["b1"]


# the loop


async def test_the_loop_takes_over_what_a_crash_left_and_survives_a_lost_database(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    await desk.store.notifications.add([notification()])
    await desk.store.notifications.claim("crashed", now=NOW, lease_seconds=LEASE_SECONDS, limit=9)
    claim = desk.store.notifications.claim
    faults = [StoreError("The connection to the database broke.")]

    async def fragile(*args: Any, **kwargs: Any) -> Any:
        if faults:
            raise faults.pop()
        return await claim(*args, **kwargs)

    monkeypatch.setattr(desk.store.notifications, "claim", fragile)
    task = asyncio.ensure_future(desk.outbox.run())
    async with asyncio.timeout(10):
        while (await desk.row()).state != "sent":
            desk.outbox.wake()
            await asyncio.sleep(0)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    assert "the outbox can't look for work" in caplog.messages
    assert await desk.said() == ["b1"]
    assert desk.slack.searches == ["n1-r1-finished"]


async def test_a_database_that_is_away_while_delivering_is_no_crash(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    await desk.store.notifications.add([notification()])

    async def away(*_args: Any, **_fields: Any) -> None:
        raise StoreError("The connection to the database broke.")

    monkeypatch.setattr(desk.store.notifications, "set_sent", away)
    await desk.outbox.tick()
    await desk.outbox.settle()
    assert "a delivery failed and will be tried again" in caplog.messages
