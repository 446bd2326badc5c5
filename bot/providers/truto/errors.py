"""What Truto says about its limits, and whether it speaks for itself or for the system beneath."""

from datetime import datetime, timedelta

import httpx
import msgspec

from bot.http.client import Quota, Reply
from bot.providers.truto import wire

FALLBACK_WAIT_SECONDS = 10.0


def quota(headers: httpx.Headers, now: datetime) -> Quota | None:
    """Return what is left: `ratelimit-limit` is `N;w=seconds`, `ratelimit-reset` seconds from now."""
    limit, remaining, reset = (
        _whole(headers.get(f"ratelimit-{name}", "").partition(";")[0]) for name in ("limit", "remaining", "reset")
    )
    if limit is None or remaining is None:
        return None
    resets_at = None if reset is None else now + timedelta(seconds=reset)
    return Quota(limit=limit, remaining=remaining, resets_at=resets_at)


def wait_seconds(headers: httpx.Headers) -> float:
    """Return how long to wait: `Retry-After` in seconds, else `ratelimit-reset`, else what Truto's own limit takes."""
    told = (_whole(headers.get(name, "")) for name in ("retry-after", "ratelimit-reset"))
    return next((float(wait) for wait in told if wait), FALLBACK_WAIT_SECONDS)


def is_remote(reply: Reply) -> bool:
    """Return whether the system beneath refused, and not Truto."""
    try:
        return msgspec.json.decode(reply.content, type=wire.ErrorWire).truto_is_remote_error is True
    except (msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError, RecursionError):
        return False


def _whole(value: str) -> int | None:
    return int(value) if value.isdecimal() and len(value) < 10 else None
