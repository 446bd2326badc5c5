"""Webhooks: the signature over the raw body, then which run to read.

Page: "Webhook events and payloads" and "Validating webhook deliveries", read in August 2026. A delivery is answered within
ten seconds and not repeated by GitHub.
"""

import hashlib
import hmac
from collections.abc import Mapping
from urllib.parse import parse_qs

from bot.core.errors import AuthFailed
from bot.core.models import WebhookEvent
from bot.providers.base.webhooks import same_secret
from bot.providers.github_actions import urls, wire
from bot.providers.github_actions.errors import LABEL

EVENTS = frozenset({"workflow_run", "workflow_job", "deployment_review"})
"""The events that are about runs; `deployment_review` carries its run, too."""


def parse(headers: Mapping[str, str], body: bytes, *, secret: str, owner: str) -> WebhookEvent | None:
    """Return the run that a delivery is about, or None for other events and for repositories of others.

    Header names are lower case. Raises AuthFailed where the signature does not fit, UnexpectedResponse for an odd body.
    """
    signature = "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    if not same_secret(headers.get("x-hub-signature-256", ""), signature):
        raise AuthFailed("The webhook's signature does not fit.", provider=LABEL, status=401)
    if headers.get("x-github-event", "") not in EVENTS:
        return None
    webhook = wire.WebhookBody.of(_content(headers, body))
    delivery = headers.get("x-github-delivery") or signature
    at = urls.location(webhook.repository.full_name, owner) if webhook.repository else None
    if at is None or at.owner.lower() != owner.lower():
        return None
    if webhook.workflow_run is not None:
        workflow = f"/{webhook.workflow_run.workflow_id}" if webhook.workflow_run.workflow_id else ""
        return WebhookEvent(
            delivery=delivery, pipeline=f"{at.repository}{workflow}", build=str(webhook.workflow_run.id)
        )
    # the run's own events report the rest, and jobs send many
    if webhook.workflow_job is not None and webhook.workflow_job.status == "waiting":
        return WebhookEvent(delivery=delivery, pipeline=at.repository, build=str(webhook.workflow_job.run_id))
    return None


def _content(headers: Mapping[str, str], body: bytes) -> bytes:
    """Return a webhook's JSON, also where the hook sends it as a form."""
    if not headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        return body
    return parse_qs(body.decode("utf-8", "replace")).get("payload", [""])[0].encode()
