"""Mutes and quiet hours: whether a channel wants to be left alone now. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from bot.blocks.text import when
from bot.core.errors import UsageError
from bot.core.models import Build, Transition
from bot.core.recurrence import parse_hours, zone_of
from bot.notifications.filters import NOTHING_PENDING, Filter, Pending, is_by, judge, make_filter
from bot.notifications.notification import Event, Verdict
from bot.store.rows import NewLink, NewMute


@dataclass(frozen=True, slots=True, kw_only=True)
class Happening:
    """What a channel would be notified of: a build's end, or its open approval."""

    build: Build
    event: Event
    transition: Transition = field(default_factory=Transition)
    started_by: str = ""
    pending: Pending = NOTHING_PENDING


def parse_exceptions(words: str) -> tuple[Filter, ...]:
    """Read what quiet hours let through, such as `broken@main,blocked`: events or presets, each of a ref's glob.

    Raises UsageError for an event that does not exist.
    """
    parts = [part.partition("@") for part in words.split(",") if part]
    return tuple(make_filter({"on": [event.lower()], "branch": [glob] if glob else []}) for event, _at, glob in parts)


def is_excepted(mute: NewMute, happening: Happening) -> bool:
    """Return whether quiet hours let something through."""
    try:
        exceptions = parse_exceptions(mute.exceptions)
    except UsageError:  # written by a newer version
        return False
    build = happening.build
    return any(
        judge(
            build,
            happening.transition,
            NewLink(
                team=mute.team,
                channel=mute.channel,
                connection=build.connection,
                pipeline=build.pipeline,
                path="",
                name="",
                filters=exception.words(),
                created_by=mute.made_by,
                created_at=mute.made_at,
            ),
            happening.event,
            started_by=happening.started_by,
            pending=happening.pending,
        ).verdict
        is Verdict.POST
        for exception in exceptions
    )


def muted(
    mutes: Sequence[NewMute],
    link: NewLink | None,
    channel: str,
    now: datetime,
    happening: Happening | None = None,
) -> str | None:
    """Return why a channel is quiet now about a link (or about everything), or None.

    A mute of a person, and what quiet hours let through, are judged on what is `happening`; without it on neither.
    """
    names = {"all", "hours"}
    if link is not None:
        names |= {link.alias, link.name, link.path, f"{link.connection}:{link.pipeline}"} - {""}
    for mute in mutes:
        if mute.channel != channel or (mute.target not in names and not _is_about(mute, happening)):
            continue
        if mute.until is not None and mute.until > now:
            return f"muted by <@{mute.made_by}> until {when(mute.until)}"
        if mute.hours and in_quiet_hours(mute.hours, mute.tz, now):
            if happening is not None and is_excepted(mute, happening):
                continue
            return f"quiet hours ({mute.hours} {zone_of(mute.tz).key})"
    return None


def _is_about(mute: NewMute, happening: Happening | None) -> bool:
    """Return whether a mute is about the person who started a build or wrote its commit."""
    people = mute.people.split("\n") if mute.people else []
    return bool(people) and happening is not None and is_by(happening.build, happening.started_by, people)


def in_quiet_hours(hours: str, tz: str, now: datetime) -> bool:
    """Return whether a time lies in quiet hours such as `22:00-07:00 mon-fri` in a time zone; not in unreadable ones."""
    try:
        span = parse_hours(hours)
    except UsageError:
        return False
    return span.contain(now, zone_of(tz))
