"""Builds of GitLab's v3 API, and how those of one commit and ref make one build of ours."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from bot.core.models import Artifact, Build, Conclusion, Job, Pipeline, Status
from bot.providers.base.times import latest, parse_time
from bot.providers.base.wire import Wire
from bot.providers.gitlab import wire


class BuildRun(Wire):
    """A build of v3: what v4 calls a job."""

    id: int
    status: str | None = None
    name: str | None = None
    stage: str | None = None
    ref: str | None = None
    tag: bool | None = None
    created_at: str | None = None
    started_at: str | None = None
    finished_at: str | None = None
    artifacts_file: wire.JobFile | None = None
    user: wire.User | None = None
    commit: wire.Commit | None = None
    pipeline: wire.PipelineId | None = None

    @property
    def sha(self) -> str | None:
        """Return the commit it was made from."""
        return self.commit.id if self.commit else None

    @property
    def word(self) -> str:
        """Return its state in lower case."""
        return (self.status or "").lower()


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """The builds of one commit and ref, oldest first, earlier tries included."""

    sha: str
    ref: str
    tag: bool
    runs: tuple[BuildRun, ...]

    @property
    def id(self) -> str:
        """Return what names the group; a tag and a branch may bear one name."""
        return f"{self.sha}@{'tag:' if self.tag else ''}{self.ref}"

    @property
    def current(self) -> list[BuildRun]:
        """Return the latest try of each build."""
        return newest(self.runs)

    @property
    def mark(self) -> str:
        """Return what tells one state of the group from the next."""
        return " ".join(f"{run.id}:{run.word}" for run in self.current)


def newest(runs: Iterable[BuildRun]) -> list[BuildRun]:
    """Return the latest try of each build, oldest first."""
    latest_try = {(run.stage, run.name): run for run in sorted(runs, key=lambda each: each.id)}
    return sorted(latest_try.values(), key=lambda run: run.id)


def grouped(runs: Iterable[BuildRun]) -> list[Group]:
    """Return builds as groups, the group with the newest build first. A build without commit or ref has no group."""
    found: dict[tuple[str, str, bool], list[BuildRun]] = {}
    for run in sorted(runs, key=lambda each: each.id):
        if run.sha and run.ref:
            found.setdefault((run.sha, run.ref, bool(run.tag)), []).append(run)
    groups = [Group(sha=sha, ref=ref, tag=tag, runs=tuple(members)) for (sha, ref, tag), members in found.items()]
    return sorted(groups, key=lambda each: each.runs[-1].id, reverse=True)


def state(runs: Iterable[BuildRun]) -> tuple[Status, Conclusion | None, str]:
    """Return how a group stands, from its latest tries, and in which word.

    What is allowed to fail v3 does not tell, so a tolerated failure reads as failed. A manual build that waits holds
    nothing up; a word we do not know keeps the group open while its build has not finished.
    """
    counted = [run for run in runs if run.word != "manual"]
    words = {run.word for run in counted}
    strange = sorted(words - wire.STATES.keys())
    still = {run.word for run in counted if run.word in strange and not run.finished_at}
    if words & {"running", "canceling"}:
        return Status.IN_PROGRESS, None, "running"
    if still:
        return Status.IN_PROGRESS, None, min(still)
    if words & {word for word, (status, _) in wire.STATES.items() if status is Status.QUEUED}:
        started = any(run.started_at for run in counted)
        return (Status.IN_PROGRESS if started else Status.QUEUED), None, "pending"
    if strange:
        return Status.COMPLETED, None, strange[0]
    if "failed" in words:
        return Status.COMPLETED, Conclusion.FAILED, "failed"
    if "canceled" in words:
        return Status.COMPLETED, Conclusion.CANCELLED, "canceled"
    if words <= {"skipped"}:
        return Status.COMPLETED, Conclusion.SKIPPED, "skipped"
    return Status.COMPLETED, Conclusion.PASSED, "success"


def build(it: Group, *, connection: str, project: Pipeline, root: str) -> Build:
    """Return a group as a build. Its number is that of its newest build."""
    runs = it.current
    status, conclusion, raw = state(runs)
    commit = next((run.commit for run in runs if run.commit is not None), None)
    login = next((run.user.username for run in runs if run.user is not None), None)
    ended = latest(*(parse_time(run.finished_at) for run in runs))
    return Build(
        connection=connection,
        pipeline=project.id,
        id=it.id,
        number=it.runs[-1].id,
        repo=project.path,
        branch=None if it.tag else it.ref,
        tag=it.ref if it.tag else None,
        commit=it.sha,
        message=(commit.message or commit.title) if commit else None,
        author=wire.author(commit) if commit else None,
        status=status,
        conclusion=conclusion,
        raw_state=raw,
        triggered_by=login,
        triggered_by_type=wire.starter(None, login),
        created_at=_earliest(run.created_at for run in it.runs),
        started_at=_earliest(run.started_at for run in runs),
        completed_at=ended if status is Status.COMPLETED else None,
        web_url=f"{root}/{project.path}/commit/{it.sha}",
    )


def jobs(runs: Iterable[BuildRun], *, build_id: str, project: Pipeline) -> tuple[Job, ...]:
    """Return builds as jobs, oldest first, those superseded by a later try marked as retried."""
    listed = sorted(runs, key=lambda run: run.id)
    current = {run.id for run in newest(listed)}
    return tuple(_job(run, run.id not in current, build_id, project) for run in listed)


def files(run: BuildRun, *, build_id: str, project: Pipeline) -> list[Artifact]:
    """Return the one archive a build may have left."""
    seen = wire.JobRun(id=run.id, name=run.name, artifacts_file=run.artifacts_file, web_url=page(run, project))
    return wire.files(seen, build_id=build_id, pipeline=project.id)


def page(run: BuildRun, project: Pipeline) -> str | None:
    """Return the address of a build's page."""
    return f"{project.web_url}/builds/{run.id}" if project.web_url else None


def _job(run: BuildRun, retried: bool, build_id: str, project: Pipeline) -> Job:  # noqa: FBT001 - one caller, here
    seen = wire.JobRun(
        id=run.id,
        status=run.status,
        name=run.name,
        stage=run.stage,
        created_at=run.created_at,
        started_at=run.started_at,
        finished_at=run.finished_at,
        web_url=page(run, project),
    )
    return wire.job(seen, build_id=build_id, pipeline=project.id, retried=retried)


def _earliest(times: Iterable[str | None]) -> datetime | None:
    return min((at for each in times if (at := parse_time(each)) is not None), default=None)
