"""What an account holds beside workflows: products, SCM providers, repositories, their references and pull requests.

Facts: Apple's OpenAPI document 4.4.1 and its pages on products, providers, repositories, Git references and pull
requests, checked 2026-11. These reads are made for a person who asks, so they are not kept.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TypeVar

from typing_extensions import override

from bot.core.errors import ProviderError, UsageError
from bot.core.text import among_names, folded, holds_name
from bot.core.workflows import GitReference, Product, PullRequest, SourceProvider, SourceRepository
from bot.http.client import ApiClient
from bot.providers.base.admin import Inventory
from bot.providers.base.listing import parse_items
from bot.providers.base.times import parse_time
from bot.providers.xcode_cloud import urls
from bot.providers.xcode_cloud.client import GIT_REFERENCES, PAGE_SIZE, PULL_REQUESTS, Client, FixedQuery
from bot.providers.xcode_cloud.options import LABEL
from bot.providers.xcode_cloud.wire import (
    AppAttributes,
    BundleIdAttributes,
    Document,
    GitRefAttributes,
    Included,
    ProductAttributes,
    PullRequestAttributes,
    RepositoryAttributes,
    Resource,
    ScmProviderAttributes,
    WorkflowAttributes,
    attributes_of,
)

N = TypeVar("N", Product, SourceProvider, SourceRepository)

_PRODUCT: Mapping[str, str] = {
    "fields[ciProducts]": "name,createdDate,productType,app,bundleId,primaryRepositories",
    "fields[apps]": "name,bundleId",
    "fields[bundleIds]": "identifier",
    "fields[scmRepositories]": "ownerName,repositoryName",
    "include": "app,bundleId,primaryRepositories",
}
PRODUCTS: FixedQuery = {**_PRODUCT, "limit": PAGE_SIZE}
PRODUCT: FixedQuery = {**_PRODUCT, "limit[primaryRepositories]": 50}
NAMES: FixedQuery = {"fields[ciWorkflows]": "name,isEnabled", "limit": PAGE_SIZE}
PATHS: FixedQuery = {"fields[scmRepositories]": "ownerName,repositoryName", "limit": PAGE_SIZE}
SCM_PROVIDERS: FixedQuery = {"fields[scmProviders]": "scmProviderType,url", "limit": PAGE_SIZE}
REPOSITORIES: FixedQuery = {
    "fields[scmRepositories]": (
        "lastAccessedDate,httpCloneUrl,sshCloneUrl,ownerName,repositoryName,scmProvider,defaultBranch"
    ),
    "fields[scmProviders]": "scmProviderType,url",
    "fields[scmGitReferences]": "name",
    "include": "scmProvider,defaultBranch",
    "limit": PAGE_SIZE,
}
PULLS: FixedQuery = {
    **PULL_REQUESTS,
    "fields[scmPullRequests]": f"{PULL_REQUESTS['fields[scmPullRequests]']},webUrl",
}


class AppleInventory(Inventory):
    """The account's inventory. One request for each list and 200 items, what else it costs is said at each method."""

    def __init__(self, api: ApiClient, client: Client) -> None:
        self._api = api
        self._client = client

    @override
    async def products(self) -> tuple[Product, ...]:
        """Return the products by name. One request for each 200."""
        products: list[Product] = []
        async for page in self._client.listing(urls.PRODUCTS, PRODUCTS):
            included = page.included_by_id
            products += parse_items(page.data, lambda raw: self._product(Resource.of(raw), included))  # noqa: B023
        return tuple(sorted(products, key=lambda product: folded(product.name)))

    @override
    async def product(self, words: str) -> Product:
        """Return a product with its workflows and all its repositories. Four requests."""
        chosen = one_of([(product.name, product) for product in await self.products()], words, "product")
        reply = await self._api.get(urls.product(chosen.id), PRODUCT)
        document = reply.decode(Document)
        product = self._product(document.data, document.included_by_id)
        workflows = await self._client.read_all(urls.product_workflows(chosen.id), NAMES, _workflow_name)
        try:
            others = await self._client.read_all(urls.product_additional_repositories(chosen.id), PATHS, _path)
        except ProviderError:  # what a product builds with besides is the least of what was asked for
            others = ()
        return replace(product, workflows=workflows, additional_repositories=others)

    @override
    async def delete_product(self, product: str) -> None:
        """Delete a product with its workflows and builds. One request."""
        await self._api.send("DELETE", urls.product(product))
        self._client.forget_products()

    @override
    async def source_providers(self) -> tuple[SourceProvider, ...]:
        """Return the SCM providers. One request."""
        return await self._client.read_all(urls.SCM_PROVIDERS, SCM_PROVIDERS, _provider)

    @override
    async def repositories(self, provider: str | None = None) -> tuple[SourceRepository, ...]:
        """Return the repositories. One request for each 200, and one more to find a provider."""
        path = urls.REPOSITORIES
        if provider:
            offered = await self.source_providers()
            named = [(known.name, known) for known in offered]
            path = urls.provider_repositories(one_of(named, provider, "SCM provider").id)
        repositories: list[SourceRepository] = []
        async for page in self._client.listing(path, REPOSITORIES):
            included = page.included_by_id
            repositories += parse_items(page.data, lambda raw: _repository(Resource.of(raw), included))  # noqa: B023
        return tuple(sorted(repositories, key=lambda repository: folded(repository.path)))

    @override
    async def references(self, repository: str) -> tuple[GitReference, ...]:
        """Return branches and tags. Two requests, more past 200 of them."""
        path = urls.repository_refs((await self._repository(repository)).id)
        return await self._client.read_all(path, GIT_REFERENCES, _reference)

    @override
    async def pull_requests(self, repository: str) -> tuple[PullRequest, ...]:
        """Return pull requests, newest first. Two requests, more past 200 of them."""
        path = urls.repository_pull_requests((await self._repository(repository)).id)
        requests = await self._client.read_all(path, PULLS, _pull_request)
        return tuple(sorted(requests, key=lambda request: request.number, reverse=True))

    async def _repository(self, words: str) -> SourceRepository:
        offered = await self.repositories()
        named = [(repository.path, repository) for repository in offered]
        return one_of(named, words, "repository", is_exact=True)

    def _product(self, resource: Resource, included: Included) -> Product:
        attributes = resource.read(ProductAttributes)
        app = attributes_of(included, "apps", resource.to("app"), AppAttributes)
        bundle = attributes_of(included, "bundleIds", resource.to("bundle_id"), BundleIdAttributes)
        repositories = (
            attributes_of(included, "scmRepositories", repository, RepositoryAttributes)
            for repository in resource.to_many("primary_repositories") or ()
        )
        own = bundle.identifier if bundle is not None else None
        return Product(
            id=resource.id,
            name=attributes.name or resource.id,
            kind=(attributes.product_type or "").lower(),
            created_at=parse_time(attributes.created_date),
            app=app.name if app is not None else None,
            bundle_id=own or (app.bundle_id if app is not None else None),
            repositories=tuple(known.path for known in repositories if known is not None and known.path),
            web_url=self._client.site.page(resource.to("app")),
        )


