"""A build's jobs: /build jobs [target]."""

from dataclasses import dataclass

from bot.blocks.buttons import command
from bot.blocks.jobs import PAGE, jobs_message
from bot.core.models import Job
from bot.core.text import among_names, holds_name, without_short_codes
from bot.providers.base.capabilities import Capability
from commands.core.actions import must_be_able, noted
from commands.core.context import Answer, Context, Role
from commands.core.grammar import ParsedArgs, Target, read
from commands.core.matches import BuildMatch
from commands.core.registry import Command, anyone
from commands.core.resolve import resolve_build

USAGE = "jobs [target] [pattern] [--all-attempts] [--all]"
MOST_SKIPPED = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Args:
    """Which build's jobs. `skip` leaves out the first ones: the next page."""

    target: Target
    pattern: str = ""
    all_attempts: bool = False
    everything: bool = False
    skip: int = 0
    public: bool = False


def parse(words: str) -> Args:
    """Read the words after `jobs`. Raises UsageError."""
    return of_words(read(words, values=("skip",), switches=("all-attempts", "all", "public")))


def of_words(parsed: ParsedArgs) -> Args:
    """Return the arguments that stand in words which were read."""
    return Args(
        target=parsed.target(),
        pattern=" ".join(parsed.words[1:]),
        all_attempts=parsed.has("all-attempts"),
        everything=parsed.has("all"),
        skip=parsed.number("skip", default=0, most=MOST_SKIPPED),
        public=parsed.public,
    )


async def resolve(args: Args, context: Context) -> BuildMatch:
    """Return the build named, else the last one."""
    match = await resolve_build(args.target, context, acting=False, verb="jobs")
    must_be_able(match.pipeline, Capability.JOBS, match.build)
    return match


async def run(args: Args, match: BuildMatch, context: Context) -> Answer:
    """Return the jobs in the order they run, forty a page. Costs one list of jobs."""
    build = match.build
    if args.all_attempts:
        every = await match.provider.jobs(build.pipeline, build.id, all_attempts=True)
    else:
        every = await match.provider.jobs(build.pipeline, build.id)
    fitting = [job for job in every if _fits(job, args.pattern)]
    jobs = fitting if args.all_attempts else [job for job in fitting if not job.retried]
    page = jobs[args.skip : args.skip + PAGE]
    words = command("jobs", build) + (" --all-attempts" if args.all_attempts else "")
    words += " --all" if args.everything else ""
    left = len(jobs) - args.skip - len(page)
    may_have_earlier = len(fitting) > len(jobs) or (match.attempt_no > 1 and not args.all_attempts)
    message = jobs_message(
        page,
        build=build,
        label=match.pipeline.name,
        now=context.now,
        total=len(jobs),
        has_logs=match.provider.can(Capability.LOG),
        with_details=args.everything,
        footer=_footer(args, shown=len(page), total=len(jobs)),
        more=(f"{min(left, PAGE)} more", f"{words} --skip {args.skip + PAGE}")
        if left > 0 and not args.pattern
        else None,
        attempts_command=f"{command('jobs', build)} --all-attempts" if may_have_earlier else None,
    )
    return Answer(
        message=noted(message, match.pipeline),
        public=args.public,
        connection=build.connection,
        pipeline=build.pipeline,
        build=build.id,
    )


def _fits(job: Job, pattern: str) -> bool:
    """Return whether a job's name, key, stage or id fits what was typed; everything fits nothing typed."""
    if not pattern:
        return True
    called = without_short_codes(pattern)
    names = tuple(filter(None, (job.name, job.id, job.key, job.stage)))
    return among_names(called, names) or any(holds_name(name, called) for name in names)


def _footer(args: Args, *, shown: int, total: int) -> str:
    if shown == total:
        return f"Jobs like {args.pattern}." if args.pattern else ""
    return f"{args.skip + 1} to {args.skip + shown} of {total}." if shown else f"There are {total} jobs."


COMMAND = Command(
    verb="jobs",
    names_target=True,
    usage=USAGE,
    summary="Every job: state, time, wait, runner",
    role=Role.VIEW,
    group="Look",
    parse=parse,
    resolve=resolve,
    authorize=anyone,
    run=run,
    flags=(
        ("--all-attempts", "also jobs that a retry replaced"),
        ("--all", "what else the CI system reports of each: command, exit status, host, times"),
        ("--skip 40", "the next page"),
        ("--public", "show it to the channel"),
    ),
    examples=("jobs", "jobs #412", "jobs web#412 deploy", "jobs #412 --all-attempts"),
    inferred="the last build",
)
