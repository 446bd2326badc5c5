"""How builds have been doing: /build stats [target] [--since 30d] [--by branch|job|author]."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from statistics import median

from bot.blocks.charts import Cell, Number, chart, data_table
from bot.blocks.message import Block, Message, sections
from bot.blocks.message import context as small_print
from bot.blocks.text import bold, code, duration, escape, plural, when
from bot.core.errors import ProviderError, UsageError
from bot.core.models import Build, Conclusion, Job, TestCase
from bot.core.recurrence import zone_of
from bot.providers.base.capabilities import Capability
from bot.store.rows import AttemptRow
from commands.core.actions import must_be_able, noted
from commands.core.context import Answer, Context, Role
from commands.core.durations import parse_duration
from commands.core.grammar import Target, read
from commands.core.listings import recent_builds
from commands.core.matches import PipelineMatch
from commands.core.registry import Command, anyone
from commands.core.resolve import resolve_pipeline
from commands.look.newest import FlakyTest, JobTimes, flaky_tests, job_times, newest_results, read_each
from commands.look.noise import noise_report
from commands.look.statistics import (
    RED,
    Tally,
    Times,
    branch_of,
    by,
    by_day,
    flaky_commits,
    is_of_branch,
    tally,
)

USAGE = "stats [target] [--since 30d] [--by branch|job|author] | --noise"
MOST_WAITS = 200
MOST_GROUPS = 8
MOST_LISTED = 5
FLAKY_HEAD = ("Test", "Runs", "Failed", "Same commit", "Changes")
JOB_HEAD = ("Job", "Runs", "Failed", "p50", "p90")


class By(StrEnum):
    """What builds are added up by."""

    BRANCH = "branch"
    JOB = "job"
    AUTHOR = "author"


@dataclass(frozen=True, slots=True, kw_only=True)
class Args:
    """Which pipeline, since how long ago, added up by what. Without `by` the flakiest tests and slowest jobs come, too."""

    target: Target
    since: timedelta
    by: By | None = None
    public: bool = False
    noise: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A part of the answer: as a table, and as lines of text that say the same."""

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    lines: tuple[str, ...]


def parse(words: str) -> Args:
    """Read the words after `stats`. Raises UsageError."""
    parsed = read(words, values=("since", "by"), switches=("public", "noise"))
    by_word = parsed.flag("by")
    if by_word is not None and by_word.lower() not in set(By):
        raise UsageError(f"`--by` takes `branch`, `job` or `author`, not `{by_word}`.", usage=USAGE)
    return Args(
        target=parsed.only_target(USAGE).of_pipeline("stats", takes_ref=True),
        since=parse_duration(parsed.flag("since") or "30d"),
        by=By(by_word.lower()) if by_word is not None else None,
        public=parsed.public,
        noise=parsed.has("noise"),
    )


async def resolve(args: Args, context: Context) -> PipelineMatch | None:
    """Return the pipeline named, else the default one; None for the channel's noise."""
    if args.noise:
        return None
    pipeline = await resolve_pipeline(args.target, context, acting=False, verb="stats")
    if args.by is By.JOB:
        must_be_able(pipeline, Capability.JOBS)
    return pipeline


async def run(args: Args, pipeline: PipelineMatch | None, context: Context) -> Answer:
    """Chart how a pipeline's stored attempts ended, ran and waited; list what is flaky and slow in its newest builds.

    Without a pipeline, answer with the posts of the channel.
    Costs a listing and up to twenty requests for tests and jobs; with `--by branch`, `--by author` and `--noise` none.
    """
    if pipeline is None:
        return Answer(message=await noise_report(context), public=args.public)
    since = context.now - args.since
    attempts = await context.store.attempts.since(pipeline.connection, pipeline.id, since)
    branch = args.target.ref.name if args.target.ref else ""
    attempts = [attempt for attempt in attempts if not branch or is_of_branch(attempt, branch)]
    if not attempts:
        raise UsageError(f"No build of {pipeline.name} ended in that time, as far as I have seen.")
    days, width = by_day(attempts, since, context.now, zone_of(await context.zone()))
    tables, notes = await _tables(args, pipeline, attempts)
    title = f"{escape(pipeline.name)}{f' on {escape(branch)}' if branch else ''} since {when(since)}"
    summary = [bold(pipeline.name), *summary_lines(attempts)]
    ended = {attempt.build for attempt in attempts}
    known_builds = await context.store.builds.of_pipeline(pipeline.connection, pipeline.id, limit=MOST_WAITS)
    waits = [build.waited_seconds for build in known_builds if build.id in ended and build.waited_seconds is not None]
    if waits:
        summary.append(f"Waited for a machine: usually {duration(median(waits))}, at most {duration(max(waits))}")
    unit = "day" if width == 1 else f"{width} days"
    listed = [f"*Each {unit}*", *(f"• {escape(day.name)}: {_tally_words(day)}" for day in days)]
    for table in tables:
        listed += [f"*{escape(table.title)}*", *table.lines]
    small: tuple[Block, ...] = (small_print(escape(". ".join(notes) + ".")),) if notes else ()
    text = "\n".join([f"{title}: {_share(attempts)} passed", *summary[1:], *listed])
    message = Message(
        text=text,
        blocks=(*sections(summary), *_charts(days, unit), *map(_drawn, tables), *small),
        fallback=(*sections([*summary, *listed]), *small),
    )
    return Answer(message=noted(message, pipeline), public=args.public)


