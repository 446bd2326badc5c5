"""Measure what the design promises, in ratios against baselines started in the same run, and print a table.

Benchmarks are not tests: machines are shared and noisy. Everything runs on loopback, bounded in time.
"""

import asyncio
import gc
import hashlib
import hmac
import os
import resource
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlencode

import httpx
from rich.console import Console
from rich.table import Table

from bot.app import App, introduced, opened
from bot.core import clock
from bot.core.models import Build, Changes, Conclusion, Pipeline, Status
from bot.monitoring.poller import Pace, Poller
from bot.security.vault import new_key
from bot.settings import Settings
from bot.store import Store
from bot.store.rows import NewLink
from playground import Playground
from playground.ci import LocalCi, ci_app

SECRET = "bench-signing-secret"
SECONDS = 4.0
PIPELINES = int(os.environ.get("BENCH_PIPELINES", "10000"))  # noqa: TID251 - a benchmark is a program of its own
CONNECTIONS = 100

BASELINE = """
import asyncio, sys, uvicorn
from slack_bolt.async_app import AsyncApp
from slack_bolt.adapter.starlette.async_handler import AsyncSlackRequestHandler
from slack_bolt.authorization import AuthorizeResult
from starlette.applications import Starlette
from starlette.routing import Route

async def authorize(enterprise_id, team_id):
    return AuthorizeResult(enterprise_id=enterprise_id, team_id=team_id, bot_token="xoxb-x")

app = AsyncApp(signing_secret="bench-signing-secret", authorize=authorize, process_before_response=True)

@app.command("/build")
async def nothing(ack):
    await ack()

handler = AsyncSlackRequestHandler(app)

async def endpoint(request):
    return await handler.handle(request)

server = uvicorn.Server(uvicorn.Config(Starlette(routes=[Route("/slack/events", endpoint, methods=["POST"])]),
    host="127.0.0.1", port=int(sys.argv[1]), log_level="error", access_log=False, lifespan="off"))
asyncio.run(server.serve())
"""


def signed(number: int) -> tuple[bytes, dict[str, str]]:
    """Return one slash command, different from every other, and its headers."""
    body = urlencode(
        {
            "team_id": "T0BENCH",
            "channel_id": "C0BENCH",
            "user_id": "U0BENCH",
            "command": "/build",
            "text": f"version {number}",
            "response_url": "http://127.0.0.1:9/x",
            "trigger_id": f"{time.time_ns()}.{number}",
        }
    ).encode()
    at = str(int(time.time()))
    digest = hmac.new(SECRET.encode(), f"v0:{at}:".encode() + body, hashlib.sha256).hexdigest()
    return body, {
        "x-slack-request-timestamp": at,
        "x-slack-signature": f"v0={digest}",
        "content-type": "application/x-www-form-urlencoded",
    }


async def acks(url: str, *, rate: float | None, seconds: float = SECONDS, tasks: int = 16) -> list[float]:
    """Return how long each ack took, in milliseconds, at a rate a second or as fast as it goes."""
    took: list[float] = []
    numbers = iter(range(10_000_000))
    ends = time.perf_counter() + seconds

    async def send(client: httpx.AsyncClient) -> None:
        body, headers = signed(next(numbers))
        began = time.perf_counter()
        answer = await client.post(url, content=body, headers=headers)
        took.append((time.perf_counter() - began) * 1000)
        assert answer.status_code == 200, answer.text

    async def flat(client: httpx.AsyncClient) -> None:
        while time.perf_counter() < ends:
            await send(client)

    async with httpx.AsyncClient(timeout=10, trust_env=False) as client:
        if rate is None:
            await asyncio.gather(*(flat(client) for _ in range(tasks)))
        else:
            running: set[asyncio.Task[None]] = set()
            began = time.perf_counter()
            for index in range(int(rate * seconds)):
                await asyncio.sleep(max(began + index / rate - time.perf_counter(), 0))
                task = asyncio.create_task(send(client))
                running.add(task)
                task.add_done_callback(running.discard)
            await asyncio.gather(*running)
    return took


