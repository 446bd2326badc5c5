"""The end of a job's log: /build logs [target] [job]."""

import re
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from bot.blocks.logs import log_message
from bot.blocks.message import Message
from bot.blocks.message import context as small_print
from bot.blocks.text import when
from bot.core.acting import begin_act
from bot.core.errors import NotFound, UsageError
from bot.core.models import Build, Job, Log, Status
from bot.core.text import folded
from bot.core.workers import in_worker
from bot.providers.base.capabilities import Capability
from bot.security.redaction import redact
from bot.store.rows import NewLogFollow
from commands.act.jobs import job_named
from commands.core.actions import must_be_able, noted
from commands.core.context import Answer, Context, File, Role, Source
from commands.core.grammar import Target, read
from commands.core.matches import BuildMatch
from commands.core.registry import Command, anyone
from commands.core.resolve import resolve_build

USAGE = "logs [target] [job] [--errors|--tail 50|--grep TEXT|--follow|--file]"
FILE_BYTES = 1024 * 1024
LINES = 50
MOST_LINES = 500
FOLLOW_EVERY = timedelta(seconds=15)
FOLLOWED_FOR = timedelta(hours=6)
MOST_FOLLOWED = 10
ERRORS = re.compile(
    r"\b(error|fatal|fail(ed|ure|ing)?|exception|panic|traceback|assert\w*)\b|✗|✕|❌|^E\s", re.IGNORECASE
)
AROUND = 2
ERASED_WITHIN = timedelta(days=180)
MOST_AUDIT = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class Args:
    """Which build's log, which job, which lines. Without `tail` and `grep` the lines that speak of errors."""

    target: Target
    job: str = ""
    tail: int | None = None
    grep: str | None = None
    file: bool = False
    follow: bool = False
    public: bool = False


def parse(words: str) -> Args:
    """Read the words after `logs`. Raises UsageError."""
    parsed = read(words, values=("tail", "grep", "job"), switches=("errors", "file", "follow", "public"))
    if parsed.has("follow") and any(parsed.has(name) for name in ("grep", "file", "tail", "errors")):
        raise UsageError("`--follow` shows the end of the log as it grows; nothing else goes with it.", usage=USAGE)
    return Args(
        target=parsed.target(),
        job=parsed.flag("job") or " ".join(parsed.words[1:]),
        tail=parsed.number("tail", default=LINES, most=MOST_LINES) if parsed.has("tail") else None,
        grep=parsed.flag("grep"),
        file=parsed.has("file"),
        follow=parsed.has("follow"),
        public=parsed.public,
    )


async def resolve(args: Args, context: Context) -> BuildMatch:
    """Return the build named, else the last failed one."""
    match = await resolve_build(args.target, context, acting=False, verb="logs", default="failed")
    must_be_able(match.pipeline, Capability.LOG, match.build)
    return match


async def run(args: Args, match: BuildMatch, context: Context) -> Answer:
    """Return the lines that matter, secrets masked. Costs the jobs' list and one log."""
    named = args.job or match.job
    job = await job_named(match, named, reads=True) if named else await _telling_job(match)
    if job.status is not Status.COMPLETED and not match.provider.can(Capability.LIVE_LOG):
        raise match.provider.unsupported(Capability.LIVE_LOG, match.build.web_url)
    if args.follow and job.status is not Status.COMPLETED:
        return await _follow(job, match, context)
    if args.file:
        whole = await _log(match, job, context, FILE_BYTES)
        return Answer(file=await _file(whole, job, match, private=not args.public))
    log = await _log(match, job, context)
    lines = log.text.rstrip("\n").split("\n")
    errors_only = args.tail is None and args.grep is None
    if args.grep is not None:
        part = folded(args.grep)
        lines = [line for line in lines if part in folded(line)]
        if not lines:
            raise UsageError(
                f"No line near the end of {job.name} holds `{args.grep}`.", hint="`--file` gives you more."
            )
    elif errors_only:
        errors = errors_in(lines)
        errors_only = bool(errors)
        lines = errors or lines[-LINES:]
    tail = args.tail or LINES
    shown = replace(log, text="\n".join(lines[-tail:]), truncated=log.truncated or len(lines) > tail, job=job.name)
    message = log_message(
        shown,
        build=match.build,
        label=match.pipeline.name,
        job=job.name,
        errors_only=errors_only,
        now=context.now,
    )
    return Answer(message=noted(message, match.pipeline), public=args.public)


