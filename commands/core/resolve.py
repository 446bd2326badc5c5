"""Words -> connection, pipeline, build: what a target means in a channel.

A name is looked for among the channel's links first, then among every pipeline the workspace may see. Acting verbs
never guess; reading verbs guess and say so.
"""

import asyncio
import shlex
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from difflib import get_close_matches

from bot.core.errors import Ambiguous, BotError, NotFound, NotLinked, ProviderError
from bot.core.models import Build, BuildFilter, BuildKey, Page, Ref, RefKind, spoken
from bot.core.text import among_names, holds_name
from bot.providers.base.capabilities import Capability
from bot.providers.base.provider import AnyProvider
from bot.store.tables import CardRow, LinkRow, PipelineRow
from commands.core.context import Request, Services
from commands.core.grammar import Target

REFRESH_AFTER = timedelta(minutes=10)
LISTING_SECONDS = 20
MOST_PIPELINES = 5000
RECENT = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineMatch:
    """A pipeline as this channel knows it. `guessed` says what was inferred, for the answer's last line."""

    provider: AnyProvider
    pipeline: str
    path: str
    name: str
    link: LinkRow | None = None
    default_branch: str = ""
    web_url: str = ""
    enabled: bool = True
    guessed: str = ""

    @property
    def connection(self) -> str:
        """Return the connection's name."""
        return self.provider.connection

    @property
    def label(self) -> str:
        """Return the pipeline's readable name."""
        return self.name

    @property
    def branch(self) -> str:
        """Return the branch that is meant where none is named: the link's pinned one, else the default branch."""
        return (self.link.branch if self.link else "") or self.default_branch

    def key(self, build: str) -> BuildKey:
        """Return the key of one of its builds."""
        return BuildKey(connection=self.connection, pipeline=self.pipeline, id=build)

    def spoken(self, *, ref: Ref | None = None, number: int | None = None) -> str:
        """Return the target that names it wherever it is typed."""
        return spoken(self.connection, self.pipeline, ref=ref, number=number)


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildMatch:
    """A build and the pipeline it belongs to. `job` is the one whose page was pasted."""

    place: PipelineMatch
    build: Build
    attempt_no: int = 1
    job: str = ""

    @property
    def provider(self) -> AnyProvider:
        """Return the build's connection."""
        return self.place.provider

    @property
    def number(self) -> str:
        """Return the build's number as people write it, or its id where it has none."""
        return f"#{self.build.number}" if self.build.number is not None else self.build.id

    @property
    def name(self) -> str:
        """Return the pipeline's readable name with the build's number."""
        return f"{self.place.label} #{self.build.number}" if self.build.number is not None else self.place.label

    @property
    def spoken(self) -> str:
        """Return the target that names this build wherever it is typed."""
        words = self.place.spoken(number=self.build.number)
        return words if self.build.number is not None else f"{words} --id {shlex.quote(self.build.id)}"


async def place(target: Target, request: Request, services: Services, *, acting: bool, verb: str) -> PipelineMatch:
    """Return the pipeline a target names, or the one that is meant. Raises Ambiguous, NotLinked, NotFound."""
    if target.url is not None:
        return (await _from_url(target.url, request, services))[0]
    links = list(await services.store.links.of_channel(request.team, request.channel))
    if target.pipeline is not None:
        return await _named(target, links, request, services, acting=acting, verb=verb)
    card = await _card(request, services)
    if card is not None:
        return await _of_key(card.connection, card.pipeline, links, request, services)
    default = [link for link in links if link.is_default] or (links if len(links) == 1 else [])
    if default:
        how = "the channel's default" if default[0].is_default else "the only pipeline linked here"
        return replace(of_link(default[0], request, services), guessed=how)
    if not links:
        raise NotLinked(
            f"No pipeline is linked to {_here(request)} yet.",
            hint=f"Paste a page's URL after `{services.command} link`, or name one: `connection:path`.",
        )
    raise Ambiguous(
        f"{_here(request)} follows {len(links)} pipelines. Which one?",
        choices=tuple(
            (link.alias or link.name, f"{verb} {_rest(target, link.connection, link.pipeline)}") for link in links
        ),
        hint=f"Make one the default with `{services.command} link NAME --default`.",
    )


