"""What the classes of GitLab's two APIs have in common."""

from collections.abc import Mapping
from typing import ClassVar

import httpx
from typing_extensions import override

from bot.core.clock import Clock, Sleep, sleep
from bot.core.errors import NotFound
from bot.core.models import Build, Job, Log
from bot.http.client import ApiClient
from bot.providers.base.auth import Bearer
from bot.providers.base.capabilities import Capability
from bot.providers.base.logs import cleaned_log
from bot.providers.base.provider import Provider
from bot.providers.gitlab import convert, errors
from bot.providers.gitlab.auth import PrivateToken
from bot.providers.gitlab.client import GitLabClient
from bot.providers.gitlab.logs import plain_log
from bot.providers.gitlab.options import SCOPES, GitLabOptions


class GitLabServer(Provider[GitLabOptions]):
    """One GitLab server, whatever API it speaks."""

    kind = "gitlab"
    label = errors.LABEL
    takes_message = False
    default_url = "https://gitlab.com"
    page = "https://docs.gitlab.com/api/pipelines/"
    states = convert.STATES
    options_type = GitLabOptions
    scopes = SCOPES
    start_options: ClassVar[Mapping[str, str]] = {}

    def __init__(
        self, api: ApiClient, options: GitLabOptions, *, connection: str, clock: Clock, sleep: Sleep = sleep
    ) -> None:
        super().__init__(api, options, connection=connection, clock=clock, sleep=sleep)
        self._client = GitLabClient(api)

    @classmethod
    @override
    def auth(cls, options: GitLabOptions, clock: Clock) -> httpx.Auth:
        return PrivateToken(options.token) if options.api_version == "v3" else Bearer(options.token)

    @classmethod
    @override
    def base_url(cls, options: GitLabOptions) -> str:
        return f"{super().base_url(options)}/api/{options.api_version}"

    map_error = staticmethod(errors.map_error)
    read_quota = staticmethod(errors.read_quota)

    @override
    def accepts(self, build: Build) -> frozenset[Capability]:
        """GitLab runs the failed jobs of a pipeline again while its others go on."""
        accepted = super().accepts(build)
        return accepted if build.completed else accepted | ({Capability.RETRY_FAILED} & self.capabilities)

    @property
    def root(self) -> str:
        """Return the address of the server's pages."""
        return self.site(self.options)

    async def tail(self, route: str, job: Job, tail_bytes: int) -> Log:
        """Return the end of a trace, whole lines, without colours and the runner's own marks. Raises NotFound for none."""
        text, cut = await self._client.log_tail(route, tail_bytes)
        if not text:
            raise NotFound("The job has written no log yet.", provider=self.label)
        return Log(text=await cleaned_log(plain_log(text)), truncated=cut, job=job.name, url=job.web_url)
