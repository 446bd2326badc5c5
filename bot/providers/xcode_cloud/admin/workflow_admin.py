"""Administration of workflows: their definitions, on, off, new, copy, changed, another name, gone.

Facts: Apple's "Workflows", "Xcode Versions" and "macOS Versions" pages and the OpenAPI document 4.4.1, checked 2026-11.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from typing_extensions import override

from bot.core.clock import Sleep
from bot.core.errors import UsageError
from bot.core.models import Pipeline
from bot.core.text import among_names, same_name
from bot.core.workflow_actions import checked_actions
from bot.core.workflows import (
    ConditionKind,
    Environments,
    StartCondition,
    WorkflowAction,
    WorkflowDefinition,
)
from bot.http.client import ApiClient
from bot.providers.base.admin import PipelineAdmin
from bot.providers.base.send_once import send_once
from bot.providers.xcode_cloud import convert, urls
from bot.providers.xcode_cloud.admin import workflows
from bot.providers.xcode_cloud.admin.inventory import AppleInventory, offer
from bot.providers.xcode_cloud.admin.workflows import Origin, origin_of
from bot.providers.xcode_cloud.client import PAGE_SIZE, Client, FixedQuery
from bot.providers.xcode_cloud.convert import Product, Workflow
from bot.providers.xcode_cloud.options import LABEL
from bot.providers.xcode_cloud.start import to_one
from bot.providers.xcode_cloud.wire import (
    DeviceBody,
    Document,
    Included,
    ProductAttributes,
    RepositoryAttributes,
    Resource,
    VersionAttributes,
    WorkflowAttributes,
    attributes_of,
)

WHOLE: FixedQuery = {
    "fields[ciWorkflows]": workflows.FIELDS,
    "fields[ciProducts]": "name",
    "fields[scmRepositories]": "ownerName,repositoryName",
    "fields[ciXcodeVersions]": "version,name",
    "fields[ciMacOsVersions]": "version,name",
    "include": "product,repository,xcodeVersion,macOsVersion",
}
XCODE_VERSIONS: FixedQuery = {
    "fields[ciXcodeVersions]": "version,name,testDestinations,macOsVersions",
    "fields[ciMacOsVersions]": "version,name",
    "include": "macOsVersions",
    "limit": PAGE_SIZE,
    "limit[macOsVersions]": 50,
}
MAC_OS_VERSIONS: FixedQuery = {"fields[ciMacOsVersions]": "version,name", "limit": PAGE_SIZE}
PRIMARY_REPOSITORIES: FixedQuery = {
    "fields[scmRepositories]": "ownerName,repositoryName",
    "limit": PAGE_SIZE,
}
LATEST = "latest"


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """A version of Xcode or macOS. `partners` are the macOS versions an Xcode runs on; None: not reported."""

    id: str
    name: str
    version: str
    partners: tuple[str, ...] | None = None
    devices: tuple[DeviceBody, ...] = field(default=(), repr=False)

    def is_called(self, words: str) -> bool:
        """Return whether somebody means this one: by id, name or version, `15.4` for `Xcode 15.4 (15F31d)` too."""
        short = self.name.partition("(")[0].rstrip() if self.name.endswith(")") else self.name
        names = {self.id, self.name, self.version, short, short.split(" ")[-1]}
        return among_names(words.strip(), names)

    def begins(self, words: str) -> bool:
        """Return whether words are one of this version's names, or the first of its numbers: `15` of 15.6."""
        parts = self.name.partition("(")[0].split()
        major = {part.partition(".")[0] for part in parts if part[:1].isdecimal()}
        return among_names(words.strip(), {*parts[1:], *major})


