"""The parts of a build in our words: stages, input steps, tests, warnings."""

from collections.abc import Iterable, Iterator
from datetime import datetime
from urllib.parse import unquote

from bot.core.models import Approval, Conclusion, IssueCounts, Job, Outcome, Status, TestCase
from bot.providers.base.convert import StateMap, state_from
from bot.providers.base.times import parse_time
from bot.providers.jenkins import wire
from bot.providers.jenkins.convert import STATES, ended_at, parameter, state

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
COMPILERS = frozenset(
    {
        "acu-cobol",
        "armcc",
        "armcc5",
        "cargo",
        "clang",
        "cmake",
        "diabc",
        "erlc",
        "gcc",
        "gcc3",
        "gcc4",
        "ghs-multi",
        "gnat",
        "go-build",
        "groovyc",
        "iar",
        "intel",
        "java",
        "javac",
        "kotlin",
        "maven",
        "maven-warnings",
        "metrowerks",
        "msbuild",
        "nag-fortran",
        "rust",
        "sbt-scala-compiler",
        "scala",
        "scalac",
        "sunc",
        "swift",
        "swiftc",
        "tasking-vx",
        "ti-ccs",
        "tsc",
        "typescript",
        "xcode",
        "xlc",
    }
)
"""The tools of the Warnings plugin that compile; all others analyze."""
WHOLE = "build"
"""The id of the one job of a build without stages."""


# stages


def graph_jobs(stages: Iterable[wire.GraphStage], *, build: str, pipeline: str, page: str) -> Iterator[Job]:
    """Yield the graph's stages; of those that branch only the branches, with the outermost stage as their stage."""

    def inside(of: Iterable[wire.GraphStage], outer: str | None) -> Iterator[Job]:
        for it in of:
            name = it.name or "a stage without a name"
            if it.placeholder:
                continue
            if it.children:
                yield from inside(it.children, outer or name)
                continue
            over = it.total_duration_millis is not None
            status, conclusion = state_from(it.state, GRAPH_STATES, finished=over)
            started, ended = _span(it.start_time_millis, it.total_duration_millis, status)
            yield Job(
                id=str(it.id),
                build=build,
                pipeline=pipeline,
                name=name,
                stage=outer,
                status=status,
                conclusion=conclusion,
                raw_state=it.state,
                started_at=started,
                completed_at=ended,
                web_url=f"{page}stages/?selected-node={it.id}",
            )

    yield from inside(stages, None)


def stage_job(it: wire.Stage, *, build: str, pipeline: str, page: str) -> Job:
    """Return a stage of the stage view as a job; it tells negative durations now and then."""
    status, conclusion = state_from(it.status, STAGE_STATES)
    started, ended = _span(it.start_time_millis, it.duration_millis, status)
    return Job(
        id=it.id,
        build=build,
        pipeline=pipeline,
        name=it.name or "a stage without a name",
        status=status,
        conclusion=conclusion,
        raw_state=it.status,
        reason=(it.error.message or None) if it.error else None,
        started_at=started,
        completed_at=ended,
        web_url=f"{page}console",
    )


def blue_job(it: wire.BlueNode, *, build: str, pipeline: str, page: str) -> Job:
    """Return a stage of Blue Ocean as a job; one that has not run has neither state nor result."""
    is_over = it.state == "FINISHED"
    word = (it.result if is_over else it.state) or "NOT_BUILT"
    status, conclusion = state_from(word, BLUE_STATES, finished=is_over)
    started = parse_time(it.start_time)
    ended = None
    if started is not None and it.duration_in_millis is not None and status is Status.COMPLETED:
        ended = parse_time(started.timestamp() + max(it.duration_in_millis, 0) / 1000)
    return Job(
        id=it.id,
        build=build,
        pipeline=pipeline,
        name=it.display_name or "a stage without a name",
        status=status,
        conclusion=conclusion,
        raw_state=word,
        started_at=started,
        completed_at=ended,
        web_url=f"{page}console",
    )


def whole_job(it: wire.Run, *, build: str, pipeline: str, page: str) -> Job:
    """Return a build without stages as its one job."""
    status, conclusion, raw = state(it)
    return Job(
        id=WHOLE,
        build=build,
        pipeline=pipeline,
        name=unquote(pipeline.rpartition("/")[2]),
        status=status,
        conclusion=conclusion,
        raw_state=raw,
        started_at=parse_time(it.timestamp),
        completed_at=ended_at(it) if status is Status.COMPLETED else None,
        web_url=f"{page}console",
    )


