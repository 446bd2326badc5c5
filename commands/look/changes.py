"""What moved between two builds: /build changes [target] [earlier build]."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from bot.blocks.message import Message, sections
from bot.blocks.text import bold, code, escape, link, plural
from bot.core.errors import UsageError
from bot.core.models import Build, IssueCounts
from bot.providers.base.capabilities import Capability
from bot.providers.base.compare import compare_page
from commands.core.context import Answer, Context, Role
from commands.core.grammar import Target, parse_target, read, unexpected
from commands.core.listings import back_to_earlier
from commands.core.matches import BuildMatch, age_of, number_of, state_of
from commands.core.registry import Command, anyone
from commands.core.resolve import resolve_build
from commands.look.commits import commit_lines, commits_between
from commands.look.details import with_counts

USAGE = "changes [target] [earlier build]"
COUNTS = (
    ("errors", "error"),
    ("warnings", "warning"),
    ("analyzer_warnings", "analyzer warning"),
    ("test_failures", "failed test"),
)
MOST_COMMITS = 15


@dataclass(frozen=True, slots=True, kw_only=True)
class Args:
    """Which build to compare with which; without the other with the one before."""

    target: Target
    other: Target | None = None
    public: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """The newer build, and the earlier one where it was named."""

    match: BuildMatch
    other: BuildMatch | None = None


def parse(words: str) -> Args:
    """Read the words after `changes`. Raises UsageError."""
    parsed = read(words, switches=("public",))
    if len(parsed.words) > 2:
        raise unexpected(parsed.words[2], parsed.words[1], USAGE)
    other = parse_target(parsed.words[1]) if len(parsed.words) > 1 else None
    if other is not None and not other.names_build:
        raise unexpected(parsed.words[1], parsed.words[0], USAGE)
    return Args(target=parsed.target(), other=other, public=parsed.public)


async def resolve(args: Args, context: Context) -> Pair:
    """Return the build named, else the last one, and the one to compare it with; the newer one first."""
    match = await resolve_build(args.target, context, acting=False, verb="changes")
    if args.other is None:
        return Pair(match=match)
    named = args.other
    if named.pipeline is None and named.url is None:
        named = replace(named, pipeline=match.pipeline.key)
    other = await resolve_build(named, context, acting=False, verb="changes")
    if (other.build.connection, other.build.pipeline) != (match.build.connection, match.build.pipeline):
        raise UsageError(f"{match.name} and {other.name} are builds of different pipelines.")
    if other.build.id == match.build.id:
        raise UsageError(f"{match.name} can't be compared with itself.")
    if age_of(other.build) > age_of(match.build):
        match, other = other, match
    return Pair(match=match, other=other)


async def run(args: Args, pair: Pair, _context: Context) -> Answer:
    """Return commits and count deltas between a build and an earlier one of the same history. Costs one listing."""
    match = pair.match
    build = await with_counts(match)
    listed, since = await back_to_earlier(match, pair.other.build if pair.other is not None else None)
    earlier = pair.other.build if pair.other is not None else listed
    if earlier is None:
        raise UsageError(
            f"{number_of(build)} is the first build of {match.pipeline.name} on {build.ref or 'its branch'} that I can see."
        )
    before = await with_counts(BuildMatch(pipeline=match.pipeline, build=earlier))
    lines = [
        bold(f"{match.pipeline.name}: {number_of(before)} → {number_of(build)}"),
        f"{state_of(before)} → {state_of(build)}",
        f"{_commit(before)} → {_commit(build)}",
        *_deltas(before.issues, build.issues),
    ]
    between = await commits_between(match, before, build)
    if between.commits:
        title = plural(len(between.commits), "commit")
        lines += [title if between.is_complete else f"{title} of the builds in between", *commit_lines(between.commits)]
    elif between.is_complete:
        lines.append("The same commit")
    else:
        lines += _commits(since, before) if listed is not None else ["The builds between them are not in one listing."]
    if not between.is_complete:
        page = compare_page(before, build)
        is_able = match.provider.can(Capability.COMMITS)
        reason = "Not all can be told" if is_able else f"{escape(match.provider.label)} compares no commits"
        lines.append(
            f"{reason}: {link(page, 'see them all')}" if page else f"{reason}: these are the ones that were built."
        )
    return Answer(message=Message(text=lines[0], blocks=sections(lines)), public=args.public)


def _commits(builds: Sequence[Build], before: Build) -> list[str]:
    """Return the commits that were built after an earlier build, newest first, with who wrote them."""
    named = {build.commit: build for build in reversed(builds) if build.commit and build.commit != before.commit}
    if not named:
        return ["No other commit was built."] if before.commit else []
    newest = list(named.values())[::-1]
    lines = [f"*{plural(len(newest), 'commit')} built since {escape(number_of(before))}*"]
    for build in newest[:MOST_COMMITS]:
        author = f" · {escape(build.author.name)}" if build.author is not None and build.author.name else ""
        lines.append(f"• {_commit(build)}{author} ({escape(number_of(build))})")
    if len(newest) > MOST_COMMITS:
        lines.append(f"… {len(newest) - MOST_COMMITS} more")
    return lines


def _commit(build: Build) -> str:
    return f"{code((build.commit or '?')[:8])} {escape(build.subject or '')}".strip()


def _deltas(before: IssueCounts, after: IssueCounts) -> list[str]:
    lines: list[str] = []
    for name, word in COUNTS:
        old, new = getattr(before, name), getattr(after, name)
        if old is not None and new is not None and (old or new):
            moved = f" ({new - old:+d})" if new != old else ""
            lines.append(f"• {plural(new, word)}{moved}")
    return lines


COMMAND = Command(
    verb="changes",
    names_target=True,
    usage=USAGE,
    summary="Commits and counts since the build before, or another one",
    role=Role.VIEW,
    group="Look",
    parse=parse,
    resolve=resolve,
    authorize=anyone,
    run=run,
    aliases=("diff",),
    flags=(("--public", "show it to the channel"),),
    examples=("changes", "changes web#412", "changes web#412 #409"),
    inferred="the last build",
)
