"""Memory after an hour's worth of a worker's ticks, on a clock that is set: what one hour leaves behind, another would, too."""

import asyncio
import gc
import tracemalloc
from collections.abc import Sequence
from pathlib import Path

from bench.table import Line, Row, ratio
from bot.store import Store
from tests.bot.monitoring.test_poller import Harness
from tests.bot.store.rows import PIPELINE, ended
from tests.set_clock import SetClock

MINUTES = 60
EACH_SECONDS = 10
MOST = 1.2


async def _mib(folder: Path) -> tuple[float, float]:
    """Return the MiB in use after ten minutes and after an hour more: a poll each ten seconds, a build each minute."""
    clock = SetClock()
    store = await Store.open(f"sqlite:///{folder}/ticks.db", clock=clock)
    await store.migrate()
    harness = Harness(store, clock)
    await harness.follow()

    async def minutes(count: int) -> float:
        for minute in range(count):
            at = clock()
            harness.works.history[PIPELINE][:] = [ended(f"b{at.timestamp():.0f}", completed_at=at, number=minute)]
            for _tick in range(60 // EACH_SECONDS):
                await harness.tick(seconds=EACH_SECONDS)
            harness.polls.clear()
            harness.works.looks.clear()
        gc.collect()
        return tracemalloc.get_traced_memory()[0] / 2**20

    tracemalloc.start()
    try:
        return await minutes(10), await minutes(MINUTES)
    finally:
        tracemalloc.stop()
        await store.close()


def ticks(folder: Path) -> Sequence[Line]:
    """Measure what an hour of ticks leaves in memory."""
    before, after = asyncio.run(_mib(folder))
    return [ratio("memory after an hour of ticks, against ten minutes of them", before, after, unit="MiB", most=MOST)]


ROWS = (Row(name="ticks", run=ticks),)
