"""What every test runs under: no network beyond this machine, no Slack settings, no waiting between repeats."""

import gc
import ipaddress
import os
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import stamina
from hypothesis import HealthCheck, settings

from bot.security.redaction import redact
from bot.store import Store
from commands.registry import REGISTRY
from tests.databases import kept_sqlite, sqlite_url
from tests.postgres import bare_postgres_url, kept_postgres, postgres_server, postgres_url
from tests.watchdog import SECONDS, watched

__all__ = [
    "bare_postgres_url",
    "kept_postgres",
    "kept_sqlite",
    "postgres_server",
    "postgres_url",
    "sqlite_url",
]

REPEATS = 3

FUZZ = int(os.environ.get("BUILDBELL_FUZZ", "1"))  # noqa: TID251 - no setting of the bot
"""How many times as many examples to try as usual."""

# No example is judged by the clock: a loaded machine is slow, not wrong. In CI every run tries the same examples.
settings.register_profile(
    "buildbell",
    max_examples=100 * FUZZ,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize="CI" in os.environ,  # noqa: TID251 - no setting of the bot
)
settings.load_profile("buildbell")


def _is_local(address: object) -> bool:
    if not isinstance(address, tuple):
        return True  # a path: a socket of this machine
    host = str(address[0])
    try:
        return ipaddress.ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return host in {"localhost", ""}


def _guarded(connect: Callable[..., Any]) -> Callable[..., Any]:
    def guarded(self: socket.socket, address: object) -> Any:
        if self.family != socket.AF_UNIX and not _is_local(address):
            # AssertionError: no mapping of network errors swallows it
            raise AssertionError(f"a test tried to reach {address!r}")
        return connect(self, address)

    return guarded


@pytest.fixture(autouse=True, scope="session")
def everything_loaded() -> None:
    """Import what the bot imports in a thread once it listens: no test pays for it in its event loop."""
    Store.load()
    REGISTRY.load()
    redact("")


@pytest.fixture(autouse=True, scope="session")
def no_network() -> Iterator[None]:
    """Refuse every connection that leaves this machine."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", _guarded(socket.socket.connect))
        patch.setattr(socket.socket, "connect_ex", _guarded(socket.socket.connect_ex))
        yield


@pytest.fixture(autouse=True, scope="session")
def no_slack_settings() -> Iterator[None]:
    """Hide the Slack settings of whoever runs the tests."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("SLACK_")]:  # noqa: TID251 - to clear it
            patch.delenv(name)
        yield


@pytest.fixture(autouse=True)
def nothing_holds_the_event_loop() -> Iterator[None]:
    """Fail where a step of the bot's tasks takes far longer than anything may: on a busy machine CPU time grows, too."""
    with watched(2 * SECONDS) as held:
        yield
    assert not held, f"too long on the event loop: {held}"


@pytest.fixture(autouse=True)
def no_waiting() -> Iterator[None]:
    """Repeat failed reads at once."""
    with stamina.set_testing(True, attempts=REPEATS, cap=True):
        yield


def pytest_collection_finish() -> None:
    """Take the suite itself out of what the garbage collector looks through during the tests: it stays to the end."""
    gc.collect()
    gc.freeze()


def pytest_xdist_auto_num_workers() -> int:
    """Return one worker more than there are cores: a good part of the tests waits for other processes."""
    return (os.cpu_count() or 1) + 1


TOGETHER = (
    ("tests/playground/test_page", "tests/e2e/test_browser.py"),
    ("tests/test_packaging.py",),
    ("tests/bot/store/test_plans.py",),
)
"""Tests that share what is dear to make, a browser, a wheel, a large database: one worker makes it for all of them."""
SLOW = ("tests/torture/", "tests/e2e/", "tests/test_started.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give each worker, which gets a run of the list, its share of the slow tests first: no worker ends with them alone."""
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))  # noqa: TID251 - no setting of the bot
    together = [[item for item in items if item.nodeid.startswith(names)] for names in TOGETHER]
    dealt = {item for group in together for item in group}
    slow = [item for item in items if item.nodeid.startswith(SLOW) and item not in dealt]
    shares: list[list[pytest.Item]] = [[] for _ in range(workers)]
    for number, group in enumerate([*together, *([item] for item in slow)]):
        shares[number % workers] += group
    dealt.update(slow)
    quick = [item for item in items if item not in dealt]
    length = -(-len(items) // workers)
    for dealing in shares:
        room = length - len(dealing)
        dealing.extend(quick[:room])
        del quick[:room]
    items[:] = [item for share in shares for item in share]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--write-expected",
        action="store_true",
        help="write missing or different *.expected.json files and fail, so that they are read before they are kept",
    )
