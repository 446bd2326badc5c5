"""Keep others from starting builds of a pipeline: /build hold PIPELINE [--env NAME] [--for 2h] reason…."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from bot.blocks.message import Message, sections
from bot.blocks.text import bold, code, escape, safe, when
from bot.core.errors import UsageError
from bot.core.text import folded
from bot.notifications.holds import MOST_REASON, hold_words
from bot.security.redaction import redact
from bot.store.rows import HoldRow, NewHold
from commands.core import actions
from commands.core.context import Answer, Context, Role
from commands.core.durations import parse_duration, span_at_start
from commands.core.grammar import ParsedArgs, Target, read
from commands.core.matches import PipelineMatch
from commands.core.permissions import Requirement
from commands.core.phrases import reason_in
from commands.core.registry import Command
from commands.core.resolve import pipelines_here, resolve_pipeline

USAGE = "hold [pipeline|all] [--env NAME] [--for 2h] [reason…]"
MOST_NAME = 100
ALL = "all"
"""Stands for every pipeline of the channel."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Args:
    """What to hold, for how long and why. Without a target the holds are listed."""

    target: Target | None = None
    environment: str = ""
    span: timedelta | None = None
    reason: str = ""


def parse(words: str) -> Args:
    """Read the words after `hold`. Raises UsageError."""
    parsed = read(words, values=("env", "for"))
    if not parsed.words and not parsed.flags:
        return Args()
    is_all = parsed.words[:1] == (ALL,)
    target = Target(scope=ALL) if is_all else parsed.target()
    target = target.of_pipeline("hold")
    if is_all and not parsed.has("env"):
        raise UsageError("`hold all` is about an environment.", hint="Name it: `hold all --env NAME`.", usage=USAGE)
    span, reason = parsed.flag("for"), list(parsed.words[1:])
    if span is None:
        span, reason = span_at_start(reason)
    return Args(
        target=target,
        environment=environment_in(parsed),
        span=parse_duration(span) if span is not None else None,
        reason=redact(reason_in(reason))[:MOST_REASON],
    )


def environment_in(parsed: ParsedArgs) -> str:
    """Return the environment that words name, as the store keeps it. Raises UsageError for an empty or long name."""
    name = parsed.flag("env")
    if name is None:
        return ""
    if not name.strip() or len(name) > MOST_NAME:
        raise UsageError(f"`--env` takes a name of up to {MOST_NAME} characters.")
    return folded(name.strip())


def spoken(args: Args) -> str:
    """Return arguments as one would type them."""
    named = (args.target.pipeline or args.target.url or "") if args.target is not None else ""
    return f"{named}{f' --env {args.environment}' if args.environment else ''} {args.reason}".strip()


async def resolve(args: Args, context: Context) -> PipelineMatch | tuple[PipelineMatch, ...] | None:
    """Return the pipeline to hold, all of the channel where only an environment is named, None where holds are listed."""
    if args.target is None:
        return None
    if args.target.scope == ALL or (args.target.empty and args.environment):
        pipelines = tuple(await pipelines_here(context))
        if not pipelines:
            raise UsageError("No pipeline is linked here.", hint="Name one: `hold PIPELINE --env NAME`.")
        return pipelines
    return await resolve_pipeline(args.target, context, acting=True, verb="hold")


def authorize(
    _args: Args, match: PipelineMatch | tuple[PipelineMatch, ...] | None, _context: Context
) -> Sequence[Requirement]:
    """Require the runner's role on each pipeline; the list is open to everybody."""
    return [
        Requirement(role=Role.RUN, doing=f"Holding *{escape(pipeline.name)}*", pipeline=pipeline)
        for pipeline in _each(match)
    ]


def _each(match: PipelineMatch | tuple[PipelineMatch, ...] | None) -> tuple[PipelineMatch, ...]:
    return match if isinstance(match, tuple) else (match,) if match is not None else ()


