"""Stop watching a build: /build unwatch [target|all]."""

from bot.blocks.message import Message, section
from bot.blocks.text import escape, plural
from commands.core.context import Answer, Context, Role
from commands.core.matches import BuildMatch
from commands.core.registry import Command, anyone
from commands.core.resolve import resolve_build
from commands.follow.watch import watch_answer
from commands.follow.watches import Args, end_watches, parse_ending

USAGE = "unwatch [target|all]"


def parse(words: str) -> Args:
    """Read the words after `unwatch`. Raises UsageError."""
    return parse_ending(words, USAGE)


async def resolve(args: Args, context: Context) -> BuildMatch | None:
    """Return the build named, None for all."""
    if args.everything:
        return None
    return await resolve_build(args.target, context, acting=True, verb="unwatch", default="running")


async def run(_args: Args, match: BuildMatch | None, context: Context) -> Answer:
    """Stop watching a build, or all."""
    if match is None:
        count = await end_watches(context, lambda row: bool(row.build))
        text = f"Stopped watching {plural(count, 'build')}." if count else "You were watching nothing."
        return Answer(message=Message(text=text, blocks=(section(text),)))
    key = (match.build.connection, match.build.pipeline, match.build.id)
    count = await end_watches(context, lambda row: (row.connection, row.pipeline, row.build) == key)
    name = escape(match.name)
    return watch_answer(f"Stopped watching {name}." if count else f"You were not watching {name}.", match)


COMMAND = Command(
    verb="unwatch",
    names_target=True,
    usage=USAGE,
    summary="Stop watching",
    role=Role.VIEW,
    group="Follow",
    parse=parse,
    resolve=resolve,
    authorize=anyone,
    run=run,
    acts=lambda _args: True,
    examples=("unwatch #412", "unwatch all"),
)
