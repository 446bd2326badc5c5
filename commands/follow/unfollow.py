"""Stop following pipelines: /build unfollow [target|all]."""

from bot.blocks.message import Message, section
from bot.blocks.text import escape, plural
from commands.core.context import Answer, Context, Role
from commands.core.matches import PipelineMatch
from commands.core.registry import Command, anyone
from commands.core.resolve import resolve_pipeline
from commands.follow.watches import Args, end_watches, parse_ending

USAGE = "unfollow [target|all]"


def parse(words: str) -> Args:
    """Read the words after `unfollow`. Raises UsageError."""
    return parse_ending(words, USAGE)


async def resolve(args: Args, context: Context) -> PipelineMatch | None:
    """Return the pipeline named, None for all."""
    if args.everything:
        return None
    return await resolve_pipeline(args.target.of_pipeline("unfollow"), context, acting=True, verb="unfollow")


async def run(_args: Args, pipeline: PipelineMatch | None, context: Context) -> Answer:
    """Stop following a pipeline, or all. Watches of single builds stay."""
    if pipeline is None:
        count = await end_watches(context, lambda row: not row.build)
        text = f"You no longer follow {plural(count, 'pipeline')}." if count else "You did not follow anything."
    else:
        key = (pipeline.connection, pipeline.id, "")
        count = await end_watches(context, lambda row: (row.connection, row.pipeline, row.build) == key)
        name = escape(pipeline.name)
        text = f"You no longer follow {name}." if count else f"You did not follow {name}."
    return Answer(message=Message(text=text, blocks=(section(text),)))


COMMAND = Command(
    verb="unfollow",
    names_target=True,
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