def _charts(days: Sequence[Tally], unit: str) -> tuple[Block, ...]:
    """Return the two charts that a message may hold: how builds ended, and how long they ran and waited."""
    names = [day.name for day in days]
    ends = {
        "Passed": [float(day.passed) for day in days],
        "Failed": [float(day.failed) for day in days],
        "Success %": [day.share or 0.0 for day in days],
    }
    times = {
        "Run p50": [day.runs.p50 for day in days],
        "Run p90": [day.runs.p90 for day in days],
        "Queue p50": [day.waits.p50 for day in days],
        "Queue p90": [day.waits.p90 for day in days],
    }
    timed = {
        name: [(value or 0.0) / 60 for value in values]
        for name, values in times.items()
        if any(value is not None for value in values)
    }
    charts = [chart("bar", f"Builds each {unit}", names, ends, x_label=f"{unit} of the end", y_label="builds, %")]
    if timed:
        charts.append(
            chart("line", f"Run and queue time each {unit}", names, timed, x_label=f"{unit} of the end", y_label="min")
        )
    return tuple(charts)


async def _tables(args: Args, pipeline: PipelineMatch, attempts: Sequence[AttemptRow]) -> tuple[list[Table], list[str]]:
    """Return the tables that were requested, and what could not be read for them."""
    match args.by:
        case By.BRANCH:
            return [_tally_table("By branch", "Branch", by(attempts, branch_of))], []
        case By.AUTHOR:
            return [_tally_table("By author", "Author", by(attempts, lambda attempt: attempt.author))], []
        case By.JOB:
            builds = await _newest(args, pipeline)
            jobs, note = await slow_jobs(pipeline, builds)
            return [job_table(jobs)] if jobs else [], [note] if note else []
        case None:
            return await _usual_tables(args, pipeline, attempts)


async def _usual_tables(
    args: Args, pipeline: PipelineMatch, attempts: Sequence[AttemptRow]
) -> tuple[list[Table], list[str]]:
    """Return the branches, and what is flaky and slow as far as the CI system can be asked for it."""
    groups = by(attempts, branch_of)
    tables = [_tally_table("By branch", "Branch", groups)] if len(groups) > 1 else []
    notes: list[str] = []
    try:
        builds = await _newest(args, pipeline)
        if pipeline.provider.can(Capability.TESTS):
            tests, note = await tests_of(pipeline, builds)
            tables += [flaky_table(tests)] if tests else []
            notes += [f"Tests: {note}"] if note else []
        if pipeline.provider.can(Capability.JOBS):
            jobs, note = await slow_jobs(pipeline, builds)
            tables += [job_table(jobs)] if jobs else []
            notes += [f"Jobs: {note}"] if note else []
    except ProviderError as exc:
        notes.append(f"Tests and jobs could not be read: {str(exc).rstrip('.')}")
    return tables, notes


async def _newest(args: Args, pipeline: PipelineMatch) -> list[Build]:
    return newest_results(pipeline, [build async for build in recent_builds(pipeline, args.target.ref)])


async def tests_of(pipeline: PipelineMatch, builds: Sequence[Build]) -> tuple[list[FlakyTest], str]:
    """Return the flaky tests of some builds, the flakiest first, and what could not be read. One request a build."""

    async def read_tests(build: Build) -> Sequence[TestCase]:
        return await pipeline.provider.tests(build.pipeline, build.id)

    runs, note = await read_each(builds, read_tests)
    return flaky_tests(runs), note


async def slow_jobs(pipeline: PipelineMatch, builds: Sequence[Build]) -> tuple[list[JobTimes], str]:
    """Return the jobs of some builds, the slowest first, and what could not be read. One request a build."""

    async def read_jobs(build: Build) -> Sequence[Job]:
        return await pipeline.provider.jobs(build.pipeline, build.id)

    runs, note = await read_each(builds, read_jobs)
    return job_times([job for _build, jobs in runs for job in jobs]), note


