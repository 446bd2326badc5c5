"""What several reading commands show of a build: its counts, its open approvals."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace

from bot.core.errors import ProviderError
from bot.core.models import NO_RESULT, Approval, Build, BuildKey
from bot.core.workflows import upload_details
from bot.providers.base.capabilities import Capability
from commands.core.context import Context
from commands.core.matches import BuildMatch, PipelineMatch

COUNTS_SECONDS = 10
MOST_STORED = 50


async def with_counts(match: BuildMatch) -> Build:
    """Return a completed build with its issue counts, asked for where the build does not carry them."""
    if not match.build.completed or not match.provider.can(Capability.COUNTS):
        return match.build
    try:
        async with asyncio.timeout(COUNTS_SECONDS):
            counts = await match.provider.counts(match.build)
    except (ProviderError, TimeoutError):
        return match.build
    return match.build.with_issues(match.build.issues.filled(counts))


async def with_uploads(match: BuildMatch) -> Build:
    """Return a finished build with what it handed to an app store as it stands now; as it is where that can't be read."""
    build = match.build
    if not build.completed or build.conclusion in NO_RESULT or not match.provider.can(Capability.UPLOADS):
        return build
    try:
        async with asyncio.timeout(COUNTS_SECONDS):
            uploads = await match.provider.uploads(build.pipeline, build.id)
    except (ProviderError, TimeoutError):
        return build
    return replace(build, details={**build.details, **upload_details(uploads)}) if uploads else build


async def open_approvals(match: BuildMatch) -> tuple[Approval, ...]:
    """Return the approvals of a build that waits; none where they can't be read now."""
    if not match.build.waiting or not match.provider.can(Capability.APPROVALS):
        return ()
    try:
        return await match.provider.approvals(match.build.pipeline, match.build.id)
    except ProviderError:
        return ()


async def filled(
    builds: Sequence[Build],
    pipeline: PipelineMatch,
    context: Context,
    *,
    ask: Callable[[Sequence[Build]], Sequence[Build]],
) -> list[Build]:
    """Return listed builds with what a listing leaves out, for systems whose lists are short.

    Taken from the store first. Those of `ask` are read one by one, all at once, where the store knows no end either.
    """
    stored = await context.store.builds.of_pipeline(pipeline.connection, pipeline.id, limit=MOST_STORED)
    known = {build.id: build for build in stored}
    joined = [_joined(build, known.get(build.id)) for build in builds]
    short = {build.key for build in ask(joined) if build.completed and build.completed_at is None}
    read = await asyncio.gather(*(_read(key, pipeline) for key in short))
    whole = {build.key: build for build in read if build is not None}
    return [whole.get(build.key, build) for build in joined]


async def _read(key: BuildKey, pipeline: PipelineMatch) -> Build | None:
    try:
        return await pipeline.provider.build_or_none(key)
    except ProviderError:
        return None


def _joined(listed: Build, stored: Build | None) -> Build:
    """Return a listed build with the fields that only the stored one has, where both are the same attempt's end."""
    if stored is None or (listed.status, listed.conclusion) != (stored.status, stored.conclusion):
        return listed
    return replace(
        listed,
        commit=listed.commit or stored.commit,
        message=listed.message or stored.message,
        author=listed.author or stored.author,
        started_at=listed.started_at or stored.started_at,
        completed_at=listed.completed_at or stored.completed_at,
    )
