"""Find the commit that broke a pipeline: /build bisect PIPELINE --good REF --bad REF [--max 6]; /build bisect stop."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta

import msgspec

from bot.blocks.bisection import bisection_message
from bot.blocks.message import Message, sections
from bot.blocks.text import Markup, bold, escape, plural
from bot.core.bisection import Bisection, Result, Step
from bot.core.errors import Unsupported, UsageError
from bot.core.models import Build, Conclusion, Ref, RefKind, StartRequest, StartTarget
from bot.providers.base.capabilities import Capability
from bot.slack.sender import SlackError
from bot.store.rows import BisectionRow, NewBisection
from commands.act.run import MissingParameters, missing_parameters, must_hold_no_secret, parameters_of, start_target
from commands.core import actions
from commands.core.commit_ranges import Range, end_of, end_words, range_of
from commands.core.context import Answer, Context, Role
from commands.core.grammar import Target, read, unexpected
from commands.core.matches import PipelineMatch, number_of
from commands.core.permissions import Requirement, refs_of_start
from commands.core.registry import Command
from commands.core.resolve import resolve_pipeline

USAGE = "bisect [pipeline] --good REF --bad REF [--max 6] [KEY=VALUE …] | bisect stop [pipeline]"
DEFAULT_BUILDS = 6
MOST_BUILDS = 20
MOST_STORED = 500
UNPOSTED = timedelta(minutes=1)
"""After how long the worker posts a card that the command did not post: its process died, or Slack did not take it."""
STOP = "stop"


@dataclass(frozen=True, slots=True, kw_only=True)
class Args:
    """What to search between which commits, or which search to stop. Without a word the searches are listed."""

    target: Target
    good: str = ""
    bad: str = ""
    most: int = DEFAULT_BUILDS
    parameters: Mapping[str, str] = field(default_factory=dict)
    stops: bool = False
    lists: bool = False
    confirmed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A search as it would begin, and what its first build would be."""

    match: PipelineMatch
    bisection: Bisection
    target: StartTarget
    span: Range


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """A search that is to be stopped."""

    match: PipelineMatch
    row: BisectionRow


def parse(words: str) -> Args:
    """Read the words after `bisect`. Raises UsageError."""
    parsed = read(words, values=("good", "bad", "max"), switches=("yes",), parameters=True)
    if parsed.words and parsed.words[0].lower() == STOP:
        rest = replace(parsed, words=parsed.words[1:])
        return Args(target=rest.only_target(USAGE), stops=True, confirmed=parsed.has("yes"))
    if len(parsed.words) > 1:
        raise unexpected(parsed.words[1], parsed.words[0], USAGE)
    target = parsed.target()
    good, bad = parsed.flag("good") or "", parsed.flag("bad") or ""
    if not parsed.words and not parsed.flags and not parsed.parameters:
        return Args(target=target, lists=True)
    if target.build is not None or target.ref is not None or target.id is not None:
        raise UsageError("`bisect` is about a pipeline; `--good` and `--bad` name the commits.", usage=USAGE)
    if not good or not bad:
        missing = " and ".join(f"`--{name}`" for name, value in (("good", good), ("bad", bad)) if not value)
        raise UsageError(
            f"{missing} is missing: a commit's SHA, a build (`#412`), `green`, `failed`, a branch or a tag.",
            hint="`--good` passed, `--bad` fails: I build commits between them until the first bad one is found.",
            usage=USAGE,
        )
    return Args(
        target=target,
        good=good,
        bad=bad,
        most=parsed.number("max", default=DEFAULT_BUILDS, most=MOST_BUILDS),
        parameters=dict(parsed.parameters),
        confirmed=parsed.has("yes"),
    )


def recorded(args: Args, _resolved: Plan | Stop | None) -> str:
    """Return arguments as one would type them, without the values of parameters."""
    named = args.target.pipeline or args.target.url or ""
    if args.stops:
        return f"{STOP} {named}".strip()
    pairs = " ".join(f"{name}=…" for name in args.parameters)
    return f"{named} --good {args.good} --bad {args.bad} --max {args.most} {pairs}".strip()


