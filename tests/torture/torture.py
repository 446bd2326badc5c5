"""One run: the bot's processes on one database, load, faults and kills; then quiet, and the verdict."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from starlette.responses import Response

from bot.manifest import manifest
from bot.security.vault import new_key
from playground import Network, Playground
from playground.ci import LocalCi, ci_app
from tests.torture.faults import FaultPlan, FaultyDelivery, FaultyServer
from tests.torture.load import LINKS, Deed, Load
from tests.torture.processes import BotProcess, Killer, free_port, run_bot, until
from tests.torture.verdict import Verdict, drawn, judge

LOOK_SECONDS = 0.2
QUIET_LOOKS = 10
MOMENTS_OF_A_BUILD = 15
"""How often a request of the bot begins or ends while a build is made, told and read, about."""
SIGNING_SECRET = "torture-signing-secret"
BOT_TOKEN = "xoxb-torture"
LINKED = "is linked"
OPEN = {
    "notifications": "SELECT count(*) FROM notification WHERE state IN ('pending', 'leased')",
    "deliveries": "SELECT count(*) FROM inbox WHERE closed_at IS NULL",
    "builds": "SELECT count(*) FROM build WHERE NOT completed",
    "counts": "SELECT count(*) FROM attempt WHERE counts_due_at IS NOT NULL",
    "edits": "SELECT count(*) FROM card WHERE edit_due_at IS NOT NULL AND lease_until IS NOT NULL",
}
"""What is still to be done, as the database has it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The size of a run. `roles` are the processes: "" for everything in one."""

    seed: str
    builds: int
    kills: int
    database_url: str
    roles: tuple[str, ...] = ("",)
    pipelines: tuple[str, ...] = tuple(LINKS)
    speed: float = 8.0
    patience_seconds: float = 600.0


@dataclass(slots=True, kw_only=True)
class Report:
    """What a run showed."""

    verdict: Verdict
    builds: int
    attempts: int
    kills: int
    kills_while_starting: int
    starts: int
    unexpected_ends: list[int]
    faults: Mapping[str, int]
    is_quiet: bool
    seconds: float

    @property
    def is_clean(self) -> bool:
        """Return whether nothing went wrong."""
        return self.is_quiet and not self.verdict.problems and not self.unexpected_ends


class Arena:
    """The stand-ins, the faulty wires and the processes of one run."""

    def __init__(self, plan: Plan, folder: Path) -> None:
        self.plan = plan
        self.folder = folder
        self.faults = FaultPlan(plan.seed)
        self.killer = Killer(
            plan.seed, kills=plan.kills, spacing=max(plan.builds * MOMENTS_OF_A_BUILD // max(plan.kills, 1), 20)
        )
        ports = [free_port() for role in plan.roles if role != "worker"]
        self.wire = FaultyDelivery(self.faults, ports, plan.seed)
        self.world = LocalCi(seed=11, speed=plan.speed, quota=1000.0)
        self.server: FaultyServer
        self.playground = Playground(
            bot_url=f"http://127.0.0.1:{ports[0]}",
            signing_secret=SIGNING_SECRET,
            bot_token=BOT_TOKEN,
            ci_app=ci_app(self.world),
            manifest=manifest(unfurl_domains=("127.0.0.1",)),
            clock=self.world.clock,
            network=Network(around=self._around, transport=self.wire, retry_delays=(0.0, 2.0, 10.0)),
        )
        self.load = Load(
            playground=self.playground, world=self.world, seed=plan.seed, pipelines=plan.pipelines, is_up=self._is_up
        )
        self.environ: dict[str, str] = {}
        self.processes: list[BotProcess] = []
        self._ports = ports
        self._key = new_key()

    def _around(self, app: Any) -> FaultyServer:
        self.server = FaultyServer(app, self.faults, on_request=self.killer.on_request, limited=self._limited)
        return self.server

    def _is_up(self) -> bool:
        return any(process.is_up and process.role != "worker" for process in self.processes)

    def _limited(self, path: str, retry_after: float) -> Response | None:
        system = next((each for each in self.world.systems.values() if path.startswith(f"{each.mount}/")), None)
        return system.limited(retry_after) if system is not None else None

    def prepare(self) -> None:
        """Write the bot's configuration, once the stand-ins listen."""
        config = self.folder / "buildbell.toml"
        config.write_text(_toml(self.world.connections(self.playground.address)), encoding="utf-8")
        self.environ = {
            "SLACK_BOT_TOKEN": BOT_TOKEN,
            "SLACK_SIGNING_SECRET": SIGNING_SECRET,
            "SLACK_API_URL": self.playground.slack_api_url,
            "DATABASE_URL": self.plan.database_url,
            "BUILDBELL_CONFIG": str(config),
            "BUILDBELL_KEYS": self._key,
            "HOST": "127.0.0.1",
            "WATCH_BUSY_SECONDS": "0.5",
            "WATCH_IDLE_SECONDS": "1",
            "LOG_LEVEL": "INFO",
        }
        ports = iter(self._ports)
        self.processes = [
            BotProcess(
                role=role,
                port=0 if role == "worker" else next(ports),
                environ=self.environ,
                log=self.folder / f"bot-{number}.log",
            )
            for number, role in enumerate(self.plan.roles)
        ]
        self.killer.processes = self.processes

    async def migrate(self) -> None:
        """Migrate the database as a release does, killed several times on the way."""
        for pause in (0.8, 1.2, 1.6):
            process = await run_bot(["migrate"], self.environ, self.folder / "migrate.log")
            await asyncio.sleep(pause)
            if process.returncode is None:
                process.kill()
            await process.wait()
        process = await run_bot(["migrate"], self.environ, self.folder / "migrate.log")
        assert await process.wait() == 0, (self.folder / "migrate.log").read_text(encoding="utf-8")

    async def link(self) -> None:
        """Link every pipeline to its channels, before anything fails."""
        for pipeline, channel in self.load.links():
            await self.link_one(pipeline, channel)

    async def link_one(self, pipeline: str, channel: str) -> None:
        """Link a pipeline to a channel once the bot can be reached, and wait for the answer."""
        before = sum(LINKED in text for text in self.shown(channel))
        await until(self._is_up)
        self.load.requests.remove(await self._until_accepted(pipeline, channel))
        async with asyncio.timeout(self.plan.patience_seconds):
            await until(lambda: sum(LINKED in text for text in self.shown(channel)) > before)

    def shown(self, channel: str) -> list[str]:
        """Return the texts of a channel's messages, also of those that one person sees, oldest first."""
        messages = self.playground.workspace.messages.get(self.load.channels[channel], {})
        return [drawn(message) for message in messages.values()]

    async def _until_accepted(self, pipeline: str, channel: str) -> Any:
        async with asyncio.timeout(self.plan.patience_seconds):
            while True:
                words = f"link {pipeline}"
                request = await self.load.request(Deed.LINK, words, channel, words)
                if not request.is_refused:
                    return request
                self.load.requests.remove(request)
                await asyncio.sleep(LOOK_SECONDS)

    def note(self, line: str) -> None:
        """Write a line into the run's own log."""
        with (self.folder / "run.log").open("a", encoding="utf-8") as notes:
            notes.write(f"{datetime.now(UTC).isoformat()} {line}\n")

    async def quiet(self, engine: AsyncEngine) -> bool:
        """Wait until nothing is left to do, and return whether that came."""
        looks = 0
        try:
            async with asyncio.timeout(self.plan.patience_seconds):
                while looks < QUIET_LOOKS:
                    left = await _left(engine)
                    looks = 0 if any(left.values()) else looks + 1
                    self.note(f"left: {left}")
                    await asyncio.sleep(LOOK_SECONDS)
        except TimeoutError:
            return False
        return True


