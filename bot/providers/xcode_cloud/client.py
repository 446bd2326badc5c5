"""What an account holds, remembered for a while: products, repositories, workflows, branches, tags, pull requests.

Apple has no filter by name and no account-wide list of workflows, so everything is read whole and matched here.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Generic, TypeVar

from bot.core.clock import Clock
from bot.core.errors import Ambiguous, NotFound
from bot.core.models import Pipeline, Ref, RefKind
from bot.http.client import Api, Query
from bot.providers.xcode_cloud.auth import ReadyToken
from bot.providers.xcode_cloud.wire import (
    GitRefAttributes,
    Listing,
    Product,
    ProductAttributes,
    PullRequestAttributes,
    RepositoryAttributes,
    Resource,
    Site,
    WorkflowAttributes,
    next_page,
)

T = TypeVar("T")

LABEL = "Xcode Cloud"
PAGE_SIZE = 200
CEILING_PAGES = 50

PRODUCTS_LIFE = timedelta(hours=1)
WORKFLOWS_LIFE = timedelta(minutes=10)
REFS_LIFE = timedelta(minutes=5)
JUST_READ = timedelta(seconds=15)

PRODUCTS: Mapping[str, str | int] = {
    "fields[ciProducts]": "name,productType,app,primaryRepositories",
    "fields[apps]": "name",
    "fields[scmRepositories]": "ownerName,repositoryName",
    "include": "app,primaryRepositories",
    "limit": PAGE_SIZE,
}
REPOSITORIES: Mapping[str, str | int] = {
    "fields[scmRepositories]": "ownerName,repositoryName,defaultBranch",
    "fields[scmGitReferences]": "name,canonicalName,kind",
    "include": "defaultBranch",
    "limit": PAGE_SIZE,
}
WORKFLOWS: Mapping[str, str | int] = {
    "fields[ciWorkflows]": "name,isEnabled,repository",
    "fields[scmRepositories]": "ownerName,repositoryName",
    "include": "repository",
    "limit": PAGE_SIZE,
}
GIT_REFERENCES: Mapping[str, str | int] = {
    "fields[scmGitReferences]": "name,canonicalName,isDeleted,kind",
    "limit": PAGE_SIZE,
}
PULL_REQUESTS: Mapping[str, str | int] = {
    "fields[scmPullRequests]": (
        "number,title,sourceRepositoryOwner,sourceBranchName,destinationBranchName,isClosed,isCrossRepository"
    ),
    "limit": PAGE_SIZE,
}


def workflows_path(product: str) -> str:
    """Return where a product's workflows are listed."""
    return f"v1/ciProducts/{product}/workflows"


def product_runs_path(product: str) -> str:
    """Return where a product's runs are listed."""
    return f"v1/ciProducts/{product}/buildRuns"