class WorkflowAdmin(AppleInventory, PipelineAdmin):
    """Xcode Cloud's workflows, managed."""

    def __init__(self, api: ApiClient, client: Client, *, sleep: Sleep) -> None:
        super().__init__(api, client)
        self._sleep = sleep

    @override
    async def definition(self, pipeline: str) -> WorkflowDefinition:
        """Return everything that makes a workflow. One request, and once an hour one for the products' pages."""
        reply = await self._api.get(urls.workflow(pipeline), WHOLE)
        document = reply.decode(Document)
        model, included = document.data, document.included_by_id
        product_id = model.to("product") or ""
        listed = (await self._client.products_if_readable()).get(product_id)
        product = attributes_of(included, "ciProducts", product_id, ProductAttributes)
        repository = attributes_of(included, "scmRepositories", model.to("repository"), RepositoryAttributes)
        return workflows.definition(
            model,
            product=(product.name if product is not None else None)
            or (listed.name if listed is not None else product_id),
            repository=(repository.path if repository is not None else None) or model.to("repository") or "",
            xcode=_version_name(included, "ciXcodeVersions", model.to("xcode_version")),
            macos=_version_name(included, "ciMacOsVersions", model.to("mac_os_version")),
            web_url=self._client.site.page(listed.app if listed is not None else None),
        )

    @override
    async def draft(self, *, product: str | None, like: str | None) -> WorkflowDefinition:
        """Return what a new workflow begins with. Five requests at most, a copy needs one or two.

        A copy starts switched off, so that nothing is built twice until somebody has looked at it. From nothing: the
        newest Xcode and macOS, the product's repository, started by hand on any branch, no action yet.
        """
        if like is not None:
            model = replace(await self.definition(like), name="", enabled=False, modified_at=None)
            if product is None or same_name(product, model.product):
                return model
            chosen = await self._chosen_product(product)
            return replace(model, product=chosen.name, repository=await self._only_repository(chosen))
        chosen = await self._chosen_product(product or "")
        return WorkflowDefinition(
            name="",
            product=chosen.name,
            repository=await self._only_repository(chosen),
            xcode=LATEST,
            macos=LATEST,
            conditions={ConditionKind.MANUAL_BRANCH: StartCondition()},
            origin=Origin(product=chosen.id),
        )

    @override
    async def prepare(self, new: WorkflowDefinition, old: WorkflowDefinition | None) -> WorkflowDefinition:
        """Return a definition that can be sent. Nothing is asked for what stays; up to five requests for the rest."""
        before = origin_of(new)
        if not before.id or (old is not None and new.actions != old.actions):
            checked_actions(new.actions)
        product, repository = before.product, before.repository
        if old is None or not same_name(new.name, old.name):
            new = replace(new, name=_named(new.name))
            await self._refuse_taken(product, new, but=before.id if old is not None else None)
        if old is None:
            chosen = await self._chosen_product(new.product)
            if not new.container and not before.id:
                raise UsageError(
                    "Where in the repository is the project or workspace?",
                    hint="Give `container=NAME.xcodeproj` (or `.xcworkspace`).",
                )
            is_same = bool(before.id and repository) and new.repository == before.repository_name
            if not (is_same and product == chosen.id):
                path, repository = await self._chosen_repository(new, chosen)
                new = replace(new, repository=path)
            new, product = replace(new, product=chosen.name), chosen.id
        elif not new.container and old.container:
            raise UsageError("`container` may not be empty.")
        new = replace(new, origin=replace(before, product=product, repository=repository))
        return await self._with_environment(new, is_new=old is None)

    @override
    async def create(self, new: WorkflowDefinition) -> Pipeline:
        """Make a workflow. One request; two more and a wait where no answer comes."""
        origin = origin_of(new)
        products = await self._client.products()
        product = products.get(origin.product) or Product(id=origin.product, name=new.product)
        repository = await self._client.repository_if_readable(origin.repository)
        body = {
            "data": {
                "type": "ciWorkflows",
                "attributes": workflows.attributes_of(new),
                "relationships": {
                    "product": to_one("ciProducts", origin.product),
                    "repository": to_one("scmRepositories", origin.repository),
                    "xcodeVersion": to_one("ciXcodeVersions", origin.xcode),
                    "macOsVersion": to_one("ciMacOsVersions", origin.macos),
                },
            }
        }

        async def send() -> Pipeline:
            made = (await self._api.post(urls.WORKFLOWS, json=body)).decode(Document).data
            workflow = Workflow(
                id=made.id,
                name=made.read(WorkflowAttributes).name or new.name,
                product=product,
                repository=repository,
                enabled=new.enabled,
            )
            self._client.keep_workflow(workflow)
            return convert.pipeline(workflow, self._client.site)

        async def confirm() -> Pipeline | None:
            self._client.forget_workflows()
            for workflow in (await self._client.workflows()).values():
                if workflow.product.id == product.id and workflow.name == new.name:
                    return convert.pipeline(workflow, self._client.site)
            return None

        return await send_once(send, confirm, label=LABEL, sleep=self._sleep)

    @override
    async def update(self, new: WorkflowDefinition, old: WorkflowDefinition) -> Pipeline:
        """Change a workflow; only what differs is sent. One request."""
        origin, before = origin_of(new), origin_of(old)
        relations = {
            name: to_one(kind, now)
            for name, kind, now, then in (
                ("xcodeVersion", "ciXcodeVersions", origin.xcode, before.xcode),
                ("macOsVersion", "ciMacOsVersions", origin.macos, before.macos),
            )
            if now != then
        }
        return await self._change(origin.id, workflows.changed_attributes(new, old), relations)

    @override
    async def set_enabled(self, pipeline: str, *, enabled: bool) -> Pipeline:
        """Switch a workflow on or off. One request."""
        return await self._change(pipeline, {"isEnabled": enabled})

    @override
    async def rename(self, pipeline: str, name: str) -> Pipeline:
        """Give a workflow another name; one that its product has already is refused. One request."""
        workflow = await self._client.workflow(pipeline)
        if name.strip() != workflow.name:
            await self._refuse_taken(workflow.product.id, WorkflowDefinition(name=_named(name)), but=pipeline)
        return await self._change(pipeline, {"name": _named(name)})

    @override
    async def duplicate(self, pipeline: str, name: str) -> Pipeline:
        """Make a copy, switched off. Three requests."""
        draft = await self.draft(product=None, like=pipeline)
        return await self.create(await self.prepare(replace(draft, name=name), None))

    @override
    async def delete(self, pipeline: str) -> None:
        """Delete a workflow and its builds. One request."""
        await self._api.send("DELETE", urls.workflow(pipeline))
        self._client.drop_workflow(pipeline)

    @override
    async def environments(self, *, product: str | None = None, xcode: str | None = None) -> Environments:
        """Return what a workflow can choose from. Three requests: repositories and the versions of Xcode and macOS."""
        products = await self._client.products()
        xcodes = await self._xcodes()
        chosen = next((known for known in products.values() if same_name(known.name, product)), None)
        used = next(
            (version for version in xcodes if xcode and version.is_called(xcode)), xcodes[0] if xcodes else None
        )
        repositories = await self._repositories(chosen) if chosen is not None else {}
        return Environments(
            products=tuple(sorted(known.name for known in products.values())),
            repositories=tuple(sorted(repositories)),
            xcodes=tuple(version.name for version in xcodes),
            macoses=tuple(version.name for version in await self._macoses()),
            devices=tuple(workflows.devices_of(used.devices)) if used is not None else (),
        )

    async def _change(
        self, pipeline: str, attributes: Mapping[str, object], relations: Mapping[str, object] | None = None
    ) -> Pipeline:
        old = await self._client.workflow(pipeline)
        data: dict[str, object] = {"type": "ciWorkflows", "id": pipeline}
        data |= {"attributes": attributes} if attributes else {}
        data |= {"relationships": relations} if relations else {}
        reply = await self._api.send("PATCH", urls.workflow(pipeline), json={"data": data})
        now = reply.decode(Document).data.read(WorkflowAttributes)
        workflow = replace(
            old, name=now.name or old.name, enabled=old.enabled if now.is_enabled is None else now.is_enabled
        )
        self._client.keep_workflow(workflow)
        return convert.pipeline(workflow, self._client.site)

    async def _refuse_taken(self, product: str, new: WorkflowDefinition, but: str | None = None) -> None:
        for workflow in (await self._client.workflows()).values():
            own = workflow.product.id == product or (not product and same_name(workflow.product.name, new.product))
            if own and same_name(workflow.name, new.name) and workflow.id != but:
                raise UsageError(
                    f"{workflow.product.name} already has a workflow `{workflow.name}`.", hint="Choose another name."
                )

    async def _chosen_product(self, words: str) -> Product:
        products = await self._client.products()
        if not words and len(products) == 1:
            return next(iter(products.values()))
        matches = [
            known for known in products.values() if words and (known.id == words or same_name(known.name, words))
        ]
        if len(matches) == 1:
            return matches[0]
        trouble = f"Several products are called `{words}`." if matches else f"No product is called `{words}`."
        raise UsageError(
            trouble if words else "Which product?", hint=offer([known.name for known in products.values()])
        )

    async def _only_repository(self, product: Product) -> str:
        """Return a product's repository where it has one only, else ""."""
        offered = await self._repositories(product)
        return next(iter(offered)) if len(offered) == 1 else ""

    async def _chosen_repository(self, new: WorkflowDefinition, product: Product) -> tuple[str, str]:
        """Return the path and id of the repository that a new workflow builds."""
        offered = await self._repositories(product)
        matches = [
            (path, id_)
            for path, id_ in offered.items()
            if new.repository and (same_name(path, new.repository) or id_ == new.repository)
        ]
        if len(matches) != 1:
            words = new.repository
            trouble = f"{product.name} has no repository `{words}`." if words else "Which repository?"
            raise UsageError(trouble, hint=offer(list(offered)))
        return matches[0]

    async def _repositories(self, product: Product) -> dict[str, str]:
        """Return the ids of a product's repositories by `owner/name`; all that Apple can read where it has none."""

        def read(resource: Resource) -> tuple[str, str]:
            return resource.read(RepositoryAttributes).path or resource.id, resource.id

        path = urls.product_repositories(product.id)
        own = dict(await self._client.read_all(path, PRIMARY_REPOSITORIES, read))
        return own or dict(await self._client.read_all(urls.REPOSITORIES, PRIMARY_REPOSITORIES, read))

    async def _with_environment(self, new: WorkflowDefinition, *, is_new: bool) -> WorkflowDefinition:
        """Return a definition with the versions and devices it names; read only where one is new."""
        origin = origin_of(new)
        is_same_xcode = new.xcode == origin.xcode_name and bool(origin.xcode or not is_new)
        is_same_macos = new.macos == origin.macos_name and bool(origin.macos or not is_new)
        unknown = any(device not in origin.devices for action in new.actions for device in action.devices)
        if is_same_xcode and is_same_macos and not unknown:
            return new
        xcodes = await self._xcodes()
        own = next((version for version in xcodes if version.id == origin.xcode), None)
        if is_same_xcode:
            xcode = own or Version(id=origin.xcode, name=new.xcode, version="")
        else:
            xcode = _chosen(xcodes, new.xcode, "Xcode")
        macos_id, macos = origin.macos, new.macos
        if not (is_same_xcode and is_same_macos):
            chosen = await self._chosen_macos(new, xcode, keeps=is_same_macos)
            macos_id, macos = chosen.id, chosen.name
        devices = {**workflows.devices_of(xcode.devices), **origin.devices}
        return replace(
            new,
            xcode=xcode.name,
            macos=macos,
            actions=tuple(_with_devices(action, list(devices), xcode.name) for action in new.actions),
            origin=replace(origin, xcode=xcode.id, macos=macos_id, devices=devices),
        )

    async def _chosen_macos(self, new: WorkflowDefinition, xcode: Version, *, keeps: bool) -> Version:
        """Return the macOS that was named, which must run the Xcode; where none was, the old one or the newest that does."""
        origin = origin_of(new)
        fits = [known for known in await self._macoses() if xcode.partners is None or known.id in xcode.partners]
        if not fits:
            raise UsageError(f"Apple names no macOS version that runs {xcode.name}.", hint="Choose another Xcode.")
        if not keeps:
            return _chosen(fits, new.macos, f"macOS that runs {xcode.name}")
        return next((known for known in fits if known.id == origin.macos), fits[0])

    async def _xcodes(self) -> list[Version]:
        return await self._newest_first(urls.XCODE_VERSIONS, XCODE_VERSIONS)

    async def _macoses(self) -> list[Version]:
        return await self._newest_first(urls.MAC_OS_VERSIONS, MAC_OS_VERSIONS)

    async def _newest_first(self, path: str, query: FixedQuery) -> list[Version]:
        return sorted(await self._client.read_all(path, query, _version), key=newness, reverse=True)


