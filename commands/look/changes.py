"""What moved since the build before: /build changes [target]."""

from dataclasses import dataclass

from bot.blocks.message import Message, sections
from bot.blocks.text import bold, code, escape, link, plural
from bot.core.errors import UsageError
from bot.core.models import Build, IssueCounts
from commands.core.context import Answer, Context, Role
from commands.core.grammar import Target, read
from commands.core.listings import build_before
from commands.core.matches import BuildMatch, number_of, state_of
from commands.core.registry import Command, anyone
from commands.core.resolve import resolve_build
from commands.look.commits import commit_lines, commits_between
from commands.look.details import with_counts

USAGE = "changes [target]"
COUNTS = (
    ("errors", "error"),
    ("warnings", "warning"),
    ("analyzer_warnings", "analyzer warning"),
    ("test_failures", "failed test"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Args:
    """Which build to compare with the one before."""

    target: Target
    public: bool = False


def parse(words: str) -> Args:
    """Read the words after `changes`. Raises UsageError."""
    parsed = read(words, switches=("public",))
    return Args(target=parsed.only_target(USAGE), public=parsed.public)


async def resolve(args: Args, context: Context) -> BuildMatch:
    """Return the build named, else the last one."""
    return await resolve_build(args.target, context, acting=False, verb="changes")


async def run(args: Args, match: BuildMatch, _context: Context) -> Answer:
    """Return commits and count deltas between a build and the finished one before it in the same history."""
    build = await with_counts(match)
    earlier = await build_before(match)
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
    if before.web_url and build.web_url:
        lines.append(f"{link(before.web_url, number_of(before))} · {link(build.web_url, number_of(build))}")
    return Answer(message=Message(text=lines[0], blocks=sections(lines)), public=args.public)


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
    usage=USAGE,
    summary="What moved since the build before",
    role=Role.VIEW,
    group="Look",
    parse=parse,
    resolve=resolve,
    authorize=anyone,
    run=run,
    aliases=("diff",),
    flags=(("--public", "show it to the channel"),),
    examples=("changes", "changes web#412"),
    inferred="the last build",
)
