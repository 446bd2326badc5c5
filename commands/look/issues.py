"""A build's errors, warnings, analyzer warnings and test failures: /build issues [target]."""

from dataclasses import dataclass, replace

from bot.blocks.issues import issues_message
from bot.blocks.message import section
from bot.core.errors import UsageError
from bot.core.models import Issue, IssueKind
from bot.providers.base.capabilities import Capability
from commands.core.actions import must_be_able, noted
from commands.core.context import Answer, Context, Role
from commands.core.grammar import Target, read
from commands.core.listings import build_before
from commands.core.matches import BuildMatch
from commands.core.registry import Command, anyone
from commands.core.resolve import resolve_build
from commands.look.details import with_counts

USAGE = "issues [target] [--new] [--severity error|warning|analyzer|test]"
SEVERITIES = {
    "error": IssueKind.ERROR,
    "warning": IssueKind.WARNING,
    "analyzer": IssueKind.ANALYZER_WARNING,
    "test": IssueKind.TEST_FAILURE,
}
NAMES = {
    IssueKind.ERROR: "errors",
    IssueKind.WARNING: "warnings",
    IssueKind.ANALYZER_WARNING: "analyzer warnings",
    IssueKind.TEST_FAILURE: "test failures",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Args:
    """Which build's issues, of which kind."""

    target: Target
    kind: IssueKind | None = None
    only_new: bool = False
    public: bool = False


def parse(words: str) -> Args:
    """Read the words after `issues`. Raises UsageError."""
    parsed = read(words, values=("severity",), switches=("new", "public"))
    severity = (parsed.flag("severity") or "").lower().removesuffix("s")
    if severity and severity not in SEVERITIES:
        raise UsageError(f"There is no severity `{severity}`.", hint=f"Severities: {', '.join(SEVERITIES)}.")
    return Args(
        target=parsed.only_target(USAGE),
        kind=SEVERITIES.get(severity),
        only_new=parsed.has("new"),
        public=parsed.public,
    )


async def resolve(args: Args, context: Context) -> BuildMatch:
    """Return the build named, else the last one."""
    match = await resolve_build(args.target, context, acting=False, verb="issues")
    must_be_able(match.pipeline, Capability.ISSUES, match.build)
    return match


async def run(args: Args, match: BuildMatch, context: Context) -> Answer:
    """Return a build's issues, errors first, with its counts."""
    build = await with_counts(match)
    issues = await match.provider.issues(build.pipeline, build.id)
    shown = tuple(issue for issue in issues if args.kind is None or issue.kind is args.kind)
    if args.only_new:
        before = await _issues_before(match)
        shown = tuple(issue for issue in shown if _identity(issue) not in before)
    message = issues_message(shown, build.issues, build=build, label=match.pipeline.name, now=context.now)
    if not shown and (args.kind is not None or args.only_new):
        none = f"No {'new ' if args.only_new else ''}{NAMES[args.kind] if args.kind else 'issues'}"
        message = replace(message, text=f"{message.text}: {none}", blocks=(*message.blocks, section(none)))
    return Answer(
        message=noted(message, match.pipeline),
        public=args.public,
        connection=build.connection,
        pipeline=build.pipeline,
        build=build.id,
    )


async def _issues_before(match: BuildMatch) -> frozenset[tuple[IssueKind, str, str]]:
    earlier = await build_before(match)
    if earlier is None:
        return frozenset()
    return frozenset(_identity(issue) for issue in await match.provider.issues(earlier.pipeline, earlier.id))


def _identity(issue: Issue) -> tuple[IssueKind, str, str]:
    """Return what makes an issue the same one in another build: not its line, which moves."""
    return issue.kind, issue.message, issue.file or ""


COMMAND = Command(
    verb="issues",
    names_target=True,
    usage=USAGE,
    summary="Errors and warnings of a build",
    role=Role.VIEW,
    group="Look",
    parse=parse,
    resolve=resolve,
    authorize=anyone,
    run=run,
    flags=(
        ("--new", "only those that the build before did not have"),
        ("--severity error", "error, warning, analyzer or test"),
        ("--public", "show it to the channel"),
    ),
    examples=("issues", "issues #412 --severity error"),
    inferred="the last build",
)
