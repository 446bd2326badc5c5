"""One build's full card, or all that is known of it: /build show [build] [--all]."""

from dataclasses import dataclass, replace

from bot.blocks.build import build_card
from bot.blocks.details import all_details
from commands.core.actions import noted
from commands.core.available_actions import verbs_of
from commands.core.context import Answer, Context, Role
from commands.core.grammar import Target, read
from commands.core.matches import BuildMatch
from commands.core.registry import Command, anyone
from commands.core.resolve import resolve_build
from commands.core.stories import stories_of
from commands.look.details import open_approvals, with_counts, with_uploads

USAGE = "show [build] [--all]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Args:
    """Which build, and whether every field of it is to be shown."""

    target: Target
    everything: bool = False
    public: bool = False


def parse(words: str) -> Args:
    """Read the words after `show`. Raises UsageError."""
    parsed = read(words, switches=("public", "all"))
    return Args(target=parsed.only_target(USAGE), everything=parsed.has("all"), public=parsed.public)


async def resolve(args: Args, context: Context) -> BuildMatch:
    """Return the build named, else the last one."""
    return await resolve_build(args.target, context, acting=False, verb="show")


async def run(args: Args, match: BuildMatch, context: Context) -> Answer:
    """Return the full card of one build, or all that is known of it, for the person only."""
    stories = await stories_of([await with_uploads(replace(match, build=await with_counts(match)))], context)
    (build,) = stories.builds
    if args.everything:
        message = all_details(
            build,
            label=match.pipeline.name,
            connection_label=match.provider.label,
            now=context.now,
            attempt_no=match.attempt_no,
            facts=stories.of(build),
        )
    else:
        message = build_card(
            build,
            label=match.pipeline.name,
            now=context.now,
            connection_label=match.provider.label,
            actions=verbs_of(match.provider, build),
            attempt_no=match.attempt_no,
            approvals=await open_approvals(match),
            facts=stories.of(build),
            with_details=True,
        )
    return Answer(
        message=noted(message, match.pipeline),
        public=args.public,
        connection=build.connection,
        pipeline=build.pipeline,
        build=build.id,
    )


COMMAND = Command(
    verb="show",
    usage=USAGE,
    summary="One build's full card",
    role=Role.VIEW,
    group="Look",
    parse=parse,
    resolve=resolve,
    authorize=anyone,
    run=run,
    aliases=("info",),
    flags=(("--all", "every field that is known, in plain words"), ("--public", "show it to the channel")),
    examples=("show #412", "show web#last", "show #412 --all", "show <a build's URL>"),
    inferred="the last build",
)
