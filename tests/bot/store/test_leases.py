"""Whatever a worker claims is one worker's, moves to another when that one dies, and is out of reach for one that wakes up late.

Each claim of the store is named here, and so is each table with a lease: a new one fails until it is.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text

from bot.core.models import IssueCounts, Pipeline
from bot.monitoring import details, poller
from bot.notifications import outbox
from bot.slack import inbox
from bot.store import Store
from bot.store.inbox import InboxKind, InboxState, NewDelivery, Step
from bot.store.rows import NewBisection, NewChain, NewDigest, NewLogFollow, NewSchedule
from bot.store.store import Repositories
from bot.store.tables import metadata
from commands.bisections import LEASE as BISECTION_LEASE
from commands.look.logs import FOLLOW_EVERY
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
    make_due,
    notification,
    record_told,
)
from tests.bot.store.statements import watched_statements
from tests.databases import store_on
from tests.set_clock import SetClock

ROWS = 9
WORKERS = 3
MOST_SECONDS = 30.0
HOUR = timedelta(hours=1)

Claimed = list[tuple[Any, Any]]
"""What a claim gave: the identity of each row, and the row as the claimer has it."""


async def make_notifications(store: Store) -> None:
    await store.notifications.add([notification(f"b{n}", channel=f"C{n}") for n in range(ROWS)])


async def claim_notifications(store: Store, owner: str, limit: int) -> Claimed:
    rows = await store.notifications.claim(owner, now=store.clock(), lease_seconds=outbox.LEASE_SECONDS, limit=limit)
    return [(row.id, row) for row in rows]


async def change_notification(store: Store, row: Any) -> None:
    await store.notifications.set_sent(row, ts="late", card=card(row.build, ts="late"), now=store.clock())
    await store.notifications.requeue(row, due_at=NOW, unsure=True)
    await store.notifications.fail(row, "late")
    await store.notifications.hold(row, "late")
    await store.notifications.readdress(row, "C-late", NOW)
    await store.notifications.replace(row, "late", notification(event="undrawable"))
    await store.notifications.gather(row, [row.id], "late", notification(event="summary"))
    assert await store.notifications.renew("dead", [row.id], store.clock() + HOUR) == frozenset()


async def make_cards(store: Store) -> None:
    for n in range(ROWS):
        await store.notifications.add([notification(f"b{n}")])
        posted = await leased(store, n + 1)
        await store.notifications.set_sent(posted, ts=f"{n}.0", card=card(f"b{n}", ts=f"{n}.0"), now=NOW)
        await make_due(store, n + 1, NOW)


async def claim_cards(store: Store, _owner: str, limit: int) -> Claimed:
    rows = await store.cards.claim(now=store.clock(), lease_seconds=outbox.LEASE_SECONDS, limit=limit)
    return [(row.id, row) for row in rows]


async def claim_cards_of_builds(store: Store, _owner: str, limit: int) -> Claimed:
    rows: list[Any] = []
    for n in range(ROWS):
        if len(rows) < limit:
            rows += await store.cards.claim_of_build(
                key(f"b{n}"), team=TEAM, channel=CHANNEL, now=store.clock(), lease_seconds=outbox.LEASE_SECONDS
            )
    return [(row.id, row) for row in rows]


async def change_card(store: Store, row: Any) -> None:
    await store.cards.postpone(row, store.clock() + HOUR)
    await store.cards.delete(row)


async def make_poll_targets(store: Store) -> None:
    for n in range(ROWS):
        await store.polling.ensure(f"works{n}", "", now=NOW)
        await store.polling.request(f"works{n}", "", [(PIPELINE, "b1")], full=False, now=NOW)


async def claim_poll_targets(store: Store, owner: str, limit: int) -> Claimed:
    rows = await store.polling.claim(owner, now=store.clock(), lease_seconds=poller.LEASE_SECONDS, limit=limit)
    return [(row.id, row) for row in rows]


async def change_poll_target(store: Store, row: Any) -> None:
    later = store.clock() + HOUR
    assert not await store.polling.release(
        row, cursor="late", due_at=later, poll_at=later, interval_seconds=9, error="late", now=store.clock()
    )
    assert await store.polling.take_hints(row) == []
    assert not await store.polling.clear_failure(row)
    await store.polling.renew("dead", [row.id], later)


async def make_attempts(store: Store) -> None:
    await record_told(store, [ended(f"b{n}") for n in range(ROWS)], now=NOW, counts_after=timedelta(0))


async def claim_attempts(store: Store, _owner: str, limit: int) -> Claimed:
    rows = await store.attempts.claim_uncounted(store.clock(), limit, details.LEASE_SECONDS)
    return [(row.id, row) for row in rows]


async def change_attempt(store: Store, row: Any) -> None:
    counts = IssueCounts(errors=99)
    assert not await store.attempts.set_counts(key(row.build), row.attempt_no, counts, store.clock(), claimed=row)
    await store.attempts.postpone_counts(row, store.clock() + HOUR)
    await store.attempts.give_up_counts(row)
    await store.attempts.read_uploads_later(row, store.clock() + HOUR)
    await store.attempts.end_uploads(row)


async def make_deliveries(store: Store) -> None:
    for n in range(ROWS):
        await store.inbox.receive(delivery(f"k{n}", "gone", store))


def delivery(name: str, owner: str, store: Store, *, lease: timedelta = timedelta(0)) -> NewDelivery:
    now = store.clock()
    return NewDelivery(key=name, kind=InboxKind.COMMAND, body="{}", owner=owner, now=now, lease_until=now + lease)


async def claim_deliveries(store: Store, owner: str, limit: int) -> Claimed:
    now = store.clock()
    rows = await store.inbox.claim_abandoned(owner, now=now, lease_until=now + inbox.LEASE, limit=limit)
    return [(row.id, row) for row in rows]


async def change_delivery(store: Store, row: Any) -> None:
    late = Step(id=row.id, fence=row.fence, state=InboxState.ANSWERING, answer="late")
    for step in (
        late,
        replace(late, lease_until=NOW),
        replace(late, closed_at=NOW, outcome="late"),
        replace(late, is_gone=True),
    ):
        assert not await store.inbox.advance(step)
    await store.inbox.renew("dead", [row.id], store.clock() + HOUR)


async def make_log_follows(store: Store) -> None:
    for n in range(ROWS):
        await store.log_follows.add(
            NewLogFollow(
                team=TEAM,
                channel=CHANNEL,
                ts=f"{n}.0",
                user="U1",
                connection=CONNECTION,
                pipeline=PIPELINE,
                build=f"b{n}",
                job="j1",
                label="App",
                due_at=NOW,
                until=NOW + HOUR,
            )
        )


async def claim_log_follows(store: Store, _owner: str, limit: int) -> Claimed:
    rows = await store.log_follows.claim(store.clock(), again=FOLLOW_EVERY, limit=limit)
    return [(row.id, row) for row in rows]


async def change_log_follow(store: Store, row: Any) -> None:
    await store.log_follows.remove(row)


async def make_schedules(store: Store) -> None:
    for n in range(ROWS):
        await store.schedules.add(
            NewSchedule(
                team=TEAM,
                channel=CHANNEL,
                user="U1",
                words="daily 7:00",
                cron="0 7 * * *",
                tz="UTC",
                command=f"run p{n}",
                next_at=NOW,
                created_at=ago(days=1),
            )
        )


async def claim_schedules(store: Store, _owner: str, limit: int) -> Claimed:
    rows = await store.schedules.claim(store.clock(), limit, lambda _row: NOW + timedelta(days=1))
    return [(row.id, row) for row in rows]


async def make_digests(store: Store) -> None:
    for n in range(ROWS):
        await store.digests.set(
            NewDigest(
                team=TEAM,
                channel=f"C{n}",
                period="daily",
                cron="0 7 * * *",
                tz="UTC",
                next_at=NOW,
                made_by="U1",
                made_at=ago(days=1),
            )
        )


async def claim_digests(store: Store, _owner: str, limit: int) -> Claimed:
    rows = await store.digests.claim(store.clock(), limit, lambda _row: NOW + timedelta(days=1))
    return [(row.id, row) for row in rows]


async def make_chains(store: Store) -> None:
    await store.recording.record([ended("b0")], now=NOW)
    for n in range(ROWS):
        await store.chains.add(
            NewChain(
                team=TEAM,
                channel=CHANNEL,
                user="U1",
                connection=CONNECTION,
                pipeline=PIPELINE,
                build="b0",
                label="App #1",
                command=f"run p{n}",
                until=NOW + HOUR,
                made_at=NOW,
            )
        )


async def claim_chain(store: Store, _owner: str, _limit: int) -> Claimed:
    claimed = await store.chains.claim(store.clock())
    return [(claimed[0].id, claimed[0])] if claimed is not None else []


async def make_pipelines(store: Store) -> None:
    pipelines = [Pipeline(id=f"p{n}", path=f"p{n}", name=f"p{n}") for n in range(ROWS)]
    await store.pipelines.save(CONNECTION, pipelines, ago(days=1))
    for n in range(ROWS):
        await store.links.save(link(pipeline=f"p{n}", path=f"p{n}"))


async def claim_pipelines(store: Store, _owner: str, limit: int) -> Claimed:
    return [(row, row) for row in await store.pipelines.claim_stale(store.clock(), HOUR, limit)]


async def make_bisections(store: Store) -> None:
    for n in range(ROWS):
        await store.bisections.add(
            NewBisection(
                team=TEAM,
                channel=CHANNEL,
                user="U1",
                connection=CONNECTION,
                pipeline=f"p{n}",
                label="App",
                running=f"p{n}",
                data="{}",
                due_at=NOW,
                made_at=NOW,
            )
        )


async def claim_bisections(store: Store, _owner: str, limit: int) -> Claimed:
    rows = await store.bisections.claim(store.clock(), again=BISECTION_LEASE, limit=limit)
    return [(row.id, row) for row in rows]


async def change_bisection(store: Store, row: Any) -> None:
    await store.bisections.renew(row, store.clock() + HOUR)
    assert not await store.bisections.save(row, data="late", ts="late", due_at=store.clock() + HOUR)
    await store.bisections.end(row, data="late")


@dataclass(frozen=True, kw_only=True)
class Claim:
    """One claim: the table, how rows are made and claimed, and what a worker that wakes up late would write."""

    table: str
    make: Callable[[Store], Awaitable[None]]
    claim: Callable[[Store, str, int], Awaitable[Claimed]]
    change: Callable[[Store, Any], Awaitable[None]] | None = None
    """None where the claim takes the row away or moves it on: the work itself is then a row of the inbox, or can wait."""


CLAIMS = {
    "notifications.claim": Claim(
        table="notification", make=make_notifications, claim=claim_notifications, change=change_notification
    ),
    "cards.claim": Claim(table="card", make=make_cards, claim=claim_cards, change=change_card),
    "cards.claim_of_build": Claim(table="card", make=make_cards, claim=claim_cards_of_builds, change=change_card),
    "polling.claim": Claim(
        table="poll_target", make=make_poll_targets, claim=claim_poll_targets, change=change_poll_target
    ),
    "attempts.claim_uncounted": Claim(table="attempt", make=make_attempts, claim=claim_attempts, change=change_attempt),
    "inbox.claim_abandoned": Claim(table="inbox", make=make_deliveries, claim=claim_deliveries, change=change_delivery),
    "log_follows.claim": Claim(
        table="log_follow", make=make_log_follows, claim=claim_log_follows, change=change_log_follow
    ),
    "schedules.claim": Claim(table="schedule", make=make_schedules, claim=claim_schedules),
    "digests.claim": Claim(table="digest", make=make_digests, claim=claim_digests),
    "chains.claim": Claim(table="chain", make=make_chains, claim=claim_chain),
    "bisections.claim": Claim(table="bisection", make=make_bisections, claim=claim_bisections, change=change_bisection),
    "pipelines.claim_stale": Claim(table="pipeline", make=make_pipelines, claim=claim_pipelines),
}
LEASED = {name: claim for name, claim in CLAIMS.items() if claim.change is not None}
OF_PEOPLE = {"red_branches.claim"}
"""A person's claim of a red branch, which no worker makes."""