def free_port() -> int:
    """Return a port nobody uses now."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port


async def answers(url: str) -> None:
    """Wait until a server answers at all."""
    async with httpx.AsyncClient(trust_env=False) as client:
        for _ in range(400):
            try:
                await client.get(url)
            except httpx.TransportError:
                await asyncio.sleep(0.02)
            else:
                return
    raise RuntimeError(f"{url} never answered")


def quantiles(took: list[float]) -> str:
    """Return the median and the 99th percentile."""
    cut = statistics.quantiles(took, n=100)
    return f"p50 {statistics.median(took):.2f} ms, p99 {cut[98]:.2f} ms"


async def ack_rows(folder: Path) -> Iterator[tuple[str, str, str]]:
    """Measure the ack at the bot's port, and against the same Bolt app that does nothing."""
    playground = Playground(bot_url="", signing_secret=SECRET, bot_token="xoxb-bench")
    await playground.start()
    port, baseline_port = free_port(), free_port()
    environment = {
        "SLACK_BOT_TOKEN": "xoxb-bench",
        "SLACK_SIGNING_SECRET": SECRET,
        "SLACK_API_URL": playground.slack_api_url,
        "DATABASE_URL": f"sqlite:///{folder}/bench.db",
        "HOST": "127.0.0.1",
        "PORT": str(port),
        "LOG_LEVEL": "ERROR",
    }
    began = time.perf_counter()
    bot = subprocess.Popen([sys.executable, "-m", "bot", "serve"], env=environment)  # noqa: ASYNC220
    baseline = subprocess.Popen([sys.executable, "-c", BASELINE, str(baseline_port)])  # noqa: ASYNC220, S603
    rows = []
    try:
        await answers(f"http://127.0.0.1:{port}/healthz")
        rows.append(("start to listening", "under 1.5 s", f"{time.perf_counter() - began:.2f} s"))
        await answers(f"http://127.0.0.1:{baseline_port}/")
        url, floor_url = (f"http://127.0.0.1:{p}/slack/events" for p in (port, baseline_port))
        await acks(url, rate=None, seconds=1)
        await acks(floor_url, rate=None, seconds=1)
        paced = await acks(url, rate=200)
        paced_baseline = await acks(floor_url, rate=200)
        rows.append(("ack at 200 a second", "p50 < 1 ms, p99 < 20 ms", quantiles(paced)))
        rows.append(("  the baseline: the same Bolt app doing nothing", "", quantiles(paced_baseline)))
        ours = len(await acks(url, rate=None)) / SECONDS
        theirs = len(await acks(floor_url, rate=None)) / SECONDS
        ours = max(ours, len(await acks(url, rate=None)) / SECONDS)
        theirs = max(theirs, len(await acks(floor_url, rate=None)) / SECONDS)
        rows.append(
            (
                "requests a second, against the baseline",
                "at least 0.8",
                f"{ours / theirs:.2f} ({ours:.0f} / {theirs:.0f})",
            )
        )
    finally:
        for process in (bot, baseline):
            process.terminate()
            process.wait(15)
        await playground.stop()
    return iter(rows)


def settings_for(playground: Playground, connections: dict[str, Any], folder: Path, name: str) -> Settings:
    """Return settings against the playground."""
    return Settings(
        slack_bot_token="xoxb-bench",
        slack_signing_secret=SECRET,
        slack_api_url=playground.slack_api_url,
        database_url=f"sqlite:///{folder}/{name}.db",
        host="127.0.0.1",
        port=0,
        keys=new_key(),
        watch_busy_seconds=0.2,
        watch_idle_seconds=0.5,
        connections=connections,
    )


@asynccontextmanager
async def staged(folder: Path, name: str) -> Any:
    """Yield the App against the playground, and both."""
    world = LocalCi(seed=3, speed=1.0)
    playground = Playground(bot_url="", signing_secret=SECRET, bot_token="xoxb-bench", ci_app=ci_app(world))
    await playground.start()
    connections = {"demo-buildkite": world.connections(playground.address)["demo-buildkite"]}
    try:
        async with opened(settings_for(playground, connections, folder, name), migrate=True) as app:
            await introduced(app)
            yield app, playground, world
    finally:
        await playground.stop()
        await world.aclose()


def link(app: App, pipeline: str, channel: str) -> NewLink:
    """Return a link to a demo pipeline."""
    return NewLink(
        team=app.installs.single_team,
        channel=channel,
        connection="demo-buildkite",
        pipeline=pipeline,
        path=pipeline,
        name=pipeline,
        default_branch="main",
        created_by="U0BENCH",
        created_at=clock.now() - timedelta(minutes=1),
    )


async def notification_rows(folder: Path) -> Iterator[tuple[str, str, str]]:
    """Measure from a build's end at the vendor to its post at Slack, with a webhook event."""
    took: list[float] = []
    async with staged(folder, "notification") as (app, playground, _world):
        channel = next(one.id for one in playground.workspace.channels.values() if one.name == "web")
        await app.store.links.save(link(app, "web", channel))
        await app.store.polling.ensure("demo-buildkite", "", now=clock.now())
        async with app.working(), httpx.AsyncClient(base_url=playground.address, trust_env=False) as control:
            for _ in range(12):
                pushed = (
                    await control.post(
                        "/control/push", json={"system": "buildkite", "pipeline": "web", "branch": "main"}
                    )
                ).json()
                await asyncio.sleep(1.1)
                before = len([call for call in playground.calls if call.method == "chat.postMessage"])
                await control.post(
                    "/control/finish", json={"system": "buildkite", "build": pushed["id"], "outcome": "pass"}
                )
                began = time.perf_counter()
                await app.store.polling.request(
                    "demo-buildkite", "", [("web", str(pushed["number"]))], full=False, now=clock.now()
                )
                app.poller.wake()
                while len([call for call in playground.calls if call.method == "chat.postMessage"]) == before:
                    await asyncio.sleep(0.002)
                    assert time.perf_counter() - began < 10, "no post"
                took.append((time.perf_counter() - began) * 1000)
    return iter(
        [
            (
                "finish at the vendor to post at Slack, tapped",
                "p99 < 1 s",
                f"p50 {statistics.median(took):.0f} ms, max {max(took):.0f} ms",
            )
        ]
    )