def cell_job(it: wire.Cell, *, build: str, pipeline: str, page: str) -> Job | None:
    """Return a combination of a matrix build as a job, named by its axes."""
    axes = unquote(it.url.rstrip("/").rpartition("/")[0].rpartition("/")[2])
    if "=" not in axes:
        return None
    status, conclusion, raw = state(wire.Run(number=it.number, building=it.building, result=it.result))
    return Job(
        id=axes,
        build=build,
        pipeline=pipeline,
        name=axes,
        status=status,
        conclusion=conclusion,
        raw_state=raw,
        web_url=f"{page}console",
    )


def _span(start: int | None, duration: int | None, status: Status) -> tuple[datetime | None, datetime | None]:
    started = parse_time(start)
    if started is None or start is None or duration is None or status is not Status.COMPLETED:
        return started, None
    return started, parse_time(start + max(duration, 0))


# approvals


def approvals(found: Iterable[wire.Action], *, build: str, pipeline: str, page: str) -> Iterator[Approval]:
    """Yield the input steps that wait."""
    for action in found:
        for it in action.executions or () if action.waiting_for_input else ():
            if it.settled:
                continue
            asked = it.input or wire.Input()
            yield Approval(
                id=it.id,
                build=build,
                pipeline=pipeline,
                name=asked.message or it.display_name or it.id,
                fields=tuple(map(parameter, asked.parameters or ())),
                approvers=tuple(who.strip() for who in (asked.submitter or "").split(",") if who.strip()),
                can_reject=True,
                url=f"{page}input/",
            )


def pending_approval(it: wire.PendingInput, *, build: str, pipeline: str, page: str) -> Approval:
    """Return an input step as the stage view tells it; it does not say who may decide."""
    fields = (
        wire.Definition(
            name=field.name,
            type=field.type,
            description=field.description,
            choices=field.definition.choices if field.definition else None,
            default_parameter_value=wire.Default(value=field.definition.default_val) if field.definition else None,
        )
        for field in it.inputs or ()
    )
    return Approval(
        id=it.id,
        build=build,
        pipeline=pipeline,
        name=it.message or it.id,
        fields=tuple(map(parameter, fields)),
        can_reject=True,
        url=f"{page}input/",
    )


# tests and warnings


def cases_of(report: wire.Report, deep: int) -> Iterator[TestCase]:
    """Yield a report's tests, and those of its parts."""
    for suite in report.suites or ():
        for case in suite.cases or ():
            yield _case(case, suite.name)
    for child in report.child_reports or () if deep else ():
        if child.result is not None:
            yield from cases_of(child.result, deep - 1)


def _case(it: wire.CaseWire, suite: str | None) -> TestCase:
    match it.status:
        case "FAILED" | "REGRESSION":
            outcome = Outcome.FAILED
        case "PASSED" | "FIXED":
            outcome = Outcome.PASSED
        case "SKIPPED":
            outcome = Outcome.SKIPPED
        case _:
            outcome = Outcome.UNKNOWN
    return TestCase(
        name=it.name or "a test without a name",
        outcome=outcome,
        class_name=it.class_name or None,
        detail=suite if suite and suite != it.class_name else None,
        seconds=it.duration,
        message=it.error_details or it.skipped_message or None,
    )


def report_counts(it: wire.Report) -> IssueCounts:
    """Return a report's counts; some kinds count all tests, others the passed ones."""
    total = it.total_count
    if total is None and it.pass_count is not None:
        total = it.pass_count + (it.fail_count or 0) + (it.skip_count or 0)
    return IssueCounts(test_failures=it.fail_count, tests_total=total)


def is_compiler(tool: str) -> bool:
    """Return whether a tool's warnings are a compiler's rather than an analyzer's."""
    return tool.lower() in COMPILERS or "compiler" in tool.lower()


def warning_counts(tools: Iterable[wire.Tool]) -> IssueCounts:
    """Return the recorded warnings, each counted once: what compilers warn of apart from what analyzers find."""
    found = list(tools)
    if not found:
        return IssueCounts()
    lesser = [(it, sum(filter(None, (it.high_size, it.normal_size, it.low_size)))) for it in found]
    return IssueCounts(
        errors=sum(it.error_size or 0 for it in found),
        warnings=sum(size for it, size in lesser if is_compiler(it.id)),
        analyzer_warnings=sum(size for it, size in lesser if not is_compiler(it.id)),
    )
