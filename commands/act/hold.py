"""Keep others from starting builds of a pipeline: /build hold PIPELINE [--env NAME] [--for 2h] reason…."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from bot.blocks.message import Message, sections
from bot.blocks.text import bold, code, escape, safe, when
from bot.core.errors import UsageError
from bot.core.text import folded
from bot.security.redaction import redact
from bot.store.rows import HoldRow, NewHold
from commands.core import actions
from commands.core.context import Answer, Context, Role
from commands.core.durations import parse_duration, span_at_start
from commands.core.grammar import ParsedArgs, Target, read
from commands.core.matches import PipelineMatch
from commands.core.permissions import MOST_REASON, Requirement, hold_words
from commands.core.registry import Command
from commands.core.resolve import resolve_pipeline

USAGE = "hold [pipeline] [--env NAME] [--for 2h] [reason…]"
MOST_NAME = 100


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
    target = parsed.target()
    must_name_pipeline(target, "hold", USAGE)
    span, reason = parsed.flag("for"), list(parsed.words[1:])
    if span is None:
        span, reason = span_at_start(reason)
    return Args(
        target=target,
        environment=environment_in(parsed),
        span=parse_duration(span) if span is not None else None,
        reason=redact(" ".join(reason))[:MOST_REASON],
    )


def environment_in(parsed: ParsedArgs) -> str:
    """Return the environment that words name, as the store keeps it. Raises UsageError for an empty or long name."""
    name = parsed.flag("env")
    if name is None:
        return ""
    if not name.strip() or len(name) > MOST_NAME:
        raise UsageError(f"`--env` takes a name of up to {MOST_NAME} characters.")
    return folded(name.strip())


def must_name_pipeline(target: Target, verb: str, usage: str) -> None:
    """Raise UsageError where a target names a build or a ref: pipelines are held, whatever they build."""
    if target.names_build and target.url is None:
        raise UsageError(f"`{verb}` is about a pipeline, not about one build.", usage=usage)
    if target.ref is not None:
        raise UsageError(f"`{verb}` is about a pipeline, not about one ref.", usage=usage)


def spoken(args: Args) -> str:
    """Return arguments as one would type them."""
    named = (args.target.pipeline or args.target.url or "") if args.target is not None else ""
    return f"{named}{f' --env {args.environment}' if args.environment else ''} {args.reason}".strip()


async def resolve(args: Args, context: Context) -> PipelineMatch | None:
    """Return the pipeline to hold, None where holds are listed."""
    if args.target is None:
        return None
    return await resolve_pipeline(args.target, context, acting=True, verb="hold")


def authorize(_args: Args, match: PipelineMatch | None, _context: Context) -> Sequence[Requirement]:
    """Require the runner's role on the pipeline; the list is open to everybody."""
    if match is None:
        return ()
    return (Requirement(role=Role.RUN, doing=f"Holding *{escape(match.name)}*", pipeline=match),)


async def run(args: Args, match: PipelineMatch | None, context: Context) -> Answer:
    """Hold a pipeline, or say who holds it; list the holds of the workspace where nothing is named."""
    if match is None:
        return await _list(context)
    row = await context.store.holds.take(
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
    if row.user != context.user:
        raise UsageError(
            f"{match.name} is held already: {hold_words(row)}.",
            hint=f"`/build release {match.typed} --steal` ends that hold, and tells its holder.",
        )
    until = f" until {when(row.until)}" if row.until is not None else ""
    why = f" ({safe(row.reason)})" if row.reason else ""
    return actions.public_line(
        f"{actions.actor(context)} holds {escape(match.name)}{place_words(row)}{until}{why}. "
        f"Others can neither start nor approve builds of it. `{context.command} release {match.typed}` ends the hold.",
        pipeline=match,
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
        ("--env NAME", "only what names this environment: approval steps, values of parameters, a job to retry"),
        ("--for 2h", "end by itself; without it the hold lasts until it is released"),
    ),
    examples=("hold", "hold web --for 2h checkout is down", "hold deploy --env production release 4.2"),
    inferred="the list of holds",
)
