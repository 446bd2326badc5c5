"""Azure DevOps Pipelines, REST API 7.1: Azure DevOps Services, or an Azure DevOps Server.

Pages: https://learn.microsoft.com/rest/api/azure/devops and .../azure/devops/service-hooks, read in August 2026. A
pipeline's id is `PROJECT-GUID/DEFINITION`, which survives renames; a YAML pipeline's run and a build are the same thing
under the same id. Limits: 200 throughput units for an identity in any five minutes; then answers come late.
"""

import logging
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from datetime import datetime
from typing import ClassVar

import httpx
from cachetools import LRUCache
from pydantic import SecretStr
from typing_extensions import override

from bot.core.clock import Clock, Sleep, sleep
from bot.core.errors import AuthFailed, NotFound, ProviderError, RateLimited, UsageError
from bot.core.models import (
    Account,
    Approval,
    Artifact,
    Build,
    BuildFilter,
    Changes,
    Issue,
    IssueCounts,
    IssueKind,
    Job,
    Log,
    Outcome,
    Page,
    Parameter,
    ParameterType,
    Pipeline,
    Ref,
    RefKind,
    StartRequest,
    StartTarget,
    TestCase,
    Watched,
    WebhookEvent,
)
from bot.core.text import holds_name
from bot.http.client import Api, Quota, Reply
from bot.providers.azure_devops import client, convert, stages, start, urls, webhook, wire
from bot.providers.azure_devops.auth import EntraAuth, TokenAuth
from bot.providers.azure_devops.client import REFUSED, Client
from bot.providers.azure_devops.options import LABEL, SERVICES, AzureOptions
from bot.providers.azure_devops.poll import Poll
from bot.providers.azure_devops.start import START_OPTIONS, StartBody
from bot.providers.azure_devops.urls import build_path, project_path
from bot.providers.base.capabilities import Capability
from bot.providers.base.listing import parse_items
from bot.providers.base.logs import LOG_TAIL_BYTES, clean_log
from bot.providers.base.provider import Provider

log = logging.getLogger(__name__)

TEST_RUNS = 10
STARTS_KEPT = 500
ISSUE_ORDER = (IssueKind.ERROR, IssueKind.TEST_FAILURE, IssueKind.WARNING, IssueKind.ANALYZER_WARNING)
_LOG_STAMP = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z ", re.MULTILINE)