def _version(resource: Resource) -> Version:
    attributes = resource.read(VersionAttributes)
    return Version(
        id=resource.id,
        name=attributes.name or attributes.version or resource.id,
        version=attributes.version or "",
        partners=resource.to_many("mac_os_versions"),
        devices=attributes.test_destinations or (),
    )


def _version_name(included: Included, kind: str, id_: str | None) -> str:
    attributes = attributes_of(included, kind, id_, VersionAttributes)
    return (attributes.name or attributes.version if attributes is not None else None) or id_ or ""


def newness(version: Version) -> tuple[bool, tuple[int, ...], bool]:
    """Return what sorts versions by age; moving ones ("Latest Release") count as the newest, betas below releases."""
    label, beta, _ = re.sub(r"\([^()]*+\)", "", version.name).casefold().partition("beta")
    numbers = tuple(int(part) for part in re.findall(r"\d+", label))
    return (not numbers, numbers, not beta)


def _chosen(versions: Sequence[Version], words: str, what: str) -> Version:
    """Return the version that is meant; they come newest first, and `latest` or nothing is the first. Raises UsageError."""
    if versions and words.strip().casefold() in {LATEST, ""}:
        return versions[0]
    match = next((version for version in versions if version.is_called(words)), None)
    # `15` and `Sequoia` mean the newest macOS Sequoia 15.x
    match = match or next((version for version in versions if version.begins(words)), None)
    if match is None:
        raise UsageError(
            f"There is no {what} called `{words}`.", hint=offer([LATEST, *(version.name for version in versions)])
        )
    return match


def _with_devices(action: WorkflowAction, offered: Sequence[str], xcode: str) -> WorkflowAction:
    """Return a test action with its devices by their full names; a name without its system is the newest one's."""
    devices: list[str] = []
    for words in action.devices:
        label = next(
            (label for label in offered if same_name(label, words) or same_name(label.partition(" (")[0], words)), None
        )
        if label is None:
            raise UsageError(f"{xcode} tests on no device called `{words}`.", hint=offer(list(offered)))
        devices.append(label)
    return replace(action, devices=tuple(devices))


def _named(name: str) -> str:
    if not name.strip():
        raise UsageError("The new name is missing.", hint="Write it after the workflow's name.")
    return name.strip()
