"""Administration of workflows: on, off, new, copy, another name, gone.

Facts: Apple's "Workflows", "Xcode Versions" and "macOS Versions" pages and the OpenAPI document 4.4.1, checked 2026-11.
A new workflow is always made after another one: its actions and start conditions are too many for words in a chat.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

import msgspec
from typing_extensions import override

from bot.core.clock import Sleep
from bot.core.errors import UsageError
from bot.core.models import Pipeline
from bot.core.text import among_names, same_name
from bot.http.client import ApiClient
from bot.providers.base.provider import PipelineAdmin
from bot.providers.base.send_once import send_once
from bot.providers.xcode_cloud import convert, urls
from bot.providers.xcode_cloud.client import PAGE_SIZE, Client, FixedQuery
from bot.providers.xcode_cloud.convert import Product, Workflow
from bot.providers.xcode_cloud.options import LABEL
from bot.providers.xcode_cloud.start import to_one
from bot.providers.xcode_cloud.wire import (
    Document,
    RepositoryAttributes,
    Resource,
    VersionAttributes,
    WorkflowAttributes,
)

COPIED = (
    "description",
    "branchStartCondition",
    "tagStartCondition",
    "pullRequestStartCondition",
    "scheduledStartCondition",
    "manualBranchStartCondition",
    "manualTagStartCondition",
    "manualPullRequestStartCondition",
    "actions",
    "isLockedForEditing",
    "clean",
    "containerFilePath",
)

WHOLE: Mapping[str, str] = {
    "fields[ciWorkflows]": ",".join(
        ("name", "isEnabled", *COPIED, "product", "repository", "xcodeVersion", "macOsVersion")
    ),
    "include": "product,repository,xcodeVersion,macOsVersion",
}
XCODE_VERSIONS: FixedQuery = {
    "fields[ciXcodeVersions]": "version,name,macOsVersions",
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

SETTINGS: Mapping[str, str] = {
    "name": "the new workflow's name",
    "description": "what it is for",
    "product": "the product it belongs to",
    "repository": "the repository it builds, as `owner/name`",
    "xcode": "the Xcode version",
    "macos": "the macOS version",
    "project": "the path of the project or workspace in the repository",
    "clean": "yes to build without cached files",
    "enabled": "yes to switch it on at once",
}
"""What `create` takes."""

YES = frozenset({"yes", "true", "on", "1"})
NO = frozenset({"no", "false", "off", "0"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """A version of Xcode or macOS. `partners` are the macOS versions an Xcode runs on; None: not reported."""

    id: str
    name: str
    version: str
    partners: tuple[str, ...] | None = None

    def is_called(self, words: str) -> bool:
        """Return whether somebody means this one: by id, name or version, `15.4` for `Xcode 15.4 (15F31d)` too."""
        short = self.name.partition("(")[0].rstrip() if self.name.endswith(")") else self.name
        names = {self.id, self.name, self.version, short, short.split(" ")[-1]}
        return among_names(words.strip(), names)


class WorkflowAdmin(PipelineAdmin):
    """Xcode Cloud's workflows, managed. Costs one request for each act, a copy or a new one three to seven."""

    def __init__(self, api: ApiClient, client: Client, *, sleep: Sleep) -> None:
        self._api = api
        self._client = client
        self._sleep = sleep

    @override
    async def set_enabled(self, pipeline: str, *, enabled: bool) -> Pipeline:
        """Switch a workflow on or off. One request."""
        return await self._change(pipeline, {"isEnabled": enabled})

    @override
    async def rename(self, pipeline: str, name: str) -> Pipeline:
        """Give a workflow another name; one that its product has already is refused. One request."""
        workflow = await self._client.workflow(pipeline)
        if name.strip() != workflow.name:
            await self._refuse_taken(workflow.product, _named(name), but=pipeline)
        return await self._change(pipeline, {"name": _named(name)})

    @override
    async def duplicate(self, pipeline: str, name: str) -> Pipeline:
        """Make a copy. It starts switched off, so that nothing is built twice until somebody has looked at it."""
        return await self.create(pipeline, {"name": name})

    @override
    async def create(self, like: str, settings: Mapping[str, str]) -> Pipeline:
        """Make a workflow with the actions and start conditions of another one; `SETTINGS` lists what can be given.

        Three to seven requests. Raises UsageError for a setting or a value that there is not.
        """
        unknown = sorted(settings.keys() - SETTINGS.keys())
        if unknown:
            raise UsageError(
                f"A workflow has no setting `{unknown[0]}`.",
                hint=f"There are: {', '.join(f'`{it}`' for it in SETTINGS)}.",
            )
        name = _named(settings.get("name", ""))
        old = await self._client.workflow(like)
        product = await self._product(settings["product"]) if "product" in settings else old.product
        await self._refuse_taken(product, name)
        reply = await self._api.get(urls.workflow(like), WHOLE)
        model = reply.decode(Document).data
        attributes = _copied(model)
        attributes["name"] = name
        attributes["isEnabled"] = _yes(settings, "enabled", unset=False)
        for setting, attribute in (("description", "description"), ("project", "containerFilePath")):
            if setting in settings:
                attributes[attribute] = settings[setting]
        if "clean" in settings:
            attributes["clean"] = _yes(settings, "clean", unset=False)
        repository = await self._repository(model, product, old.product, settings)
        xcode, macos = await self._versions(model, settings)
        body = {
            "data": {
                "type": "ciWorkflows",
                "attributes": attributes,
                "relationships": {
                    "product": to_one("ciProducts", product.id),
                    "repository": to_one("scmRepositories", repository),
                    "xcodeVersion": to_one("ciXcodeVersions", xcode),
                    "macOsVersion": to_one("ciMacOsVersions", macos),
                },
            }
        }

        async def send() -> Pipeline:
            made = (await self._api.post(urls.WORKFLOWS, json=body)).decode(Document).data
            workflow = Workflow(
                id=made.id,
                name=made.read(WorkflowAttributes).name or name,
                product=product,
                repository=old.repository if repository == model.to("repository") else None,
                enabled=bool(attributes["isEnabled"]),
            )
            self._client.keep_workflow(workflow)
            return convert.pipeline(workflow, self._client.site)

        async def confirm() -> Pipeline | None:
            self._client.forget_workflows()
            for workflow in (await self._client.workflows()).values():
                if workflow.product.id == product.id and workflow.name == name:
                    return convert.pipeline(workflow, self._client.site)
            return None

        return await send_once(send, confirm, label=LABEL, sleep=self._sleep)

    @override
    async def delete(self, pipeline: str) -> None:
        """Delete a workflow and its builds. One request."""
        await self._api.send("DELETE", urls.workflow(pipeline))
        self._client.drop_workflow(pipeline)

    @override
    async def choices(self, pipeline: str) -> Mapping[str, tuple[str, ...]]:
        """Return the products, repositories and versions that `create` can choose from. Three requests."""
        product = (await self._client.workflow(pipeline)).product
        return {
            "product": tuple(sorted(it.name for it in (await self._client.products()).values())),
            "repository": tuple(sorted(await self._repositories(product))),
            "xcode": tuple(it.name for it in await self._xcodes()),
            "macos": tuple(it.name for it in await self._macoses()),
        }

    async def _change(self, pipeline: str, attributes: Mapping[str, object]) -> Pipeline:
        old = await self._client.workflow(pipeline)
        body = {"data": {"type": "ciWorkflows", "id": pipeline, "attributes": attributes}}
        reply = await self._api.send("PATCH", urls.workflow(pipeline), json=body)
        now = reply.decode(Document).data.read(WorkflowAttributes)
        workflow = replace(
            old, name=now.name or old.name, enabled=old.enabled if now.is_enabled is None else now.is_enabled
        )
        self._client.keep_workflow(workflow)
        return convert.pipeline(workflow, self._client.site)

    async def _refuse_taken(self, product: Product, name: str, but: str | None = None) -> None:
        for it in (await self._client.workflows()).values():
            if it.product.id == product.id and same_name(it.name, name) and it.id != but:
                raise UsageError(f"{product.name} already has a workflow `{it.name}`.", hint="Choose another name.")

    async def _product(self, words: str) -> Product:
        products = await self._client.products()
        wanted = words.strip().casefold()
        matches = [it for it in products.values() if wanted in {it.id.casefold(), it.name.casefold()}]
        if len(matches) != 1:
            subject = "Several products are" if matches else "No product is"
            raise UsageError(f"{subject} called `{words}`.", hint=_offer([it.name for it in products.values()]))
        return matches[0]

    async def _repository(self, model: Resource, product: Product, old: Product, settings: Mapping[str, str]) -> str:
        kept = model.to("repository")
        if "repository" not in settings and product.id == old.id and kept is not None:
            return kept
        offered = await self._repositories(product)
        name = settings.get("repository", "").strip().casefold()
        matches = [id_ for path, id_ in offered.items() if not name or name in {path.casefold(), id_.casefold()}]
        if len(matches) != 1:
            trouble = f"{product.name} has no repository `{name}`." if name else "Which repository?"
            raise UsageError(trouble, hint=_offer(list(offered)))
        return matches[0]

    async def _repositories(self, product: Product) -> dict[str, str]:
        """Return the ids of a product's repositories by `owner/name`."""
        path = urls.product_repositories(product.id)
        return dict(
            await self._client.read_all(
                path, PRIMARY_REPOSITORIES, lambda it: (it.read(RepositoryAttributes).path or it.id, it.id)
            )
        )

    async def _versions(self, model: Resource, settings: Mapping[str, str]) -> tuple[str, str]:
        xcode, macos = model.to("xcode_version"), model.to("mac_os_version")
        if not settings.keys() & {"xcode", "macos"} and xcode is not None and macos is not None:
            return xcode, macos
        xcodes, macoses = await self._xcodes(), await self._macoses()
        chosen = _chosen(xcodes, settings.get("xcode") or xcode or "", "Xcode")
        fits = [it for it in macoses if chosen.partners is None or it.id in chosen.partners]
        if "macos" in settings:
            return chosen.id, _chosen(fits, settings["macos"], f"macOS that runs {chosen.name}").id
        if not fits:
            raise UsageError(f"Apple names no macOS version that runs {chosen.name}.", hint="Choose another Xcode.")
        return chosen.id, macos if macos is not None and any(it.id == macos for it in fits) else fits[0].id

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
    )


