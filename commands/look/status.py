"""What is running, what came out last: /build [status] [target|all|SHA]."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace

from bot.blocks.build import build_list, commit_list
from bot.blocks.message import context as small_print
from bot.blocks.status import StatusRow, status_message
from bot.core.errors import NotLinked, ProviderError, UsageError
from bot.core.models import Build, BuildFilter, Conclusion, Ref, RefKind, is_sha
from bot.notifications.holds import hold_words
from bot.providers.base.provider import AnyProvider
from bot.store.rows import LinkRow
from commands.core.actions import noted
from commands.core.available_actions import verbs_of
from commands.core.context import Answer, Context, Role
from commands.core.grammar import Target, read
from commands.core.listings import pipeline_names, recent_builds
from commands.core.matches import BuildMatch, PipelineMatch
from commands.core.registry import Command, anyone
from commands.core.resolve import match_of_link, resolve_pipeline
from commands.core.stories import stories_of
from commands.look import show
from commands.look.details import filled

USAGE = "status [target|all|mine|SHA]"
RECENT = 10
MOST = 20
MOST_OWN = 15
MOST_OF_COMMIT = 5
SECONDS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Args:
    """Whose status: the channel's, everything's, one pipeline's, a commit's, or the person's own builds'."""

    target: Target
    everything: bool = False
    sha: str = ""
    public: bool = False

    @property
    def names_pipeline(self) -> bool:
        """Whether one pipeline is asked about."""
        return not (self.everything or self.sha or self.target.empty or self.target.scope == "mine")


def parse(words: str) -> Args:
    """Read the words after `status`. Raises UsageError."""
    parsed = read(words, switches=("public",))
    target = parsed.only_target(USAGE)
    word = parsed.words[0] if parsed.words else ""
    if word.lower() == "all":
        return Args(target=Target(), everything=True, public=parsed.public)
    sha = word if is_sha(word) else ""
    if not sha and target.ref is not None and target.ref.kind is RefKind.COMMIT and target.pipeline is None:
        sha = target.ref.name
    return Args(target=target, sha=sha.lower(), public=parsed.public)


async def resolve(args: Args, context: Context) -> PipelineMatch | BuildMatch | None:
    """Return the pipeline named, the build where one is named; None where the status is of more than one."""
    if args.target.build is not None or args.target.id is not None:
        return await show.resolve(show.Args(target=args.target), context)
    if not args.names_pipeline:
        return None
    return await resolve_pipeline(args.target, context, acting=False, verb="status")


async def run(args: Args, match: PipelineMatch | BuildMatch | None, context: Context) -> Answer:
    """Return the state of the channel's pipelines, of one, of a build, of a commit, or of the person's own builds."""
    if isinstance(match, BuildMatch):
        return await show.run(show.Args(target=args.target, public=args.public), match, context)
    if (pipeline := match) is not None:
        row = await _row(pipeline, args.target.ref, context)
        message = status_message(context.channel_name, [row], context.now)
        return Answer(message=noted(message, pipeline), public=args.public)
    if args.target.scope == "mine":
        return await _own(context, public=args.public)
    if args.sha:
        return await _commit(args.sha, context, public=args.public)
    links = await context.store.links.of_channel(context.team, context.channel)
    if args.everything:
        every = {(link.connection, link.pipeline): link for link in await context.store.links.all(context.team)}
        links = list((every | {(link.connection, link.pipeline): link for link in links}).values())
    elif not links:
        raise NotLinked(
            f"No pipeline is linked to {context.here} yet.",
            hint=f"Paste a page's URL after `{context.command} link`, or `{context.command} list pipelines`.",
            choices=(("Link one", "link"),),
        )
    rows = await asyncio.gather(*(_linked(link, context) for link in links[:MOST]))
    message = status_message(context.channel_name, rows, context.now)
    if len(links) > MOST:
        more = small_print(f"… {len(links) - MOST} more: `{context.command} status <pipeline>` shows one.")
        message = replace(message, blocks=(*message.blocks, more))
    return Answer(message=message, public=args.public)


async def _linked(link: LinkRow, context: Context) -> StatusRow:
    """Return a link's row; one whose connection is gone says so."""
    try:
        pipeline = match_of_link(link, context)
    except NotLinked as exc:
        return StatusRow(
            label=link.alias or link.name,
            connection=link.connection,
            pipeline=link.pipeline,
            path=link.path,
            branch=link.branch or link.default_branch,
            paused_reason=str(exc),
        )
    return await _row(pipeline, None, context)


