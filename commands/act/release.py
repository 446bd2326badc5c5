"""End a hold: /build release PIPELINE [--env NAME] [--steal]."""

import logging
import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from bot.blocks.message import Message, section
from bot.blocks.text import Markup, escape
from bot.core.errors import Ambiguous, UsageError
from bot.slack.sender import SlackError
from bot.store.rows import HoldRow
from commands.act.hold import environment_in, must_name_pipeline, place_words
from commands.core import actions
from commands.core.context import Answer, Context, Role
from commands.core.grammar import Target, read
from commands.core.matches import PipelineMatch
from commands.core.permissions import Requirement, hold_words
from commands.core.registry import Command
from commands.core.resolve import resolve_pipeline

log = logging.getLogger(__name__)

USAGE = "release [pipeline] [--env NAME] [--steal]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Args:
    """Which hold to end; `steal` ends somebody else's."""

    target: Target
    environment: str = ""
    steal: bool = False
    confirmed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A hold and its pipeline."""

    match: PipelineMatch
    row: HoldRow


def parse(words: str) -> Args:
    """Read the words after `release`. Raises UsageError."""
    parsed = read(words, values=("env",), switches=("steal", "yes"))
    target = parsed.only_target(USAGE)
    must_name_pipeline(target, "release", USAGE)
    return Args(
        target=target,
        environment=environment_in(parsed),
        steal=parsed.has("steal"),
        confirmed=parsed.has("yes"),
    )


async def resolve(args: Args, context: Context) -> Held:
    """Return the hold that is named, else the pipeline's only one. Raises Ambiguous where there are several."""
    match = await resolve_pipeline(args.target, context, acting=True, verb="release")
    rows = await context.store.holds.of_pipeline(context.team, match.connection, match.id)
    fits = [row for row in rows if not args.environment or row.environment == args.environment]
    if not fits:
        place = f" for `{args.environment}`" if args.environment else ""
        raise UsageError(f"{match.name} is not on hold{place}.")
    if len(fits) == 1 or not fits[0].environment:
        return Held(match=match, row=fits[0])
    steal = " --steal" if args.steal else ""
    raise Ambiguous(
        f"{match.name} is on hold for {len(fits)} environments. Which one?",
        choices=tuple(
            (row.environment, f"release {match.spoken()} --env {shlex.quote(row.environment)}{steal}") for row in fits
        ),
    )


def authorize(_args: Args, held: Held, context: Context) -> Sequence[Requirement]:
    """Require the runner's role to end somebody else's hold; one's own may always be ended."""
    role = Role.VIEW if held.row.user == context.user else Role.RUN
    return (Requirement(role=role, doing=f"Releasing *{escape(held.match.name)}*", pipeline=held.match),)


async def run(args: Args, held: Held, context: Context) -> Answer:
    """End the hold. Somebody else's takes `--steal` and a confirmation, and its holder is told."""
    match, row = held.match, held.row
    is_own = row.user == context.user
    words = f"release {match.spoken()}{f' --env {shlex.quote(row.environment)}' if row.environment else ''} --steal"
    if not is_own and not args.steal:
        raise UsageError(
            f"{match.name} is not yours to release: {hold_words(row)}.",
            hint=f"`/build release {match.typed} --steal` ends it all the same, and tells its holder.",
        )
    if not is_own and not args.confirmed:
        return actions.asks_first(
            Markup(f"Release {escape(match.name)}{place_words(row)}?"),
            Markup(f"{hold_words(row)}. Others can start and approve its builds then, and the holder is told."),
            words,
            yes="Release it",
        )
    if not await context.store.holds.release(row):
        raise UsageError(f"{match.name} is not on hold any more.")
    line = f"{actions.actor(context)} released {escape(match.name)}{place_words(row)}"
    if is_own:
        return actions.public_line(line, pipeline=match)
    holder = f"<@{row.user}>" if row.user else "the terminal"
    note = "" if await _told(row, match, context) else " I could not reach them."
    return actions.public_line(f"{line}, which {holder} held.{note}", pipeline=match)


async def _told(row: HoldRow, match: PipelineMatch, context: Context) -> bool:
    """Send the holder a direct message about the end of their hold; return whether that went well."""
    if not row.user:
        return True
    text = f"{actions.actor(context)} released your hold of {escape(match.name)}{place_words(row)} in {context.here}."
    try:
        await context.services.sender.post(context.team, row.user, Message(text=text, blocks=(section(text),)))
    except SlackError as exc:
        log.info("the holder of a pipeline could not be told", extra={"code": exc.code})
        return False
    return True


COMMAND = Command(
    verb="release",
    names_target=True,
    usage=USAGE,
    summary="End a hold",
    role=Role.RUN,
    group="Act",
    parse=parse,
    resolve=resolve,
    authorize=authorize,
    run=run,
    acts=lambda _args: True,
    flags=(
        ("--env NAME", "the hold of this environment"),
        ("--steal", "end somebody else's hold, after a question; its holder is told"),
    ),
    examples=("release web", "release deploy --env production", "release web --steal"),
    inferred="the channel's default pipeline",
    is_dangerous=True,
)
