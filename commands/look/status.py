"""What is running, what came out last: /build [status] [target|all|SHA]."""

import asyncio
from dataclasses import dataclass, replace

from bot.blocks.build import build_list, commit_list
from bot.blocks.message import context
from bot.blocks.status import StatusRow, status_message
from bot.core.errors import NotLinked, ProviderError, UsageError
from bot.core.models import Build, BuildFilter, Ref, RefKind, is_sha
from bot.providers.base.provider import AnyProvider
from bot.store.tables import LinkRow
from commands.core.actions import noted
from commands.core.context import Answer, Command, Request, Role, Services
from commands.core.grammar import ParsedArgs, Target, read
from commands.core.resolve import PipelineMatch, listed, of_link, place
from commands.look.builds import verbs_of

USAGE = "status [target|all|mine|SHA]"
RECENT = 10
MOST = 20
SECONDS = 20


@dataclass(frozen=True, slots=True)
class Status:
    """Whose status."""

    target: Target
    ask: ParsedArgs
    everything: bool = False


def parse(words: str) -> Status:
    """Read the words after `status`. Raises UsageError."""
    ask = read(words, switches=("public",))
    if len(ask.words) > 1:
        raise UsageError("I show one target at a time, or `all`.", usage=USAGE)
    if ask.words and ask.words[0].lower() == "all":
        return Status(target=Target(), ask=ask, everything=True)
    return Status(target=ask.target(), ask=ask)


async def run(ask: Status, request: Request, services: Services) -> Answer:
    """Return the state of the channel's pipelines, of one, of a commit, or of the person's own builds."""
    public = ask.ask.has("public")
    if ask.target.scope == "mine":
        return await _mine(request, services, public=public)
    sha = ask.ask.words[0] if ask.ask.words and is_sha(ask.ask.words[0]) else ""
    ref = ask.target.ref
    if not sha and ref is not None and ref.kind is RefKind.COMMIT and ask.target.pipeline is None:
        sha = ref.name
    if sha:
        return await _commit(sha.lower(), request, services, public=public)
    links = await services.store.links.of_channel(request.team, request.channel)
    if ask.target.empty and not ask.everything:
        if not links:
            raise NotLinked(
                f"No pipeline is linked to {'#' + request.channel_name if request.channel_name else 'this channel'} yet.",
                hint=f"Paste a page's URL after `{services.command} link`, or `{services.command} list pipelines`.",
            )
        linked = links
    elif ask.everything:
        every = {(row.connection, row.pipeline): row for row in await services.store.links.all(request.team)}
        linked = list((every | {(row.connection, row.pipeline): row for row in links}).values())
    else:
        where = await place(ask.target, request, services, acting=False, verb="status")
        row = await _row(where, ask.target, services)
        message = status_message(request.channel_name, [row], request.now)
        return Answer(message=noted(message, where), public=public)
    rows = await asyncio.gather(*(_linked(link, ask.target, request, services) for link in linked[:MOST]))
    message = status_message(request.channel_name, rows, request.now)
    if len(linked) > MOST:
        more = context(f"… {len(linked) - MOST} more: `{services.command} status <pipeline>` shows one.")
        message = replace(message, blocks=(*message.blocks, more))
    return Answer(message=message, public=public)


async def _linked(link: LinkRow, target: Target, request: Request, services: Services) -> StatusRow:
    """Return a link's row; one whose connection is gone says so."""
    try:
        where = of_link(link, request, services)
    except NotLinked as exc:
        return StatusRow(
            label=link.alias or link.name,
            connection=link.connection,
            pipeline=link.pipeline,
            path=link.path,
            branch=link.branch or link.default_branch,
            paused_reason=str(exc),
        )
    return await _row(where, target, services)


