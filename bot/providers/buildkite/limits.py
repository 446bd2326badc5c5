"""What Buildkite says about its limits and a token's scopes."""

from datetime import datetime, timedelta
from urllib.parse import urlsplit

import httpx
import msgspec

from bot.http.client import Quota, Reply
from bot.providers.base.wire import Wire

QUOTAS = ("RateLimit-", "RateLimit-User-")
"""The two sets of limit headers: the organization's and the user's. Both hold."""
FALLBACK_WAIT_SECONDS = 60.0


def quota(headers: httpx.Headers, prefix: str, now: datetime) -> Quota | None:
    """Return one set of the limit headers. `Reset` is in seconds from now."""
    limit, remaining, reset = (_whole(headers.get(f"{prefix}{name}")) for name in ("Limit", "Remaining", "Reset"))
    if limit is None or remaining is None:
        return None
    resets_at = None if reset is None else now + timedelta(seconds=reset)
    return Quota(limit=limit, remaining=remaining, resets_at=resets_at)


class LimitBody(Wire):
    """What a 429 says in its body."""

    reset: float | None = None


def wait_seconds(reply: Reply) -> float:
    """Return how long a 429 asks to wait: the longest of its body and of the exhausted sets, and a second more."""
    waits = [
        float(reset)
        for prefix in QUOTAS
        if _whole(reply.headers.get(f"{prefix}Remaining")) == 0
        and (reset := _whole(reply.headers.get(f"{prefix}Reset"))) is not None
    ]
    try:
        told = msgspec.json.decode(reply.content, type=LimitBody).reset
    except (msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError, RecursionError):
        told = None
    if told is not None and 0 <= told <= 3600:
        waits.append(told)
    return max(waits) + 1 if waits else FALLBACK_WAIT_SECONDS


def _whole(value: str | None) -> int | None:
    return int(value) if value is not None and value.isdecimal() and len(value) < 10 else None


def scope_of(url: str) -> str:
    """Return the scope that a refused request would have needed, from its address."""
    path = urlsplit(url).path
    for part, scope in (
        ("/analytics/", "read_suites"),
        ("/log", "read_build_logs"),
        ("/artifacts", "read_artifacts"),
        ("/cancel", "write_builds"),
        ("/rebuild", "write_builds"),
        ("/retry", "write_builds"),
        ("/unblock", "write_builds"),
        ("/builds", "read_builds (write_builds to start one)"),
        ("/pipelines", "read_pipelines"),
    ):
        if part in path:
            return scope
    return "read_organizations"
