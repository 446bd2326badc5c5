"""The newest builds of a pipeline: /build last [target]."""

from dataclasses import dataclass

from commands.core.context import Answer, Context, Role
from commands.core.grammar import Target, read
from commands.core.matches import PipelineMatch
from commands.core.registry import Command, anyone
from commands.core.resolve import resolve_pipeline
from commands.look import build_filters, build_lists
from commands.look.build_filters import Filters, read_filters
from commands.look.build_lists import ListPage

USAGE = "last [target] [-n 5]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Args:
    """Whose builds, how many, narrowed by what."""

    target: Target
    page: ListPage
    filters: Filters
    public: bool = False


def parse(words: str) -> Args:
    """Read the words after `last`. Raises UsageError."""
    parsed = read(words, values=build_filters.VALUES, switches=("public",))
    return Args(
        target=parsed.only_target(USAGE).of_pipeline("last", takes_ref=True),
        page=ListPage(
            limit=parsed.number("n", default=5, most=build_lists.MOST),
            skip=parsed.number("skip", default=0, most=build_lists.MOST_SKIPPED),
            verb="last",
        ),
        filters=read_filters(parsed, USAGE),
        public=parsed.public,
    )


async def resolve(args: Args, context: Context) -> PipelineMatch:
    """Return the pipeline named, else the default one."""
    return await resolve_pipeline(args.target, context, acting=False, verb="last")


async def run(args: Args, pipeline: PipelineMatch, context: Context) -> Answer:
    """Return the newest builds of a pipeline, or of a branch of it."""
    return await build_lists.of_pipeline(
        pipeline, args.target.ref, context, page=args.page, filters=args.filters, public=args.public
    )


COMMAND = Command(
    verb="last",
    names_target=True,
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
        *build_filters.FLAGS,
        ("--public", "show it to the channel"),
    ),
    examples=("last", "last web@main -n 10", "last --state failed"),
    inferred="the channel's default pipeline",
)
