"""The newest builds of a pipeline: /build last [target]."""

from dataclasses import dataclass

from bot.blocks.build import build_list
from bot.blocks.text import escape
from bot.core.errors import UsageError
from bot.core.models import Ref
from commands.core.actions import noted
from commands.core.context import Answer, Context, Role
from commands.core.grammar import ParsedArgs, Target, read
from commands.core.listings import recent_builds
from commands.core.matches import PipelineMatch
from commands.core.registry import Command, anyone
from commands.core.resolve import resolve_pipeline
from commands.core.stories import stories_of
from commands.look.details import filled

MOST_READ = 10
USAGE = "last [target] [-n 5]"
MOST = 25
STATES = (
    "queued",
    "in_progress",
    "running",
    "blocked",
    "passed",
    "failed",
    "cancelled",
    "timeout",
    "skipped",
    "partial",
    "unknown",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Args:
    """Whose builds, how many, in which states (all where none are named)."""

    target: Target
    limit: int = 5
    states: frozenset[str] = frozenset()
    public: bool = False


def parse(words: str) -> Args:
    """Read the words after `last`. Raises UsageError."""
    parsed = read(words, values=("n", "state"), switches=("public",))
    return Args(
        target=parsed.only_target(USAGE),
        limit=parsed.number("n", default=5, most=MOST),
        states=states_given(parsed),
        public=parsed.public,
    )


def states_given(parsed: ParsedArgs) -> frozenset[str]:
    """Return the states that `--state` names. Raises UsageError for a word that is none."""
    states = frozenset(word for part in parsed.flags.get("state", ()) for word in part.split(",") if word)
    for state in sorted(states - set(STATES)):
        raise UsageError(f"There is no state `{state}`.", hint=f"States: {', '.join(STATES)}.")
    return frozenset("in_progress" if state == "running" else state for state in states)


async def resolve(args: Args, context: Context) -> PipelineMatch:
    """Return the pipeline named, else the default one."""
    return await resolve_pipeline(args.target, context, acting=False, verb="last")


async def run(args: Args, pipeline: PipelineMatch, context: Context) -> Answer:
    """Return the newest builds of a pipeline, or of a branch of it."""
    return await newest(pipeline, args.target.ref, context, limit=args.limit, states=args.states, public=args.public)


async def newest(
    pipeline: PipelineMatch,
    ref: Ref | None,
    context: Context,
    *,
    limit: int,
    states: frozenset[str],
    public: bool,
) -> Answer:
    """Return a pipeline's newest builds as an answer.

    Costs one listing, and a request for each of ten builds at most where the listing leaves out when they ended.
    """
    builds = [build async for build in recent_builds(pipeline, ref, states=states, limit=limit)]
    builds = await filled(builds, pipeline, context, ask=lambda listed: listed[:MOST_READ])
    title = f"{pipeline.name}{f' on {ref}' if ref else ''}"
    stories = await stories_of(builds, context)
    message = build_list(
        stories.builds,
        facts=stories.facts,
        title=title,
        labels={(pipeline.connection, pipeline.id): pipeline.name},
        now=context.now,
        footer=None if builds else f"{escape(pipeline.name)} has no such builds.",
    )
    return Answer(message=noted(message, pipeline), public=public)


COMMAND = Command(
    verb="last",
    usage=USAGE,
    summary="The newest builds of a pipeline",
    role=Role.VIEW,
    group="Look",
    parse=parse,
    resolve=resolve,
    authorize=anyone,
    run=run,
    flags=(
        ("-n 5", "how many, at most 25"),
        ("--state failed", "only these states"),
        ("--public", "show it to the channel"),
    ),
    examples=("last", "last web@main -n 10", "last --state failed"),
    inferred="the channel's default pipeline",
)