async def _row(where: PipelineMatch, target: Target, services: Services) -> StatusRow:
    ref = target.ref or (Ref(kind=RefKind.BRANCH, name=where.branch) if where.branch else None)
    trouble = ""
    builds: list[Build] = []
    try:
        async with asyncio.timeout(SECONDS):
            builds = [build async for build in listed(where, ref, limit=RECENT + 5)]
    except ProviderError as exc:
        trouble = str(exc)
    except TimeoutError:
        trouble = f"{where.provider.label} has not answered for {SECONDS} s."
    if trouble:
        branch = ref.name if ref is not None and ref.kind is RefKind.BRANCH else None
        builds = await services.store.builds.of_pipeline(
            where.connection, where.pipeline, branch=branch, limit=RECENT + 5
        )
    recent = tuple(build for build in builds if build.completed)[:RECENT]
    green = next((build for build in recent if build.conclusion == "passed"), None)
    paused = where.link.paused_reason if where.link else ""
    return StatusRow(
        label=where.label,
        connection=where.connection,
        pipeline=where.pipeline,
        path=where.path,
        branch=str(ref or ""),
        open=tuple(build for build in builds if not build.completed),
        recent=recent,
        green_at=green.completed_at if green else None,
        paused_reason=paused or trouble,
        actions=verbs_of(where.provider, recent[0] if recent else None),
    )


async def _mine(request: Request, services: Services, *, public: bool) -> Answer:
    mine = await services.store.builds.started_by(request.team, request.user, 15)
    visible = {provider.connection for provider in services.connections.visible(request.team)}
    builds = [build for build in mine if build.connection in visible]
    if not builds:
        raise UsageError(
            "You have started no builds with me yet.", hint=f"Start one: `{services.command} run <pipeline>@<branch>`."
        )
    return Answer(
        message=build_list(
            builds, title="Your builds", labels=await labels(builds, request, services), now=request.now
        ),
        public=public,
    )


async def _commit(sha: str, request: Request, services: Services, *, public: bool) -> Answer:
    """Return every system's builds of one commit: the store's, and one listing for each pipeline linked here."""
    visible = {provider.connection: provider for provider in services.connections.visible(request.team)}
    found = {build.key: build for build in await services.store.builds.of_commit(sha, list(visible))}
    links = await services.store.links.of_channel(request.team, request.channel)

    async def ask(provider: AnyProvider, pipeline: str) -> list[Build]:
        try:
            async with asyncio.timeout(SECONDS):
                return [build async for build in provider.builds(pipeline, BuildFilter(commit=sha, limit=5))]
        except (ProviderError, TimeoutError):
            return []

    asked = [ask(visible[link.connection], link.pipeline) for link in links if link.connection in visible]
    for builds_ in await asyncio.gather(*asked):
        found.update({build.key: build for build in builds_})
    if not found:
        raise UsageError(f"I know no build of commit `{sha[:12]}`.", hint="Only linked pipelines are looked through.")
    builds = list(found.values())
    return Answer(
        message=commit_list(
            builds,
            sha=sha,
            labels=await labels(builds, request, services),
            connection_labels=services.connections.labels(request.team),
            now=request.now,
        ),
        public=public,
    )


async def labels(builds: list[Build], request: Request, services: Services) -> dict[tuple[str, str], str]:
    """Return the readable names of builds' pipelines: as linked here, else as listed, else as the build says."""
    named = {(build.connection, build.pipeline): build.workflow or build.repo or build.pipeline for build in builds}
    rows = await services.store.pipelines.all(connections=sorted({build.connection for build in builds}))
    named.update({key: row.name for row in rows if (key := (row.connection, row.pipeline)) in named})
    links = await services.store.links.of_channel(request.team, request.channel)
    named.update({key: link.alias or link.name for link in links if (key := (link.connection, link.pipeline)) in named})
    return named


COMMAND = Command(
    verb="status",
    usage=USAGE,
    summary="What is running, and the last results",
    role=Role.VIEW,
    group="Look",
    parse=parse,
    run=run,
    aliases=("st",),
    flags=(("--public", "show it to the channel"),),
    examples=("status", "status web", "status a1b2c3d"),
    inferred="everything this channel follows",
)
