"""Answers that list things: logs, tests, issues, artifacts, jobs, and what a workspace can see."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from bot.blocks.buttons import command
from bot.blocks.lines import called, counts_line, failure_words
from bot.blocks.message import (
    Block,
    Message,
    actions,
    button,
    context,
    link_button,
    preformatted,
    section,
    sections,
)
from bot.blocks.redact import redact
from bot.blocks.text import (
    DOT,
    STEP,
    bold,
    clean_url,
    code,
    duration,
    escape,
    link,
    mark_of,
    plural,
    safe,
    since,
    when,
)
from bot.models import Artifact, Build, Issue, IssueCounts, IssueKind, Job, Log, Outcome, Pipeline, TestCase, spoken

LOG_CHARACTERS = 2900
MOST = 25
SLOWEST = 5

_KINDS = (
    (IssueKind.ERROR, "✕", "errors"),
    (IssueKind.TEST_FAILURE, "✕", "test failures"),
    (IssueKind.WARNING, "⚠", "warnings"),
    (IssueKind.ANALYZER_WARNING, "⚠", "analyzer warnings"),
)
_UNITS = ("bytes", "kB", "MB", "GB", "TB")


def log_message(log: Log, *, build: Build, label: str, job: str | None, errors_only: bool, now: datetime) -> Message:
    """Return the end of a log in a fixed font, its secrets masked. Too long a text loses its beginning, not its end."""
    name = job or log.job
    what = "Errors" if errors_only else "Log"
    of = f" of {safe(name, 80)}" if name else ""
    title = f"{what}{of}{DOT}{safe(called(build, label), 120)}"
    body = redact(log.text).strip("\n")
    shortened = len(body) > LOG_CHARACTERS
    if shortened:
        body = body[-LOG_CHARACTERS:]
        body = body.partition("\n")[2] or body
    if not body.strip():
        empty = "No errors found in it." if errors_only else "It is empty."
        shown: tuple[Block, ...] = (section(empty),)
    else:
        shown = (preformatted(body, LOG_CHARACTERS),)
    small = ["the end of a longer log" if log.truncated or shortened else "", f"read {when(now)}"]
    rest = [] if not errors_only else [button("Whole end", f"{command('logs', build)} --tail 200")]
    return Message(
        text=f"{title}: {plural(len(body.splitlines()), 'line')}",
        blocks=(
            section(f"*{title}*"),
            *shown,
            context(" · ".join(part for part in small if part)),
            actions(link_button("Open", log.url or build.web_url), *rest),
        ),
    )


def tests_message(
    tests: Sequence[TestCase], *, build: Build, label: str, now: datetime, complete: bool = True
) -> Message:
    """Return the tests of a build: the failed ones first with their messages, then the slowest."""
    failed = [case for case in tests if case.outcome is Outcome.FAILED]
    passed = sum(1 for case in tests if case.outcome is Outcome.PASSED)
    skipped = sum(1 for case in tests if case.outcome is Outcome.SKIPPED)
    other = len(tests) - len(failed) - passed - skipped
    counted = [
        f"{count:,} {word}"
        for count, word in ((len(failed), "failed"), (passed, "passed"), (skipped, "skipped"), (other, "unknown"))
        if count
    ]
    title = f"Tests of {safe(called(build, label), 120)}"
    summary = ", ".join(counted) or "none reported"
    lines = [_test_line(case) for case in failed[:MOST]]
    if len(failed) > MOST:
        lines.append(f"… {len(failed) - MOST} more failed")
    timed = sorted(
        ((case.seconds, case) for case in tests if case.seconds is not None and case.seconds >= 1),
        key=lambda pair: pair[0],
        reverse=True,
    )[:SLOWEST]
    slow = [f"{duration(seconds)}  {code(_test_name(case), 120)}" for seconds, case in timed]
    blocks: list[Block] = [section(f"*{title}*{DOT}{summary}"), *sections(lines)]
    if slow:
        blocks += sections(["*Slowest*", *slow])
    if not complete:
        blocks.append(context("The system lists more tests than I read"))
    blocks.append(actions(link_button("Open", build.web_url), button("Errors in the log", command("logs", build))))
    first = f". First: {safe(_test_name(failed[0]), 150)}" if failed else ""
    return Message(text=f"{title}: {summary}{first}", blocks=tuple(blocks))


def _test_name(case: TestCase) -> str:
    return f"{case.class_name}.{case.name}" if case.class_name else case.name


def _test_line(case: TestCase) -> str:
    where = f"{DOT}{safe(case.detail, 80)}" if case.detail else ""
    why = f"\n      {safe(failure_words(case.message, 250), 250)}" if case.message else ""
    took = f"{DOT}{duration(case.seconds)}" if case.seconds is not None and case.seconds >= 1 else ""
    return f"✕ {code(_test_name(case), 150)}{where}{took}{why}"


def issues_message(
    issues: Sequence[Issue],
    *,
    build: Build,
    label: str,
    counts: IssueCounts | None = None,
    now: datetime,
) -> Message:
    """Return the issues of a build by kind, the gravest first; `counts` are the system's own (default: the build's)."""
    known = counts if counts is not None else build.issues
    title = f"Issues of {safe(called(build, label), 120)}"
    summary = counts_line(known).replace("    ", ", ") or (plural(len(issues), "issue") if issues else "none")
    blocks: list[Block] = [section(f"*{title}*{DOT}{summary}")]
    room = MOST
    for kind, shape, words in _KINDS:
        mine = [issue for issue in issues if issue.kind is kind]
        shown = mine[:room]
        room -= len(shown)
        lines = [_issue_line(issue, shape) for issue in shown]
        if len(mine) > len(shown):
            lines.append(f"… {len(mine) - len(shown)} more {words}")
        blocks += sections(lines)
    blocks.append(actions(link_button("Open", build.web_url), button("Logs", command("logs", build))))
    first = f". First: {safe(failure_words(issues[0].message, 150), 150)}" if issues else ""
    return Message(text=f"{title}: {summary}{first}", blocks=tuple(blocks))


def _issue_line(issue: Issue, shape: str) -> str:
    place = issue.file or ""
    if place and issue.line is not None:
        place += f":{issue.line}"
    shown = link(redact(issue.url), place or "see it", 120) if clean_url(issue.url) and issue.url else ""
    where = shown or (code(place, 120) if place else "")
    message = safe(failure_words(issue.message, 250) or "no message", 250)
    return DOT.join(part for part in (f"{shape} {message}", where, safe(issue.job, 60) if issue.job else "") if part)


def artifacts_message(artifacts: Sequence[Artifact], build: Build, label: str) -> Message:
    """Return the files a build left, with sizes; a link only where a browser may open it."""
    title = f"Artifacts of {safe(called(build, label), 120)}"
    lines = [_artifact_line(artifact) for artifact in artifacts[: MOST * 2]]
    if len(artifacts) > MOST * 2:
        lines.append(f"… {len(artifacts) - MOST * 2} more")
    return Message(
        text=f"{title}: {plural(len(artifacts), 'file')}",
        blocks=(
            section(f"*{title}*{DOT}{plural(len(artifacts), 'file')}"),
            *sections(lines),
            actions(link_button("Open", build.web_url)),
        ),
    )


def _artifact_line(artifact: Artifact) -> str:
    name = link(artifact.url, artifact.name, 150) if clean_url(artifact.url) else code(artifact.name, 150)
    size = size_words(artifact.size_bytes) if artifact.size_bytes is not None else ""
    kind = safe(artifact.kind, 40) if artifact.kind else ""
    return "• " + DOT.join(part for part in (name, size, kind, safe(artifact.job, 60) if artifact.job else "") if part)


def size_words(size_bytes: int) -> str:
    """Return a size as people read it: `512 bytes`, `3.4 MB`."""
    if size_bytes < 1000:
        return plural(size_bytes, "byte")
    size = float(size_bytes)
    position = 0
    while size >= 999.95 and position < len(_UNITS) - 1:
        size /= 1000
        position += 1
    return f"{size:.1f} {_UNITS[position]}"


def jobs_lines(jobs: Sequence[Job], now: datetime) -> tuple[str, ...]:
    """Return one line for each job: its state, stage, name and time. A tolerated failure says so."""
    lines: list[str] = []
    for job in jobs:
        shown = mark_of(job.status, job.conclusion)
        stage = f"{safe(job.stage, 60)}{STEP}" if job.stage else ""
        seconds = job.seconds
        if seconds is None and job.started_at is not None and job.completed_at is None:
            seconds = since(job.started_at, now)
        parts = [
            f"{shown.shape} {stage}{link(job.web_url, job.name, 100)}",
            escape(shown.word),
            duration(seconds) if seconds is not None else "",
            counts_line(job.issues).replace("    ", ", "),
            safe(redact(job.reason), 120) if job.reason else "",
            "allowed to fail" if job.tolerated else "",
            "tried again" if job.retried else "",
        ]
        lines.append(DOT.join(part for part in parts if part))
    return tuple(lines)


def jobs_message(jobs: Sequence[Job], *, build: Build, label: str, now: datetime) -> Message:
    """Return the jobs of a build, in the order given."""
    title = f"Jobs of {safe(called(build, label), 120)}"
    lines = jobs_lines(jobs[: MOST * 2], now)
    more = (f"… {len(jobs) - MOST * 2} more",) if len(jobs) > MOST * 2 else ()
    return Message(
        text=f"{title}: {plural(len(jobs), 'job')}",
        blocks=(
            section(f"*{title}*"),
            *sections((*lines, *more) or ("No jobs.",)),
            actions(link_button("Open", build.web_url), button("Logs", command("logs", build))),
        ),
    )


def _listing(
    title: str, lines: Sequence[str], *, none: str, total: int | None = None, more_command: str | None = None
) -> Message:
    """Return a titled list of at most 50 lines that says how many are left out."""
    count = len(lines) if total is None else total
    shown = list(lines[: MOST * 2])
    if count > len(shown):
        shown.append(f"… {count - len(shown)} more")
    more = (actions(button("More", more_command)),) if more_command and count > MOST * 2 else ()
    return Message(
        text=f"{title}: {count:,}" if count else f"{title}: {none}",
        blocks=(section(f"*{title}*"), *sections(shown or [none]), *more),
    )


def pipelines_message(
    rows: Sequence[tuple[str, str, str, bool, str | None]],
    *,
    pattern: str | None = None,
    total: int | None = None,
    more_command: str | None = None,
) -> Message:
    """Return pipelines as (connection, path, name, enabled, web_url), each with the words that name it."""
    lines = [
        DOT.join(
            part
            for part in (
                f"• {link(url, name, 120)}",
                code(spoken(connection, path), 200),
                "" if enabled else "disabled",
            )
            if part
        )
        for connection, path, name, enabled, url in rows
    ]
    fitting = f" like {safe(pattern, 60)}" if pattern else ""
    return _listing(f"Pipelines{fitting}", lines, none="none found", total=total, more_command=more_command)


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkLine:
    """A link as a list shows it. `hears` are the filter's words."""

    label: str
    connection: str
    path: str
    hears: str
    alias: str | None = None
    default: bool = False
    paused_reason: str | None = None


