"""Stop following pipelines: /build unfollow [target|all]."""

from dataclasses import dataclass

from bot.blocks.message import Message, section
from bot.blocks.text import escape, plural
from commands.core.context import Answer, Context, Role
from commands.core.grammar import Target, read
from commands.core.matches import PipelineMatch
from commands.core.registry import Command, anyone
from commands.core.resolve import resolve_pipeline

USAGE = "unfollow [target|all]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Args:
    """Which pipeline; without one, all that the person follows."""

    target: Target

    @property
    def everything(self) -> bool:
        """Whether all pipelines are meant."""
        return self.target.empty or (self.target.pipeline or "").lower() == "all"


def parse(words: str) -> Args:
    """Read the words after `unfollow`. Raises UsageError."""
    return Args(target=read(words).only_target(USAGE))


async def resolve(args: Args, context: Context) -> PipelineMatch | None:
    """Return the pipeline named, None for all."""
    if args.everything:
        return None
    return await resolve_pipeline(args.target, context, acting=False, verb="unfollow")


async def run(_args: Args, pipeline: PipelineMatch | None, context: Context) -> Answer:
    """Stop following a pipeline, or all."""
    rows = [row for row in await context.store.watches.of_user(context.team, context.user) if not row.build]
    if pipeline is not None:
        rows = [row for row in rows if (row.connection, row.pipeline) == (pipeline.connection, pipeline.id)]
    for row in rows:
        await context.store.watches.delete(row.id or 0)
    name = escape(pipeline.name) if pipeline is not None else ""
    if not rows:
        text = f"You did not follow {name or 'anything'}."
    else:
        text = f"You no longer follow {name or plural(len(rows), 'pipeline')}."
    return Answer(message=Message(text=text, blocks=(section(text),)))


COMMAND = Command(
    verb="unfollow",
    usage=USAGE,
    summary="Stop following",
    role=Role.VIEW,
    group="Follow",
    parse=parse,
    resolve=resolve,
    authorize=anyone,
    run=run,
    acts=lambda _args: True,
    examples=("unfollow web", "unfollow all"),
)