async def resolve(args: Args, context: Context) -> Plan | Stop | None:
    """Return the search as it would begin, or the one to stop. Raises UsageError where the commits are not known."""
    if args.lists:
        return None
    if args.stops:
        return await _to_stop(args, context)
    match = await resolve_pipeline(args.target, context, acting=True, verb="bisect")
    actions.must_be_able(match, Capability.START)
    if not match.provider.starts_commits:
        raise Unsupported(
            f"{match.provider.label} starts branches and tags, not single commits, so I can't bisect there.",
            provider=match.provider.label,
            hint="Name a pipeline of another system that builds the repository, or look at `changes` between two builds.",
        )
    good, bad = await end_of(args.good, match, context), await end_of(args.bad, match, context)
    span = await range_of(match, good, bad, context)
    results = {} if args.parameters else await known_results(match, context)
    _check_ends(span, results)
    bisection = Bisection(
        commits=span.commits,
        is_complete=span.is_complete,
        good=f"{good.sha[:7]}{f' ({good.words})' if good.words != good.sha[:7] else ''}",
        bad=f"{bad.sha[:7]}{f' ({bad.words})' if bad.words != bad.sha[:7] else ''}",
        good_sha=good.sha,
        branch=span.branch,
        most=args.most,
        parameters=args.parameters,
        steps=tuple(
            replace(results[commit.sha.lower()], commit=number, at=context.now)
            for number, commit in enumerate(span.commits)
            if commit.sha.lower() in results
        ),
    )
    following = bisection.progress.next
    sha = span.commits[following if following is not None else -1].sha
    bisection, target = await placed(bisection, sha, match, context)
    return Plan(match=match, bisection=bisection, target=target, span=span)


async def known_results(match: PipelineMatch, context: Context) -> dict[str, Step]:
    """Return what stored builds of a pipeline say about commits, by SHA. One that passed and failed says nothing."""
    steps: dict[str, Step] = {}
    for build in await context.store.builds.of_pipeline(match.connection, match.id, limit=MOST_STORED):
        result = result_of(build)
        if not build.commit or build.pull_request or result is Result.SKIPPED:
            continue
        sha = build.commit.lower()
        name, url = number_of(build), build.web_url or ""
        before = steps.get(sha)
        if before is None:
            at = build.completed_at or context.now
            steps[sha] = Step(commit=0, at=at, build=build.id, name=name, url=url, result=result, is_reused=True)
        elif before.result is not result:
            note = f"it passed and failed: {before.name} and {name}"
            steps[sha] = replace(before, result=Result.SKIPPED, note=note)
    return steps


def result_of(build: Build) -> Result:
    """Return what a finished build says about its commit; one that was cancelled or ended unclearly says nothing."""
    if build.conclusion is Conclusion.PASSED:
        return Result.GOOD
    return Result.BAD if build.conclusion is not None and build.conclusion.is_red else Result.SKIPPED


def _check_ends(span: Range, results: Mapping[str, Step]) -> None:
    """Raise UsageError where what is known of an end says the opposite of what the person says."""
    for end, word, opposite in ((span.good, "passed", Result.BAD), (span.bad, "failed", Result.GOOD)):
        step = results.get(end.sha)
        if step is not None and step.result is opposite:
            flag = "good" if opposite is Result.BAD else "bad"
            raise UsageError(
                f"`--{flag}` names {end.sha[:7]}, which has not {word}: {step.name} of it {'failed' if opposite is Result.BAD else 'passed'}.",
                hint=f"Name a commit that {word}.",
            )


def start_request(bisection: Bisection, sha: str, *, by: str = "") -> StartRequest:
    """Return the request that builds a commit: on the branch, or as a commit alone where there is none to name."""
    branch = bisection.branch
    ref = Ref(kind=RefKind.BRANCH, name=branch) if branch else Ref(kind=RefKind.COMMIT, name=sha)
    return StartRequest(
        ref=ref, commit=sha if branch else None, parameters=bisection.parameters, requested_by=by or None
    )


