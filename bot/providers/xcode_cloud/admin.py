"""Administration of workflows: on, off, new, copy, another name, gone.

Facts: Apple's "Workflows", "Xcode Versions" and "macOS Versions" pages and the OpenAPI document 4.4.1, checked 2026-11.
A new workflow is always made after another one: its actions and start conditions are too many for words in a chat.
"""

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace

import msgspec
from typing_extensions import override

from bot.core.errors import UsageError
from bot.core.models import Pipeline
from bot.core.text import among_names, same_name
from bot.http.client import Api
from bot.providers.base.provider import PipelineAdmin
from bot.providers.xcode_cloud.catalogue import LABEL, PAGE_SIZE, Catalogue, Workflow
from bot.providers.xcode_cloud.wire import (
    Document,
    Product,
    RepositoryAttributes,
    Resource,
    Site,
    VersionAttributes,
    WorkflowAttributes,
)

Act = Callable[[], Awaitable[Pipeline]]
Look = Callable[[], Awaitable[Pipeline | None]]
Once = Callable[[Act, Look], Awaitable[Pipeline]]

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
XCODE_VERSIONS: Mapping[str, str | int] = {
    "fields[ciXcodeVersions]": "version,name,macOsVersions",
    "fields[ciMacOsVersions]": "version,name",
    "include": "macOsVersions",
    "limit": PAGE_SIZE,
    "limit[macOsVersions]": 50,
}
MAC_OS_VERSIONS: Mapping[str, str | int] = {"fields[ciMacOsVersions]": "version,name", "limit": PAGE_SIZE}
PRIMARY_REPOSITORIES: Mapping[str, str | int] = {
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
    """A version of Xcode or macOS. `partners` are the macOS versions an Xcode runs on; None: not told."""

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

    def __init__(self, api: Api, catalogue: Catalogue, *, site: Site, send_once: Once) -> None:
        self._api = api
        self._catalogue = catalogue
        self._site = site
        self._once = send_once

    @override
    async def set_enabled(self, pipeline: str, *, enabled: bool) -> Pipeline:
        return await self._change(pipeline, {"isEnabled": enabled})

    @override
    async def rename(self, pipeline: str, name: str) -> Pipeline:
        workflow = await self._catalogue.workflow(pipeline)
        if name.strip() != workflow.name:
            await self._refuse_taken(workflow.product, _named(name), but=pipeline)
        return await self._change(pipeline, {"name": _named(name)})

    @override
    async def duplicate(self, pipeline: str, name: str) -> Pipeline:
        """Make a copy. It starts switched off, so that nothing is built twice until somebody has looked at it."""
        return await self.create(pipeline, {"name": name})

    @override
    async def create(self, like: str, settings: Mapping[str, str]) -> Pipeline:
        unknown = sorted(settings.keys() - SETTINGS.keys())
        if unknown:
            raise UsageError(
                f"A workflow has no setting `{unknown[0]}`.",
                hint=f"There are: {', '.join(f'`{it}`' for it in SETTINGS)}.",
            )
        name = _named(settings.get("name", ""))
        old = await self._catalogue.workflow(like)
        product = await self._product(settings["product"]) if "product" in settings else old.product
        await self._refuse_taken(product, name)
        reply = await self._api.get(f"v1/ciWorkflows/{like}", WHOLE)
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
                    "product": _to("ciProducts", product.id),
                    "repository": _to("scmRepositories", repository),
                    "xcodeVersion": _to("ciXcodeVersions", xcode),
                    "macOsVersion": _to("ciMacOsVersions", macos),
                },
            }
        }

        async def send() -> Pipeline:
            made = (await self._api.post("v1/ciWorkflows", json=body)).decode(Document).data
            workflow = Workflow(
                id=made.id,
                name=made.read(WorkflowAttributes).name or name,
                product=product,
                repository=old.repository if repository == model.to("repository") else None,
                enabled=bool(attributes["isEnabled"]),
            )
            self._catalogue.keep(workflow)
            return workflow.pipeline(self._site)

        async def confirm() -> Pipeline | None:
            self._catalogue.forget_workflows()
            for workflow in (await self._catalogue.workflows()).values():
                if workflow.product.id == product.id and workflow.name == name:
                    return workflow.pipeline(self._site)
            return None

        return await self._once(send, confirm)

    @override
    async def delete(self, pipeline: str) -> None:
        await self._api.send("DELETE", f"v1/ciWorkflows/{pipeline}")
        self._catalogue.drop(pipeline)

    @override
    async def choices(self, pipeline: str) -> Mapping[str, tuple[str, ...]]:
        product = (await self._catalogue.workflow(pipeline)).product
        return {
            "product": tuple(sorted(it.name for it in (await self._catalogue.products()).values())),
            "repository": tuple(sorted(await self._repositories(product))),
            "xcode": tuple(it.name for it in await self._xcodes()),
            "macos": tuple(it.name for it in await self._macoses()),
        }

    async def _change(self, pipeline: str, attributes: Mapping[str, object]) -> Pipeline:
        old = await self._catalogue.workflow(pipeline)
        body = {"data": {"type": "ciWorkflows", "id": pipeline, "attributes": attributes}}
        reply = await self._api.send("PATCH", f"v1/ciWorkflows/{pipeline}", json=body)
        now = reply.decode(Document).data.read(WorkflowAttributes)
        workflow = replace(
            old, name=now.name or old.name, enabled=old.enabled if now.is_enabled is None else now.is_enabled
        )
        self._catalogue.keep(workflow)
        return workflow.pipeline(self._site)

    async def _refuse_taken(self, product: Product, name: str, but: str | None = None) -> None:
        for it in (await self._catalogue.workflows()).values():
            if it.product.id == product.id and same_name(it.name, name) and it.id != but:
                raise UsageError(f"{product.name} already has a workflow `{it.name}`.", hint="Choose another name.")

    async def _product(self, words: str) -> Product:
        products = await self._catalogue.products()
        wanted = words.strip().casefold()
        found = [it for it in products.values() if wanted in {it.id.casefold(), it.name.casefold()}]
        if len(found) != 1:
            said = "Several products are" if found else "No product is"
            raise UsageError(f"{said} called `{words}`.", hint=_offer([it.name for it in products.values()]))
        return found[0]

    async def _repository(self, model: Resource, product: Product, old: Product, settings: Mapping[str, str]) -> str:
        kept = model.to("repository")
        if "repository" not in settings and product.id == old.id and kept is not None:
            return kept
        offered = await self._repositories(product)
        wanted = settings.get("repository", "").strip().casefold()
        found = [id_ for path, id_ in offered.items() if not wanted or wanted in {path.casefold(), id_.casefold()}]
        if len(found) != 1:
            said = f"{product.name} has no repository `{wanted}`." if wanted else "Which repository?"
            raise UsageError(said, hint=_offer(list(offered)))
        return found[0]

    async def _repositories(self, product: Product) -> dict[str, str]:
        found: dict[str, str] = {}
        path = f"v1/ciProducts/{product.id}/primaryRepositories"
        async for page in self._catalogue.listing(path, PRIMARY_REPOSITORIES):
            for it in page.data:
                found[it.read(RepositoryAttributes).path or it.id] = it.id
        return found

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
        return await self._listed("v1/ciXcodeVersions", XCODE_VERSIONS)

    async def _macoses(self) -> list[Version]:
        return await self._listed("v1/ciMacOsVersions", MAC_OS_VERSIONS)

    async def _listed(self, path: str, query: Mapping[str, str | int]) -> list[Version]:
        found: list[Version] = []
        async for page in self._catalogue.listing(path, query):
            for it in page.data:
                read = it.read(VersionAttributes)
                found.append(
                    Version(
                        id=it.id,
                        name=read.name or read.version or it.id,
                        version=read.version or "",
                        partners=it.to_many("mac_os_versions"),
                    )
                )
        return sorted(found, key=newness, reverse=True)


def newness(version: Version) -> tuple[bool, tuple[int, ...], bool]:
    """Return what sorts versions by age; moving ones ("Latest Release") count as the newest, betas below releases."""
    label, beta, _ = re.sub(r"\([^()]*+\)", "", version.name).casefold().partition("beta")
    numbers = tuple(int(part) for part in re.findall(r"\d+", label))
    return (not numbers, numbers, not beta)


def _chosen(versions: list[Version], words: str, what: str) -> Version:
    found = [it for it in versions if it.is_called(words)]
    if not found:
        raise UsageError(f"There is no {what} called `{words}`.", hint=_offer([it.name for it in versions]))
    return found[0]


def _copied(model: Resource) -> dict[str, object]:
    required: dict[str, object] = {"description": "", "clean": False, "actions": [], "containerFilePath": ""}
    sent = {name: value for name, value in _members(model).items() if name in COPIED and bytes(value) != b"null"}
    return {**required, **sent}


def _members(model: Resource) -> dict[str, msgspec.Raw]:
    model.read(WorkflowAttributes)
    return msgspec.json.decode(model.attributes, type=dict[str, msgspec.Raw])


def _to(type_: str, id_: str) -> dict[str, object]:
    return {"data": {"type": type_, "id": id_}}


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
