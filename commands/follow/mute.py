"""Quiet: /build mute [target|all] [--for 2h], /build unmute, /build quiet 22:00-07:00 [mon-fri]."""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta

from bot.blocks.text import escape, when
from bot.core.errors import UsageError
from bot.core.recurrence import DAY_NAMES, EVERY_DAY, Daily, instant_of, parse_hours, parse_time_of_day, zone_of
from bot.store.tables import MuteRow
from commands.core import actions as acting
from commands.core.context import Answer, Command, Request, Role, Services
from commands.core.forms import can_open, opening
from commands.core.grammar import ParsedArgs, Target, parse_duration, read
from commands.core.permissions import require
from commands.core.resolve import place

MUTE_USAGE = "mute [target|all] [2h | --until fri 9:00]"
UNMUTE_USAGE = "unmute [target|all]"
QUIET_USAGE = "quiet 22:00-07:00 [mon-fri] | off"
ANYONE = timedelta(hours=8)
USUAL = timedelta(hours=2)
_CLOCK = re.compile(r"\d{1,2}:\d{2}", re.ASCII)
_SPAN = re.compile(r"\d{1,9}(?:\.\d+)?(?:m|min|h|d|w)", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Mute:
    """What to be quiet about, and for how long."""

    target: Target
    everything: bool
    ask: ParsedArgs


def parse(words: str) -> Mute:
    """Read the words after `mute` or `unmute`. Raises UsageError."""
    ask = read(words, values=("for", "until"), switches=("form",))
    flags = dict(ask.flags)
    named = list(ask.words)
    if (day := ask.flag("until")) is not None:
        # The clock of `--until fri 9:00` stands among the words.
        clock = next((word for word in named if _CLOCK.fullmatch(word)), "")
        named = [word for word in named if word != clock]
        flags["until"] = (f"{day} {clock}".strip(),)
    elif not ask.has("for") and named and _SPAN.fullmatch(named[-1]):
        flags["for"] = (named.pop(),)
    if len(named) > 1:
        raise UsageError("I mute one target at a time, or `all`.", usage=MUTE_USAGE)
    rest = ParsedArgs(words=tuple(named), flags=flags)
    everything = named[0].lower() == "all" if named else rest.target().empty
    return Mute(target=Target() if everything else rest.target(), everything=everything, ask=rest)


async def mute(ask: Mute, request: Request, services: Services) -> Answer:
    """Hold notifications until a time; anyone may for up to 8 hours. What was held comes as one summary."""
    if ask.ask.has("form") and can_open(request):
        return Answer(form=opening("mute", request))
    zone = await services.people.zone(request.team, request.user)
    until = _until(ask.ask, request.now, zone)
    if until - request.now > ANYONE:
        await require(Role.ADMIN, "Muting for more than 8 hours", request, services)
    target, label = await _named(ask, request, services, "mute")
    await services.store.mutes.set(
        MuteRow(
            team=request.team,
            channel=request.channel,
            target=target,
            until=until,
            made_by=request.user,
            made_at=request.now,
        )
    )
    return acting.public_line(
        f"{acting.who(request)} muted {escape(label)} here until {when(until)}. What happens meanwhile comes as one summary. "
        f"`{services.command} unmute` ends it."
    )


async def unmute(ask: Mute, request: Request, services: Services) -> Answer:
    """End a mute; what was held is told now."""
    target, label = await _named(ask, request, services, "unmute")
    ended = await services.store.mutes.end(request.team, request.channel, target)
    if not ended:
        raise UsageError(f"{label.capitalize() if target == 'all' else label} is not muted here.")
    services.wake_outbox()
    return acting.public_line(f"{acting.who(request)} ended the mute of {escape(label)}")


async def _named(ask: Mute, request: Request, services: Services, verb: str) -> tuple[str, str]:
    if ask.everything:
        return "all", "everything"
    where = await place(ask.target, request, services, acting=True, verb=verb)
    return f"{where.connection}:{where.pipeline}", where.label


def _until(ask: ParsedArgs, now: datetime, zone: str) -> datetime:
    if ask.has("for") and ask.has("until"):
        raise UsageError("`--for` and `--until` exclude each other.", usage=MUTE_USAGE)
    span = ask.flag("for")
    if span is not None:
        return now + parse_duration(span)
    words = ask.flag("until")
    return at(words, now, zone) if words else now + USUAL


def at(words: str, now: datetime, zone: str) -> datetime:
    """Return the next time that `fri 9:00`, `9:00` or `tomorrow 9:00` means in a time zone. Raises UsageError."""
    parts = words.lower().split()
    clock = parts[-1] if parts else ""
    day = parts[0][:3] if len(parts) == 2 else ""
    if not _CLOCK.fullmatch(clock) or len(parts) > 2 or (day and day not in {*DAY_NAMES, "tom"}):
        raise UsageError(
            f"I don't understand the time `{words}`.", hint="Write `18:00`, `fri 9:00` or `tomorrow 9:00`."
        )
    at_time, local = parse_time_of_day(clock), zone_of(zone)
    if day == "tom":
        return instant_of(now.astimezone(local).date() + timedelta(days=1), at_time, local)
    days = frozenset({DAY_NAMES.index(day)}) if day else EVERY_DAY
    return Daily(at_time, days).next_after(now, local)


@dataclass(frozen=True, slots=True)
class Quiet:
    """The hours, or "" to end them. `asked` says that none were typed."""

    hours: str
    asked: bool = False


def parse_quiet(words: str) -> Quiet:
    """Read the words after `quiet`. Raises UsageError."""
    text = " ".join(words.lower().split())
    if not text or text == "--form":
        return Quiet(hours="", asked=True)
    if text == "off":
        return Quiet(hours="")
    parse_hours(text)
    return Quiet(hours=text)


async def quiet(ask: Quiet, request: Request, services: Services) -> Answer:
    """Set or end the channel's quiet hours, in the time zone of the person who sets them."""
    if ask.asked and can_open(request):
        return Answer(form=opening("quiet", request))
    if ask.asked:
        raise UsageError("Which hours?", usage=QUIET_USAGE)
    await require(Role.RUN, "Setting quiet hours", request, services)
    if not ask.hours:
        if not await services.store.mutes.end(request.team, request.channel, "hours"):
            raise UsageError("This channel has no quiet hours.")
        return acting.public_line(f"{acting.who(request)} ended the quiet hours here")
    zone = zone_of(await services.people.zone(request.team, request.user)).key
    await services.store.mutes.set(
        MuteRow(
            team=request.team,
            channel=request.channel,
            target="hours",
            hours=ask.hours,
            tz=zone,
            made_by=request.user,
            made_at=request.now,
        )
    )
    return acting.public_line(
        f"{acting.who(request)} set quiet hours here: {escape(ask.hours)} ({escape(zone)}). What happens then comes as one summary."
    )


MUTE = Command(
    verb="mute",
    usage=MUTE_USAGE,
    summary="Be quiet for a while",
    role=Role.VIEW,
    group="Follow",
    parse=parse,
    run=mute,
    flags=(
        ("--for 2h", "how long, also without the flag; anyone may up to 8 h"),
        ("--until fri 9:00", "until when, in your time zone"),
        ("--form", "choose in a form"),
    ),
    acts=lambda ask: not ask.ask.has("form"),
    examples=("mute", "mute 4h", "mute web --for 4h", "mute all --until tomorrow 9:00"),
    inferred="everything, for 2 hours",
)
UNMUTE = Command(
    verb="unmute",
    usage=UNMUTE_USAGE,
    summary="End a mute",
    role=Role.VIEW,
    group="Follow",
    parse=parse,
    run=unmute,
    acts=lambda _ask: True,
    examples=("unmute", "unmute web"),
)
QUIET = Command(
    verb="quiet",
    usage=QUIET_USAGE,
    summary="Quiet hours of this channel",
    role=Role.RUN,
    group="Follow",
    parse=parse_quiet,
    run=quiet,
    examples=("quiet 22:00-07:00", "quiet 18:00-09:00 mon-fri", "quiet off"),
    inferred="a form, where no hours are typed",
)
