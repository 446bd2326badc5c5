"""What Azure DevOps says about its limits: 200 throughput units for an identity in any five minutes."""

from datetime import datetime, timedelta

import httpx

from bot.http.client import Quota, retry_after
from bot.providers.base.times import parse_time

UNITS = 200


def quota(headers: httpx.Headers, now: datetime) -> Quota | None:
    """Return what is left. A delayed request is answered all the same, with a `Retry-After`: then nothing is left."""
    limit = _number(headers, "limit") or UNITS
    wait = retry_after(headers, now)
    if wait is not None:
        return Quota(limit=limit, remaining=0, resets_at=now + timedelta(seconds=wait))
    remaining = _number(headers, "remaining")
    if remaining is None:
        return None
    return Quota(limit=limit, remaining=remaining, resets_at=parse_time(_number(headers, "reset")))


def _number(headers: httpx.Headers, name: str) -> int | None:
    value = headers.get(f"x-ratelimit-{name}", "")
    return int(value) if value.isascii() and value.isdecimal() and len(value) <= 12 else None
