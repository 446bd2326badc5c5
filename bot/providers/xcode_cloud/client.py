"""Reads of an account: products, workflows, repositories, branches, tags, pull requests and runs.

Apple has no filter by name and no account-wide list of workflows or runs, so lists are read whole, kept for a while and
matched here. Facts: Apple's OpenAPI document 4.4.1, checked 2026-11; lists of at most 200.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Generic, TypeVar

import msgspec
from cachetools import LRUCache, TTLCache

from bot.core.clock import Clock
from bot.core.errors import Ambiguous, AuthFailed, NotFound, ProviderError, UnexpectedResponse
from bot.core.models import Account, Build, BuildFilter, Scope
from bot.core.text import folded, same_name
from bot.http.client import ApiClient, Query
from bot.providers.base.listing import SEARCH_PAGES, matching, parse_items
from bot.providers.xcode_cloud import convert, urls
from bot.providers.xcode_cloud.auth import USE_A_KEY, ReadyToken, scope_line
from bot.providers.xcode_cloud.convert import Product, Repository, Source, Workflow
from bot.providers.xcode_cloud.options import LABEL
from bot.providers.xcode_cloud.wire import Document, Included, Listing, Resource, next_page

T = TypeVar("T")
FixedQuery = Mapping[str, str | int]

PAGE_SIZE = 200
CEILING_PAGES = 50
SHORT_PAGE = 20

PRODUCTS_LIFE = timedelta(hours=1)
WORKFLOWS_LIFE = timedelta(minutes=10)
REFS_LIFE = timedelta(minutes=5)
JUST_READ = timedelta(seconds=15)
MOST_REPOSITORIES = 256
MOST_MISSING = 1024
TOKEN_WARNING = timedelta(days=14)

PRODUCTS: FixedQuery = {
    "fields[ciProducts]": "name,productType,app,primaryRepositories",
    "fields[apps]": "name",
    "fields[scmRepositories]": "ownerName,repositoryName",
    "include": "app,primaryRepositories",
    "limit": PAGE_SIZE,
}
REPOSITORIES: FixedQuery = {
    "fields[scmRepositories]": "ownerName,repositoryName,defaultBranch",
    "fields[scmGitReferences]": "name,canonicalName,kind",
    "include": "defaultBranch",
    "limit": PAGE_SIZE,
}
WORKFLOWS: FixedQuery = {
    "fields[ciWorkflows]": "name,isEnabled,repository",
    "fields[scmRepositories]": "ownerName,repositoryName",
    "include": "repository",
    "limit": PAGE_SIZE,
}
GIT_REFERENCES: FixedQuery = {
    "fields[scmGitReferences]": "name,canonicalName,isDeleted,kind",
    "limit": PAGE_SIZE,
}
_PULL_REQUEST_FIELDS = (
    "sourceRepositoryOwner,sourceRepositoryName,sourceBranchName,destinationRepositoryOwner,destinationRepositoryName,"
    "destinationBranchName,isCrossRepository"
)
PULL_REQUESTS: FixedQuery = {
    "fields[scmPullRequests]": f"number,title,isClosed,{_PULL_REQUEST_FIELDS}",
    "limit": PAGE_SIZE,
}
RUN: FixedQuery = {
    "fields[ciBuildRuns]": (
        "number,createdDate,startedDate,finishedDate,sourceCommit,destinationCommit,isPullRequestBuild,issueCounts,executionProgress,"
        "completionStatus,startReason,cancelReason,workflow,product,sourceBranchOrTag,destinationBranch,pullRequest"
    ),
    "fields[ciWorkflows]": "name",
    "fields[ciProducts]": "name",
    "fields[scmGitReferences]": "name,canonicalName,kind",
    "fields[scmPullRequests]": f"number,title,webUrl,{_PULL_REQUEST_FIELDS}",
    "include": "workflow,product,sourceBranchOrTag,destinationBranch,pullRequest",
}
RUNS: FixedQuery = {**RUN, "sort": "-number", "limit": PAGE_SIZE}

ACTIONS: FixedQuery = {
    "fields[ciBuildActions]": (
        "name,actionType,startedDate,finishedDate,issueCounts,executionProgress,completionStatus,isRequiredToPass"
    ),
    "limit": PAGE_SIZE,
}
ISSUES: FixedQuery = {"fields[ciIssues]": "issueType,message,fileSource,category", "limit": PAGE_SIZE}
TESTS: FixedQuery = {
    "fields[ciTestResults]": "className,name,status,fileSource,message,destinationTestResults",
    "limit": PAGE_SIZE,
}
ARTIFACTS: FixedQuery = {"fields[ciArtifacts]": "fileType,fileName,fileSize", "limit": PAGE_SIZE}
DETAIL_PAGES = 25
"""How many pages of one action's tests or issues are read."""


