"""Mutes and quiet hours: whether a channel wants to be left alone now. Pure."""

import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from bot.core.errors import UsageError
from bot.store.tables import LinkRow, MuteRow

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
SPAN = re.compile(r"([01]\d|2[0-3]):[0-5]\d-([01]\d|2[0-3]):[0-5]\d")


def muted(mutes: Sequence[MuteRow], link: LinkRow | None, channel: str, now: datetime) -> str | None:
    """Return why a channel is quiet now about a link (or about everything), or None."""
    names = {"all", "hours"}
    if link is not None:
        names |= {link.alias, link.name, link.path, f"{link.connection}:{link.pipeline}"} - {""}
    for mute in mutes:
        if mute.channel != channel or mute.target not in names:
            continue
        if mute.until is not None and mute.until > now:
            return f"muted by <@{mute.made_by}> until {mute.until:%Y-%m-%d %H:%M} UTC"
        if mute.hours and in_quiet_hours(mute.hours, mute.tz, now):
            return f"quiet hours ({mute.hours})"
    return None


def in_quiet_hours(hours: str, tz: str, now: datetime) -> bool:
    """Return whether a time lies in quiet hours such as `22:00-07:00 mon-fri` in a time zone."""
    span, _, days = hours.partition(" ")
    start, _, end = span.partition("-")
    here = now.astimezone(zone_of(tz))
    clock = here.strftime("%H:%M")
    over_midnight = start > end
    inside = clock >= start or clock < end if over_midnight else start <= clock < end
    if not inside or not days:
        return inside
    day = here - timedelta(days=1) if over_midnight and clock < end else here
    return DAYS[day.weekday()] in _span_of_days(days)


def check_hours(hours: str) -> None:
    """Raise UsageError unless the text reads as quiet hours."""
    span, _, days = hours.partition(" ")
    start, _, end = span.partition("-")
    if SPAN.fullmatch(span) is None or start == end:
        raise UsageError(
            f"I don't understand the hours `{hours}`.", hint="Write `22:00-07:00` or `22:00-07:00 mon-fri`."
        )
    if days:
        _span_of_days(days)


def zone_of(tz: str) -> ZoneInfo:
    """Return a time zone by name, UTC where nobody knows it."""
    try:
        return ZoneInfo(tz or "UTC")
    except (KeyError, ValueError, OSError):
        return ZoneInfo("UTC")


def _span_of_days(words: str) -> frozenset[str]:
    found: set[str] = set()
    for part in words.lower().split(","):
        first, dash, last = part.partition("-")
        if first not in DAYS or (dash and last not in DAYS):
            raise UsageError(f"I don't know the days `{words}`.", hint="Write `mon-fri` or `sat,sun`.")
        start, end = DAYS.index(first), DAYS.index(last if dash else first)
        found.update(DAYS[index % 7] for index in range(start, (end if end >= start else end + 7) + 1))
    return frozenset(found)
