"""Find builds by what people call them by: a number, a label, or a place such as `last`."""

import asyncio
from collections.abc import Sequence

from bot.core.errors import NotFound
from bot.core.models import Build, Conclusion, Ref
from commands.core.context import Context
from commands.core.listings import recent_builds
from commands.core.matches import PipelineMatch


async def numbered(pipeline: PipelineMatch, number: str, context: Context) -> Build:
    """Return the build of a pipeline that people call by a number or a label. Raises NotFound.

    The stored build is only a shortcut to the id: what counts is what the provider returns for it.
    """
    if not number.isdigit():
        return await pipeline.provider.build_by_label(pipeline.id, number)
    stored = await context.store.builds.by_number(pipeline.connection, pipeline.id, int(number))
    if stored is not None:
        build = await pipeline.provider.build_or_none(stored.key)
        if build is not None and (build.pipeline, build.number) == (pipeline.id, int(number)):
            return build
    return await pipeline.provider.build_by_number(pipeline.id, int(number))


async def numbered_in(
    pipelines: Sequence[PipelineMatch], number: str, context: Context
) -> list[tuple[PipelineMatch, Build]]:
    """Return the builds that some pipelines have under one number or label, in the order of the pipelines.

    Costs what `numbered` costs for each. Raises ProviderError where one cannot be asked: what it has is not known then.
    """

    async def found(pipeline: PipelineMatch) -> Build | None:
        try:
            return await numbered(pipeline, number, context)
        except NotFound:
            return None

    builds = await asyncio.gather(*map(found, pipelines))
    return [(pipeline, build) for pipeline, build in zip(pipelines, builds, strict=True) if build is not None]


async def pick(pipeline: PipelineMatch, ref: Ref | None, word: str) -> Build:
    """Return the newest build that a build word fits. Costs one listing, and the build itself."""
    skip = int(word) * -1 if word.startswith("-") else 0
    position = 0
    async for candidate in recent_builds(pipeline, ref):
        match word:
            case "running":
                fits = not candidate.completed
            case "failed":
                fits = candidate.conclusion is not None and candidate.conclusion.is_red
            case "green":
                fits = candidate.conclusion is Conclusion.PASSED
            case _:
                fits = position >= skip
        position += 1
        if fits:
            return await pipeline.provider.build_or_none(candidate.key) or candidate
    raise NotFound(_none_fits(pipeline, word, ref), provider=pipeline.provider.label)


def _none_fits(pipeline: PipelineMatch, word: str, ref: Ref | None) -> str:
    on = f" on {ref}" if ref else ""
    match word:
        case "running":
            return f"Nothing is running in {pipeline.name}{on}."
        case "failed":
            return f"None of the latest builds of {pipeline.name}{on} failed."
        case "green":
            return f"None of the latest builds of {pipeline.name}{on} passed."
        case _:
            return f"{pipeline.name} has no builds{on} yet."
