"""Azure DevOps Pipelines, REST API 7.1: Azure DevOps Services, or an Azure DevOps Server.

Pages: https://learn.microsoft.com/rest/api/azure/devops and .../azure/devops/service-hooks, read in August 2026. A
pipeline's id is `PROJECT-GUID/DEFINITION`, which survives renames; a YAML pipeline's run and a build are the same thing
under the same id. Limits: 200 throughput units for an identity in any five minutes; then answers come late.
"""

import logging
import re
from collections.abc import AsyncIterator, Mapping
from datetime import timedelta
from typing import ClassVar

import httpx
from cachetools import LRUCache
from typing_extensions import override

from bot.core.clock import Clock, Sleep, sleep
from bot.core.errors import NotFound, ProviderError, UsageError
from bot.core.models import (
    Account,
    Approval,
    Artifact,
    Build,
    BuildFilter,
    Changes,
    Commit,
    Issue,
    IssueCounts,
    IssueKind,
    Job,
    Log,
    Outcome,
    Page,
    Parameter,
    Pipeline,
    Ref,
    RefKind,
    StartRequest,
    StartTarget,
    TestCase,
    Watched,
    WebhookEvent,
)
from bot.http.client import ApiClient
from bot.http.reply import Reply
from bot.providers.azure_devops import auth, client, convert, errors, stages, start, urls, webhook, wire
from bot.providers.azure_devops.client import REFUSED, Client
from bot.providers.azure_devops.options import LABEL, SCOPES, SERVICES, AzureOptions
from bot.providers.azure_devops.poll import Poll
from bot.providers.azure_devops.start import StartBody
from bot.providers.azure_devops.urls import build_path
from bot.providers.base.capabilities import Capability
from bot.providers.base.logs import LOG_TAIL_BYTES, cleaned_log
from bot.providers.base.provider import Provider

log = logging.getLogger(__name__)

STARTS_KEPT = 500
ISSUE_ORDER = (IssueKind.ERROR, IssueKind.TEST_FAILURE, IssueKind.WARNING, IssueKind.ANALYZER_WARNING)
_LOG_STAMP = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z ", re.MULTILINE)


