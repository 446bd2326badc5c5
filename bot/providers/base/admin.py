"""Administration of pipelines and what stands around them, where a system has it (Xcode Cloud's workflows)."""

from abc import ABC, abstractmethod

from bot.core.models import Pipeline
from bot.core.workflows import (
    Environments,
    GitReference,
    Product,
    PullRequest,
    SourceProvider,
    SourceRepository,
    WorkflowDefinition,
)


class Inventory(ABC):
    """What an account holds beside pipelines: products, repositories and where those are kept."""

    @abstractmethod
    async def products(self) -> tuple[Product, ...]:
        """Return the products by name, those without pipelines among them."""

    @abstractmethod
    async def product(self, words: str) -> Product:
        """Return the product that an id or a name means, with its pipelines. Raises UsageError where none or several fit."""

    @abstractmethod
    async def delete_product(self, product: str) -> None:
        """Delete a product by its id, with all its pipelines and builds. There is no way back."""

    @abstractmethod
    async def source_providers(self) -> tuple[SourceProvider, ...]:
        """Return where repositories are kept."""

    @abstractmethod
    async def repositories(self, provider: str | None = None) -> tuple[SourceRepository, ...]:
        """Return the repositories that can be read, or those of one provider by its id or name."""

    @abstractmethod
    async def references(self, repository: str) -> tuple[GitReference, ...]:
        """Return the branches and tags of a repository, by its id or `owner/name`; deleted ones are marked."""

    @abstractmethod
    async def pull_requests(self, repository: str) -> tuple[PullRequest, ...]:
        """Return the pull requests of a repository, by its id or `owner/name`, newest first; closed ones are marked."""


class PipelineAdmin(Inventory):
    """Administration of pipelines."""

    @abstractmethod
    async def definition(self, pipeline: str) -> WorkflowDefinition:
        """Return everything that makes a pipeline."""

    @abstractmethod
    async def draft(self, *, product: str | None, like: str | None) -> WorkflowDefinition:
        """Return what a new pipeline begins with: a copy of `like` without its name, else the least that builds.

        `product` is a product's name or id; the only one where it is None. Raises UsageError.
        """

    @abstractmethod
    async def prepare(self, new: WorkflowDefinition, old: WorkflowDefinition | None) -> WorkflowDefinition:
        """Return a definition whose versions, devices, product and repository exist, by their full names.

        Nothing is changed. Raises UsageError for what there is not. `old` is None for a new pipeline.
        """

    @abstractmethod
    async def create(self, new: WorkflowDefinition) -> Pipeline:
        """Make a pipeline of a prepared definition and return it."""

    @abstractmethod
    async def update(self, new: WorkflowDefinition, old: WorkflowDefinition) -> Pipeline:
        """Change a pipeline from `old` to a prepared definition, sending only what differs, and return it."""

    @abstractmethod
    async def set_enabled(self, pipeline: str, *, enabled: bool) -> Pipeline:
        """Switch a pipeline on or off and return it."""

    @abstractmethod
    async def duplicate(self, pipeline: str, name: str) -> Pipeline:
        """Make a copy under another name and return the copy, which is switched off."""

    @abstractmethod
    async def rename(self, pipeline: str, name: str) -> Pipeline:
        """Give a pipeline another name and return it."""

    @abstractmethod
    async def delete(self, pipeline: str) -> None:
        """Delete a pipeline and all its builds. There is no way back."""

    @abstractmethod
    async def environments(self, *, product: str | None = None, xcode: str | None = None) -> Environments:
        """Return what a definition can choose from; repositories of a product, test devices of an Xcode version."""