def links_message(links: Sequence[LinkLine], *, channel_name: str) -> Message:
    """Return what a channel follows, and what it hears of each."""
    lines = [
        DOT.join(
            part
            for part in (
                f"• {bold(held.label, 120)}",
                f"as {code(held.alias, 60)}" if held.alias else "",
                "default" if held.default else "",
                code(spoken(held.connection, held.path), 200),
                f"hears {safe(held.hears, 200)}",
                f"paused: {safe(held.paused_reason, 150)}" if held.paused_reason else "",
            )
            if part
        )
        for held in links
    ]
    where = safe(f"#{channel_name}", 80) if channel_name else "this channel"
    return _listing(f"Linked to {where}", lines, none="nothing yet")


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionLine:
    """A connection as a list shows it. `failing_since` and `error` speak of its last tries."""

    name: str
    label: str
    account: str | None = None
    error: str | None = None
    failing_since: datetime | None = None
    expires_at: datetime | None = None


def connections_message(rows: Sequence[ConnectionLine]) -> Message:
    """Return the connections a workspace may see, and which of them fail."""
    lines = []
    for row in rows:
        failing = row.error is not None or row.failing_since is not None
        since_then = f" since {when(row.failing_since)}" if row.failing_since else ""
        why = f": {safe(redact(row.error), 200)}" if row.error else ""
        parts = (
            f"{'✕' if failing else '✓'} {bold(row.name, 80)}",
            safe(row.label, 60),
            safe(row.account, 80) if row.account else "",
            f"failing{since_then}{why}" if failing else "",
            f"token ends {when(row.expires_at)}" if row.expires_at else "",
        )
        lines.append(DOT.join(part for part in parts if part))
    return _listing("Connections", lines, none="none; an admin adds one with `connect`")


def branches_message(
    branches: Sequence[str], *, label: str, default: str | None = None, more_command: str | None = None
) -> Message:
    """Return the branches of a pipeline, in the order given; the default one says so."""
    lines = [f"• {code(name, 150)}" + (f"{DOT}default" if name == default else "") for name in branches]
    return _listing(f"Branches of {safe(label, 120)}", lines, none="none found", more_command=more_command)


def pipeline_rows(connection: str, pipelines: Sequence[Pipeline]) -> list[tuple[str, str, str, bool, str | None]]:
    """Return pipelines as the rows `pipelines_message` takes."""
    return [
        (connection, one.path, f"{one.group} / {one.name}" if one.group else one.name, one.enabled, one.web_url)
        for one in pipelines
    ]