def newness(version: Version) -> tuple[bool, tuple[int, ...], bool]:
    """Return what sorts versions by age; moving ones ("Latest Release") count as the newest, betas below releases."""
    label, beta, _ = re.sub(r"\([^()]*+\)", "", version.name).casefold().partition("beta")
    numbers = tuple(int(part) for part in re.findall(r"\d+", label))
    return (not numbers, numbers, not beta)


def _chosen(versions: list[Version], words: str, what: str) -> Version:
    match = next((it for it in versions if it.is_called(words)), None)
    if match is None:
        raise UsageError(f"There is no {what} called `{words}`.", hint=_offer([it.name for it in versions]))
    return match


def _copied(model: Resource) -> dict[str, object]:
    required: dict[str, object] = {"description": "", "clean": False, "actions": [], "containerFilePath": ""}
    sent = {name: value for name, value in _members(model).items() if name in COPIED and bytes(value) != b"null"}
    return {**required, **sent}


def _members(model: Resource) -> dict[str, msgspec.Raw]:
    model.read(WorkflowAttributes)
    return msgspec.json.decode(model.attributes, type=dict[str, msgspec.Raw])


def _named(name: str) -> str:
    if not name.strip():
        raise UsageError("The new name is missing.", hint="Write it after the workflow's name.")
    return name.strip()


def _yes(settings: Mapping[str, str], name: str, *, unset: bool) -> bool:
    word = settings.get(name, "").strip().casefold()
    if not word:
        return unset
    if word not in YES | NO:
        raise UsageError(f"`{name}` is yes or no, not `{settings[name]}`.")
    return word in YES


def _offer(names: list[str]) -> str:
    shown = ", ".join(f"`{name}`" for name in names[:10])
    more = f" and {len(names) - 10} more" if len(names) > 10 else ""
    return f"There are: {shown}{more}." if names else f"{LABEL} offers none."
