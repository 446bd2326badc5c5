"""What a start costs: the import of the app, and the time to listening, against the packages that it needs."""

import json
import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from bench import cores, servers
from bench.table import Line, Row, ratio

ROUNDS = 5
PACKAGES = "import slack_bolt.async_app, sqlmodel, aiohttp, httpx, uvicorn, starlette.applications"
MEASURED = """
import json, time
before = time.process_time()
{code}
seconds = time.process_time() - before
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM:"))
print(json.dumps([seconds, int(peak.split()[1]) / 1024]))
"""
FLOOR_SERVER = f"""
import asyncio, socket
{PACKAGES}
async def nothing(scope, receive, send):
    pass
listening = socket.create_server(("127.0.0.1", 0))
class Server(uvicorn.Server):
    async def startup(self, sockets=None):
        await super().startup(sockets)
        import sys
        sys.stderr.write(f"listens on 127.0.0.1:{{listening.getsockname()[1]}}.\\n")
        sys.stderr.flush()
config = uvicorn.Config(nothing, log_level="error", access_log=False, lifespan="off")
asyncio.run(Server(config).serve(sockets=[listening]))
"""


def _imported(code: str) -> tuple[float, float]:
    """Return the seconds of CPU and the MiB that an import takes in a fresh process."""
    with cores.on_the_servers():
        done = subprocess.run(  # noqa: S603 - our own program
            [sys.executable, "-c", MEASURED.format(code=code)], stdout=subprocess.PIPE, text=True, check=True
        )
    seconds, mib = json.loads(done.stdout)
    return seconds, mib


def imports(folder: Path) -> Sequence[Line]:
    """Measure the import of the app."""
    del folder
    for code in (PACKAGES, "import bot.app"):
        _imported(code)
    rounds = [(_imported(PACKAGES), _imported("import bot.app")) for _ in range(ROUNDS)]
    floor_seconds, bot_seconds = (min(round_[side][0] for round_ in rounds) for side in (0, 1))
    floor_mib, bot_mib = (min(round_[side][1] for round_ in rounds) for side in (0, 1))
    return [
        ratio("import of the app, CPU", 1000 * floor_seconds, 1000 * bot_seconds, unit="ms", most=1.2),
        ratio("import of the app, memory", floor_mib, bot_mib, unit="MiB", most=1.2),
    ]


def start(folder: Path) -> Sequence[Line]:
    """Measure the start to listening: the first one, which makes the database, and later ones."""
    floors: list[float] = []
    firsts: list[float] = []
    laters: list[float] = []
    with ExitStack() as stack:
        slack = stack.enter_context(servers.standin())
        for number in range(ROUNDS):
            with servers.bot(folder, slack, command=("-c", FLOOR_SERVER)) as running:
                floors.append(running.cpu)
            place = folder / str(number)
            place.mkdir()
            for times in (firsts, laters):
                with servers.bot(place, slack) as running:
                    times.append(running.cpu)
    return [
        ratio("start to listening, CPU", 1000 * min(floors), 1000 * min(laters), unit="ms", most=1.4),
        ratio("  the first start, which makes the database", 1000 * min(floors), 1000 * min(firsts), unit="ms"),
    ]


ROWS = (Row(name="imports", run=imports), Row(name="start", run=start))