@dataclass(frozen=True, slots=True, kw_only=True)
class Repository:
    """A repository that Xcode Cloud can read."""

    id: str
    path: str | None
    default_branch: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Workflow:
    """A workflow: our pipeline."""

    id: str
    name: str
    product: Product
    repository: Repository | None
    enabled: bool

    @property
    def path(self) -> str:
        """Return the name that is clear within the account."""
        return f"{self.product.name}/{self.name}"

    def pipeline(self, site: Site) -> Pipeline:
        """Return the workflow as a pipeline."""
        return Pipeline(
            id=self.id,
            path=self.path,
            name=self.name,
            group=self.product.name,
            default_branch=self.repository.default_branch if self.repository is not None else None,
            repository=self.repository.path if self.repository is not None else None,
            web_url=site.page(self.product),
            enabled=self.enabled,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """What a run can be started from. `relation` and `type` are Apple's words for it.

    `branch` and `target` are a pull request's branches.
    """

    id: str
    ref: Ref
    relation: str
    type: str
    canonical_name: str | None = None
    branch: str | None = None
    target: str | None = None


class _Memory(Generic[T]):
    """Something read once and kept for a while; readers at the same time share one read."""

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

    def mend(self, change: Callable[[T], T]) -> None:
        """Change what is kept, if anything is; its age stays."""
        if self._kept is not None:
            self._kept = (self._kept[0], change(self._kept[1]))

    def forget(self) -> None:
        """Read anew next time."""
        self._kept = None


class Catalogue:
    """The account's products and workflows, and what its repositories offer to build.

    With a ready-made token only those products show whose lists its scope holds.
    """

    def __init__(self, api: Api, clock: Clock, ready: ReadyToken | None, runs_query: Mapping[str, str | int]) -> None:
        self._api = api
        self._clock = clock
        self._ready = ready
        self._runs_query = runs_query
        self._products: _Memory[Mapping[str, Product]] = _Memory(PRODUCTS_LIFE, clock)
        self._repositories: _Memory[Mapping[str, Repository]] = _Memory(PRODUCTS_LIFE, clock)
        self._workflows: _Memory[Mapping[str, Workflow]] = _Memory(WORKFLOWS_LIFE, clock)
        self._missing: dict[str, datetime] = {}
        self._refs: dict[str, _Memory[tuple[Source, ...]]] = {}
        self._pull_requests: dict[str, _Memory[tuple[Source, ...]]] = {}

    async def listing(self, path: str, query: Query, *, ceiling: int = CEILING_PAGES) -> AsyncIterator[Listing]:
        """Yield a listing page by page."""
        async for reply in self._api.replies(path, query, next_page=next_page, ceiling=ceiling):
            yield reply.decode(Listing)

    async def products(self) -> Mapping[str, Product]:
        """Return the products by id. One request an hour (more past 200 products)."""
        return await self._products.get(self._read_products)

    async def workflows(self, *, within: timedelta | None = None) -> Mapping[str, Workflow]:
        """Return the workflows by id. Every ten minutes at most one request for each product."""
        return await self._workflows.get(self._read_workflows, within=within)

    async def workflow(self, id_: str) -> Workflow:
        """Return a workflow by its id, from memory however old.

        Raises NotFound after one look at the account, which is not repeated for ten minutes: a deleted workflow that
        is still watched must not cost the whole list at every tick.
        """
        known = self.known(id_)
        if known is not None:
            return known
        now = self._clock()
        if now - self._missing.get(id_, datetime.min.replace(tzinfo=UTC)) < WORKFLOWS_LIFE:
            raise _no_workflow(id_)
        known = (await self.workflows(within=JUST_READ)).get(id_)
        if known is None:
            self._missing[id_] = now
            raise _no_workflow(id_)
        return known

    async def find(self, path: str) -> Workflow:
        """Return the workflow with an id, a `product/workflow` or a name. Raises NotFound, Ambiguous."""
        wanted = path.strip()
        for within in (None, JUST_READ):
            workflows = await self.workflows(within=within)
            if wanted in workflows:
                return workflows[wanted]
            folded = wanted.casefold()
            found = [it for it in workflows.values() if it.path.casefold() == folded] or [
                it for it in workflows.values() if it.name.casefold() == folded
            ]
            if len(found) == 1:
                return found[0]
            if found:
                raise _several_workflows(wanted, found)
        raise _no_workflow(wanted)

    def known(self, id_: str) -> Workflow | None:
        """Return a workflow if it was read before."""
        return (self._workflows.kept or {}).get(id_)

    def keep(self, workflow: Workflow) -> None:
        """Remember a workflow that was made or changed."""
        self._missing.pop(workflow.id, None)
        self._workflows.mend(lambda kept: {**kept, workflow.id: workflow})

    def drop(self, id_: str) -> None:
        """Remember that a workflow is gone."""
        self._workflows.mend(lambda kept: {known: it for known, it in kept.items() if known != id_})

    def forget_workflows(self) -> None:
        """Read the workflows anew next time: they may have changed."""
        self._workflows.forget()

    async def sources(self, repository: str, *, within: timedelta | None = None) -> tuple[Source, ...]:
        """Return a repository's branches and tags, deleted ones left out. One request for each 200, every 5 minutes."""
        memory = self._refs.setdefault(repository, _Memory(REFS_LIFE, self._clock))
        return await memory.get(lambda: self._read_sources(repository), within=within)

    async def pull_requests(self, repository: str, *, within: timedelta | None = None) -> tuple[Source, ...]:
        """Return a repository's open pull requests. One request for each 200, every 5 minutes."""
        memory = self._pull_requests.setdefault(repository, _Memory(REFS_LIFE, self._clock))
        return await memory.get(lambda: self._read_pull_requests(repository), within=within)

    def covered(self, product: str) -> bool:
        """Return whether the credentials reach a product's workflows and runs."""
        return self._ready is None or (
            self._ready.covers(workflows_path(product), WORKFLOWS)
            and self._ready.covers(product_runs_path(product), self._runs_query)
        )

    async def _read_products(self) -> Mapping[str, Product]:
        found: dict[str, Product] = {}
        async for page in self.listing("v1/ciProducts", PRODUCTS):
            beside = page.around
            for it in page.data:
                repositories = [
                    beside[("scmRepositories", repository)].read(RepositoryAttributes).path
                    for repository in it.to_many("primary_repositories") or ()
                    if ("scmRepositories", repository) in beside
                ]
                found[it.id] = Product(
                    id=it.id,
                    name=it.read(ProductAttributes).name or it.id,
                    app=it.to("app"),
                    repositories=tuple(path for path in repositories if path),
                )
        return found

    async def _read_repositories(self) -> Mapping[str, Repository]:
        found: dict[str, Repository] = {}
        async for page in self.listing("v1/scmRepositories", REPOSITORIES):
            beside = page.around
            for it in page.data:
                branch = beside.get(("scmGitReferences", it.to("default_branch") or ""))
                found[it.id] = Repository(
                    id=it.id,
                    path=it.read(RepositoryAttributes).path,
                    default_branch=branch.read(GitRefAttributes).name if branch is not None else None,
                )
        return found

    async def _read_workflows(self) -> Mapping[str, Workflow]:
        repositories = await self._repositories.get(self._read_repositories)
        found: dict[str, Workflow] = {}
        for product in (await self.products()).values():
            if not self.covered(product.id):
                continue
            async for page in self.listing(workflows_path(product.id), WORKFLOWS):
                for it in page.data:
                    found[it.id] = _workflow(it, product, repositories, page)
        return found

    async def _read_sources(self, repository: str) -> tuple[Source, ...]:
        found: list[Source] = []
        async for page in self.listing(f"v1/scmRepositories/{repository}/gitReferences", GIT_REFERENCES):
            for it in page.data:
                read = it.read(GitRefAttributes)
                kind = {"BRANCH": RefKind.BRANCH, "TAG": RefKind.TAG}.get(read.kind or "")
                if read.is_deleted or not read.name or kind is None:
                    continue
                found.append(
                    Source(
                        id=it.id,
                        ref=Ref(kind=kind, name=read.name),
                        relation="sourceBranchOrTag",
                        type="scmGitReferences",
                        canonical_name=read.canonical_name,
                    )
                )
        return tuple(found)

    async def _read_pull_requests(self, repository: str) -> tuple[Source, ...]:
        found: list[Source] = []
        async for page in self.listing(f"v1/scmRepositories/{repository}/pullRequests", PULL_REQUESTS):
            for it in page.data:
                read = it.read(PullRequestAttributes)
                if read.is_closed or read.number is None:
                    continue
                ref = Ref(kind=RefKind.PULL_REQUEST, name=str(read.number), title=read.title)
                found.append(
                    Source(
                        id=it.id,
                        ref=ref,
                        relation="pullRequest",
                        type="scmPullRequests",
                        branch=read.branch,
                        target=read.destination_branch_name,
                    )
                )
        return tuple(found)


def _workflow(it: Resource, product: Product, repositories: Mapping[str, Repository], page: Listing) -> Workflow:
    read = it.read(WorkflowAttributes)
    id_ = it.to("repository")
    repository = repositories.get(id_ or "")
    if repository is None and id_ is not None:
        beside = page.around.get(("scmRepositories", id_))
        path = beside.read(RepositoryAttributes).path if beside is not None else None
        repository = Repository(id=id_, path=path, default_branch=None)
    return Workflow(
        id=it.id,
        name=read.name or it.id,
        product=product,
        repository=repository,
        enabled=read.is_enabled is not False,
    )


def _no_workflow(wanted: str) -> NotFound:
    return NotFound(
        f"{LABEL} has no workflow `{wanted}`, or this connection may not see it.",
        provider=LABEL,
        hint="Write it as `product/workflow`, as App Store Connect shows both names.",
    )


def _several_workflows(wanted: str, found: list[Workflow]) -> Ambiguous:
    clear = len({it.path.casefold() for it in found}) == len(found)
    return Ambiguous(
        f"Several workflows are called `{wanted}`. Which one?",
        choices=tuple((it.path, it.path if clear else it.id) for it in found),
        hint="Write it as `product/workflow`." if clear else "Their names are the same; pick one by its id.",
    )
