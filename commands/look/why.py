"""Why a build failed: /build why [build]."""

from collections import Counter
from dataclasses import dataclass

from bot.blocks.message import Message, actions, button, section, sections
from bot.blocks.message import context as small_print
from bot.blocks.text import bold, code, escape, when
from bot.core.errors import ProviderError, UsageError
from bot.core.models import Build, BuildFilter, Conclusion, Issue, IssueKind, Job
from bot.providers.base.capabilities import Capability
from commands.core.actions import noted
from commands.core.available_actions import verbs_of
from commands.core.context import Answer, Context, Role
from commands.core.grammar import Target, read
from commands.core.matches import BuildMatch, number_of
from commands.core.registry import Command, anyone
from commands.core.resolve import resolve_build
from commands.look.details import with_counts

USAGE = "why [build]"
INFRASTRUCTURE = (
    "timed out",
    "timeout",
    "connection",
    "network",
    "no space left",
    "runner",
    "agent lost",
    "machine",
    "lost contact",
    "lost communication",
    "disconnected",
    "terminated",
    "evicted",
    "preempted",
    "system failure",
    "stuck",
    "503",
    "502",
    "oom",
    "out of memory",
    "killed",
)
CONFIGURATION = (
    "yaml",
    "configuration",
    "not found: ",
    "permission denied",
    "unauthorized",
    "credential",
    "secret",
    "no such file",
)
HISTORY = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Args:
    """Which build."""

    target: Target
    public: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """The red builds in a row that end with a build, newest first; the green one before; one that passed its commit."""

    streak: tuple[Build, ...] = ()
    green: Build | None = None
    same_commit_passed: Build | None = None


def parse(words: str) -> Args:
    """Read the words after `why`. Raises UsageError."""
    parsed = read(words, switches=("public",))
    return Args(target=parsed.only_target(USAGE), public=parsed.public)


async def resolve(args: Args, context: Context) -> BuildMatch:
    """Return the build named, else the last failed one."""
    return await resolve_build(args.target, context, acting=False, verb="why", default="failed")


async def run(args: Args, match: BuildMatch, _context: Context) -> Answer:
    """Return what is known of a failure: what broke, since when, who changed what, and the likely kind of trouble."""
    build = await with_counts(match)
    if build.conclusion is None or not build.conclusion.is_red:
        raise UsageError(f"{match.name} did not fail.")
    issues = await _issues(match)
    history = await _history(match)
    kind = likely(build, issues, await _red_jobs(match), history.same_commit_passed)
    lines = [f"*Likely:* {kind}"]
    if issues:
        first = issues[0]
        where = f" ({code(first.job)})" if first.job else ""
        lines.append(f"*First:* {escape((first.message.splitlines() or [''])[0][:250])}{where}")
    if history.green is not None:
        at = when(history.green.completed_at) if history.green.completed_at else "?"
        number, subject = escape(number_of(history.green)), escape(history.green.subject or "")
        lines.append(f"*Last green:* {number} · {subject} · {at}")
    named = _authors(history)
    if named:
        lines.append(f"*Changed by:* {', '.join(escape(name) for name in named)}")
    if len(history.streak) > 1:
        lines.append(f"*Red builds in a row:* {len(history.streak)}, since {escape(number_of(history.streak[-1]))}")
    title = f"Why {match.name} failed"
    offered = verbs_of(match.provider, build)
    message = Message(
        text=f"{escape(title)}: {kind}",
        blocks=(
            section(bold(title)),
            *sections(lines),
            actions(
                *(button(verb.capitalize(), f"{verb} {match.spoken}") for verb in ("logs", "tests") if verb in offered)
            ),
            small_print("Read from the build, its issues and the builds before it; a guess, not a verdict."),
        ),
    )
    return Answer(message=noted(message, match.pipeline), public=args.public)


def likely(
    build: Build, issues: tuple[Issue, ...], red_jobs: tuple[Job, ...] = (), same_commit_passed: Build | None = None
) -> str:
    """Return the likely kind of failure, in words."""
    words = " ".join(
        [issue.message.lower() for issue in issues[:20]]
        + [(job.reason or "").replace("_", " ").lower() for job in red_jobs]
        + [(build.raw_state or "").replace("_", " ").lower()]
    )
    passed = f"; the same commit passed in {escape(number_of(same_commit_passed))}" if same_commit_passed else ""
    if build.conclusion is Conclusion.TIMEOUT:
        return f"a time-out{passed}"
    tests = [issue for issue in issues if issue.kind is IssueKind.TEST_FAILURE]
    if tests or (build.issues.test_failures or 0) > 0:
        count = max(len(tests), build.issues.test_failures or 0)
        return f"{'flaky' if passed else 'failing'} tests ({count}){passed}"
    if any(word in words for word in INFRASTRUCTURE):
        return f"infrastructure: the words speak of machines or the network rather than code{passed}"
    if any(word in words for word in CONFIGURATION):
        return f"configuration or credentials{passed}"
    if passed:
        return f"infrastructure, or something flaky{passed}"
    return "the code or its build" if issues else "unknown: the CI system lists no issues"


def _authors(history: History) -> list[str]:
    """Return who changed something between the last green build and this one, the most frequent first."""
    suspects = [
        build
        for build in history.streak
        if build.commit and (history.green is None or build.commit != history.green.commit)
    ]
    named = Counter(build.author.name for build in suspects if build.author and build.author.name)
    return [name for name, _count in named.most_common(5)]


async def _issues(match: BuildMatch) -> tuple[Issue, ...]:
    if not match.provider.can(Capability.ISSUES):
        return ()
    try:
        issues = await match.provider.issues(match.build.pipeline, match.build.id)
    except ProviderError:
        return ()
    order = (IssueKind.TEST_FAILURE, IssueKind.ERROR)
    return tuple(sorted((issue for issue in issues if issue.kind in order), key=lambda issue: order.index(issue.kind)))


async def _red_jobs(match: BuildMatch) -> tuple[Job, ...]:
    if not match.provider.can(Capability.JOBS):
        return ()
    try:
        jobs = await match.provider.jobs(match.build.pipeline, match.build.id)
    except ProviderError:
        return ()
    return tuple(job for job in jobs if job.conclusion is not None and job.conclusion.is_red and not job.retried)


async def _history(match: BuildMatch) -> History:
    """Read the builds around this one in its own history. Costs one listing."""
    streak: list[Build] = []
    green: Build | None = None
    passed: Build | None = None
    reached = False
    history = match.build.history_ref
    listing = BuildFilter(branch=match.build.branch, limit=HISTORY)
    async for build in match.provider.builds(match.build.pipeline, listing):
        if build.history_ref != history or not build.completed or build.conclusion is None:
            reached = reached or build.id == match.build.id
            continue
        if build.conclusion is Conclusion.PASSED and build.commit and build.commit == match.build.commit:
            passed = passed or build
        reached = reached or build.id == match.build.id
        if not reached or green is not None:
            continue
        if build.conclusion is Conclusion.PASSED:
            green = build
        elif build.conclusion.is_red:
            streak.append(build)
    return History(streak=tuple(streak), green=green, same_commit_passed=passed)


COMMAND = Command(
    verb="why",
    usage=USAGE,
    summary="Why a build failed",
    role=Role.VIEW,
    group="Look",
    parse=parse,
    resolve=resolve,
    authorize=anyone,
    run=run,
    flags=(("--public", "show it to the channel"),),
    examples=("why", "why web#412"),
    inferred="the last failed build",
)
