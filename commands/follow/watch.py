"""Be notified of the end of one build: /build watch [target]."""

import re
from dataclasses import dataclass

from bot.blocks.message import Message, section
from bot.blocks.text import escape
from bot.core.errors import UsageError
from bot.store.rows import NewWatch
from commands.core.context import Answer, Context, Role
from commands.core.grammar import Target, read
from commands.core.matches import BuildMatch, state_of
from commands.core.permissions import Requirement
from commands.core.registry import Command
from commands.core.resolve import resolve_build

_ME = re.compile(r"^me\b\s*(?:(?:about|of|on)\s+)?", re.IGNORECASE)
_REMINDED = re.compile(
    r"(?:^|\s)when\s++(?:it|this|that)(?:\s++is|'s|’s)?+\s++(?:ends|ended|done|finishes|finished|over)$", re.IGNORECASE
)
"""`me about web when it is done`: what people say around the build after `remind`."""
USAGE = "watch [target] [--here]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Args:
    """Which build, and whether the channel is notified instead of the person alone."""

    target: Target
    here: bool = False


def parse(words: str) -> Args:
    """Read the words after `watch`. Raises UsageError."""
    parsed = read(_REMINDED.sub("", _ME.sub("", words)), switches=("here",))
    return Args(target=parsed.only_target(USAGE), here=parsed.has("here"))


async def resolve(args: Args, context: Context) -> BuildMatch:
    """Return the build named, else the newest running one."""
    return await resolve_build(args.target, context, acting=True, verb="watch", default="running")


def authorize(args: Args, _match: BuildMatch, _context: Context) -> tuple[Requirement, ...]:
    """Require a person who may act in the channel where the channel is to be notified."""
    return (Requirement(role=Role.VIEW, doing="Posting into this channel"),) if args.here else ()


async def run(args: Args, match: BuildMatch, context: Context) -> Answer:
    """Remember to notify the person by direct message (or here) when the build ends."""
    build = match.build
    if build.completed:
        raise UsageError(f"{match.name} has ended already: {state_of(build)}.")
    await context.store.recording.record([build], now=context.now)
    added = await context.store.watches.add(
        NewWatch(
            team=context.team,
            channel=context.channel if args.here else context.user,
            user=context.user,
            connection=build.connection,
            pipeline=build.pipeline,
            build=build.id,
            why="asked",
            created_at=context.now,
        )
    )
    target = match.provider.poll_target(build.pipeline)
    await context.store.polling.ensure(match.pipeline.connection, target, now=context.now)
    context.services.wake_poller()
    place = "here" if args.here else "by direct message"
    text = (
        f"I'll notify you {place} when {escape(match.name)} ends."
        if added
        else f"You watch {escape(match.name)} already."
    )
    return watch_answer(text, match)


def watch_answer(text: str, match: BuildMatch) -> Answer:
    """Return what the person alone reads about a watch."""
    return Answer(
        message=Message(text=text, blocks=(section(text),)),
        connection=match.build.connection,
        pipeline=match.build.pipeline,
        build=match.build.id,
    )


COMMAND = Command(
    verb="watch",
    aliases=("remind",),
    names_target=True,
    usage=USAGE,
    summary="Notify me when a build ends",
    role=Role.VIEW,
    group="Follow",
    parse=parse,
    resolve=resolve,
    authorize=authorize,
    run=run,
    flags=(("--here", "notify the channel, not me alone"),),
    acts=lambda _args: True,
    examples=("watch", "watch #412", "watch web#running --here"),
    inferred="the newest running build",
)