async def run(args: Args, match: PipelineMatch | tuple[PipelineMatch, ...] | None, context: Context) -> Answer:
    """Hold a pipeline, or say who holds it; list the holds of the workspace where nothing is named."""
    if match is None:
        return await _list(context)
    if isinstance(match, tuple):
        return await _hold_all(args, match, context)
    row = await _take(args, match, context)
    if row.user != context.user:
        raise UsageError(
            f"{match.name} is held already: {hold_words(row)}.",
            hint=f"`/build release {match.typed} --steal` ends that hold, and tells its holder.",
        )
    return actions.public_line(
        f"{actions.actor(context)} holds {escape(match.name)}{place_words(row)}{_end_words(row)}. "
        f"Others can neither start nor approve builds of it. `{context.command} release {match.typed}` ends the hold.",
        pipeline=match,
    )


async def _hold_all(args: Args, pipelines: Sequence[PipelineMatch], context: Context) -> Answer:
    """Hold an environment in every pipeline of the channel; those that somebody else holds stay theirs."""
    rows = [(pipeline, await _take(args, pipeline, context)) for pipeline in pipelines]
    own = [(pipeline, row) for pipeline, row in rows if row.user == context.user]
    others = [f"{escape(pipeline.name)}: {hold_words(row)}." for pipeline, row in rows if row.user != context.user]
    if not own:
        raise UsageError(f"All of them are held already. {' '.join(others)}")
    names = ", ".join(escape(pipeline.name) for pipeline, _row in own)
    row = own[0][1]
    text = (
        f"{actions.actor(context)} holds the environment {code(args.environment)} of {names}{_end_words(row)}. "
        "Others can neither start nor approve what names it. "
        f"`{context.command} release --env {args.environment}` ends the hold."
    )
    return actions.public_line(" ".join([text, *others]))


def _end_words(row: HoldRow) -> str:
    until = f" until {when(row.until)}" if row.until is not None else ""
    return f"{until}{f' ({safe(row.reason)})' if row.reason else ''}"


async def _take(args: Args, match: PipelineMatch, context: Context) -> HoldRow:
    return await context.store.holds.take(
        NewHold(
            team=context.team,
            connection=match.connection,
            pipeline=match.id,
            environment=args.environment,
            user=context.user,
            reason=args.reason,
            until=context.now + args.span if args.span is not None else None,
            made_at=context.now,
        )
    )


async def _list(context: Context) -> Answer:
    visible = context.services.connections.labels(context.team)
    rows = [row for row in await context.store.holds.of_team(context.team) if row.connection in visible]
    if not rows:
        text = "Nothing is on hold."
        return Answer(message=Message(text=text, blocks=sections([text])))
    listed = await context.store.pipelines.all(connections=sorted({row.connection for row in rows}))
    names = {(pipeline.connection, pipeline.pipeline): pipeline.name for pipeline in listed}
    lines = [f"• {bold(names.get((row.connection, row.pipeline), row.pipeline))}: {hold_words(row)}" for row in rows]
    return Answer(message=Message(text="\n".join(lines), blocks=sections(lines)))


def place_words(row: HoldRow) -> str:
    """Return the environment of a hold as an addition to a pipeline's name, "" for the whole pipeline."""
    return f" for {code(row.environment)}" if row.environment else ""


COMMAND = Command(
    verb="hold",
    names_target=True,
    usage=USAGE,
    summary="Keep others from starting or approving builds of a pipeline",
    role=Role.RUN,
    group="Act",
    parse=parse,
    resolve=resolve,
    authorize=authorize,
    run=run,
    spoken=spoken,
    acts=lambda args: args.target is not None,
    flags=(
        (
            "--env NAME",
            "only what names this environment: approval steps, values of parameters, a job to retry; with `all`, of each pipeline of the channel",
        ),
        ("--for 2h", "end by itself; without it the hold lasts until it is released"),
    ),
    examples=(
        "hold",
        "hold web --for 2h checkout is down",
        "hold deploy --env production release 4.2",
        "hold all --env production --for 1h audit",
    ),
    inferred="the list of holds",
)
