"""Run jobs of a build again: /build retry [target] [--failed|--all|--job NAME]."""

from collections.abc import Sequence
from dataclasses import dataclass

from bot.blocks.text import escape
from bot.core.errors import Ambiguous, NotFound, UsageError
from bot.core.models import Build, Conclusion, Ref, RefKind, StartRequest
from bot.core.refs import refs_of_build
from bot.providers.base.capabilities import Capability
from bot.store.states import NoteKind
from commands.act.jobs import job_named
from commands.core import actions, memory
from commands.core.context import Answer, Context, Role
from commands.core.grammar import Target, read
from commands.core.listings import recent_builds
from commands.core.matches import BuildMatch, PipelineMatch, number_of, state_of
from commands.core.permissions import Requirement
from commands.core.registry import Command
from commands.core.resolve import match_of_build, resolve_build, resolve_named_build, resolve_pipeline

USAGE = "retry [target] [--failed|--all|--job NAME]"
_ENDED = {Conclusion.SKIPPED: "was skipped", Conclusion.RETRIED: "was retried"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Args:
    """Which jobs of which build: the failed ones, all, or the one called `job`."""

    target: Target
    job: str | None = None
    all_jobs: bool = False
    confirmed: bool = False

    @property
    def failed_only(self) -> bool:
        """Whether only failed jobs are to run again."""
        return self.job is None and not self.all_jobs


def parse(words: str) -> Args:
    """Read the words after `retry`. Raises UsageError."""
    parsed = read(words, values=("job",), switches=("failed", "all", "yes"))
    target = parsed.only_target(USAGE)
    if sum((parsed.has("failed"), parsed.has("all"), parsed.has("job"))) > 1:
        raise UsageError("`--failed`, `--all` and `--job` exclude each other.", usage=USAGE)
    return Args(target=target, job=parsed.flag("job"), all_jobs=parsed.has("all"), confirmed=parsed.has("yes"))


async def resolve(args: Args, context: Context) -> BuildMatch:
    """Return the build named, else the newest one of the ref if it failed. Raises Ambiguous where it did not."""
    named = await resolve_named_build(args.target, context, acting=True, verb="retry")
    if named is not None:
        return named
    if args.target.build is not None:
        return await resolve_build(args.target, context, acting=True, verb="retry")
    pipeline = await resolve_pipeline(args.target, context, acting=True, verb="retry")
    ref = args.target.ref
    if ref is None and pipeline.branch:
        ref = Ref(kind=RefKind.BRANCH, name=pipeline.branch)
    builds = [build async for build in recent_builds(pipeline, ref)]
    if not builds:
        on = f" on {ref}" if ref else ""
        raise NotFound(f"{pipeline.name} has no builds{on} yet.", provider=pipeline.provider.label)
    newest = builds[0]
    may_retry = newest.completed and (_has_failed(newest) or not args.failed_only)
    if not may_retry:
        raise _which(newest, builds, pipeline)
    return await match_of_build(newest, context, within=pipeline, verb="retry")


def _has_failed(build: Build) -> bool:
    return build.conclusion is None or build.conclusion.is_red or build.conclusion is Conclusion.CANCELLED


def _which(newest: Build, builds: Sequence[Build], pipeline: PipelineMatch) -> Ambiguous:
    """Return the question which build to retry, where the newest one has not failed."""
    state = "is " + state_of(newest) if not newest.completed else _ended_words(newest)
    failed = next((build for build in builds[1:] if build.completed and _is_red(build)), None)
    choices: list[tuple[str, str]] = []
    if failed is not None:
        choices.append((f"Retry {number_of(failed)}", f"retry {_spoken(failed, pipeline)}"))
    if newest.completed and pipeline.provider.can(Capability.REBUILD):
        choices.append((f"Rebuild {number_of(newest)}", f"rebuild {_spoken(newest, pipeline)}"))
    if not newest.completed:
        choices.append((f"Show {number_of(newest)}", f"show {_spoken(newest, pipeline)}"))
    before = f"; {number_of(failed)} failed before it" if failed is not None else ""
    return Ambiguous(
        f"{pipeline.name} {number_of(newest)} {state}{before}. Nothing was retried.", choices=tuple(choices)
    )


def _is_red(build: Build) -> bool:
    return build.conclusion is not None and build.conclusion.is_red


def _ended_words(build: Build) -> str:
    return _ENDED.get(build.conclusion, build.conclusion.value) if build.conclusion else "ended"


def _spoken(build: Build, pipeline: PipelineMatch) -> str:
    return BuildMatch(pipeline=pipeline, build=build).spoken


def authorize(args: Args, match: BuildMatch, _context: Context) -> Sequence[Requirement]:
    """Require the runner's role on the build's own pipeline and refs, and that nobody holds it."""
    return (
        Requirement(
            role=Role.RUN,
            doing=f"Retrying builds of *{escape(match.pipeline.name)}*",
            pipeline=match.pipeline,
            refs=refs_of_build(match.build),
            starts=True,
            environments=(args.job,) if args.job else (),
        ),
    )


async def run(args: Args, match: BuildMatch, context: Context) -> Answer:
    """Retry in the same build where the provider can; else offer to rebuild."""
    provider, build = match.provider, match.build
    actions.check_attempt(match, args.target.attempt)
    await _must_accept(args, match)
    number = actions.number_words(build)
    if args.failed_only and provider.can(Capability.RETRY_FAILED):
        _must_have_failed(match, context)
    if not await memory.first_click(f"retry {build.key} {args.job}", context):
        return Answer(silent=True)
    if args.job is not None:
        actions.must_be_able(match.pipeline, Capability.RETRY_JOB, build)
        job = await job_named(match, args.job)
        after = await provider.retry(build.pipeline, build.id, failed_only=False, job=job.id)
        what = f"{escape(job.name)} of {number}"
    elif args.all_jobs:
        actions.must_be_able(match.pipeline, Capability.RETRY_ALL, build)
        after = await provider.retry(build.pipeline, build.id, failed_only=False)
        what = f"all jobs of {number}"
    elif provider.can(Capability.RETRY_FAILED):
        after = await provider.retry(build.pipeline, build.id, failed_only=True)
        what = number if build.job is not None else f"the failed jobs of {number}"  # a build may be one job alone
    else:
        return await _rebuilt(args, match, context)
    headline = f"{actions.actor(context)} retried {what} ({escape(match.pipeline.name)})"
    same = after.id == build.id
    did = f"retried {'it' if what == number else what.removesuffix(f' of {number}')}"
    if not same:
        did += f" as {actions.number_words(after)}"
    kind = NoteKind.ACT if same else NoteKind.REPLACED
    await actions.note_on_cards(match, context, did=did, kind=kind, by=None if same else after)
    shown = actions.as_reopened(after) if same else actions.made_from(after, build)
    has_card = same and await actions.is_pressed_on_card(build, context)
    retried = match if same else None
    return await actions.announce(shown, match.pipeline, context, headline=headline, retried=retried, has_card=has_card)


async def _rebuilt(args: Args, match: BuildMatch, context: Context) -> Answer:
    """Rebuild where a provider cannot retry, after asking."""
    number = actions.number_words(match.build)
    actions.must_be_able(match.pipeline, Capability.REBUILD, match.build)
    if not args.confirmed:
        refusal = match.provider.unsupported(Capability.RETRY_FAILED)
        question = f"{refusal} Rebuild all of {number} instead?"
        return actions.asks_first(question, "", f"rebuild {match.spoken}", yes="Rebuild", danger=False)
    request = StartRequest(requested_by=await context.name() or None, requested_by_email=await context.email() or None)
    after = actions.made_from(await match.provider.rebuild(match.build.pipeline, match.build.id, request), match.build)
    headline = f"{actions.actor(context)} rebuilt {number} of {escape(match.pipeline.name)}"
    if after.key != match.build.key:
        did = f"rebuilt it as {actions.number_words(after)}"
        await actions.note_on_cards(match, context, did=did, kind=NoteKind.REPLACED, by=after)
    return await actions.announce(after, match.pipeline, context, headline=headline)


async def _must_accept(args: Args, match: BuildMatch) -> None:
    """Raise Ambiguous for a build that still runs, unless its CI system runs failed jobs again meanwhile and one failed.

    Costs the list of jobs, where the CI system does.
    """
    build = match.build
    needed = Capability.RETRY_FAILED if args.failed_only else Capability.RETRY_ALL
    if build.completed or args.job is not None:
        return
    if needed in match.provider.accepts(build):
        jobs = await match.provider.jobs(build.pipeline, build.id)
        ended_badly = (job.conclusion is not None and job.conclusion.is_red and not job.retried for job in jobs)
        if not args.failed_only or any(ended_badly):
            return
    choices = [(f"Watch {match.number}", f"watch {match.spoken}")]
    if match.provider.can(Capability.CANCEL) and (match.provider.cancels_waiting or not build.waiting):
        choices.append((f"Cancel {match.number}", f"cancel {match.spoken}"))
    raise Ambiguous(
        f"{match.name} is still {state_of(build)}. Nothing was retried.",
        choices=tuple(choices),
        hint="It can be retried once it has ended.",
    )


def _must_have_failed(match: BuildMatch, context: Context) -> None:
    if match.build.completed and not _has_failed(match.build):
        raise UsageError(
            f"{match.name} {_ended_words(match.build)}: there is nothing to retry.",
            hint=f"To build it once more: `{context.command} rebuild {match.typed}`.",
        )


COMMAND = Command(
    verb="retry",
    names_target=True,
    usage=USAGE,
    summary="Run the failed jobs of a build again",
    role=Role.RUN,
    group="Act",
    parse=parse,
    resolve=resolve,
    authorize=authorize,
    run=run,
    flags=(
        ("--failed", "only the failed jobs (the default)"),
        ("--all", "all jobs, where the CI system can"),
        ("--job NAME", "one job"),
    ),
    examples=("retry", "retry #412 --job test", "retry web@main"),
    inferred="the newest build of the branch, if it failed",
)
