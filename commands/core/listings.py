"""Read on from a resolved pipeline: its builds, its refs, and the names that people here know pipelines by."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import replace
from difflib import get_close_matches

from bot.core.errors import ProviderError
from bot.core.models import NO_RESULT, Build, BuildFilter, Ref, RefKind
from bot.providers.base.capabilities import Capability
from commands.core.context import Context
from commands.core.matches import BuildMatch, PipelineMatch

LISTING_SECONDS = 20.0
MOST_REFS = 2000
MOST_NEAR = 3
NEAR = 0.4
RECENT = 50


async def recent_builds(
    pipeline: PipelineMatch, ref: Ref | None = None, *, narrow: BuildFilter | None = None, limit: int = RECENT
) -> AsyncIterator[Build]:
    """Yield a pipeline's builds of a ref, newest first, those that `narrow` admits. Costs one listing.

    CI systems list by branch or by commit; builds of a tag or a pull request are looked for among the newest.
    """
    is_sought = ref is not None and ref.kind in {RefKind.TAG, RefKind.PULL_REQUEST}
    query = replace(narrow or BuildFilter(), limit=max(limit, RECENT) if is_sought else limit)
    if ref is not None and ref.kind is RefKind.BRANCH:
        query = replace(query, branch=ref.name)
    if ref is not None and ref.kind is RefKind.COMMIT:
        query = replace(query, commit=ref.name)
    yielded = 0
    async for build in pipeline.provider.builds(pipeline.id, query):
        if ref is not None and is_sought and not is_built_from(build, ref):
            continue
        yield build
        yielded += 1
        if yielded == limit:
            return


async def build_before(match: BuildMatch) -> Build | None:
    """Return the finished build with a result before this one in the same history. Costs one listing."""
    return (await back_to_earlier(match))[0]


async def back_to_earlier(match: BuildMatch, earlier: Build | None = None) -> tuple[Build | None, list[Build]]:
    """Return the build to compare with and the builds of the history after it, this one first. Costs one listing.

    That is `earlier`, else the finished one with a result before this one; None where the listing does not reach it.
    """
    history = match.build.history_ref
    branch = match.build.branch
    passed: list[Build] = []
    async for build in match.provider.builds(match.build.pipeline, BuildFilter(branch=branch, limit=RECENT)):
        if build.id == match.build.id:
            passed.append(build)
        elif not passed or build.history_ref != history:
            continue
        elif build.id == earlier.id if earlier else build.completed and build.conclusion not in NO_RESULT:
            return build, passed
        else:
            passed.append(build)
    return None, passed


def is_built_from(build: Build, ref: Ref) -> bool:
    """Return whether a build was made from a ref."""
    match ref.kind:
        case RefKind.COMMIT:
            return (build.commit or "").startswith(ref.name)
        case RefKind.TAG:
            return ref.name in {build.tag, build.branch}
        case RefKind.PULL_REQUEST:
            return build.pull_request == ref.name
        case RefKind.BRANCH:
            return build.branch == ref.name


async def unfinished_builds(pipeline: PipelineMatch, context: Context, *, ref: Ref | None = None) -> list[Build]:
    """Return a pipeline's builds that have not completed, newest first: as listed now, and those only the store knows."""
    builds = {build.key: build async for build in recent_builds(pipeline, ref) if not build.completed}
    for candidate in await context.store.builds.unfinished([pipeline.connection]):
        if (
            candidate.pipeline != pipeline.id
            or candidate.key in builds
            or (ref is not None and not is_built_from(candidate, ref))
        ):
            continue
        build = await pipeline.provider.build_or_none(candidate.key)
        if build is not None and not build.completed:
            builds[build.key] = build
    return list(builds.values())


async def pipeline_names(builds: Iterable[Build], context: Context) -> dict[tuple[str, str], str]:
    """Return the readable names of builds' pipelines: as linked here, else as listed, else as linked elsewhere."""
    named = {(build.connection, build.pipeline): build.workflow or build.repo or build.pipeline for build in builds}
    for link in await context.store.links.all(context.team):
        if (link.connection, link.pipeline) in named:
            named[link.connection, link.pipeline] = link.name
    for row in await context.store.pipelines.all(connections=sorted({connection for connection, _id in named})):
        if (row.connection, row.pipeline) in named:
            named[row.connection, row.pipeline] = row.name
    for link in await context.store.links.of_channel(context.team, context.channel):
        if (link.connection, link.pipeline) in named:
            named[link.connection, link.pipeline] = link.alias or link.name
    return named


async def ref_of(pipeline: PipelineMatch, ref: Ref | None) -> Ref | None:
    """Return the ref to build: the one named, else the pinned or default branch; None where the CI system decides.

    A branch that does not exist is caught by the CI system; `closest_refs` then names its neighbours. Where the default
    branch can't be read, the CI system decides: a question of ours never blocks an act. `HEAD` is git's word for the
    default branch and no branch of its own.
    """
    is_head = ref is not None and ref.kind is RefKind.BRANCH and ref.name.upper() in {"HEAD", "@"}
    if ref is not None and not is_head:
        return ref
    if pipeline.branch:
        return Ref(kind=RefKind.BRANCH, name=pipeline.branch)
    try:
        default = (await pipeline.provider.pipeline(pipeline.id)).default_branch
    except ProviderError:
        return None
    return Ref(kind=RefKind.BRANCH, name=default) if default else None


async def closest_refs(pipeline: PipelineMatch, ref: Ref) -> tuple[Ref, ...]:
    """Return up to three refs nearest to one that does not exist, filled up with the default branch and others listed.

    None where the ref exists, or where that is not known.
    """
    if not pipeline.provider.can(Capability.REFS) or ref.kind not in pipeline.provider.lists_all_refs:
        return ()
    named: dict[str, Ref] = {}
    try:
        async with asyncio.timeout(LISTING_SECONDS):
            for query in (ref.name, None):
                async for candidate in pipeline.provider.refs(pipeline.id, query):
                    if candidate.kind is ref.kind and candidate.name == ref.name:
                        return ()
                    if candidate.kind in {RefKind.BRANCH, RefKind.TAG}:
                        named.setdefault(candidate.name, candidate)
                    if len(named) >= MOST_REFS:
                        break
    except (ProviderError, TimeoutError):
        return ()
    near = get_close_matches(ref.name, named, n=MOST_NEAR, cutoff=NEAR)
    usual = [name for name in (pipeline.branch, pipeline.default_branch) if name in named]
    return tuple(named[name] for name in dict.fromkeys([*near, *usual, *named]))[:MOST_NEAR]


def closest_words(ref: Ref, near: Sequence[Ref], *, label: str = "Closest") -> str:
    """Return the sentence that offers the refs nearest to one that does not exist; `label` begins it where one is near."""
    names = ", ".join(f"`{candidate.name}`" for candidate in near)
    is_close = bool(get_close_matches(ref.name, [candidate.name for candidate in near], n=1, cutoff=NEAR))
    return f"{label}: {names}." if is_close else f"It has {names}."