class AzureDevOps(Provider[AzureOptions]):
    """One organization at Azure DevOps Services, or one collection of an Azure DevOps Server."""

    kind = "azure_devops"
    label = LABEL
    default_url = SERVICES
    page = "https://learn.microsoft.com/rest/api/azure/devops"
    states = convert.STATES
    options_type = AzureOptions
    capabilities = frozenset(
        {
            Capability.REFS,
            Capability.PARAMETERS,
            Capability.START,
            Capability.CANCEL,
            Capability.REBUILD,
            Capability.RETRY_FAILED,
            Capability.RETRY_JOB,
            Capability.JOBS,
            Capability.LOG,
            Capability.LIVE_LOG,
            Capability.ARTIFACTS,
            Capability.DOWNLOAD,
            Capability.TESTS,
            Capability.ISSUES,
            Capability.COUNTS,
            Capability.APPROVALS,
            Capability.DECIDE,
            Capability.REJECT,
            Capability.WEBHOOK,
            Capability.ACCOUNT_POLL,
        }
    )
    refusals: ClassVar[Mapping[Capability, tuple[str, str]]] = {
        Capability.RETRY_ALL: (
            "Azure DevOps runs only failed jobs of a completed build again.",
            "To run all of them, build the same again: `/build rebuild`.",
        ),
        Capability.ERASE: (
            "Azure DevOps deletes a build as a whole and keeps or drops logs by its retention rules.",
            "Delete the build on its page.",
        ),
        Capability.PIPELINE_ADMIN: (
            "Azure DevOps' pipelines are managed on their own pages.",
            "Open the pipeline there and choose Edit or Settings.",
        ),
    }
    start_options: ClassVar[Mapping[str, str]] = START_OPTIONS
    lists_all_refs = frozenset({RefKind.BRANCH})

    def __init__(self, api: Api, options: AzureOptions, *, connection: str, clock: Clock, sleep: Sleep = sleep) -> None:
        super().__init__(api, options, connection=connection, clock=clock, sleep=sleep)
        self._client = Client(api, options, connection)
        self._poll = Poll(self._client)
        self._started: LRUCache[str, bool] = LRUCache(STARTS_KEPT)

    @override
    @classmethod
    def auth(cls, options: AzureOptions, clock: Clock) -> httpx.Auth:
        if options.token is not None:
            return TokenAuth(options.token)
        return EntraAuth(
            tenant_id=options.tenant_id,
            client_id=options.client_id,
            client_secret=options.client_secret or SecretStr(""),
            clock=clock,
        )

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

    @override
    @classmethod
    def read_quota(cls, headers: httpx.Headers, now: datetime) -> Quota | None:
        return client.read_quota(headers, now)

    @override
    async def check(self) -> Account:
        """Return whose credentials these are; nobody's name where the call for it, which is not published, is refused.

        Costs three requests.
        """
        project = self.options.project
        if project:
            await self._client.find_project(project)
        else:
            listed = await self._client.get(urls.projects_path(), {"$top": 1})
            project = next((item.id for item in parse_items(listed.items("value"), wire.Project.of)), "")
        missing: tuple[str, ...] = ()
        if project:
            try:
                await self._client.get(project_path(project, "build", "definitions"), {"$top": 1})
            except (AuthFailed, NotFound):
                missing = ("Build (read & execute)",)
        try:
            user = await self._client.user()
        except REFUSED:
            user = wire.AuthenticatedUser()
        return Account(
            name=user.custom_display_name or user.provider_display_name or "a token",
            detail="/".join(filter(None, (self.options.organization, self.options.project))),
            missing=missing,
            warnings=() if project else ("These credentials see no project of the organization.",),
        )

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
    async def builds(self, pipeline: str, wanted: BuildFilter) -> AsyncIterator[Build]:
        """Yield builds; one request for each hundred.

        Only where timeouts or open approvals are wanted, one request more for each build that may be one.
        """
        async for build in self._client.builds(pipeline, wanted):
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
        each watched build that has just ended (its jobs) and, while approvals are open whose build is not told, one
        for each running watched build; fifty of these at most.
        """
        return await self._poll.changes(cursor, watched, self._clock())

    @override
    async def refs(self, pipeline: str, query: str | None = None) -> AsyncIterator[Ref]:
        """Yield the default branch, then branches and, in Azure Repos, tags. Costs two requests, or three."""
        project, number = self._client.split(pipeline)
        definition = await self._client.definition(project, number)
        words = (query or "").lower()
        default = convert.default_branch(definition)
        if default and holds_name(default, words):
            yield Ref(kind=RefKind.BRANCH, name=default)
        async for ref in self._client.refs(project, definition.repository or wire.Repository(), query):
            if holds_name(ref.name, words) and (ref.kind, ref.name) != (RefKind.BRANCH, default):
                yield ref

    @override
    async def parameters(self, pipeline: str, ref: Ref | None) -> tuple[Parameter, ...]:
        """Return the variables that may be set when a build is queued. Template parameters are told by no call."""
        definition = await self._client.definition(*self._client.split(pipeline))
        return tuple(
            Parameter(
                name=name,
                type=ParameterType.SECRET if variable.is_secret else ParameterType.TEXT,
                default=None if variable.is_secret else variable.value or None,
            )
            for name, variable in (definition.variables or {}).items()
            if variable is not None and variable.allow_override
        )

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

        The first one tells whether the pipeline is a classic one, which variables it has and its default branch. Where
        it is refused, the build is started as a YAML pipeline's and every KEY=VALUE as a template parameter.
        """
        project, number = self._client.split(pipeline)
        try:
            definition = await self._client.definition(project, number)
        except RateLimited:
            raise
        except ProviderError as exc:
            if exc.status == httpx.codes.UNAUTHORIZED:
                raise
            log.warning("a pipeline's definition can't be read before a start", extra={"error": str(exc)})
            definition = wire.Definition(id=int(number))
        return await self._create(pipeline, definition, start.start_body(request, definition))

    @override
    async def cancel(self, pipeline: str, build: str) -> Build:
        """Stop a build, also one that waits for an approval. Costs one request; it ends a moment later."""
        project, _ = self._client.split(pipeline)
        path = build_path(project, build)

        async def send() -> Build:
            return self._client.read(
                (await self._client.send("PATCH", path, {"status": "cancelling"})).raw, project, pipeline
            )

        async def confirm() -> Build | None:
            now = await self._client.build(pipeline, build)
            return now if now.completed or now.raw_state == "cancelling" else None

        return await self.send_once(send, confirm)

    @override
    async def rebuild(self, pipeline: str, build: str, request: StartRequest) -> Build:
        """Start a new build from what was recorded: there is no such call. Costs four requests.

        Raises NotFound for a build of another pipeline, and Rejected where a value is not told.
        """
        project, number = self._client.split(pipeline)
        recorded = await self._client.recorded(project, build)
        if recorded.definition is not None and str(recorded.definition.id) != number:
            raise NotFound(
                f"Build {build} belongs to {recorded.definition.name or 'another pipeline'}.", provider=self.label
            )
        definition = await self._client.definition(project, number)
        return await self._create(pipeline, definition, start.rebuild_body(recorded, request, definition))

    @override
    async def retry(self, pipeline: str, build: str, *, failed_only: bool = True, job: str | None = None) -> Build:
        """Run failed jobs again, under the same id. Costs three requests, for a job four.

        For a job it is the failed jobs of its stage; a passed one only where it is its stage's only one.
        """
        if job is None and not failed_only:
            raise self.unsupported(Capability.RETRY_ALL, self._client.page(self.poll_target(pipeline), build))
        project, _ = self._client.split(pipeline)
        path, query, body = build_path(project, build), {"retry": True}, dict[str, object]()
        if job is not None:
            tree = await self._client.timeline(project, build)
            record = tree.records.get(job)
            if record is None:
                raise NotFound("This build has no such job.", provider=self.label)
            stage, body = start.stage_retry(tree, record, self._client.page(project, build))
            path, query = build_path(project, build, "stages", stage), {}

        async def send() -> None:
            await self._client.send("PATCH", path, body, query)

        async def confirm() -> bool | None:
            return None if (await self._client.build(pipeline, build)).completed else True

        await self._acknowledged(send, confirm)
        return await self.build(pipeline, build)

    @override
    async def jobs(self, pipeline: str, build: str) -> tuple[Job, ...]:
        """Return a build's jobs. Costs one request."""
        project, _ = self._client.split(pipeline)
        named = Build(connection=self.connection, pipeline=pipeline, id=build)
        return stages.jobs(await self._client.timeline(project, build), named, self._client.page(project, build))

    @override
    async def log(self, job: Job, tail_bytes: int = LOG_TAIL_BYTES) -> Log:
        """Return the end of a job's log, of its latest task's while it runs. Costs two requests."""
        project, _ = self._client.split(job.pipeline)
        path = await self._client.log_path(project, job)
        data, cut = await self._api.tail(
            path, self._client.versioned({}), keep=tail_bytes, headers={"Accept": "text/plain"}
        )
        text = clean_log(data.partition(b"\n")[2] if cut and b"\n" in data else data)
        page = self._client.page(project, job.build, view="logs", j=job.id)
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
    async def tests(self, pipeline: str, build: str) -> tuple[TestCase, ...]:
        """Return the tests of the first ten runs, failed ones first. One request, and one or two for each run."""
        project, _ = self._client.split(pipeline)
        cases = await self._client.test_cases(project, build)
        return tuple(sorted(cases, key=lambda case: case.outcome is not Outcome.FAILED))

    @override
    async def issues(self, pipeline: str, build: str) -> tuple[Issue, ...]:
        """Return what tasks complain of and failed tests, errors first. Two requests, and one for each red test run."""
        project, _ = self._client.split(pipeline)
        found = stages.issues(await self._client.timeline(project, build), self._client.page(project, build))
        tests_page = self._client.page(project, build, view="ms.vss-test-web.build-test-results-tab")
        try:
            cases = await self._client.failed_tests(project, build)
            found += [convert.test_issue(case, tests_page) for case in cases]
        except REFUSED as exc:  # a token without Test (read) still tells the rest
            log.info("a build's tests can't be read", extra={"error": str(exc)})
        return tuple(sorted(found, key=lambda issue: ISSUE_ORDER.index(issue.kind)))

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
        """Return the open approvals; a second request tells who may approve. Other checks are decided by nobody."""
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

        async def send() -> None:
            await self._client.decide(approval, status, comment)

        async def confirm() -> bool | None:
            return True if await self._client.is_decided(approval, status) else None

        await self._acknowledged(send, confirm)
        return await self.build(approval.pipeline, approval.build)

    @override
    def parse_url(self, url: str) -> Page | None:
        return urls.parse_url(url, self.options)

    @override
    def parse_webhook(
        self, headers: Mapping[str, str], body: bytes, path_secret: str | None = None
    ) -> WebhookEvent | None:
        secret = self.webhook_secret()
        carried = webhook.header_secrets(headers)
        if not carried:
            self.check_path_secret(path_secret)
        elif not webhook.all_fit(carried, secret):  # whatever the address holds
            raise AuthFailed("The webhook's secret does not fit.", provider=self.label, status=401)
        return webhook.parse_event(body)

    # helpers

    async def _create(self, pipeline: str, definition: wire.Definition, body: StartBody) -> Build:
        """Start a build once and return it, also where it can't be read then.

        Without a usable answer it is looked for among those that these credentials made since, but for builds that
        this process has already returned to somebody.
        """
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

    async def _acknowledged(
        self, send: Callable[[], Awaitable[None]], confirm: Callable[[], Awaitable[bool | None]]
    ) -> None:
        """Send a request whose answer is of no use, once."""

        async def sent() -> bool:
            await send()
            return True

        await self.send_once(sent, confirm)
