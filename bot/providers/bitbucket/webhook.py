"""Webhooks: whether one is authentic, and what it says.

Page: https://support.atlassian.com/bitbucket-cloud/docs/event-payloads/
"""

import hashlib
import hmac
from collections.abc import Mapping

from bot.core.models import WebhookEvent
from bot.providers.base.webhooks import same_secret
from bot.providers.bitbucket import wire
from bot.providers.bitbucket.urls import SITE, is_pipelines_page

SIGNATURE_HEADER = "x-hub-signature"


def signature(body: bytes, secret: str) -> str:
    """Return the value of the signature header that a body has."""
    return f"sha256={hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()}"


def is_signed(headers: Mapping[str, str], body: bytes, secret: str) -> bool:
    """Return whether the body is signed with the secret, compared in constant time. Names are in lower case."""
    return same_secret(headers.get(SIGNATURE_HEADER, ""), signature(body, secret))


def parse_event(headers: Mapping[str, str], body: bytes, workspace: str, site: str = SITE) -> WebhookEvent | None:
    """Return what a webhook says, or None for an event that is not about runs below `site` or of another workspace.

    A commit's status names the repository only (its number is no id); the trace of a run names the run. The delivery
    is the request's id, else a digest of the body. Raises UnexpectedResponse for a body that does not read.
    """
    event = wire.Hook.of(body)
    run = _finished_run(event)
    is_status = event.commit_status is not None and is_pipelines_page(event.commit_status.url, site)
    if run is None and not is_status:
        return None
    repository = event.repository or wire.RepositoryName()
    owner = (repository.full_name or "").partition("/")[0].lower()
    if owner and not workspace.startswith("{") and owner != workspace.lower():
        return None
    return WebhookEvent(
        delivery=headers.get("x-request-uuid") or hashlib.sha256(body).hexdigest(),
        pipeline=repository.uuid or None,
        build=run if repository.uuid else None,
    )


def _finished_run(event: wire.Hook) -> str | None:
    """Return the run whose end a trace reports; the spans of its steps are left alone."""
    for resource in event.resourceSpans or ():
        for scope in resource.scopeSpans or ():
            for span in scope.spans or ():
                attributes = {item.key: item.value.stringValue for item in span.attributes or () if item.value}
                if attributes.get("pipeline.uuid") and attributes.get("pipeline.state.result.name"):
                    return attributes["pipeline.uuid"]
    return None
