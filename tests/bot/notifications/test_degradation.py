"""A workspace that takes fewer posts than there is to say: edits go without first, then digests; notifications only wait."""

import asyncio
import logging
from collections.abc import AsyncGenerator
from datetime import timedelta
from typing import Any, cast

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from bot.blocks.message import Message, section
from bot.http.budget import KEPT_FOR_OTHERS, Purpose
from bot.http.transport import Network
from bot.monitoring.budgets import SharedBudgets
from bot.notifications.notification import Event, Extra
from bot.notifications.outbox import Drawn, Outbox
from bot.slack.sender import Sender
from bot.store import Store
from bot.store.rows import NewNotification, NotificationRow
from tests.bot.notifications.test_outbox import Recipients
from tests.bot.store.rows import NOW, TEAM, card, leased, make_due, notification
from tests.playground.serving import serving
from tests.set_clock import SetClock

A_MINUTE = 90
CHANNELS = 50
FLOOD = 360
CARDS = 40


class Workspace:
    """A Slack that takes so many posts in a minute of the test's clock, one a second in a channel, and refuses others."""

    def __init__(self, clock: SetClock) -> None:
        self._clock = clock
        self._minute: list[float] = []
        self.taken: list[tuple[float, str, str]] = []
        self.refused: list[tuple[float, str]] = []

    def seconds(self) -> float:
        return (self._clock() - NOW).total_seconds()

    async def answer(self, request: Request) -> Response:
        method = request.path_params["method"]
        now = self.seconds()
        text = str((await request.json()).get("text", ""))
        if method == "chat.postMessage":
            self._minute = [at for at in self._minute if at > now - 60]
            if len(self._minute) >= A_MINUTE:
                self.refused.append((now, text))
                return JSONResponse({"ok": False, "error": "ratelimited"}, 429, {"Retry-After": "5"})
            self._minute.append(now)
        self.taken.append((now, method, text))
        return JSONResponse({"ok": True, "ts": f"{len(self.taken)}.0", "channel": "C"})

    def times(self, method: str, prefix: str = "") -> list[float]:
        return [at for at, name, text in self.taken if name == method and text.startswith(prefix)]


class Flood:
    """An outbox before a workspace that is soon full."""

    def __init__(self, store: Store, clock: SetClock, sender: Sender) -> None:
        self.store = store
        self.clock = clock
        self.sender = sender
        self.outbox = Outbox(
            store,
            sender,
            people=cast("Any", Recipients()),
            kind_of=lambda _name: "works",
            draw=self._draw,
            undelivered=self._undelivered,
            clock=clock,
            owner="o",
        )
        self.budgets = SharedBudgets(store, budgets=sender.budgets, clock=clock, owner="o")

    async def _draw(self, row: NotificationRow, /, *, repeated: bool) -> Drawn:
        assert not repeated
        text = Extra.of(row.extra).text or row.build
        return Drawn(message=Message(text=text, blocks=(section(text),)), card=row.event == Event.STARTED, live=True)

    async def _undelivered(self, row: NotificationRow, *_args: object) -> None:
        raise AssertionError(row.id)

    async def second(self) -> None:
        """Let somewhat more than a second pass, and do what a worker does in it."""
        self.clock.go(seconds=1.1)
        await self.outbox.tick()
        await self.outbox.settle()
        await self.budgets.share()


@pytest.fixture
async def workspace(set_clock: SetClock) -> Workspace:
    return Workspace(set_clock)


@pytest.fixture
async def flood(store: Store, set_clock: SetClock, workspace: Workspace) -> AsyncGenerator[Flood]:
    async def token(_team: str) -> str:
        return "xoxb-flood"

    async def passed(seconds: float) -> None:
        ends_at = workspace.seconds() + seconds
        await asyncio.sleep(0)
        if workspace.seconds() < ends_at:
            set_clock.go(seconds=ends_at - workspace.seconds())

    app = Starlette(routes=[Route("/api/{method}", workspace.answer, methods=["POST"])])
    async with serving(app) as address, Network() as network:
        sender = Sender(
            token, session=network.session, api_url=f"{address}/api/", sleep=passed, timer=workspace.seconds
        )
        yield Flood(store, set_clock, sender)


