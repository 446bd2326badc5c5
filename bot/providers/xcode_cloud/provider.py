"""Xcode Cloud, over the App Store Connect API.

Facts: Apple's OpenAPI document 4.4.1 and the pages "Xcode Cloud Workflows and Builds", "Generating Tokens for API
Requests", "Identifying Rate Limits" and "Configuring webhooks in Xcode Cloud", checked 2026-11. Limits: about 3,600
requests an hour for each key; lists of at most 200; no list of all builds; no cancel; no text logs; unsigned webhooks.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Mapping
from datetime import datetime, timedelta
from typing import ClassVar

import httpx
import msgspec
from typing_extensions import override

from bot.core.clock import Clock, Sleep, sleep
from bot.core.errors import (
    AuthFailed,
    NotFound,
    ProviderError,
    UnexpectedResponse,
    Unsupported,
)
from bot.core.models import (
    Account,
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
    Pipeline,
    Ref,
    StartRequest,
    Status,
    TestCase,
    Watched,
    WebhookEvent,
)
from bot.core.text import folded
from bot.http.client import DOWNLOAD_BYTES, Api, Quota, Reply
from bot.providers.base.capabilities import Capability
from bot.providers.base.convert import StateMap
from bot.providers.base.listing import SEARCH_PAGES
from bot.providers.base.logs import LOG_TAIL_BYTES, cleaned_log
from bot.providers.base.provider import PipelineAdmin, Provider
from bot.providers.base.urls import page_below
from bot.providers.xcode_cloud.admin import WorkflowAdmin
from bot.providers.xcode_cloud.auth import (
    USE_A_KEY,
    KeyAuth,
    ReadyToken,
    TokenAuth,
    XcodeCloudOptions,
    scope_line,
    signing_key,
)
from bot.providers.xcode_cloud.catalogue import (
    APP_PREFIX,
    LABEL,
    PAGE_SIZE,
    PRODUCTS,
    REPOSITORIES,
    WORKFLOWS,
    Catalogue,
    product_runs_path,
    workflows_path,
)
from bot.providers.xcode_cloud.errors import map_error, quota_of
from bot.providers.xcode_cloud.logs import BUNDLE_BYTES, BadBundle, bundle_tail
from bot.providers.xcode_cloud.start import NO_PARAMETERS, OPTIONS, Starter
from bot.providers.xcode_cloud.wire import (
    APP_STORE_CONNECT,
    STATES,
    Around,
    ArtifactAttributes,
    Document,
    Hook,
    Listing,
    Resource,
    RunAttributes,
    Site,
    artifact_of,
    build_of,
    issue_of,
    job_of,
    test_of,
)

RUN_FIELDS = (
    "number,createdDate,startedDate,finishedDate,sourceCommit,isPullRequestBuild,issueCounts,executionProgress,"
    "completionStatus,startReason,cancelReason,workflow,product,sourceBranchOrTag,pullRequest"
)
RUN: Mapping[str, str | int] = {
    "fields[ciBuildRuns]": RUN_FIELDS,
    "fields[ciWorkflows]": "name",
    "fields[ciProducts]": "name",
    "fields[scmGitReferences]": "name,canonicalName,kind",
    "fields[scmPullRequests]": (
        "number,title,webUrl,sourceRepositoryOwner,sourceBranchName,destinationBranchName,isCrossRepository"
    ),
    "include": "workflow,product,sourceBranchOrTag,pullRequest",
}
RUNS: Mapping[str, str | int] = {**RUN, "sort": "-number", "limit": PAGE_SIZE}
ACTIONS: Mapping[str, str | int] = {
    "fields[ciBuildActions]": (
        "name,actionType,startedDate,finishedDate,issueCounts,executionProgress,completionStatus,isRequiredToPass"
    ),
    "limit": PAGE_SIZE,
}
ISSUES: Mapping[str, str | int] = {"fields[ciIssues]": "issueType,message,fileSource", "limit": PAGE_SIZE}
TESTS: Mapping[str, str | int] = {
    "fields[ciTestResults]": "className,name,status,fileSource,message,destinationTestResults",
    "limit": PAGE_SIZE,
}
ARTIFACTS: Mapping[str, str | int] = {"fields[ciArtifacts]": "fileType,fileName,fileSize", "limit": PAGE_SIZE}

DETAIL_PAGES = 25
FEWEST_RUNS = 20
SPARE_RUNS = 10
RUN_PREFIX = "run:"
TOKEN_WARNING = timedelta(days=14)

_WEB_PAGE = re.compile(
    r"^(?:/teams/(?P<team>[^/]+))?/apps/(?P<app>\d+)/ci(?:/(?P<kind>builds|workflows)/(?P<id>[0-9A-Za-z-]+)(?:/.*)?)?/?$"
)


class _Reached(msgspec.Struct):
    """How far a product's runs were read: its newest number, and the oldest one still to be looked at."""

    newest: int
    floor: int


