"""How what is done often grows from a thousand stored builds to a hundred thousand: CPU, least of some rounds."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from pathlib import Path

from bench.table import Line, Row, ratio
from bot.core.models import Pipeline
from bot.store import Store
from tests.bot.store.rows import CONNECTION, NOW, ended, link
from tests.bot.store.test_plans import LARGE, PIPELINE, filled, shown

FEW, MANY = 1_000, 100_000
ROUNDS = 25
SHOWN = 40
MOST = 1.5
UNRELATED = frozenset({"link", "identity", "inbox", "watch"})
"""Tables that grow with people and with what runs, not with builds that have ended."""


async def _polled(store: Store) -> None:
    """Ask what a poll asks of five builds that have not changed."""
    await store.polling.claim("bench", now=NOW, lease_seconds=25, limit=50)
    await store.attempts.claim_uncounted(NOW - timedelta(days=999), 50)
    await store.polling.watched(CONNECTION)
    await store.recording.has_news([ended(f"b{number}", pipeline=PIPELINE) for number in range(1, 6)])


WORK: dict[str, Callable[[Store], Awaitable[object]]] = {
    "`/build status`": lambda store: shown(store, "status"),
    "App Home": lambda store: shown(store, ""),
    "a poll tick": _polled,
    "a pruning that finds nothing": lambda store: store.prune(NOW),
    "a digest": lambda store: shown(store, "digest"),
}


async def _costs(path: Path, builds: int) -> dict[str, float]:
    """Return the CPU seconds of each piece of work where so many builds are stored."""
    store = await Store.open(f"sqlite:///{path}", clock=lambda: NOW)
    await store.migrate()
    async with store.write() as db:
        for name in LARGE:
            if name not in UNRELATED:
                await db.exec_driver_sql(filled(name, "sqlite", builds))
        # The same builds run in both: what is measured is what history costs.
        await db.exec_driver_sql(f"UPDATE build SET completed = 1 WHERE id > {FEW}")  # noqa: S608 - a number of this module
        for name in ("build", "attempt"):
            await db.exec_driver_sql(
                f"UPDATE {name} SET connection = '{CONNECTION}', pipeline = '{PIPELINE}' WHERE id <= {SHOWN}"  # noqa: S608 - texts of this module
            )
    await store.pipelines.save(CONNECTION, [Pipeline(id=PIPELINE, path=PIPELINE, name=PIPELINE)], NOW)
    await store.links.save(link(channel="C-plans", pipeline=PIPELINE, path=PIPELINE, name=PIPELINE))
    costs = {}
    for what, work in WORK.items():
        spent = []
        for _round in range(ROUNDS):
            before = time.process_time()
            await work(store)
            spent.append(time.process_time() - before)
        costs[what] = min(spent)
    await store.close()
    return costs


def growth(folder: Path) -> Sequence[Line]:
    """Measure each piece of work with few and with many stored builds."""
    few, many = (asyncio.run(_costs(folder / f"{builds}.db", builds)) for builds in (FEW, MANY))
    return [
        ratio(
            f"CPU of {what}, {MANY:,} builds against {FEW:,}", 1000 * few[what], 1000 * many[what], unit="ms", most=MOST
        )
        for what in WORK
    ]


ROWS = (Row(name="growth", run=growth),)
