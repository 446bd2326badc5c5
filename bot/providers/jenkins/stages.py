"""A build's stages, from whichever plugin is there: graph view, stage view, Blue Ocean; and the stages as jobs."""

from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from datetime import datetime
from urllib.parse import unquote

from bot.core.clock import Clock
from bot.core.errors import NotFound, Rejected
from bot.core.models import Approval, Conclusion, Issue, IssueKind, Job, Status
from bot.http.client import ApiClient
from bot.providers.base.convert import StateMap, state_from
from bot.providers.base.listing import parse_items
from bot.providers.base.memory import AbsentOperations
from bot.providers.base.times import parse_time
from bot.providers.jenkins import wire
from bot.providers.jenkins.convert import STATES, ended_at, members, pending_approval, state, tells_inputs
from bot.providers.jenkins.errors import LABEL
from bot.providers.jenkins.urls import blue_path, build_path, is_axes

GRAPH_STATES: StateMap = {
    "queued": (Status.QUEUED, None),
    "running": (Status.IN_PROGRESS, None),
    "paused": (Status.IN_PROGRESS, None),
    "unknown": (Status.IN_PROGRESS, None),
    "skipped": (Status.COMPLETED, Conclusion.SKIPPED),
    "not_built": (Status.COMPLETED, Conclusion.SKIPPED),
    "finished": (Status.COMPLETED, None),
    "success": (Status.COMPLETED, Conclusion.PASSED),
    "unstable": (Status.COMPLETED, Conclusion.PARTIAL),
    "failure": (Status.COMPLETED, Conclusion.FAILED),
    "aborted": (Status.COMPLETED, Conclusion.CANCELLED),
}
STAGE_STATES: StateMap = {
    "NOT_EXECUTED": (Status.COMPLETED, Conclusion.SKIPPED),
    "IN_PROGRESS": (Status.IN_PROGRESS, None),
    "PAUSED_PENDING_INPUT": (Status.IN_PROGRESS, None),
    "SUCCESS": (Status.COMPLETED, Conclusion.PASSED),
    "UNSTABLE": (Status.COMPLETED, Conclusion.PARTIAL),
    "FAILED": (Status.COMPLETED, Conclusion.FAILED),
    "ABORTED": (Status.COMPLETED, Conclusion.CANCELLED),
}
BLUE_STATES: StateMap = {
    **{name: state for name, state in STATES.items() if name != "BUILDING"},
    "RUNNING": (Status.IN_PROGRESS, None),
    "PAUSED": (Status.IN_PROGRESS, None),
    "SKIPPED": (Status.COMPLETED, Conclusion.SKIPPED),
    "FINISHED": (Status.COMPLETED, None),
    "UNKNOWN": (Status.IN_PROGRESS, None),
}
WHOLE = "build"
"""The id of the one job of a build without stages."""
GRAPH, STAGE_VIEW, BLUE_OCEAN, INPUTS = "graph view", "stage view", "Blue Ocean", "inputs of the stage view"
CELLS = 200
RESTARTED = frozenset({Conclusion.FAILED, Conclusion.CANCELLED})

Reader = Callable[[str, str, str], Awaitable[list[Job]]]


