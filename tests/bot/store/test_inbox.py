"""The inbox: written once, claimed with a fence, closed without its secrets."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from bot.core.errors import StoreError
from bot.store import Store
from bot.store.group_commit import GroupCommit
from bot.store.inbox import INBOX, InboxKind, InboxState, NewDelivery, Step
from tests.bot.store.rows import NOW
from tests.set_clock import SetClock

LEASE = timedelta(seconds=15)


def delivery(key: str = "k", **fields: Any) -> NewDelivery:
    made = NewDelivery(key=key, kind=InboxKind.COMMAND, body="b", owner="a", now=NOW, lease_until=NOW + LEASE)
    return replace(made, **fields)


def closing(row_id: int, fence: int = 1) -> Step:
    return Step(id=row_id, fence=fence, state=InboxState.CLOSED, outcome="ok", closed_at=NOW)


async def outcome(store: Store, key: str) -> str | None:
    """Return how a delivery ended, "" while it is open, None where there is none."""
    async with store.read() as db:
        row = (await db.execute(INBOX.select().where(INBOX.c.key == key))).first()
    return row.outcome if row else None


async def test_a_delivery_is_new_once_however_many_processes_receive_it(store: Store, other: Store) -> None:
    received = await asyncio.gather(*(one.inbox.receive(delivery()) for one in (store, other) * 10))
    assert [one.is_new for one in received].count(True) == 1
    assert {one.id for one in received} == {received[0].id}
    more = await asyncio.gather(*(store.inbox.receive(delivery(f"k{number}")) for number in range(30)))
    assert all(one.is_new for one in more)
    assert len({one.id for one in more}) == 30


async def test_a_closed_delivery_is_known_and_holds_no_words_any_more(store: Store) -> None:
    first = await store.inbox.receive(delivery(body="https://hooks.example/secret"))
    assert await store.inbox.advance(Step(id=first.id, fence=1, state=InboxState.ANSWERING, answer="secret"))
    assert await store.inbox.advance(closing(first.id))
    again = await store.inbox.receive(delivery())
    assert (again.is_new, again.id, again.state) == (False, first.id, InboxState.CLOSED)
    assert await outcome(store, "k") == "ok"
    assert await outcome(store, "other") is None
    assert await store.inbox.claim_abandoned("b", now=NOW + LEASE, lease_until=NOW + LEASE * 2, limit=9) == []
    async with store.read() as db:
        rows = (await db.exec_driver_sql("SELECT body, answer FROM inbox")).all()
    assert [tuple(row) for row in rows] == [("", "")]


async def test_what_a_dead_process_left_is_claimed_by_one_other_with_its_state_and_words(
    store: Store, other: Store
) -> None:
    received = await store.inbox.receive(delivery(body="words"))
    await store.inbox.advance(Step(id=received.id, fence=1, state=InboxState.ACTING))
    early = NOW + LEASE - timedelta(seconds=1)
    assert not await store.inbox.is_waiting(early)
    assert await store.inbox.claim_abandoned("b", now=early, lease_until=NOW + LEASE * 2, limit=9) == []
    assert await store.inbox.is_waiting(NOW + LEASE)
    claims = await asyncio.gather(
        *(
            one.inbox.claim_abandoned(f"b{number}", now=NOW + LEASE, lease_until=NOW + LEASE * 2, limit=9)
            for number in range(3)
            for one in (store, other)
        )
    )
    (claimed,) = [row for rows in claims for row in rows]
    assert (claimed.id, claimed.state, claimed.body, claimed.fence) == (received.id, InboxState.ACTING, "words", 2)
    assert (claimed.kind, claimed.key, claimed.received_at) == (InboxKind.COMMAND, "k", NOW)


async def test_a_process_that_lost_its_claim_changes_nothing(store: Store) -> None:
    received = await store.inbox.receive(delivery())
    await store.inbox.claim_abandoned("b", now=NOW + LEASE, lease_until=NOW + LEASE * 2, limit=9)
    late = Step(id=received.id, fence=1, state=InboxState.ACTING)
    assert not await store.inbox.advance(late)
    assert not await store.inbox.advance(replace(late, is_gone=True))
    assert not await store.inbox.advance(closing(received.id))
    assert await store.inbox.advance(replace(late, fence=2))
    assert await store.inbox.advance(closing(received.id, fence=2))
    assert not await store.inbox.advance(closing(received.id, fence=2))


async def test_a_released_delivery_keeps_its_state_and_its_answer(store: Store) -> None:
    first = await store.inbox.receive(delivery())
    await store.inbox.advance(Step(id=first.id, fence=1, state=InboxState.ANSWERING, answer="Started #5"))
    await store.inbox.advance(Step(id=first.id, fence=1, state=InboxState.CLAIMED, lease_until=NOW))
    (row,) = await store.inbox.claim_abandoned("b", now=NOW, lease_until=NOW + LEASE, limit=9)
    assert (row.state, row.answer) == (InboxState.ANSWERING, "Started #5")


async def test_only_what_is_named_is_renewed(store: Store) -> None:
    first, second = [await store.inbox.receive(delivery(key)) for key in ("k1", "k2")]
    await store.inbox.renew("a", [first.id], NOW + LEASE * 3)
    (row,) = await store.inbox.claim_abandoned("b", now=NOW + LEASE, lease_until=NOW + LEASE * 2, limit=9)
    assert row.id == second.id


async def test_a_released_delivery_may_come_again_and_a_lease_may_be_renewed_or_given_up(store: Store) -> None:
    first = await store.inbox.receive(delivery())
    await store.inbox.renew("a", [first.id], NOW + LEASE * 3)
    assert not await store.inbox.is_waiting(NOW + LEASE * 2)
    await store.inbox.renew("b", [first.id], NOW)
    assert not await store.inbox.is_waiting(NOW + LEASE * 2)
    assert await store.inbox.advance(Step(id=first.id, fence=1, state=InboxState.CLAIMED, lease_until=NOW))
    assert await store.inbox.is_waiting(NOW)
    assert await store.inbox.advance(Step(id=first.id, fence=1, state=InboxState.CLAIMED, is_gone=True))
    assert (await store.inbox.receive(delivery())).is_new


async def test_a_delivery_belongs_to_a_transaction_where_it_is_written_in_one(store: Store) -> None:
    async def interrupted() -> None:
        async with store.transaction() as tx:
            assert (await tx.inbox.receive(delivery())).is_new
            assert not (await tx.inbox.receive(delivery())).is_new
            raise StoreError("no")

    with pytest.raises(StoreError):
        await interrupted()
    assert await outcome(store, "k") is None


async def test_closed_deliveries_are_forgotten_after_two_days_and_open_ones_never(
    store: Store, set_clock: SetClock
) -> None:
    closed = await store.inbox.receive(delivery())
    await store.inbox.receive(delivery("open"))
    await store.inbox.advance(closing(closed.id))
    set_clock.go(days=2)
    assert await store.prune(set_clock.now) == 0
    set_clock.go(seconds=1)
    assert await store.prune(set_clock.now) == 1
    assert await outcome(store, "open") == ""
    assert await store.inbox.count_open() == 1


async def test_writes_that_wait_for_a_commit_go_into_the_next_one_together() -> None:
    batches: list[list[int]] = []
    began, first = asyncio.Event(), asyncio.Event()

    async def commit(items: object) -> list[int]:
        assert isinstance(items, list)
        batches.append(items)
        began.set()
        await first.wait()
        return [item * 2 for item in items]

    group: GroupCommit[int, int] = GroupCommit(commit, most=3)
    writes = [asyncio.ensure_future(group.add(number)) for number in range(5)]
    await began.wait()
    writes.append(asyncio.ensure_future(group.add(5)))
    first.set()
    assert await asyncio.gather(*writes) == [0, 2, 4, 6, 8, 10]
    assert batches == [[0, 1, 2], [3, 4, 5]]
    await group.drain()


async def test_a_commit_that_fails_is_reported_to_each_of_its_writes_and_the_next_one_works() -> None:
    failures = [StoreError("locked")]

    async def commit(items: object) -> list[object]:
        assert isinstance(items, list)
        if failures:
            raise failures.pop()
        return items

    group: GroupCommit[int, object] = GroupCommit(commit)
    results = await asyncio.gather(group.add(1), group.add(2), return_exceptions=True)
    assert [str(result) for result in results] == ["locked", "locked"]
    assert await group.add(3) == 3


async def test_a_write_into_the_inbox_goes_before_other_writes_that_wait(store: Store) -> None:
    if store.dialect != "sqlite":
        pytest.skip("only SQLite has one writer")
    order: list[str] = []

    async def slow(name: str) -> None:
        async with store.write():
            order.append(name)

    async with store.write():
        waiting = [asyncio.ensure_future(slow("first")), asyncio.ensure_future(slow("second"))]
        await asyncio.sleep(0)
        urgent = asyncio.ensure_future(store.inbox.receive(delivery()))
        urgent.add_done_callback(lambda _done: order.append("inbox"))
        for _step in range(5):
            await asyncio.sleep(0)
        assert store._turns._urgent
    await asyncio.gather(*waiting, urgent)
    assert order.index("inbox") <= 1
    assert order[-1] == "second"


async def test_without_tables_a_delivery_is_refused_in_words(bare_url: str) -> None:
    store = await Store.open(bare_url, clock=lambda: NOW)
    with pytest.raises(StoreError, match="no tables"):
        await store.inbox.receive(delivery())
    await store.close()