class XcodeCloud(Provider[XcodeCloudOptions]):
    """One team's (or person's) Xcode Cloud. Workflows are our pipelines, build runs our builds, actions our jobs.

    With a ready-made token instead of a key only lists can be read: a long-lived token names every address it may read,
    so it reaches nothing that has an id of its own later on (a build's actions, issues, tests), and it starts nothing.
    """

    kind = "xcode_cloud"
    label = LABEL
    takes_message = False
    default_url = "https://api.appstoreconnect.apple.com"
    page = "docs/providers/xcode_cloud.md"
    states: ClassVar[StateMap] = STATES
    options_type = XcodeCloudOptions
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
            Capability.PIPELINE_ADMIN,
            Capability.WEBHOOK,
        }
    )
    with_ready_token = frozenset({Capability.COUNTS, Capability.WEBHOOK})
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
        self, api: Api, options: XcodeCloudOptions, *, connection: str, clock: Clock, sleep: Sleep = sleep
    ) -> None:
        super().__init__(api, options, connection=connection, clock=clock, sleep=sleep)
        self._ready = options.ready
        base = self.base_url(options)
        self._site = Site(team=options.link_team, root=base if base.startswith("http://") else APP_STORE_CONNECT)
        self._catalogue = Catalogue(api, clock, self._ready, RUNS)
        self._starter = Starter(
            api,
            self._catalogue,
            clock=clock,
            send_once=self.send_once,
            read=self._read,
            newest=self._newest_runs,
            whole=self.build,
        )
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
        return super().base_url(options).removesuffix("/v1")

    @classmethod
    @override
    def map_error(cls, reply: Reply) -> ProviderError | None:
        """Return an error for Apple's own codes; they are dotted from general to specific, so prefixes count."""
        return map_error(reply)

    @classmethod
    @override
    def read_quota(cls, headers: httpx.Headers, now: datetime) -> Quota | None:
        """Return what is left of the rolling hour; when it refills is not told."""
        return quota_of(headers)

    @override
    async def check(self) -> Account:
        """Return whose key it is. One request; a ready-made token needs its scope compared with what we ask, too."""
        if self._ready is not None:
            return await self._check_token(self._ready)
        reply = await self._api.get("v1/ciProducts", {"limit": 1, "fields[ciProducts]": "name"})
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
        wanted = folded((query or "").strip())
        for workflow in (await self._catalogue.workflows()).values():
            if wanted in folded(workflow.path):
                yield workflow.pipeline(self._site)

    @override
    async def pipeline(self, path: str) -> Pipeline:
        """Return the workflow with an id, a `product/workflow`, or a name that only one has; of a build's `run:ID` too.

        Raises Ambiguous where several workflows have the name.
        """
        if path.startswith(RUN_PREFIX):
            run = (await self._run(path.removeprefix(RUN_PREFIX))).data
            return (await self._catalogue.workflow(run.to("workflow") or "")).pipeline(self._site)
        return (await self._catalogue.find(path)).pipeline(self._site)

    @override
    async def builds(self, pipeline: str, wanted: BuildFilter) -> AsyncIterator[Build]:
        """Yield a workflow's builds. Apple filters by nothing, so at most ten pages are read and filtered here."""
        picky = wanted.branch is not None or wanted.commit is not None or bool(wanted.states)
        left = wanted.limit
        async for page in self._runs(pipeline, PAGE_SIZE if picky else wanted.limit):
            for run in page.data:
                build = await self._read(run, page.around, pipeline)
                if build.pipeline == pipeline and wanted.admits(build) and left > 0:
                    left -= 1
                    yield build
            if left <= 0:
                return

    @override
    async def build(self, pipeline: str, build: str) -> Build:
        """Return a build. One request, and once an hour one for the products."""
        if self._ready is None:
            document = await self._run(build)
            return await self._read(document.data, document.around, pipeline)
        async for page in self._runs(pipeline, PAGE_SIZE):
            for run in page.data:
                if run.id == build:
                    return await self._read(run, page.around, pipeline)
        raise NotFound("That build is not among the newest ones of its product.", provider=LABEL)

    @override
    async def build_by_number(self, pipeline: str, number: int) -> Build:
        """Return the build people call `#number`. Numbers count per product, so the product's runs are looked through."""
        product = (await self._catalogue.workflow(pipeline)).product
        async for page in self._product_runs(product.id, PAGE_SIZE):
            for run in page.data:
                found = run.read(RunAttributes).number
                if found == number:
                    return await self._read(run, page.around, pipeline)
                if found is not None and found < number:
                    raise _no_number(number, product.name)
        raise _no_number(number, product.name)

    @override
    async def changes(self, cursor: str | None, watched: Watched) -> Changes:
        """Return the newest builds of the watched workflows, and whatever else is unfinished.

        Requests per tick: one for each product with a watched workflow, of so many runs that the oldest unfinished one
        and all that came since the last tick are among them (at most 200 a page; after a long absence one more and up to ten pages); one
        for each unfinished build further down. Once an hour the list of products; for a workflow not met before the
        workflows of the account. The cursor holds the newest and the oldest unfinished number of each product.
        """
        reached = _read_cursor(cursor)
        unfinished = {key.id for key in watched.unfinished}
        found: dict[str, Build] = {}
        for product in sorted(await self._products_of(watched.pipelines)):
            last = reached.get(product)
            try:
                newest, oldest_open = await self._look_through(product, last, watched.pipelines, unfinished, found)
            except NotFound:
                reached.pop(product, None)
                continue
            if newest is not None:
                reached[product] = _Reached(newest, max(min(oldest_open or newest, newest), newest - PAGE_SIZE + 1))
        for key in sorted(watched.unfinished):
            if key.id not in found and (straggler := await self.build_or_none(key)) is not None:
                found[key.id] = straggler
        return Changes(builds=tuple(found.values()), cursor=msgspec.json.encode(reached).decode())

    @override
    async def refs(self, pipeline: str, query: str | None = None) -> AsyncIterator[Ref]:
        """Yield branches, tags and open pull requests. Two lists, each kept five minutes."""
        self._needs(Capability.REFS)
        repository = await self._starter.repository(pipeline)
        wanted = folded(query or "")
        for source in (*await self._catalogue.sources(repository), *await self._catalogue.pull_requests(repository)):
            if wanted in folded(f"{source.ref.name} {source.ref.title or ''}"):
                yield source.ref

    @override
    async def start(self, pipeline: str, request: StartRequest) -> Build:
        """Start a build of a branch, a tag or a pull request; without a ref, of the repository's default branch.

        One request, and up to a list of branches and one of workflows before it. Raises Unsupported for a commit,
        parameters or a message, Ambiguous where a branch and a tag have the same name, NotFound for no such ref.
        """
        self._needs(Capability.START)
        return await self._starter.start(pipeline, request)

    @override
    async def rebuild(self, pipeline: str, build: str, request: StartRequest) -> Build:
        """Start a new build of the same source, with a number of its own."""
        self._needs(Capability.REBUILD)
        return await self._starter.rebuild(pipeline, build, request)

    @override
    async def jobs(self, pipeline: str, build: str) -> tuple[Job, ...]:
        self._needs(Capability.JOBS)
        known = self._catalogue.known(pipeline)
        page = self._site.page(known.product, build) if known is not None else None
        found: list[Job] = []
        async for listing in self._catalogue.listing(f"v1/ciBuildRuns/{build}/actions", ACTIONS):
            found += [job_of(action, pipeline=pipeline, build=build, web_url=page) for action in listing.data]
        return tuple(found)

    @override
    async def log(self, job: Job, tail_bytes: int = LOG_TAIL_BYTES) -> Log:
        """Return the end of the action's log, out of its log bundle. Three requests.

        Raises Unsupported while the action runs, NotFound where it left no log.
        """
        self._needs(Capability.LOG)
        if job.status is not Status.COMPLETED:
            raise self.unsupported(Capability.LIVE_LOG)
        bundle = next((it for it in await self._artifacts_of(job) if it.kind == "LOG_BUNDLE"), None)
        if bundle is None:
            raise NotFound(f"{job.name} left no log.", provider=LABEL, hint="A skipped action has none.")
        data = b"".join([chunk async for chunk in self._stream(bundle.id, BUNDLE_BYTES)])
        try:
            tail = await asyncio.to_thread(bundle_tail, data, tail_bytes)
        except BadBundle as exc:
            raise UnexpectedResponse(f"The log bundle of {job.name} {exc}.", provider=LABEL) from exc
        if tail is None:
            raise NotFound(f"The log bundle of {job.name} holds no text.", provider=LABEL)
        return Log(text=await cleaned_log(tail.text), truncated=tail.truncated, job=job.name, url=job.web_url)

    @override
    async def artifacts(self, pipeline: str, build: str) -> tuple[Artifact, ...]:
        """Return the files of all actions. One request, and one for each action that is over."""
        self._needs(Capability.ARTIFACTS)
        found: list[Artifact] = []
        for job in await self.jobs(pipeline, build):
            if job.status is Status.COMPLETED:
                found += await self._artifacts_of(job)
        return tuple(found)

    @override
    async def download(self, artifact: Artifact) -> AsyncIterator[bytes]:
        """Yield an artifact's bytes from a fresh signed address, which goes to nobody else."""
        self._needs(Capability.DOWNLOAD)
        async for chunk in self._stream(artifact.id):
            yield chunk

    @override
    async def tests(self, pipeline: str, build: str) -> tuple[TestCase, ...]:
        """Return the tests of the test actions. One request, and one for each action and 200 tests (at most 5,000)."""
        self._needs(Capability.TESTS)
        found: list[TestCase] = []
        for job in await self.jobs(pipeline, build):
            if job.stage != "TEST":
                continue
            path = f"v1/ciBuildActions/{job.id}/testResults"
            async for page in self._catalogue.listing(path, TESTS, ceiling=DETAIL_PAGES):
                found += [test_of(result) for result in page.data]
        return tuple(sorted(found, key=lambda it: _TEST_ORDER.get(it.outcome, 1)))

    @override
    async def issues(self, pipeline: str, build: str) -> tuple[Issue, ...]:
        """Return the issues of the actions that have any. One request, and one for each of those and 200 issues."""
        self._needs(Capability.ISSUES)
        found: list[Issue] = []
        for job in await self.jobs(pipeline, build):
            if job.status is Status.QUEUED or _has_none(job.issues):
                continue
            path = f"v1/ciBuildActions/{job.id}/issues"
            async for page in self._catalogue.listing(path, ISSUES, ceiling=DETAIL_PAGES):
                found += [issue_of(issue, job.name) for issue in page.data]
        return tuple(sorted(found, key=lambda it: _ISSUE_ORDER[it.kind]))

    @override
    async def counts(self, build: Build) -> IssueCounts:
        """Return the run's counts: what the build carries, else what Apple says now. No or one request."""
        if build.issues.known:
            return build.issues
        return (await self.build(build.pipeline, build.id)).issues

    @override
    def pipeline_admin(self) -> PipelineAdmin:
        self._needs(Capability.PIPELINE_ADMIN)
        return WorkflowAdmin(self._api, self._catalogue, site=self._site, send_once=self.send_once)

    @override
    def parse_url(self, url: str) -> Page | None:
        """Return what an address in App Store Connect shows.

        A build's workflow is asked for as `run:ID`, the workflow of an app's page as `app:ID`.
        """
        address = page_below(url, self._site.root, self.options.url)
        match = _WEB_PAGE.match(address.path) if address else None
        if match is None:
            return None
        if match["team"] and self._site.team and match["team"].casefold() != self._site.team.casefold():
            return None
        if match["kind"] is None:
            return Page(pipeline=f"{APP_PREFIX}{match['app']}")
        if match["kind"] == "workflows":
            return Page(pipeline=match["id"])
        return Page(pipeline=f"{RUN_PREFIX}{match['id']}", build=match["id"])

    @override
    def parse_webhook(
        self, headers: Mapping[str, str], body: bytes, path_secret: str | None = None
    ) -> WebhookEvent | None:
        """Return which run to look at. Apple signs nothing, so the secret in the path is all there is."""
        self.check_path_secret(path_secret)
        webhook = Hook.of(body)
        event = webhook.metadata.attributes.event_type if webhook.metadata and webhook.metadata.attributes else None
        if not event or event == "UNRECOGNIZED" or webhook.ci_build_run is None:
            return None
        run, workflow = webhook.ci_build_run.id, webhook.ci_workflow
        return WebhookEvent(
            delivery=f"{run}:{event}",
            pipeline=workflow.id if workflow is not None else None,
            build=run if workflow is not None else None,
        )

    # reading

    def _needs(self, capability: Capability) -> None:
        """Refuse what a ready-made token can't do."""
        if not self.can(capability):
            raise Unsupported(
                "This connection has a ready-made token, and Apple lets such a token read lists only.",
                provider=LABEL,
                hint=f"An admin can change that. {USE_A_KEY}",
            )

    async def _check_token(self, ready: ReadyToken) -> Account:
        if ready.expires_at <= self._clock():
            raise AuthFailed("The token has ended.", provider=LABEL, hint=f"Make a new one. {USE_A_KEY}")
        _refuse_missing(
            [
                scope_line(path, query)
                for path, query in (("v1/ciProducts", PRODUCTS), ("v1/scmRepositories", REPOSITORIES))
                if not ready.covers(path, query)
            ]
        )
        products = await self._catalogue.products()
        missing = {
            product.name: [
                scope_line(path, query)
                for path, query in ((workflows_path(product.id), WORKFLOWS), (product_runs_path(product.id), RUNS))
                if not ready.covers(path, query)
            ]
            for product in products.values()
        }
        out_of_reach = [name for name, lines in missing.items() if lines]
        if out_of_reach and len(out_of_reach) == len(products):
            _refuse_missing([line for lines in missing.values() for line in lines])
        warnings = ["With a ready-made token I can only tell how builds stand; I can't start any or show logs."]
        if ready.expires_at - self._clock() < TOKEN_WARNING:
            warnings.append("The token ends soon.")
        return Account(
            name="Ready-made token",
            detail=f"{len(products) - len(out_of_reach)} of {len(products)} products",
            missing=tuple(f"scope for {name}" for name in out_of_reach),
            warnings=tuple(warnings),
            expires_at=ready.expires_at,
        )

    async def _run(self, build: str) -> Document:
        return (await self._api.get(f"v1/ciBuildRuns/{build}", RUN)).decode(Document)

    async def _runs(self, pipeline: str, limit: int) -> AsyncIterator[Listing]:
        """Yield a workflow's runs, newest first; with a ready-made token those of its product."""
        if self._ready is not None:
            async for page in self._product_runs((await self._catalogue.workflow(pipeline)).product.id, PAGE_SIZE):
                yield page
            return
        query = {**RUNS, "limit": min(max(limit, 1), PAGE_SIZE)}
        async for page in self._catalogue.listing(f"v1/ciWorkflows/{pipeline}/buildRuns", query, ceiling=SEARCH_PAGES):
            yield page

    async def _product_runs(self, product: str, limit: int) -> AsyncIterator[Listing]:
        query = {**RUNS, "limit": limit}
        async for page in self._catalogue.listing(product_runs_path(product), query, ceiling=SEARCH_PAGES):
            yield page

    async def _newest_runs(self, pipeline: str) -> Listing:
        query = {**RUNS, "limit": FEWEST_RUNS}
        return (await self._api.get(f"v1/ciWorkflows/{pipeline}/buildRuns", query)).decode(Listing)

    async def _read(self, run: Resource, beside: Around, pipeline: str) -> Build:
        workflow = self._catalogue.known(run.to("workflow") or pipeline)
        product = (await self._catalogue.products()).get(run.to("product") or "")
        return build_of(
            run,
            beside,
            connection=self.connection,
            pipeline=pipeline,
            workflow=workflow.name if workflow is not None else None,
            repository=workflow.repository.path if workflow is not None and workflow.repository is not None else None,
            product=product or (workflow.product if workflow is not None else None),
            site=self._site,
        )

    async def _products_of(self, pipelines: frozenset[str]) -> set[str]:
        found: set[str] = set()
        for pipeline in sorted(pipelines):
            try:
                found.add((await self._catalogue.workflow(pipeline)).product.id)
            except NotFound:
                continue
        return found

    async def _look_through(
        self,
        product: str,
        last: _Reached | None,
        pipelines: frozenset[str],
        unfinished: set[str],
        found: dict[str, Build],
    ) -> tuple[int | None, int | None]:
        """Put a product's runs into `found`, and return its newest number and the oldest that is not over.

        Where a short page does not reach down to the last look, the list is read again in full pages.
        """
        wanted = FEWEST_RUNS if last is None else last.newest - last.floor + 1 + SPARE_RUNS
        limit = min(max(wanted, FEWEST_RUNS), PAGE_SIZE)
        newest: int | None = None
        oldest_open: int | None = None
        for size in sorted({limit, PAGE_SIZE}):
            async for page in self._product_runs(product, size):
                lowest: int | None = None
                for run in page.data:
                    build = await self._read(run, page.around, run.to("workflow") or "")
                    if build.number is not None:
                        newest = max(newest or 0, build.number)
                        lowest = build.number
                    if build.pipeline not in pipelines and build.id not in unfinished:
                        continue
                    found[build.id] = build
                    if not build.completed and build.number is not None:
                        oldest_open = build.number
                is_last = page.links is None or page.links.next is None
                if last is None or lowest is None or lowest <= last.floor or is_last:
                    return newest, oldest_open
                if size < PAGE_SIZE:
                    break
        return newest, oldest_open

    async def _artifacts_of(self, job: Job) -> list[Artifact]:
        found: list[Artifact] = []
        async for page in self._catalogue.listing(f"v1/ciBuildActions/{job.id}/artifacts", ARTIFACTS):
            found += [artifact_of(it, job) for it in page.data]
        return found

    async def _stream(self, artifact: str, cap: int = DOWNLOAD_BYTES) -> AsyncIterator[bytes]:
        """Yield an artifact's bytes, fetched without our token. The signed address is refused unless it is https."""
        reply = await self._api.get(f"v1/ciArtifacts/{artifact}", {"fields[ciArtifacts]": "downloadUrl"})
        url = reply.decode(Document).data.read(ArtifactAttributes).download_url
        if not url:
            raise NotFound("Apple has no address for this file; it may have expired.", provider=LABEL)
        plain = self.base_url(self.options).startswith("http://") and url.startswith("http://")
        if not (url.startswith("https://") or plain):
            raise UnexpectedResponse("Apple gave an address I don't fetch from.", provider=LABEL)
        async for chunk in self._api.download(url, credentials=False, cap=cap):
            yield chunk


