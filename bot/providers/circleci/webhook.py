"""CircleCI's webhooks: https://circleci.com/docs/outbound-webhooks-reference."""

import hashlib
import hmac
from collections.abc import Mapping

from bot.core.errors import AuthFailed
from bot.core.models import WebhookEvent
from bot.providers.base.webhooks import same_secret
from bot.providers.circleci import urls, wire
from bot.providers.circleci.errors import LABEL

EVENTS = frozenset({"workflow-completed", "job-completed"})


def check_signature(headers: Mapping[str, str], body: bytes, secret: str) -> str:
    """Return the body's signature. Raises AuthFailed unless the header holds it.

    The header may hold signatures of several schemes; `v1` is HMAC-SHA256 of the body. It holds no time.
    """
    expected = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    signatures = [part.strip().partition("=") for part in headers.get("circleci-signature", "").split(",")]
    if not any(scheme == "v1" and same_secret(value, expected) for scheme, _, value in signatures):
        raise AuthFailed("The webhook's signature does not fit.", provider=LABEL, status=401)
    return expected


def read_event(body: bytes, signature: str, organization: str) -> WebhookEvent | None:
    """Return the build that an event is about; None for other events and other organizations."""
    event = wire.Hook.of(body)
    if event.type not in EVENTS or event.pipeline is None or event.project is None:
        return None
    if not urls.is_within(event.project.slug, organization):
        return None
    return WebhookEvent(
        delivery=event.id or signature, pipeline=urls.short(event.project.slug), build=event.pipeline.id
    )
