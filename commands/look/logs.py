"""The end of a job's log: /build logs [target] [job]."""

import re
from dataclasses import dataclass, replace

from bot.blocks.logs import log_message
from bot.core.errors import NotFound, UsageError
from bot.core.models import Job, Status
from bot.core.text import folded
from bot.core.workers import in_worker
from bot.providers.base.capabilities import Capability
from bot.security.redaction import redact
from commands.act.retry import job_named
from commands.core.actions import must_be_able, noted
from commands.core.context import Answer, Command, File, Request, Role, Services
from commands.core.grammar import ParsedArgs, Target, read
from commands.core.resolve import BuildMatch, build

USAGE = "logs [target] [job] [--errors|--tail 50|--grep TEXT|--file]"
FILE_BYTES = 1024 * 1024
ERRORS = re.compile(
    r"\b(error|fatal|fail(ed|ure|ing)?|exception|panic|traceback|assert\w*)\b|✗|✕|❌|^E\s", re.IGNORECASE
)
AROUND = 2


@dataclass(frozen=True, slots=True)
class Logs:
    """Which build's log, which job, which lines."""

    target: Target
    job: str
    ask: ParsedArgs


def parse(words: str) -> Logs:
    """Read the words after `logs`. Raises UsageError."""
    ask = read(words, values=("tail", "grep", "job"), switches=("errors", "file", "public"))
    ask.number("tail", default=50, most=500)
    job = ask.flag("job") or " ".join(ask.words[1:])
    return Logs(target=ask.target(), job=job, ask=ask)


async def run(ask: Logs, request: Request, services: Services) -> Answer:
    """Return the lines that matter, secrets masked. Costs the jobs' list and one log."""
    found = await build(ask.target, request, services, acting=False, verb="logs", default="failed")
    must_be_able(found.place, Capability.LOG, found.build)
    wanted = ask.job or found.job
    job = await job_named(found, wanted) if wanted else await _telling(found)
    if job.status is not Status.COMPLETED and not found.provider.can(Capability.LIVE_LOG):
        raise found.provider.unsupported(Capability.LIVE_LOG, found.build.web_url)
    if ask.ask.has("file"):
        whole = await found.provider.log(job, FILE_BYTES)
        name = f"{re.sub(r'[^A-Za-z0-9._-]+', '-', found.place.label)}-{found.build.number or found.build.id}.log"
        file = File(
            name=name, content=(await in_worker(redact, whole.text)).encode(), title=f"{job.name} · {found.place.label}"
        )
        return Answer(file=file, connection=found.place.connection, pipeline=found.place.pipeline, build=found.build.id)
    log = await found.provider.log(job)
    lines = log.text.rstrip("\n").split("\n")
    tail = ask.ask.number("tail", default=50, most=500)
    pattern = ask.ask.flag("grep")
    errors_only = not ask.ask.has("tail") and pattern is None
    if pattern is not None:
        wanted = folded(pattern)
        lines = [line for line in lines if wanted in folded(line)]
        if not lines:
            raise UsageError(f"No line near the end of {job.name} holds `{pattern}`.", hint="`--file` gives you more.")
    elif errors_only:
        lines = errors_in(lines) or lines[-20:]
    shown = replace(log, text="\n".join(lines[-tail:]), truncated=log.truncated or len(lines) > tail, job=job.name)
    return Answer(
        message=noted(
            log_message(
                shown,
                build=found.build,
                label=found.place.label,
                job=job.name,
                errors_only=errors_only,
                now=request.now,
            ),
            found.place,
        ),
        public=ask.ask.has("public"),
        connection=found.place.connection,
        pipeline=found.place.pipeline,
        build=found.build.id,
    )


def errors_in(lines: list[str]) -> list[str]:
    """Return the lines that speak of errors with two lines around each, gaps marked."""
    keep: set[int] = set()
    for index, line in enumerate(lines):
        if ERRORS.search(line):
            keep.update(range(max(index - AROUND, 0), min(index + AROUND + 1, len(lines))))
    shown: list[str] = []
    before = -1
    for index in sorted(keep):
        if shown and index > before + 1:
            shown.append("…")
        shown.append(lines[index])
        before = index
    return shown


async def _telling(found: BuildMatch) -> Job:
    """Return the job whose log tells most: the first hard failure, else any red one, else the one running, else the last."""
    jobs = [job for job in await found.provider.jobs(found.build.pipeline, found.build.id) if not job.retried]
    if not jobs:
        raise NotFound(f"{found.place.label} has no jobs with a log in this build.", provider=found.provider.label)

    def rank(job: Job) -> int:
        red = job.conclusion is not None and job.conclusion.is_red
        if red:
            return 1 if job.tolerated else 0
        if job.status is Status.IN_PROGRESS:
            return 2
        return 3 if job.status is Status.COMPLETED and job.conclusion != "skipped" else 4

    best = min(rank(job) for job in jobs)
    fits = [job for job in jobs if rank(job) == best]
    return fits[0] if best < 2 else fits[-1]


COMMAND = Command(
    verb="logs",
    usage=USAGE,
    summary="Errors of the last failed build",
    role=Role.VIEW,
    group="Look",
    parse=parse,
    run=run,
    aliases=("log",),
    flags=(
        ("--errors", "lines that speak of errors (the default)"),
        ("--tail 50", "the last lines as they are"),
        ("--grep TEXT", "lines that hold a text"),
        ("--file", "the end of the log as a file"),
        ("--public", "show it to the channel"),
    ),
    examples=("logs", "logs #412 test --tail 100", "logs web --grep timeout"),
    inferred="the last failed build, and its first failed job",
)
