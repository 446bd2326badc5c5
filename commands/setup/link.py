"""A channel follows a pipeline: /build link <URL|pattern> [as ALIAS], /build unlink [target]."""

import asyncio
from dataclasses import dataclass

from bot.blocks.link import link_confirmation
from bot.blocks.text import escape
from bot.core.errors import ProviderError, UsageError
from bot.core.models import BuildFilter, Pipeline
from bot.core.text import holds_name
from bot.notifications.filters import Filter
from bot.store.tables import LinkRow
from commands.core import actions as acting
from commands.core.context import Answer, Command, Request, Role, Services
from commands.core.forms import can_open, opening
from commands.core.grammar import ParsedArgs, Target, read
from commands.core.permissions import require
from commands.core.resolve import PipelineMatch, place
from commands.follow.replay import posted, replayed

LINK_USAGE = "link <URL|pipeline> [as ALIAS] [--default] [--branch BRANCH] [--protected GLOBS]"
UNLINK_USAGE = "unlink [pipeline]"
SEED_BUILDS = 30
SEED_SECONDS = 20


@dataclass(frozen=True, slots=True)
class Link:
    """Which pipeline, under which name."""

    target: Target
    alias: str
    ask: ParsedArgs


def parse_link(words: str) -> Link:
    """Read the words after `link`. Raises UsageError."""
    ask = read(words, values=("branch", "protected"), switches=("default", "yes"))
    target = ask.target()
    alias = ""
    if len(ask.words) >= 2:
        if ask.words[1].lower() != "as" or len(ask.words) != 3:
            raise UsageError(f"I don't know what `{ask.words[1]}` should be.", usage=LINK_USAGE)
        alias = ask.words[2]
        check_alias(alias)
    return Link(target=target, alias=alias, ask=ask)


def check_alias(alias: str) -> None:
    """Raise UsageError unless a link may have this alias."""
    if any(char in alias for char in "@#:\"' ") or len(alias) > 60:
        raise UsageError("An alias has no spaces, quotes, `@`, `#` or `:` in it, and at most 60 characters.")


async def link(ask: Link, request: Request, services: Services) -> Answer:
    """Link, remember what has been built so far, and offer to narrow what is heard."""
    if ask.target.empty and can_open(request):
        return Answer(form=opening("link", request))
    if ask.target.empty:
        raise UsageError("Which pipeline? Paste any of its pages' URLs, or type a part of its name.", usage=LINK_USAGE)
    await require(Role.RUN, "Linking pipelines", request, services)
    where = await place(ask.target, request, services, acting=True, verb="link")
    found = await where.provider.pipeline(where.pipeline)
    await services.store.pipelines.save(where.connection, [found], request.now)
    protected = ask.ask.flag("protected")
    if protected is not None:
        await require(Role.ADMIN, "Protecting refs", request, services, where)
    links = await services.store.links.of_channel(request.team, request.channel)
    before = next((row for row in links if (row.connection, row.pipeline) == (where.connection, found.id)), None)
    if protected is None:
        protected = before.protected if before else ""
    row = await services.store.links.save(
        LinkRow(
            team=request.team,
            channel=request.channel,
            connection=where.connection,
            pipeline=found.id,
            path=found.path,
            name=full_name(found),
            alias=ask.alias or (before.alias if before else ""),
            is_default=ask.ask.has("default") or (before.is_default if before else not links),
            default_branch=found.default_branch or "",
            branch=ask.ask.flag("branch")
            or (ask.target.ref.name if ask.target.ref else before.branch if before else ""),
            filters=before.filters if before else "",
            protected=protected,
            created_by=before.created_by if before else request.user,
            created_at=before.created_at if before else request.now,
        )
    )
    trouble = await seed(where, found, services, request)
    await services.store.polling.ensure(where.connection, where.provider.poll_target(found.id), now=request.now)
    services.wake_poller()
    pasts = await replayed(row, request, services)
    would = {preset: len(posted(pasts, row, Filter(preset=preset))) for preset in ("all", "edges", "failures")}
    name = row.alias or row.name
    message = link_confirmation(
        name=name,
        pipeline=full_name(found),
        connection_label=where.provider.label,
        user=request.user,
        branch=row.branch or row.default_branch,
        is_default=row.is_default,
        target=where.spoken() if not row.alias else row.alias,
        would=would,
        enabled=found.enabled,
        trouble=trouble,
        again=before is not None,
        command=services.command,
    )
    return Answer(message=message, public=before is None, connection=where.connection, pipeline=found.id)


def full_name(pipeline: Pipeline) -> str:
    """Return a pipeline's name with what it stands in: `Aurora iOS / Nightly`."""
    if pipeline.group and not holds_name(pipeline.name, pipeline.group):
        return f"{pipeline.group} / {pipeline.name}"
    return pipeline.name


async def seed(where: PipelineMatch, found: Pipeline, services: Services, request: Request) -> str:
    """Store the newest builds without announcing them: the baseline of the next one. Costs one listing."""
    try:
        async with asyncio.timeout(SEED_SECONDS):
            builds = [one async for one in where.provider.builds(found.id, BuildFilter(limit=SEED_BUILDS))]
    except ProviderError as exc:
        return str(exc)
    except TimeoutError:
        return f"{where.provider.label} has not answered for {SEED_SECONDS} s; I will keep asking."
    await services.store.recording.record(builds, lambda _batch: (), now=request.now, counts_after=None)
    return ""


def parse_unlink(words: str) -> Link:
    """Read the words after `unlink`. Raises UsageError."""
    ask = read(words, switches=("yes",))
    return Link(target=ask.target(), alias="", ask=ask)


async def unlink(ask: Link, request: Request, services: Services) -> Answer:
    """Stop following; the pipeline itself is not touched."""
    await require(Role.RUN, "Unlinking pipelines", request, services)
    where = await place(ask.target, request, services, acting=True, verb="unlink")
    if where.link is None or where.link.id is None:
        raise UsageError(f"{where.label} is not linked to this channel.")
    if where.link.protected:
        await require(Role.ADMIN, "Unlinking a pipeline with protected refs", request, services, where)
    await services.store.links.delete(where.link.id)
    return acting.public_line(f"{acting.who(request)} unlinked {escape(where.label)} from this channel", place=where)


LINK = Command(
    verb="link",
    usage=LINK_USAGE,
    summary="Follow a pipeline in this channel",
    role=Role.RUN,
    group="Set up",
    parse=parse_link,
    run=link,
    flags=(
        ("--default", "what is meant here when no pipeline is named"),
        ("--branch BRANCH", "pin another branch than the default one"),
        ("--protected GLOBS", "refs that need a grant to build, such as main,release/*"),
    ),
    examples=("link https://gitlab.com/acme/api/-/pipelines/7", "link bk:web as web --default", "link nightly"),
)
UNLINK = Command(
    verb="unlink",
    usage=UNLINK_USAGE,
    summary="Stop following a pipeline",
    role=Role.RUN,
    group="Set up",
    parse=parse_unlink,
    run=unlink,
    examples=("unlink web",),
)
