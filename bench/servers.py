"""The processes of a run: the bot, the floor and the stand-in of Slack, each on its core, and the load on theirs."""

import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from bench import cores, payloads
from bench.load import Plan, Result

PATIENCE_SECONDS = 30.0
SERVE = ("-m", "bot", "serve")


@dataclass(frozen=True, kw_only=True)
class Running:
    """A process that listens, and how long it took from its start to that."""

    process: subprocess.Popen[str]
    port: int
    seconds: float
    cpu: float


def environment(folder: Path, slack: int, **more: str) -> dict[str, str]:
    """Return the bot's environment: a database of its own, the stand-in for Slack."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "PYTHONPATH") if name in os.environ}  # noqa: TID251 - a program of its own
    return {
        **kept,
        "SLACK_BOT_TOKEN": "xoxb-bench",
        "SLACK_SIGNING_SECRET": payloads.SECRET,
        "SLACK_API_URL": f"http://127.0.0.1:{slack}/api/",
        "DATABASE_URL": f"sqlite:///{folder}/bench.db",
        "HOST": "127.0.0.1",
        "PORT": "0",
        "LOG_LEVEL": "ERROR",
        **more,
    }


@contextmanager
def standin() -> Iterator[int]:
    """Run the stand-in for Slack, and give its port."""
    process = subprocess.Popen([sys.executable, "-m", "bench.standin"], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield int(process.stdout.readline())
    finally:
        _end(process)


@contextmanager
def floor() -> Iterator[Running]:
    """Run the bare Bolt app on the server's core."""
    with _started([sys.executable, "-m", "bench.floor"], {}, reads_errors=False) as running:
        yield running


@contextmanager
def bot(folder: Path, slack: int, *, command: tuple[str, ...] = SERVE, **more: str) -> Iterator[Running]:
    """Run the bot on the server's core."""
    with _started([sys.executable, *command], environment(folder, slack, **more), reads_errors=True) as running:
        yield running


@contextmanager
def _started(command: list[str], variables: Mapping[str, str], *, reads_errors: bool) -> Iterator[Running]:
    """Start a process on the server's core, and wait for the line with its port at the end."""
    out, err = (None, subprocess.PIPE) if reads_errors else (subprocess.PIPE, None)
    began = time.perf_counter()
    with cores.on_the_servers():
        process = subprocess.Popen(command, env=dict(variables) or None, text=True, stdout=out, stderr=err)  # noqa: S603 - ours
    try:
        lines = process.stderr if reads_errors else process.stdout
        assert lines is not None
        for line in lines:
            number = line.strip().rstrip(".").rpartition(":")[2]
            if number.isdigit():
                yield Running(
                    process=process,
                    port=int(number),
                    seconds=time.perf_counter() - began,
                    cpu=cores.cpu_seconds(process.pid),
                )
                return
            sys.stderr.write(line)
        raise RuntimeError(f"{command[-1]} did not start")
    finally:
        _end(process)


def _end(process: subprocess.Popen[str]) -> None:
    process.terminate()
    try:
        process.wait(15)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for stream in (process.stdout, process.stderr):
        if stream is not None:
            stream.close()


def load(plan: Plan) -> Result:
    """Carry out a plan in a process of its own. Raises ClientIsTheLimit where that was too slow."""
    done = subprocess.run(
        [sys.executable, "-m", "bench.load"],
        input=json.dumps(asdict(plan)) + "\n",
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return Result(**json.loads(done.stdout)).check()


def calls(slack: int) -> dict[str, int]:
    """Return how often the stand-in was called, by path."""
    with urllib.request.urlopen(f"http://127.0.0.1:{slack}/count") as answer:
        return dict(json.load(answer))