_TEST_ORDER: Mapping[Outcome, int] = {Outcome.FAILED: 0, Outcome.UNKNOWN: 1, Outcome.SKIPPED: 2, Outcome.PASSED: 3}
_ISSUE_ORDER: Mapping[IssueKind, int] = {
    IssueKind.ERROR: 0,
    IssueKind.TEST_FAILURE: 1,
    IssueKind.ANALYZER_WARNING: 2,
    IssueKind.WARNING: 3,
}


def _read_cursor(cursor: str | None) -> dict[str, _Reached]:
    """Return how far each product was read; a cursor that can't be read counts as none."""
    try:
        return msgspec.json.decode(cursor or "{}", type=dict[str, _Reached])
    except (msgspec.DecodeError, msgspec.ValidationError):
        return {}


def _has_none(counts: IssueCounts) -> bool:
    known = (counts.errors, counts.warnings, counts.analyzer_warnings, counts.test_failures)
    return all(count == 0 for count in known)


def _refuse_missing(lines: list[str]) -> None:
    if lines:
        shown = "; ".join(f"`{line}`" for line in lines[:2])
        more = f" and {len(lines) - 2} more" if len(lines) > 2 else ""
        raise AuthFailed(
            f"The token's scope does not hold what I ask: {shown}{more}.",
            provider=LABEL,
            hint=f"The page of this connection's kind lists every line that a scope needs. {USE_A_KEY}",
        )


def _no_number(number: int, product: str) -> NotFound:
    return NotFound(f"There is no build #{number} in {product}, or it is very old.", provider=LABEL)