@asynccontextmanager
async def arena(plan: Plan, folder: Path) -> AsyncIterator[Arena]:
    """Set the stand-ins up and the processes ready to start; take all down at the end."""
    made = Arena(plan, folder)
    await made.playground.start()
    made.prepare()
    made.world.sender.transport = made.wire
    made.world.sender.switch_on(made.playground.bot_url)
    try:
        yield made
    finally:
        await asyncio.gather(*(process.stop() for process in made.processes))
        await made.world.aclose()
        await made.wire.settle()
        await made.playground.stop()


async def torture(plan: Plan, folder: Path) -> Report:
    """Do one run and return what it showed."""
    loop = asyncio.get_running_loop()
    started = loop.time()
    async with arena(plan, folder) as made:
        engine = create_async_engine(_driver(plan.database_url))
        try:
            made.faults.on = False
            if not plan.database_url.startswith("sqlite"):
                await made.migrate()
            for process in made.processes:
                process.start()
            await made.link()
            made.faults.on = made.killer.on = True
            await made.load.run(plan.builds)
            await until(lambda: not made.killer.left)  # polls go on
            made.killer.on = made.faults.on = False
            await made.killer.settle()
            await made.wire.settle()
            is_quiet = await made.quiet(engine)
            await _write_decisions(engine, folder / "notifications.tsv")
        finally:
            await engine.dispose()
        for request in made.load.requests:
            made.note(f"{request.deed} `{request.words}` in #{request.channel}, refused: {request.is_refused}")
        verdict = judge(made.load, made.server.acted, list(made.wire.reached))
        return Report(
            verdict=verdict,
            builds=len(made.load.builds),
            attempts=sum(build.attempt for build in made.load.builds),
            kills=made.killer.done,
            kills_while_starting=made.killer.while_starting,
            starts=sum(process.starts for process in made.processes),
            unexpected_ends=[status for process in made.processes for status in process.unexpected],
            faults=dict(made.faults.counts),
            is_quiet=is_quiet,
            seconds=loop.time() - started,
        )


async def _write_decisions(engine: AsyncEngine, file: Path) -> None:
    """Write what was decided and posted when, for whoever looks for the cause of a fault."""
    columns = "id, channel, pipeline, build, attempt_no, event, state, reason, created_at, ordered_at, sent_at, tries"
    async with engine.connect() as db:
        rows = await db.execute(text(f"SELECT {columns} FROM notification ORDER BY id"))  # noqa: S608 - our own names
        lines = ["\t".join(str(value) for value in row) for row in rows]
    await asyncio.to_thread(file.write_text, "\n".join([columns.replace(", ", "\t"), *lines]) + "\n")


async def _left(engine: AsyncEngine) -> dict[str, int]:
    async with engine.connect() as connection:
        return {name: int(await connection.scalar(text(query)) or 0) for name, query in OPEN.items()}


def _driver(url: str) -> str:
    return url.replace("sqlite:", "sqlite+aiosqlite:", 1).replace("postgresql:", "postgresql+asyncpg:", 1)


def _toml(connections: Mapping[str, Mapping[str, object]]) -> str:
    lines = []
    for name, options in connections.items():
        lines.append(f"[connections.{name}]")
        lines += [f"{key} = {json.dumps(value)}" for key, value in options.items()]
    return "\n".join(lines) + "\n"
