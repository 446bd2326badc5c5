"""Hold notifications for a while: /build mute [target|all] [--for 2h]."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from bot.blocks.text import escape, mention, when
from bot.core.errors import UsageError
from bot.core.recurrence import DAY_NAMES, EVERY_DAY, Daily, instant_of, parse_time_of_day, zone_of
from bot.store.rows import NewMute
from commands.core import actions
from commands.core.context import Answer, Context, Opening, Role
from commands.core.durations import parse_duration, span_at_end
from commands.core.forms import opening
from commands.core.grammar import ParsedArgs, Target, mentioned_user, read, unexpected
from commands.core.matches import PipelineMatch
from commands.core.permissions import Requirement
from commands.core.registry import Command
from commands.core.resolve import card_here, resolve_pipeline

USAGE = "mute [target|@person|all] [2h | --until fri 9:00]"
EVERYTHING = "all"
ANYONE = timedelta(hours=8)
USUAL = timedelta(hours=2)
_CLOCK = re.compile(r"\d{1,2}:\d{2}", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Args:
    """What to hold back, and for how long: a span, or until a time as typed. Without either two hours."""

    target: Target
    everything: bool = False
    span: timedelta | None = None
    until: str = ""
    person: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mute:
    """What is muted until when: a pipeline's builds, those of a person, or (without either) everything in the channel."""

    match: PipelineMatch | None
    until: datetime
    person: str = ""
    people: tuple[str, ...] = ()

    @property
    def target(self) -> str:
        """Return the target as the store names it."""
        return target_of(self.match, self.person)

    @property
    def label(self) -> str:
        """Return the target as a sentence names it, mrkdwn."""
        return label_of(self.match, self.person)


def target_of(match: PipelineMatch | None, person: str = "") -> str:
    """Return the target of a mute as the store names it."""
    if person:
        return f"user:{person}"
    return match.key if match is not None else EVERYTHING


def label_of(match: PipelineMatch | None, person: str = "") -> str:
    """Return the target of a mute as a sentence names it, mrkdwn."""
    if person:
        return f"builds of {mention(person)}"
    return escape(match.name) if match is not None else "everything"


def parse(words: str) -> Args:
    """Read the words after `mute`. Raises UsageError."""
    parsed = read(
        words,
        values=("for", "until"),
    )
    span, until = parsed.flag("for"), parsed.flag("until")
    named = list(parsed.words)
    if until is not None:
        # The clock of `--until fri 9:00` stands among the words.
        clock = next((word for word in named if _CLOCK.fullmatch(word)), "")
        named = [word for word in named if word != clock]
        until = f"{until} {clock}".strip()
    elif span is None:
        named, span = span_at_end(named)
    if span is not None and until is not None:
        raise UsageError("`--for` and `--until` exclude each other.", usage=USAGE)
    person = mentioned_user(named[0]) if len(named) == 1 else None
    if span is not None:
        parsed = replace(parsed, flags={**parsed.flags, "for": (span,)})  # a question which pipeline repeats it
    target, everything = (Target(), False) if person else named_target(named, parsed, USAGE)
    return Args(
        person=person or "",
        target=target,
        everything=everything,
        span=parse_duration(span) if span is not None else None,
        until=until or "",
    )


def named_target(words: Sequence[str], parsed: ParsedArgs, usage: str) -> tuple[Target, bool]:
    """Return what words name, and whether they say `all`. Raises UsageError for a second word."""
    if len(words) > 1:
        raise unexpected(words[1], words[0], usage)
    if words and words[0].lower() == EVERYTHING:
        return Target(), True
    return ParsedArgs(words=tuple(words), flags=parsed.flags).target(), False


def spoken(args: Args) -> str:
    """Return arguments as one would type them."""
    what = f"<@{args.person}>" if args.person else EVERYTHING if args.everything else args.target.pipeline or ""
    span = f"--for {int(args.span.total_seconds() // 60)}m" if args.span is not None else ""
    until = f"--until {args.until}" if args.until else ""
    return " ".join(part for part in (what, span, until) if part)


def form(args: Args, context: Context) -> Opening:
    """Return the form with what was typed in it."""
    span = f"{int(args.span.total_seconds() // 60)}m" if args.span is not None else ""
    what = args.target.pipeline or args.target.url or ""
    return opening("mute", context, target=what, person=args.person, until=args.until, **{"for": span})


async def resolve(args: Args, context: Context) -> Mute:
    """Return what is muted until when: what is named, else the thread's pipeline, else everything."""
    zone = await context.zone()
    if args.person:
        people = await names_of(args.person, context)
        return Mute(match=None, until=_until(args, context.now, zone), person=args.person, people=people)
    return Mute(
        match=await muted_pipeline(args.target, context, everything=args.everything, verb="mute"),
        until=_until(args, context.now, zone),
    )


async def names_of(user: str, context: Context) -> tuple[str, ...]:
    """Return what a person is called in Slack and in CI systems, as far as is known: what their builds are found by."""
    identities = await context.store.people.identities(context.team, user)
    person = await context.services.people.person(context.team, user)
    return tuple(dict.fromkeys(name for name in (user, person.email, *(row.value for row in identities)) if name))


async def muted_pipeline(target: Target, context: Context, *, everything: bool, verb: str) -> PipelineMatch | None:
    """Return the pipeline that a mute is about, None for everything."""
    if everything or (target.empty and await card_here(context) is None):
        return None
    return await resolve_pipeline(target.of_pipeline(verb), context, acting=True, verb=verb)


def authorize(_args: Args, mute: Mute, context: Context) -> Sequence[Requirement]:
    """Anyone who may act in the channel may mute for up to 8 hours; longer needs an admin."""
    if mute.until - context.now > ANYONE:
        return (Requirement(role=Role.ADMIN, doing="Muting for more than 8 hours", pipeline=mute.match),)
    return (Requirement(role=Role.VIEW, doing="Muting"),)


async def run(_args: Args, mute: Mute, context: Context) -> Answer:
    """Hold notifications until a time. What was held comes as one summary."""
    await context.store.mutes.set(
        NewMute(
            team=context.team,
            channel=context.channel,
            target=mute.target,
            until=mute.until,
            people="\n".join(mute.people),
            made_by=context.user,
            made_at=context.now,
        )
    )
    end = f"unmute {mute.match.typed}" if mute.match is not None else "unmute"
    end = f"unmute @{await context.services.people.name(context.team, mute.person)}" if mute.person else end
    return actions.public_line(
        f"{actions.actor(context)} muted {mute.label} here until {when(mute.until)}. "
        f"What happens meanwhile comes as one summary. `{context.command} {end}` ends it.",
        pipeline=mute.match,
    )


def _until(args: Args, now: datetime, zone: str) -> datetime:
    if args.span is not None:
        return now + args.span
    return at(args.until, now, zone) if args.until else now + USUAL


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


COMMAND = Command(
    verb="mute",
    names_target=True,
    usage=USAGE,
    summary="Hold notifications for a while",
    role=Role.VIEW,
    group="Follow",
    parse=parse,
    form=form,
    resolve=resolve,
    authorize=authorize,
    run=run,
    spoken=spoken,
    flags=(
        ("--for 2h", "how long, also without the flag; anyone may up to 8 h"),
        ("--until fri 9:00", "until when, in your time zone"),
        ("--form", "choose in a form"),
    ),
    acts=lambda _args: True,
    examples=("mute", "mute 4h", "mute web --for 4h", "mute @ana 4h", "mute all --until tomorrow 9:00"),
    inferred="in a build's thread its pipeline, else everything, for 2 hours",
)
