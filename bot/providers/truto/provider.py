"""Truto, the unified CI/CD API: one API in front of six CI systems.

Pages: https://truto.one/docs/api-reference/unified-ci-cd-api/ and Truto's pages on the proxy and custom APIs, errors
and webhooks, read in August 2026. A connection is one integrated account: one tenant's of one CI system; each system
has its class (`Truto.variant`). Reading goes through the unified model; what acts is a request of the system's own
that Truto passes on. Limits: 50 requests in 10 seconds for an account, 500 for a token, and the system's own.
"""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import aclosing
from typing import ClassVar

import httpx
from cachetools import LRUCache
from typing_extensions import override

from bot.core.clock import Clock, Sleep, sleep
from bot.core.errors import AuthFailed, NotFound, ProviderError, Rejected, Unsupported
from bot.core.models import (
    Account,
    Artifact,
    Build,
    BuildFilter,
    Changes,
    Issue,
    IssueCounts,
    Job,
    Log,
    Page,
    Pipeline,
    Ref,
    RefKind,
    StartRequest,
    StartTarget,
    Watched,
    WebhookEvent,
)
from bot.http.client import ApiClient
from bot.providers.base.auth import Bearer
from bot.providers.base.capabilities import Capability
from bot.providers.base.logs import LOG_TAIL_BYTES, cleaned_log
from bot.providers.base.provider import Provider
from bot.providers.truto import convert, errors, proxy, start, urls, webhook
from bot.providers.truto.client import LIST_OPTIONS, POLL_PAGE, READS, SHOW_OPTIONS, BuildQuery, Client, narrows
from bot.providers.truto.options import LABEL, LABELS, SCOPES, Integration, TrutoOptions
from bot.providers.truto.poll import Poll
from bot.providers.truto.proxy import PASSED_ON, Call, Proxy, Started

SETTLING_SECONDS = (0.0, 1.0, 2.0)
STARTS_KEPT = 500


