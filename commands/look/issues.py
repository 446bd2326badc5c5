"""A build's errors, warnings, analyzer warnings and test failures: /build issues [target]."""

from dataclasses import dataclass

from bot.blocks.issues import issues_message
from bot.core.errors import UsageError
from bot.core.models import Issue, IssueKind
from bot.providers.base.capabilities import Capability
from commands.core.actions import must_be_able, noted
from commands.core.context import Answer, Command, Request, Role, Services
from commands.core.grammar import ParsedArgs, Target, read
from commands.core.resolve import BuildMatch, build, build_before
from commands.look.builds import with_counts

USAGE = "issues [target] [--new] [--severity error|warning|analyzer|test]"
SEVERITIES = {
    "error": IssueKind.ERROR,
    "warning": IssueKind.WARNING,
    "analyzer": IssueKind.ANALYZER_WARNING,
    "test": IssueKind.TEST_FAILURE,
}


@dataclass(frozen=True, slots=True)
class Issues:
    """Which build's issues, of which kind."""

    target: Target
    ask: ParsedArgs
    kind: IssueKind | None


def parse(words: str) -> Issues:
    """Read the words after `issues`. Raises UsageError."""
    ask = read(words, values=("severity",), switches=("new", "public"))
    if len(ask.words) > 1:
        raise UsageError("I show one build's issues at a time.", usage=USAGE)
    severity = (ask.flag("severity") or "").lower().removesuffix("s")
    if severity and severity not in SEVERITIES:
        raise UsageError(f"I know no severity `{severity}`.", hint=f"Severities: {', '.join(SEVERITIES)}.")
    return Issues(target=ask.target(), ask=ask, kind=SEVERITIES.get(severity))


async def run(ask: Issues, request: Request, services: Services) -> Answer:
    """Return a build's issues, errors first, with its counts."""
    found = await build(ask.target, request, services, acting=False, verb="issues")
    must_be_able(found.place, Capability.ISSUES, found.build)
    now = await with_counts(found)
    issues = await found.provider.issues(found.build.pipeline, found.build.id)
    wanted = tuple(issue for issue in issues if ask.kind is None or issue.kind is ask.kind)
    if ask.ask.has("new"):
        before = await _before(found)
        wanted = tuple(issue for issue in wanted if _same(issue) not in before)
    return Answer(
        message=noted(
            issues_message(wanted, now.issues, build=now, label=found.place.label, now=request.now), found.place
        ),
        public=ask.ask.has("public"),
        connection=now.connection,
        pipeline=now.pipeline,
        build=now.id,
    )


async def _before(found: BuildMatch) -> frozenset[tuple[IssueKind, str, str]]:
    earlier = await build_before(found)
    if earlier is None:
        return frozenset()
    return frozenset(_same(issue) for issue in await found.provider.issues(earlier.pipeline, earlier.id))


def _same(issue: Issue) -> tuple[IssueKind, str, str]:
    """Return what makes an issue the same one in another build: not its line, which moves."""
    return issue.kind, issue.message, issue.file or ""


COMMAND = Command(
    verb="issues",
    usage=USAGE,
    summary="Errors and warnings of a build",
    role=Role.VIEW,
    group="Look",
    parse=parse,
    run=run,
    flags=(
        ("--new", "only those that the build before did not have"),
        ("--severity error", "error, warning, analyzer or test"),
        ("--public", "show it to the channel"),
    ),
    examples=("issues", "issues #412 --severity error"),
    inferred="the last build",
)
