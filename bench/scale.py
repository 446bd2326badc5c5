"""What much of something costs: webhooks at 1,000 a second, and the memory of 10,000 polled pipelines."""

import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from bench import cores, servers
from bench.load import Plan
from bench.payloads import SECRET
from bench.servers import SERVE, Running
from bench.table import Line, Row, ratio
from bench.worker import CONNECTIONS, PIPELINES

ROUNDS = 3
WARM_UP = 200
WEBHOOKS = 5_000
A_SECOND = 1_000.0
MOST_OF_A_CORE = 0.5
MOST_MIB = 200.0
OPTIONS = {
    "CONNECTIONS__BENCH__KIND": "buildkite",
    "CONNECTIONS__BENCH__ORGANIZATION": "bench",
    "CONNECTIONS__BENCH__TOKEN": "bench",
    "CONNECTIONS__BENCH__WEBHOOK_SECRET": SECRET,
}
POLLING = """
import asyncio, sys
from pathlib import Path
from bench import cores, worker
async def opened(folder):
    store = await worker.Store.open(f"sqlite:///{{folder}}/empty.db", clock=worker.clock.now)
    await store.migrate()
    await store.close()
{work}
print(cores.peak_mib(__import__("os").getpid()))
"""


def _webhook_cpu(running: Running, count: int) -> float:
    """Return the microseconds of CPU that a webhook costs, its write included."""
    before = cores.settled_cpu(running.process.pid)
    result = servers.load(Plan(port=running.port, kind="webhook", count=count))
    return 1e6 * (cores.settled_cpu(running.process.pid) - before) / result.answers


def webhooks(folder: Path, *, count: int = WEBHOOKS, rounds: int = ROUNDS) -> Sequence[Line]:
    """Measure webhooks that the web process checks, gathers and writes, as fast as it takes them.

    What 1,000 a second need of a core follows from that, and depends on no clock of a machine that others use.
    """
    floors: list[float] = []
    bots: list[float] = []
    with ExitStack() as stack:
        slack = stack.enter_context(servers.standin())
        bare = stack.enter_context(servers.floor())
        bot = stack.enter_context(servers.bot(folder, slack, command=(*SERVE, "--only", "web"), **OPTIONS))
        for running in (bare, bot):
            servers.load(Plan(port=running.port, kind="webhook", count=WARM_UP))
        for _ in range(rounds):
            floors.append(_webhook_cpu(bare, count))
            bots.append(_webhook_cpu(bot, count))
    share = min(bots) * A_SECOND / 1e6
    return [
        ratio("CPU of a webhook, its write included", min(floors), min(bots), unit="µs"),
        Line(
            what="  of a core, at 1,000 a second",
            goal="< 0.5",
            floor="",
            bot=f"{share:.2f}",
            is_met=share < MOST_OF_A_CORE,
        ),
    ]


def _peak(work: str) -> float:
    """Return the most MiB that a process of its own held while it did some work."""
    with cores.on_the_servers():
        done = subprocess.run(  # noqa: S603 - our own program
            [sys.executable, "-c", POLLING.format(work=work)], stdout=subprocess.PIPE, text=True, check=True
        )
    return float(done.stdout)


def memory(folder: Path, *, pipelines: int = PIPELINES, connections: int = CONNECTIONS) -> Sequence[Line]:
    """Measure the memory of a worker that polls many pipelines, against one that has opened its database only."""
    floor = _peak(f"asyncio.run(opened({str(folder)!r}))")
    polled = f"worker.poll_cpu(Path({str(folder)!r}), pipelines={pipelines}, connections={connections})"
    bot = _peak(f"asyncio.run({polled})")
    line = ratio(f"memory of {pipelines:,} pipelines on {connections} connections", floor, bot, unit="MiB")
    goal = Line(
        what="  the same, in all", goal=f"< {MOST_MIB:g} MiB", floor="", bot=f"{bot:.0f} MiB", is_met=bot < MOST_MIB
    )
    return [line, goal]


ROWS = (
    Row(name="webhooks", run=webhooks, short=partial(webhooks, count=50, rounds=1)),
    Row(name="memory", run=memory, short=partial(memory, pipelines=20, connections=2)),
)
