"""Service hooks: whether one is authentic, and what it says.

Azure DevOps signs nothing. A subscription sends a password (Basic authentication), a header, or has the secret in its
address. Page: https://learn.microsoft.com/azure/devops/service-hooks/events
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Iterator, Mapping

from bot.core.errors import AuthFailed
from bot.core.models import WebhookEvent
from bot.providers.azure_devops import wire
from bot.providers.azure_devops.options import LABEL
from bot.providers.azure_devops.urls import is_number
from bot.providers.base.webhooks import same_secret

SECRET_HEADER = "x-hook-token"  # noqa: S105 - the header's name
NO_PROJECT = "00000000-0000-0000-0000-000000000000"
EVENTS = ("build.complete", "ms.vss-pipelines.", "ms.vss-pipelinechecks-events.")
"""How the types of the events that are about builds begin."""
_DEFINITION_LINK = re.compile(r"(?:definitionId=|/pipelines/)(\d{1,12})\b", re.IGNORECASE)
_BUILD_LINK = re.compile(r"buildId=(\d{1,12})\b", re.IGNORECASE)


def header_secrets(headers: Mapping[str, str]) -> list[str]:
    """Return the secrets that a service hook's headers carry (names in lower case); empty where there are none."""
    secrets = [_password(headers["authorization"])] if "authorization" in headers else []
    return [*secrets, headers[SECRET_HEADER]] if SECRET_HEADER in headers else secrets


def check_headers(headers: Mapping[str, str], secret: str) -> bool:
    """Return whether the headers carry the secret, False where they carry none.

    Raises AuthFailed for another one, whatever the address holds. Compared in constant time.
    """
    carried = header_secrets(headers)
    if not all(same_secret(value, secret) for value in carried):
        raise AuthFailed("The webhook's secret does not fit.", provider=LABEL, status=401)
    return bool(carried)


def parse_event(body: bytes) -> WebhookEvent | None:
    """Return what a service hook says, or None for an event that is not about builds.

    What it leaves out stays unknown: an event without a pipeline is about all of them. The delivery is the event's own
    id, else a digest of the body. Raises UnexpectedResponse for a body that does not read.
    """
    event = wire.Hook.of(body)
    if not event.event_type.startswith(EVENTS):
        return None
    resource = event.resource or wire.HookResource()
    project = next((name.lower() for name in _projects(event, resource) if name and name != NO_PROJECT), None)
    definition = _definition(resource)
    return WebhookEvent(
        delivery=event.id or hashlib.sha256(body).hexdigest(),
        pipeline=f"{project}/{definition}" if project and definition else None,
        build=_build(event, resource),
    )


def _password(header: str) -> str:
    """Return the password of Basic credentials, whatever the user name; empty where they do not read."""
    scheme, _, rest = header.partition(" ")
    if scheme.lower() != "basic":
        return ""
    try:
        return base64.b64decode(rest.strip(), validate=True).decode("utf-8", "replace").partition(":")[2]
    except (binascii.Error, ValueError):
        return ""


def _projects(event: wire.Hook, resource: wire.HookResource) -> Iterator[str | None]:
    container = event.resource_containers.project if event.resource_containers else None
    yield container.id if container else None
    yield resource.project.id if resource.project else None
    yield resource.project_id


def _definition(resource: wire.HookResource) -> str | None:
    """Return the pipeline's number; links are right where the ids beside them are not."""
    if resource.definition and (number := _number(resource.definition.id)):
        return number
    for part in (resource.run, resource.job, resource.stage):
        links = part.links if part else None
        for link in (links.pipeline, links.pipeline_web) if links else ():
            if match := _DEFINITION_LINK.search((link.href if link else None) or ""):
                return match[1]
    return _number(resource.pipeline.id) if resource.pipeline else None


def _build(event: wire.Hook, resource: wire.HookResource) -> str | None:
    in_run = resource.run.id if resource.run else resource.run_id
    if number := _number(resource.id if event.event_type == "build.complete" else in_run):
        return number
    texts = (event.message.html, event.message.markdown, event.message.text) if event.message else ()
    match = next((match for text in texts if text and (match := _BUILD_LINK.search(text))), None)
    return match[1] if match else None


def _number(value: int | str | None) -> str | None:
    text = str(value or "")
    return text if is_number(text) else None