async def build(
    target: Target, request: Request, services: Services, *, acting: bool, verb: str, default: str = "last"
) -> BuildMatch:
    """Return the build a target names, or the one that is meant, as the CI system has it now."""
    if target.url is not None:
        where, page = await _from_url(target.url, request, services)
        if page.build is None and page.number is None:
            return await _with_attempt(where, await _pick(where, target, default, request, services), services)
        number = page.number if page.build is None else None
        if page.build is not None:
            found = await where.provider.build(where.pipeline, page.build)
        else:
            found = await _numbered(where, number or 0, services)
        return replace(await _with_attempt(where, found, services), job=page.job or "")
    names_nothing = target.build is None and target.id is None and target.ref is None
    if target.pipeline is None and names_nothing and (card := await _card(request, services)) is not None:
        links = list(await services.store.links.of_channel(request.team, request.channel))
        where = await _of_key(card.connection, card.pipeline, links, request, services)
        return await _with_attempt(where, await where.provider.build(card.pipeline, card.build), services)
    where = await place(target, request, services, acting=acting, verb=verb)
    if target.id is not None:
        return await _with_attempt(where, await where.provider.build(where.pipeline, target.id), services)
    return await _with_attempt(where, await _pick(where, target, default, request, services), services)


async def _with_attempt(where: PipelineMatch, found: Build, services: Services) -> BuildMatch:
    stored = await services.store.builds.get(found.key)
    return BuildMatch(place=where, build=found, attempt_no=stored[1].attempt_no if stored else found.attempt or 1)


async def _pick(where: PipelineMatch, target: Target, default: str, request: Request, services: Services) -> Build:
    word = target.build or default
    if word.isdigit():
        return await _numbered(where, int(word), services)
    seen = 0
    skip = int(word) * -1 if word.startswith("-") else 0
    running: Build | None = None
    running_of_mine = await _mine_running(where, target.ref, request, services) if word == "own-running" else None
    if running_of_mine is not None:
        return running_of_mine
    async for candidate in listed(where, target.ref):
        match word:
            case "waiting":
                fits = candidate.waiting
                running = running or (None if candidate.completed else candidate)
            case "running" | "own-running":
                fits = not candidate.completed
            case "failed":
                fits = candidate.conclusion is not None and candidate.conclusion.is_red
            case "green":
                fits = candidate.conclusion == "passed"
            case _:
                fits = seen >= skip
        seen += 1
        if fits:
            return candidate
    if running is not None:
        return running
    raise NotFound(_none_fits(where, word, target.ref), provider=where.provider.label)


async def _mine_running(where: PipelineMatch, ref: Ref | None, request: Request, services: Services) -> Build | None:
    for mine in await services.store.builds.started_by(request.team, request.user, 20):
        if (mine.connection, mine.pipeline) == (where.connection, where.pipeline) and not mine.completed:
            now = await where.provider.build_or_none(mine.key)
            if now is not None and ref is not None and not _built(now, ref):
                continue
            if now is not None and not now.completed:
                return now
    return None


def _none_fits(where: PipelineMatch, word: str, ref: Ref | None) -> str:
    on = f" on {ref}" if ref else ""
    match word:
        case "waiting":
            return f"Nothing waits for approval in {where.label}{on}."
        case "running" | "own-running":
            return f"Nothing is running in {where.label}{on}."
        case "failed":
            return f"None of the latest builds of {where.label}{on} failed."
        case "green":
            return f"None of the latest builds of {where.label}{on} passed."
        case _:
            return f"{where.label} has no builds{on} yet."


