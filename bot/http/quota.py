"""What vendors say about their limits: how much is left, and how long to wait."""

import email.utils
import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import httpx

LONGEST_WAIT_SECONDS = 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Quota:
    """What a vendor's headers say is left: `remaining` of `limit` requests until `resets_at`."""

    limit: int
    remaining: int
    resets_at: datetime | None = None


ReadQuota = Callable[[httpx.Headers, datetime], Quota | None]


def no_quota(_headers: httpx.Headers, _now: datetime) -> Quota | None:
    """Say that the vendor sends no rate-limit headers."""
    return None


def retry_after(headers: httpx.Headers, now: datetime) -> float | None:
    """Return the seconds that a `Retry-After` header requests, given as seconds or as a date; a day at most."""
    value = headers.get("retry-after")
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            at = email.utils.parsedate_to_datetime(value)
        except (ValueError, OverflowError, IndexError):
            return None
        seconds = ((at if at.tzinfo else at.replace(tzinfo=UTC)) - now) / timedelta(seconds=1)
    return None if math.isnan(seconds) else min(max(seconds, 0.0), LONGEST_WAIT_SECONDS)
