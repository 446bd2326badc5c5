"""Measure what the store costs above the bare driver: the same statements, replayed by it in the same run.

Each scenario runs on the store while its statements are written down; the driver then runs exactly these on a copy of
the database as it was before. The ratio is the driver's time over the store's: 1.00 costs nothing more.
"""

import asyncio
import shutil
import sqlite3
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
from rich.console import Console
from rich.table import Table

from bot.core.models import Build, Conclusion, Status
from bot.store import Store
from tests.bot.store.statements import Statement, watched_statements
from tests.postgres import OWNER, PostgresServer, programs, running_postgres

NOW = datetime(2026, 3, 4, 12, 0, tzinfo=UTC)
ROUNDS = 400
BEST_OF = 3


@dataclass(slots=True)
class Clock:
    """A clock that goes on by a second whenever a scenario says so."""

    now: datetime = NOW

    def __call__(self) -> datetime:
        return self.now


@dataclass(slots=True)
class Bench:
    """A store, its clock, and the builds that a poll returns."""

    store: Store
    clock: Clock
    builds: list[Build] = field(default_factory=list)

    async def poll(self) -> None:
        """Poll one target whose builds have not changed, as the poller does."""
        self.clock.now += timedelta(seconds=1)
        now = self.clock.now
        store = self.store
        (target,) = await store.polling.claim("bench", now=now, lease_seconds=60, limit=50)
        await store.polling.take_hints(target)
        await store.polling.watched("works")
        assert not await store.recording.has_news(self.builds)
        await store.polling.watched("works")
        assert await store.polling.release(
            target, cursor="c", due_at=now, poll_at=now, interval_seconds=10.0, error=None, now=now
        )


def builds(count: int) -> list[Build]:
    """Return builds that have ended."""
    return [
        Build(
            connection="works",
            pipeline="app",
            id=f"b{number}",
            number=number,
            branch="main",
            status=Status.COMPLETED,
            conclusion=Conclusion.PASSED,
            created_at=NOW - timedelta(minutes=9),
            started_at=NOW - timedelta(minutes=8),
            completed_at=NOW - timedelta(minutes=1),
            updated_at=NOW - timedelta(minutes=1),
            message="Bench",
            commit="a" * 40,
        )
        for number in range(count)
    ]


async def prepared(url: str, count: int) -> Bench:
    """Return a store in which some builds of a linked pipeline are recorded."""
    clock = Clock()
    store = await Store.open(url, clock=clock)
    await store.migrate()
    bench = Bench(store, clock, builds(count))
    await store.polling.ensure("works", "", now=NOW)
    async with store.transaction() as tx:
        await tx.recording.record(bench.builds, now=NOW)
    return bench


async def timed(work: Callable[[], Awaitable[None]]) -> float:
    """Return the seconds that one round of a scenario takes."""
    for _ in range(20):
        await work()
    began = time.perf_counter()
    for _ in range(ROUNDS):
        await work()
    return (time.perf_counter() - began) / ROUNDS


async def recorded(bench: Bench, work: Callable[[], Awaitable[None]]) -> list[Statement]:
    """Return the statements of many rounds of a scenario, in order."""
    with watched_statements(bench.store) as statements:
        for _ in range(ROUNDS):
            await work()
    return statements


def replay_sqlite(path: Path, statements: Sequence[Statement]) -> float:
    """Return the seconds that SQLite's driver takes for one round of some statements."""
    connection = sqlite3.connect(path, isolation_level=None)
    for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")
    began = time.perf_counter()
    for statement in statements:
        connection.execute(statement.text, statement.parameters).fetchall()
    spent = (time.perf_counter() - began) / ROUNDS
    connection.close()
    return spent


async def replay_postgres(server: PostgresServer, name: str, statements: Sequence[Statement]) -> float:
    """Return the seconds that asyncpg takes for one round of some statements."""
    connection: Any = await asyncpg.connect(user=OWNER, database=name, host=str(server.folder))
    began = time.perf_counter()
    for statement in statements:
        if statement.parameters:
            await connection.fetch(statement.text, *statement.parameters)
        else:
            await connection.execute(statement.text)
    spent = (time.perf_counter() - began) / ROUNDS
    await connection.close()
    return spent


async def on_sqlite(count: int) -> tuple[float, float, int]:
    """Return the store's and the driver's seconds for a poll on SQLite, and how many statements it has."""
    with tempfile.TemporaryDirectory() as folder:
        path, copy = Path(folder) / "store.db", Path(folder) / "copy.db"
        bench = await prepared(f"sqlite:///{path}", count)
        await bench.store.close()
        shutil.copy(path, copy)
        bench.store = await Store.open(f"sqlite:///{path}", clock=bench.clock)
        statements = await recorded(bench, bench.poll)
        ours = min([await timed(bench.poll) for _ in range(BEST_OF)])
        await bench.store.close()
        theirs = []
        for _ in range(BEST_OF):
            shutil.copy(copy, path)
            theirs.append(replay_sqlite(path, statements))
        return ours, min(theirs), len(statements) // ROUNDS


async def on_postgres(server: PostgresServer, count: int) -> tuple[float, float, int]:
    """Return the store's and the driver's seconds for a poll on PostgreSQL, and how many statements it has."""
    name = await server.create()
    bench = await prepared(server.url(name), count)
    await bench.store.close()
    copies = [await server.create(name) for _ in range(BEST_OF)]
    bench.store = await Store.open(server.url(name), clock=bench.clock)
    statements = await recorded(bench, bench.poll)
    ours = min([await timed(bench.poll) for _ in range(BEST_OF)])
    await bench.store.close()
    theirs = min([await replay_postgres(server, copy, statements) for copy in copies])
    return ours, theirs, len(statements) // ROUNDS


async def main() -> None:
    """Print a table of ratios."""
    table = Table(title="The store against its bare drivers")
    for heading in ("scenario", "statements", "store", "driver", "ratio"):
        table.add_column(heading)
    counts = (1, 20)

    def add(name: str, measured: tuple[float, float, int]) -> None:
        ours, theirs, statements = measured
        table.add_row(name, str(statements), f"{ours * 1e6:.0f} µs", f"{theirs * 1e6:.0f} µs", f"{theirs / ours:.2f}")

    for count in counts:
        add(f"SQLite: a poll of {count} unchanged", await on_sqlite(count))
    binaries = programs()
    if binaries is None:
        print("PostgreSQL's programs were not found: its part is left out", file=sys.stderr)
    else:
        with running_postgres(binaries) as server:
            for count in counts:
                add(f"PostgreSQL: a poll of {count} unchanged", await on_postgres(server, count))
    Console().print(table)


if __name__ == "__main__":
    asyncio.run(main())