async def listed(
    where: PipelineMatch, ref: Ref | None = None, *, states: frozenset[str] = frozenset(), limit: int = RECENT
) -> AsyncIterator[Build]:
    """Yield a pipeline's builds of a ref, newest first. Costs one listing.

    CI systems list by branch or by commit; builds of a tag or a pull request are looked for among the newest.
    """
    branch = ref.name if ref is not None and ref.kind is RefKind.BRANCH else None
    commit = ref.name if ref is not None and ref.kind is RefKind.COMMIT else None
    sought = ref is not None and ref.kind in {RefKind.TAG, RefKind.PULL_REQUEST}
    wanted = BuildFilter(branch=branch, commit=commit, states=states, limit=max(limit, RECENT) if sought else limit)
    yielded = 0
    async for one in where.provider.builds(where.pipeline, wanted):
        if ref is not None and sought and not _built(one, ref):
            continue
        yield one
        yielded += 1
        if yielded == limit:
            return


async def build_before(found: BuildMatch) -> Build | None:
    """Return the finished build with a result before this one on the same branch. Costs one listing."""
    reached = False
    branch = found.build.branch
    async for one in found.provider.builds(found.build.pipeline, BuildFilter(branch=branch, limit=RECENT)):
        if one.id == found.build.id:
            reached = True
        elif reached and one.completed and one.conclusion not in {"cancelled", "skipped", "retried"}:
            return one
    return None


def _built(build: Build, ref: Ref) -> bool:
    match ref.kind:
        case RefKind.COMMIT:
            return (build.commit or "").startswith(ref.name)
        case RefKind.TAG:
            return ref.name in {build.tag, build.branch}
        case RefKind.PULL_REQUEST:
            return build.pull_request == ref.name
        case RefKind.BRANCH:
            return build.branch == ref.name


async def _numbered(where: PipelineMatch, number: int, services: Services) -> Build:
    known = await services.store.builds.by_number(where.connection, where.pipeline, number)
    if known is not None:
        return await where.provider.build(where.pipeline, known.id)
    return await where.provider.build_by_number(where.pipeline, number)


async def _card(request: Request, services: Services) -> CardRow | None:
    for ts in (request.thread, request.message):
        if ts and (card := await services.store.cards.at(request.team, request.channel, ts)) is not None:
            return card
    return None


async def _of_key(
    connection: str, pipeline: str, links: Sequence[LinkRow], request: Request, services: Services
) -> PipelineMatch:
    for link in links:
        if (link.connection, link.pipeline) == (connection, pipeline):
            return of_link(link, request, services)
    provider = services.provider(request.team, connection)
    row = await services.store.pipelines.get(connection, pipeline)
    return _of_row(row, provider) if row is not None else await _asked(provider, pipeline, services, request)


def _of_row(row: PipelineRow, provider: AnyProvider) -> PipelineMatch:
    return PipelineMatch(
        provider=provider,
        pipeline=row.pipeline,
        path=row.path,
        name=row.name,
        default_branch=row.default_branch,
        web_url=row.web_url,
        enabled=row.enabled,
    )


async def _asked(provider: AnyProvider, path: str, services: Services, request: Request) -> PipelineMatch:
    found = await provider.pipeline(path)
    await services.store.pipelines.save(provider.connection, [found], request.now)
    return PipelineMatch(
        provider=provider,
        pipeline=found.id,
        path=found.path,
        name=found.name,
        default_branch=found.default_branch or "",
        web_url=found.web_url or "",
        enabled=found.enabled,
    )