class Stages:
    """Reads stages by the best plugin a server has; remembers for a while which it lacks.

    `server_tells_inputs`: a build's own actions have shown an input step, so there is no need to ask the stage view.
    """

    def __init__(self, api: ApiClient, clock: Clock) -> None:
        self._api = api
        self.absent = AbsentOperations(clock)
        self.server_tells_inputs = False

    async def jobs(self, pipeline: str, number: str, page: str) -> list[Job]:
        """Return a pipeline build's stages, or nothing where no plugin reports them.

        Costs one request once it is known which plugin is there.
        """
        readers: dict[str, Reader] = {GRAPH: self._graph, STAGE_VIEW: self._stage_view, BLUE_OCEAN: self._blue}
        for name, reader in readers.items():
            if name in self.absent:
                continue
            try:
                return await reader(pipeline, number, page)
            except NotFound:
                self.absent.add(name)
        return []

    def learn(self, build_actions: Iterable[wire.Action]) -> None:
        """Remember that this server's builds report input steps by themselves, where one does."""
        self.server_tells_inputs = self.server_tells_inputs or tells_inputs(build_actions)

    async def inputs(self, pipeline: str, number: str, page: str) -> tuple[Approval, ...]:
        """Return the input steps that wait, as the stage view reports them; none where it is not there."""
        if INPUTS in self.absent:
            return ()
        try:
            pending = (await self._api.get(build_path(pipeline, number, "wfapi", "pendingInputActions"))).items()
        except NotFound:
            self.absent.add(INPUTS)
            return ()
        inputs = parse_items(pending, wire.PendingInput.of)
        return tuple(pending_approval(raw, build=number, pipeline=pipeline, page=page) for raw in inputs)

    async def _graph(self, pipeline: str, number: str, page: str) -> list[Job]:
        raw = wire.Graph.of((await self._api.get(build_path(pipeline, number, "stages", "tree"))).raw)
        stages = parse_items(raw.data.stages or (), wire.GraphStage.of)
        return list(graph_jobs(stages, build=number, pipeline=pipeline, page=page))

    async def _stage_view(self, pipeline: str, number: str, page: str) -> list[Job]:
        reply = await self._api.get(build_path(pipeline, number, "wfapi", "describe"), {"fullStages": True})
        stages = parse_items(wire.Described.of(reply.raw).stages or (), wire.Stage.of)
        return [stage_job(raw, build=number, pipeline=pipeline, page=page) for raw in stages]

    async def _blue(self, pipeline: str, number: str, page: str) -> list[Job]:
        route = blue_path(pipeline, number, "nodes") + "/"
        reply = await self._api.get(route)
        nodes = parse_items(reply.items(), wire.BlueNode.of)
        return [blue_job(raw, build=number, pipeline=pipeline, page=page) for raw in nodes]


def graph_jobs(stages: Iterable[wire.GraphStage], *, build: str, pipeline: str, page: str) -> Iterator[Job]:
    """Yield the graph's stages; of those that branch only the branches, with the outermost stage as their stage."""

    def inside(of: Iterable[wire.GraphStage], outer: str | None) -> Iterator[Job]:
        for raw in of:
            name = raw.name or "a stage without a name"
            if raw.placeholder:
                continue
            if raw.children:
                yield from inside(members(raw.children, wire.GraphStage.of), outer or name)
                continue
            is_over = raw.total_duration_millis is not None
            status, conclusion = state_from(raw.state, GRAPH_STATES, finished=is_over)
            started, ended = _span(raw.start_time_millis, raw.total_duration_millis, status)
            yield Job(
                id=str(raw.id),
                build=build,
                pipeline=pipeline,
                name=name,
                stage=outer,
                status=status,
                conclusion=conclusion,
                raw_state=raw.state,
                runner=raw.agent or None,
                started_at=started,
                completed_at=ended,
                web_url=f"{page}stages/?selected-node={raw.id}",
            )

    yield from inside(stages, None)


def stage_job(raw: wire.Stage, *, build: str, pipeline: str, page: str) -> Job:
    """Return a stage of the stage view as a job; it reports negative durations now and then."""
    status, conclusion = state_from(raw.status, STAGE_STATES)
    started, ended = _span(raw.start_time_millis, raw.duration_millis, status)
    return Job(
        id=raw.id,
        build=build,
        pipeline=pipeline,
        name=raw.name or "a stage without a name",
        status=status,
        conclusion=conclusion,
        raw_state=raw.status,
        reason=(raw.error.message or None) if raw.error else None,
        started_at=started,
        completed_at=ended,
        web_url=f"{page}console",
    )


