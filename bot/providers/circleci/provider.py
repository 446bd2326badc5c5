"""CircleCI, API v2, with three reads of v1.1 for what v2 lacks: followed projects, recent jobs, steps and their output.

Pages: https://circleci.com/docs/api/v2 and https://circleci.com/docs/outbound-webhooks-reference, read in August 2026.
A pipeline with its workflows is one build, its id the pipeline's UUID; the newest workflow of each name gives the
result: a rerun is another attempt. A project's short slug (`gh/acme/web`) is the pipeline's id. No limits published.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import ClassVar

import httpx
from typing_extensions import override

from bot.core.clock import Clock, Sleep, sleep
from bot.core.errors import NotFound, Rejected
from bot.core.models import (
    Account,
    Approval,
    Artifact,
    Build,
    BuildFilter,
    Changes,
    Issue,
    IssueCounts,
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
from bot.core.text import holds_name
from bot.http.client import ApiClient
from bot.providers.base.auth import Bearer
from bot.providers.base.capabilities import Capability
from bot.providers.base.listing import SEARCH_PAGES
from bot.providers.base.logs import LOG_TAIL_BYTES
from bot.providers.base.provider import Provider
from bot.providers.circleci import convert, errors, start, urls, webhook, wire
from bot.providers.circleci.client import CircleCIClient, all_of, all_readable
from bot.providers.circleci.logs import log_of
from bot.providers.circleci.options import SCOPES, CircleCIOptions
from bot.providers.circleci.poll import Poll
from bot.providers.circleci.start import Source

FILES = "https://output.circle-artifacts.com"
AT_ONCE = 8
PROJECT_PAGES = 3
MOST_PROJECTS = 50
MOST_JOBS = 40
"""Of how many jobs the tests and artifacts are read; broken jobs come first."""


class CircleCI(Provider[CircleCIOptions]):
    """One organization at CircleCI, or on a CircleCI Server."""

    kind = "circleci"
    label = errors.LABEL
    default_url = urls.CLOUD
    default_site = urls.CLOUD_PAGES
    other_sites = (urls.CLOUD, "https://www.circleci.com")
    page = "https://circleci.com/docs/api/v2"
    states = convert.STATES
    options_type = CircleCIOptions
    scopes = SCOPES
    capabilities = frozenset(Capability) - errors.CANNOT
    refusals: ClassVar[Mapping[Capability, tuple[str, str]]] = errors.REFUSALS
    start_options: ClassVar[Mapping[str, str]] = start.START_OPTIONS
    list_filters = convert.LIST_FILTERS
    finds_builds_anywhere = True
    takes_message = False
    lists_all_refs = frozenset[RefKind]()  # they are read from builds

    def __init__(
        self, api: ApiClient, options: CircleCIOptions, *, connection: str, clock: Clock, sleep: Sleep = sleep
    ) -> None:
        super().__init__(api, options, connection=connection, clock=clock, sleep=sleep)
        self._urls = urls.Urls(urls.short(options.organization), self.site(options))
        self._client = CircleCIClient(api, self._urls, self.send_once)
        self._starts = start.Starts(api, self._urls, self._client, clock)
        self._poll = Poll(self._client, self._thorough, clock, connection=connection)

    @override
    @classmethod
    def auth(cls, options: CircleCIOptions, clock: Clock) -> httpx.Auth:
        return Bearer(options.token)

    @override
    @classmethod
    def credential_origins(cls, options: CircleCIOptions) -> tuple[str, ...]:
        return (FILES,) if urls.is_cloud(cls.base_url(options)) else ()

    map_error = staticmethod(errors.map_error)
    read_quota = staticmethod(errors.read_quota)

    @property
    @override
    def web_homes(self) -> tuple[str, ...]:
        is_cloud = urls.is_cloud(self.base_url(self.options))
        return super().web_homes if is_cloud else (self.site(self.options), self.options.url)

    @override
    def accepts(self, build: Build) -> frozenset[Capability]:
        """CircleCI acts on workflows: none is there before a build is set up, nor where its configuration failed."""
        accepted = super().accepts(build)
        if build.raw_state in convert.BEFORE_WORKFLOWS:
            accepted -= {Capability.CANCEL}
        if build.raw_state in convert.BEFORE_WORKFLOWS | {"errored"}:
            accepted -= {Capability.RETRY_ALL, Capability.RETRY_FAILED, Capability.RETRY_JOB}
        return accepted

    @override
    async def check(self) -> Account:
        """Costs two requests."""
        me = await self._client.me()
        await self._client.find_organization()
        return Account(name=me.name or me.login or me.id, detail=self._urls.organization)

    @override
    async def pipelines(self, query: str | None = None) -> AsyncIterator[Pipeline]:
        """Yield followed projects, then others that built of late: v1.1 may leave out those of the GitHub App and GitLab.

        Costs two to four requests, and one for each project of the second kind.
        """
        seen: set[str] = set()
        for raw in await self._client.followed():
            pipeline = convert.followed(raw, self._urls)
            if pipeline is not None and urls.fold(pipeline.id) not in seen:
                seen.add(urls.fold(pipeline.id))
                if holds_name(f"{pipeline.path} {pipeline.name}", query or ""):
                    yield pipeline
        slugs = await self._client.building_projects(PROJECT_PAGES)
        others = [slug for slug in slugs if urls.fold(slug) not in seen][:MOST_PROJECTS]
        for project in await all_of(map(self._pipeline_or_none, others)):
            if project is not None and holds_name(f"{project.path} {project.name}", query or ""):
                yield project

    @override
    async def pipeline(self, path: str) -> Pipeline:
        return convert.pipeline(await self._client.project(path), self._urls)

    @override
    async def builds(self, pipeline: str, build_filter: BuildFilter) -> AsyncIterator[Build]:
        """Each build costs one request more, for its workflows; eight are asked for at once."""
        left = build_filter.limit
        async for page in self._client.builds(pipeline, build_filter.branch, SEARCH_PAGES):
            short = (build_filter.commit or "").lower()
            hits = [raw for raw in page if (convert.commit(raw) or "").startswith(short)]
            while hits and left > 0:
                batch, hits = hits[: min(AT_ONCE, left)], hits[min(AT_ONCE, left) :]
                for build in await all_readable(self._read(raw) for raw in batch):
                    if build_filter.is_past(build):
                        return
                    if build_filter.admits(build):
                        left -= 1
                        yield build
            if left <= 0:
                return

    @override
    async def build(self, pipeline: str, build: str) -> Build:
        """Costs two requests, and one more for each workflow that is failing: a job of it may wait for a person."""
        raw = await self._client.build(pipeline, build)
        return await self._thorough(raw, await self._client.workflows(raw.id))

    @override
    async def build_by_number(self, pipeline: str, number: int) -> Build:
        raw = await self._client.build_by_number(pipeline, number)
        return await self._thorough(raw, await self._client.workflows(raw.id))

    @override
    async def build_of_job(self, pipeline: str, job: str) -> Build:
        """Return the build of a job's number. Costs three requests."""
        return await self.build(*await self._client.build_id_of_job(pipeline, job))

    @override
    async def changes(self, cursor: str | None, watched: Watched) -> Changes:
        """Two requests a tick for the whole organization; see `Poll.changes`."""
        return await self._poll.changes(cursor, watched, self.build_or_none)

    # what some can do

    @override
    async def refs(self, pipeline: str, query: str | None = None) -> AsyncIterator[Ref]:
        """Yield the default branch, the branches that ran of late, and what the newest page of builds was made of.

        CircleCI has no list of branches or tags. Costs three requests.
        """
        default = (await self.pipeline(pipeline)).default_branch
        names = [default] if default else []
        names += await self._client.branches(pipeline)
        refs = [Ref(kind=RefKind.BRANCH, name=name) for name in names]
        async for page in self._client.builds(pipeline, None, 1):
            refs += [ref for raw in page if (ref := start.ref_of(raw)) is not None]
        for ref in dict.fromkeys(refs):
            if holds_name(ref.name, query or ""):
                yield ref

    @override
    async def parameters(self, pipeline: str, ref: Ref | None) -> tuple[Parameter, ...]:
        """Return what the configuration of the newest build of `ref` declares. Costs two requests."""
        return await self._starts.parameters(pipeline, ref)

    @override
    async def start_target(self, pipeline: str, request: StartRequest) -> StartTarget:
        """Costs a request where the default branch has to be asked for."""
        start.check(request)
        return start.target(await self._starts.source(pipeline, request), request.options)

    @override
    async def rebuild_target(self, pipeline: str, request: StartRequest) -> StartTarget:
        return StartTarget(also=start.config_branch(request.options))

    @override
    async def start(self, pipeline: str, request: StartRequest) -> Build:
        """Costs two requests, and those that a missing ref, parameters or a definition's name make necessary."""
        start.check(request)
        built = await self._starts.source(pipeline, request)
        return await self._create(pipeline, built, request, {})

    @override
    async def cancel(self, pipeline: str, build: str) -> Build:
        """Stop every workflow that is not over. Costs one request for each, and four."""
        raw = await self._client.build(pipeline, build)
        workflows = [each for each in convert.newest(await self._client.workflows(raw.id)) if convert.is_open(each)]
        if not workflows:
            raise Rejected(
                f"No workflow of build {convert.name_of(raw)} is running.",
                provider=self.label,
                hint="If it has only just begun, its workflows are still to come: try again in a moment.",
            )
        await self._client.cancel(workflows)
        return await self.read_back(self.build(pipeline, build))

    @override
    async def rebuild(self, pipeline: str, build: str, request: StartRequest) -> Build:
        """A new pipeline of the same branch or tag, with the parameters of the old one: it builds the newest commit.

        The same commit runs again with `retry`; a configuration that did not read has nothing to retry.
        """
        start.check(request)
        raw = await self._client.build(pipeline, build)
        built = await self._starts.source(pipeline, request) if request.ref else start.source_of(raw, request.options)
        if built is None:
            raise Rejected(
                f"CircleCI does not say of which branch build {convert.name_of(raw)} was.",
                provider=self.label,
                hint="Start one: `/build run` with a branch.",
            )
        return await self._create(pipeline, built, request, await self._client.values(raw.id))

    @override
    async def retry(self, pipeline: str, build: str, *, failed_only: bool = True, job: str | None = None) -> Build:
        """A rerun is a new workflow in the same build, on the same commit. One job brings those that depend on it."""
        raw = await self._client.build(pipeline, build)
        workflows = await self._client.workflows(raw.id)
        current = convert.current(workflows)
        if not current:
            raise Rejected(
                f"Build {convert.name_of(raw)} has no workflow to run again.",
                provider=self.label,
                hint="Build the same again: `/build rebuild`.",
            )
        rerun = convert.rerun(current, failed_only=failed_only)
        if job is not None:
            rerun = convert.rerun_of_job(await self._client.workflow_jobs(current), job)
        if not rerun.workflows:
            reason, name = "has failed" if failed_only else "is over", convert.name_of(raw)
            raise Rejected(f"No workflow of build {name} {reason}, so there is none to run.", provider=self.label)
        await self._client.rerun(raw.id, rerun, frozenset(workflow.id for workflow in workflows))
        return await self.read_back(self.build(pipeline, build))

    @override
    async def jobs(self, pipeline: str, build: str, *, all_attempts: bool = False) -> tuple[Job, ...]:
        """Costs two requests, and one for each workflow. Jobs of workflows that ran again are earlier attempts."""
        raw = await self._client.build(pipeline, build)
        if not all_attempts:
            return await self._jobs(raw)
        workflows = await self._client.workflows(raw.id)
        pairs = await self._client.workflow_jobs(sorted(workflows, key=lambda each: each.created_at or ""))
        return convert.jobs_of_attempts(pairs, raw, self._urls, convert.newest(workflows))

    @override
    async def log(self, job: Job, tail_bytes: int = LOG_TAIL_BYTES) -> Log:
        """Return the output of the step that failed, else of the last three. Costs one request and one for each."""
        return await log_of(self._api, self._urls, job, tail_bytes)

    @override
    async def artifacts(self, pipeline: str, build: str) -> tuple[Artifact, ...]:
        """Costs one request for each job that ran, forty at most, beside those for the jobs."""
        jobs = convert.jobs_that_ran(await self.jobs(pipeline, build))[:MOST_JOBS]
        files = await all_of(self._client.artifacts(pipeline, job.id) for job in jobs)
        return tuple(convert.artifact(raw, job) for job, raws in zip(jobs, files, strict=True) for raw in raws)

    @override
    async def download(self, artifact: Artifact) -> AsyncIterator[bytes]:
        """Ask where the file lies, then fetch it: two requests. Its address alone is never taken from outside."""
        job = artifact.id.partition("/")[0]
        files = await self._client.artifacts(artifact.pipeline, job) if urls.is_number(job) else []
        url = next((raw.url for raw in files if convert.artifact_id(job, raw) == artifact.id), None)
        if url is None:
            raise NotFound(f"There is no artifact {artifact.name} any more.", provider=self.label)
        async for chunk in self._api.download(url):
            yield chunk

    @override
    async def tests(self, pipeline: str, build: str) -> tuple[TestCase, ...]:
        """Costs a request for each job that ran and each page, beside those for the jobs."""
        tests = await self._client.tests(convert.jobs_that_ran(await self.jobs(pipeline, build))[:MOST_JOBS])
        return tuple(sorted(tests, key=lambda test: test.outcome is not Outcome.FAILED))

    @override
    async def issues(self, pipeline: str, build: str) -> tuple[Issue, ...]:
        """Return faults of the configuration, jobs that ended badly and the tests that failed in them."""
        raw = await self._client.build(pipeline, build)
        broken = [job for job in await self._jobs(raw) if convert.is_broken(job)]
        tests = await self._client.tests(convert.jobs_that_ran(broken)[:MOST_JOBS])
        failed = [test for test in tests if test.outcome is Outcome.FAILED]
        return (*convert.faults(raw, self._urls), *map(convert.job_issue, broken), *map(convert.test_issue, failed))

    @override
    async def counts(self, build: Build) -> IssueCounts:
        """Costs two requests, one for each workflow, and one for each job that ran (forty at most)."""
        raw = await self._client.build(build.pipeline, build.id)
        jobs = await self._jobs(raw)
        ran = convert.jobs_that_ran(jobs)
        tests = await self._client.tests(ran[:MOST_JOBS])
        faults = len(convert.faults(raw, self._urls))
        return convert.counts(faults, jobs, tests, all_tests=len(ran) <= MOST_JOBS)

    @override
    async def approvals(self, pipeline: str, build: str) -> tuple[Approval, ...]:
        raw = await self._client.build(pipeline, build)
        held = await self._client.held(raw.id)
        return tuple(convert.approval(job, workflow, raw, self._urls) for workflow, job in held)

    @override
    async def decide(
        self, approval: Approval, *, approve: bool, fields: Mapping[str, str] | None = None, comment: str | None = None
    ) -> Build:
        """CircleCI takes no comment, and records the token's owner as the one who approved."""
        if not approve:
            raise self.unsupported(Capability.REJECT, approval.url)
        raw = await self._client.build(approval.pipeline, approval.build)
        held = await self._client.held(raw.id)
        workflows = [workflow for workflow, job in held if convert.approval_id(job) == approval.id]
        if not workflows:
            raise Rejected(f"{approval.name} does not wait for anybody any more.", provider=self.label)
        await self._client.approve(raw.id, workflows[0].id, approval.id)
        return await self.read_back(self.build(approval.pipeline, approval.build))

    @override
    def parse_url(self, url: str) -> Page | None:
        return self._urls.parse(url, *self.web_homes)

    @override
    def parse_webhook(
        self, headers: Mapping[str, str], body: bytes, path_secret: str | None = None
    ) -> WebhookEvent | None:
        signature = webhook.check_signature(headers, body, self.webhook_secret())
        return webhook.read_event(body, signature, self._urls.organization)

    async def _pipeline_or_none(self, slug: str) -> Pipeline | None:
        try:
            return await self.pipeline(slug)
        except NotFound:
            return None

    async def _read(self, raw: wire.PipelineWire) -> Build:
        return self._build(raw, await self._client.workflows(raw.id))

    async def _thorough(self, raw: wire.PipelineWire, workflows: Sequence[wire.Workflow]) -> Build:
        """Return a build; a failing workflow costs a request, for a job of it may wait for a person."""
        failing = [workflow for workflow in convert.current(workflows) if workflow.status == "failing"]
        held = any(convert.is_approval(job) for _, job in await self._client.workflow_jobs(failing))
        return self._build(raw, workflows, held=held)

    def _build(self, raw: wire.PipelineWire, workflows: Sequence[wire.Workflow], *, held: bool = False) -> Build:
        now = self._clock()
        return convert.build(raw, workflows, connection=self.connection, pages=self._urls, now=now, held=held)

    async def _jobs(self, raw: wire.PipelineWire) -> tuple[Job, ...]:
        pairs = await self._client.workflow_jobs(convert.newest(await self._client.workflows(raw.id)))
        return tuple(convert.job(job, workflow, raw, self._urls) for workflow, job in pairs)

    async def _create(
        self, pipeline: str, built: Source, request: StartRequest, recorded: Mapping[str, str | int | bool]
    ) -> Build:
        """Start a build with recorded values, of which the request's own replace some."""
        values = {**recorded, **await self._starts.values(pipeline, built, request.parameters)}
        return self._build(
            *await self._starts.create(pipeline, built, values, request.options, send_once=self.send_once)
        )
