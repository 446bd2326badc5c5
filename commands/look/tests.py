"""A build's tests: /build tests [target]."""

from dataclasses import dataclass

from bot.blocks.tests import tests_message
from bot.core.models import Outcome, TestCase
from bot.providers.base.capabilities import Capability
from commands.core.actions import must_be_able, noted
from commands.core.context import Answer, Context, Role
from commands.core.grammar import Target, read
from commands.core.listings import build_before
from commands.core.matches import BuildMatch
from commands.core.registry import Command, anyone
from commands.core.resolve import resolve_build

USAGE = "tests [target] [--new|--slow|--all]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Args:
    """Which build's tests; `only_new` leaves out what failed before, `slow` sorts by duration."""

    target: Target
    only_new: bool = False
    slow: bool = False
    public: bool = False


def parse(words: str) -> Args:
    """Read the words after `tests`. Raises UsageError."""
    parsed = read(words, switches=("new", "slow", "all", "public"))
    return Args(
        target=parsed.only_target(USAGE),
        only_new=parsed.has("new"),
        slow=parsed.has("slow"),
        public=parsed.public,
    )


async def resolve(args: Args, context: Context) -> BuildMatch:
    """Return the build named, else the last one."""
    match = await resolve_build(args.target, context, acting=False, verb="tests")
    must_be_able(match.pipeline, Capability.TESTS, match.build)
    return match


async def run(args: Args, match: BuildMatch, context: Context) -> Answer:
    """Return failed tests first; `--new` leaves out those that failed in the build before."""
    tests = await match.provider.tests(match.build.pipeline, match.build.id)
    note = None
    if args.only_new:
        before = await _failed_before(match)
        tests = tuple(test for test in tests if test.outcome is Outcome.FAILED and _identity(test) not in before)
        note = "Only tests that did not fail in the build before."
    elif args.slow:
        tests = tuple(sorted(tests, key=lambda test: test.seconds or 0.0, reverse=True))
        note = "Slowest first."
    message = tests_message(tests, build=match.build, label=match.pipeline.name, now=context.now, note=note)
    return Answer(
        message=noted(message, match.pipeline),
        public=args.public,
        connection=match.build.connection,
        pipeline=match.build.pipeline,
        build=match.build.id,
    )


async def _failed_before(match: BuildMatch) -> frozenset[tuple[str, str]]:
    earlier = await build_before(match)
    if earlier is None:
        return frozenset()
    tests = await match.provider.tests(earlier.pipeline, earlier.id)
    return frozenset(_identity(test) for test in tests if test.outcome is Outcome.FAILED)


def _identity(test: TestCase) -> tuple[str, str]:
    return test.class_name or "", test.name


COMMAND = Command(
    verb="tests",
    usage=USAGE,
    summary="Failed and slow tests",
    role=Role.VIEW,
    group="Look",
    parse=parse,
    resolve=resolve,
    authorize=anyone,
    run=run,
    flags=(("--new", "only newly failed ones"), ("--slow", "slowest first"), ("--public", "show it to the channel")),
    examples=("tests", "tests #412", "tests ios@main --new"),
    inferred="the last build",
)
