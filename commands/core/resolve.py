"""Resolve targets to pipelines and builds.

A name is looked for among the channel's links first, then among every pipeline the workspace may see. Acting verbs
never guess; reading verbs guess and say so.

A build's identity is the provider's: whatever words named it, the match holds the pipeline of the build that the
provider returned. A number or id that turns out to be another pipeline's is refused, never relabelled.
"""

import shlex
from collections.abc import Iterable, Sequence
from dataclasses import replace

from bot.blocks.text import code
from bot.core.errors import Ambiguous, BotError, NotFound, NotLinked, ProviderError, UsageError
from bot.core.models import Build, Page, Ref, RefKind, spoken
from bot.core.text import among_names, holds_name
from bot.providers.base.provider import AnyProvider
from bot.providers.base.urls import is_uuid
from bot.store.rows import CardRow, LinkRow, PipelineRow
from commands.core.catalogue import nearest
from commands.core.connection_names import provider_called
from commands.core.context import Context
from commands.core.grammar import Target
from commands.core.listings import is_built_from
from commands.core.matches import BuildMatch, PipelineMatch
from commands.core.numbers import numbered, numbered_in, pick
from commands.core.words import choice_label

MINE, THIS = "mine", "this"
MOST_OWN = 50
MOST_CHOICES = 10
MOST_OTHERS = 3
NO_CARD = "`this` means what the card of a thread shows, and there is no card here."

# pipelines


async def resolve_pipeline(target: Target, context: Context, *, acting: bool, verb: str) -> PipelineMatch:
    """Return the pipeline that a target names, or the default one. Raises Ambiguous, NotLinked, NotFound."""
    if target.url is not None:
        provider, page = _page(target.url, context)
        return await pipeline_at(provider, page.pipeline, context)
    links = await context.store.links.of_channel(context.team, context.channel)
    if target.pipeline is not None:
        return await _named(target, links, context, acting=acting, verb=verb)
    if acting and target.scope == MINE:
        raise UsageError("`mine` names builds that you started, not a pipeline. Which pipeline?")
    card = await card_here(context)
    if card is not None:
        return await pipeline_by_key(card.connection, card.pipeline, context)
    if acting and target.scope == THIS and links:
        raise Ambiguous(f"{NO_CARD} Which pipeline?", choices=_among_links(target, links, verb))
    default = next((link for link in links if link.is_default), links[0] if len(links) == 1 else None)
    if default is not None:
        note = "Using this channel's default pipeline" if default.is_default else "Using the only pipeline linked here"
        return replace(match_of_link(default, context), note=note)
    if not links:
        raise NotLinked(
            f"No pipeline is linked to {context.here} yet.",
            hint=f"Paste a page's URL after `{context.command} link`, or name one: `connection:path`.",
            choices=(("Link one", "link"),),
        )
    raise Ambiguous(
        f"{context.here} follows {len(links)} pipelines. Which one?",
        choices=_among_links(target, links, verb),
        hint=f"Make one the default with `{context.command} link NAME --default`.",
    )


def _among_links(target: Target, links: Iterable[LinkRow], verb: str) -> tuple[tuple[str, str], ...]:
    return tuple(
        (link.alias or link.name, f"{verb} {_same_target(target, link.connection, link.pipeline)}") for link in links
    )


async def pipelines_here(context: Context) -> list[PipelineMatch]:
    """Return the pipelines that the channel follows; links whose connection is gone are left out."""
    visible = context.services.connections.labels(context.team)
    links = await context.store.links.of_channel(context.team, context.channel)
    return [match_of_link(link, context) for link in links if link.connection in visible]


def match_of_link(link: LinkRow, context: Context) -> PipelineMatch:
    """Return the pipeline of a link. Raises NotLinked where its connection is gone."""
    return PipelineMatch(
        provider=context.provider(link.connection),
        id=link.pipeline,
        path=link.path,
        name=link.alias or link.name,
        link=link,
        default_branch=link.default_branch,
    )


async def pipeline_by_key(connection: str, pipeline: str, context: Context) -> PipelineMatch:
    """Return a pipeline by its id: as linked here, else as listed, else as the CI system returns it. Raises NotFound."""
    return await pipeline_at(context.provider(connection), pipeline, context)


