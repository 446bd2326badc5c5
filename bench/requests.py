"""What requests of Slack cost: acks at saturation, CPU of a request with all work after it, and paced acks."""

import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from bench import cores, servers
from bench.load import Plan, Result
from bench.servers import Running
from bench.table import Line, Row, ratio

ROUNDS = 3
WARM_UP = 300
COUNT = 1500
SATURATED_SECONDS = 4.0
PACED_SECONDS = 5.0


def _cpu_each(running: Running, plan: Plan, slack: int, answers: int = 0) -> float:
    """Return the microseconds of CPU that each request of a plan costs a server, all work after it included.

    It is over when Slack has got so many answers, and the server has nothing left to do.
    """
    before = cores.settled_cpu(running.process.pid)
    expected = servers.calls(slack).get("/respond", 0) + answers
    result = servers.load(plan)
    ends = time.monotonic() + servers.PATIENCE_SECONDS
    while servers.calls(slack).get("/respond", 0) < expected:
        assert time.monotonic() < ends, "not every request was answered"
        time.sleep(0.1)
    return 1e6 * (cores.settled_cpu(running.process.pid) - before) / result.answers


def _plan(running: Running, slack: int, kind: str, text: str, **more: float) -> Plan:
    respond = f"http://127.0.0.1:{slack}/respond/1"
    return Plan(port=running.port, kind=kind, text=text, respond=respond, **more)  # type: ignore[arg-type] # whole numbers among them


def _cpu(what: str, folder: Path, kind: str, text: str, *, most: float | None) -> Sequence[Line]:
    """Compare a request's CPU with that of bare Bolt for the same bytes: the least of some rounds, taken in turns."""
    floors: list[float] = []
    bots: list[float] = []
    with ExitStack() as stack:
        slack = stack.enter_context(servers.standin())
        bare = stack.enter_context(servers.floor())
        bot = stack.enter_context(servers.bot(folder, slack))
        for running in (bare, bot):
            servers.load(_plan(running, slack, kind, text, count=WARM_UP))
        for _ in range(ROUNDS):
            floors.append(_cpu_each(bare, _plan(bare, slack, kind, text, count=COUNT), slack))
            bots.append(_cpu_each(bot, _plan(bot, slack, kind, text, count=COUNT), slack, COUNT if text else 0))
    return [ratio(what, min(floors), min(bots), unit="µs", most=most)]


def version(folder: Path) -> Sequence[Line]:
    """Measure `/build version`."""
    return _cpu("CPU of `/build version`, ack and all work after it", folder, "command", "version", most=3)


def status(folder: Path) -> Sequence[Line]:
    """Measure `/build status` in a channel without links."""
    return _cpu("CPU of `/build status` in a channel without links", folder, "command", "status", most=4)


def click(folder: Path) -> Sequence[Line]:
    """Measure a button."""
    return _cpu("CPU of a button that asks for the version", folder, "click", "version", most=None)


def form(folder: Path) -> Sequence[Line]:
    """Measure a form that is refused in its ack."""
    return _cpu("CPU of a form with a mistake in it", folder, "form", "", most=None)


def event(folder: Path) -> Sequence[Line]:
    """Measure a message that is not addressed to the bot."""
    return _cpu("CPU of a message in a channel", folder, "event", "", most=None)


def acks(folder: Path) -> Sequence[Line]:
    """Measure how many acks a saturated core gives in a second that it has: others may use it too."""
    floors: list[float] = []
    bots: list[float] = []
    with ExitStack() as stack:
        slack = stack.enter_context(servers.standin())
        bare = stack.enter_context(servers.floor())
        bot = stack.enter_context(servers.bot(folder, slack))
        for running, rates in ((bare, floors), (bot, bots)) * ROUNDS:
            before = cores.settled_cpu(running.process.pid)
            result = servers.load(_plan(running, slack, "command", "version", seconds=SATURATED_SECONDS))
            rates.append(result.answers / (cores.cpu_seconds(running.process.pid) - before))
    what = f"acks a second at saturation, 32 connections, for {SATURATED_SECONDS:g} s"
    return [ratio(what, max(floors), max(bots), unit="/s", least=0.9)]


def paced(folder: Path) -> Sequence[Line]:
    """Measure how long an ack takes at 200 a second."""
    with ExitStack() as stack:
        slack = stack.enter_context(servers.standin())
        bare = stack.enter_context(servers.floor())
        bot = stack.enter_context(servers.bot(folder, slack))
        best: list[Result] = []
        for running in (bare, bot):
            servers.load(_plan(running, slack, "command", "version", count=WARM_UP))
            results = [
                servers.load(_plan(running, slack, "command", "version", rate=200, seconds=PACED_SECONDS))
                for _ in range(ROUNDS)
            ]
            best.append(min(results, key=lambda result: result.p99_ms))
        floor, ours = best
    return [
        ratio("ack at 200 a second, p50", floor.p50_ms, ours.p50_ms, unit="ms", most=2),
        ratio("ack at 200 a second, p99", floor.p99_ms, ours.p99_ms, unit="ms", most=3),
    ]


ROWS = (
    Row(name="acks", run=acks),
    Row(name="version", run=version),
    Row(name="status", run=status),
    Row(name="click", run=click),
    Row(name="form", run=form),
    Row(name="event", run=event),
    Row(name="paced", run=paced),
)
