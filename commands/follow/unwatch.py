"""Stop watching a build: /build unwatch [target|all]."""

from dataclasses import dataclass

from bot.blocks.message import Message, section
from bot.blocks.text import escape, plural
from commands.core.context import Answer, Context, Role
from commands.core.grammar import Target, read
from commands.core.matches import BuildMatch
from commands.core.registry import Command, anyone
from commands.core.resolve import resolve_build
from commands.follow.watch import watch_answer

USAGE = "unwatch [target|all]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Args:
    """Which build; without one, all that the person watches."""

    target: Target

    @property
    def everything(self) -> bool:
        """Whether all watches are meant."""
        return self.target.empty or (self.target.pipeline or "").lower() == "all"


def parse(words: str) -> Args:
    """Read the words after `unwatch`. Raises UsageError."""
    return Args(target=read(words).only_target(USAGE))


async def resolve(args: Args, context: Context) -> BuildMatch | None:
    """Return the build named, None for all."""
    if args.everything:
        return None
    return await resolve_build(args.target, context, acting=False, verb="unwatch", default="running")


async def run(_args: Args, match: BuildMatch | None, context: Context) -> Answer:
    """Stop watching a build, or all."""
    own = [row for row in await context.store.watches.of_user(context.team, context.user) if row.build]
    if match is None:
        for row in own:
            await context.store.watches.delete(row.id or 0)
        text = f"Stopped watching {plural(len(own), 'build')}." if own else "You were watching nothing."
        return Answer(message=Message(text=text, blocks=(section(text),)))
    key = (match.build.connection, match.build.pipeline, match.build.id)
    ended = [row for row in own if (row.connection, row.pipeline, row.build) == key]
    for row in ended:
        await context.store.watches.delete(row.id or 0)
    name = escape(match.name)
    return watch_answer(f"Stopped watching {name}." if ended else f"You were not watching {name}.", match)


COMMAND = Command(
    verb="unwatch",
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