def flaky_table(tests: Sequence[FlakyTest]) -> Table:
    """Return flaky tests as a table."""
    return Table(
        title="Flakiest tests",
        head=FLAKY_HEAD,
        rows=tuple(
            (test.name, *(_count(value) for value in (test.runs, test.failed, test.same_commit, test.flips)))
            for test in tests
        ),
        lines=tuple(
            f"• {code(test.name, 120)}: failed {test.failed} of {test.runs}, changed {plural(test.flips, 'time')}"
            + (f", {plural(test.same_commit, 'commit')} both ways" if test.same_commit else "")
            for test in tests[:MOST_LISTED]
        ),
    )


def job_table(jobs: Sequence[JobTimes]) -> Table:
    """Return jobs with their times as a table."""
    return Table(
        title="Slowest jobs",
        head=JOB_HEAD,
        rows=tuple(
            (job.name, _count(job.runs), _count(job.failed), _time(job.times.p50), _time(job.times.p90)) for job in jobs
        ),
        lines=tuple(
            f"• {code(job.name, 120)}: {_times_words(job.times)}, failed {job.failed} of {job.runs}"
            for job in jobs[:MOST_LISTED]
        ),
    )


def _tally_table(title: str, what: str, groups: Sequence[Tally]) -> Table:
    return Table(
        title=title,
        head=(what, "Builds", "Passed", "Failed", "Success", "Run p50", "Run p90", "Queue p50", "Queue p90"),
        rows=tuple(
            (
                group.name,
                _count(group.builds),
                _count(group.passed),
                _count(group.failed),
                Number(value=group.share if group.share is not None else -1.0, text=_percent(group.share)),
                _time(group.runs.p50),
                _time(group.runs.p90),
                _time(group.waits.p50),
                _time(group.waits.p90),
            )
            for group in groups
        ),
        lines=tuple(f"• {code(group.name)}: {_tally_words(group)}" for group in groups[:MOST_GROUPS]),
    )


def _drawn(table: Table) -> Block:
    return data_table(table.title, table.head, table.rows)


def _count(value: int) -> Number:
    return Number(value=value, text=f"{value:,}")


def _time(seconds: float | None) -> Number:
    return Number(value=-1.0 if seconds is None else seconds, text="—" if seconds is None else duration(seconds))


def _percent(share: float | None) -> str:
    return "none" if share is None else f"{int(share)} %"


def _tally_words(group: Tally) -> str:
    waits = f", waited {_times_words(group.waits)}" if group.waits.p50 is not None else ""
    runs = f", ran {_times_words(group.runs)}" if group.runs.p50 is not None else ""
    return f"{plural(group.builds, 'build')}, {_percent(group.share)} passed{runs}{waits}"


def _times_words(times: Times) -> str:
    if times.p50 is None or times.p90 is None:
        return "—"
    return f"{duration(times.p50)} (p90 {duration(times.p90)})"


def summary_lines(attempts: Sequence[AttemptRow]) -> list[str]:
    """Return how many attempts there were, how they ended and how long they took."""
    passed = [attempt for attempt in attempts if attempt.conclusion == "passed"]
    red = [attempt for attempt in attempts if attempt.conclusion in RED]
    seconds = [attempt.seconds for attempt in passed if attempt.seconds is not None]
    flaky = flaky_commits(attempts)
    cancelled = sum(1 for attempt in attempts if attempt.conclusion == Conclusion.CANCELLED.value)
    stopped = f" · {cancelled} cancelled" if cancelled else ""
    share = _share(attempts)
    lines = [f"{plural(len(attempts), 'build')} · {len(passed)} passed · {len(red)} failed{stopped} · {share} green"]
    if seconds:
        lines.append(f"Usually {duration(median(seconds))}, at most {duration(max(seconds))}")
    approvals = [attempt.approval_seconds for attempt in attempts if attempt.approval_seconds >= 1]
    if approvals:
        lines.append(f"Waited for approval: usually {duration(median(approvals))}, at most {duration(max(approvals))}")
    if flaky:
        lines.append(f"{plural(flaky, 'commit')} both passed and failed: flaky")
    return lines


def _share(attempts: Sequence[AttemptRow]) -> str:
    return _percent(tally("", attempts).share)


COMMAND = Command(
    verb="stats",
    names_target=True,
    usage=USAGE,
    summary="How often it is green, and how long it takes",
    role=Role.VIEW,
    group="Look",
    parse=parse,
    resolve=resolve,
    authorize=anyone,
    run=run,
    flags=(
        ("--since 30d", "how far back"),
        ("--by branch", "one table: by `branch`, `author`, or `job` (of the ten newest builds)"),
        ("--noise", "how much is posted here, and what would be enough"),
        ("--public", "show it to the channel"),
    ),
    examples=("stats", "stats web@main --since 7d", "stats web --by author", "stats --noise"),
    inferred="the channel's default pipeline",
)
