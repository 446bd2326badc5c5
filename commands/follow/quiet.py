"""Quiet hours of a channel: /build quiet 22:00-07:00 [mon-fri] | off."""

from collections.abc import Sequence
from dataclasses import dataclass

from bot.blocks.text import code, escape
from bot.core.errors import UsageError
from bot.core.recurrence import parse_hours, zone_of
from bot.notifications.quiet_hours import parse_exceptions
from bot.store.rows import NewMute
from commands.core import actions
from commands.core.context import Answer, Context, Opening, Role
from commands.core.forms import opening
from commands.core.grammar import read
from commands.core.permissions import Requirement
from commands.core.registry import Command

USAGE = "quiet 22:00-07:00 [mon-fri] [--except broken@main] | off"
TARGET = "hours"


@dataclass(frozen=True, slots=True, kw_only=True)
class Args:
    """The hours; "" ends them, None means that none were typed. `exceptions` are posted all the same."""

    hours: str | None
    exceptions: str = ""


def parse(words: str) -> Args:
    """Read the words after `quiet`. Raises UsageError."""
    parsed = read(
        words,
        values=("except",),
    )
    text = " ".join(parsed.words).lower()
    exceptions = ",".join(parsed.flags.get("except", ()))
    parse_exceptions(exceptions)
    if not text:
        return Args(hours=None)
    if text == "off":
        return Args(hours="")
    parse_hours(text)
    return Args(hours=text, exceptions=exceptions)


def spoken(args: Args) -> str:
    """Return arguments as one would type them."""
    return f"{args.hours} --except {args.exceptions}" if args.exceptions else args.hours or "off"


def opens(args: Args, context: Context) -> Opening | None:
    """Return the form where no hours were typed."""
    return form(args, context) if args.hours is None else None


def form(args: Args, context: Context) -> Opening:
    """Return the form with the hours that were typed, else with those that hold."""
    return opening("quiet", context, hours=args.hours or "", exceptions=args.exceptions)


async def resolve(_args: Args, _context: Context) -> None:
    """Resolve nothing: quiet hours are the channel's."""


def authorize(_args: Args, _resolved: None, _context: Context) -> Sequence[Requirement]:
    """Require the runner's role."""
    return (Requirement(role=Role.RUN, doing="Setting quiet hours"),)


async def run(args: Args, _resolved: None, context: Context) -> Answer:
    """Set or end the channel's quiet hours, in the time zone of the person who sets them."""
    if args.hours is None:
        raise UsageError("Which hours?", usage=USAGE)
    if not args.hours:
        if not await context.store.mutes.end(context.team, context.channel, TARGET):
            raise UsageError("This channel has no quiet hours.")
        await context.services.release_held()
        return actions.public_line(f"{actions.actor(context)} ended the quiet hours here")
    zone = zone_of(await context.zone()).key
    await context.store.mutes.set(
        NewMute(
            team=context.team,
            channel=context.channel,
            target=TARGET,
            hours=args.hours,
            tz=zone,
            exceptions=args.exceptions,
            made_by=context.user,
            made_at=context.now,
        )
    )
    return actions.public_line(
        f"{actions.actor(context)} set quiet hours here: {escape(args.hours)} ({escape(zone)}). "
        f"What happens then comes as one summary{_but(args.exceptions)}."
    )


def _but(exceptions: str) -> str:
    named = [part.partition("@") for part in exceptions.split(",") if part]
    words = [f"{escape(event.lower())}{f' on {code(glob)}' if glob else ''}" for event, _at, glob in named]
    return f"; posted all the same: {', '.join(words)}" if words else ""


COMMAND = Command(
    verb="quiet",
    usage=USAGE,
    summary="Quiet hours of this channel",
    role=Role.RUN,
    group="Follow",
    parse=parse,
    opens=opens,
    form=form,
    resolve=resolve,
    authorize=authorize,
    run=run,
    spoken=spoken,
    flags=(
        ("--form", "fill in a form, which opens by itself where no hours are typed"),
        ("--except EVENT[@BRANCH]", "what is posted all the same: broken@main,blocked"),
    ),
    examples=("quiet 22:00-07:00", "quiet 22:00-07:00 --except broken@main", "quiet 18:00-09:00 mon-fri", "quiet off"),
    inferred="a form, where no hours are typed",
)
