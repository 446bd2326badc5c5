"""What CircleCI refuses and why, and what its limit headers mean."""

import re
from collections.abc import Mapping
from datetime import datetime, timedelta

import httpx

from bot.core.errors import NotFound, ProviderError
from bot.http.errors import message_of
from bot.http.quota import Quota
from bot.http.reply import Reply
from bot.providers.base.capabilities import Capability

LABEL = "CircleCI"
CANNOT = frozenset(
    {
        Capability.REJECT,
        Capability.COMMITS,
        Capability.LIVE_LOG,
        Capability.ERASE,
        Capability.ERASE_JOB,
        Capability.PIPELINE_ADMIN,
        Capability.UPLOADS,
    }
)
"""What CircleCI's API cannot do."""
REFUSALS: Mapping[Capability, tuple[str, str]] = {
    Capability.REJECT: (
        "CircleCI can approve a waiting job, but not reject it.",
        "Leave it waiting, or cancel the build.",
    ),
    Capability.LIVE_LOG: (
        "CircleCI hands out a step's output only when the step is over.",
        "Watch it on the job's page.",
    ),
    Capability.ERASE: (
        "CircleCI's API deletes no logs or artifacts.",
        "They go when the organization's retention time ends.",
    ),
    Capability.ERASE_JOB: (
        "CircleCI's API deletes no logs or artifacts.",
        "They go when the organization's retention time ends.",
    ),
    Capability.PIPELINE_ADMIN: (
        "CircleCI's projects are managed on their own pages.",
        "Open the project's settings.",
    ),
}


def map_error(reply: Reply) -> ProviderError | None:
    """Return the error for a 404, which CircleCI answers for the wrong kind of token, too."""
    if reply.status != httpx.codes.NOT_FOUND:
        return None
    reason = message_of(reply)
    return NotFound(
        f"{LABEL} has no such thing, or this connection may not see it{f': {reason}' if reason else '.'}",
        provider=LABEL,
        status=reply.status,
        hint="It answers so for the wrong kind of token, too: only a personal token of somebody with access works.",
    )


def read_quota(headers: httpx.Headers, now: datetime) -> Quota | None:
    """Return what the limit headers say is left; `Reset` is in seconds from now."""
    names = ("RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset")
    limit, remaining, reset = (_whole(headers.get(name)) for name in names)
    if limit is None or remaining is None:
        return None
    return Quota(limit=limit, remaining=remaining, resets_at=None if reset is None else now + timedelta(seconds=reset))


def _whole(value: str | None) -> int | None:
    return int(value) if value is not None and re.fullmatch(r"[0-9]{1,6}", value) else None
