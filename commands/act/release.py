"""End a hold: /build release PIPELINE [--env NAME] [--steal]."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from bot.blocks.text import Markup, escape
from bot.core.errors import Ambiguous, UsageError
from bot.notifications.holds import hold_words
from bot.store.rows import HoldRow
from commands.act.hold import environment_in, place_words
from commands.core import actions
from commands.core.context import Answer, Context, Role
from commands.core.grammar import Target, read
from commands.core.holds import notify_holder, notify_waiters
from commands.core.matches import PipelineMatch
from commands.core.permissions import Requirement
from commands.core.registry import Command
from commands.core.resolve import pipelines_here, resolve_pipeline

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
    target = parsed.only_target(USAGE).of_pipeline("release")
    return Args(
        target=target,
        environment=environment_in(parsed),
        steal=parsed.has("steal"),
        confirmed=parsed.has("yes"),
    )


async def resolve(args: Args, context: Context) -> Held | tuple[Held, ...]:
    """Return the hold that is named, else the pipeline's only one. Raises Ambiguous where there are several.

    Where only an environment is named: the person's own holds of it in all of the channel's pipelines.
    """
    if args.target.empty and args.environment and len(own := await _own(args.environment, context)) > 1:
        return own
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


async def _own(environment: str, context: Context) -> tuple[Held, ...]:
    held = [
        Held(match=match, row=row)
        for match in await pipelines_here(context)
        for row in await context.store.holds.of_pipeline(context.team, match.connection, match.id)
        if row.environment == environment and row.user == context.user
    ]
    return tuple(held)


def authorize(_args: Args, held: Held | tuple[Held, ...], context: Context) -> Sequence[Requirement]:
    """Require the runner's role to end somebody else's hold; one's own may always be ended."""
    if isinstance(held, tuple):
        return [
            Requirement(role=Role.VIEW, doing=f"Releasing *{escape(each.match.name)}*", pipeline=each.match)
            for each in held
        ]
    role = Role.VIEW if held.row.user == context.user else Role.RUN
    return (Requirement(role=role, doing=f"Releasing *{escape(held.match.name)}*", pipeline=held.match),)


async def run(args: Args, held: Held | tuple[Held, ...], context: Context) -> Answer:
    """End the hold. Somebody else's takes `--steal` and a confirmation, and its holder is told; so is who waited for it."""
    if isinstance(held, tuple):
        ended = [each for each in held if await context.store.holds.release(each.row)]
        for each in ended:
            await notify_waiters(each.row, context.services, but=context.user)
        names = ", ".join(escape(each.match.name) for each in ended)
        return actions.public_line(f"{actions.actor(context)} released {names}{place_words(held[0].row)}")
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
    await notify_waiters(row, context.services, but=context.user)
    line = f"{actions.actor(context)} released {escape(match.name)}{place_words(row)}"
    if is_own:
        return actions.public_line(line, pipeline=match)
    holder = f"<@{row.user}>" if row.user else "the terminal"
    what = f"was released by {actions.actor(context)} in {context.here}."
    note = "" if await notify_holder(row, what, context.services) else " I could not reach them."
    return actions.public_line(f"{line}, which {holder} held.{note}", pipeline=match)


COMMAND: Command[Args, Held | tuple[Held, ...]] = Command(
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
    examples=("release web", "release deploy --env production", "release --env production", "release web --steal"),
    inferred="the channel's default pipeline",
    is_dangerous=True,
)