class _Memory(Generic[T]):
    """A value that is read once and kept for a while; readers at the same time share one read."""

    def __init__(self, life: timedelta, clock: Clock) -> None:
        self._life = life
        self._clock = clock
        self._lock = asyncio.Lock()
        self._kept: tuple[datetime, T] | None = None

    async def get(self, read: Callable[[], Awaitable[T]], *, within: timedelta | None = None) -> T:
        """Return what is kept if it is young enough, else what `read` returns."""
        async with self._lock:
            now = self._clock()
            if self._kept is not None and now - self._kept[0] < (within or self._life):
                return self._kept[1]
            value = await read()
            self._kept = (now, value)
            return value

    @property
    def kept(self) -> T | None:
        """Return what is kept, however old."""
        return self._kept[1] if self._kept is not None else None

    def change(self, change: Callable[[T], T]) -> None:
        """Change what is kept, if anything is; its age stays."""
        if self._kept is not None:
            self._kept = (self._kept[0], change(self._kept[1]))

    def forget(self) -> None:
        """Read anew next time."""
        self._kept = None


class Client:
    """What one connection can read of its account, and what it remembers of that.

    With a ready-made token only those products show whose lists its scope holds.
    """

    def __init__(
        self, api: ApiClient, clock: Clock, ready: ReadyToken | None, *, connection: str, site: urls.Site
    ) -> None:
        self.site = site
        self._connection = connection
        self._api = api
        self._clock = clock
        self._ready = ready
        self._products: _Memory[Mapping[str, Product]] = _Memory(PRODUCTS_LIFE, clock)
        self._repositories: _Memory[Mapping[str, Repository]] = _Memory(PRODUCTS_LIFE, clock)
        self._workflows: _Memory[Mapping[str, Workflow]] = _Memory(WORKFLOWS_LIFE, clock)
        self._missing: TTLCache[str, bool] = TTLCache(
            MOST_MISSING, ttl=WORKFLOWS_LIFE.total_seconds(), timer=lambda: clock().timestamp()
        )
        self._refs: LRUCache[str, _Memory[tuple[Source, ...]]] = LRUCache(MOST_REPOSITORIES)
        self._pull_requests: LRUCache[str, _Memory[tuple[Source, ...]]] = LRUCache(MOST_REPOSITORIES)

    async def listing(self, path: str, query: Query, *, ceiling: int = CEILING_PAGES) -> AsyncIterator[Listing]:
        """Yield a listing page by page."""
        async for reply in self._api.replies(path, query, next_page=next_page, ceiling=ceiling):
            yield reply.decode(Listing)

    async def read_all(
        self, path: str, query: FixedQuery, read: Callable[[Resource], T], ceiling: int = CEILING_PAGES
    ) -> tuple[T, ...]:
        """Return the items of a listing that can be read."""
        items: list[T] = []
        async for page in self.listing(path, query, ceiling=ceiling):
            items += parse_items(page.data, lambda raw: read(Resource.of(raw)))
        return tuple(items)

    # products, workflows, repositories

    async def products(self) -> Mapping[str, Product]:
        """Return the products by id. One request an hour (more past 200 products)."""
        return await self._products.get(self._read_products)

    async def products_if_readable(self) -> Mapping[str, Product]:
        """Return the products by id, or those known before where they cannot be read: a build is returned without them."""
        try:
            return await self.products()
        except ProviderError:
            return self._products.kept or {}

    async def workflows(self, *, within: timedelta | None = None) -> Mapping[str, Workflow]:
        """Return the workflows by id. Every ten minutes at most one request for each product."""
        return await self._workflows.get(self._read_workflows, within=within)

    async def workflow(self, workflow_id: str) -> Workflow:
        """Return a workflow by its id, from memory however old.

        Raises NotFound after one read of the account's workflows, which is not repeated for ten minutes: a deleted
        workflow that is still watched must not cost the whole list at every poll.
        """
        workflow = self.known_workflow(workflow_id)
        if workflow is not None:
            return workflow
        if workflow_id in self._missing:
            raise _no_workflow(workflow_id)
        workflow = (await self.workflows(within=JUST_READ)).get(workflow_id)
        if workflow is None:
            self._missing[workflow_id] = True
            raise _no_workflow(workflow_id)
        return workflow

    async def find(self, words: str) -> Workflow:
        """Return the workflow with an id, a `product/workflow`, a name, or the only one of an app (`app:ID`).

        Raises NotFound, Ambiguous.
        """
        name = words.strip()
        for within in (None, JUST_READ):
            workflows = await self.workflows(within=within)
            if name in workflows:
                return workflows[name]
            matches = _fitting(list(workflows.values()), name)
            if len(matches) == 1:
                return matches[0]
            if matches:
                raise _several_workflows(name, matches)
        raise _no_workflow(name)

    def known_workflow(self, workflow_id: str) -> Workflow | None:
        """Return a workflow if it was read before."""
        return (self._workflows.kept or {}).get(workflow_id)

    def keep_workflow(self, workflow: Workflow) -> None:
        """Remember a workflow that was made or changed."""
        self._missing.pop(workflow.id, None)
        self._workflows.change(lambda kept: {**kept, workflow.id: workflow})

    def drop_workflow(self, workflow_id: str) -> None:
        """Remember that a workflow is gone."""
        self._workflows.change(lambda kept: {id_: it for id_, it in kept.items() if id_ != workflow_id})

    def forget_workflows(self) -> None:
        """Read the workflows anew next time: they may have changed."""
        self._workflows.forget()

    def forget_products(self) -> None:
        """Read the products and their workflows anew next time: one is gone."""
        self._products.forget()
        self._workflows.forget()

    # branches, tags, pull requests

    async def repository_of(self, workflow_id: str) -> str:
        """Return the id of a workflow's repository. Raises NotFound where Apple names none."""
        workflow = await self.workflow(workflow_id)
        if workflow.repository is None:
            raise NotFound(f"Apple names no repository for {workflow.path}.", provider=LABEL)
        return workflow.repository.id

    async def repository_if_readable(self, repository: str) -> Repository | None:
        """Return a repository by its id with its default branch, None where it cannot be read. One request an hour."""
        try:
            return (await self._repositories.get(self._read_repositories)).get(repository)
        except ProviderError:
            return None

    async def branches_and_tags(self, repository: str, *, within: timedelta | None = None) -> tuple[Source, ...]:
        """Return a repository's branches and tags, deleted ones left out. One request for each 200, every 5 minutes."""
        memory = self._refs.setdefault(repository, _Memory(REFS_LIFE, self._clock))
        path = urls.repository_refs(repository)
        return await memory.get(lambda: self._sources(path, GIT_REFERENCES, convert.branch_or_tag), within=within)

    async def pull_requests(self, repository: str, *, within: timedelta | None = None) -> tuple[Source, ...]:
        """Return a repository's open pull requests. One request for each 200, every 5 minutes."""
        memory = self._pull_requests.setdefault(repository, _Memory(REFS_LIFE, self._clock))
        path = urls.repository_pull_requests(repository)
        return await memory.get(lambda: self._sources(path, PULL_REQUESTS, convert.pull_request), within=within)

    async def _sources(
        self, path: str, query: FixedQuery, read: Callable[[Resource], Source | None]
    ) -> tuple[Source, ...]:
        return tuple(source for source in await self.read_all(path, query, read) if source is not None)

    # runs

    async def run(self, run_id: str) -> Document:
        """Return one run with what belongs to it. One request."""
        return (await self._api.get(urls.run(run_id), RUN)).decode(Document)

    async def run_of_action(self, action: str) -> Document:
        """Return the run that an action belongs to. One request."""
        return (await self._api.get(urls.action_run(action), RUN)).decode(Document)

    async def workflow_runs(self, workflow_id: str, limit: int) -> AsyncIterator[Listing]:
        """Yield pages of a workflow's runs, newest first, at most ten; with a ready-made token those of its product."""
        if self._ready is not None:
            async for page in self.product_runs((await self.workflow(workflow_id)).product.id, PAGE_SIZE):
                yield page
            return
        query = {**RUNS, "limit": min(max(limit, 1), PAGE_SIZE)}
        async for page in self.listing(urls.workflow_runs(workflow_id), query, ceiling=SEARCH_PAGES):
            yield page

    async def product_runs(self, product: str, limit: int) -> AsyncIterator[Listing]:
        """Yield pages of `limit` runs of a product, newest first, at most ten."""
        async for page in self.listing(urls.product_runs(product), {**RUNS, "limit": limit}, ceiling=SEARCH_PAGES):
            yield page

    async def newest_runs(self, workflow_id: str) -> Listing:
        """Return the newest runs of a workflow. One request."""
        reply = await self._api.get(urls.workflow_runs(workflow_id), {**RUNS, "limit": SHORT_PAGE})
        return reply.decode(Listing)

    # builds

    async def build(self, document: Document, pipeline: str) -> Build:
        """Return a run as a build, of the workflow that Apple names, else of `pipeline`. Once an hour one request."""
        await self.products_if_readable()
        return self._build(document.data, document.included_by_id, pipeline)

    async def listed_build(self, build: str, pipeline: str) -> Build:
        """Return a build by way of lists: of its workflow's product, or of all where `pipeline` is no workflow (`run:ID`).

        At most ten requests for each product. Raises NotFound.
        """
        workflows = await self.workflows()
        products = [workflows[pipeline].product] if pipeline in workflows else (await self.products()).values()
        for product in products:
            if self._ready is not None and _uncovered(self._ready, _reads_of(product.id)):
                continue
            async for page in self.product_runs(product.id, PAGE_SIZE):
                for candidate in await self.builds_of_page(page, pipeline):
                    if candidate.id == build:
                        return candidate
        raise NotFound("That build is not among the newest ones of its product.", provider=LABEL)

    async def builds_of_page(self, page: Listing, pipeline: str = "") -> list[Build]:
        """Return a page of runs as builds, without those that cannot be read. Once an hour one request."""
        await self.products_if_readable()
        included = page.included_by_id
        return list(parse_items(page.data, lambda raw: self._build(Resource.of(raw), included, pipeline)))

    async def builds(self, pipeline: str, build_filter: BuildFilter) -> AsyncIterator[Build]:
        """Yield a workflow's builds that a filter admits. Apple filters by nothing: at most ten pages are read."""
        await self.products_if_readable()
        included: dict[tuple[str, str], Resource] = {}
        is_narrow = bool(build_filter.fields)

        async def pages() -> AsyncIterator[list[msgspec.Raw]]:
            async for page in self.workflow_runs(pipeline, PAGE_SIZE if is_narrow else build_filter.limit):
                included.update(page.included_by_id)
                yield [raw for raw in page.data if _workflow_of(raw) in {None, pipeline}]

        async for build in matching(
            pages(), lambda raw: self._build(Resource.of(raw), included, pipeline), build_filter
        ):
            yield build

    def _build(self, run: Resource, included: Included, pipeline: str) -> Build:
        return convert.build(
            run,
            included,
            connection=self._connection,
            pipeline=pipeline,
            workflow=self.known_workflow(run.to("workflow") or pipeline),
            product=(self._products.kept or {}).get(run.to("product") or ""),
            site=self.site,
        )

    # a ready-made token

    async def account_of_token(self, ready: ReadyToken) -> Account:
        """Return what a ready-made token reaches. One request; raises AuthFailed naming what its scope lacks."""
        if ready.expires_at <= self._clock():
            raise AuthFailed("The token has ended.", provider=LABEL, hint=f"Make a new one. {USE_A_KEY}")
        _refuse_missing(
            _uncovered(ready, ((urls.PRODUCTS, PRODUCTS), (urls.REPOSITORIES, REPOSITORIES))),
        )
        products = await self.products()
        missing = {product.name: _uncovered(ready, _reads_of(product.id)) for product in products.values()}
        out_of_reach = [name for name, lines in missing.items() if lines]
        if out_of_reach and len(out_of_reach) == len(products):
            _refuse_missing([line for lines in missing.values() for line in lines])
        warnings = ["With a ready-made token I can only tell how builds stand; I can't start any or show logs."]
        if ready.expires_at - self._clock() < TOKEN_WARNING:
            warnings.append("The token ends soon.")
        return Account(
            name="Ready-made token",
            detail=f"{len(products) - len(out_of_reach)} of {len(products)} products",
            missing=tuple(Scope(name=f"scope for {name}", purpose=f"the builds of {name}") for name in out_of_reach),
            warnings=tuple(warnings),
            expires_at=ready.expires_at,
        )

    # reading

    async def _read_products(self) -> Mapping[str, Product]:
        products: dict[str, Product] = {}
        async for page in self.listing(urls.PRODUCTS, PRODUCTS):
            included = page.included_by_id
            for product in parse_items(page.data, lambda raw: convert.product(Resource.of(raw), included)):  # noqa: B023
                products[product.id] = product
        return products

    async def _read_repositories_or_none(self) -> Mapping[str, Repository]:
        """Return the repositories; none where the key may not read them: workflows are known without."""
        try:
            return await self._read_repositories()
        except (AuthFailed, NotFound) as exc:
            if exc.status not in {HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND}:
                raise
            return {}

    async def _read_repositories(self) -> Mapping[str, Repository]:
        repositories: dict[str, Repository] = {}
        async for page in self.listing(urls.REPOSITORIES, REPOSITORIES):
            included = page.included_by_id
            for it in parse_items(page.data, lambda raw: convert.repository(Resource.of(raw), included)):  # noqa: B023
                repositories[it.id] = it
        return repositories

    async def _read_workflows(self) -> Mapping[str, Workflow]:
        repositories = await self._repositories.get(self._read_repositories_or_none)
        workflows: dict[str, Workflow] = {}
        for product in (await self.products()).values():
            if self._ready is not None and _uncovered(self._ready, _reads_of(product.id)):
                continue
            async for page in self.listing(urls.product_workflows(product.id), WORKFLOWS):
                included = page.included_by_id
                for workflow in parse_items(
                    page.data,
                    lambda raw: convert.workflow(Resource.of(raw), included, product, repositories),  # noqa: B023
                ):
                    workflows[workflow.id] = workflow
        return workflows