def test_every_claim_and_every_table_with_a_lease_is_named_here(store: Store) -> None:
    claims = {
        f"{subject}.{name}"
        for subject in Repositories.__annotations__
        for name in dir(getattr(store, subject))
        if name.startswith("claim") and name != "claimed_after"
    }
    assert claims == set(CLAIMS) | OF_PEOPLE
    with_lease = {name for name, table in metadata().tables.items() if "lease_until" in table.columns}
    assert with_lease <= {claim.table for claim in LEASED.values()}


@pytest.fixture
async def workers(database_url: str, set_clock: SetClock) -> AsyncGenerator[list[Store]]:
    """Return the stores of three workers on one database."""
    stores = [store_on(database_url, set_clock, process=number) for number in range(WORKERS)]
    yield stores
    for each in stores:
        await each.close()


async def claim_all(claim: Claim, store: Store, owner: str, limit: int = 2) -> Claimed:
    """Claim as a worker does, a few at a time, until nothing is due."""
    rows: Claimed = []
    while more := await claim.claim(store, owner, limit):
        rows += more
    return rows


@pytest.mark.parametrize("name", CLAIMS)
async def test_what_a_claim_takes_is_chosen_once_whatever_the_plan(store: Store, name: str) -> None:
    """A plain subquery runs again for each row where PostgreSQL joins row by row, and so takes more than its limit."""
    await CLAIMS[name].make(store)
    with watched_statements(store) as statements:
        assert len(await CLAIMS[name].claim(store, "w", 1)) == 1
    for words in (each.text for each in statements if "LIMIT" in each.text):
        assert words.startswith(("SELECT", "WITH chosen AS")), words


