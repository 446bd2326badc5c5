"""GitLab's webhooks: https://docs.gitlab.com/user/project/integrations/webhook_events/ ."""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping
from datetime import datetime

from bot.core.errors import AuthFailed
from bot.core.models import WebhookEvent
from bot.providers.base.webhooks import same_secret, within_window
from bot.providers.gitlab import wire
from bot.providers.gitlab.errors import LABEL

SIGNING_PREFIX = "whsec_"


def check_signature(headers: Mapping[str, str], body: bytes, secrets: str, now: datetime) -> str:
    """Return an id for the delivery. Raises AuthFailed unless it is GitLab's own.

    `secrets` may hold several with spaces between, while one replaces the other. The presence of `webhook-signature`
    alone decides how to check: its two sister headers come with every delivery.
    """
    keys = secrets.split()
    signature = headers.get("webhook-signature")
    if signature is None:
        token = headers.get("x-gitlab-token", "")
        if not any(same_secret(token, each) for each in keys if not each.startswith(SIGNING_PREFIX)):
            raise _refused("The webhook's secret token does not fit.")
    else:
        stamp = headers.get("webhook-timestamp", "")
        if not within_window(stamp, now):
            raise _refused("The webhook is too old, or its clock is wrong.")
        signed = f"{headers.get('webhook-id', '')}.{stamp}.".encode("utf-8", "replace") + body
        digests = [value for part in signature.split() for mark, _, value in [part.partition(",")] if mark == "v1"]
        expected = [_signature(each, signed) for each in keys if each.startswith(SIGNING_PREFIX)]
        if not any(same_secret(digest, each) for digest in digests for each in expected if each):
            raise _refused("The webhook's signature does not fit.")
    return headers.get("idempotency-key") or headers.get("webhook-id") or hashlib.sha256(body).hexdigest()


def read_event(body: bytes, delivery: str, *, builds_are_jobs: bool = False) -> WebhookEvent | None:
    """Return the build that an event is about, None for an event that is about none.

    With `builds_are_jobs` (API v3) a job's event names its build, and a pipeline's event only its project.
    """
    kind = wire.HookKind.of(body).object_kind
    if kind not in {"pipeline", "build", "deployment"}:
        return None
    event = wire.Hook.of(body)
    run = event.object_attributes or wire.HookPipeline()
    if kind == "pipeline" and run.source == "parent_pipeline":
        return None  # the parent's own event says it all; lists leave children out too
    project = event.project.id if event.project else event.project_id
    if builds_are_jobs:
        build = event.build_id if kind == "build" else None
    else:
        build = {"pipeline": run.id, "build": event.pipeline_id}.get(kind)
    if project is None:
        return WebhookEvent(delivery=delivery)
    return WebhookEvent(delivery=delivery, pipeline=str(project), build=None if build is None else str(build))


def _signature(secret: str, signed: bytes) -> str | None:
    """Return the base64 HMAC of a Standard Webhooks message, or None for a signing token that is none."""
    try:
        key = base64.b64decode(secret.removeprefix(SIGNING_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        return None
    return base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()


def _refused(reason: str) -> AuthFailed:
    return AuthFailed(reason, provider=LABEL, status=401)
