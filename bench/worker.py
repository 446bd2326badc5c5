"""What the worker costs: from a build's end at the vendor to its post at Slack, and polls of many pipelines."""

import asyncio
import gc
import sqlite3
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import httpx

from bench.payloads import SECRET
from bench.table import Line, Row, ratio
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

PIPELINES = 10_000
CONNECTIONS = 100
BUILDS = 30
OPEN_PIPELINES = 1_000
CONNECTION = "demo-buildkite"


@asynccontextmanager
async def _staged(folder: Path) -> AsyncIterator[tuple[App, Playground]]:
    """Give the App against the playground, in this process."""
    world = LocalCi(seed=3, speed=1.0)
    playground = Playground(bot_url="", signing_secret=SECRET, bot_token="xoxb-bench", ci_app=ci_app(world))
    await playground.start()
    settings = Settings.model_validate(
        {
            "slack_bot_token": "xoxb-bench",
            "slack_signing_secret": SECRET,
            "slack_api_url": playground.slack_api_url,
            "database_url": f"sqlite:///{folder}/worker.db",
            "keys": new_key(),
            "watch_busy_seconds": 0.2,
            "watch_idle_seconds": 0.5,
            "connections": {CONNECTION: world.connections(playground.address)[CONNECTION]},
        }
    )
    try:
        async with opened(settings, migrate=True) as app:
            await introduced(app)
            yield app, playground
    finally:
        await playground.stop()
        await world.aclose()


def _link(team: str, pipeline: str, channel: str, connection: str = CONNECTION) -> NewLink:
    return NewLink(
        team=team,
        channel=channel,
        connection=connection,
        pipeline=pipeline,
        path=pipeline,
        name=pipeline,
        default_branch="main",
        created_by="U0BENCH",
        created_at=clock.now() - timedelta(minutes=1),
    )


async def _post_times(folder: Path) -> list[float]:
    """Return the seconds from a build's end, which a webhook reports, to its post; the build's card is edited too."""
    took: list[float] = []
    async with _staged(folder) as (app, playground):
        channel = next(place.id for place in playground.workspace.channels.values() if place.name == "web")
        await app.store.links.save(_link(app.installs.single_team, "web", channel))
        await app.store.polling.ensure(CONNECTION, "", now=clock.now())

        def posts() -> int:
            return sum(call.method == "chat.postMessage" for call in playground.calls)

        async with app.working(), httpx.AsyncClient(base_url=playground.address, trust_env=False) as control:
            for _ in range(BUILDS):
                build = {"system": "buildkite", "pipeline": "web", "branch": "main"}
                started = (await control.post("/control/push", json=build)).json()
                await asyncio.sleep(1.1)
                before = posts()
                end = {"system": "buildkite", "build": started["id"], "outcome": "pass"}
                await control.post("/control/finish", json=end)
                began = time.perf_counter()
                hint = [("web", str(started["number"]))]
                await app.store.polling.request(CONNECTION, "", hint, full=False, now=clock.now())
                app.poller.wake()
                while posts() == before:
                    await asyncio.sleep(0.002)
                    assert time.perf_counter() - began < 10, "no post"
                took.append(time.perf_counter() - began)
    return sorted(took)


