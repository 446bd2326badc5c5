"""Xcode Cloud, over the App Store Connect API.

Facts: Apple's OpenAPI document 4.4.1 and the pages "Xcode Cloud Workflows and Builds", "Generating Tokens for API
Requests", "Identifying Rate Limits" and "Configuring webhooks in Xcode Cloud", checked 2026-11. Limits: about 3,600
requests an hour for each key; lists of at most 200; no list of all builds; no cancel; no text logs; unsigned webhooks.
"""

from collections.abc import AsyncIterator, Mapping
from functools import partial
from typing import ClassVar

import httpx
from typing_extensions import override

from bot.core.clock import Clock, Sleep, sleep
from bot.core.errors import NotFound, Unsupported
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
    StartRequest,
    StartTarget,
    Status,
    TestCase,
    Watched,
    WebhookEvent,
)
from bot.core.text import folded
from bot.core.workflows import Upload
from bot.http.client import DOWNLOAD_BYTES, ApiClient
from bot.providers.base.admin import PipelineAdmin
from bot.providers.base.capabilities import Capability
from bot.providers.base.convert import StateMap
from bot.providers.base.logs import LOG_TAIL_BYTES
from bot.providers.base.provider import Provider
from bot.providers.xcode_cloud import convert, errors, logs, poll, urls, webhook
from bot.providers.xcode_cloud.admin import WorkflowAdmin, uploads
from bot.providers.xcode_cloud.auth import USE_A_KEY, KeyAuth, TokenAuth, signing_key
from bot.providers.xcode_cloud.client import ACTIONS, ARTIFACTS, DETAIL_PAGES, ISSUES, PAGE_SIZE, TESTS, Client
from bot.providers.xcode_cloud.options import LABEL, SCOPES, XcodeCloudOptions
from bot.providers.xcode_cloud.start import NO_PARAMETERS, OPTIONS, Starter
from bot.providers.xcode_cloud.wire import Listing

LOG_BUNDLE = "LOG_BUNDLE"
TEST_STAGE = "TEST"