async def contents(store: Store, table: str) -> Sequence[Any]:
    """Return all rows of a table, whole."""
    async with store.read() as db:
        return (await db.execute(text(f'SELECT * FROM "{table}" ORDER BY 1'))).all()  # noqa: S608 - a name of this module


@pytest.mark.parametrize("name", CLAIMS)
async def test_three_workers_share_what_is_due_and_each_row_is_one_workers(workers: list[Store], name: str) -> None:
    claim = CLAIMS[name]
    await claim.make(workers[0])
    shares = await asyncio.gather(*(claim_all(claim, store, f"w{n}") for n, store in enumerate(workers)))
    identities = [identity for share in shares for identity, _row in share]
    assert len(identities) == len(set(identities)) == ROWS


@pytest.mark.parametrize("name", LEASED)
async def test_a_dead_workers_rows_are_others_within_half_a_minute_and_not_before(
    workers: list[Store], set_clock: SetClock, name: str
) -> None:
    claim = LEASED[name]
    await claim.make(workers[0])
    dead = {identity for identity, _row in await claim_all(claim, workers[0], "dead")}
    assert len(dead) == ROWS
    set_clock.go(seconds=10)
    assert await claim_all(claim, workers[1], "w1") == []
    set_clock.go(seconds=MOST_SECONDS - 10)
    assert {identity for identity, _row in await claim_all(claim, workers[1], "w1")} == dead
    assert await claim_all(claim, workers[2], "w2") == []


