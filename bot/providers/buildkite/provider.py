"""Buildkite, REST API v2.

Pages: https://buildkite.com/docs/apis/rest-api and https://buildkite.com/docs/apis/webhooks, read in August 2026.
A build's id in the bot is its number, a pipeline's id its slug: Buildkite's routes take both. Limits: 200 requests a
minute for the organization and 50 for the token's user; 100 items a page; logs up to 1 GiB.
"""

from collections.abc import AsyncIterator, Callable, Mapping
from datetime import datetime, timedelta
from typing import ClassVar

import httpx
import msgspec
from cachetools import LRUCache
from typing_extensions import override

from bot.core.clock import Clock, Sleep, sleep
from bot.core.errors import AuthFailed, NotFound, Rejected
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
from bot.http.client import ApiClient, Query
from bot.providers.base.auth import Bearer
from bot.providers.base.capabilities import Capability
from bot.providers.base.listing import SEARCH_PAGES, matching, parse_items
from bot.providers.base.logs import LOG_TAIL_BYTES, cleaned_log
from bot.providers.base.provider import Provider
from bot.providers.base.urls import is_uuid
from bot.providers.buildkite import convert, errors, start, urls, webhook, wire
from bot.providers.buildkite.client import LEAN, PER_PAGE, BuildkiteClient
from bot.providers.buildkite.options import SCOPES, BuildkiteOptions
from bot.providers.buildkite.poll import Poll

BROKEN_JOBS: Query = {"state[]": convert.BROKEN, "include_retried_jobs": False}
BLOCKED_JOBS: Query = {"state[]": ("blocked",), "include_retried_jobs": False}
SKEW = timedelta(minutes=1)
REPOSITORIES_KEPT = 1000


