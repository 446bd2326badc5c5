"""Travis CI, API version 3: travis-ci.com or an installation of one's own.

Pages: https://developer.travis-ci.com/ and https://docs.travis-ci.com/user/notifications/, read in August 2026. The ids of
builds and pipelines are Travis's own numbers. A start makes a request, which makes the build. Limits: 2,000 requests a
minute; more than 50 POSTs in 30 seconds are answered with an hour's ban; ten starts an hour for a repository; 100
items a page.
"""

from collections.abc import AsyncIterator, Callable, Mapping
from typing import ClassVar

import httpx
from cachetools import LRUCache
from typing_extensions import override

from bot.core.clock import Clock, Sleep, sleep
from bot.core.errors import AuthFailed, NotFound, ProviderError, Rejected, Unavailable
from bot.core.models import (
    Account,
    Build,
    BuildFilter,
    Changes,
    Issue,
    IssueCounts,
    IssueKind,
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
from bot.core.text import folded
from bot.core.workers import in_worker
from bot.http.client import ApiClient, Query
from bot.providers.base.capabilities import Capability
from bot.providers.base.listing import parse_items
from bot.providers.base.logs import LOG_TAIL_BYTES
from bot.providers.base.provider import Provider
from bot.providers.travis import client, convert, start, urls, webhook, wire
from bot.providers.travis.auth import TokenAuth
from bot.providers.travis.client import PER_PAGE, Client
from bot.providers.travis.options import LABEL, SCOPES, TravisOptions
from bot.providers.travis.poll import Poll
from bot.providers.travis.start import Body

MOST_RESTARTS = 25
REQUESTS_KEPT = 500
NEWEST_FIRST: Query = {"repository.active": True, "sort_by": "current_build:desc", "limit": PER_PAGE}


class Travis(Provider[TravisOptions]):
    """One owner's repositories at Travis CI."""

    kind = "travis"
    label = LABEL
    starts_commits = True
    default_url = urls.API
    default_site = urls.SITE
    other_sites = urls.OTHER_SITES
    api_suffix = urls.API_FOLDER
    page = "https://developer.travis-ci.com/"
    states = convert.STATES
    options_type = TravisOptions
    scopes = SCOPES
    capabilities = frozenset(
        {
            Capability.REFS,
            Capability.START,
            Capability.CANCEL,
            Capability.REBUILD,
            Capability.RETRY_ALL,
            Capability.RETRY_FAILED,
            Capability.RETRY_JOB,
            Capability.JOBS,
            Capability.LOG,
            Capability.LIVE_LOG,
            Capability.ISSUES,
            Capability.COUNTS,
            Capability.WEBHOOK,
            Capability.ACCOUNT_POLL,
        }
    )
    refusals: ClassVar[Mapping[Capability, tuple[str, str]]] = {
        Capability.PARAMETERS: (
            "Travis does not tell which variables a build reads.",
            "Give them as KEY=VALUE; they become environment variables of the build.",
        ),
        Capability.ARTIFACTS: (
            "Travis keeps no artifacts: builds upload them elsewhere.",
            "Look where the build's `addons: artifacts` or `deploy` puts them.",
        ),
        Capability.DOWNLOAD: (
            "Travis keeps no artifacts: builds upload them elsewhere.",
            "Look where the build's `addons: artifacts` or `deploy` puts them.",
        ),
        Capability.TESTS: ("Travis knows no tests, only logs.", "Read the job's log: `/build logs`."),
        Capability.APPROVALS: ("Travis has no steps that wait for a person.", "Its stages run one after the other."),
        Capability.DECIDE: ("Travis has no steps that wait for a person.", "Its stages run one after the other."),
        Capability.REJECT: ("Travis has no steps that wait for a person.", "Cancel the build instead."),
        Capability.ERASE: ("Travis deletes logs one by one, and I don't do that.", "Delete them on the jobs' pages."),
        Capability.PIPELINE_ADMIN: (
            "Travis's repositories are managed on their own pages.",
            "Open the repository's settings.",
        ),
    }
    start_options: ClassVar[Mapping[str, str]] = start.START_OPTIONS
    list_filters = convert.LIST_FILTERS
    lists_all_refs = frozenset[RefKind]()  # Travis knows a branch only after its first build

    def __init__(
        self, api: ApiClient, options: TravisOptions, *, connection: str, clock: Clock, sleep: Sleep = sleep
    ) -> None:
        super().__init__(api, options, connection=connection, clock=clock, sleep=sleep)
        self._client = Client(api, options, connection, clock, sleep)
        self._poll = Poll(self._client)
        self._requests: LRUCache[int, bool] = LRUCache(REQUESTS_KEPT)

    @override
    @classmethod
    def auth(cls, options: TravisOptions, clock: Clock) -> httpx.Auth:
        return TokenAuth(options.token)

    map_error = staticmethod(client.map_error)

    @override
    @classmethod
    def headers(cls, options: TravisOptions) -> Mapping[str, str]:
        return {"Travis-API-Version": "3"}

    @override
    def accepts(self, build: Build) -> frozenset[Capability]:
        """Return what Travis accepts: it makes no new build of a pull request."""
        accepted = super().accepts(build)
        return accepted - {Capability.REBUILD} if build.pull_request else accepted

    @override
    async def check(self) -> Account:
        """Return whose the token is. Costs two requests, with an unknown webhook key three."""
        return await self._client.account()

    @override
    async def pipelines(self, query: str | None = None) -> AsyncIterator[Pipeline]:
        """Yield active repositories, the last built first. Costs one request for each hundred."""
        part = folded(query or "")
        async for page in self._client.repositories(NEWEST_FIRST):
            for repository in parse_items(page, wire.Repository.of):
                pipeline = self._client.read_pipeline(repository)
                if part in folded(pipeline.path):
                    yield pipeline

    @override
    async def pipeline(self, path: str) -> Pipeline:
        """Return a repository by number, `owner/name` or name. Costs one request. Raises NotFound for other owners'."""
        return self._client.read_pipeline(await self._client.repository(path))

    @override
    def builds(self, pipeline: str, build_filter: BuildFilter) -> AsyncIterator[Build]:
        """Yield builds. Costs one request for each hundred looked through, and one for the repository's name."""
        return self._client.builds(pipeline, build_filter)

    @override
    async def build(self, pipeline: str, build: str) -> Build:
        """Return a build. Costs two requests: the build and its jobs. Raises NotFound for another repository's."""
        return await self._client.whole(pipeline, build)

    @override
    async def build_by_number(self, pipeline: str, number: int) -> Build:
        """Return the build with a number: reckoned from the newest, else looked for. Costs four requests or more."""
        build = await self._client.by_number(pipeline, number)
        if build is None:
            build = (await super().build_by_number(pipeline, number)).id
        return await self.build(pipeline, build)

    @override
    async def build_of_job(self, pipeline: str, job: str) -> Build:
        """Return the build that a job names. Costs three requests."""
        raw = await self._client.job(pipeline, job)
        if raw.build is None:
            raise NotFound(f"{self.label} does not tell which build job {job} belongs to.", provider=self.label)
        return await self.build(pipeline, str(raw.build.id))

    @override
    async def changes(self, cursor: str | None, watched: Watched) -> Changes:
        """Return changed builds. Two requests a poll for the whole owner: what runs, and the newest builds.

        Besides, one for a repository in which a build began since (or that is watched for the first time), two for
        each build that ended, and one every six hours for the key of webhooks.
        """
        await self._client.fetch_webhook_key()
        return await self._poll.changes(cursor, watched)

    @override
    async def refs(self, pipeline: str, query: str | None = None) -> AsyncIterator[Ref]:
        """Yield branches, the last built first; Travis lists no tags. Costs one request for each hundred."""
        async for name in self._client.branches(pipeline, query):
            yield Ref(kind=RefKind.BRANCH, name=name)

    @override
    async def start_target(self, pipeline: str, request: StartRequest) -> StartTarget:
        """Return what will be built. Costs a request where neither a branch nor a tag is named."""
        start.check_source(request)
        body = start.source(request)
        is_default = "branch" not in body and "tag_name" not in body
        return start.start_target(request, (await self.pipeline(pipeline)).default_branch if is_default else None)

    @override
    async def start(self, pipeline: str, request: StartRequest) -> Build:
        """Ask for a build, and return it once Travis has made it of the request, which may take a minute.

        Costs four requests or more.
        """
        start.check(request)
        start.check_source(request)
        return await self._create(pipeline, start.start_body(request))

    @override
    async def cancel(self, pipeline: str, build: str) -> Build:
        """Stop a build that waits or runs. Costs four requests."""
        await self._client.build(pipeline, build)

        async def send() -> bool:
            await self._client.post(urls.build_path(build, "cancel"))
            return True

        async def confirm() -> bool | None:
            return None if await self._client.is_running(urls.build_path(build)) else True

        await self.send_once(send, confirm)
        return await self.read_back(self.build(pipeline, build))

    @override
    async def rebuild(self, pipeline: str, build: str, request: StartRequest) -> Build:
        """Start a build of the same commit. Costs five requests or more.

        Raises Rejected for builds of pull requests, and for those started with values that the request does not give.
        """
        start.check(request)
        start.check_rebuild(request)
        return await self._create(pipeline, start.rebuild_body(await self._client.build(pipeline, build), request))

    @override
    async def retry(self, pipeline: str, build: str, *, failed_only: bool = True, job: str | None = None) -> Build:
        """Run jobs again; the build keeps its number. Failed ones are restarted one by one, a second apart.

        Costs four requests, and one more for each further job.
        """
        if job is not None:
            raw = await self._client.job(pipeline, job)
            if raw.build is None or str(raw.build.id) != build:
                raise NotFound(f"Job {job} is not of build {build}.", provider=self.label)
            await self._restart(urls.job_path, job)
        elif not failed_only:
            await self._client.build(pipeline, build)
            await self._restart(urls.build_path, build)
        else:
            await self._restart_failed(await self.jobs(pipeline, build))
        return await self.read_back(self.build(pipeline, build))

    @override
    async def jobs(self, pipeline: str, build: str, *, all_attempts: bool = False) -> tuple[Job, ...]:
        """Return a build's jobs. Costs one request."""
        return await self._client.jobs(pipeline, build)

    @override
    async def log(self, job: Job, tail_bytes: int = LOG_TAIL_BYTES) -> Log:
        """Return the end of a job's log, also while it runs. Costs one request."""
        data, truncated = await self._client.log_tail(job, tail_bytes)
        if not data:
            raise NotFound("This job has no log yet.", provider=self.label)
        whole_lines = data.partition(b"\n")[2] if truncated and b"\n" in data else data
        text = await in_worker(convert.log_text, whole_lines)
        return Log(text=text, truncated=truncated, job=job.name, url=job.web_url)

    @override
    async def issues(self, pipeline: str, build: str) -> tuple[Issue, ...]:
        """Return failed jobs: Travis knows no single errors. Costs one request."""
        issues = [convert.issue(job) for job in await self.jobs(pipeline, build) if convert.has_failed(job)]
        return tuple(sorted(issues, key=lambda issue: issue.kind is not IssueKind.ERROR))

    @override
    async def counts(self, build: Build) -> IssueCounts:
        """Return issue counts: failed jobs, and as warnings those allowed to fail. Tests are unknown. One request."""
        return convert.counts(await self.jobs(build.pipeline, build.id))

    @override
    def parse_url(self, url: str) -> Page | None:
        return urls.parse_url(url, self.options, *self.web_homes)

    @override
    def parse_webhook(
        self, headers: Mapping[str, str], body: bytes, path_secret: str | None = None
    ) -> WebhookEvent | None:
        """Return the build that a webhook names. `check` and `changes` fetch the key; without it all are refused."""
        key = self._client.webhook_key
        if not key.is_known:
            raise AuthFailed(
                f"Travis's public key is not known yet, so I refuse webhooks of {self.connection}.",
                provider=self.label,
                status=401,
                hint="It is fetched with the next poll. Or give it as `webhook_secret`.",
            )
        payload = webhook.payload_of(body)
        if not key.verify(headers.get("signature", ""), payload):
            raise AuthFailed("The webhook's signature does not fit.", provider=self.label, status=401)
        return webhook.parse_event(payload, self.options.owner)

    # helpers

    async def _restart(self, route: Callable[..., str], number: str) -> None:
        """Run a build or a job again, once; `route` makes its paths."""

        async def send() -> bool:
            await self._client.post(route(number, "restart"))
            return True

        async def confirm() -> bool | None:
            return await self._client.is_running(route(number)) or None

        await self.send_once(send, confirm)

    async def _restart_failed(self, jobs: tuple[Job, ...]) -> None:
        """Run each failed job again. Raises Rejected where there is none, too many, or Travis refuses all of them."""
        failed = [job for job in jobs if convert.may_restart(job)]
        if not failed:
            raise Rejected("No job of this build failed.", provider=self.label)
        if len(failed) > MOST_RESTARTS:
            raise Rejected(
                f"{len(failed)} jobs failed, and Travis takes restarts only one by one.",
                provider=self.label,
                hint="Run the whole build again: `/build retry --all`.",
            )
        refusals: list[Rejected] = []
        for job in failed:
            try:
                await self._restart(urls.job_path, job.id)
            except Rejected as exc:
                refusals.append(exc)
        if len(refusals) == len(failed):
            raise refusals[0]

    async def _create(self, pipeline: str, body: Body) -> Build:
        """Ask for a build once and return it. Without an answer the request is looked for among the newest ones."""
        since = self._clock()

        async def send() -> int:
            return await self._client.request_build(pipeline, body)

        async def confirm() -> int | None:
            is_default = "branch" not in body and "tag_name" not in body
            default_branch = (await self.pipeline(pipeline)).default_branch if is_default else None
            own = [
                request.id
                for request in await self._client.requests(pipeline)
                if request.id not in self._requests and start.is_own_request(request, body, default_branch, since)
            ]
            return own[0] if len(own) == 1 else None

        request = await self.send_once(send, confirm)
        self._requests[request] = True
        try:
            return await self._client.build_of_request(pipeline, request)
        except Rejected:
            raise
        except ProviderError as exc:
            if isinstance(exc, Unavailable) and exc.acted:
                raise
            raise Unavailable(
                "Travis has taken the request, but I can't read which build it made.",
                provider=self.label,
                status=exc.status,
                hint=self._client.requests_page(pipeline) or "Look at its page before you repeat it.",
                acted=True,
            ) from exc
