"""Lists of things: /build list [pipelines|builds|branches|links|connections|schedules|products|repositories|pulls|…]."""

from dataclasses import dataclass, replace
from enum import StrEnum

from bot.blocks.lists import branches_message, connections_message, links_message, pipelines_message
from bot.blocks.message import Message, sections
from bot.blocks.text import code, escape, when
from bot.core.errors import UsageError
from bot.core.models import Ref
from bot.core.text import among_names, fits_glob, holds_name
from bot.notifications.filters import Filter, read_filter
from bot.providers.base.capabilities import Capability
from bot.providers.base.provider import AnyProvider
from bot.store.rows import LinkRow, PipelineRow
from commands.core.actions import must_be_able
from commands.core.connection_names import connections_called
from commands.core.context import Answer, Context, Role
from commands.core.grammar import Target, read
from commands.core.matches import BuildMatch, PipelineMatch
from commands.core.registry import Command, anyone
from commands.core.resolve import resolve_pipeline
from commands.look import build_filters, build_lists, jobs
from commands.look.build_filters import Filters, read_filters
from commands.look.build_lists import ListPage
from commands.look.connections import connection_lines
from commands.look.sources import Sources, able_providers, sources_message

USAGE = (
    "list [pipelines|builds|jobs|branches|links|connections|schedules|products|repositories|references|pulls|providers|versions]"
    " [pattern] [--state WORD]"
)
BUILDS = 10
MOST_BRANCHES = 100


class Kind(StrEnum):
    """What can be listed."""

    PIPELINES = "pipelines"
    BUILDS = "builds"
    JOBS = "jobs"
    BRANCHES = "branches"
    LINKS = "links"
    CONNECTIONS = "connections"
    SCHEDULES = "schedules"
    PRODUCTS = Sources.PRODUCTS.value
    REPOSITORIES = Sources.REPOSITORIES.value
    REFERENCES = Sources.REFERENCES.value
    PULLS = Sources.PULLS.value
    PROVIDERS = Sources.PROVIDERS.value
    VERSIONS = Sources.VERSIONS.value


