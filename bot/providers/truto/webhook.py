"""Webhooks: whether one is authentic, and what it says.

Truto reports when a connection changes and when it has fetched data, never which build: each event means a poll.
"""

import hashlib
import hmac
from collections.abc import Mapping

from bot.core.models import WebhookEvent
from bot.providers.base.webhooks import same_secret
from bot.providers.truto import wire

SIGNATURE_HEADER = "x-truto-signature"
DIGEST = "sha256"


def signature(body: bytes, secret: str) -> str:
    """Return a body's digest in hexadecimal, keyed with the webhook's secret."""
    return hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def is_signed(headers: Mapping[str, str], body: bytes, secret: str) -> bool:
    """Return whether the header `format=sha256,v=HEX` fits the body, compared in constant time. Names are lower case."""
    fields = (part.partition("=") for part in headers.get(SIGNATURE_HEADER, "").split(","))
    values = {name.strip(): value.strip() for name, _, value in fields}
    return values.get("format") == DIGEST and same_secret(values.get("v", ""), signature(body, secret))


def parse_event(body: bytes, account: str, secret: str) -> WebhookEvent | None:
    """Return that something changed, or None for other accounts and other kinds of events.

    The delivery is the event's id, else the body's digest. Raises UnexpectedResponse for a body that does not read.
    """
    event = wire.WebhookWire.of(body)
    payload = event.payload if isinstance(event.payload, dict) else {}
    kind, _, _ = event.event.partition(":")
    match kind:
        case "integrated_account":
            of_account = payload.get("id")
        case "sync_job_run" | "record":
            of_account = payload.get("integrated_account_id")
        case _:
            return None
    return WebhookEvent(delivery=event.id or signature(body, secret)) if of_account == account else None
