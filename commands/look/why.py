"""Why a build failed: /build why [build]."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from bot.blocks.message import Message, actions, button, section, sections
from bot.blocks.message import context as small_print
from bot.blocks.text import bold, code, escape, plural, safe, when
from bot.core.causes import Cause, Diagnosis, diagnose, failed_tests
from bot.core.errors import UsageError
from bot.core.models import Build, BuildFilter, Conclusion, Issue
from bot.core.signatures import signature
from bot.security.redaction import redact
from bot.store.rows import FailureRow
from commands.core.actions import noted
from commands.core.available_actions import verbs_of
from commands.core.context import Answer, Context, Role
from commands.core.failures import failures_of, red_jobs_of
from commands.core.grammar import Target, read
from commands.core.matches import BuildMatch, number_of
from commands.core.registry import Command, anyone
from commands.core.resolve import resolve_build
from commands.look.commits import Commits, commit_lines, commits_between, commits_of
from commands.look.details import with_counts

USAGE = "why [build]"
HISTORY = 50
SUSPECTS = 5


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


async def run(args: Args, match: BuildMatch, context: Context) -> Answer:
    """Return what is known of a failure: its likely cause, what broke, since when, how often before, and the suspects."""
    build = await with_counts(match)
    if build.conclusion is None or not build.conclusion.is_red:
        raise UsageError(f"{match.name} did not fail.")
    issues = await failures_of(match)
    history = await _history(match, context)
    diagnosis = diagnose(
        build, issues, await red_jobs_of(match), same_commit_passed=history.same_commit_passed is not None
    )
    kind = cause_words(diagnosis, build, issues, history.same_commit_passed)
    lines = [f"*Likely:* {kind}"]
    if diagnosis.because:
        lines.append(f"*Sign:* {diagnosis.because}")
    if issues:
        first = issues[0]
        where = f" ({code(first.job)})" if first.job else ""
        lines.append(f"*First:* {escape((redact(first.message).splitlines() or [''])[0][:250])}{where}")
        lines += await _memory(match, first, context)
    if history.green is not None:
        at = when(history.green.completed_at) if history.green.completed_at else "?"
        number, subject = escape(number_of(history.green)), escape(history.green.subject or "")
        lines.append(f"*Last green:* {number} · {subject} · {at}")
    if len(history.streak) > 1:
        lines.append(f"*Red builds in a row:* {len(history.streak)}, since {escape(number_of(history.streak[-1]))}")
    lines += await _suspects(match, history)
    title = f"Why {match.name} failed"
    offered = verbs_of(match.provider, build)
    buttons = [button(verb.capitalize(), f"{verb} {match.spoken}") for verb in ("logs", "tests") if verb in offered]
    if history.green is not None:
        first_red = history.streak[-1] if history.streak else build
        buttons.append(button("Changes", f"changes {_spoken(match, first_red)}"))
    message = Message(
        text=f"{escape(title)}: {kind}",
        blocks=(
            section(bold(title)),
            *sections(lines),
            actions(*buttons),
            small_print("Read from the build, its issues and the builds before it; a guess, not a verdict."),
        ),
    )
    return Answer(message=noted(message, match.pipeline), public=args.public)


def cause_words(
    diagnosis: Diagnosis, build: Build, issues: Sequence[Issue] = (), same_commit_passed: Build | None = None
) -> str:
    """Return the likely cause in words, and that the same commit passed where it did."""
    passed = f"; the same commit passed in {escape(number_of(same_commit_passed))}" if same_commit_passed else ""
    match diagnosis.cause:
        case Cause.TEST:
            words = f"{'flaky' if passed else 'failing'} tests ({failed_tests(build, issues)})"
        case Cause.TIMEOUT:
            words = "a time-out"
        case Cause.INFRASTRUCTURE:
            words = "infrastructure"
        case Cause.CONFIGURATION:
            words = "configuration or credentials"
        case Cause.CODE:
            words = "the code or its build"
        case _:
            words = "unknown: the CI system lists no issues"
    return f"{words}{passed}"


async def _memory(match: BuildMatch, issue: Issue, context: Context) -> list[str]:
    """Return when and how often the pipeline failed in this way before, and what it went away with."""
    build = match.build
    history = await context.store.failures.history(build.connection, build.pipeline, signature(issue))
    if history is None:
        return []
    if history.builds == 1 and history.first.build == build.id:
        return ["*Seen before:* never in this pipeline"]
    first = f"first in {_number(history.first)} {when(history.first.at)}"
    last = f", last in {_number(history.last)} {when(history.last.at)}" if history.last.build != build.id else ""
    lines = [f"*Seen before:* in {plural(history.builds, 'build')}, {first}{last}"]
    gone = history.gone_with
    if gone is not None:
        number = f" (#{gone.number})" if gone.number is not None else ""
        by = f" by {safe(gone.author, 60)}" if gone.author else ""
        lines.append(f"*Went away with:* {code(gone.commit_sha[:7]) if gone.commit_sha else 'a build'}{number}{by}")
    return lines


def _number(failure: FailureRow) -> str:
    return f"#{failure.number}" if failure.number is not None else "a build"


async def _suspects(match: BuildMatch, history: History) -> list[str]:
    """Return the commits between the last green build and the first red one; none where the commit is not to blame.

    Where no green build is known, all red ones are suspected.
    """
    if history.same_commit_passed is not None:
        return []
    first_red = history.streak[-1] if history.streak else match.build
    if history.green is None:
        suspects = Commits(commits=commits_of(history.streak or [match.build]))
    else:
        suspects = await commits_between(match, history.green, first_red)
    if not suspects.commits:
        same = history.green is not None and history.green.commit == first_red.commit
        return ["*Suspects:* none: the first red build has the commit of the last green one"] if same else []
    title = "*Suspects:*" if suspects.is_complete else "*Suspects*, of the builds in between:"
    return [title, *commit_lines(suspects.commits, most=SUSPECTS)]


def _spoken(match: BuildMatch, build: Build) -> str:
    return replace(match, build=build).spoken


async def _history(match: BuildMatch, context: Context) -> History:
    """Read the builds around this one in its own history. Costs one listing.

    A build of the same commit may have passed on another branch, or long ago: those that the store knows are read, too.
    """
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
    if passed is None and match.build.commit:
        stored = await context.store.builds.of_commit(match.build.commit, [match.build.connection])
        passed = next((build for build in stored if _passed_same(build, match.build)), None)
    return History(streak=tuple(streak), green=green, same_commit_passed=passed)


def _passed_same(build: Build, other: Build) -> bool:
    is_same_job = (build.pipeline, build.job) == (other.pipeline, other.job)
    return is_same_job and build.id != other.id and build.conclusion is Conclusion.PASSED


COMMAND = Command(
    verb="why",
    names_target=True,
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