async def _row(pipeline: PipelineMatch, ref: Ref | None, context: Context) -> StatusRow:
    if ref is None and pipeline.branch:
        ref = Ref(kind=RefKind.BRANCH, name=pipeline.branch)
    trouble = ""
    builds: list[Build] = []
    try:
        async with asyncio.timeout(SECONDS):
            builds = [build async for build in recent_builds(pipeline, ref, limit=RECENT + 5)]
    except ProviderError as exc:
        trouble = str(exc)
    except TimeoutError:
        trouble = f"{pipeline.provider.label} has not answered for {SECONDS} s."
    if trouble:
        branch = ref.name if ref is not None and ref.kind is RefKind.BRANCH else None
        builds = await context.store.builds.of_pipeline(
            pipeline.connection, pipeline.id, branch=branch, limit=RECENT + 5
        )
    else:
        builds = await filled(builds, pipeline, context, ask=_newest_and_green)
    stories = await stories_of(builds, context)
    recent = tuple(build for build in stories.builds if build.completed)[:RECENT]
    green = next((build for build in recent if build.conclusion is Conclusion.PASSED), None)
    holds = await context.store.holds.of_pipeline(context.team, pipeline.connection, pipeline.id)
    paused = pipeline.link.paused_reason if pipeline.link else ""
    return StatusRow(
        label=pipeline.name,
        connection=pipeline.connection,
        pipeline=pipeline.id,
        path=pipeline.path,
        branch=str(ref or ""),
        open=tuple(build for build in stories.builds if not build.completed),
        recent=recent,
        green_at=green.completed_at if green else None,
        paused_reason=paused or trouble,
        holds=tuple(map(hold_words, holds)),
        actions=verbs_of(pipeline.provider, recent[0] if recent else None),
        facts=stories.facts,
    )


def _newest_and_green(builds: Sequence[Build]) -> list[Build]:
    newest = [build for build in builds if build.completed][:1]
    return newest + [build for build in builds if build.conclusion is Conclusion.PASSED][:1]


async def _own(context: Context, *, public: bool) -> Answer:
    started = await context.store.builds.started_by(context.team, context.user, MOST_OWN)
    visible = {provider.connection for provider in context.providers()}
    builds = [build for build in started if build.connection in visible]
    if not builds:
        raise UsageError(
            "You have started no builds with me yet.", hint=f"Start one: `{context.command} run <pipeline>@<branch>`."
        )
    names = await pipeline_names(builds, context)
    stories = await stories_of(builds, context)
    message = build_list(stories.builds, title="Your builds", labels=names, now=context.now, facts=stories.facts)
    return Answer(message=message, public=public)


async def _commit(sha: str, context: Context, *, public: bool) -> Answer:
    """Return every system's builds of one commit: the store's, and one listing for each pipeline linked here."""
    visible = {provider.connection: provider for provider in context.providers()}
    builds = {build.key: build for build in await context.store.builds.of_commit(sha, list(visible))}
    links = await context.store.links.of_channel(context.team, context.channel)

    async def listed(provider: AnyProvider, pipeline: str) -> list[Build]:
        query = BuildFilter(commit=sha, limit=MOST_OF_COMMIT)
        try:
            async with asyncio.timeout(SECONDS):
                return [build async for build in provider.builds(pipeline, query)]
        except (ProviderError, TimeoutError):
            return []

    listings = [listed(visible[link.connection], link.pipeline) for link in links if link.connection in visible]
    for of_pipeline in await asyncio.gather(*listings):
        builds.update({build.key: build for build in of_pipeline})
    if not builds:
        raise UsageError(f"No build of commit `{sha[:12]}` is known.", hint="Only linked pipelines are looked through.")
    stories = await stories_of(list(builds.values()), context)
    listed_builds = stories.builds
    return Answer(
        message=commit_list(
            listed_builds,
            sha=sha,
            labels=await pipeline_names(listed_builds, context),
            connection_labels=context.services.connections.labels(context.team),
            now=context.now,
            facts=stories.facts,
        ),
        public=public,
    )


COMMAND = Command(
    verb="status",
    names_target=True,
    usage=USAGE,
    summary="What is running, and the last results",
    role=Role.VIEW,
    group="Look",
    parse=parse,
    resolve=resolve,
    authorize=anyone,
    run=run,
    aliases=("st",),
    flags=(("--public", "show it to the channel"),),
    examples=("status", "status web", "status a1b2c3d"),
    inferred="everything this channel follows",
)
