"""Builds and lists of things: /build last, /build show, /build list."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from bot.blocks.build import build_card, build_list
from bot.blocks.lists import branches_message, connections_message, links_message, pipelines_message
from bot.blocks.message import Message, sections
from bot.blocks.text import code, escape, when
from bot.core.errors import ProviderError, UsageError
from bot.core.models import Approval, Build
from bot.core.text import fits_glob, holds_name
from bot.notifications.filters import Filter, read_filter
from bot.providers.base.capabilities import Capability
from bot.providers.base.provider import AnyProvider
from commands.core.actions import must_be_able
from commands.core.context import Answer, Command, Request, Role, Services
from commands.core.grammar import ParsedArgs, Target, read
from commands.core.resolve import BuildMatch, build, listed, place, refresh

LAST_USAGE = "last [target] [-n 5]"
SHOW_USAGE = "show [build]"
LIST_USAGE = "list [pipelines|builds|branches|links|connections|schedules] [pattern] [--state WORD]"
WHAT = ("pipelines", "builds", "branches", "links", "connections", "schedules")
PAGE = 25
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

_VERBS: tuple[tuple[str, Capability], ...] = (
    ("cancel", Capability.CANCEL),
    ("rebuild", Capability.REBUILD),
    ("logs", Capability.LOG),
    ("tests", Capability.TESTS),
    ("issues", Capability.ISSUES),
    ("artifacts", Capability.ARTIFACTS),
    ("approve", Capability.DECIDE),
    ("reject", Capability.REJECT),
    ("erase", Capability.ERASE),
)


def verbs_of(provider: AnyProvider, build_: Build | None) -> frozenset[str]:
    """Return the verbs that work on a build, so that no button offers another."""
    verbs = {verb for verb, capability in _VERBS if provider.can(capability)} | {
        "watch",
        "show",
        "mute",
        "stats",
        "settings",
    }
    if provider.can(Capability.RETRY_FAILED):
        verbs.add("retry")
    if provider.can(Capability.START):
        verbs.add("run")
    if build_ is not None and build_.completed:
        verbs.add("changes")
        if build_.conclusion is not None and build_.conclusion.is_red:
            verbs |= {"claim", "why"}
        verbs -= {"cancel", "approve", "reject", "watch"}
    if build_ is not None and not build_.completed:
        verbs -= {"retry", "rebuild", "erase", "tests", "artifacts"}
        if not provider.can(Capability.LIVE_LOG):
            verbs.discard("logs")
    return frozenset(verbs)


@dataclass(frozen=True, slots=True)
class Look:
    """Which builds, or which one."""

    target: Target
    ask: ParsedArgs


@dataclass(frozen=True, slots=True)
class Listing:
    """What to list, narrowed by what."""

    what: str
    pattern: str
    ask: ParsedArgs


def parse_last(words: str) -> Look:
    """Read the words after `last`. Raises UsageError."""
    ask = read(words, values=("n", "state"), switches=("public",))
    ask.number("n", default=5, most=PAGE)
    if len(ask.words) > 1:
        raise UsageError("I list one target's builds at a time.", usage=LAST_USAGE)
    return Look(target=ask.target(), ask=ask)


async def last(ask: Look, request: Request, services: Services) -> Answer:
    """Return the newest builds of a pipeline, or of a branch of it. Costs one listing."""
    return await _builds(ask.target, ask.ask, request, services, limit=ask.ask.number("n", default=5, most=PAGE))


async def _builds(target: Target, ask: ParsedArgs, request: Request, services: Services, *, limit: int) -> Answer:
    where = await place(target, request, services, acting=False, verb="last")
    states = frozenset(word for part in ask.flags.get("state", ()) for word in part.split(","))
    for state in states - set(STATES):
        raise UsageError(f"I know no state `{state}`.", hint=f"States: {', '.join(STATES)}.")
    states = frozenset("in_progress" if state == "running" else state for state in states)
    found = [one async for one in listed(where, target.ref, states=states, limit=limit)]
    title = f"{where.label}{f' on {target.ref}' if target.ref else ''}"
    footer = f"Shown: {where.guessed}." if where.guessed else None
    return Answer(
        message=build_list(
            found,
            title=title,
            labels={(where.connection, where.pipeline): where.label},
            now=request.now,
            footer=footer if found else f"{where.label} has no such builds.",
        ),
        public=ask.has("public"),
    )


def parse_show(words: str) -> Look:
    """Read the words after `show`. Raises UsageError."""
    ask = read(words, switches=("public",))
    if len(ask.words) > 1:
        raise UsageError("I show one build at a time.", usage=SHOW_USAGE)
    return Look(target=ask.target(), ask=ask)


async def show(ask: Look, request: Request, services: Services) -> Answer:
    """Return the full card of one build, for the person only."""
    found = await build(ask.target, request, services, acting=False, verb="show")
    now = await with_counts(found)
    card = build_card(
        now,
        label=found.place.label,
        now=request.now,
        connection_label=found.provider.label,
        actions=verbs_of(found.provider, now),
        attempt_no=found.attempt_no,
        approvals=await open_approvals(found),
        note=f"Shown: {found.place.guessed}." if found.place.guessed else None,
    )
    return Answer(
        message=card, public=ask.ask.has("public"), connection=now.connection, pipeline=now.pipeline, build=now.id
    )


async def with_counts(found: BuildMatch) -> Build:
    """Return a completed build with its issue counts, asked for where the build does not carry them."""
    if not found.build.completed or not found.provider.can(Capability.COUNTS):
        return found.build
    try:
        async with asyncio.timeout(10):
            counts = await found.provider.counts(found.build)
    except (ProviderError, TimeoutError):
        return found.build
    return found.build.with_issues(found.build.issues.filled(counts))


async def open_approvals(found: BuildMatch) -> tuple[Approval, ...]:
    """Return the approvals of a build that waits."""
    if not found.build.waiting or not found.provider.can(Capability.APPROVALS):
        return ()
    return await found.provider.approvals(found.build.pipeline, found.build.id)


def parse_list(words: str) -> Listing:
    """Read the words after `list`. Raises UsageError."""
    ask = read(words, values=("state", "n"), switches=("public", "refresh"))
    what = ask.words[0].lower() if ask.words else "links"
    full = next((known for known in WHAT if known.startswith(what) or what == known.removesuffix("s")), None)
    if full is None:
        raise UsageError(f"I can't list `{what}`.", hint=f"I list {', '.join(WHAT)}.", usage=LIST_USAGE)
    return Listing(what=full, pattern=" ".join(ask.words[1:]), ask=ask)


async def listing(ask: Listing, request: Request, services: Services) -> Answer:
    """Return a list of what was asked for."""
    public = ask.ask.has("public")
    match ask.what:
        case "pipelines":
            return await _pipelines(ask, request, services)
        case "builds":
            return await _builds(
                ask.ask.target(1),
                ask.ask,
                request,
                services,
                limit=ask.ask.number("n", default=10, most=PAGE),
            )
        case "branches":
            return await _branches(ask, request, services)
        case "connections":
            rows = {row.name: row for row in await services.store.connections.all()}
            shown = [
                (
                    provider.connection,
                    provider.label,
                    rows[provider.connection].last_error if provider.connection in rows else "",
                )
                for provider in services.connections.visible(request.team)
            ]
            return Answer(message=connections_message(shown), public=public)
        case "schedules":
            return await _schedules(request, services)
        case _:
            links = await services.store.links.of_channel(request.team, request.channel)
            rows_ = [
                (
                    link.connection,
                    link.pipeline,
                    link.alias or link.name,
                    (read_filter(link.filters) if link.filters else Filter()).in_words(
                        link.branch or link.default_branch
                    ),
                    link.is_default,
                    link.paused_reason or ("" if link.subscribed else "unsubscribed"),
                )
                for link in links
                if not ask.pattern or holds_name(f"{link.alias} {link.name}", ask.pattern)
            ]
            return Answer(message=links_message(rows_, channel_name=request.channel_name), public=public)


async def _schedules(request: Request, services: Services) -> Answer:
    rows = await services.store.schedules.of_channel(request.team, request.channel)
    lines = [
        f"{row.id} · {escape(row.words)} ({escape(row.tz)}) · {code(row.command)} · next {when(row.next_at)}"
        for row in rows
    ]
    lines = lines or ["Nothing is scheduled here."]
    return Answer(message=Message(text="\n".join(lines), blocks=sections(lines)))


async def _pipelines(ask: Listing, request: Request, services: Services) -> Answer:
    providers = list(services.connections.visible(request.team))
    rows = await services.store.pipelines.all(connections=[provider.connection for provider in providers])
    stale = {provider.connection for provider in providers} - {row.connection for row in rows}
    troubles: Mapping[str, str] = {}
    if stale or ask.ask.has("refresh"):
        wanted = [p for p in providers if ask.ask.has("refresh") or p.connection in stale]
        troubles = await refresh(wanted, request, services)
        rows = await services.store.pipelines.all(connections=[provider.connection for provider in providers])
    pattern = ask.pattern
    glob = pattern if any(c in pattern for c in "*?[") else f"*{pattern}*"
    shown = [
        (row.connection, row.path, row.name, row.enabled, row.web_url)
        for row in rows
        if any(
            fits_glob(name, glob) for name in (row.name, f"{row.connection}:{row.path}" if ":" in pattern else row.path)
        )
    ]
    return Answer(
        message=pipelines_message(shown, pattern=ask.pattern, troubles=troubles), public=ask.ask.has("public")
    )


async def _branches(ask: Listing, request: Request, services: Services) -> Answer:
    target = ask.ask.target(1)
    where = await place(Target(pipeline=target.pipeline), request, services, acting=False, verb="list branches")
    must_be_able(where, Capability.REFS)
    names = []
    async for ref in where.provider.refs(where.pipeline, target.ref.name if target.ref else None):
        names.append(ref)
        if len(names) >= 100:
            break
    return Answer(message=branches_message(names, label=where.label), public=ask.ask.has("public"))


LAST = Command(
    verb="last",
    usage=LAST_USAGE,
    summary="The newest builds of a pipeline",
    role=Role.VIEW,
    group="Look",
    parse=parse_last,
    run=last,
    flags=(
        ("-n 5", "how many, at most 25"),
        ("--state failed", "only these states"),
        ("--public", "show it to the channel"),
    ),
    examples=("last", "last web@main -n 10", "last --state failed"),
    inferred="the channel's default pipeline",
)
SHOW = Command(
    verb="show",
    usage=SHOW_USAGE,
    summary="One build's full card",
    role=Role.VIEW,
    group="Look",
    parse=parse_show,
    run=show,
    aliases=("info",),
    flags=(("--public", "show it to the channel"),),
    examples=("show #412", "show web#last", "show <a build's URL>"),
    inferred="the last build",
)
LIST = Command(
    verb="list",
    usage=LIST_USAGE,
    summary="Pipelines, builds, branches, links, connections",
    role=Role.VIEW,
    group="Look",
    parse=parse_list,
    run=listing,
    aliases=("ls",),
    flags=(
        ("--refresh", "ask the CI systems anew"),
        ("--state WORD", "builds in this state"),
        ("--public", "show it to the channel"),
    ),
    examples=("list pipelines web", "list builds web@main", "list connections"),
)