class Truto(Provider[TrutoOptions]):
    """One integrated account at Truto. Repositories (at Jenkins: jobs) are the pipelines."""

    kind = "truto"
    label = LABEL
    default_url = urls.API
    page = "https://truto.one/docs/api-reference/unified-ci-cd-api/"
    states = convert.STATES
    options_type = TrutoOptions
    scopes = SCOPES
    capabilities = frozenset({Capability.WEBHOOK}).union(*READS.values(), *PASSED_ON.values())
    refusals: ClassVar[Mapping[Capability, tuple[str, str]]] = errors.NEVER
    list_options: ClassVar[Mapping[str, str]] = LIST_OPTIONS
    lists_parts = True
    show_options: ClassVar[Mapping[str, str]] = SHOW_OPTIONS
    lists_all_refs = frozenset({RefKind.BRANCH})

    def __init__(
        self, api: ApiClient, options: TrutoOptions, *, connection: str, clock: Clock, sleep: Sleep = sleep
    ) -> None:
        super().__init__(api, options, connection=connection, clock=clock, sleep=sleep)
        self.integration = options.integration
        self._client = Client(api, options, connection)
        self._proxy = Proxy(api, self._client.account_query, self._client.system, clock)
        self._poll = Poll(self._client, clock)
        self._started: LRUCache[str, bool] = LRUCache(STARTS_KEPT)

    @override
    @classmethod
    def variant(cls, options: TrutoOptions) -> type[Provider[TrutoOptions]]:
        return VARIANTS[options.integration]

    @override
    @classmethod
    def auth(cls, options: TrutoOptions, clock: Clock) -> httpx.Auth:
        return Bearer(options.token)

    map_error = staticmethod(errors.map_error)
    read_quota = staticmethod(errors.read_quota)

    @property
    @override
    def web_homes(self) -> tuple[str, ...]:
        return urls.homes(self.options)

    @override
    def accepts(self, build: Build) -> frozenset[Capability]:
        return frozenset(filter(self.can, super().accepts(build)))

    @override
    async def as_sent(self, pipeline: str, build: str | None, options: Mapping[str, str]) -> bytes | None:
        return await self._client.as_sent(pipeline, build, options)

    @override
    async def check(self) -> Account:
        """Return whose the account is and what it lacks: the account, what it offers, one build. Costs three requests."""
        return await self._client.check()

    @override
    def pipelines(self, query: str | None = None) -> AsyncIterator[Pipeline]:
        """Yield what the options name, then what Truto lists beside it; of CircleCI it lists nothing."""
        return self._client.pipelines(query or "")

    @override
    async def pipeline(self, path: str) -> Pipeline:
        """Return a pipeline. One request for an id as the system takes it, else a search of the list."""
        return await self._client.pipeline(path)

    @override
    def builds(self, pipeline: str, build_filter: BuildFilter) -> AsyncIterator[Build]:
        """Yield builds. One request a page; one more for each of which the list reports no state (Jenkins, CircleCI)."""
        return self._client.builds(pipeline, build_filter)

    @override
    async def build(self, pipeline: str, build: str) -> Build:
        """Return a build. Costs one request, at CircleCI one more. Raises NotFound for another pipeline's."""
        return await self._client.build(pipeline, build)

    @override
    async def build_of_job(self, pipeline: str, job: str) -> Build:
        """Return the build that a job of GitHub or Travis CI names. Costs two requests."""
        build = None
        if self.integration is Integration.TRAVIS:
            build = await self._proxy.travis_build_of(job)
        if self.integration is Integration.GITHUB:
            build = convert.build_of_job(await self._client.raw_job(pipeline, job))
        return await (self.build(pipeline, build) if build else super().build_of_job(pipeline, job))

    @override
    def poll_target(self, pipeline: str) -> str:
        """Return the pipeline: each is polled on its own."""
        return pipeline

    @override
    async def changes(self, cursor: str | None, watched: Watched) -> Changes:
        """Return changed builds. One request a poll for each watched pipeline: no list holds the whole account.

        One more for every ten builds that began since, and for each unfinished build that the list does not show, or
        shows without a state (Jenkins, CircleCI). After a refusal by the system behind Truto nothing is sent for a
        minute, then one request to Truto, until somebody has reconnected the connection.
        """
        return await self._poll.changes(cursor, watched)

    @override
    async def refs(self, pipeline: str, query: str | None = None) -> AsyncIterator[Ref]:
        """Yield branches. One request a page."""
        self._require(Capability.REFS)
        async for name in self._client.branches(pipeline, query or ""):
            yield Ref(kind=RefKind.BRANCH, name=name)

    @override
    async def start_target(self, pipeline: str, request: StartRequest) -> StartTarget:
        """Return what will be built. Costs a request where no ref is named, and for a bare commit."""
        self._require(Capability.START)
        start.check_source(self.integration, request)
        is_default = request.ref is None or request.ref.kind is RefKind.COMMIT
        default_branch = (await self._client.pipeline(pipeline)).default_branch if is_default else None
        return start.start_target(self.integration, request, default_branch)

    @override
    async def start(self, pipeline: str, request: StartRequest) -> Build:
        """Start a build and return it. Costs two requests, one more without a ref; at Travis CI as many as it takes."""
        self._require(Capability.START)
        start.check(self.integration, request)
        start.check_source(self.integration, request)
        ref = request.ref or Ref(kind=RefKind.BRANCH, name=await self._client.default_branch(pipeline))
        call = start.start_call(self._client.place(pipeline), request, ref)
        target = start.start_target(self.integration, request, ref.name if request.ref is None else None)
        return await self._begin(Capability.START, pipeline, call, target)

    @override
    async def cancel(self, pipeline: str, build: str) -> Build:
        """Stop a build: one request, one to read it; at CircleCI one for each open workflow and one for their list."""
        self._require(Capability.CANCEL)
        await self._client.check_own(pipeline, build)
        place = self._client.place(pipeline)
        targets = [build]
        if self.integration is Integration.CIRCLECI:
            targets = proxy.open_flows(await self._proxy.workflows(Capability.CANCEL, build))

        def is_cancelled(state: Build) -> bool:
            return state.completed or state.raw_state == "cancelling"

        calls = [proxy.cancel_call(place, target) for target in targets]
        return await self._act(Capability.CANCEL, pipeline, build, calls, is_cancelled)

    @override
    async def rebuild(self, pipeline: str, build: str, request: StartRequest) -> Build:
        """Start a build of the same source with the same values. Costs three requests, at Bitbucket four.

        Raises Rejected where a value of the old build is not reported and `request` does not give it.
        """
        self._require(Capability.REBUILD)
        start.check(self.integration, request)
        start.check_rebuild(request)
        place, raw = self._client.place(pipeline), await self._client.raw_build(pipeline, build)
        before = convert.build(raw, place)
        if self.integration is Integration.AZURE:
            call = start.azure_rebuild(place, raw, before, request)
        else:
            run = await self._proxy.bitbucket_run(Capability.REBUILD, place, build)
            call = start.bitbucket_rebuild(place, raw, before, run, request)
        return await self._begin(Capability.REBUILD, pipeline, call, start.target_of(before))

    @override
    async def retry(self, pipeline: str, build: str, *, failed_only: bool = True, job: str | None = None) -> Build:
        """Run jobs again. At CircleCI each of the newest workflows runs again, at Travis CI each failed job."""
        of_build = Capability.RETRY_FAILED if failed_only else Capability.RETRY_ALL
        operation = of_build if job is None else Capability.RETRY_JOB
        self._require(operation)
        await self._client.check_own(pipeline, build)
        calls = await self._retry_calls(operation, pipeline, build, job)
        return await self._act(operation, pipeline, build, calls, lambda state: not state.completed)

    @override
    async def jobs(self, pipeline: str, build: str, *, all_attempts: bool = False) -> tuple[Job, ...]:
        """Return a build's jobs. One request a page."""
        self._require(Capability.JOBS)
        return await self._client.jobs(pipeline, build)

    @override
    async def log(self, job: Job, tail_bytes: int = LOG_TAIL_BYTES) -> Log:
        """Return the end of a job's log. Costs one request, passed on to the system."""
        self._require(Capability.LOG)
        route = proxy.log_path(self._client.place(job.pipeline), job.build, job.id)
        data, truncated = await self._proxy.tail(Capability.LOG, route, tail_bytes)
        text = await cleaned_log(data)
        return Log(
            text=text.partition("\n")[2] if truncated and "\n" in text else text,
            truncated=truncated,
            job=job.name,
            url=job.web_url,
        )

    @override
    async def artifacts(self, pipeline: str, build: str) -> tuple[Artifact, ...]:
        """Return artifacts. One request a page; at CircleCI one for each of the build's first twenty jobs."""
        self._require(Capability.ARTIFACTS)
        return await self._client.artifacts(pipeline, build)

    @override
    def download(self, artifact: Artifact) -> AsyncIterator[bytes]:
        """Yield GitHub's artifact, a zip. Costs one request, passed on."""
        self._require(Capability.DOWNLOAD)
        route = proxy.archive_path(self._client.place(artifact.pipeline), artifact.id)
        return self._proxy.download(Capability.DOWNLOAD, route)

    @override
    async def issues(self, pipeline: str, build: str) -> tuple[Issue, ...]:
        """Return failed jobs: Truto knows no single errors. One request a page of jobs."""
        self._require(Capability.ISSUES)
        return convert.issues(await self.jobs(pipeline, build))

    @override
    async def counts(self, build: Build) -> IssueCounts:
        """Return issue counts: failed jobs; as warnings those allowed to fail, which Travis CI alone reports."""
        self._require(Capability.COUNTS)
        jobs = await self.jobs(build.pipeline, build.id)
        return convert.counts(jobs, tells_tolerated=self.integration is Integration.TRAVIS)

    @override
    def parse_url(self, url: str) -> Page | None:
        """Read the pages of the system behind Truto, which has none. Those of a Jenkins only below `url`."""
        return urls.parse_url(url, self._client.place(self.options.home), *self.web_homes)

    @override
    def parse_webhook(
        self, headers: Mapping[str, str], body: bytes, path_secret: str | None = None
    ) -> WebhookEvent | None:
        """Return that something changed; Truto never reports which build."""
        secret = self.webhook_secret()
        if not webhook.is_signed(headers, body, secret):
            raise AuthFailed("The webhook's signature does not fit.", provider=self.label, status=401)
        return webhook.parse_event(body, self.options.integrated_account_id, secret)

    @override
    def can(self, capability: Capability) -> bool:
        """Return whether the connection can do a thing: not while Truto does not pass its requests on."""
        operation = Capability.LOG if capability is Capability.LIVE_LOG else capability
        return super().can(capability) and not self._proxy.lacks(operation)

    @override
    def unsupported(self, capability: Capability, url: str | None = None) -> Unsupported:
        if capability in self.capabilities and not self.can(capability):
            return errors.not_passed_on(self._client.system)
        why_not = errors.WHY_NOT[self.integration].get(capability)
        if why_not is None:
            return super().unsupported(capability, url)
        words, hint = why_not
        return Unsupported(words, provider=self.label, hint=hint)

    def _require(self, capability: Capability) -> None:
        if not self.can(capability):
            raise self.unsupported(capability)

    async def _act(
        self,
        operation: Capability,
        pipeline: str,
        build: str,
        calls: list[Call],
        has_acted: Callable[[Build], bool],
    ) -> Build:
        """Send requests once and return the build after them; without an answer `has_acted` judges how it stands."""

        async def send() -> Build:
            await self._proxy.act(operation, self.integration, calls, self._sleep)
            return await self.read_back(self.build(pipeline, build))

        async def confirm() -> Build | None:
            state = await self.build(pipeline, build)
            return state if has_acted(state) else None

        return await self.send_once(send, confirm)

    async def _begin(self, operation: Capability, pipeline: str, call: Call, target: StartTarget) -> Build:
        """Start a build once and return it. Without an answer it is looked for by time, trigger and source."""
        since = self._clock()

        async def send() -> Started:
            return await self._proxy.start(operation, self.integration, call)

        async def confirm() -> Started | None:
            async with aclosing(self._client.listed_builds(pipeline, BuildQuery(limit=POLL_PAGE))) as builds:
                own = [
                    build.id
                    async for build in builds
                    if build.id not in self._started and start.is_own_start(build, target, since)
                ]
            return Started(id=own[0]) if len(own) == 1 else None

        started = await self.send_once(send, confirm)
        build = started.id
        if started.is_request:
            build = await self._proxy.build_of_request(self._client.place(pipeline), started.id, self._sleep)
        self._started[build] = True
        return await self._read_started(pipeline, build, target)

    async def _read_started(self, pipeline: str, build: str, target: StartTarget) -> Build:
        """Return what was started; where it can't be read yet, what is known of it."""
        for pause in SETTLING_SECONDS:
            await self._sleep(pause)
            try:
                return await self.build(pipeline, build)
            except ProviderError:
                continue
        return start.unread_build(self._client.place(pipeline), build, target)

    async def _retry_calls(self, operation: Capability, pipeline: str, build: str, job: str | None) -> list[Call]:
        """Return the requests that run jobs again. Raises Rejected where there are none, NotFound for a foreign job."""
        place = self._client.place(pipeline)
        failed_only = operation is Capability.RETRY_FAILED
        if job is not None:
            if job not in {each.id for each in await self.jobs(pipeline, build)}:
                raise NotFound(f"Job {job} is not of build {build}.", provider=self.label)
            return [proxy.job_retry_call(place, job)]
        if self.integration is Integration.CIRCLECI:
            flows = await self._proxy.workflows(operation, build)
            calls = proxy.flow_retry_calls(place, flows, failed_only=failed_only)
        elif self.integration is Integration.TRAVIS and failed_only:
            failed = [each for each in await self.jobs(pipeline, build) if convert.may_run_again(each)]
            calls = [proxy.job_retry_call(place, each.id) for each in failed]
        else:
            calls = [proxy.retry_call(place, build, failed_only=failed_only)]
        if not calls:
            raise Rejected("Nothing in this build can be run again.", provider=self.label)
        return calls


def _variant(integration: Integration) -> type[Truto]:
    """Return the class for one system: what it can do, takes and lists."""
    return type(
        f"Truto{integration.name.title()}",
        (Truto,),
        {
            "__doc__": f"One integrated account at Truto, connected to {LABELS[integration]}.",
            "capabilities": READS[integration] | PASSED_ON[integration] | {Capability.WEBHOOK},
            "start_options": start.START_OPTIONS[integration],
            "narrows": lambda _self, build_filter: narrows(integration, build_filter),
            "takes_message": integration in start.TAKES_MESSAGE,
            "starts_commits": Capability.START in PASSED_ON[integration] and integration not in start.WITHOUT_COMMITS,
            "lists_all_refs": frozenset() if integration is Integration.TRAVIS else Truto.lists_all_refs,
        },
    )


VARIANTS: Mapping[Integration, type[Truto]] = {integration: _variant(integration) for integration in Integration}
"""The class for each system behind Truto."""