ALIASES = {
    "pr": Kind.PULLS,
    "prs": Kind.PULLS,
    "pull": Kind.PULLS,
    "pull-requests": Kind.PULLS,
    "repos": Kind.REPOSITORIES,
    "repository": Kind.REPOSITORIES,
    "refs": Kind.REFERENCES,
    "tag": Kind.BRANCHES,
    "tags": Kind.BRANCHES,
    "workflow": Kind.PIPELINES,
    "workflows": Kind.PIPELINES,
    "xcodes": Kind.VERSIONS,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Args:
    """What to list, narrowed by what. `everywhere` lists the builds of all connections; `of_build` asks for the jobs of a build."""

    kind: Kind
    pattern: str = ""
    target: Target
    page: ListPage
    filters: Filters
    everywhere: bool = False
    of_build: jobs.Args | None = None
    refresh: bool = False
    public: bool = False
    connection: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionsMatch:
    """The connections whose builds are listed, and the word that names them; "" stands for all."""

    providers: tuple[AnyProvider, ...]
    word: str = ""


def parse(words: str) -> Args:
    """Read the words after `list`. Raises UsageError."""
    switches = ("public", "refresh", "all", "all-attempts")
    parsed = read(words, values=(*build_filters.VALUES, "connection"), switches=switches, aliases=build_filters.ALIASES)
    word = parsed.words[0].lower() if parsed.words else Kind.LINKS.value
    kind = ALIASES.get(word)
    kind = kind or next((kind for kind in Kind if kind.startswith(word) or word == kind.removesuffix("s")), None)
    if kind is None:
        kinds = ", ".join(kind.value for kind in Kind)
        raise UsageError(f"I can't list `{word}`.", hint=f"I list {kinds}.", usage=USAGE)
    return Args(
        kind=kind,
        pattern=" ".join(parsed.words[2 if parsed.words[:2] == ("pull", "requests") else 1 :]),
        target=parsed.target(1) if kind in {Kind.BUILDS, Kind.BRANCHES} else Target(),
        page=ListPage(
            limit=parsed.number("n", default=BUILDS, most=build_lists.MOST),
            skip=parsed.number("skip", default=0, most=build_lists.MOST_SKIPPED),
        ),
        filters=read_filters(parsed, USAGE),
        everywhere=parsed.has("all"),
        of_build=jobs.of_words(replace(parsed, words=parsed.words[1:])) if kind is Kind.JOBS else None,
        refresh=parsed.has("refresh"),
        public=parsed.public,
        connection=parsed.flag("connection") or "",
    )


async def resolve(args: Args, context: Context) -> PipelineMatch | ConnectionsMatch | BuildMatch | None:
    """Return the pipeline or the connections whose builds are listed, the pipeline of branches, the build of jobs."""
    if args.of_build is not None:
        return await jobs.resolve(args.of_build, context)
    if args.kind is Kind.BUILDS and args.everywhere:
        return ConnectionsMatch(providers=tuple(context.providers()))
    if args.kind is Kind.BUILDS and (connections := await _connections_meant(args.target, context)):
        return ConnectionsMatch(providers=tuple(connections), word=(args.target.pipeline or "").rstrip(":"))
    if args.kind is Kind.BUILDS:
        return await resolve_pipeline(
            args.target.of_pipeline("list builds", takes_ref=True), context, acting=False, verb="last"
        )
    if args.kind is Kind.BRANCHES:
        named = replace(args.target.of_pipeline("list branches", takes_ref=True), ref=None)
        return await resolve_pipeline(named, context, acting=False, verb="list branches")
    return None


async def _connections_meant(target: Target, context: Context) -> list[AnyProvider]:
    """Return the connections that a target's name means; none where something linked here has that name."""
    word = (target.pipeline or "").rstrip(":")
    if not word or ":" in word or target.ref is not None or target.names_build:
        return []
    links = await context.store.links.of_channel(context.team, context.channel)
    if any(among_names(word, (link.alias, link.name, link.path)) for link in links):
        return []
    return connections_called(word, context)


async def run(args: Args, match: PipelineMatch | ConnectionsMatch | BuildMatch | None, context: Context) -> Answer:
    """Return the list that was asked for."""
    if isinstance(match, BuildMatch) and args.of_build is not None:
        return await jobs.run(args.of_build, match, context)
    if isinstance(match, ConnectionsMatch):
        if not match.providers:
            return Answer(message=connections_message([]))
        return await build_lists.of_connections(
            match.providers, context, page=args.page, filters=args.filters, target=match.word, public=args.public
        )
    if isinstance(match, PipelineMatch) and args.kind is Kind.BUILDS:
        return await build_lists.of_pipeline(
            match, args.target.ref, context, page=args.page, filters=args.filters, public=args.public
        )
    if isinstance(match, PipelineMatch):
        message = await _branches(args.target.ref, match)
    elif args.kind.value in {source.value for source in Sources}:
        message = await _sources(args, context)
    elif args.kind is Kind.PIPELINES:
        message = await _pipelines(args, context)
    elif args.kind is Kind.CONNECTIONS:
        message = connections_message(await connection_lines(context))
    elif args.kind is Kind.SCHEDULES:
        message = await _schedules(context)
    else:
        message = await _links(args.pattern, context)
    return Answer(message=message, public=args.public)


async def _sources(args: Args, context: Context) -> Message:
    """Return a list of what stands around pipelines, of one connection or of each that has such."""
    kind = Sources(args.kind.value)
    providers = [context.provider(args.connection)] if args.connection else able_providers(context)
    messages = [await sources_message(kind, args.pattern, provider) for provider in providers]
    return Message(
        text="\n".join(message.text for message in messages),
        blocks=tuple(block for message in messages for block in message.blocks),
    )


async def _links(pattern: str, context: Context) -> Message:
    shown = [
        (
            link.connection,
            link.path,
            link.alias or link.name,
            filter_words(link),
            link.is_default,
            link.paused_reason or ("" if link.subscribed else "unsubscribed"),
        )
        for link in await context.store.links.of_channel(context.team, context.channel)
        if not pattern or holds_name(f"{link.alias} {link.name}", pattern)
    ]
    return links_message(shown, channel_name=context.channel_name)


def filter_words(link: LinkRow) -> str:
    """Return what a link's channel is notified about, in words."""
    return (read_filter(link.filters) if link.filters else Filter()).in_words(link.branch or link.default_branch)


async def _schedules(context: Context) -> Message:
    rows = await context.store.schedules.of_channel(context.team, context.channel)
    lines = [
        f"{row.id} · {escape(row.words)} ({escape(row.tz)}) · {code(row.command)} · next {when(row.next_at)}"
        for row in rows
    ]
    lines = lines or ["Nothing is scheduled here."]
    return Message(text="\n".join(lines), blocks=sections(lines))


async def _pipelines(args: Args, context: Context) -> Message:
    """Return the whole catalogue, not only what is linked; listed anew where that is due or asked for."""
    providers = context.providers()
    troubles = await context.services.catalogue.refresh(providers, requested=args.refresh)
    rows = await context.services.catalogue.rows(providers)
    fits = [row for row in rows if _fits(args.pattern, row)]
    if not fits:  # else the words may name a connection or a system
        named = {provider.connection for provider in connections_called(args.pattern.rstrip(":"), context)}
        fits = [row for row in rows if row.connection in named]
    shown = [(row.connection, row.path, row.name, row.enabled, row.web_url) for row in fits]
    return pipelines_message(shown, pattern=args.pattern, troubles=troubles)


def _fits(pattern: str, row: PipelineRow) -> bool:
    glob = pattern if any(sign in pattern for sign in "*?[") else f"*{pattern}*"
    path = f"{row.connection}:{row.path}" if ":" in pattern else row.path
    return any(fits_glob(name, glob) for name in (row.name, path))


async def _branches(ref: Ref | None, pipeline: PipelineMatch) -> Message:
    must_be_able(pipeline, Capability.REFS)
    refs: list[Ref] = []
    async for known in pipeline.provider.refs(pipeline.id, ref.name if ref else None):
        refs.append(known)
        if len(refs) >= MOST_BRANCHES:
            break
    return branches_message(refs, label=pipeline.name)


COMMAND = Command(
    verb="list",
    usage=USAGE,
    summary="Pipelines, builds, branches, links, connections",
    role=Role.VIEW,
    group="Look",
    parse=parse,
    resolve=resolve,
    authorize=anyone,
    run=run,
    aliases=("ls",),
    flags=(
        ("--connection NAME", "products, repositories and the like of this connection only"),
        ("--refresh", "ask the CI systems anew"),
        ("--all", "the builds of all connections"),
        *build_filters.FLAGS,
        ("-n 10", "how many, at most 25"),
        ("--public", "show it to the channel"),
    ),
    examples=(
        "list pipelines web",
        "list builds web@main --state failed,canceled --since 3d",
        "list builds bk --by @ana",
        "list builds --all --state running",
        "list connections",
        "list products",
        "list pulls acme/app",
    ),
)
