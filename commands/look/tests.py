"""A build's tests: /build tests [target]."""

from dataclasses import dataclass

from bot.blocks.charts import data_table
from bot.blocks.message import Message, section, sections
from bot.blocks.message import context as small_print
from bot.blocks.tests import tests_message
from bot.blocks.text import escape, plural
from bot.core.errors import UsageError
from bot.core.models import Outcome, Ref, RefKind, TestCase
from bot.providers.base.capabilities import Capability
from commands.core.actions import must_be_able, noted
from commands.core.context import Answer, Context, Role
from commands.core.grammar import Target, read
from commands.core.listings import build_before, recent_builds
from commands.core.matches import BuildMatch, PipelineMatch
from commands.core.registry import Command, anyone
from commands.core.resolve import resolve_build, resolve_pipeline
from commands.look.newest import newest_results
from commands.look.stats import flaky_table, tests_of

USAGE = "tests [target] [--new|--flaky|--slow|--all]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Args:
    """Which build's tests; `only_new` leaves out what failed before, `slow` sorts by duration.

    `flaky` asks about the newest builds of its pipeline and ref instead of one build.
    """

    target: Target
    only_new: bool = False
    slow: bool = False
    flaky: bool = False
    public: bool = False


def parse(words: str) -> Args:
    """Read the words after `tests`. Raises UsageError."""
    parsed = read(words, switches=("new", "flaky", "slow", "all", "public"))
    if parsed.has("flaky") and (parsed.has("new") or parsed.has("slow")):
        raise UsageError("`--flaky` looks at many builds: `--new` and `--slow` are about one.", usage=USAGE)
    return Args(
        target=parsed.only_target(USAGE),
        only_new=parsed.has("new"),
        slow=parsed.has("slow"),
        flaky=parsed.has("flaky"),
        public=parsed.public,
    )


async def resolve(args: Args, context: Context) -> BuildMatch | PipelineMatch:
    """Return the build named, else the last one; with `--flaky` the pipeline."""
    if args.flaky:
        pipeline = await resolve_pipeline(args.target, context, acting=False, verb="tests")
        must_be_able(pipeline, Capability.TESTS)
        return pipeline
    match = await resolve_build(args.target, context, acting=False, verb="tests")
    must_be_able(match.pipeline, Capability.TESTS, match.build)
    return match


async def run(args: Args, match: BuildMatch | PipelineMatch, context: Context) -> Answer:
    """Return failed tests first; `--new` leaves out those that failed in the build before, `--flaky` those that are steady."""
    if isinstance(match, PipelineMatch):
        return await _flaky(args, match)
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


async def _flaky(args: Args, pipeline: PipelineMatch) -> Answer:
    """Return the tests whose result changes without the code. Costs a listing and up to ten requests."""
    ref = args.target.ref
    if ref is None and pipeline.branch:
        ref = Ref(kind=RefKind.BRANCH, name=pipeline.branch)
    builds = newest_results(pipeline, [build async for build in recent_builds(pipeline, ref)])
    tests, note = await tests_of(pipeline, builds)
    on = f" on {escape(str(ref))}" if ref is not None else ""
    title = (
        f"{escape(pipeline.name)}{on}: {plural(len(tests), 'flaky test')} in the last {plural(len(builds), 'build')}"
    )
    small = (small_print(escape(f"{note}.")),) if note else ()
    table = flaky_table(tests)
    shown = (data_table(table.title, table.head, table.rows),) if tests else ()
    message = Message(
        text="\n".join([title, *table.lines]),
        blocks=(section(title), *shown, *small),
        fallback=(*sections([title, *table.lines]), *small) if tests else (),
    )
    return Answer(message=noted(message, pipeline), public=args.public)


async def _failed_before(match: BuildMatch) -> frozenset[tuple[str, str]]:
    earlier = await build_before(match)
    if earlier is None:
        return frozenset()
    tests = await match.provider.tests(earlier.pipeline, earlier.id)
    return frozenset(_identity(test) for test in tests if test.outcome is Outcome.FAILED)


def _identity(test: TestCase) -> tuple[str, str]:
    return test.class_name or "", test.name


COMMAND: Command[Args, BuildMatch | PipelineMatch] = Command(
    verb="tests",
    names_target=True,
    usage=USAGE,
    summary="Failed and slow tests",
    role=Role.VIEW,
    group="Look",
    parse=parse,
    resolve=resolve,
    authorize=anyone,
    run=run,
    flags=(
        ("--new", "only newly failed ones"),
        ("--flaky", "of the ten newest builds, those that passed and failed for one commit or keep changing"),
        ("--slow", "slowest first"),
        ("--public", "show it to the channel"),
    ),
    examples=("tests", "tests #412", "tests ios@main --new"),
    inferred="the last build",
)
