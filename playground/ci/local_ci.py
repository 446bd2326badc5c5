"""All local CI systems: the simulation with its demo builds, and a server of each vendor in front of it."""

import httpx

from playground.ci.azure_devops import AzureDevOps
from playground.ci.bitbucket import Bitbucket
from playground.ci.buildkite import Buildkite
from playground.ci.circleci import CircleCI
from playground.ci.demo_history import fill
from playground.ci.github_actions import GitHubActions
from playground.ci.gitlab import GitLab
from playground.ci.gitlab_v3 import GitLabV3
from playground.ci.jenkins import Jenkins
from playground.ci.simulation import Simulation
from playground.ci.system import System
from playground.ci.travis import Travis
from playground.ci.truto import Truto
from playground.ci.webhooks import Sender
from playground.ci.xcode_cloud import XcodeCloud
from playground.clock import Clock

SYSTEMS: tuple[type[System], ...] = (
    Buildkite,
    XcodeCloud,
    GitLab,
    GitLabV3,
    GitHubActions,
    Jenkins,
    CircleCI,
    AzureDevOps,
    Bitbucket,
    Travis,
)


class LocalCi(Simulation):
    """The simulation with its demo builds, and its servers.

    The same `seed` gives the same builds. `speed`: how many times faster than usual builds run, 0 to start paused.
    `clock` is to be shared with the local Slack and the bot. `quota` multiplies the vendors' rate limits (1.0: theirs).
    """

    def __init__(
        self,
        seed: int = 1,
        speed: float = 1.0,
        *,
        clock: Clock | None = None,
        quota: float = 10.0,
    ) -> None:
        super().__init__(seed, speed or 1.0, clock=clock, quota=quota)
        fill(self)
        if not speed:
            self.set_speed(0.0)
        systems = {kind.name: kind(self) for kind in SYSTEMS}
        self.systems: dict[str, System] = {**systems, Truto.name: Truto(self, systems)}
        self.sender = Sender(self, self.systems)

    @property
    def transport(self) -> httpx.AsyncBaseTransport | None:
        """Return what webhooks are sent through; None: the network."""
        return self.sender.transport

    @transport.setter
    def transport(self, transport: httpx.AsyncBaseTransport | None) -> None:
        self.sender.transport = transport

    def connections(self, base: str) -> dict[str, dict[str, object]]:
        """Return the bot's connection options by connection name, for servers reached at `base`."""
        self.base = base.rstrip("/")
        return {system.connection: system.options(self.base) for system in self.systems.values()}

    async def aclose(self) -> None:
        """Stop what runs in the background."""
        await self.sender.switch_off()
