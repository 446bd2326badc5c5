"""The simulation: its clock, its pipelines, and builds that go queued, running, finished by that clock.

Nothing runs in the background: `settle()` plays every event due by now, in order and at its own time, before anything
is read. What is read therefore never depends on how often it is read.
"""

import random
import secrets
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

from playground.ci import job_output
from playground.ci.model import (
    ApprovalKind,
    Build,
    BuildState,
    Commit,
    Job,
    JobState,
    Outcome,
    Person,
    Pipeline,
    Pull,
    Repo,
    Result,
    Source,
    Step,
    new_uid,
)
from playground.clock import Clock

Listener = Callable[[str, Build], None]

CANCEL_SECONDS = 1.5
LOGGED_REQUESTS = 1000


class Refused(Exception):
    """What was asked cannot be done to a build as it stands."""


class Simulation:
    """All systems' builds on one clock, and what their API servers share.

    `quota` multiplies the vendors' rate limits (1.0: theirs), so that impatient tests and hands do not run into them.
    """

    def __init__(
        self,
        seed: int = 1,
        speed: float = 1.0,
        *,
        clock: Clock | None = None,
        quota: float = 10.0,
    ) -> None:
        self.seed = seed
        self.clock = clock or Clock()
        self.rng = random.Random(seed)  # noqa: S311 - a simulation
        self.quota = quota
        self.pace = speed
        self.signing_key = secrets.token_bytes(32)
        self.pipelines: list[Pipeline] = []
        self.builds: list[Build] = []
        self.people: list[Person] = []
        self.requests: deque[dict[str, Any]] = deque(maxlen=LOGGED_REQUESTS)
        self.requests_total = 0
        self.base: str | None = None
        self.listeners: list[Listener] = []
        self._paused_at: float | None = None
        self._numbers: dict[str, int] = {}
        self._ids: dict[str, int] = {}
        self._active: list[Build] = []
        self._settling = False

    # the clock

    @property
    def now(self) -> float:
        """Return the clock's time in seconds since 1970."""
        return self.clock()

    @property
    def speed(self) -> float:
        """Return how many times faster than usual builds run; 0 while they are paused."""
        return 0.0 if self._paused_at is not None else self.pace

    def advance(self, seconds: float) -> None:
        """Move the clock ahead and play what happens meanwhile."""
        self.clock.advance(seconds)
        self.settle()

    def set_speed(self, factor: float) -> None:
        """Let builds run `factor` times as fast as usual from now on; 0 pauses them. The clock itself goes on as before."""
        self.settle()
        now, pace = self.now, factor or self.pace
        for build in self._active:
            since = now if self._paused_at is None else max(self._paused_at, build.created_at)
            _reschedule(build, since, now, self.pace / pace)
        self.pace = pace
        self._paused_at = None if factor else now

    # identities

    def uid(self) -> str:
        """Return a new UUID."""
        return new_uid(self.rng)

    def next_id(self, series: str, start: int = 1) -> int:
        """Return the next number of a series."""
        self._ids[series] = self._ids.get(series, start - 1) + 1
        return self._ids[series]

    # looking

    def of_system(self, system: str) -> list[Pipeline]:
        """Return a system's pipelines."""
        return [pipeline for pipeline in self.pipelines if pipeline.system == system]

    def build(self, system: str, key: str) -> Build | None:
        """Return the build of a system with a UUID or id."""
        for build in reversed(self.builds):
            if build.pipeline.system == system and key in {build.uid, str(build.id)}:
                return build
        return None

    def job(self, system: str, key: str) -> tuple[Build, Job] | None:
        """Return the job of a system with a UUID or number, and its build."""
        for build in reversed(self.builds):
            if build.pipeline.system == system and (job := build.job(key)) is not None:
                return build, job
        return None

    # acting

    def person(self, name: str, email: str) -> Person:
        """Return the person with an address, made known when new."""
        for person in self.people:
            if person.email == email:
                return person
        person = Person(name=name, email=email, number=len(self.people) + 1)
        self.people.append(person)
        return person

    def commit(self, repo: Repo, branch: str, message: str, author: Person, at: float | None = None) -> Commit:
        """Put a commit onto a branch, which is made when new, and return it."""
        parent = repo.branches.get(branch) or repo.branches.get(repo.default_branch)
        commit = Commit(
            sha=f"{self.rng.getrandbits(160):040x}",
            message=message,
            author=author,
            at=self.now if at is None else at,
            parent=parent.sha if parent else "0" * 40,
        )
        repo.branches[branch] = commit
        repo.commits[commit.sha] = commit
        return commit

    def start(  # noqa: PLR0913 - each is a fact of the build, by name
        self,
        pipeline: Pipeline,
        *,
        commit: Commit,
        source: Source,
        branch: str | None = None,
        tag: str | None = None,
        pull: Pull | None = None,
        message: str | None = None,
        creator: Person | None = None,
        env: dict[str, str] | None = None,
        meta: dict[str, str] | None = None,
        outcome: Outcome | None = None,
        rebuilt_from: Build | None = None,
        unattended: bool = False,
        at: float | None = None,
    ) -> Build:
        """Start a build and return it. Without `outcome` the pipeline's own odds decide."""
        created = self.now if at is None else at
        counter = pipeline.counter or pipeline.path
        number = self._numbers[counter] = self._numbers.get(counter, 0) + 1
        rng = random.Random(f"{self.seed}/{pipeline.system}/{counter}/{number}")  # noqa: S311 - a simulation
        kinds, weights = list(pipeline.weights), list(pipeline.weights.values())
        build = Build(
            pipeline=pipeline,
            uid=self.uid(),
            id=self.next_id(f"{pipeline.system}/build", 4_100),
            number=number,
            commit=commit,
            message=message if message is not None else commit.message,
            source=source,
            creator=creator,
            created_at=created,
            updated_at=created,
            queued_until=created + rng.uniform(2.0, 5.0) / self.pace,
            outcome=outcome or rng.choices(kinds, weights)[0],
            branch=branch,
            tag=tag,
            pull=pull,
            env=dict(env or {}),
            meta=dict(meta or {}),
            rebuilt_from=rebuilt_from,
            unattended=unattended,
            queue_id=self.next_id(f"{pipeline.system}/queue", 700),
        )
        build.jobs = [self._job(build, step, created) for step in pipeline.steps]
        self._plan(build)
        pipeline.builds.append(build)
        self.builds.append(build)
        self._active.append(build)
        self._notify("created", build)
        return build

    def decide_outcome(self, build: Build, outcome: Outcome) -> None:
        """Decide how an unfinished build ends. Raises Refused for a finished one."""
        if build.finished:
            raise Refused("The build has finished already.")
        build.outcome = outcome
        self._plan(build)

    def cancel(self, build: Build, reason: str = "user") -> None:
        """Stop a build: what has not started at once, what runs a moment later. Raises Refused for a finished one."""
        if build.finished:
            raise Refused("The build has finished already.")
        now = self.now
        build.canceling, build.cancel_reason, build.updated_at = True, reason, now
        for job in build.current:
            self.cancel_job(build, job)
        if build.state is BuildState.QUEUED:
            build.state = BuildState.RUNNING
        self._proceed(build, now)
        if not build.finished:
            self._notify("canceling", build)

    def cancel_job(self, build: Build, job: Job) -> None:
        """Stop one job of a build."""
        now = self.now
        if job.state is JobState.RUNNING:
            job.canceling, job.ends_at = True, now + CANCEL_SECONDS
        elif not job.state.final:
            job.state, job.finished_at = JobState.CANCELED, now
        build.updated_at = now

    def retry(self, build: Build, jobs: list[Job], by: Person | None = None, *, in_place: bool = False) -> list[Job]:
        """Run jobs of a build again; the same build reopens. Returns the jobs that run now.

        With `in_place` the jobs keep their ids, as on very old servers.
        """
        now = self.now
        fresh = []
        build.past[build.attempt] = (build.result, build.started_at, build.finished_at)
        build.attempt += 1
        first = min(build.pipeline.stages.index(job.step.stage) for job in jobs)
        for job in jobs:
            new = self._job(build, job.step, now, attempt=job.attempt + 1)
            if in_place:
                new.uid, new.number = job.uid, job.number
                build.jobs[build.jobs.index(job)] = new
            else:
                job.retried, job.retried_in, job.retried_by = True, new.uid, by
                new.retry_of = job.uid
                build.jobs.append(new)
            if job.step.stage == build.pipeline.stages[first]:
                self._queue(new, now)
            fresh.append(new)
        for job in build.current:
            stopped = job.state is JobState.SKIPPED or (
                job.state is JobState.CANCELED and job.step.approval is not None
            )
            if stopped and job not in fresh:
                job.state, job.finished_at = JobState.CREATED, None
        order = {step.name: index for index, step in enumerate(build.pipeline.steps)}
        build.jobs.sort(key=lambda job: (order[job.step.name], job.attempt))
        build.state, build.result, build.canceling, build.cancel_reason = BuildState.RUNNING, None, False, None
        build.failing_at, build.unattended = None, False
        build.attempt_started_at = build.updated_at = now
        rng = random.Random(f"{build.uid}/{build.attempt}")  # noqa: S311 - a simulation
        build.outcome = Outcome.PASS if rng.random() < 0.8 else build.outcome
        self._plan(build)
        if build not in self._active:
            self._active.append(build)
        self._notify("reopened", build)
        return fresh

    def approve(self, build: Build, job: Job, by: Person | None = None, comment: str = "") -> None:
        """Approve what waits; what comes after it runs. Raises Refused when it does not wait."""
        if not job.awaits_approval:
            raise Refused("Nothing waits for a person here.")
        now = self.now
        job.decided_by, job.comment = by, comment
        if job.step.approval is ApprovalKind.INSTANT:
            job.state, job.finished_at = JobState.UNBLOCKED, now
        else:
            self._queue(job, now)
        self._reopen(build, now)
        self._proceed(build, now)

    def reject(self, build: Build, job: Job, by: Person | None = None, comment: str = "") -> None:
        """Reject what waits: the job fails and so does the build; where it is a mere pause the build is canceled."""
        if not job.awaits_approval:
            raise Refused("Nothing waits for a person here.")
        now = self.now
        job.decided_by, job.comment = by, comment
        if job.step.approval is ApprovalKind.INSTANT:
            self.cancel(build, "rejected")
            return
        job.state, job.finished_at, job.reason = JobState.FAILED, now, "rejected"
        self._reopen(build, now)
        self._proceed(build, now)

    def finish(self, build: Build, outcome: Outcome | None = None) -> None:
        """Bring a build to its end now, approvals passed. Raises Refused for a finished one."""
        if build.finished:
            raise Refused("The build has finished already.")
        if outcome is not None:
            self.decide_outcome(build, outcome)
        now = self.now
        while not build.finished:
            build.queued_until = min(build.queued_until, now)
            for job in build.current:
                if job.awaits_approval:
                    self.approve(build, job)
                elif job.state is JobState.QUEUED:
                    job.starts_at = now
                elif job.state is JobState.RUNNING:
                    job.ends_at = now
            if not build.finished:
                self._step(build, now)

    def remove(self, build: Build) -> None:
        """Forget a build."""
        build.pipeline.builds.remove(build)
        self.builds.remove(build)
        if build in self._active:
            self._active.remove(build)

    # playing

    def settle(self) -> None:
        """Play every event due by now, each at its own time; none while builds are paused."""
        if self._settling or self._paused_at is not None:
            return
        self._settling = True
        try:
            now = self.now
            while True:
                due = [(at, build) for build in self._active if (at := next_at(build)) is not None and at <= now]
                if not due:
                    break
                at, build = min(due, key=lambda pair: (pair[0], pair[1].id))
                self._step(build, at)
        finally:
            self._settling = False

    def _job(self, build: Build, step: Step, at: float, attempt: int = 1) -> Job:
        number = self.next_id(f"{build.pipeline.system}/job", 90_210)
        return Job(
            step=step, uid=self.uid(), number=number, attempt=attempt, build_attempt=build.attempt, created_at=at
        )

    def _reopen(self, build: Build, now: float) -> None:
        build.updated_at = now
        if build.state is BuildState.FINISHED:
            build.result = None
            self._active.append(build)
        build.state = BuildState.RUNNING
        self._notify("resumed", build)

    def _plan(self, build: Build) -> None:
        """Choose which job is going to spoil the build."""
        open_jobs = [
            job for job in build.current if not job.state.final and job.step.approval is not ApprovalKind.INSTANT
        ]
        strict = [job for job in open_jobs if not job.step.tolerated] or open_jobs
        tested = [job for job in strict if job.step.tests]
        plain = [job for job in strict if not job.step.tests]
        chosen: list[Job] = []
        match build.outcome:
            case Outcome.PASS:
                pass
            case Outcome.WARNINGS:
                chosen = [job for job in open_jobs if job.step.tolerated]
            case Outcome.TEST_FAILURE | Outcome.TIMEOUT:
                chosen = tested or strict
            case Outcome.FAIL:
                chosen = plain or strict
            case Outcome.ERROR:
                chosen = strict
        build.victim = chosen[0] if chosen else None

    def _queue(self, job: Job, at: float) -> None:
        job.state, job.queued_at = JobState.QUEUED, at
        job.starts_at = at + random.Random(job.uid).uniform(0.4, 1.6) / self.pace  # noqa: S311 - a simulation

    def _step(self, build: Build, at: float) -> None:
        if build.state is BuildState.QUEUED and at >= build.queued_until:
            build.state, build.updated_at = BuildState.RUNNING, at
            self._proceed(build, at)
            return
        for job in build.current:
            if job.state is JobState.QUEUED and job.starts_at is not None and job.starts_at <= at:
                rng = random.Random(f"{job.uid}/run")  # noqa: S311 - a simulation
                job.state, job.started_at = JobState.RUNNING, at
                job.ends_at = at + rng.uniform(*job.step.seconds) / self.pace
                build.updated_at = at
                if build.started_at is None or build.attempt_started_at is not None:
                    build.started_at = at
                    build.attempt_started_at = None
                    self._notify("started", build)
                else:
                    self._notify("job", build)
            elif job.state is JobState.RUNNING and job.ends_at is not None and job.ends_at <= at:
                self._end(build, job, at)
        self._proceed(build, at)

    def _end(self, build: Build, job: Job, at: float) -> None:
        job.finished_at = build.updated_at = at
        if job.canceling:
            job.state = JobState.CANCELED
        elif job is not build.victim:
            job.state = JobState.PASSED
        elif build.outcome is Outcome.TIMEOUT:
            job.state, job.reason = JobState.TIMEOUT, "timeout"
        else:
            job.state = JobState.FAILED
            job.reason = "infrastructure" if build.outcome is Outcome.ERROR else "script"
        job.tests = job_output.tests(build, job)
        job.issues = job_output.issues(build, job)
        if job.state in {JobState.PASSED, JobState.FAILED}:
            first = self.next_id(f"{build.pipeline.system}/artifact", 31_000)
            job.artifacts = job_output.artifacts(build, job, first)
            for _ in job.artifacts[1:]:
                self.next_id(f"{build.pipeline.system}/artifact")
        if job.state.bad and not job.step.tolerated and build.failing_at is None:
            build.failing_at = at
            if any(not other.state.final for other in build.current):
                self._notify("failing", build)
                return
        self._notify("job", build)

    def _proceed(self, build: Build, at: float) -> None:
        """Open the next stage where the present one is through; end the build after the last."""
        if build.state is BuildState.FINISHED:
            return
        for stage in build.pipeline.stages:
            jobs = [job for job in build.current if job.step.stage == stage]
            spoiled = any(job.state.bad and not job.step.tolerated for job in build.current)
            for job in jobs:
                if job.state is not JobState.CREATED:
                    continue
                if spoiled:
                    job.state, job.finished_at = JobState.SKIPPED, at
                elif job.step.approval is not None and not build.unattended:
                    job.state = JobState.MANUAL
                    build.updated_at = at
                elif job.step.approval is ApprovalKind.INSTANT:
                    job.state, job.finished_at = JobState.UNBLOCKED, at
                elif job.step.approval is ApprovalKind.OPTIONAL:
                    job.state = JobState.MANUAL
                else:
                    self._queue(job, at)
            if any(job.state in {JobState.QUEUED, JobState.RUNNING} for job in jobs):
                return
            if any(job.awaits_approval and job.step.approval is not ApprovalKind.OPTIONAL for job in jobs):
                if build.state is not BuildState.WAITING:
                    build.state, build.updated_at = BuildState.WAITING, at
                    self._notify("waiting", build)
                return
        self._finish(build, at)

    def _finish(self, build: Build, at: float) -> None:
        jobs = build.current
        hard = [job for job in jobs if job.state.bad and not job.step.tolerated]
        if build.canceling:
            build.result = Result.CANCELED
        elif hard:
            build.result = Result.TIMEOUT if all(job.state is JobState.TIMEOUT for job in hard) else Result.FAILED
        elif any(job.state is JobState.CANCELED for job in jobs):
            build.result = Result.CANCELED
        else:
            build.result = Result.PASSED
        build.state = BuildState.FINISHED
        build.finished_at = build.updated_at = at
        build.attempt_started_at = None
        self._active.remove(build)
        self._notify("finished", build)

    def _notify(self, event: str, build: Build) -> None:
        for listener in self.listeners:
            listener(event, build)


