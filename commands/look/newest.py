"""What only the CI system knows of a pipeline's newest builds: which tests are flaky, which jobs are slow."""

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from bot.core.errors import ProviderError
from bot.core.models import NO_RESULT, Build, Job, Outcome, Status, TestCase
from commands.core.matches import PipelineMatch
from commands.look.statistics import Times, times_of

MOST_BUILDS = 10
AT_ONCE = 4
SECONDS = 20.0

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class FlakyTest:
    """A test that does not depend on the code alone.

    `same_commit` counts the commits for which it both passed and failed, `flips` how often its result changed from one
    build to the next.
    """

    name: str
    runs: int
    failed: int
    same_commit: int
    flips: int


@dataclass(frozen=True, slots=True, kw_only=True)
class JobTimes:
    """How often a job ran and failed, and how long it took."""

    name: str
    runs: int
    failed: int
    times: Times


@dataclass(slots=True)
class _Results:
    ends: list[tuple[str, bool]] = field(default_factory=list)

    def flaky(self, name: str) -> FlakyTest:
        by_commit: dict[str, set[bool]] = {}
        for commit, passed in self.ends:
            if commit:
                by_commit.setdefault(commit, set()).add(passed)
        results = [passed for _commit, passed in self.ends]
        return FlakyTest(
            name=name,
            runs=len(results),
            failed=results.count(False),
            same_commit=sum(1 for both in by_commit.values() if len(both) > 1),
            flips=sum(before is not after for before, after in itertools.pairwise(results)),
        )


def flaky_tests(runs: Sequence[tuple[Build, Sequence[TestCase]]]) -> list[FlakyTest]:
    """Return the flakiest tests first, of builds and their tests, oldest first.

    A test is flaky that both passed and failed for one commit, or whose result changed at least twice: a test that
    broke and was mended changed twice as well only where it had passed before, so it counts where it failed again.
    """
    results: dict[tuple[str, str], _Results] = {}
    for build, tests in runs:
        for test in tests:
            if test.outcome in {Outcome.PASSED, Outcome.FAILED}:
                ends = results.setdefault((test.class_name or "", test.name), _Results()).ends
                ends.append((build.commit or "", test.outcome is Outcome.PASSED))
    judged = [result.flaky(".".join(part for part in key if part)) for key, result in results.items()]
    flaky = [test for test in judged if test.same_commit or test.flips > 2]
    return sorted(flaky, key=lambda test: (-test.same_commit, -test.flips, -test.failed, test.name))


def job_times(jobs: Sequence[Job]) -> list[JobTimes]:
    """Return the slowest jobs first, by their median."""
    named: dict[str, list[Job]] = {}
    for job in jobs:
        if job.status is Status.COMPLETED and job.seconds is not None:
            named.setdefault(job.name, []).append(job)
    timed = [
        JobTimes(
            name=name,
            runs=len(group),
            failed=sum(job.conclusion is not None and job.conclusion.is_red for job in group),
            times=times_of(job.seconds or 0.0 for job in group),
        )
        for name, group in named.items()
    ]
    return sorted(timed, key=lambda job: (-(job.times.p50 or 0.0), job.name))


def newest_results(pipeline: PipelineMatch, builds: Sequence[Build]) -> list[Build]:
    """Return the newest builds of a listing that ended with a result, oldest first, at most `MOST_BUILDS`."""
    ended = [build for build in builds if build.completed and build.conclusion not in NO_RESULT]
    return [build for build in ended if build.pipeline == pipeline.id][:MOST_BUILDS][::-1]


async def read_each(
    builds: Sequence[Build], read: Callable[[Build], Awaitable[T]]
) -> tuple[list[tuple[Build, T]], str]:
    """Return what was read of each build (one request each, four at once), and why some could not be read, "" if all.

    Builds whose request failed or took too long are left out. Raises ProviderError where none could be read.
    """
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(build: Build) -> T:
        async with gate, asyncio.timeout(SECONDS):
            return await read(build)

    answers = await asyncio.gather(*(one(build) for build in builds), return_exceptions=True)
    results: list[tuple[Build, T]] = []
    troubles: list[Exception] = []
    for build, answer in zip(builds, answers, strict=True):
        if isinstance(answer, ProviderError | TimeoutError):
            troubles.append(answer)
        elif isinstance(answer, BaseException):
            raise answer
        else:
            results.append((build, answer))
    if troubles and not results and isinstance(troubles[0], ProviderError):
        raise troubles[0]
    if not troubles:
        return results, ""
    return results, f"{len(troubles)} of the {len(builds)} newest builds could not be read"
