"""Buildkite's webhooks: https://buildkite.com/docs/apis/webhooks."""

import hashlib
import hmac
import re
from collections.abc import Mapping
from datetime import datetime

from bot.core.errors import AuthFailed
from bot.core.models import WebhookEvent
from bot.providers.base.webhooks import same_secret, within_window
from bot.providers.buildkite import wire
from bot.providers.buildkite.errors import LABEL
from bot.providers.buildkite.urls import place_of

_SIGNATURE = re.compile(r"timestamp=(\d{1,12}),signature=([0-9a-f]{64})")


def check_signature(headers: Mapping[str, str], body: bytes, secret: str, now: datetime) -> str:
    """Return an id for the delivery. Raises AuthFailed unless it is Buildkite's own.

    The signature is HMAC-SHA256 over `<timestamp>.<body>`. One that is there must fit: the clear token, which comes
    where signing is off, is not enough then.
    """
    signature = headers.get("x-buildkite-signature")
    if signature is None:
        if not same_secret(headers.get("x-buildkite-token", ""), secret):
            raise _refused("The webhook's token does not fit.")
        return hashlib.sha256(body).hexdigest()
    match = _SIGNATURE.fullmatch(signature.replace(" ", ""))
    if match is None:
        raise _refused("The webhook's signature does not read.")
    timestamp, digest = match[1], match[2]
    expected = hmac.new(secret.encode(), timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()
    if not same_secret(digest, expected):
        raise _refused("The webhook's signature does not fit.")
    if not within_window(timestamp, now):
        raise _refused("The webhook is too old, or a clock is wrong.")
    return digest


def read_event(body: bytes, delivery: str, organization: str) -> WebhookEvent | None:
    """Return the build that an event is about; None for other events, other organizations and builds without a place."""
    event = wire.Hook.of(body)
    if event.build is None or not event.event.startswith(("build.", "job.")):
        return None
    place = place_of(event.build.url)
    if place is not None and place.organization.lower() != organization.lower():
        return None
    pipeline = (event.pipeline.slug if event.pipeline else None) or (place.pipeline if place else None)
    return WebhookEvent(delivery=delivery, pipeline=pipeline, build=str(event.build.number)) if pipeline else None


def _refused(reason: str) -> AuthFailed:
    return AuthFailed(reason, provider=LABEL, status=401)
