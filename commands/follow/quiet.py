"""Quiet hours of a channel: /build quiet 22:00-07:00 [mon-fri] | off."""

from collections.abc import Sequence
from dataclasses import dataclass

from bot.blocks.text import escape
from bot.core.errors import UsageError
from bot.core.recurrence import parse_hours, zone_of
from bot.store.rows import NewMute
from commands.core import actions
from commands.core.context import Answer, Context, Opening, Role
from commands.core.forms import opening
from commands.core.permissions import Requirement
from commands.core.registry import Command

USAGE = "quiet 22:00-07:00 [mon-fri] | off"
TARGET = "hours"


@dataclass(frozen=True, slots=True, kw_only=True)
class Args:
    """The hours; "" ends them, None means that none were typed."""

    hours: str | None


def parse(words: str) -> Args:
    """Read the words after `quiet`. Raises UsageError."""
    text = " ".join(words.lower().split())
    if not text or text == "--form":
        return Args(hours=None)
    if text == "off":
        return Args(hours="")
    parse_hours(text)
    return Args(hours=text)


def spoken(args: Args) -> str:
    """Return arguments as one would type them."""
    return args.hours or "off"


def opens(args: Args, context: Context) -> Opening | None:
    """Return the form where no hours were typed."""
    return opening("quiet", context) if args.hours is None else None


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
            made_by=context.user,
            made_at=context.now,
        )
    )
    return actions.public_line(
        f"{actions.actor(context)} set quiet hours here: {escape(args.hours)} ({escape(zone)}). "
        "What happens then comes as one summary."
    )


COMMAND = Command(
    verb="quiet",
    usage=USAGE,
    summary="Quiet hours of this channel",
    role=Role.RUN,
    group="Follow",
    parse=parse,
    opens=opens,
    resolve=resolve,
    authorize=authorize,
    run=run,
    spoken=spoken,
    examples=("quiet 22:00-07:00", "quiet 18:00-09:00 mon-fri", "quiet off"),
    inferred="a form, where no hours are typed",
)