async def placed(
    bisection: Bisection, sha: str, match: PipelineMatch, context: Context
) -> tuple[Bisection, StartTarget]:
    """Return the search, with the branch left out where the system takes none beside a commit, and what is built.

    Raises UsageError where a start of this pipeline can name no commit at all.
    """
    try:
        return bisection, await start_target(match, start_request(bisection, sha), context)
    except UsageError:
        alone = replace(bisection, branch="")
        return alone, await start_target(match, start_request(alone, sha), context)


def requirement(match: PipelineMatch, bisection: Bisection, target: StartTarget) -> Requirement:
    """Return what a start of one of the builds needs: what `run` needs for the same refs."""
    return Requirement(
        role=Role.RUN,
        doing=f"Starting builds of *{escape(match.name)}*",
        pipeline=match,
        refs=refs_of_start(target, StartRequest(parameters=bisection.parameters)),
        builds_a_ref=True,
        starts=True,
        environments=tuple(bisection.parameters.values()),
    )


def authorize(_args: Args, resolved: Plan | Stop | None, _context: Context) -> Sequence[Requirement]:
    """Require what `run` requires for each build; the list is open to everybody."""
    match resolved:
        case Plan(match=match, bisection=bisection, target=target):
            return (requirement(match, bisection, target),)
        case Stop(match=match):
            return (Requirement(role=Role.RUN, doing=f"Stopping a search in *{escape(match.name)}*", pipeline=match),)
        case _:
            return ()


async def run(args: Args, resolved: Plan | Stop | None, context: Context) -> Answer:
    """List the searches, stop one, or begin one after a question that shows what it may cost."""
    if resolved is None:
        return await _list(context)
    if isinstance(resolved, Stop):
        return await _stop(args, resolved, context)
    if context.is_direct:
        raise UsageError("A search has its card in a channel.", hint="Type it in the channel where it shall be read.")
    match, bisection = resolved.match, resolved.bisection
    parameters, _unchecked = await parameters_of(match, None)
    must_hold_no_secret(bisection.parameters, parameters)
    if missing := missing_parameters(parameters, bisection.parameters):
        raise MissingParameters(missing, match)
    if not args.confirmed and not bisection.progress.is_over:
        return actions.asks_first(*_question(resolved), typed(resolved, args), yes="Start the search", danger=False)
    return await _begin(resolved, context)


def _question(plan: Plan) -> tuple[str, Markup]:
    bisection = plan.bisection
    progress = bisection.progress
    count = plural(len(bisection.commits), "commit")
    reused = sum(step.result is not Result.SKIPPED for step in bisection.steps)
    at_most = min(progress.builds_left, bisection.most)
    short = (
        f" The limit of {plural(bisection.most, 'build')} may end it before its end: `--max {progress.builds_left}`."
        if progress.builds_left > bisection.most
        else ""
    )
    pushed = "" if bisection.is_complete else " The commits are those that builds name: a push may hold more."
    effect = Markup(
        f"{count} after {end_words(plan.span.good)} up to {end_words(plan.span.bad)}, {reused} with a known result. "
        f"It starts at most {plural(at_most, 'build')}, one after the other, each by your rights.{short}{pushed}"
    )
    return f"Search for the commit that broke {plan.match.name}?", effect


def typed(plan: Plan, args: Args) -> str:
    """Return the command that begins, or goes on with, a search; commits by their whole SHAs, so that nothing moves."""
    pairs = " ".join(shlex.quote(f"{name}={value}") for name, value in args.parameters.items())
    words = f"bisect {plan.match.spoken()} --good {plan.span.good.sha} --bad {plan.span.bad.sha} --max {args.most}"
    return f"{words} {pairs}".strip()


