"""GitLab: GitLab.com or a self-managed server, REST API v4, GraphQL where it saves requests; API v3 for old servers.

Pages: https://docs.gitlab.com/api/pipelines/ , /api/jobs/ , /api/rest/ ; webhooks:
https://docs.gitlab.com/user/project/integrations/webhook_events/ . Checked 2026-11. Limits on GitLab.com: 2,000 calls a
minute for a user, 400 for single projects, 25 new pipelines a minute for a project, user and commit.

`wire` holds the states, the objects and the pure readers, `server` what both APIs share, `v4` and `v3` the adapters
proper, `graph` and `poll` the GraphQL questions and the account-wide poll, `groups` the builds of v3.
"""

from collections.abc import AsyncIterator, Mapping

from typing_extensions import override

from bot.core.clock import Clock, Sleep, sleep
from bot.core.models import (
    Account,
    Approval,
    Artifact,
    Build,
    BuildFilter,
    BuildKey,
    Changes,
    Issue,
    IssueCounts,
    Job,
    Log,
    Parameter,
    Pipeline,
    Ref,
    StartRequest,
    TestCase,
    Watched,
)
from bot.http.client import Api
from bot.providers.base.logs import LOG_TAIL_BYTES
from bot.providers.gitlab.client import GitLabOptions, GitLabServer
from bot.providers.gitlab.v3 import GitLabV3
from bot.providers.gitlab.v4 import GitLabV4

__all__ = ["GitLab", "GitLabOptions"]


class GitLab(GitLabServer):
    """One GitLab connection, speaking the API its settings name. What a v3 server lacks, this connection lacks."""

    capabilities = GitLabV4.capabilities

    def __init__(
        self, api: Api, options: GitLabOptions, *, connection: str, clock: Clock, sleep: Sleep = sleep
    ) -> None:
        super().__init__(api, options, connection=connection, clock=clock, sleep=sleep)
        speaking = GitLabV3 if options.api_version == "v3" else GitLabV4
        self._server: GitLabServer = speaking(api, options, connection=connection, clock=clock, sleep=sleep)
        self.capabilities = self._server.capabilities

    @override
    async def check(self) -> Account:
        return await self._server.check()

    @override
    def pipelines(self, query: str | None = None) -> AsyncIterator[Pipeline]:
        return self._server.pipelines(query)

    @override
    async def pipeline(self, path: str) -> Pipeline:
        return await self._server.pipeline(path)

    @override
    def builds(self, pipeline: str, wanted: BuildFilter) -> AsyncIterator[Build]:
        return self._server.builds(pipeline, wanted)

    @override
    async def build(self, pipeline: str, build: str) -> Build:
        return await self._server.build(pipeline, build)

    @override
    async def build_by_number(self, pipeline: str, number: int) -> Build:
        return await self._server.build_by_number(pipeline, number)

    @override
    async def build_or_none(self, key: BuildKey) -> Build | None:
        return await self._server.build_or_none(key)

    @override
    async def changes(self, cursor: str | None, watched: Watched) -> Changes:
        return await self._server.changes(cursor, watched)

    @override
    def refs(self, pipeline: str, query: str | None = None) -> AsyncIterator[Ref]:
        return self._server.refs(pipeline, query)

    @override
    async def parameters(self, pipeline: str, ref: Ref | None) -> tuple[Parameter, ...]:
        return await self._server.parameters(pipeline, ref)

    @override
    async def start(self, pipeline: str, request: StartRequest) -> Build:
        return await self._server.start(pipeline, request)

    @override
    async def cancel(self, pipeline: str, build: str) -> Build:
        return await self._server.cancel(pipeline, build)

    @override
    async def rebuild(self, pipeline: str, build: str, request: StartRequest) -> Build:
        return await self._server.rebuild(pipeline, build, request)

    @override
    async def retry(self, pipeline: str, build: str, *, failed_only: bool = True, job: str | None = None) -> Build:
        return await self._server.retry(pipeline, build, failed_only=failed_only, job=job)

    @override
    async def erase(self, pipeline: str, build: str) -> Build:
        return await self._server.erase(pipeline, build)

    @override
    async def jobs(self, pipeline: str, build: str) -> tuple[Job, ...]:
        return await self._server.jobs(pipeline, build)

    @override
    async def log(self, job: Job, tail_bytes: int = LOG_TAIL_BYTES) -> Log:
        return await self._server.log(job, tail_bytes)

    @override
    async def artifacts(self, pipeline: str, build: str) -> tuple[Artifact, ...]:
        return await self._server.artifacts(pipeline, build)

    @override
    def download(self, artifact: Artifact) -> AsyncIterator[bytes]:
        return self._server.download(artifact)

    @override
    async def tests(self, pipeline: str, build: str) -> tuple[TestCase, ...]:
        return await self._server.tests(pipeline, build)

    @override
    async def issues(self, pipeline: str, build: str) -> tuple[Issue, ...]:
        return await self._server.issues(pipeline, build)

    @override
    async def counts(self, build: Build) -> IssueCounts:
        return await self._server.counts(build)

    @override
    async def approvals(self, pipeline: str, build: str) -> tuple[Approval, ...]:
        return await self._server.approvals(pipeline, build)

    @override
    async def decide(
        self, approval: Approval, *, approve: bool, fields: Mapping[str, str] | None = None, comment: str | None = None
    ) -> Build:
        return await self._server.decide(approval, approve=approve, fields=fields, comment=comment)
