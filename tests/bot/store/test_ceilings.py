"""How many statements and transactions what is done often may cost; nothing here is timed."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta

import pytest

from bot.core.models import Build
from bot.store import Store
from bot.store.inbox import InboxKind, NewDelivery
from tests.bot.store.rows import CONNECTION, NOW, TEAM, ended, link, notification, record_told, running
from tests.bot.store.statements import watched_statements

LEASE = timedelta(minutes=2)
TWENTY = [running(f"b{number}", number=number) for number in range(20)]


async def polled(store: Store, builds: list[Build]) -> None:
    """Poll a target once, as the poller does."""
    (target,) = await store.polling.claim("me", now=NOW, lease_seconds=60, limit=50)
    await store.polling.take_hints(target)
    await store.polling.watched(CONNECTION)
    await record_told(store, builds, now=NOW)
    await store.polling.watched(CONNECTION)
    assert await store.polling.release(
        target, cursor="c", due_at=NOW, poll_at=NOW, interval_seconds=1, error=None, now=NOW
    )


async def received(store: Store, key: str) -> None:
    """Write a delivery into the inbox."""
    await store.inbox.receive(
        NewDelivery(key=key, kind=InboxKind.COMMAND, body="{}", owner="me", now=NOW, lease_until=NOW)
    )


async def inbox_claimed(store: Store) -> None:
    claimed = await store.inbox.claim_abandoned("me", now=NOW, lease_until=NOW + LEASE, limit=10)
    assert len(claimed) == 1


async def outbox_claimed(store: Store) -> None:
    assert len(await store.notifications.claim("me", now=NOW, lease_seconds=60, limit=10)) == 1


async def status_shown(store: Store) -> None:
    """Read what `/build status` shows of one linked pipeline."""
    (linked,) = await store.links.of_channel(TEAM, "C1")
    assert await store.builds.of_pipeline(linked.connection, linked.pipeline, branch="main")


async def prepared(store: Store) -> None:
    await store.links.save(link())
    await store.polling.ensure(CONNECTION, "", now=NOW)
    await record_told(store, TWENTY, now=NOW)
    await store.notifications.add([notification("b0", event="started")])
    await received(store, "before")
    # The first statement of a kind opens its connection.
    await store.polling.release_leases()
    await store.polling.watched(CONNECTION)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ceiling:
    """The most that something may cost: statements, those that begin and end transactions aside, and transactions."""

    statements: int
    transactions: int


ONE = Ceiling(statements=1, transactions=0)
"""A single statement, which is a transaction of its own."""
CASES: dict[str, tuple[Callable[[Store], Awaitable[None]], dict[str, Ceiling]]] = {
    "a poll of 20 unchanged builds": (
        lambda store: polled(store, TWENTY),
        {"sqlite": Ceiling(statements=5, transactions=0), "postgresql": Ceiling(statements=5, transactions=0)},
    ),
    "a poll with one finished build": (
        lambda store: polled(store, [*TWENTY[1:], ended("b0", number=0)]),
        {"sqlite": Ceiling(statements=16, transactions=1), "postgresql": Ceiling(statements=17, transactions=1)},
    ),
    "an inbox write": (
        lambda store: received(store, "new"),
        {"sqlite": Ceiling(statements=1, transactions=1), "postgresql": ONE},
    ),
    "an inbox claim": (inbox_claimed, {"sqlite": ONE, "postgresql": ONE}),
    "an outbox claim": (outbox_claimed, {"sqlite": ONE, "postgresql": ONE}),
    "a status": (
        status_shown,
        {"sqlite": Ceiling(statements=2, transactions=0), "postgresql": Ceiling(statements=2, transactions=0)},
    ),
}


@pytest.mark.parametrize("name", CASES)
async def test_what_is_done_often_costs_no_more_than_it_did(store: Store, name: str) -> None:
    act, ceilings = CASES[name]
    await prepared(store)
    with watched_statements(store) as statements:
        await act(store)
    words = [statement.text.split()[0] for statement in statements]
    spent = Ceiling(
        statements=sum(word not in {"BEGIN", "COMMIT", "ROLLBACK"} for word in words), transactions=words.count("BEGIN")
    )
    assert spent == ceilings[store.dialect]
