"""Follow a pipeline in person: /build follow [target] [filters]."""

from dataclasses import dataclass, field

from bot.blocks.message import Message, section
from bot.blocks.text import escape, harmless
from bot.notifications.filters import read_filter
from bot.store.rows import NewWatch
from commands.core.actions import noted
from commands.core.context import Answer, Context, Role
from commands.core.grammar import Target, read
from commands.core.registry import Command, anyone
from commands.core.resolve import PipelineMatch, resolve_pipeline
from commands.follow.filter_words import FILTERS, Conditions, conditions_given, filter_from

USAGE = "follow [target] [all|edges|failures] [--on EVENTS] [--branch GLOBS]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Args:
    """Which pipeline, with which filter."""

    target: Target
    given: Conditions = field(default_factory=dict)


def parse(words: str) -> Args:
    """Read the words after `follow`. Raises UsageError."""
    given, target = conditions_given(read(words, values=FILTERS), USAGE)
    return Args(target=target, given=given)


async def resolve(args: Args, context: Context) -> PipelineMatch:
    """Return the pipeline named, else the default one."""
    return await resolve_pipeline(args.target, context, acting=False, verb="follow")


async def run(args: Args, pipeline: PipelineMatch, context: Context) -> Answer:
    """Notify the person by direct message of what they chose of a pipeline; without a filter, of changes only."""
    wanted = filter_from(args.given or {"on": ["edges"]})
    if not wanted.branches and pipeline.branch:
        wanted = read_filter(f"{wanted.words()} --branch {pipeline.branch}")
    for row in await context.store.watches.of_user(context.team, context.user):
        if (row.connection, row.pipeline, row.build) == (pipeline.connection, pipeline.id, ""):
            await context.store.watches.delete(row.id or 0)
    await context.store.watches.add(
        NewWatch(
            team=context.team,
            channel=context.user,
            user=context.user,
            connection=pipeline.connection,
            pipeline=pipeline.id,
            filters=wanted.words(),
            why="follow",
            created_at=context.now,
        )
    )
    target = pipeline.provider.poll_target(pipeline.id)
    await context.store.polling.ensure(pipeline.connection, target, now=context.now)
    context.services.wake_poller()
    words = harmless(wanted.in_words(""), styles=False)
    text = f"You follow {escape(pipeline.name)}: I'll notify you by direct message of {words}."
    message = Message(text=text, blocks=(section(text),))
    return Answer(message=noted(message, pipeline), connection=pipeline.connection, pipeline=pipeline.id)


COMMAND = Command(
    verb="follow",
    usage=USAGE,
    summary="Notifications of a pipeline by direct message",
    role=Role.VIEW,
    group="Follow",
    parse=parse,
    resolve=resolve,
    authorize=anyone,
    run=run,
    acts=lambda _args: True,
    examples=("follow web", "follow nightly failures --branch main"),
    inferred="changes only, on the default branch",
)