async def _follow(job: Job, match: BuildMatch, context: Context) -> Answer:
    """Post the end of a running job's log in the build's thread, and have it edited until the job ends."""
    if context.source is Source.TERMINAL or context.is_direct:
        raise UsageError("A log is followed in a channel.", hint="Without `--follow` you see its end now.")
    rows = await context.store.log_follows.of_channel(context.team, context.channel)
    if any((row.build, row.job) == (match.build.id, job.id) for row in rows):
        raise UsageError(f"The log of {job.name} is followed here already.")
    if len(rows) >= MOST_FOLLOWED:
        raise UsageError(f"{MOST_FOLLOWED} logs are followed in this channel already.")
    try:
        log = await _log(match, job, context)
    except NotFound:
        log = Log(text="", job=job.name)
    cards = await context.store.cards.showing(match.build.key)
    card = next((card.ts for card in cards if (card.team, card.channel) == (context.team, context.channel)), "")
    message = followed(log, job, match.build, label=match.pipeline.name, now=context.now, ends=False)
    await begin_act()
    channel, ts = await context.services.sender.post(
        context.team, context.channel, message, thread=context.thread or card
    )
    await context.store.log_follows.add(
        NewLogFollow(
            team=context.team,
            channel=channel,
            ts=ts,
            user=context.user,
            connection=match.build.connection,
            pipeline=match.build.pipeline,
            build=match.build.id,
            job=job.id,
            label=match.pipeline.name,
            due_at=context.now + FOLLOW_EVERY,
            until=context.now + FOLLOWED_FOR,
        )
    )
    return Answer(silent=True)


def followed(log: Log, job: Job, build: Build, *, label: str, now: datetime, ends: bool) -> Message:
    """Return the end of a followed log, and how the job ended or that this goes on."""
    tail = log.text.rstrip("\n").split("\n")[-LINES:]
    shown = replace(log, text="\n".join(tail), truncated=log.truncated or len(tail) == LINES, job=job.name)
    message = log_message(shown, build=build, label=label, job=job.name, errors_only=False, now=now)
    if job.status is Status.COMPLETED:
        state = f"The job has ended: {job.conclusion.value if job.conclusion else 'unknown'}"
    else:
        state = "Not followed any longer" if ends else "Following; edited every 15 s until the job ends"
    return replace(message, text=f"{message.text}. {state}", blocks=(*message.blocks, small_print(state)))


async def _file(log: Log, job: Job, match: BuildMatch, *, private: bool) -> File:
    content = (await in_worker(redact, log.text)).encode()
    stem = re.sub(r"[^A-Za-z0-9._-]+", "-", match.pipeline.name)
    number = match.build.label or match.build.number or match.build.id
    return File(
        name=f"{stem}-{number}.log",
        content=content,
        title=f"{job.name} · {match.pipeline.name}",
        private=private,
    )


async def _log(match: BuildMatch, job: Job, context: Context, tail_bytes: int | None = None) -> Log:
    """Return a job's log. Raises NotFound; if the log was erased from here, the error says by whom and when."""
    try:
        log = await (match.provider.log(job) if tail_bytes is None else match.provider.log(job, tail_bytes))
    except NotFound as exc:
        if erased := await _erased_words(match, context):
            raise NotFound(erased, provider=match.provider.label, status=exc.status) from exc
        raise
    if not log.text.strip() and (erased := await _erased_words(match, context)):
        raise NotFound(erased, provider=match.provider.label)
    return log


async def _erased_words(match: BuildMatch, context: Context) -> str:
    """Return who erased a build's logs from here and when, "" where nobody did."""
    rows = await context.store.audit.since(context.team, since=context.now - ERASED_WITHIN, limit=MOST_AUDIT)
    for row in rows:
        is_this = (row.connection, row.pipeline, row.build) == (
            match.build.connection,
            match.build.pipeline,
            match.build.id,
        )
        if is_this and row.verb == "erase" and row.outcome == "ok":
            return f"Erased by <@{row.user}>, {when(row.at)}."
    return ""


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


async def _telling_job(match: BuildMatch) -> Job:
    """Return the job with the most useful log: the first hard failure, else any red one, else the one running, else the last."""
    jobs = [job for job in await match.provider.jobs(match.build.pipeline, match.build.id) if not job.retried]
    if not jobs:
        raise NotFound(f"{match.name} has no jobs with a log.", provider=match.provider.label)

    def rank(job: Job) -> int:
        if job.conclusion is not None and job.conclusion.is_red:
            return 1 if job.tolerated else 0
        if job.status is Status.IN_PROGRESS:
            return 2
        return 3 if job.status is Status.COMPLETED and job.conclusion != "skipped" else 4

    best = min(rank(job) for job in jobs)
    fits = [job for job in jobs if rank(job) == best]
    return fits[0] if best < 2 else fits[-1]


COMMAND = Command(
    verb="logs",
    names_target=True,
    usage=USAGE,
    summary="Errors of the last failed build",
    role=Role.VIEW,
    group="Look",
    parse=parse,
    resolve=resolve,
    authorize=anyone,
    run=run,
    aliases=("log",),
    flags=(
        ("--errors", "lines that speak of errors (the default)"),
        ("--tail 50", "the last lines as they are"),
        ("--grep TEXT", "lines that hold a text"),
        ("--follow", "a message in the build's thread that shows the end of the log until the job ends"),
        ("--file", "the end of the log as a file, sent to you; with --public, to the channel"),
        ("--public", "show it to the channel"),
    ),
    examples=("logs", "logs #412 test --tail 100", "logs web --grep timeout"),
    inferred="the last failed build, and its first failed job",
)
