"""Mutes and quiet hours: whether a channel wants to be left alone now. Pure."""

from collections.abc import Sequence
from datetime import datetime

from bot.blocks.text import when
from bot.core.errors import UsageError
from bot.core.recurrence import parse_hours, zone_of
from bot.store.rows import NewLink, NewMute


def muted(mutes: Sequence[NewMute], link: NewLink | None, channel: str, now: datetime) -> str | None:
    """Return why a channel is quiet now about a link (or about everything), or None."""
    names = {"all", "hours"}
    if link is not None:
        names |= {link.alias, link.name, link.path, f"{link.connection}:{link.pipeline}"} - {""}
    for mute in mutes:
        if mute.channel != channel or mute.target not in names:
            continue
        if mute.until is not None and mute.until > now:
            return f"muted by <@{mute.made_by}> until {when(mute.until)}"
        if mute.hours and in_quiet_hours(mute.hours, mute.tz, now):
            return f"quiet hours ({mute.hours} {zone_of(mute.tz).key})"
    return None


def in_quiet_hours(hours: str, tz: str, now: datetime) -> bool:
    """Return whether a time lies in quiet hours such as `22:00-07:00 mon-fri` in a time zone; not in unreadable ones."""
    try:
        span = parse_hours(hours)
    except UsageError:
        return False
    return span.contain(now, zone_of(tz))
