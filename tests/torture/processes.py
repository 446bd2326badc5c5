"""The bot as real processes, killed without warning and started again."""

import asyncio
import contextlib
import os
import random
import signal
import socket
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]
RESTART_SECONDS = 0.5
LOOK_SECONDS = 0.1


async def until(is_true: Callable[[], bool]) -> None:
    """Wait until something is true that happens elsewhere: over HTTP, in a process."""
    while not is_true():  # noqa: ASYNC110 - it happens elsewhere
        await asyncio.sleep(LOOK_SECONDS)


def free_port() -> int:
    """Return a port of loopback that is free now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


@dataclass(slots=True, kw_only=True)
class BotProcess:
    """One place of the deployment: `role` is "" (everything), "web" or "worker"."""

    role: str
    port: int
    environ: Mapping[str, str]
    log: Path
    process: asyncio.subprocess.Process | None = None
    starts: int = 0
    unexpected: list[int] = field(default_factory=list)
    is_stopping: bool = False
    is_up: bool = False
    """Whether it listens: a worker listens nowhere, and is taken for up once it runs."""
    _keeper: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Start it and start it again whenever it ends, until `stop`."""
        self.is_stopping = False
        self._keeper = asyncio.ensure_future(self._keep())

    def kill(self) -> bool:
        """Kill it without warning; return whether it ran."""
        if self.process is None or self.process.returncode is not None:
            return False
        self.process.send_signal(signal.SIGKILL)
        self.is_up = False
        return True

    def terminate(self) -> None:
        """Ask it to stop as a deployment does."""
        self.is_stopping = True
        if self.process is not None and self.process.returncode is None:
            self.process.send_signal(signal.SIGTERM)

    async def stop(self) -> int:
        """Stop it as a deployment does and return its exit status."""
        if not self.is_stopping:
            self.terminate()
        if self._keeper is not None:
            await self._keeper
        return self.process.returncode or 0 if self.process is not None else 0

    async def _keep(self) -> None:
        while not self.is_stopping:
            self.starts += 1
            self.process = await run_bot(
                ["serve", *(["--only", self.role] if self.role else [])],
                {**self.environ, "PORT": str(self.port)},
                self.log,
            )
            watcher = asyncio.ensure_future(self._await_up())
            status = await self.process.wait()
            self.is_up = False
            watcher.cancel()
            if status != -signal.SIGKILL and not self.is_stopping:
                self.unexpected.append(status)
                await asyncio.sleep(RESTART_SECONDS)  # as any supervisor does, not to start it in a tight loop

    async def _await_up(self) -> None:
        while not self.is_up:
            await asyncio.sleep(LOOK_SECONDS)
            if self.port:
                with contextlib.suppress(OSError):
                    _reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
                    writer.close()
                    self.is_up = True
            else:
                self.is_up = True


async def run_bot(arguments: list[str], environ: Mapping[str, str], log: Path) -> asyncio.subprocess.Process:
    """Start `buildbell` with arguments, its output appended to a log."""
    with log.open("ab") as output:
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "bot",
            *arguments,
            cwd=ROOT,
            env={**bare_environment(), **environ},
            stdout=output,
            stderr=output,
        )


def bare_environment() -> dict[str, str]:
    """Return this process's environment without the settings of a bot."""
    kept = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "PYTHONPATH", "VIRTUAL_ENV")
    return {name: os.environ[name] for name in kept if name in os.environ}  # noqa: TID251 - handed on to a process


class Killer:
    """Kills processes at moments drawn from a seed: at a request of theirs, or while they start.

    A count of the bot's requests decides, not the time: so a slow machine is tortured as much as a fast one.
    """

    def __init__(self, seed: str, *, kills: int, spacing: int) -> None:
        self.processes: list[BotProcess] = []
        self.on = False
        self.left = kills
        self.done = 0
        self.while_starting = 0
        self._spacing = spacing
        self._random = random.Random(f"{seed}/kills")  # noqa: S311 - a test's moments
        self._countdown = self._draw()
        self._tasks: set[asyncio.Task[None]] = set()

    def on_request(self) -> None:
        """Count a moment of a request, and kill somebody where it is the one."""
        if not self.on or not self.left:
            return
        self._countdown -= 1
        if self._countdown > 0:
            return
        self._countdown = self._draw()
        victim = self._random.choice(self.processes)
        if victim.kill():
            self._count()
            if self.left and self._random.random() < 0.25:
                task = asyncio.ensure_future(self._while_starting(victim, self._random.uniform(0.05, 2.5)))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    async def settle(self) -> None:
        """Wait for the kills that are under way."""
        await asyncio.gather(*self._tasks)

    async def _while_starting(self, victim: BotProcess, seconds: float) -> None:
        await asyncio.sleep(seconds)
        if self.left and victim.kill():
            self._count()
            self.while_starting += 1

    def _count(self) -> None:
        self.left -= 1
        self.done += 1

    def _draw(self) -> int:
        return self._random.randint(max(self._spacing // 10, 1), self._spacing * 2)
