"""How things are named: pipelines by project and number, and what pages and service hooks point at."""

import base64
import binascii
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

from bot.core.models import Page, WebhookEvent
from bot.providers.azure_devops import wire

GUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
NOBODY = "00000000-0000-0000-0000-000000000000"
RUN_PAGE = "_build"
"""Between project and number it makes a number a build's: pages of builds do not name their pipeline."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """What a pipeline's id or path names: a definition or a build by number, or a definition by its names."""

    project: str
    definition: str | None = None
    build: str | None = None
    names: tuple[str, ...] = ()


def place(path: str, project: str) -> Place | None:
    """Return what a path names; `project` is the connection's only one, or empty."""
    parts = [part for part in re.split(r"[/\\]", path.strip()) if part.strip()]
    if not parts:
        return None
    if GUID.fullmatch(parts[0]) or not project or (len(parts) > 1 and parts[0].lower() == project.lower()):
        project, *parts = parts
    match parts:
        case []:
            return None
        case ["_build", number] if is_number(number):
            return Place(project=project, build=number)
        case [number] if is_number(number):
            return Place(project=project, definition=number, names=(number,))
        case _:
            return Place(project=project, names=tuple(parts))


def is_number(text: str) -> bool:
    """Return whether a text is a number that the service may have given."""
    return text.isascii() and text.isdecimal() and len(text) <= 12


def page(url: str, *, base_url: str, organization: str, project: str) -> Page | None:
    """Return what an address shows: a build, one of its jobs, or a pipeline; None outside the connection."""
    try:
        address = urlsplit(url.strip())
        rest = _below(address, base_url, organization)
        asked = {name.lower(): values[0] for name, values in parse_qs(address.query).items()}
    except ValueError:
        return None
    if len(rest) < 2 or not _is_ours(rest[0], project):
        return None
    where, *parts = rest
    match [part.lower() for part in parts]:
        case ["_apis", "build", "builds", build, *_] | ["_apis", "pipelines", _, "runs", build, *_]:
            return _build_page(where, build)
        case ["_apis", "build", "definitions", definition, *_] | ["_apis", "pipelines", definition, *_]:
            return Page(pipeline=f"{where}/{definition}") if is_number(definition) else None
        case ["_build", *_] if "buildid" in asked:
            return _build_page(where, asked["buildid"], asked.get("j"))
        case ["_build", *_] if is_number(asked.get("definitionid", "")):
            return Page(pipeline=f"{where}/{asked['definitionid']}")
        case _:
            return None


def _build_page(project: str, build: str, job: str | None = None) -> Page | None:
    if not is_number(build):
        return None
    named = job.lower() if job and GUID.fullmatch(job) else None
    return Page(pipeline=f"{project}/{RUN_PAGE}/{build}", build=build, job=named)


def _below(address: SplitResult, base_url: str, organization: str) -> list[str]:
    """Return the parts of a path below the organization, which may stand in the host's name."""
    parts = [unquote(part) for part in address.path.split("/") if part]
    base = urlsplit(base_url)
    if (address.hostname, address.port) == (base.hostname, base.port):
        above = [unquote(part).lower() for part in base.path.split("/") if part]
        return parts[len(above) :] if [part.lower() for part in parts[: len(above)]] == above else []
    if base.hostname == "dev.azure.com" and address.hostname == f"{organization.lower()}.visualstudio.com":
        return parts[1:] if parts and parts[0].lower() == "defaultcollection" else parts
    return []


def _is_ours(where: str, project: str) -> bool:
    """Return whether a page's project may be the connection's; by its id it may be any."""
    return not project or bool(GUID.fullmatch(where)) or where.lower() == project.lower()


HOOK_HEADER = "x-hook-token"


def carried_secrets(headers: Mapping[str, str]) -> list[str]:
    """Return the secrets in a service hook's headers: Azure DevOps signs nothing, but sends a password or a header."""
    given = [_password(headers["authorization"])] if "authorization" in headers else []
    return [*given, headers[HOOK_HEADER]] if HOOK_HEADER in headers else given


def _password(header: str) -> str:
    """Return the password of Basic credentials, whoever's they are; nothing where they do not read."""
    scheme, _, rest = header.partition(" ")
    if scheme.lower() != "basic":
        return ""
    try:
        return base64.b64decode(rest.strip(), validate=True).decode("utf-8", "replace").partition(":")[2]
    except (binascii.Error, ValueError):
        return ""


_DEFINITION = re.compile(r"(?:definitionId=|/pipelines/)(\d{1,12})\b", re.IGNORECASE)
_BUILD = re.compile(r"buildId=(\d{1,12})\b", re.IGNORECASE)
EVENTS = ("build.complete", "ms.vss-pipelines.", "ms.vss-pipelinechecks-events.")


def tap(webhook: wire.Hook, delivery: str) -> WebhookEvent | None:
    """Return what a service hook says, or None for an event that is not about builds.

    What it leaves out stays unknown: a webhook event without a pipeline is about all of them.
    """
    if not webhook.event_type.startswith(EVENTS):
        return None
    it = webhook.resource or wire.HookResource()
    project = next((known.lower() for known in _projects(webhook, it) if known and known != NOBODY), None)
    definition, build = _definition(it), _build(webhook, it)
    pipeline = f"{project}/{definition}" if project and definition else None
    return WebhookEvent(delivery=delivery, pipeline=pipeline, build=build)


def _projects(webhook: wire.Hook, it: wire.HookResource) -> Iterator[str | None]:
    within = webhook.resource_containers.project if webhook.resource_containers else None
    yield within.id if within else None
    yield it.project.id if it.project else None
    yield it.project_id


def _definition(it: wire.HookResource) -> str | None:
    """Return the pipeline's number; links are right where the ids beside them are not."""
    if it.definition is not None:
        return _given(it.definition.id)
    for part in (it.run, it.job, it.stage):
        links = part.links if part else None
        for link in (links.pipeline, links.pipeline_web) if links else ():
            if found := _DEFINITION.search((link.href if link else None) or ""):
                return found[1]
    return _given(it.pipeline.id) if it.pipeline else None


def _build(webhook: wire.Hook, it: wire.HookResource) -> str | None:
    named = it.id if webhook.event_type == "build.complete" else it.run.id if it.run else it.run_id
    if number := _given(named):
        return number
    texts = (webhook.message.html, webhook.message.markdown, webhook.message.text) if webhook.message else ()
    found = next((found for text in texts if text and (found := _BUILD.search(text))), None)
    return found[1] if found else None


def _given(number: int | str | None) -> str | None:
    text = str(number or "")
    return text if is_number(text) else None