def one_of(named: Iterable[tuple[str, N]], words: str, what: str, *, is_exact: bool = False) -> N:
    """Return what an id, a name or, unless `is_exact`, a unique part of one means. Raises UsageError for none or several."""
    offered = list(named)
    text = words.strip()
    exact = [thing for name, thing in offered if thing.id == text or among_names(text, (name,))]
    fitting = exact or [thing for name, thing in offered if text and not is_exact and holds_name(name, text)]
    if len(fitting) == 1:
        return fitting[0]
    several = [name for name, thing in offered if thing in fitting]
    subject = f"Several things fit the {what} `{text}`." if fitting else f"There is no {what} `{text}`."
    raise UsageError(subject if text else f"Which {what}?", hint=offer(several or [name for name, _ in offered]))


def offer(names: list[str]) -> str:
    """Return a hint that names what there is."""
    shown = ", ".join(f"`{name}`" for name in names[:10])
    more = f" and {len(names) - 10} more" if len(names) > 10 else ""
    return f"There are: {shown}{more}." if names else f"{LABEL} offers none."


def _workflow_name(resource: Resource) -> str:
    attributes = resource.read(WorkflowAttributes)
    name = attributes.name or resource.id
    return f"{name} (disabled)" if attributes.is_enabled is False else name


def _path(resource: Resource) -> str:
    return resource.read(RepositoryAttributes).path or resource.id


def _provider(resource: Resource) -> SourceProvider:
    attributes = resource.read(ScmProviderAttributes)
    kind = attributes.scm_provider_type
    return SourceProvider(
        id=resource.id,
        name=(kind.display_name or kind.kind if kind is not None else None) or attributes.url or resource.id,
        kind=(kind.kind if kind is not None else None) or "",
        url=attributes.url,
        is_on_premise=kind.is_on_premise if kind is not None else None,
    )


def _repository(resource: Resource, included: Included) -> SourceRepository:
    attributes = resource.read(RepositoryAttributes)
    branch = attributes_of(included, "scmGitReferences", resource.to("default_branch"), GitRefAttributes)
    provider = attributes_of(included, "scmProviders", resource.to("scm_provider"), ScmProviderAttributes)
    kind = provider.scm_provider_type if provider is not None else None
    return SourceRepository(
        id=resource.id,
        path=attributes.path or resource.id,
        default_branch=branch.name if branch is not None else None,
        provider=(kind.display_name or kind.kind) if kind is not None else None,
        http_url=attributes.http_clone_url,
        ssh_url=attributes.ssh_clone_url,
        accessed_at=parse_time(attributes.last_accessed_date),
    )


def _reference(resource: Resource) -> GitReference:
    attributes = resource.read(GitRefAttributes)
    return GitReference(
        name=attributes.name or resource.id,
        canonical_name=attributes.canonical_name or "",
        kind=(attributes.kind or "").lower(),
        is_deleted=attributes.is_deleted is True,
    )


def _pull_request(resource: Resource) -> PullRequest:
    attributes = resource.read(PullRequestAttributes)
    return PullRequest(
        number=attributes.number or 0,
        title=attributes.title or "",
        source=attributes.branch or "",
        target=attributes.destination_branch_name or "",
        is_closed=attributes.is_closed is True,
        from_fork=attributes.is_from_fork,
        web_url=attributes.web_url,
    )