async def pipeline_at(provider: AnyProvider, path: str, context: Context) -> PipelineMatch:
    """Return the pipeline of a connection that an id or a path names. Asks the CI system where it is not known yet."""
    links = await context.store.links.of_channel(context.team, context.channel)
    for link in links:
        if link.connection == provider.connection and path in {link.pipeline, link.path}:
            return match_of_link(link, context)
    row = await context.store.pipelines.get(provider.connection, path)
    if row is not None:
        return _match_of_row(row, provider)
    pipeline = await provider.pipeline(path)
    for link in links:
        if (link.connection, link.pipeline) == (provider.connection, pipeline.id):
            return match_of_link(link, context)
    await context.store.pipelines.save(provider.connection, [pipeline], context.now)
    return PipelineMatch(
        provider=provider,
        id=pipeline.id,
        path=pipeline.path,
        name=pipeline.name,
        default_branch=pipeline.default_branch or "",
        web_url=pipeline.web_url or "",
        enabled=pipeline.enabled,
    )


def _match_of_row(row: PipelineRow, provider: AnyProvider) -> PipelineMatch:
    return PipelineMatch(
        provider=provider,
        id=row.pipeline,
        path=row.path,
        name=row.name,
        default_branch=row.default_branch,
        web_url=row.web_url,
        enabled=row.enabled,
    )


async def _named(
    target: Target, links: Sequence[LinkRow], context: Context, *, acting: bool, verb: str
) -> PipelineMatch:
    name = target.pipeline or ""
    connection, colon, path = name.partition(":")
    provider = provider_called(connection, context) if colon else None
    if provider is not None and not path:
        return await _only_one(provider, target, context, acting=acting, verb=verb)
    if provider is not None:
        try:
            return await pipeline_at(provider, path, context)
        except NotFound as exc:
            raise await _nearest(path, [provider], context, exc) from exc
    fits = [link for link in links if _holds(name, link.alias, link.name, link.path)]
    exact = [link for link in fits if among_names(name, (link.alias, link.name, link.path))]
    chosen = exact or fits
    if len(chosen) == 1 or (chosen and not acting):
        match = match_of_link(chosen[0], context)
        return replace(match, note=_guess(match, [(link.connection, link.path) for link in chosen[1:]]))
    if chosen:
        listed = [(link.alias or link.name, link.connection, link.pipeline) for link in chosen]
        raise _several(name, listed, target, verb)
    return await _anywhere(name, target, context, acting=acting, verb=verb)


async def _anywhere(name: str, target: Target, context: Context, *, acting: bool, verb: str) -> PipelineMatch:
    """Look for a name in the catalogue of every connection, listed anew where nothing fits and a listing is due."""
    providers = {provider.connection: provider for provider in context.providers()}
    catalogue = context.services.catalogue
    fits = _among(name, await catalogue.rows(providers.values()))
    if not fits:
        await catalogue.refresh(providers.values())
        fits = _among(name, await catalogue.rows(providers.values()))
    if len(fits) == 1 or (fits and not acting):
        match = _match_of_row(fits[0], providers[fits[0].connection])
        return replace(match, note=_guess(match, [(row.connection, row.path) for row in fits[1:]]))
    if fits:
        raise _several(name, [(row.name, row.connection, row.pipeline) for row in fits], target, verb)
    if (provider := context.services.connections.get(context.team, name)) is not None:
        return await _only_one(provider, target, context, acting=acting, verb=verb)
    raise await _nearest(name, list(providers.values()), context, None)


async def _only_one(
    provider: AnyProvider, target: Target, context: Context, *, acting: bool, verb: str
) -> PipelineMatch:
    """Return the pipeline of a connection that was named alone. Raises Ambiguous where it has several."""
    catalogue = context.services.catalogue
    if not await catalogue.rows([provider]):
        await catalogue.refresh([provider])
    rows = [row for row in await catalogue.rows([provider]) if row.enabled]
    if len(rows) == 1 or (rows and not acting):
        match = _match_of_row(rows[0], provider)
        return replace(match, note=_guess(match, [(row.connection, row.path) for row in rows[1:]]))
    if rows:
        raise _several(provider.connection, [(row.name, row.connection, row.pipeline) for row in rows], target, verb)
    raise NotFound(f"{provider.label} (`{provider.connection}`) lists no pipeline.", provider=provider.label)