def next_at(build: Build) -> float | None:
    """Return when something next happens to a build by itself, or None."""
    if build.state is BuildState.QUEUED:
        return build.queued_until
    times = [job.starts_at for job in build.current if job.state is JobState.QUEUED]
    times += [job.ends_at for job in build.current if job.state is JobState.RUNNING]
    return min((at for at in times if at is not None), default=None)


def _reschedule(build: Build, since: float, now: float, ratio: float) -> None:
    """Move what is planned for a build: what was `x` seconds after `since` comes `x * ratio` seconds after `now`."""

    def moved(at: float) -> float:
        return now + max(at - since, 0.0) * ratio

    build.queued_until = moved(build.queued_until)
    for job in build.current:
        if job.state is JobState.QUEUED and job.starts_at is not None:
            job.starts_at = moved(job.starts_at)
        elif job.state is JobState.RUNNING and job.ends_at is not None:
            job.ends_at = moved(job.ends_at)


def ends_in(build: Build, now: float, pace: float) -> float | None:
    """Return about how many seconds a build still runs at a pace, None where it has ended or waits."""
    if build.finished or build.state is BuildState.WAITING:
        return None
    left = max(build.queued_until - now, 0.0) if build.state is BuildState.QUEUED else 0.0
    for stage in build.pipeline.stages:
        longest = 0.0
        for job in build.current:
            if job.step.stage != stage or job.state.final or job.awaits_approval:
                continue
            if job.state is JobState.RUNNING:
                longest = max(longest, (job.ends_at or now) - now)
            elif job.step.approval is not ApprovalKind.INSTANT:
                longest = max(longest, (sum(job.step.seconds) / 2 + 1.0) / pace)
        left += longest
    return round(max(left, 0.0), 1)


def newest_first(builds: Iterable[Build]) -> list[Build]:
    """Return builds, the latest created first."""
    return sorted(builds, key=lambda build: build.id, reverse=True)