class Buildkite(Provider[BuildkiteOptions]):
    """One organization at Buildkite."""

    kind = "buildkite"
    label = errors.LABEL
    starts_commits = True
    default_url = "https://api.buildkite.com"
    default_site = urls.SITE
    other_sites = ("https://www.buildkite.com",)
    page = "https://buildkite.com/docs/apis/rest-api"
    states = convert.STATES
    options_type = BuildkiteOptions
    scopes = SCOPES
    cancels_waiting = False
    capabilities = frozenset(Capability) - errors.CANNOT
    refusals: ClassVar[Mapping[Capability, tuple[str, str]]] = errors.REFUSALS
    start_options: ClassVar[Mapping[str, str]] = start.START_OPTIONS
    list_filters = convert.LIST_FILTERS
    finds_builds_anywhere = takes_creators_uuid = True
    list_options: ClassVar[Mapping[str, str]] = convert.LIST_OPTIONS
    everywhere_option = convert.ALL_ORGANIZATIONS
    lists_all_refs = frozenset[RefKind]()  # they are read from builds

    def __init__(
        self, api: ApiClient, options: BuildkiteOptions, *, connection: str, clock: Clock, sleep: Sleep = sleep
    ) -> None:
        super().__init__(api, options, connection=connection, clock=clock, sleep=sleep)
        self._urls = urls.Urls(options.organization, self.site(options))
        self._client = BuildkiteClient(api, self._urls)
        self._poll = Poll(self._client, self._build, clock)
        self._repositories: LRUCache[str, str] = LRUCache(REPOSITORIES_KEPT)

    @override
    @classmethod
    def auth(cls, options: BuildkiteOptions, clock: Clock) -> httpx.Auth:
        return Bearer(options.token)

    map_error = staticmethod(errors.map_error)
    read_quota = staticmethod(errors.read_quota)

    @override
    def accepts(self, build: Build) -> frozenset[Capability]:
        """Buildkite stops scheduled, running and failing builds only; the failed jobs of a failing one run again meanwhile."""
        failing = {Capability.RETRY_FAILED} if build.raw_state == "failing" else frozenset()
        accepted = super().accepts(build) | failing
        return accepted if build.raw_state in convert.CANCELLABLE else accepted - {Capability.CANCEL}

    # what every system can do

    @override
    async def check(self) -> Account:
        """Costs two requests."""
        token = await self._client.token()
        if "read_pipelines" in token.scopes:
            await self._client.find_organization()
        return convert.account(token, self.options.organization, self._clock())

    @override
    async def pipelines(self, query: str | None = None) -> AsyncIterator[Pipeline]:
        """Yield the pipelines that are not archived, a request for each hundred."""
        async for page in self._api.pages(self._urls.pipelines(), {"name": query or None, "per_page": PER_PAGE}):
            for raw in parse_items(page, wire.PipelineWire.of):
                if raw.archived_at is None:
                    yield self._pipeline(raw)

    @override
    async def pipeline(self, path: str) -> Pipeline:
        return self._pipeline(wire.PipelineWire.of((await self._api.get(self._urls.pipeline(path))).raw))

    @override
    async def builds(self, pipeline: str, build_filter: BuildFilter) -> AsyncIterator[Build]:
        """Yield builds, a request for each hundred. The list takes whole commits only; short ones are looked for here."""
        query = {**LEAN, **convert.list_query(build_filter, PER_PAGE)}
        pages = self._api.pages(self._urls.builds(pipeline), query, ceiling=SEARCH_PAGES)
        async for build in matching(pages, self._build, convert.without_creator(build_filter)):
            yield build

    @override
    async def account_builds(self, build_filter: BuildFilter) -> AsyncIterator[Build]:
        """Yield builds of the organization, or of all that the token's user is in. A request for each hundred."""
        route = urls.EVERY_BUILD if convert.is_everywhere(build_filter) else self._urls.all_builds()
        pages = self._api.pages(route, {**LEAN, **convert.list_query(build_filter, PER_PAGE)}, ceiling=SEARCH_PAGES)

        def read(item: msgspec.Raw) -> Build:
            raw = wire.BuildWire.of(item)
            return convert.with_organization(self._read(raw), raw, self._urls.organization)

        async for build in matching(pages, read, convert.without_creator(build_filter)):
            yield build

    @override
    async def build(self, pipeline: str, build: str) -> Build:
        """Return a build by its number, one request; by its UUID, which no route takes, up to six."""
        if is_uuid(build):
            return self._read(await self._client.build_of_uuid(pipeline or None, build.lower()))
        return self._read(await self._client.build(pipeline, build))

    @override
    async def build_by_number(self, pipeline: str, number: int) -> Build:
        return await self.build(pipeline, str(number))

    @override
    async def build_of_job(self, pipeline: str, job: str) -> Build:
        """Costs two requests."""
        raw = wire.JobWire.of((await self._api.get(self._urls.job(job))).raw)
        place = urls.place_of(raw.build_url)
        if place is None or place.number is None:
            return await super().build_of_job(pipeline, job)
        return await self.build(place.pipeline, place.number)

    @override
    async def changes(self, cursor: str | None, watched: Watched) -> Changes:
        """Two requests a tick for the whole organization, three every fifth tick; see `Poll.changes`."""
        return await self._poll.changes(cursor, watched, self.build_or_none)

    @override
    async def refs(self, pipeline: str, query: str | None = None) -> AsyncIterator[Ref]:
        """Yield the default branch, then the branches of the newest 100 builds: Buildkite has no list of branches."""
        default = (await self.pipeline(pipeline)).default_branch
        names = [default] if default else []
        names += [build.branch async for build in self.builds(pipeline, BuildFilter(limit=PER_PAGE)) if build.branch]
        for name in dict.fromkeys(names):
            if holds_name(name, query or ""):
                yield Ref(kind=RefKind.BRANCH, name=name)

    @override
    async def start_target(self, pipeline: str, request: StartRequest) -> StartTarget:
        """Costs what `start` asks beforehand: a request for the default branch or for a pull request's branch."""
        return start.target(await self._start_body(pipeline, request), request)

    @override
    async def start(self, pipeline: str, request: StartRequest) -> Build:
        return await self._create(pipeline, await self._start_body(pipeline, request))

    @override
    async def cancel(self, pipeline: str, build: str) -> Build:
        async def send() -> Build:
            return self._build((await self._api.send("PUT", self._urls.build(pipeline, build, "cancel"))).raw)

        async def confirm() -> Build | None:
            now = await self.build(pipeline, build)
            return now if now.completed or now.raw_state == "canceling" else None

        return await self.send_once(send, confirm)

    @override
    async def rebuild(self, pipeline: str, build: str, request: StartRequest) -> Build:
        """Buildkite copies a build as it was recorded; with other values a new one is made from what was recorded."""
        if request.parameters or request.options or request.message:
            recorded = await self._client.build(pipeline, build)
            return await self._create(pipeline, start.again_body(recorded, request))
        since = self._clock()

        async def send() -> Build:
            return self._build((await self._api.send("PUT", self._urls.build(pipeline, build, "rebuild"))).raw)

        async def confirm() -> Build | None:
            return await self._only_own(
                pipeline, since, lambda raw: raw.rebuilt_from is not None and str(raw.rebuilt_from.number) == build
            )

        return await self.send_once(send, confirm)

    @override
    async def retry(self, pipeline: str, build: str, *, failed_only: bool = True, job: str | None = None) -> Build:
        """A job can be retried once: the retried job has a new id. Raises Rejected where no job can be retried."""
        if job is None and not failed_only:
            raise self.unsupported(Capability.RETRY_ALL, self._urls.build_page(pipeline, build))

        async def send() -> Build:
            if job is not None:
                await self._api.send("PUT", self._urls.job_of(pipeline, build, job, "retry"))
                return await self.read_back(self.build(pipeline, build))
            reply = await self._api.send("PUT", self._urls.build(pipeline, build, "retry_failed_jobs"))
            if wire.Retried.of(reply.raw).retried_jobs_count == 0:
                raise Rejected("No job of this build can be run again.", provider=self.label)
            return self._build(reply.raw)

        async def confirm() -> Build | None:
            if job is not None and not any(
                each.id == job and each.retried for each in await self.jobs(pipeline, build)
            ):
                return None
            now = await self.build(pipeline, build)
            return None if now.completed and job is None else now

        return await self.send_once(send, confirm)

    @override
    async def jobs(self, pipeline: str, build: str, *, all_attempts: bool = False) -> tuple[Job, ...]:
        """Return a build's jobs; those that a retry replaced are marked. A request for each hundred."""
        raws = await self._client.jobs(pipeline, build, {"include_retried_jobs": True})
        return tuple(convert.job(raw, pipeline, build) for raw in raws if raw.type != "waiter")

    @override
    async def log(self, job: Job, tail_bytes: int = LOG_TAIL_BYTES) -> Log:
        """Return the end of a job's log; an empty log is empty. Costs one request."""
        data, truncated = await self._client.log_tail(job.pipeline, job.build, job.id, tail_bytes)
        text = await cleaned_log(data)
        return Log(
            text=text.partition("\n")[2] if truncated and "\n" in text else text,
            truncated=truncated,
            job=job.name,
            url=job.web_url,
        )

    @override
    async def artifacts(self, pipeline: str, build: str) -> tuple[Artifact, ...]:
        """Costs a request for each hundred artifacts, and where there are some, one for each hundred jobs: their names."""
        raws = [raw for raw in await self._client.artifacts(pipeline, build) if raw.state not in convert.GONE]
        names = convert.job_names(await self._client.jobs_or_none(pipeline, build)) if raws else {}
        return tuple(convert.artifact(raw, pipeline, build, names) for raw in raws)

    @override
    def download(self, artifact: Artifact) -> AsyncIterator[bytes]:
        job, _, file = artifact.id.partition("/")
        return self._api.download(
            self._urls.job_of(artifact.pipeline, artifact.build, job, "artifacts", file, "download")
        )

    @override
    async def tests(self, pipeline: str, build: str) -> tuple[TestCase, ...]:
        """Costs a request for the build, one for each hundred tests, one for each run with failures (five at most)."""
        raw = await self._client.with_test_engine(pipeline, build)
        try:
            tests = await self._client.tests(raw.id)
            reasons = await self._client.failure_reasons(raw)
        except (AuthFailed, NotFound) as exc:
            raise self.unsupported(Capability.TESTS) from exc
        cases = (convert.test(test, reasons.get(test.name or "")) for test in tests)
        return tuple(sorted(cases, key=lambda case: case.outcome is not Outcome.FAILED))

    @override
    async def issues(self, pipeline: str, build: str) -> tuple[Issue, ...]:
        """Failed jobs and annotations: Buildkite knows no single errors. Costs two requests."""
        jobs = await self._client.jobs(pipeline, build, BROKEN_JOBS)
        notes = await self._client.annotations(pipeline, build)
        return convert.issues(jobs, notes, self._urls.build_page(pipeline, build))

    @override
    async def counts(self, build: Build) -> IssueCounts:
        """Two requests for a build whose jobs all passed; one more for failed jobs, one more for failed tests.

        Errors are failed jobs, warnings are soft failures and warning annotations. Analyzer warnings are unknown.
        """
        raw = await self._client.with_test_engine(build.pipeline, build.id)
        jobs: list[wire.JobWire] = []
        if convert.may_have_broken_jobs(raw):
            jobs = await self._client.jobs(build.pipeline, build.id, BROKEN_JOBS)
        notes = await self._client.annotations(build.pipeline, build.id)
        return convert.counts(jobs, notes, failed_tests=await self._client.failed_tests(raw))

    @override
    async def approvals(self, pipeline: str, build: str) -> tuple[Approval, ...]:
        jobs = await self._client.jobs(pipeline, build, BLOCKED_JOBS)
        page = self._urls.build_page(pipeline, build)
        return tuple(
            convert.approval(raw, pipeline, build, page) for raw in jobs if raw.type == "manual" and raw.unblockable
        )

    @override
    async def decide(
        self, approval: Approval, *, approve: bool, fields: Mapping[str, str] | None = None, comment: str | None = None
    ) -> Build:
        """Buildkite takes no comment, and records the token's owner as the one who unblocked."""
        if not approve:
            raise self.unsupported(Capability.REJECT, approval.url)
        pipeline, build = approval.pipeline, approval.build

        async def send() -> Build:
            route = self._urls.job_of(pipeline, build, approval.id, "unblock")
            try:
                await self._api.send("PUT", route, json={"fields": dict(fields)} if fields else None)
            except Rejected as exc:
                hint = f"The step may ask for values that only its page shows: {approval.url}"
                raise Rejected(str(exc), provider=self.label, status=exc.status, hint=hint) from exc
            return await self.read_back(self.build(pipeline, build))

        async def confirm() -> Build | None:
            if any(left.id == approval.id for left in await self.approvals(pipeline, build)):
                return None
            return await self.build(pipeline, build)

        return await self.send_once(send, confirm)

    @override
    def parse_url(self, url: str) -> Page | None:
        return self._urls.parse(url, *self.web_homes)

    @override
    def parse_webhook(
        self, headers: Mapping[str, str], body: bytes, path_secret: str | None = None
    ) -> WebhookEvent | None:
        delivery = webhook.check_signature(headers, body, self.webhook_secret(), self._clock())
        return webhook.read_event(body, delivery, self.options.organization)

    # private

    def _pipeline(self, raw: wire.PipelineWire) -> Pipeline:
        pipeline = convert.pipeline(raw)
        if pipeline.repository:
            self._repositories[pipeline.id] = pipeline.repository
        return pipeline

    def _read(self, raw: wire.BuildWire) -> Build:
        return convert.build(raw, self.connection, self._repositories)

    def _build(self, payload: msgspec.Raw) -> Build:
        return self._read(wire.BuildWire.of(payload))

    async def _start_body(self, pipeline: str, request: StartRequest) -> dict[str, object]:
        """Return the whole body of a start. Costs a request where the branch has to be asked for."""
        body = start.start_body(request)
        if request.ref is not None and request.ref.kind is RefKind.PULL_REQUEST:
            start.pull_request_number(request.ref.name)
            recent = [] if request.options.get("branch") else await self._client.recent_builds(pipeline)
            return start.of_pull_request(request, recent) | body
        ask = start.needs_default_branch(request)
        default = (await self.pipeline(pipeline)).default_branch if ask else None
        return start.placed(request, default_branch=default) | body

    async def _create(self, pipeline: str, body: Mapping[str, object]) -> Build:
        """Start a build once; without a usable answer the own one is looked for by commit, branch and message."""
        since = self._clock()

        async def send() -> Build:
            try:
                return self._build((await self._api.post(self._urls.builds(pipeline), json=body)).raw)
            except Rejected as exc:
                raise start.explained(exc, body) from exc

        async def confirm() -> Build | None:
            return await self._only_own(pipeline, since, lambda raw: start.is_like(raw, body))

        return await self.send_once(send, confirm)

    async def _only_own(self, pipeline: str, since: datetime, fits: Callable[[wire.BuildWire], bool]) -> Build | None:
        """Return the one build that this token's user made by API since then and that fits; None where two do."""
        own = [raw for raw in await self._client.own_builds(pipeline, since - SKEW) if fits(raw)]
        return self._read(own[0]) if len(own) == 1 else None