def _guess(match: PipelineMatch, others: Sequence[tuple[str, str]]) -> str:
    """Return which pipeline is shown, and which others fit: connection and path of each."""
    if not others:
        return ""
    named = [code(f"{connection}:{path}") for connection, path in others[:MOST_OTHERS]]
    left = len(others) - len(named)
    also = ", ".join([*named, *([f"{left} more"] if left else [])])
    return (
        f"Showing {code(f'{match.connection}:{match.path}')}; {also} {'match' if len(others) > 1 else 'matches'}, too"
    )


def _among(name: str, rows: Iterable[PipelineRow]) -> list[PipelineRow]:
    fits = [row for row in rows if _holds(name, row.name, row.path)]
    exact = [row for row in fits if among_names(name, (row.path, row.name))]
    return exact or fits


def _holds(part: str, *names: str) -> bool:
    return any(holds_name(name, part) for name in names)


def _several(name: str, fits: Sequence[tuple[str, str, str]], target: Target, verb: str) -> Ambiguous:
    return Ambiguous(
        f"`{name}` fits {len(fits)} pipelines. Pick one:",
        choices=tuple(
            (f"{label} ({connection})", f"{verb} {_same_target(target, connection, pipeline)}")
            for label, connection, pipeline in fits[:20]
        ),
    )


def _same_target(target: Target, connection: str, pipeline: str) -> str:
    """Return the words of a target with its pipeline replaced, and what was typed beside it."""
    build = target.build or ""
    words = spoken(connection, pipeline, ref=target.ref, number=int(build) if build.isdigit() else None)
    named = words if not build or build.isdigit() else f"{words} --build {shlex.quote(build)}"
    return f"{named} {target.rest}".strip()


async def _nearest(name: str, providers: Sequence[AnyProvider], context: Context, cause: NotFound | None) -> BotError:
    """Return the error for an unknown name, with the nearest names of the stored catalogue."""
    if not context.providers():
        return NotLinked(
            "No CI system is connected to this workspace yet.",
            hint=f"An admin can add one to buildbell.toml or with `{context.command} connect`.",
        )
    rows = nearest(name, await context.services.catalogue.rows(providers))
    near = [f"{row.connection}:{row.path}" for row in rows]
    hint = f"Closest: {', '.join(f'`{match}`' for match in near)}." if near else None
    choices = (("Refresh the list", "list pipelines --refresh"),)
    message = f"No pipeline called `{name}`."
    if cause is not None:
        return NotFound(message, provider=cause.provider, status=cause.status, hint=hint, choices=choices)
    return NotLinked(message, hint=hint or f"`{context.command} list pipelines` shows what there is.", choices=choices)


def _page(url: str, context: Context) -> tuple[AnyProvider, Page]:
    """Return what a pasted address shows, and at which connection. Raises NotLinked where it is nobody's page."""
    for provider in context.providers():
        page = provider.parse_url(url)
        if page is not None:
            return provider, page
    raise NotLinked(
        "That address belongs to none of the connected CI systems.",
        hint=f"`{context.command} list connections` shows which are connected.",
    )


# builds


async def resolve_build(
    target: Target, context: Context, *, acting: bool, verb: str, default: str = "last"
) -> BuildMatch:
    """Return the build that a target names, or the `default` one, as the CI system has it now.

    `default` is a build word: `last`, `running`, `failed`; the last one that an act means is of the branch followed here.
    Raises Ambiguous, NotLinked, NotFound; UsageError where the build belongs to another pipeline than the one named.
    """
    named = await resolve_named_build(target, context, acting=acting, verb=verb)
    if named is not None:
        return named
    try:
        pipeline = await resolve_pipeline(target, context, acting=acting, verb=verb)
    except (NotFound, NotLinked):
        build = await _build_of_uuid(target, context)
        if build is None:
            raise
        return await match_of_build(build, context, verb=verb)
    ref = target.ref
    if acting and ref is None and target.build is None and default == "last" and pipeline.branch:
        ref = Ref(kind=RefKind.BRANCH, name=pipeline.branch)
    word = target.build or default
    return await match_of_build(await pick(pipeline, ref, word), context, within=pipeline, verb=verb)


