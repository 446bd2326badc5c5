"""Lists of what stands around pipelines: products, SCM providers, repositories, references, pull requests, versions."""

from enum import StrEnum

from bot.blocks.lists import listing
from bot.blocks.message import Message
from bot.blocks.text import code, safe
from bot.blocks.workflow import (
    product_lines,
    provider_lines,
    pull_request_lines,
    reference_lines,
    repository_lines,
)
from bot.core.errors import NotLinked, UsageError
from bot.core.models import Pipeline
from bot.core.text import among_names, holds_name
from bot.providers.base.capabilities import Capability
from bot.providers.base.provider import AnyProvider
from commands.core.context import Context


class Sources(StrEnum):
    """What can be listed."""

    PRODUCTS = "products"
    PROVIDERS = "providers"
    REPOSITORIES = "repositories"
    REFERENCES = "references"
    PULLS = "pulls"
    VERSIONS = "versions"


def able_providers(context: Context) -> list[AnyProvider]:
    """Return the connections that have such lists. Raises NotLinked where none has."""
    able = [provider for provider in context.providers() if provider.can(Capability.PIPELINE_ADMIN)]
    if not able:
        raise NotLinked(
            "No connection of this workspace lists products or repositories.",
            hint="Xcode Cloud can, with an API key. A ready-made token reads lists of builds only.",
        )
    return able


async def sources_message(kind: Sources, words: str, provider: AnyProvider) -> Message:
    """Return one list of a connection. `words` narrows it, or names the repository. Costs what the provider's list costs."""
    admin = provider.pipeline_admin()
    title = f"{kind.value.capitalize()} of {safe(provider.connection, 80)}"
    if kind is Sources.PROVIDERS:
        return listing(title, provider_lines(await admin.source_providers()), none="none connected")
    if kind is Sources.PRODUCTS:
        return listing(title, await _products(words, provider), none="none found")
    if kind is Sources.VERSIONS:
        offered = await admin.environments()
        lines = [f"• {code(version)}" for version in (*offered.xcodes, *offered.macoses)]
        return listing(title, lines, none="none offered")
    if kind is Sources.REPOSITORIES:
        repositories = [known for known in await admin.repositories() if not words or holds_name(known.path, words)]
        return listing(title, repository_lines(repositories), none="none found")
    repository, default = await _repository(words, provider)
    title = f"{'Pull requests' if kind is Sources.PULLS else 'References'} of {safe(repository, 120)}"
    if kind is Sources.PULLS:
        requests = await admin.pull_requests(repository)
        opened = [request for request in requests if not request.is_closed]
        return listing(title, pull_request_lines(opened), none="none open")
    return listing(title, reference_lines(await admin.references(repository), default=default), none="none found")


def _is_called(pipeline: Pipeline, words: str) -> bool:
    return among_names(words, (pipeline.name, pipeline.path, pipeline.id))


async def _products(words: str, provider: AnyProvider) -> list[str]:
    """Return the lines of the products, with how many pipelines each has, from the provider's own memory of those."""
    counts: dict[str, int] = {}
    async for pipeline in provider.pipelines():
        counts[pipeline.group or ""] = counts.get(pipeline.group or "", 0) + 1
    products = await provider.pipeline_admin().products()
    return product_lines([known for known in products if not words or holds_name(known.name, words)], counts)


async def _repository(words: str, provider: AnyProvider) -> tuple[str, str | None]:
    """Return the path and the default branch of the repository that words mean: by its own name or a pipeline's."""
    offered = await provider.pipeline_admin().repositories()
    fitting = [known for known in offered if not words or known.id == words or holds_name(known.path, words)]
    if words and not fitting:
        built = {pipeline.repository async for pipeline in provider.pipelines() if _is_called(pipeline, words)}
        fitting = [known for known in offered if known.path in built]
    exact = [known for known in fitting if known.path.casefold() == words.casefold()]
    chosen = exact or fitting
    if len(chosen) != 1:
        names = ", ".join(f"`{known.path}`" for known in chosen or offered)
        raise UsageError(
            f"There is no repository `{words}`." if words and not chosen else "Which repository?",
            hint=f"There are: {names}." if names else None,
        )
    return chosen[0].path, chosen[0].default_branch