def ends(first: int, count: int) -> list[NewNotification]:
    return [
        notification(f"end {number:03}", channel=f"C{number % CHANNELS}", number=number, event=Event.BLOCKED, turn=1)
        for number in range(first, first + count)
    ]


async def test_edits_go_without_before_digests_and_digests_before_notifications_which_all_arrive(
    flood: Flood, workspace: Workspace, store: Store, set_clock: SetClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    for number in range(CARDS):
        await store.notifications.add([notification(f"card {number}", channel=f"CC{number}", event=Event.STARTED)])
        row = await leased(store, number + 1)
        made = card(f"card {number}", ts=f"c{number}", channel=f"CC{number}")
        await store.notifications.set_sent(row, ts=f"c{number}", card=made, now=NOW)
    await store.notifications.add(ends(0, FLOOD))
    while not workspace.refused:
        await flood.second()
        assert workspace.seconds() < 60, (len(workspace.taken), flood.sender.budgets())
    short_since = workspace.seconds()
    assert flood.sender.is_short(TEAM)
    for number in range(CARDS):
        await make_due(store, number + 1, set_clock())
    # A digest is written as `ScheduledCommands` writes it while a workspace is short: for later.
    due_at = set_clock() + timedelta(minutes=10)
    await store.notifications.add(
        [notification("digest", channel="C0", event=Event.DIGEST, due_at=due_at, ordered_at=due_at)]
    )
    while len(workspace.times("chat.postMessage", "end ")) < FLOOD:
        await flood.second()
        assert workspace.seconds() < 30 * 60
    last_end = workspace.times("chat.postMessage", "end ")[-1]
    while not workspace.times("chat.postMessage", "digest") or len(workspace.times("chat.update")) < CARDS:
        await flood.second()
        assert workspace.seconds() < 30 * 60
    # edits: none while the workspace was short, and each in the end
    assert [at for at in workspace.times("chat.update") if short_since <= at < last_end] == []
    assert len(workspace.times("chat.update")) == CARDS
    # digests: after every notification
    assert workspace.times("chat.postMessage", "digest")[0] > last_end
    # notifications: each once, in order in its channel, and soon at the pace that the workspace allows
    texts = [text for _at, method, text in workspace.taken if method == "chat.postMessage" and text.startswith("end")]
    assert len(texts) == len(set(texts)) == FLOOD
    for channel in range(CHANNELS):
        mine = [text for text in texts if int(text.removeprefix("end ")) % CHANNELS == channel]
        assert mine == sorted(mine)
    assert last_end <= 1.5 * 60 * FLOOD / A_MINUTE
    assert len(workspace.refused) < A_MINUTE  # most of them at once, when the limit was met
    # what waited is said once, and its end with how much it was
    for _second in range(180):
        await flood.second()
    shortage = [record for record in caplog.records if "held back" in record.message]
    wide = [record for record in caplog.records if "wide enough again" in record.message]
    assert len(shortage) == len(wide) == 1
    assert vars(wide[0])["held"] > 0


async def test_counts_go_without_before_polls_and_neither_holds_a_command(flood: Flood) -> None:
    assert KEPT_FOR_OTHERS[Purpose.COUNTS] > KEPT_FOR_OTHERS[Purpose.POLL] > KEPT_FOR_OTHERS[Purpose.DELIVERY]
    limiter = flood.sender.limiter(TEAM, "chat.postMessage")
    limiter.spend(A_MINUTE)
    limiter.refused(5)
    assert Purpose.COMMAND not in KEPT_FOR_OTHERS
    flood.clock.go(seconds=6)
    waits = {purpose: limiter.wait(purpose) for purpose in Purpose}
    assert waits[Purpose.COMMAND] == 0
    assert waits[Purpose.DELIVERY] > 0
    assert waits[Purpose.COUNTS] >= waits[Purpose.POLL] >= waits[Purpose.DELIVERY]