async def _named(
    target: Target, links: Sequence[LinkRow], request: Request, services: Services, *, acting: bool, verb: str
) -> PipelineMatch:
    name = target.pipeline or ""
    connection, colon, path = name.partition(":")
    provider = _connection(connection, request, services) if colon else None
    if provider is not None and path:
        for link in links:
            if link.connection == provider.connection and path in {link.pipeline, link.path}:
                return of_link(link, request, services)
        row = await services.store.pipelines.get(provider.connection, path)
        if row is not None:
            return _of_row(row, provider)
        try:
            return await _asked(provider, path, services, request)
        except NotFound as exc:
            raise await _nearest(path, [provider], request, services, exc) from exc
    fits = [link for link in links if _fits(name, link.alias, link.name, link.path)]
    exact = [link for link in fits if among_names(name, (link.alias, link.path, link.name))]
    chosen = exact or fits
    if len(chosen) == 1 or (chosen and not acting):
        guess = f"`{name}` also fits {len(chosen) - 1} more" if len(chosen) > 1 else ""
        return replace(of_link(chosen[0], request, services), guessed=guess)
    if chosen:
        raise _several(
            name, [(link.alias or link.name, link.connection, link.pipeline) for link in chosen], target, verb
        )
    return await _anywhere(name, target, request, services, acting=acting, verb=verb)


async def _anywhere(
    name: str, target: Target, request: Request, services: Services, *, acting: bool, verb: str
) -> PipelineMatch:
    providers = {provider.connection: provider for provider in services.connections.visible(request.team)}
    rows = await services.store.pipelines.all(connections=list(providers))
    fits = _among(name, rows)
    if not fits:
        await refresh(list(providers.values()), request, services)
        rows = await services.store.pipelines.all(connections=list(providers))
        fits = _among(name, rows)
    if len(fits) == 1 or (fits and not acting):
        guess = f"`{name}` also fits {len(fits) - 1} more" if len(fits) > 1 else ""
        return replace(_of_row(fits[0], providers[fits[0].connection]), guessed=guess)
    if fits:
        raise _several(name, [(row.name, row.connection, row.pipeline) for row in fits], target, verb)
    raise await _nearest(name, list(providers.values()), request, services, None)


def _among(name: str, rows: Sequence[PipelineRow]) -> list[PipelineRow]:
    fits = [row for row in rows if _fits(name, "", row.name, row.path)]
    exact = [row for row in fits if among_names(name, (row.path, row.name))]
    return exact or fits


def _fits(name: str, *texts: str) -> bool:
    return any(holds_name(text, name) for text in texts)


def _several(name: str, fits: Sequence[tuple[str, str, str]], target: Target, verb: str) -> Ambiguous:
    shown = fits[:20]
    return Ambiguous(
        f"`{name}` fits {len(fits)} pipelines. Pick one:",
        choices=tuple(
            (f"{label} ({connection})", f"{verb} {_rest(target, connection, pipeline)}")
            for label, connection, pipeline in shown
        ),
    )


def _rest(target: Target, connection: str, pipeline: str) -> str:
    build = target.build or ""
    words = spoken(connection, pipeline, ref=target.ref, number=int(build) if build.isdigit() else None)
    return words if not build or build.isdigit() else f"{words} --build {build}"


async def _nearest(
    name: str, providers: Sequence[AnyProvider], request: Request, services: Services, cause: NotFound | None
) -> BotError:
    rows = await services.store.pipelines.all(connections=[provider.connection for provider in providers])
    names = {row.path: f"{row.connection}:{row.path}" for row in rows} | {
        row.name: f"{row.connection}:{row.path}" for row in rows
    }
    near = list(dict.fromkeys(names[match] for match in get_close_matches(name, names, n=3, cutoff=0.4)))
    hint = f"Closest: {', '.join(f'`{match}`' for match in near)}." if near else None
    said = f"I know no pipeline `{name}`."
    if not services.connections.visible(request.team):
        return NotLinked(
            "No CI system is connected to this workspace yet.",
            hint=f"An admin can add one to buildbell.toml or with `{services.command} connect`.",
        )
    if cause is not None:
        return NotFound(said, provider=cause.provider, status=cause.status, hint=hint)
    return NotLinked(said, hint=hint or f"`{services.command} list pipelines` shows what there is.")