def _workflow_of(raw: msgspec.Raw) -> str | None:
    """Return the workflow that a run of a list names; None where it names none or cannot be read."""
    try:
        return Resource.of(raw).to("workflow")
    except UnexpectedResponse:
        return None


def _fitting(workflows: list[Workflow], name: str) -> list[Workflow]:
    """Return the workflows that words mean: by path, else by name, else by app."""
    return (
        [it for it in workflows if same_name(it.path, name)]
        or [it for it in workflows if same_name(it.name, name)]
        or [it for it in workflows if it.product.app and f"{urls.APP_PREFIX}{it.product.app}" == name]
    )


def _reads_of(product: str) -> tuple[tuple[str, FixedQuery], ...]:
    """Return the requests that a ready-made token must hold for each product."""
    return (urls.product_workflows(product), WORKFLOWS), (urls.product_runs(product), RUNS)


def _uncovered(ready: ReadyToken, requests: tuple[tuple[str, FixedQuery], ...]) -> list[str]:
    """Return the lines that a token's scope lacks for these requests."""
    return [scope_line(path, query) for path, query in requests if not ready.covers(path, query)]


def _refuse_missing(lines: list[str]) -> None:
    if lines:
        scope_lines = "; ".join(f"`{line}`" for line in lines[:2])
        more = f" and {len(lines) - 2} more" if len(lines) > 2 else ""
        raise AuthFailed(
            f"The token's scope does not hold what I ask: {scope_lines}{more}.",
            provider=LABEL,
            hint=f"The page of this connection's kind lists every line that a scope needs. {USE_A_KEY}",
        )


def _no_workflow(words: str) -> NotFound:
    return NotFound(
        f"{LABEL} has no workflow `{words}`, or this connection may not see it.",
        provider=LABEL,
        hint="Write it as `product/workflow`, as App Store Connect shows both names.",
    )


def _several_workflows(words: str, workflows: list[Workflow]) -> Ambiguous:
    are_distinct = len({folded(it.path) for it in workflows}) == len(workflows)
    return Ambiguous(
        "That page shows several workflows. Which one?"
        if words.startswith(urls.APP_PREFIX)
        else f"Several workflows are called `{words}`. Which one?",
        choices=tuple((it.path, it.path if are_distinct else it.id) for it in workflows),
        hint="Write it as `product/workflow`." if are_distinct else "Their names are the same; pick one by its id.",
    )
