"""What several reading commands show of a build: its counts, its open approvals."""

import asyncio

from bot.core.errors import ProviderError
from bot.core.models import Approval, Build
from bot.providers.base.capabilities import Capability
from commands.core.resolve import BuildMatch

COUNTS_SECONDS = 10


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


async def open_approvals(match: BuildMatch) -> tuple[Approval, ...]:
    """Return the approvals of a build that waits; none where they can't be read now."""
    if not match.build.waiting or not match.provider.can(Capability.APPROVALS):
        return ()
    try:
        return await match.provider.approvals(match.build.pipeline, match.build.id)
    except ProviderError:
        return ()
