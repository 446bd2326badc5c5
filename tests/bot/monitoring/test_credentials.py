"""Who can renew credentials is warned 30, 15, 7 and 1 days ahead and when they have ended, once each."""

from datetime import timedelta

import pytest

from bot.blocks.message import Message
from bot.core.errors import Unavailable
from bot.core.models import Account
from bot.monitoring.credentials import CHECK_SECONDS, Credentials, days_left, step_of
from bot.store import Store
from tests.bot.store.rows import NOW
from tests.set_clock import SetClock


class Works:
    """A connection whose credentials end."""

    label = "The Works"

    def __init__(self) -> None:
        self.account = Account(name="bell", expires_at=NOW + timedelta(days=40))
        self.checks = 0
        self.trouble: Unavailable | None = None

    async def check(self) -> Account:
        self.checks += 1
        if self.trouble is not None:
            raise self.trouble
        return self.account


def credentials(store: Store, works: Works, clock: SetClock, posts: list[tuple[str, str, str]]) -> Credentials:
    async def keepers(_name: str) -> list[tuple[str, str]]:
        return [("T1", "U1"), ("T2", "U9")]

    async def post(team: str, user: str, message: Message) -> None:
        posts.append((team, user, message.text))

    return Credentials(
        store,
        names=lambda: ("works",),
        provider_of=lambda _name: works,  # type: ignore[arg-type,return-value]
        keepers=keepers,
        post=post,
        clock=clock,
    )


async def test_each_warning_is_posted_once_by_whichever_process(store: Store, set_clock: SetClock) -> None:
    works = Works()
    posts: list[tuple[str, str, str]] = []
    processes = [credentials(store, works, set_clock, posts) for _process in range(2)]
    days: list[int] = []
    for hour in range(0, 42 * 24, 6):
        before = len(posts)
        for process in processes:
            await process.tick()
        if len(posts) > before:
            assert {post[:2] for post in posts[before:]} == {("T1", "U1"), ("T2", "U9")}
            days.append(40 - hour // 24)
        set_clock.go(seconds=CHECK_SECONDS)
    assert days == [30, 15, 7, 1, 0]
    assert len(posts) == 10
    assert works.checks == 42 * 4
    assert "(`works`) end on 2026-" in posts[0][2]
    assert "in 30 days" in posts[0][2]
    assert "ended on" in posts[-1][2]


async def test_new_credentials_are_warned_of_anew_and_a_late_first_look_warns_once(
    store: Store, set_clock: SetClock
) -> None:
    works = Works()
    works.account = Account(name="bell", expires_at=NOW + timedelta(days=6))
    posts: list[tuple[str, str, str]] = []
    process = credentials(store, works, set_clock, posts)
    await process.tick()
    assert len(posts) == 2
    assert "in 6 days" in posts[0][2]
    assert (await store.health.all())["works"].expires_at == works.account.expires_at
    works.account = Account(name="bell", expires_at=NOW + timedelta(days=5))
    set_clock.go(seconds=CHECK_SECONDS)
    await process.tick()
    assert len(posts) == 4
    works.account = Account(name="bell")
    set_clock.go(seconds=CHECK_SECONDS)
    await process.tick()
    works.trouble = Unavailable("away", provider="The Works")
    set_clock.go(seconds=CHECK_SECONDS)
    await process.tick()
    assert len(posts) == 4


@pytest.mark.parametrize(
    ("ahead", "days", "step"),
    [
        (timedelta(days=31), 31, None),
        (timedelta(days=30, seconds=1), 31, None),
        (timedelta(days=30), 30, 30),
        (timedelta(days=15, hours=1), 16, 30),
        (timedelta(days=15), 15, 15),
        (timedelta(days=7), 7, 7),
        (timedelta(days=2), 2, 7),
        (timedelta(hours=1), 1, 1),
        (timedelta(), 0, 0),
        (timedelta(days=-3), 0, 0),
    ],
)
def test_the_step_is_the_nearest_that_is_due(ahead: timedelta, days: int, step: int | None) -> None:
    assert days_left(NOW + ahead, NOW) == days
    assert step_of(NOW + ahead, NOW) == step