class XcodeCloud(Provider[XcodeCloudOptions]):
    """One team's (or person's) Xcode Cloud. Workflows are our pipelines, build runs our builds, actions our jobs.

    With a ready-made token instead of a key only lists can be read: a long-lived token names every address it may read,
    so it reaches nothing that has an id of its own later on (a build's actions, issues, tests), and it starts nothing.
    """

    kind = "xcode_cloud"
    label = LABEL
    takes_message = False
    takes_parameters = False
    default_url = "https://api.appstoreconnect.apple.com"
    default_site = urls.APP_STORE_CONNECT
    api_suffix = "/v1"
    page = "docs/providers/xcode_cloud.md"
    states: ClassVar[StateMap] = convert.STATES
    options_type = XcodeCloudOptions
    scopes = SCOPES
    capabilities = frozenset(
        {
            Capability.REFS,
            Capability.START,
            Capability.REBUILD,
            Capability.JOBS,
            Capability.LOG,
            Capability.ARTIFACTS,
            Capability.DOWNLOAD,
            Capability.TESTS,
            Capability.ISSUES,
            Capability.COUNTS,
            Capability.UPLOADS,
            Capability.PIPELINE_ADMIN,
            Capability.WEBHOOK,
        }
    )
    with_ready_token = frozenset({Capability.COUNTS, Capability.WEBHOOK})
    finds_builds_anywhere = True
    refusals: ClassVar[Mapping[Capability, tuple[str, str]]] = {
        Capability.CANCEL: ("Apple's API cannot cancel a build.", "Open it and stop it there"),
        Capability.RETRY_FAILED: (
            "Xcode Cloud can't run only the failed actions again.",
            "`rebuild` builds everything again, as a new build.",
        ),
        Capability.RETRY_ALL: (
            "Xcode Cloud can't run a build's actions again under the same number.",
            "`rebuild` builds everything again, as a new build.",
        ),
        Capability.RETRY_JOB: (
            "Xcode Cloud can't run one action again.",
            "`rebuild` builds everything again, as a new build.",
        ),
        Capability.PARAMETERS: NO_PARAMETERS,
        Capability.LIVE_LOG: (
            "Xcode Cloud hands out an action's log only when the action is over.",
            "Ask again then, or watch it on the build's page.",
        ),
        Capability.APPROVALS: ("Xcode Cloud has no steps that wait for a person.", ""),
        Capability.DECIDE: ("Xcode Cloud has no steps that wait for a person.", ""),
        Capability.REJECT: ("Xcode Cloud has no steps that wait for a person.", ""),
        Capability.ERASE: ("Apple's API cannot delete an Xcode Cloud build or its logs.", ""),
        Capability.ACCOUNT_POLL: ("Apple's API has no list of all builds.", "I ask once for each product."),
    }
    start_options: ClassVar[Mapping[str, str]] = OPTIONS

    def __init__(
        self, api: ApiClient, options: XcodeCloudOptions, *, connection: str, clock: Clock, sleep: Sleep = sleep
    ) -> None:
        super().__init__(api, options, connection=connection, clock=clock, sleep=sleep)
        self._ready = options.ready
        self._site = urls.Site(team=options.link_team, root=self.site(options))
        self._client = Client(api, clock, self._ready, connection=connection, site=self._site)
        self._starter = Starter(api, self._client, sleep=sleep)
        if self._ready is not None:
            self.capabilities = self.with_ready_token

    @classmethod
    @override
    def auth(cls, options: XcodeCloudOptions, clock: Clock) -> httpx.Auth | None:
        if options.private_key is not None:
            key = signing_key(options.private_key.get_secret_value())
            return KeyAuth(key, key_id=options.key_id, issuer_id=options.issuer_id, clock=clock)
        return TokenAuth(options.token.get_secret_value()) if options.token is not None else None

    @classmethod
    @override
    def base_url(cls, options: XcodeCloudOptions) -> str:
        return super().base_url(options).removesuffix(cls.api_suffix)

    map_error = staticmethod(errors.map_error)
    read_quota = staticmethod(errors.read_quota)

    @property
    @override
    def web_homes(self) -> tuple[str, ...]:
        return self._site.root, self.options.url

    @override
    async def check(self) -> Account:
        """Return whose key it is. One request; a ready-made token needs its scope compared with what we ask, too."""
        if self._ready is not None:
            return await self._client.account_of_token(self._ready)
        reply = await self._api.get(urls.PRODUCTS, {"limit": 1, "fields[ciProducts]": "name"})
        page = reply.decode(Listing)
        total = page.meta.paging.total if page.meta is not None and page.meta.paging is not None else None
        warnings = []
        if not page.data:
            warnings.append("The key sees no product with Xcode Cloud.")
        if self._site.team is None:
            warnings.append("Without `team` I can't link to builds in App Store Connect.")
        return Account(
            name=f"{'Team' if self.options.issuer_id else 'Individual'} key {self.options.key_id}",
            detail=f"{total} product{'' if total == 1 else 's'}" if total is not None else None,
            warnings=tuple(warnings),
        )

    @override
    async def pipelines(self, query: str | None = None) -> AsyncIterator[Pipeline]:
        """Yield the workflows. From memory for ten minutes; else two requests and one for each product."""
        needle = folded((query or "").strip())
        for workflow in (await self._client.workflows()).values():
            if needle in folded(workflow.path):
                yield convert.pipeline(workflow, self._site)

    @override
    async def pipeline(self, path: str) -> Pipeline:
        """Return the workflow with an id, a `product/workflow`, or a name that only one has.

        Also that of a build (`run:ID`), and the only one of an app (`app:ID`). Raises Ambiguous where several fit.
        """
        if path.startswith(urls.RUN_PREFIX):
            build = await self.build(path, path.removeprefix(urls.RUN_PREFIX))
            workflow = await self._client.workflow(build.pipeline)
        else:
            workflow = await self._client.find(path)
        return convert.pipeline(workflow, self._site)

    @override
    def builds(self, pipeline: str, build_filter: BuildFilter) -> AsyncIterator[Build]:
        """Yield a workflow's builds. Apple filters by nothing, so at most ten pages are read and filtered here."""
        return self._client.builds(pipeline, build_filter)

    @override
    async def build(self, pipeline: str, build: str) -> Build:
        """Return a build, of the workflow that Apple names. One request, and once an hour one for the products.

        With a ready-made token the newest 2,000 builds of the product are looked through.
        """
        if self._ready is None:
            return await self._client.build(await self._client.run(build), pipeline)
        return await self._client.listed_build(build, pipeline)

    @override
    async def build_by_number(self, pipeline: str, number: int) -> Build:
        """Return the build people call `#number`. Looks through at most 2,000 builds of the product.

        Numbers count per product: raises NotFound naming the other workflow where the number is one of another's.
        """
        workflow = await self._client.workflow(pipeline)
        async for page in self._client.product_runs(workflow.product.id, PAGE_SIZE):
            for build in await self._client.builds_of_page(page, pipeline):
                if build.number == number:
                    if build.pipeline == pipeline:
                        return build
                    raise errors.of_another_workflow(build, workflow)
                if build.number is not None and build.number < number:
                    raise errors.no_such_number(number, workflow)
        raise errors.no_such_number(number, workflow)

    @override
    async def build_of_job(self, pipeline: str, job: str) -> Build:
        """Return the build that an action belongs to. One request, and once an hour one for the products."""
        self._require(Capability.JOBS)
        return await self._client.build(await self._client.run_of_action(job), pipeline)

    @override
    async def changes(self, cursor: str | None, watched: Watched) -> Changes:
        """Return the newest builds of the watched workflows, and whatever else is unfinished.

        Requests a poll: one for each product with a watched workflow, of so many runs that the oldest unfinished one
        and all that came since the last poll are among them (at most 200 a page; after a long absence one more and up
        to ten pages); one for each unfinished build further down. Once an hour the list of products; for a workflow not
        met before the workflows of the account.
        """
        return await poll.changes(self._client, cursor, watched, self.build_or_none)

    @override
    async def refs(self, pipeline: str, query: str | None = None) -> AsyncIterator[Ref]:
        """Yield branches, tags and open pull requests. Two lists, each kept five minutes."""
        self._require(Capability.REFS)
        repository = await self._client.repository_of(pipeline)
        needle = folded(query or "")
        for source in (
            *await self._client.branches_and_tags(repository),
            *await self._client.pull_requests(repository),
        ):
            if needle in folded(f"{source.ref.name} {source.ref.title or ''}"):
                yield source.ref

    @override
    async def start_target(self, pipeline: str, request: StartRequest) -> StartTarget:
        """Return the branch, tag or pull request that Apple lists for the request. Up to two lists, each kept a while.

        Raises what `start` would raise for the same request, before anything is sent.
        """
        self._require(Capability.START)
        return await self._starter.target(pipeline, request)

    @override
    async def start(self, pipeline: str, request: StartRequest) -> Build:
        """Start a build of a branch, a tag or a pull request; without a ref, of the repository's default branch.

        Two requests, and up to a list of branches and one of workflows before them. Raises Unsupported for a commit,
        parameters or a message, Ambiguous where a branch and a tag have the same name, NotFound for no such ref.
        """
        self._require(Capability.START)
        return await self._starter.start(pipeline, request)

    @override
    async def rebuild(self, pipeline: str, build: str, request: StartRequest) -> Build:
        """Start a new build of the same source, with a number of its own; `clean` is its only option. Four requests."""
        self._require(Capability.REBUILD)
        return await self._starter.rebuild(pipeline, build, request)

    @override
    async def jobs(self, pipeline: str, build: str, *, all_attempts: bool = False) -> tuple[Job, ...]:
        """Return a run's actions. One request."""
        self._require(Capability.JOBS)
        workflow = self._client.known_workflow(pipeline)
        page = self._site.page(workflow.product.app, build) if workflow is not None else None
        return await self._client.read_all(
            urls.run_actions(build),
            ACTIONS,
            lambda action: convert.job(action, pipeline=pipeline, build=build, web_url=page),
        )

    @override
    async def log(self, job: Job, tail_bytes: int = LOG_TAIL_BYTES) -> Log:
        """Return the end of the action's log, out of its log bundle. Three requests.

        Raises Unsupported while the action runs, NotFound where it left no log.
        """
        self._require(Capability.LOG)
        if job.status is not Status.COMPLETED:
            raise self.unsupported(Capability.LIVE_LOG)
        bundle = next((it for it in await self._artifacts_of(job) if it.kind == LOG_BUNDLE), None)
        if bundle is None:
            raise NotFound(f"{job.name} left no log.", provider=LABEL, hint="A skipped action has none.")
        data = b"".join([chunk async for chunk in self._stream(bundle.id, logs.BUNDLE_BYTES)])
        return await logs.read_bundle(data, job, tail_bytes)

    @override
    async def artifacts(self, pipeline: str, build: str) -> tuple[Artifact, ...]:
        """Return the files of all actions. One request, and one for each action that is over."""
        self._require(Capability.ARTIFACTS)
        artifacts: list[Artifact] = []
        for job in await self.jobs(pipeline, build):
            if job.status is Status.COMPLETED:
                artifacts += await self._artifacts_of(job)
        return tuple(artifacts)

    @override
    async def download(self, artifact: Artifact) -> AsyncIterator[bytes]:
        """Yield an artifact's bytes from a fresh signed address, which goes to nobody else. Two requests."""
        self._require(Capability.DOWNLOAD)
        async for chunk in self._stream(artifact.id):
            yield chunk

    @override
    async def tests(self, pipeline: str, build: str) -> tuple[TestCase, ...]:
        """Return the tests of the test actions. One request, and one for each action and 200 tests (at most 5,000)."""
        self._require(Capability.TESTS)
        tests: list[TestCase] = []
        for job in await self.jobs(pipeline, build):
            if job.stage == TEST_STAGE:
                tests += await self._client.read_all(urls.action_tests(job.id), TESTS, convert.test_case, DETAIL_PAGES)
        return convert.failed_first(tests)

    @override
    async def issues(self, pipeline: str, build: str) -> tuple[Issue, ...]:
        """Return the issues of the actions that have any. One request, and one for each of those and 200 issues."""
        self._require(Capability.ISSUES)
        issues: list[Issue] = []
        for job in await self.jobs(pipeline, build):
            if job.status is Status.QUEUED or convert.has_no_issues(job.issues):
                continue
            path = urls.action_issues(job.id)
            issues += await self._client.read_all(path, ISSUES, partial(convert.issue, job=job.name), DETAIL_PAGES)
        return convert.errors_first(issues)

    @override
    async def counts(self, build: Build) -> IssueCounts:
        """Return the run's counts: what the build carries, else what Apple says now. No or one request."""
        if build.issues.known:
            return build.issues
        return (await self.build(build.pipeline, build.id)).issues

    @override
    async def uploads(self, pipeline: str, build: str) -> tuple[Upload, ...]:
        """Return what a run handed to TestFlight and the App Store. One request, two where there is anything."""
        self._require(Capability.UPLOADS)
        return await uploads(self._client, build)

    @override
    def pipeline_admin(self) -> PipelineAdmin:
        self._require(Capability.PIPELINE_ADMIN)
        return WorkflowAdmin(self._api, self._client, sleep=self._sleep)

    @override
    def parse_url(self, url: str) -> Page | None:
        """Return what a page of App Store Connect, or one below the connection's `url`, shows; see `Site.parse`."""
        return self._site.parse(url, *self.web_homes)

    @override
    def parse_webhook(
        self, headers: Mapping[str, str], body: bytes, path_secret: str | None = None
    ) -> WebhookEvent | None:
        """Return which run to read. Apple signs nothing, so the secret in the path is all there is."""
        self.check_path_secret(path_secret)
        return webhook.parse(body)

    def _require(self, capability: Capability) -> None:
        """Refuse what a ready-made token can't do."""
        if not self.can(capability):
            raise Unsupported(
                "This connection has a ready-made token, and Apple lets such a token read lists only.",
                provider=LABEL,
                hint=f"An admin can change that. {USE_A_KEY}",
            )

    async def _artifacts_of(self, job: Job) -> tuple[Artifact, ...]:
        return await self._client.read_all(urls.action_artifacts(job.id), ARTIFACTS, partial(convert.artifact, job=job))

    def _stream(self, artifact: str, cap: int = DOWNLOAD_BYTES) -> AsyncIterator[bytes]:
        is_plain = self.base_url(self.options).startswith("http://")
        return logs.stream(self._api, artifact, cap, allows_http=is_plain)
