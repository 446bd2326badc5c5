"""What the deployment examples start, started: their words, their settings, their probes, and how they end.

Paths of files are in a folder of the test, ports are free ones, Slack is the playground's; the rest is as in the files.
"""

import asyncio
import json
import os
import re
import shlex
import signal
import socket
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from bot.security.vault import new_key
from playground import Playground
from tests.postgres import PostgresServer

ROOT = Path(__file__).parents[1]
PATIENCE_SECONDS = 60.0
LOOK_SECONDS = 0.05
TOKEN, SIGNING_SECRET = "xoxb-started", "started-secret"


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port: int = listening.getsockname()[1]
        return port


def health_command() -> list[str]:
    """Return the words by which the image tells its health."""
    joined = re.sub(r"\\\n\s*", "", read("Dockerfile"))
    words: list[str] = json.loads(joined.partition("HEALTHCHECK")[2].partition("CMD")[2].splitlines()[0])
    return [sys.executable, *words[1:]]


def buildbell(words: Sequence[str]) -> list[str]:
    return [sys.executable, "-m", "bot", *words]


async def run(words: Sequence[str], folder: Path, environment: Mapping[str, str]) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *words,
        cwd=folder,
        env={"PYTHONPATH": str(ROOT), "PATH": os.defpath, "HOME": str(folder), **environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )


async def ended_well(words: Sequence[str], folder: Path, environment: Mapping[str, str]) -> str:
    process = await run(words, folder, environment)
    out, _ = await process.communicate()
    assert process.returncode == 0, out.decode()
    return out.decode()


async def assert_runs(process: asyncio.subprocess.Process) -> None:
    assert process.returncode is None, (await process.communicate())[0].decode()


@asynccontextmanager
async def started(words: Sequence[str], folder: Path, environment: Mapping[str, str], port: int) -> AsyncIterator[str]:
    """Start a process, wait until it is alive, give its address; then end it as a supervisor does, which it must survive."""
    process = await run(words, folder, environment)
    address = f"http://127.0.0.1:{port}"
    try:
        async with httpx.AsyncClient(base_url=address) as client, asyncio.timeout(PATIENCE_SECONDS):
            while True:
                await assert_runs(process)
                try:
                    if (await client.get("/healthz")).status_code == 200:
                        break
                except httpx.TransportError:
                    await asyncio.sleep(LOOK_SECONDS)
        yield address
        process.send_signal(signal.SIGTERM)
        out, _ = await asyncio.wait_for(process.communicate(), PATIENCE_SECONDS)
        assert process.returncode == 0, out.decode()
        assert "Traceback" not in out.decode()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


@pytest.fixture
async def slack() -> AsyncIterator[Playground]:
    playground = Playground(bot_url="", signing_secret=SIGNING_SECRET, bot_token=TOKEN)
    await playground.start()
    try:
        yield playground
    finally:
        await playground.stop()


@pytest.fixture
async def database_url(postgres_server: PostgresServer) -> str:
    return postgres_server.url(await postgres_server.create())


def placed(environment: Mapping[str, str], folder: Path, slack: Playground, database_url: str) -> dict[str, str]:
    """Return an example's environment with its files written into a folder."""
    content = {
        "DATABASE_URL": database_url,
        "BUILDBELL_KEYS": new_key(),
        "SLACK_BOT_TOKEN": TOKEN,
        "SLACK_SIGNING_SECRET": SIGNING_SECRET,
    }
    values = {"SLACK_API_URL": slack.slack_api_url, "HOST": "127.0.0.1"}
    for name, value in environment.items():
        setting = name.removesuffix("_FILE")
        if setting != name:
            file = folder / Path(value).name
            file.write_text(f"{content[setting]}\n")
            values[name] = str(file)
        elif name == "BUILDBELL_CONFIG":
            (folder / "buildbell.toml").write_text("")
            values[name] = str(folder / "buildbell.toml")
        else:  # the defaults of compose's `${NAME:-default}`, and a public address
            values[name] = re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", value)
            values[name] = re.sub(r"\$\{\w+:\?[^}]*\}", "https://builds.example.com", values[name])
    return values


def service(name: str) -> dict[str, Any]:
    described: dict[str, Any] = yaml.safe_load(read("compose.yaml"))["services"][name]
    return described


@pytest.mark.postgres
async def test_compose_migrates_then_web_and_worker_are_healthy_and_end_when_told(
    slack: Playground, database_url: str, tmp_path: Path
) -> None:
    migrate = service("migrate")
    environment = placed(migrate["environment"], tmp_path, slack, database_url)
    assert "The database is at" in await ended_well(buildbell(migrate["command"]), tmp_path, environment)
    for name, setting in (("web", "PORT"), ("worker", "HEALTH_PORT")):
        port = free_port()
        environment = placed(service(name)["environment"], tmp_path, slack, database_url) | {setting: str(port)}
        async with started(buildbell(service(name)["command"]), tmp_path, environment, port) as address:
            await ended_well(health_command(), tmp_path, {"PORT": str(port)})
            async with httpx.AsyncClient(base_url=address) as client:
                ready = await client.get("/readyz")
                assert ready.status_code == 200, ready.text
                taken = await client.post("/slack/events")
                assert taken.status_code == (401 if name == "web" else 404)
    failed = await run(health_command(), tmp_path, {"PORT": str(free_port())})
    assert await failed.wait() != 0


@pytest.mark.postgres
async def test_a_pod_migrates_then_answers_its_probes(slack: Playground, database_url: str, tmp_path: Path) -> None:
    [deployment] = [
        item for item in yaml.safe_load_all(read("deploy/kubernetes.yaml")) if item and item["kind"] == "Deployment"
    ]
    pod = deployment["spec"]["template"]["spec"]
    [container], [migrate] = pod["containers"], pod["initContainers"]
    environment = placed({item["name"]: item["value"] for item in container["env"]}, tmp_path, slack, database_url)
    await ended_well(buildbell(migrate["args"]), tmp_path, environment)
    port = free_port()
    async with (
        started(buildbell(container["args"]), tmp_path, environment | {"PORT": str(port)}, port) as address,
        httpx.AsyncClient(base_url=address) as client,
    ):
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            answer = await client.get(container[probe]["httpGet"]["path"])
            assert answer.status_code == 200, answer.text


async def test_the_unit_starts_with_its_example_of_the_environment(slack: Playground, tmp_path: Path) -> None:
    unit = read("deploy/systemd/buildbell.service")
    [command] = re.findall(r"^ExecStart=(.*)$", unit, re.MULTILINE)
    lines = [line for line in read("deploy/systemd/buildbell.env.example").splitlines() if line and line[0] != "#"]
    environment = dict(line.split("=", 1) for line in lines)
    environment |= {name: value for name, value in placed({}, tmp_path, slack, "").items() if name != "HOST"}
    port = free_port()
    environment |= {
        "SLACK_BOT_TOKEN": TOKEN,
        "SLACK_SIGNING_SECRET": SIGNING_SECRET,
        "BUILDBELL_KEYS": new_key(),
        "DATABASE_URL": environment["DATABASE_URL"].replace("/var/lib/buildbell", str(tmp_path)),
        "PORT": str(port),
    }
    async with (
        started(buildbell(shlex.split(command)[1:]), tmp_path, environment, port) as address,
        httpx.AsyncClient(base_url=address) as client,
    ):
        assert (await client.get("/readyz")).status_code == 200
    file = tmp_path / "buildbell.db"
    assert file.stat().st_mode & 0o077 == 0