@pytest.mark.parametrize("name", LEASED)
async def test_what_a_worker_writes_after_its_lease_changes_nothing(
    workers: list[Store], set_clock: SetClock, name: str
) -> None:
    claim = LEASED[name]
    assert claim.change is not None
    await claim.make(workers[0])
    stale = dict(await claim_all(claim, workers[0], "dead"))
    set_clock.go(seconds=MOST_SECONDS)
    await claim_all(claim, workers[1], "w1")
    tables = ("notification", "card", claim.table)
    before = [await contents(workers[2], table) for table in tables]
    for row in stale.values():
        await claim.change(workers[0], row)
    assert [await contents(workers[2], table) for table in tables] == before


async def test_what_was_handed_to_an_app_store_is_read_on_by_who_read_it_last(workers: list[Store]) -> None:
    dead, other, onlooker = workers
    await record_told(dead, [ended("b1")], now=NOW, counts_after=timedelta(0))
    [(_id, stale)] = await claim_attempts(dead, "dead", 1)
    read = IssueCounts()
    assert await dead.attempts.set_counts(key("b1"), stale.attempt_no, read, dead.clock(), claimed=stale)
    await dead.attempts.read_uploads_later(stale, ago(seconds=1))
    [(_id, fresh)] = await claim_attempts(other, "w1", 1)
    assert fresh.upload_reads == 1
    await dead.attempts.read_uploads_later(stale, dead.clock() + HOUR)
    await dead.attempts.end_uploads(stale)
    assert await onlooker.attempts.get(key("b1"), stale.attempt_no) == fresh
    await other.attempts.end_uploads(fresh)
    ended_now = await onlooker.attempts.get(key("b1"), stale.attempt_no)
    assert ended_now is not None
    assert ended_now.counts_due_at is None


@pytest.mark.parametrize("name", ["schedules.claim", "digests.claim", "chains.claim"])
async def test_what_is_taken_away_by_its_claim_goes_on_as_a_delivery_of_the_inbox(
    workers: list[Store], set_clock: SetClock, name: str
) -> None:
    claim = CLAIMS[name]
    await claim.make(workers[0])
    for n in range(2):
        async with workers[0].transaction() as tx:
            repositories: Any = tx
            repositories.clock = workers[0].clock
            assert await claim.claim(repositories, "dead", 1)
            await tx.inbox.receive(delivery(f"k{n}", "dead", workers[0], lease=inbox.LEASE))
    assert len(await claim_all(claim, workers[1], "w1")) == ROWS - 2
    set_clock.go(seconds=MOST_SECONDS)
    assert len(await claim_deliveries(workers[2], "w2", ROWS)) == 2


async def test_a_claim_that_is_not_committed_is_nobodys(workers: list[Store]) -> None:
    await make_digests(workers[0])
    with contextlib.suppress(RuntimeError):
        async with workers[0].transaction() as tx:
            assert len(await tx.digests.claim(NOW, ROWS, lambda _row: NOW + HOUR)) == ROWS
            raise RuntimeError
    assert len(await claim_digests(workers[1], "w1", ROWS)) == ROWS
