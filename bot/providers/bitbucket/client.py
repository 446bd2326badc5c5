"""What is left of Bitbucket's hourly allowance: it tells the limit at best, so requests are counted here."""

from collections import deque
from datetime import datetime, timedelta

import httpx

from bot.http.client import Quota

WINDOW = timedelta(hours=1)
USUAL_LIMIT = 1000
NEAR = 0.2
"""The share that is left when Bitbucket says that the limit is near."""


def told(headers: httpx.Headers) -> Quota | None:
    """Return what access tokens are told: the limit, and whether less than a fifth of it is left."""
    text = headers.get("x-ratelimit-limit", "")
    if not text.isdecimal() or not 0 < len(text) <= 9 or not int(text):
        return None
    limit = int(text)
    near = headers.get("x-ratelimit-nearlimit", "").lower() == "true"
    return Quota(limit=limit, remaining=int(limit * NEAR) if near else limit)


class Meter:
    """Requests of the last hour, from the count of all so far."""

    def __init__(self) -> None:
        self._marks: deque[tuple[datetime, int]] = deque()

    def quota(self, requests: int, told: Quota | None, now: datetime) -> Quota:
        """Return what is left; call it now and then with the number of requests sent so far."""
        if not self._marks:
            self._marks.append((now, 0))
        self._marks.append((now, requests))
        while len(self._marks) > 2 and now - self._marks[1][0] >= WINDOW:
            self._marks.popleft()
        limit = told.limit if told else USUAL_LIMIT
        left = limit - (requests - self._marks[0][1])
        return Quota(
            limit=limit,
            remaining=max(min(left, told.remaining if told else limit), 0),
            resets_at=now + WINDOW,
        )
