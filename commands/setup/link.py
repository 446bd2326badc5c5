"""A channel follows a pipeline: /build link <URL|pattern> [as ALIAS]."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from bot.blocks.link import link_confirmation
from bot.core.errors import ProviderError, UsageError
from bot.core.models import BuildFilter, Pipeline
from bot.notifications.filters import Filter, filter_of
from bot.store.rows import LinkRow, NewLink
from commands.core.channel import must_be_reachable
from commands.core.context import Answer, Context, Opening, Role
from commands.core.forms import opening
from commands.core.grammar import Target, read, unexpected
from commands.core.matches import PipelineMatch
from commands.core.permissions import Requirement
from commands.core.registry import Command
from commands.core.replay import posted, replayed
from commands.core.resolve import resolve_pipeline
from commands.follow.grouping import same_repository

USAGE = "link <URL|pipeline> [as ALIAS] [--default] [--branch BRANCH] [--protected GLOBS]"
SEED_BUILDS = 30
SEED_SECONDS = 20
PRESETS = ("all", "edges", "failures")


@dataclass(frozen=True, slots=True, kw_only=True)
class Args:
    """Which pipeline, under which name; `protected` None leaves the protected refs as they are."""

    target: Target
    alias: str = ""
    is_default: bool = False
    branch: str = ""
    protected: str | None = None


def parse(words: str) -> Args:
    """Read the words after `link`. Raises UsageError."""
    parsed = read(words, values=("branch", "protected"), switches=("default", "yes"))
    alias = ""
    if len(parsed.words) >= 2:
        if parsed.words[1].lower() != "as" or len(parsed.words) != 3:
            raise unexpected(parsed.words[1], parsed.words[0], USAGE)
        alias = parsed.words[2]
        check_alias(alias)
    return Args(
        target=parsed.target().of_pipeline("link"),
        alias=alias,
        is_default=parsed.has("default"),
        branch=parsed.flag("branch") or "",
        protected=parsed.flag("protected"),
    )


def check_alias(alias: str) -> None:
    """Raise UsageError unless a link may have this alias."""
    if any(char in alias for char in "@#:\"' ") or len(alias) > 60:
        raise UsageError("An alias has no spaces, quotes, `@`, `#` or `:` in it, and at most 60 characters.")


def spoken(args: Args) -> str:
    """Return arguments as one would type them."""
    alias = f" as {args.alias}" if args.alias else ""
    return f"{args.target.url or args.target.pipeline or ''}{alias}{' --default' if args.is_default else ''}"


def opens(args: Args, context: Context) -> Opening | None:
    """Return the form where no pipeline was named."""
    return form(args, context) if args.target.empty else None


def form(args: Args, context: Context) -> Opening:
    """Return the form with what was typed in it. Raises UsageError for what it does not ask for."""
    if args.protected is not None:
        raise UsageError("`--protected` goes without a form.", usage=USAGE)
    named = args.target.pipeline or args.target.url or ""
    default = "true" if args.is_default else ""
    return opening("link", context, pipeline=named, alias=args.alias, branch=args.branch, default=default)


async def resolve(args: Args, context: Context) -> PipelineMatch:
    """Return the pipeline named. Raises UsageError for none, and where the bot could post nothing here."""
    if args.target.empty:
        raise UsageError("Which pipeline? Paste any of its pages' URLs, or type a part of its name.", usage=USAGE)
    return await resolve_pipeline(args.target, context, acting=True, verb="link")


def authorize(args: Args, pipeline: PipelineMatch, _context: Context) -> Sequence[Requirement]:
    """Require the runner's role to link; an admin to say which refs are protected."""
    # Not for the pipeline: a grant for one pipeline does not let somebody set up channels.
    required = [Requirement(role=Role.RUN, doing="Linking pipelines")]
    if args.protected is not None:
        required.append(Requirement(role=Role.ADMIN, doing="Protecting refs", pipeline=pipeline))
    return required


async def run(args: Args, pipeline: PipelineMatch, context: Context) -> Answer:
    """Link, remember what has been built so far, and offer to narrow the notifications."""
    await must_be_reachable(context, f"link {spoken(args)}")
    details = await pipeline.provider.pipeline(pipeline.id)
    await context.store.pipelines.save(pipeline.connection, [details], context.now)
    links = await context.store.links.of_channel(context.team, context.channel)
    before = next((row for row in links if (row.connection, row.pipeline) == (pipeline.connection, details.id)), None)
    row = await context.store.links.save(_row(args, pipeline, details, before, context, is_first=not links))
    trouble = await seed(pipeline, details, context)
    target = pipeline.provider.poll_target(details.id)
    await context.store.polling.ensure(pipeline.connection, target, now=context.now)
    context.services.wake_poller()
    pasts = await replayed(row, context)
    message = link_confirmation(
        name=row.alias or row.name,
        pipeline=details.full_name,
        connection_label=pipeline.provider.label,
        user=context.user,
        branch=row.branch or row.default_branch,
        is_default=row.is_default,
        target=row.alias or pipeline.spoken(),
        would={preset: len(posted(pasts, row, Filter(preset=preset))) for preset in PRESETS},
        enabled=details.enabled,
        trouble=trouble,
        again=before is not None,
        same_repository=[
            other.alias or other.name
            for other in await same_repository(row, context)
            if not filter_of(row).is_by_commit
        ],
        command=context.command,
    )
    return Answer(message=message, public=before is None, connection=pipeline.connection, pipeline=details.id)


def _row(
    args: Args, pipeline: PipelineMatch, details: Pipeline, before: LinkRow | None, context: Context, *, is_first: bool
) -> NewLink:
    branch = args.branch or (args.target.ref.name if args.target.ref else before.branch if before else "")
    return NewLink(
        team=context.team,
        channel=context.channel,
        connection=pipeline.connection,
        pipeline=details.id,
        path=details.path,
        name=details.full_name,
        alias=args.alias or (before.alias if before else ""),
        is_default=args.is_default or (before.is_default if before else is_first),
        default_branch=details.default_branch or "",
        branch=branch,
        filters=before.filters if before else "",
        protected=args.protected if args.protected is not None else before.protected if before else "",
        created_by=before.created_by if before else context.user,
        created_at=before.created_at if before else context.now,
    )


async def seed(pipeline: PipelineMatch, details: Pipeline, context: Context) -> str:
    """Store the newest builds without announcing them: the baseline of the next one. Costs one listing.

    Returns what went wrong, in words.
    """
    try:
        async with asyncio.timeout(SEED_SECONDS):
            builds = [build async for build in pipeline.provider.builds(details.id, BuildFilter(limit=SEED_BUILDS))]
    except ProviderError as exc:
        return str(exc)
    except TimeoutError:
        return f"{pipeline.provider.label} has not answered for {SEED_SECONDS} s; I will keep asking."
    await context.store.recording.record(builds, now=context.now)
    return ""


COMMAND = Command(
    verb="link",
    names_target=True,
    usage=USAGE,
    summary="Follow a pipeline in this channel",
    role=Role.RUN,
    group="Set up",
    parse=parse,
    opens=opens,
    form=form,
    resolve=resolve,
    authorize=authorize,
    run=run,
    spoken=spoken,
    flags=(
        ("--form", "search in a form, which opens by itself where nothing is named"),
        ("--default", "use it as this channel's default pipeline"),
        ("--branch BRANCH", "follow another branch than the default one"),
        ("--protected GLOBS", "refs that need a grant to build, such as main,release/*"),
    ),
    examples=("link https://gitlab.com/acme/api/-/pipelines/7", "link bk:web as web --default", "link nightly"),
)
