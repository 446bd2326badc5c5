"""One build's full card, or all that is known of it: /build show [build] [--all]."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from bot.blocks.build import build_card
from bot.blocks.details import all_details
from bot.providers.base.options import check_options
from commands.act.options import options_given
from commands.core.actions import noted
from commands.core.available_actions import verbs_of
from commands.core.context import Answer, Context, Role
from commands.core.grammar import Target, read
from commands.core.matches import BuildMatch
from commands.core.registry import Command, anyone
from commands.core.resolve import resolve_build
from commands.core.stories import stories_of
from commands.look.build_lists import sent_file
from commands.look.details import open_approvals, with_counts, with_uploads

USAGE = "show [build] [--all]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Args:
    """Which build, and whether every field of it is to be shown.

    `options` are the CI system's own: they ask for what it sends, as a file.
    """

    target: Target
    options: Mapping[str, str] = field(default_factory=dict)
    everything: bool = False
    public: bool = False


def parse(words: str) -> Args:
    """Read the words after `show`. Raises UsageError."""
    parsed = read(words, values=("option",), switches=("public", "all"))
    return Args(
        target=parsed.only_target(USAGE),
        options=options_given(parsed, USAGE),
        everything=parsed.has("all"),
        public=parsed.public,
    )


async def resolve(args: Args, context: Context) -> BuildMatch:
    """Return the build named, else the last one."""
    return await resolve_build(args.target, context, acting=False, verb="show")


async def run(args: Args, match: BuildMatch, context: Context) -> Answer:
    """Return the full card of one build, or all that is known of it, for the person only."""
    if args.options:
        check_options(args.options, match.provider.show_options, match.provider.label)
        sent = await match.provider.as_sent(match.build.pipeline, match.build.id, args.options)
        if sent is not None:
            return Answer(file=await sent_file(sent, match.name, private=not args.public))
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
    names_target=True,
    usage=USAGE,
    summary="One build's full card",
    role=Role.VIEW,
    group="Look",
    parse=parse,
    resolve=resolve,
    authorize=anyone,
    run=run,
    aliases=("info",),
    flags=(
        ("--all", "every field that is known, in plain words"),
        ("--option NAME=VALUE", "what the CI system sends, under an option of its own (Truto)"),
        ("--public", "show it to the channel"),
    ),
    examples=("show #412", "show web#last", "show #412 --all", "show <a build's URL>"),
    inferred="the last build",
)