async def resolve_named_build(target: Target, context: Context, *, acting: bool, verb: str) -> BuildMatch | None:
    """Return the build that a target names exactly (a page, an id, a number, a label, the thread's card, `mine`), else None.

    Raises Ambiguous where an act means `this` and there is no card, or `mine` and the person started several.
    """
    if target.url is not None:
        provider, page = _page(target.url, context)
        build = await _build_of_page(provider, page, context)
        if build is None:
            return None
        return replace(await match_of_build(build, context, verb=verb), job=page.job or "")
    if target.scope == MINE and not target.names_build:
        return await _own_build(target, context, acting=acting, verb=verb)
    if target.pipeline is None and not target.names_build and target.ref is None:
        card = await card_here(context)
        if card is None:
            if acting and target.scope == THIS:
                raise await _which_build(target, context, verb)
            return None
        return await match_of_build(
            await context.provider(card.connection).build(card.pipeline, card.build), context, verb=verb
        )
    if target.id is None and (target.build is None or is_build_word(target.build)):
        return None
    if (
        target.pipeline is None
        and target.id is None
        and (match := await _bare_number(target, context, acting=acting, verb=verb))
    ):
        return match
    pipeline = await resolve_pipeline(replace(target, ref=None), context, acting=acting, verb=verb)
    if target.id is not None:
        build = await pipeline.provider.build(pipeline.id, target.id)
    else:
        build = await numbered(pipeline, target.build or "", context)
    return await match_of_build(build, context, within=pipeline, verb=verb, named=target.build or target.id or "")


async def _bare_number(target: Target, context: Context, *, acting: bool, verb: str) -> BuildMatch | None:
    """Return the build that a bare number names in a channel of several pipelines; None where the default decides.

    Where two pipelines have such a build, an act asks which one is meant. A question about one takes the default pipeline's.
    """
    pipelines = await pipelines_here(context)
    if len(pipelines) <= 1 or await card_here(context) is not None:
        return None
    number = target.build or ""
    pairs = await numbered_in(pipelines[:MOST_CHOICES], number, context)
    is_asked = acting or not any(pipeline.link is not None and pipeline.link.is_default for pipeline, _build in pairs)
    if not pairs or (len(pairs) > 1 and not is_asked):
        return None
    matches = [
        await match_of_build(build, context, within=pipeline, verb=verb, named=number) for pipeline, build in pairs
    ]
    if len(matches) == 1:
        note = f"Using the only pipeline here that has a build #{number}"
        return replace(matches[0], pipeline=replace(matches[0].pipeline, note=note))
    raise Ambiguous(
        f"{len(matches)} pipelines here have a build #{number}. Which one?",
        choices=_choices(matches, target, context, verb),
        hint=f"Name it: `{context.command} {verb} NAME#{number}`.",
    )


async def _which_build(target: Target, context: Context, verb: str) -> BotError:
    """Return the question which build `this` means where no card stands: the newest that fits of each pipeline here."""
    pipelines = await pipelines_here(context)
    if not pipelines:
        await resolve_pipeline(replace(target, scope=None), context, acting=True, verb=verb)  # says what to do
    matches = []
    for pipeline in pipelines[:MOST_CHOICES]:
        builds = await context.store.builds.of_pipeline(pipeline.connection, pipeline.id, limit=MOST_CHOICES)
        newest = next((build for build in builds if _suits(build, verb)), None)
        if newest is not None:
            matches.append(await match_of_build(newest, context, within=pipeline, verb=verb))
    return Ambiguous(
        f"{NO_CARD} Which build?",
        choices=_choices(matches, target, context, verb),
        hint=f"Name it: `{context.command} {verb} NAME#NUMBER`.",
    )


async def _own_build(target: Target, context: Context, *, acting: bool, verb: str) -> BuildMatch:
    """Return the build that the person started; of several that an act suits they are asked which.

    Of each branch only the newest counts: an act never reaches behind a newer build. Raises NotFound for none.
    """
    within = await _named_pipeline(target, context, acting=acting, verb=verb)
    newest: dict[object, Build] = {}
    for build in await context.store.builds.started_by(context.team, context.user, MOST_OWN):
        is_within = within is None or (build.connection, build.pipeline) == (within.connection, within.id)
        is_visible = context.services.connections.get(context.team, build.connection) is not None
        if is_visible and is_within and (target.ref is None or is_built_from(build, target.ref)):
            newest.setdefault((build.connection, build.pipeline, build.history_ref), build)
    own = [build for build in newest.values() if not acting or _suits(build, verb)]
    if not own:
        raise NotFound(f"None of the builds that you started suits `{verb}`.", provider="")
    if acting and len(own) > 1:
        matches = [await match_of_build(build, context, verb=verb) for build in own[:MOST_CHOICES]]
        raise Ambiguous(
            f"You started {len(own)} builds that suit. Which one?", choices=_choices(matches, target, context, verb)
        )
    build = await context.provider(own[0].connection).build(own[0].pipeline, own[0].id)
    return await match_of_build(build, context, verb=verb)


