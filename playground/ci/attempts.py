"""The attempts of a build: its jobs and how it ended, for servers whose vendor keeps a record of each attempt."""

from dataclasses import dataclass

from playground.ci.model import Build, Job, JobState, Result


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One run of a build to its end. `jobs` holds the newest of each step; times in seconds since 1970."""

    build: Build
    number: int
    result: Result | None
    created_at: float
    started_at: float | None
    finished_at: float | None
    jobs: tuple[Job, ...]

    @property
    def is_current(self) -> bool:
        """Whether no later attempt replaced it."""
        return self.number == self.build.attempt

    def state_of(self, job: Job) -> JobState:
        """Return how a job stood when the attempt ended; one that only a later attempt ran was skipped."""
        if self.is_current or (job.finished_at is not None and job.finished_at <= (self.finished_at or 0.0)):
            return job.state
        return JobState.SKIPPED


def attempt(build: Build, number: int) -> Attempt:
    """Return an attempt of a build by its number, which must be one from 1 to `build.attempt`."""
    newest = {job.step.name: job for job in build.jobs if job.build_attempt <= number}
    own = [job.created_at for job in newest.values() if job.build_attempt == number]
    if number == build.attempt:
        result, started_at, finished_at = build.result, build.started_at, build.finished_at
        finished_at = finished_at if build.finished else None
    else:
        result, started_at, finished_at = build.past[number]
    return Attempt(
        build=build,
        number=number,
        result=result,
        created_at=build.created_at if number == 1 else min(own, default=build.created_at),
        started_at=started_at,
        finished_at=finished_at,
        jobs=tuple(newest.values()),
    )


def attempts(build: Build) -> list[Attempt]:
    """Return all attempts of a build, the first one first."""
    return [attempt(build, number) for number in range(1, build.attempt + 1)]
