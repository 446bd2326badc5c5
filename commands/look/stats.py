"""How builds have been doing: /build stats [target]."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from statistics import median

from bot.blocks.message import Message, sections
from bot.blocks.text import bold, code, duration, escape, plural, when
from bot.core.errors import UsageError
from bot.core.models import Conclusion, RefKind
from bot.store.rows import AttemptRow
from commands.core.actions import noted
from commands.core.context import Answer, Context, Role
from commands.core.grammar import Target, parse_duration, read
from commands.core.matches import PipelineMatch
from commands.core.registry import Command, anyone
from commands.core.resolve import resolve_pipeline
from commands.look.noise import noise_report

USAGE = "stats [target] [--since 30d] | --noise"
MOST_BRANCHES = 8
RED = frozenset(conclusion.value for conclusion in Conclusion if conclusion.is_red)


@dataclass(frozen=True, slots=True, kw_only=True)
class Args:
    """Which pipeline, since how long ago."""

    target: Target
    since: timedelta
    public: bool = False
    noise: bool = False


def parse(words: str) -> Args:
    """Read the words after `stats`. Raises UsageError."""
    parsed = read(words, values=("since",), switches=("public", "noise"))
    return Args(
        target=parsed.only_target(USAGE),
        since=parse_duration(parsed.flag("since") or "30d"),
        public=parsed.public,
        noise=parsed.has("noise"),
    )


async def resolve(args: Args, context: Context) -> PipelineMatch | None:
    """Return the pipeline named, else the default one; None for the channel's noise."""
    if args.noise:
        return None
    return await resolve_pipeline(args.target, context, acting=False, verb="stats")


async def run(args: Args, pipeline: PipelineMatch | None, context: Context) -> Answer:
    """Count the stored attempts of a pipeline: how many, how red, how long, how flaky; or the posts of the channel."""
    if pipeline is None:
        return Answer(message=await noise_report(context), public=args.public)
    since = context.now - args.since
    attempts = await context.store.attempts.since(pipeline.connection, pipeline.id, since)
    branch = args.target.ref.name if args.target.ref else ""
    attempts = [attempt for attempt in attempts if not branch or is_of_branch(attempt, branch)]
    if not attempts:
        raise UsageError(f"No build of {pipeline.name} ended in that time, as far as I have seen.")
    title = f"{escape(pipeline.name)}{f' on {escape(branch)}' if branch else ''} since {when(since)}"
    lines = [bold(pipeline.name), *summary_lines(attempts)]
    by_branch: dict[str, list[AttemptRow]] = {}
    for attempt in attempts:
        name = attempt.branch if is_of_branch(attempt, attempt.branch) else "pull requests and others"
        by_branch.setdefault(name or "(none)", []).append(attempt)
    for name, group in sorted(by_branch.items(), key=lambda pair: -len(pair[1]))[:MOST_BRANCHES]:
        lines.append(f"• {code(name)}: {plural(len(group), 'build')}, {_share(group)} passed")
    message = Message(text=f"{title}: {_share(attempts)} passed", blocks=sections(lines))
    return Answer(message=noted(message, pipeline), public=args.public)


def is_of_branch(attempt: AttemptRow, branch: str) -> bool:
    """Return whether an attempt belongs to a branch: builds of pull requests and of forks never do."""
    return attempt.ref_kind == RefKind.BRANCH.value and attempt.ref_name == branch


def summary_lines(attempts: Sequence[AttemptRow]) -> list[str]:
    """Return how many attempts there were, how they ended and how long they took."""
    passed = [attempt for attempt in attempts if attempt.conclusion == "passed"]
    red = [attempt for attempt in attempts if attempt.conclusion in RED]
    seconds = [attempt.seconds for attempt in passed if attempt.seconds is not None]
    ends: dict[tuple[str, str], set[bool]] = {}
    for attempt in attempts:
        if attempt.commit_sha and attempt.conclusion in {"passed", "failed", "timeout"}:
            ends.setdefault((attempt.branch, attempt.commit_sha), set()).add(attempt.conclusion == "passed")
    flaky = sum(1 for both in ends.values() if len(both) > 1)
    cancelled = sum(1 for attempt in attempts if attempt.conclusion == Conclusion.CANCELLED.value)
    stopped = f" · {cancelled} cancelled" if cancelled else ""
    share = _share(attempts)
    lines = [f"{plural(len(attempts), 'build')} · {len(passed)} passed · {len(red)} failed{stopped} · {share} green"]
    if seconds:
        lines.append(f"Usually {duration(median(seconds))}, at most {duration(max(seconds))}")
    if flaky:
        lines.append(f"{plural(flaky, 'commit')} both passed and failed: flaky")
    return lines


def _share(attempts: Sequence[AttemptRow]) -> str:
    judged = [attempt for attempt in attempts if attempt.conclusion == "passed" or attempt.conclusion in RED]
    if not judged:
        return "none"
    return f"{100 * sum(1 for attempt in judged if attempt.conclusion == 'passed') // len(judged)} %"


COMMAND = Command(
    verb="stats",
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
        ("--noise", "how much is posted here, and what would be enough"),
        ("--public", "show it to the channel"),
    ),
    examples=("stats", "stats web@main --since 7d", "stats --noise"),
    inferred="the channel's default pipeline",
)