async def poll_rows(folder: Path) -> Iterator[tuple[str, str, str]]:
    """Count the requests of a tick over 1,000 linked pipelines of one Buildkite organization."""
    async with staged(folder, "poll") as (app, _playground, _world):
        for number in range(1000):
            await app.store.links.save(link(app, f"pipeline-{number}", f"C{number:06}"))
        await app.store.polling.ensure("demo-buildkite", "", now=clock.now())
        provider = app.connections.by_name("demo-buildkite")
        await app.poller.tick()
        await app.poller.settle()
        counts = []
        for _ in range(4):
            before = provider.requests
            await app.store.polling.request("demo-buildkite", "", [], full=True, now=clock.now())
            await app.poller.tick()
            await app.poller.settle()
            counts.append(provider.requests - before)
    return iter(
        [("requests a tick, 1,000 pipelines of one Buildkite organization", "2", f"{statistics.median(counts):.0f}")]
    )


class Quiet:
    """A connection whose poll costs nothing at the vendor: what is left is our own work."""

    kind = "bench"
    label = "Bench"
    quota = None
    requests = 0

    def __init__(self, name: str, builds: list[Build]) -> None:
        self.connection = name
        self._builds = builds
        self._tick = 0

    def poll_target(self, _pipeline: str) -> str:
        """Say that one poll covers all."""
        return ""

    def can(self, _capability: object) -> bool:
        """Say that there is nothing special."""
        return False

    async def changes(self, _cursor: str | None, watched: Any) -> Any:
        """Return a page of which one build in twenty has changed."""
        self._tick += 1
        moved = self._tick % 20
        page = [build if index % 20 != moved else _moved(build, self._tick) for index, build in enumerate(self._builds)]
        del watched
        return Changes(builds=tuple(page), cursor=str(self._tick))

    async def build_or_none(self, _key: object) -> None:
        """Say that it is gone."""


def _moved(build: Build, tick: int) -> Build:
    return replace(build, updated_at=(build.updated_at or clock.now()) + timedelta(seconds=tick))


async def load_rows(folder: Path) -> Iterator[tuple[str, str, str]]:
    """Measure the worker's CPU over many watched pipelines, polled at the idle interval."""
    store = await Store.open(f"sqlite:///{folder}/load.db", clock=clock.now)
    await store.migrate()
    each = PIPELINES // CONNECTIONS
    at = datetime(2026, 1, 1, tzinfo=UTC)
    providers: dict[str, Quiet] = {}
    for number in range(CONNECTIONS):
        name = f"bench-{number}"
        builds = [
            Build(
                connection=name,
                pipeline=f"p{index}",
                id="1",
                number=1,
                branch="main",
                status=Status.COMPLETED,
                conclusion=Conclusion.PASSED,
                created_at=at,
                started_at=at,
                completed_at=at,
                updated_at=at,
                message="Bench",
                commit="a" * 40,
            )
            for index in range(each)
        ]
        providers[name] = Quiet(name, builds)
        await store.pipelines.save(
            name, [Pipeline(id=f"p{i}", path=f"p{i}", name=f"p{i}") for i in range(each)], clock.now()
        )
        for index in range(each):
            await store.links.save(
                NewLink(
                    team="T",
                    channel=f"C{index}",
                    connection=name,
                    pipeline=f"p{index}",
                    path=f"p{index}",
                    name=f"p{index}",
                    default_branch="main",
                    created_by="U",
                    created_at=clock.now(),
                )
            )
        await store.polling.ensure(name, "", now=clock.now())
    poller = Poller(
        store,
        provider_of=lambda name: cast("Any", providers.get(name)),
        pace=Pace(busy_seconds=10, idle_seconds=60),
        clock=clock.now,
        owner="bench",
        wake_outbox=lambda: None,
    )
    while await poller.tick():
        await poller.settle()
    gc.collect()
    cpu = time.process_time()
    for name in providers:
        await store.polling.request(name, "", [], full=True, now=clock.now())
    while await poller.tick():
        await poller.settle()
    spent = time.process_time() - cpu
    await store.close()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return iter(
        [
            (
                f"CPU of one look at {PIPELINES:,} pipelines on {CONNECTIONS} connections, each 60 s",
                "under 50 % of a core",
                f"{100 * spent / 60:.0f} % ({spent:.1f} s)",
            ),
            ("  peak memory of this process, playground included", "under 200 MiB", f"{peak:.0f} MiB"),
        ]
    )


async def main() -> None:
    """Run every part and print the table."""
    table = Table("what", "target", "measured", title="Buildbell")
    parts: tuple[Callable[[Path], Awaitable[Iterator[tuple[str, str, str]]]], ...] = (
        load_rows,
        ack_rows,
        notification_rows,
        poll_rows,
    )
    for part in parts:
        with tempfile.TemporaryDirectory(prefix="buildbell-bench-") as folder:
            for row in await part(Path(folder)):
                table.add_row(*row)
    Console(width=140).print(table)


if __name__ == "__main__":
    asyncio.run(main())
