"""Follow a pipeline in person: /build follow [target] [filters]."""

from dataclasses import dataclass, field

from bot.blocks.message import Message, section
from bot.blocks.text import escape, harmless
from bot.notifications.filters import read_filter
from bot.store.rows import NewWatch
from commands.core.actions import noted
from commands.core.context import Answer, Context, Role
from commands.core.grammar import Target, read
from commands.core.matches import PipelineMatch
from commands.core.registry import Command, anyone
from commands.core.resolve import resolve_pipeline
from commands.follow.filter_words import FILTERS, Conditions, conditions_given, filter_from
from commands.follow.watches import end_watches

USAGE = "follow [target] [all|edges|failures] [--on EVENTS] [--branch GLOBS]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Args:
    """Which pipeline, with which filter."""

    target: Target
    conditions: Conditions = field(default_factory=dict)


def parse(words: str) -> Args:
    """Read the words after `follow`. Raises UsageError."""
    conditions, target = conditions_given(read(words, values=FILTERS), USAGE)
    return Args(target=target.of_pipeline("follow"), conditions=conditions)


async def resolve(args: Args, context: Context) -> PipelineMatch:
    """Return the pipeline named, else the default one."""
    return await resolve_pipeline(args.target, context, acting=True, verb="follow")


async def run(args: Args, pipeline: PipelineMatch, context: Context) -> Answer:
    """Notify the person by direct message of what they chose of a pipeline; without a filter, of changes only."""
    watch_filter = filter_from(args.conditions or {"on": ["edges"]})
    if not watch_filter.branches and pipeline.branch:
        watch_filter = read_filter(f"{watch_filter.words()} --branch {pipeline.branch}")
    key = (pipeline.connection, pipeline.id, "")
    await end_watches(context, lambda row: (row.connection, row.pipeline, row.build) == key)
    await context.store.watches.add(
        NewWatch(
            team=context.team,
            channel=context.user,
            user=context.user,
            connection=pipeline.connection,
            pipeline=pipeline.id,
            filters=watch_filter.words(),
            why="follow",
            created_at=context.now,
        )
    )
    target = pipeline.provider.poll_target(pipeline.id)
    await context.store.polling.ensure(pipeline.connection, target, now=context.now)
    context.services.wake_poller()
    words = harmless(watch_filter.in_words(""), styles=False)
    text = f"You follow {escape(pipeline.name)}: I'll notify you by direct message of {words}."
    message = Message(text=text, blocks=(section(text),))
    return Answer(message=noted(message, pipeline), connection=pipeline.connection, pipeline=pipeline.id)


COMMAND = Command(
    verb="follow",
    names_target=True,
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