async def _named_pipeline(target: Target, context: Context, *, acting: bool, verb: str) -> PipelineMatch | None:
    if target.pipeline is None:
        return None
    return await resolve_pipeline(replace(target, scope=None, ref=None), context, acting=acting, verb=verb)


def _choices(matches: Iterable[BuildMatch], target: Target, context: Context, verb: str) -> tuple[tuple[str, str], ...]:
    return tuple((choice_label(match, context), f"{verb} {match.spoken} {target.rest}".strip()) for match in matches)


def _suits(build: Build, verb: str) -> bool:
    """Return whether an act can mean a build, as far as its state says."""
    match verb:
        case "cancel":
            return not build.completed
        case "approve" | "reject":
            return build.waiting and not build.completed
        case "retry":
            return build.completed and (build.conclusion is None or build.conclusion.is_red)
        case "rebuild" | "erase":
            return build.completed
        case _:
            return True


def is_build_word(text: str) -> bool:
    """Return whether a build is named by its place (`last`, `failed`, `-1`), not by a number or a label."""
    return text in {"last", "running", "failed", "green"} or text.startswith("-")


async def match_of_build(
    build: Build, context: Context, *, within: PipelineMatch | None = None, verb: str = "show", named: str = ""
) -> BuildMatch:
    """Return a build with its own pipeline. Raises UsageError if that is not the pipeline that was named."""
    if within is not None and (within.connection, within.id) == (build.connection, build.pipeline):
        own = within
    else:
        own = await pipeline_by_key(build.connection, build.pipeline, context)
    if within is not None and own.key != within.key:
        match = BuildMatch(pipeline=own, build=build)
        label = f"#{named}" if named and named != build.id else match.number
        raise UsageError(
            f"{label} is a build of {own.name}, not of {within.name}.",
            choices=((f"Use {match.name}", f"{verb} {match.spoken}"),),
        )
    stored = await context.store.builds.get(build.key)
    if stored is None:
        return BuildMatch(pipeline=own, build=build, attempt_no=build.attempt or 1)
    row = stored[1]
    return BuildMatch(pipeline=own, build=build, attempt_no=row.attempt_no, waiting_since=row.waiting_since)


async def _build_of_uuid(target: Target, context: Context) -> Build | None:
    """Return the build whose UUID stands where a pipeline's name does, None where there is none.

    Costs what the `build_anywhere` of the connections costs: of the one named before a colon, else of all.
    """
    name = target.pipeline or ""
    connection, _, uuid = name.rpartition(":")
    if target.names_build or target.ref is not None or not is_uuid(uuid):
        return None
    named = provider_called(connection, context) if connection else None
    for provider in [named] if named is not None else context.providers():
        try:
            return await provider.build_anywhere(uuid)
        except ProviderError:
            continue
    return None


async def _build_of_page(provider: AnyProvider, page: Page, context: Context) -> Build | None:
    """Return the build that a page is about, None for a pipeline's page. A job's page is about the job's own build."""
    if page.build is not None:
        return await provider.build((await pipeline_at(provider, page.pipeline, context)).id, page.build)
    pipeline = await pipeline_at(provider, page.pipeline, context)
    if page.number is not None:
        return await numbered(pipeline, str(page.number), context)
    if page.job is not None:
        return await provider.build_of_job(pipeline.id, page.job)
    return None


async def card_here(context: Context) -> CardRow | None:
    """Return the card of the thread, or of the message whose button was pressed."""
    for ts in (context.thread, context.message):
        if ts:
            card = await context.store.cards.at(context.team, context.channel, ts)
            if card is not None and card.connection:  # the card of a commit is about several builds
                return card
    return None