class AzureDevOps(Provider[AzureOptions]):
    """One organization at Azure DevOps Services, or one collection of an Azure DevOps Server."""

    kind = "azure_devops"
    label = LABEL
    approvals_last = timedelta(days=30)
    starts_commits = True
    default_url = SERVICES
    page = "https://learn.microsoft.com/rest/api/azure/devops"
    states = convert.STATES
    options_type = AzureOptions
    scopes = SCOPES
    refusals: ClassVar[Mapping[Capability, tuple[str, str]]] = errors.REFUSALS
    capabilities = (
        frozenset(Capability) - refusals.keys() - {Capability.ERASE_JOB, Capability.UPLOADS, Capability.COMMITS}
    )
    start_options: ClassVar[Mapping[str, str]] = start.START_OPTIONS
    list_filters = convert.LIST_FILTERS
    lists_all_refs = frozenset({RefKind.BRANCH})

    def __init__(
        self, api: ApiClient, options: AzureOptions, *, connection: str, clock: Clock, sleep: Sleep = sleep
    ) -> None:
        super().__init__(api, options, connection=connection, clock=clock, sleep=sleep)
        self._client = Client(api, options, connection, clock)
        self._poll = Poll(self._client)
        self._started: LRUCache[str, bool] = LRUCache(STARTS_KEPT)

    @override
    @classmethod
    def auth(cls, options: AzureOptions, clock: Clock) -> httpx.Auth:
        return auth.credentials(options, clock)

    @override
    @classmethod
    def base_url(cls, options: AzureOptions) -> str:
        return urls.base_url(options)

    @override
    @classmethod
    def credential_origins(cls, options: AzureOptions) -> tuple[str, ...]:
        return (urls.TEST_RESULTS,) if options.is_services else ()

    @override
    @classmethod
    def map_error(cls, reply: Reply) -> ProviderError | None:
        if reply.status == httpx.codes.NON_AUTHORITATIVE_INFORMATION or 300 <= reply.status < 400:
            return client.signed_out(reply)
        return None

    read_quota = staticmethod(client.read_quota)

    @override
    async def check(self) -> Account:
        """Return whose credentials these are; nobody's name where the call for it, which is not published, is refused.

        Costs three requests.
        """
        return await self._client.account()

    @override
    async def pipelines(self, query: str | None = None) -> AsyncIterator[Pipeline]:
        """Yield pipelines; one request for each project, and one for the projects. A refused project is left out."""
        async for pipeline in self._client.all_pipelines(f"*{query}*" if query else None):
            yield pipeline

    @override
    async def pipeline(self, path: str) -> Pipeline:
        """Return what `project/name`, `project/folder/name` or an id names; a build's page costs one request more."""
        named = urls.parse_pipeline(path, self.options.project)
        if named is None:
            raise self._client.no_pipeline(path)
        return await self._client.find_pipeline(named)

    @override
    async def builds(self, pipeline: str, build_filter: BuildFilter) -> AsyncIterator[Build]:
        """Yield builds; one request for each hundred.

        Only where timeouts or open approvals are wanted, one request more for each build that may be one.
        """
        async for build in self._client.builds(pipeline, build_filter):
            yield build

    @override
    async def build(self, pipeline: str, build: str) -> Build:
        """Return one build with its jobs, under its own pipeline. Costs two requests: the second is its timeline."""
        return await self._client.with_timeline(await self._client.build(pipeline, build))

    @override
    async def build_by_number(self, pipeline: str, number: int) -> Build:
        """Return the build whose number is a number and this one, else the one with this id. Two or three requests."""
        build = await self._client.build_called(pipeline, str(number))
        if build is None:
            build = await self._client.build(pipeline, str(number))
        if build.pipeline.lower() != pipeline.lower():
            raise NotFound(
                f"There is no build #{number} in this pipeline: that one belongs to {build.name or 'another one'}.",
                provider=self.label,
            )
        return await self._client.with_timeline(build)

    @override
    async def build_by_label(self, pipeline: str, label: str) -> Build:
        """Return the build of that `buildNumber`. Two requests. Raises UsageError where several have it."""
        build = await self._client.build_called(pipeline, label)
        if build is None:
            raise NotFound(f"There is no build #{label[:80]} in this pipeline.", provider=self.label)
        return await self._client.with_timeline(build)

    @override
    def poll_target(self, pipeline: str) -> str:
        """Return the project: one poll covers all its pipelines."""
        return pipeline.partition("/")[0]

    @override
    async def changes(self, cursor: str | None, watched: Watched) -> Changes:
        """Return changed builds. Two requests for a project of any size, and at every third poll one more for the queue.

        Besides: one while watched builds run (open approvals), one for unfinished builds that no list shows, one for
        each watched build that has just ended (its jobs) and, while approvals are open whose build is not reported, one
        for each running watched build; fifty of these at most.
        """
        return await self._poll.changes(cursor, watched, self._clock())

    @override
    async def refs(self, pipeline: str, query: str | None = None) -> AsyncIterator[Ref]:
        """Yield the default branch, then branches and, in Azure Repos, tags. Costs two requests, or three."""
        async for ref in self._client.refs(pipeline, query):
            yield ref

    @override
    async def parameters(self, pipeline: str, ref: Ref | None) -> tuple[Parameter, ...]:
        """Return the variables that may be set when a build is queued. No call reports template parameters."""
        definition = await self._client.definition(*self._client.split(pipeline))
        return convert.parameters(definition)

    @override
    async def start_target(self, pipeline: str, request: StartRequest) -> StartTarget:
        """Return what will be built. Costs one request where the pipeline's default branch decides."""
        plain = start.source(request, None)
        if plain.ref is not None:
            return plain.target(None)
        default = convert.default_branch(await self._client.definition(*self._client.split(pipeline)))
        return start.source(request, default).target(default)

    @override
    async def start(self, pipeline: str, request: StartRequest) -> Build:
        """Start a build and return it. Costs three requests.

        The first one reports whether the pipeline is a classic one, which variables it has and its default branch. Where
        it is refused, the build is started as a YAML pipeline's and every KEY=VALUE as a template parameter.
        """
        start.check(request)
        project, number = self._client.split(pipeline)
        definition = await self._client.definition_for_start(project, number)
        return await self._create(pipeline, definition, start.start_body(request, definition))

    @override
    async def cancel(self, pipeline: str, build: str) -> Build:
        """Stop a build, also one that waits for an approval. Costs one request; it ends shortly after."""
        project, _ = self._client.split(pipeline)
        path = build_path(project, build)

        async def send() -> Build:
            reply = await self._client.send("PATCH", path, {"status": "cancelling"})
            return self._client.read(reply.raw, project, pipeline)

        async def confirm() -> Build | None:
            now = await self._client.build(pipeline, build)
            return now if now.completed or now.raw_state == "cancelling" else None

        return await self.send_once(send, confirm)

    @override
    async def rebuild(self, pipeline: str, build: str, request: StartRequest) -> Build:
        """Start a new build from what was recorded: there is no such call. Costs four requests.

        Raises NotFound for a build of another pipeline, and Rejected where a value is not reported.
        """
        start.check(request)
        project, number = self._client.split(pipeline)
        recorded = await self._client.recorded(project, build)
        if recorded.definition is not None and str(recorded.definition.id) != number:
            raise NotFound(
                f"Build {build} belongs to {recorded.definition.name or 'another pipeline'}.", provider=self.label
            )
        definition = await self._client.definition_for_start(project, number)
        return await self._create(pipeline, definition, start.rebuild_body(recorded, request, definition))

    @override
    async def retry(self, pipeline: str, build: str, *, failed_only: bool = True, job: str | None = None) -> Build:
        """Run failed jobs again, under the same id. Costs three requests, for a job four.

        For a job it is the failed jobs of its stage; a passed one only where it is its stage's only one.
        """
        if job is None and not failed_only:
            raise self.unsupported(Capability.RETRY_ALL, self._client.page(self.poll_target(pipeline), build))
        project, _ = self._client.split(pipeline)
        path, query, body = await self._client.retry_request(project, build, job)

        async def send() -> bool:
            reply = await self._client.send("PATCH", path, body, query)
            return job is not None or bool(wire.BuildWire.of(reply.raw))  # a stage's answer is empty

        async def confirm() -> bool | None:
            return None if (await self._client.build(pipeline, build)).completed else True

        await self.send_once(send, confirm)
        return await self.read_back(self.build(pipeline, build))

    @override
    async def jobs(self, pipeline: str, build: str, *, all_attempts: bool = False) -> tuple[Job, ...]:
        """Return a build's jobs. One request, one more for each earlier attempt."""
        return await self._client.jobs(pipeline, build, all_attempts=all_attempts)

    @override
    async def log(self, job: Job, tail_bytes: int = LOG_TAIL_BYTES) -> Log:
        """Return the end of a job's log, of its latest task's while it runs. Costs two requests."""
        data, cut = await self._client.log_tail(job, tail_bytes)
        text = await cleaned_log(data.partition(b"\n")[2] if cut and b"\n" in data else data)
        page = self._client.page(self.poll_target(job.pipeline), job.build, view="logs", j=job.id)
        return Log(text=_LOG_STAMP.sub("", text), truncated=cut, job=job.name, url=page)

    @override
    async def artifacts(self, pipeline: str, build: str) -> tuple[Artifact, ...]:
        """Return a build's artifacts. Costs one request."""
        project, _ = self._client.split(pipeline)
        return tuple(convert.artifact(item, pipeline, build) for item in await self._client.artifacts(project, build))

    @override
    async def download(self, artifact: Artifact) -> AsyncIterator[bytes]:
        """Yield an artifact as a zip; pipeline artifacts by an address that is signed for it, without the token."""
        is_signed = (artifact.kind or "").lower() == "pipelineartifact"
        address = await (self._client.signed_address if is_signed else self._client.zip_address)(artifact)
        async for chunk in self._api.download(address, credentials=not is_signed):
            yield chunk

    @override
    async def commits_of(self, pipeline: str, build: str) -> tuple[Commit, ...]:
        return tuple(map(convert.commit, await self._client.changes_of(pipeline, build)))

    @override
    async def tests(self, pipeline: str, build: str) -> tuple[TestCase, ...]:
        """Return the tests of the first ten runs, failed ones first. One request, and one or two for each run."""
        project, _ = self._client.split(pipeline)
        cases = await self._client.test_cases(project, build)
        return tuple(sorted(cases, key=lambda case: case.outcome is not Outcome.FAILED))

    @override
    async def issues(self, pipeline: str, build: str) -> tuple[Issue, ...]:
        """Return what tasks complain of and failed tests, errors first. Two requests, and one for each red test run."""
        project, _ = self._client.split(pipeline)
        issues = stages.issues(await self._client.timeline(project, build), self._client.page(project, build))
        tests_page = self._client.page(project, build, view="ms.vss-test-web.build-test-results-tab")
        try:
            cases = await self._client.failed_tests(project, build)
            issues += [convert.test_issue(case, tests_page) for case in cases]
        except REFUSED as exc:  # a token without Test (read) still reports the rest
            log.info("a build's tests can't be read", extra={"error": str(exc)})
        return tuple(sorted(issues, key=lambda issue: ISSUE_ORDER.index(issue.kind)))

    @override
    async def counts(self, build: Build) -> IssueCounts:
        """Return issue counts. Two requests; one more where the server has no summary of a build's tests."""
        project, _ = self._client.split(build.pipeline)
        counts = stages.counts(await self._client.timeline(project, build.id))
        try:
            return counts.filled(await self._client.test_counts(project, build.id))
        except REFUSED:
            return counts

    @override
    async def approvals(self, pipeline: str, build: str) -> tuple[Approval, ...]:
        """Return the open approvals; a second request reports who may approve. Other checks are decided by nobody."""
        project, _ = self._client.split(pipeline)
        tree = await self._client.timeline(project, build)
        ids = [record.id for record in stages.open_approvals(tree)]
        details = await self._client.approval_details(project, ids) if ids else {}
        page = self._client.page(project, build)
        return stages.approvals(tree, details, pipeline=pipeline, build=build, page=page)

    @override
    async def decide(
        self, approval: Approval, *, approve: bool, fields: Mapping[str, str] | None = None, comment: str | None = None
    ) -> Build:
        """Approve or reject. Azure DevOps records the credentials' owner, who must be an approver. Three requests.

        More approvals may be asked for: the build then still waits.
        """
        if fields:
            raise UsageError("An approval at Azure DevOps takes a comment and no values.")
        status = "approved" if approve else "rejected"

        async def confirm() -> bool | None:
            return True if await self._client.is_decided(approval, status) else None

        await self.send_once(lambda: self._client.decide(approval, status, comment), confirm)
        return await self.read_back(self.build(approval.pipeline, approval.build))

    @override
    def parse_url(self, url: str) -> Page | None:
        return urls.parse_url(url, self.options, *self.web_homes)

    @override
    def parse_webhook(
        self, headers: Mapping[str, str], body: bytes, path_secret: str | None = None
    ) -> WebhookEvent | None:
        if not webhook.check_headers(headers, self.webhook_secret()):
            self.check_path_secret(path_secret)
        return webhook.parse_event(body)

    # helpers

    async def _create(self, pipeline: str, definition: wire.Definition, body: StartBody) -> Build:
        """Start a build once; without an answer it is looked for among these credentials' own that nobody was given."""
        project, number = self._client.split(pipeline)
        since = self._clock()

        async def send() -> str:
            return await self._client.send_start(project, number, definition, body)

        async def confirm() -> str | None:
            listed = await self._client.own_starts(project, number, body, since)
            unknown = [build_id for build_id in listed if build_id not in self._started]
            return unknown[0] if len(unknown) == 1 else None

        build_id = await self.send_once(send, confirm)
        self._started[build_id] = True
        try:
            return await self._client.build(pipeline, build_id)
        except ProviderError:
            page = self._client.page(project, build_id)
            return Build(connection=self.connection, pipeline=pipeline, id=build_id, web_url=page)
