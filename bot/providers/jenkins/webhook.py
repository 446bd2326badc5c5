"""Webhooks of the Notification plugin, or of a step of one's own: https://plugins.jenkins.io/notification.

Jenkins signs nothing: the secret stands in the path, and the body only says where to look.
"""

import hashlib
from dataclasses import replace

from bot.core.models import WebhookEvent
from bot.providers.jenkins import urls, wire


def read_event(body: bytes) -> WebhookEvent | None:
    """Return the build that a webhook is about, or its job; None where it names neither."""
    event = wire.Hook.of(body)
    address = (event.build.url or event.build.full_url) if event.build else None
    place = urls.place(address or "") or urls.place(event.url or "")
    number = (event.build.number if event.build else None) or event.number
    if place is None and event.job:
        place = urls.place_of_name(event.job)
    if place is None:
        return None
    if place.number is None and number is not None and number > 0:
        place = replace(place, number=number)
    return WebhookEvent(delivery=hashlib.sha256(body).hexdigest(), pipeline=place.job, build=place.build)