async def _begin(plan: Plan, context: Context) -> Answer:
    """Write the search and post its card; the worker takes the steps."""
    match = plan.match
    row = await context.store.bisections.add(
        NewBisection(
            team=context.team,
            channel=context.channel,
            user=context.user,
            connection=match.connection,
            pipeline=match.id,
            label=match.name,
            running=f"{context.team} {context.channel} {match.connection} {match.id}",
            data=msgspec.json.encode(plan.bisection).decode(),
            due_at=context.now + UNPOSTED,
            made_at=context.now,
        )
    )
    if row is None:
        raise UsageError(
            f"A search in {match.name} runs in this channel already.",
            hint=f"`{context.command} bisect stop {match.typed}` ends it.",
        )
    try:
        _channel, ts = await context.services.sender.post(
            context.team, context.channel, card_of(row, plan.bisection, match.spoken()), key=f"bisect {row.id}"
        )
    except SlackError:
        return Answer(silent=True, connection=match.connection, pipeline=match.id)  # the worker posts it
    await context.store.bisections.save(row, data=row.data, ts=ts, due_at=context.now)
    return Answer(silent=True, connection=match.connection, pipeline=match.id)


def card_of(row: BisectionRow, bisection: Bisection, spoken: str) -> Message:
    """Return the card of a search; `spoken` names the pipeline wherever it is typed."""
    pairs = " ".join(shlex.quote(f"{name}={value}") for name, value in bisection.parameters.items())
    good, bad = bisection.good_sha, bisection.commits[-1].sha
    again = f"bisect {spoken} --good {good} --bad {bad} --max {bisection.most} {pairs}".strip()
    return bisection_message(
        bisection, label=row.label, user=row.user, stop=f"bisect stop {spoken}", again=again, stopped_by=row.ended_by
    )


async def _to_stop(args: Args, context: Context) -> Stop:
    rows = await context.store.bisections.of_channel(context.team, context.channel)
    if not args.target.empty:
        match = await resolve_pipeline(args.target, context, acting=True, verb="bisect stop")
        rows = [row for row in rows if (row.connection, row.pipeline) == (match.connection, match.id)]
    if len(rows) != 1:
        reason = "Several searches run here." if rows else "No search runs here."
        raise UsageError(reason, hint="Name the pipeline: `bisect stop PIPELINE`." if rows else None)
    (row,) = rows
    named = Target(pipeline=f"{row.connection}:{row.pipeline}")
    return Stop(match=await resolve_pipeline(named, context, acting=True, verb="bisect stop"), row=row)


async def _stop(args: Args, stop: Stop, context: Context) -> Answer:
    row = stop.row
    if row.user != context.user and not args.confirmed:
        effect = Markup(f"<@{row.user}> began it. Its own running build is cancelled, no other.")
        words = f"bisect stop {stop.match.spoken()}"
        return actions.asks_first(f"Stop the search in {row.label}?", effect, words, yes="Stop it")
    if not await context.store.bisections.stop(row.id, context.user, context.now):
        raise UsageError("That search is being stopped already.")
    answer = actions.public_line(
        f"{actions.actor(context)} stops the search in {escape(row.label)}", pipeline=stop.match
    )
    return replace(answer, public=False, replace=True)


async def _list(context: Context) -> Answer:
    rows = await context.store.bisections.of_channel(context.team, context.channel)
    lines = []
    for row in rows:
        bisection = msgspec.json.decode(row.data, type=Bisection)
        left = bisection.progress.high - bisection.progress.low
        lines.append(f"• {bold(row.label)}: {plural(left, 'commit')} left, begun by <@{row.user}>")
    text = "\n".join(lines) or "No search for a commit runs here."
    return Answer(message=Message(text=text, blocks=sections(lines or [text])))


COMMAND = Command(
    verb="bisect",
    usage=USAGE,
    summary="Find the commit that broke a pipeline",
    role=Role.RUN,
    group="Act",
    parse=parse,
    resolve=resolve,
    authorize=authorize,
    run=run,
    recorded=recorded,
    acts=lambda args: not args.lists,
    flags=(
        ("--good REF", "a commit that passed: a SHA, a build, `green`, a branch or a tag"),
        ("--bad REF", "a later one that fails"),
        ("--max 6", f"how many builds it may start; at most {MOST_BUILDS}"),
    ),
    examples=("bisect web --good #398 --bad #412", "bisect web --good v1.3 --bad main --max 8", "bisect stop web"),
    inferred="the list of searches",
)
