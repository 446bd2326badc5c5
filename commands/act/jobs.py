"""Find a job of a build by its name."""

from collections.abc import Sequence

from bot.core.errors import NotFound, UsageError
from bot.core.models import Job
from bot.core.text import among_names, holds_name, without_short_codes
from commands.core.matches import BuildMatch


async def job_named(match: BuildMatch, name: str, *, reads: bool = False) -> Job:
    """Return the one job of a build that fits a name or an id, the red one among several. Raises NotFound, UsageError.

    What only `reads` also finds a job that a retry replaced, by its id; for that the jobs may be listed once more.
    """
    every = await match.provider.jobs(match.build.pipeline, match.build.id)
    jobs = [job for job in every if not job.retried]
    called = without_short_codes(name)
    exact = [job for job in jobs if among_names(called, (job.name, job.id))]
    fits = exact or [job for job in jobs if holds_name(job.name, called)]
    if reads and not fits and (earlier := await _earlier_job(match, every, name)) is not None:
        return earlier
    if not fits:
        known = ", ".join(f"`{job.name}`" for job in jobs[:15]) or "none"
        raise NotFound(
            f"No job of this build is called `{name}`.", provider=match.provider.label, hint=f"Its jobs: {known}."
        )
    if len(fits) == 1:
        return fits[0]
    red = [job for job in fits if job.conclusion is not None and job.conclusion.is_red]
    if len(red) != 1:
        names = ", ".join(f"`{job.name}`" for job in fits[:10])
        raise UsageError(f"`{name}` fits {len(fits)} jobs.", hint=f"Say which: {names}.")
    return red[0]


async def _earlier_job(match: BuildMatch, listed: Sequence[Job], name: str) -> Job | None:
    """Return the job of an earlier attempt whose id is `name`, None where none has it."""
    replaced = [job for job in listed if job.retried and job.id == name]
    if replaced or " " in name:
        return replaced[0] if replaced else None
    every = await match.provider.jobs(match.build.pipeline, match.build.id, all_attempts=True)
    return next((job for job in every if job.id == name), None)