def posts(folder: Path) -> Sequence[Line]:
    """Measure from the end of a build at the vendor to its post."""
    took = asyncio.run(_post_times(folder))
    median, late = took[len(took) // 2], took[int(len(took) * 0.99)]
    return [
        Line(
            what="from a build's end at the vendor to its post, p99",
            goal="< 1 s",
            floor="",
            bot=f"p50 {1000 * median:.0f} ms, p99 {1000 * late:.0f} ms",
            is_met=late < 1,
        )
    ]


async def _requests(folder: Path) -> int:
    async with _staged(folder) as (app, _playground):
        for number in range(OPEN_PIPELINES):
            await app.store.links.save(_link(app.installs.single_team, f"pipeline-{number}", f"C{number:06}"))
        await app.store.polling.ensure(CONNECTION, "", now=clock.now())
        provider = app.connections.by_name(CONNECTION)
        assert provider is not None
        counts = []
        for _ in range(4):
            before = provider.requests
            await app.store.polling.request(CONNECTION, "", [], full=True, now=clock.now())
            await app.poller.tick()
            await app.poller.settle()
            counts.append(provider.requests - before)
        return counts[-1]


def polls(folder: Path) -> Sequence[Line]:
    """Count the requests of a poll of 1,000 linked pipelines of one Buildkite organization."""
    count = asyncio.run(_requests(folder))
    what = f"requests of a poll, {OPEN_PIPELINES:,} pipelines of one Buildkite organization"
    return [Line(what=what, goal="<= 2", floor=f"{OPEN_PIPELINES:,}", bot=str(count), is_met=count <= 2)]


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

    async def changes(self, _cursor: str | None, _watched: Any) -> Changes:
        """Return a page of which one build in twenty has changed."""
        self._tick += 1
        moved = self._tick % 20
        page = (build if index % 20 != moved else self._moved(build) for index, build in enumerate(self._builds))
        return Changes(builds=tuple(page), cursor=str(self._tick))

    async def build_or_none(self, _key: object) -> None:
        """Say that it is gone."""

    def _moved(self, build: Build) -> Build:
        return replace(build, updated_at=(build.updated_at or clock.now()) + timedelta(seconds=self._tick))


def _builds(connection: str, count: int) -> list[Build]:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    return [
        Build(
            connection=connection,
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
        for index in range(count)
    ]


async def poll_cpu(folder: Path, *, pipelines: int = PIPELINES, connections: int = CONNECTIONS) -> float:
    """Return the CPU seconds of one poll of every connection."""
    store = await Store.open(f"sqlite:///{folder}/load.db", clock=clock.now)
    await store.migrate()
    each = pipelines // connections
    providers = {name: Quiet(name, _builds(name, each)) for name in (f"bench-{n}" for n in range(connections))}
    for name in providers:
        listed = [Pipeline(id=f"p{index}", path=f"p{index}", name=f"p{index}") for index in range(each)]
        await store.pipelines.save(name, listed, clock.now())
        async with store.transaction() as tx:
            for index in range(each):
                await tx.links.save(_link("T", f"p{index}", f"C{index}", name))
        await store.polling.ensure(name, "", now=clock.now())
    poller = Poller(
        store,
        provider_of=lambda name: cast("Any", providers.get(name)),
        pace=Pace(busy_seconds=10, idle_seconds=60),
        clock=clock.now,
        owner="bench",
        wake_outbox=lambda: None,
    )
    spent = []
    for _ in range(3):
        for name in providers:
            await store.polling.request(name, "", [], full=True, now=clock.now())
        gc.collect()
        before = time.process_time()
        while await poller.tick():
            await poller.settle()
        spent.append(time.process_time() - before)
    await store.close()
    return min(spent[1:])


async def _naive_cpu(folder: Path) -> float:
    """Return the CPU seconds of a poller that compares with rows of the bare driver and writes what has changed."""
    db = sqlite3.connect(folder / "naive.db")
    db.execute(
        "CREATE TABLE build (connection, pipeline, id, status, updated_at, PRIMARY KEY (connection, pipeline, id))"
    )
    each = PIPELINES // CONNECTIONS
    providers = {name: Quiet(name, _builds(name, each)) for name in (f"bench-{n}" for n in range(CONNECTIONS))}
    spent = []
    for _ in range(3):
        before = time.process_time()
        for name, provider in providers.items():
            page = await provider.changes(None, ())
            select = "SELECT pipeline, id, status, updated_at FROM build WHERE connection = ?"
            rows = {row[:2]: row[2:] for row in db.execute(select, (name,))}
            changed = [
                (name, *key, *state)
                for build in page.builds
                if rows.get(key := (build.pipeline, build.id)) != (state := (build.status.value, str(build.updated_at)))
            ]
            with db:
                db.executemany("INSERT OR REPLACE INTO build VALUES (?, ?, ?, ?, ?)", changed)
        spent.append(time.process_time() - before)
    db.close()
    return min(spent[1:])


def many(folder: Path) -> Sequence[Line]:
    """Measure one poll of 10,000 pipelines, one build in twenty changed, against a naive poller."""
    naive, ours = asyncio.run(_naive_cpu(folder)), asyncio.run(poll_cpu(folder))
    what = f"CPU of one poll of {PIPELINES:,} pipelines on {CONNECTIONS} connections"
    return [ratio(what, 1000 * naive, 1000 * ours, unit="ms")]


ROWS = (Row(name="posts", run=posts), Row(name="polls", run=polls), Row(name="many", run=many))
