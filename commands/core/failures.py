"""What failed in a build, as its CI system lists it: issues and jobs, nothing where they can't be read."""

from collections.abc import Sequence

from bot.blocks.lines import failure_words
from bot.core.errors import ProviderError
from bot.core.models import Issue, IssueKind, Job
from bot.providers.base.capabilities import Capability
from commands.core.matches import BuildMatch

ORDER = (IssueKind.TEST_FAILURE, IssueKind.ERROR)
MOST_WORDS = 160


async def failures_of(match: BuildMatch) -> tuple[Issue, ...]:
    """Return a build's failed tests, then its errors. Costs what `issues` costs."""
    if not match.provider.can(Capability.ISSUES):
        return ()
    try:
        issues = await match.provider.issues(match.build.pipeline, match.build.id)
    except ProviderError:
        return ()
    return tuple(sorted((issue for issue in issues if issue.kind in ORDER), key=lambda issue: ORDER.index(issue.kind)))


async def red_jobs_of(match: BuildMatch) -> tuple[Job, ...]:
    """Return a build's jobs that failed and were not run again. Costs what `jobs` costs."""
    if not match.provider.can(Capability.JOBS):
        return ()
    try:
        jobs = await match.provider.jobs(match.build.pipeline, match.build.id)
    except ProviderError:
        return ()
    return tuple(job for job in jobs if job.conclusion is not None and job.conclusion.is_red and not job.retried)


def first_failure(issues: Sequence[Issue], jobs: Sequence[Job]) -> str:
    """Return the first failing test or error with its job, else the first red job; "" where none is known. Raw text."""
    if issues:
        first = issues[0]
        words = failure_words(first.message, MOST_WORDS, job=first.job)
        return f"{first.job}: {words}" if first.job else words
    hard = [job for job in jobs if not job.tolerated] or list(jobs)
    return f"the step {hard[0].name} failed" if hard else ""