def blue_job(raw: wire.BlueNode, *, build: str, pipeline: str, page: str) -> Job:
    """Return a stage of Blue Ocean as a job; one that has not run has neither state nor result."""
    is_over = raw.state == "FINISHED"
    word = (raw.result if is_over else raw.state) or "NOT_BUILT"
    status, conclusion = state_from(word, BLUE_STATES, finished=is_over)
    started = parse_time(raw.start_time)
    ended = None
    if started is not None and raw.duration_in_millis is not None and status is Status.COMPLETED:
        ended = parse_time(started.timestamp() + max(raw.duration_in_millis, 0) / 1000)
    return Job(
        id=raw.id,
        build=build,
        pipeline=pipeline,
        name=raw.display_name or "a stage without a name",
        status=status,
        conclusion=conclusion,
        raw_state=word,
        started_at=started,
        completed_at=ended,
        web_url=f"{page}console",
    )


def whole_job(raw: wire.Run, *, build: str, pipeline: str, page: str) -> Job:
    """Return a build without stages as its one job."""
    status, conclusion, result = state(raw)
    return Job(
        id=WHOLE,
        build=build,
        pipeline=pipeline,
        name=unquote(pipeline.rpartition("/")[2]),
        status=status,
        conclusion=conclusion,
        raw_state=result,
        started_at=parse_time(raw.timestamp),
        completed_at=ended_at(raw) if status is Status.COMPLETED else None,
        web_url=f"{page}console",
    )


def cell_job(raw: wire.Cell, *, build: str, pipeline: str, page: str) -> Job | None:
    """Return a combination of a matrix build as a job, named by its axes."""
    axes = unquote(raw.url.rstrip("/").rpartition("/")[0].rpartition("/")[2])
    if not is_axes(axes):
        return None
    status, conclusion, result = state(wire.Run(number=raw.number, building=raw.building, result=raw.result))
    return Job(
        id=axes,
        build=build,
        pipeline=pipeline,
        name=axes,
        status=status,
        conclusion=conclusion,
        raw_state=result,
        web_url=f"{page}console",
    )


def _span(start: int | None, duration: int | None, status: Status) -> tuple[datetime | None, datetime | None]:
    started = parse_time(start)
    if started is None or start is None or duration is None or status is not Status.COMPLETED:
        return started, None
    return started, parse_time(start + max(duration, 0))


def cell_jobs(raw: wire.Run, *, build: str, pipeline: str, page: str) -> list[Job]:
    """Return the combinations of a matrix build that ran under its number, 200 at most."""
    cells = [cell for cell in members(raw.runs, wire.Cell.of) if cell.number == raw.number][:CELLS]
    jobs = (cell_job(cell, build=build, pipeline=pipeline, page=page) for cell in cells)
    return [job for job in jobs if job is not None]


def stage_issues(jobs: Iterable[Job]) -> list[Issue]:
    """Return the stages that failed as issues."""
    return [
        Issue(kind=IssueKind.ERROR, message=f"{job.name}: {job.reason or 'failed'}", job=job.name, url=job.web_url)
        for job in jobs
        if job.conclusion is Conclusion.FAILED
    ]


def to_restart(jobs: Iterable[Job], names: Sequence[str], job: str | None, page: str) -> str:
    """Return the stage to go on from: the one named, else the first that failed. Raises Rejected with those there are."""
    if job is not None:
        candidates = [each.stage or each.name for each in jobs if each.id == job]
    else:
        candidates = [each.stage or each.name for each in jobs if each.conclusion in RESTARTED]
    stage = next((name for name in candidates if name in names), None)
    if stage is None:
        what = "That stage can't be started from" if job is not None else "No stage of this build failed"
        shown = ", ".join(f"`{name}`" for name in names[:10])
        raise Rejected(f"{what}.", provider=LABEL, hint=f"It can start from {shown}, on its page: {page}")
    return stage
