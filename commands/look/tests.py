"""A build's tests: /build tests [target]."""

from dataclasses import dataclass

from bot.blocks.tests import tests_message
from bot.core.errors import UsageError
from bot.core.models import Outcome, TestCase
from bot.providers.base.capabilities import Capability
from commands.core.actions import must_be_able, noted
from commands.core.context import Answer, Command, Request, Role, Services
from commands.core.grammar import ParsedArgs, Target, read
from commands.core.resolve import BuildMatch, build, build_before

USAGE = "tests [target] [--new|--slow|--all]"


@dataclass(frozen=True, slots=True)
class Tests:
    """Which build's tests, which of them."""

    target: Target
    ask: ParsedArgs


def parse(words: str) -> Tests:
    """Read the words after `tests`. Raises UsageError."""
    ask = read(words, switches=("new", "slow", "all", "public"))
    if len(ask.words) > 1:
        raise UsageError("I show one build's tests at a time.", usage=USAGE)
    return Tests(target=ask.target(), ask=ask)


async def run(ask: Tests, request: Request, services: Services) -> Answer:
    """Return failed tests first; `--new` leaves out those that failed in the build before."""
    found = await build(ask.target, request, services, acting=False, verb="tests", default="last")
    must_be_able(found.place, Capability.TESTS, found.build)
    tests = await found.provider.tests(found.build.pipeline, found.build.id)
    note = None
    if ask.ask.has("new"):
        before = await _failed_before(found)
        tests = tuple(test for test in tests if test.outcome is Outcome.FAILED and _name(test) not in before)
        note = "Only tests that did not fail in the build before."
    elif ask.ask.has("slow"):
        tests = tuple(sorted(tests, key=lambda test: test.seconds or 0.0, reverse=True))
        note = "Slowest first."
    return Answer(
        message=noted(
            tests_message(tests, build=found.build, label=found.place.label, now=request.now, note=note), found.place
        ),
        public=ask.ask.has("public"),
        connection=found.place.connection,
        pipeline=found.place.pipeline,
        build=found.build.id,
    )


async def _failed_before(found: BuildMatch) -> frozenset[tuple[str, str]]:
    earlier = await build_before(found)
    if earlier is None:
        return frozenset()
    tests = await found.provider.tests(earlier.pipeline, earlier.id)
    return frozenset(_name(test) for test in tests if test.outcome is Outcome.FAILED)


def _name(test: TestCase) -> tuple[str, str]:
    return test.class_name or "", test.name


COMMAND = Command(
    verb="tests",
    usage=USAGE,
    summary="Failed and slow tests",
    role=Role.VIEW,
    group="Look",
    parse=parse,
    run=run,
    flags=(("--new", "only newly failed ones"), ("--slow", "slowest first"), ("--public", "show it to the channel")),
    examples=("tests", "tests #412", "tests ios@main --new"),
    inferred="the last build",
)
