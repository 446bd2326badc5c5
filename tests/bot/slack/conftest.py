"""The local Slack behind a real socket, and a sender whose waits take no time."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from bot.http.transport import Network
from bot.slack.sender import Sender
from playground.slack import Fault, slack_app
from tests.playground.fake_bot import BOT_TOKEN, Stage
from tests.playground.serving import serving


@dataclass
class Timer:
    """Seconds that pass only while somebody sleeps."""

    now: float = 100.0
    slept: list[float] = field(default_factory=list)

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


class LocalSlack(Stage):
    """The local Slack at an address."""

    def __init__(self) -> None:
        super().__init__()
        self.address = ""

    @property
    def api_url(self) -> str:
        return f"{self.address}/api/"

    def fails(self, method: str, kind: str, **more: Any) -> None:
        """Switch a trouble on for the next call of a method."""
        self.slack.faults.active.append(Fault(kind=kind, method=method, **more))

    def calls(self, method: str) -> list[dict[str, Any]]:
        """Return the arguments of a method's calls."""
        return [call.args for call in self.slack.calls if call.method == method]


@pytest.fixture
async def network() -> AsyncIterator[Network]:
    async with Network() as made:
        yield made


@pytest.fixture
async def slack() -> AsyncIterator[LocalSlack]:
    made = LocalSlack()
    async with serving(slack_app(made.slack)) as address:
        made.address = made.workspace.base_url = address
        yield made
    await made.close()


@pytest.fixture
def timer() -> Timer:
    return Timer()


async def token(_team: str) -> str:
    return BOT_TOKEN


@pytest.fixture
def sender(slack: LocalSlack, network: Network, timer: Timer) -> Sender:
    return Sender(token, session=network.session, api_url=slack.api_url, sleep=timer.sleep, timer=timer)
