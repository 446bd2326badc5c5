"""The times of one attempt of a build, which systems report only for the build as a whole. Pure."""

from dataclasses import replace
from datetime import datetime, timedelta

from bot.core.models import Build, Status

CLOCKS_APART = timedelta(minutes=1)
"""How far the clocks of the bot and of a CI system may be apart."""


def began_at(build: Build, *, attempt_no: int, last_end: datetime | None, now: datetime) -> datetime | None:
    """Return when an attempt after the first one began; None for the first one, whose build has it.

    `last_end` is when the attempt before ended. A start that the system reports is believed where it lies after that.
    """
    if attempt_no <= 1:
        return None
    started = build.started_at
    if last_end is not None:
        if started is not None and started > last_end:
            return started
        return now if not build.completed else last_end
    if build.completed:
        return started
    return now


def of_attempt(build: Build, began: datetime | None) -> Build:
    """Return a build with the creation and start of its present attempt, for durations and waits.

    A retried build keeps its old creation at every system, and its old start at many: these are not the attempt's.
    """
    if began is None:
        return build
    started = build.started_at
    if started is None or started < began - CLOCKS_APART:
        started = None if build.status is Status.QUEUED else began
    created = build.created_at if build.created_at is not None and build.created_at >= began else began
    return replace(build, created_at=min(created, started) if started is not None else created, started_at=started)


def attempt_seconds(build: Build, began: datetime | None, approval_seconds: float) -> float | None:
    """Return how long a finished attempt ran, without the time it waited for people."""
    seconds = of_attempt(build, began).seconds
    return None if seconds is None else max(seconds - approval_seconds, 0.0)