def _connection(word: str, request: Request, services: Services) -> AnyProvider | None:
    exact = services.connections.get(request.team, word)
    if exact is not None:
        return exact
    visible = services.connections.visible(request.team)
    short = {"gh": "github_actions", "gl": "gitlab", "bk": "buildkite", "xc": "xcode_cloud", "az": "azure_devops"}
    of_kind = [provider for provider in visible if provider.kind in {word.lower(), short.get(word.lower())}]
    begins = [provider for provider in visible if provider.connection.lower().startswith(word.lower())]
    for fits in (of_kind, begins):
        if len(fits) == 1:
            return fits[0]
    return None


async def refresh(providers: Sequence[AnyProvider], request: Request, services: Services) -> Mapping[str, str]:
    """List the pipelines of these connections anew and return what went wrong, by connection."""

    async def one(provider: AnyProvider) -> str:
        listed = []
        try:
            async with asyncio.timeout(LISTING_SECONDS):
                async for found in provider.pipelines():
                    listed.append(found)
                    if len(listed) >= MOST_PIPELINES:
                        break
        except ProviderError as exc:
            return str(exc)
        except TimeoutError:
            return f"{provider.label} took too long to list its pipelines."
        await services.store.pipelines.save(provider.connection, listed, request.now)
        return ""

    said = await asyncio.gather(*(one(provider) for provider in providers))
    return {provider.connection: words for provider, words in zip(providers, said, strict=True) if words}


async def _from_url(url: str, request: Request, services: Services) -> tuple[PipelineMatch, Page]:
    links = list(await services.store.links.of_channel(request.team, request.channel))
    for provider in services.connections.visible(request.team):
        page = provider.parse_url(url)
        if page is None:
            continue
        for link in links:
            if link.connection == provider.connection and page.pipeline in {link.pipeline, link.path}:
                return of_link(link, request, services), page
        row = await services.store.pipelines.get(provider.connection, page.pipeline)
        where = _of_row(row, provider) if row else await _asked(provider, page.pipeline, services, request)
        return where, page
    raise NotLinked(
        "That address belongs to none of the connected CI systems.",
        hint=f"`{services.command} list connections` shows which are connected.",
    )


def of_link(link: LinkRow, request: Request, services: Services) -> PipelineMatch:
    """Return the pipeline of a link. Raises NotLinked where its connection is gone."""
    return PipelineMatch(
        provider=services.provider(request.team, link.connection),
        pipeline=link.pipeline,
        path=link.path,
        name=link.alias or link.name,
        link=link,
        default_branch=link.default_branch,
    )


async def ref_of(where: PipelineMatch, wanted: Ref | None) -> Ref | None:
    """Return the ref to build: the one named, else the pinned or default branch; None where the CI system decides.

    A branch that does not exist is caught by the CI system; `closest` then names its neighbours.
    """
    if wanted is not None:
        return wanted
    if where.branch:
        return Ref(kind=RefKind.BRANCH, name=where.branch)
    found = await where.provider.pipeline(where.pipeline)
    return Ref(kind=RefKind.BRANCH, name=found.default_branch) if found.default_branch else None


async def closest(where: PipelineMatch, ref: Ref) -> tuple[str, ...]:
    """Return the names of existing refs nearest to one that was not found."""
    if not where.provider.can(Capability.REFS):
        return ()
    names: list[str] = []
    try:
        async with asyncio.timeout(LISTING_SECONDS):
            async for known in where.provider.refs(where.pipeline):
                if known.kind in {RefKind.BRANCH, RefKind.TAG}:
                    names.append(known.name)
                if len(names) >= MOST_PIPELINES:
                    break
    except (ProviderError, TimeoutError):
        return ()
    return tuple(get_close_matches(ref.name, names, n=3, cutoff=0.4))


def _here(request: Request) -> str:
    return f"#{request.channel_name}" if request.channel_name else "this channel"
