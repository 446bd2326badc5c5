"""I'm on it: /build claim [build]."""

from collections.abc import Sequence
from dataclasses import dataclass

from bot.blocks.text import escape
from bot.core.errors import UsageError
from commands.core import actions
from commands.core.context import Answer, Context, Role
from commands.core.grammar import Target, read
from commands.core.matches import BuildMatch
from commands.core.permissions import Requirement
from commands.core.registry import Command
from commands.core.resolve import resolve_build

USAGE = "claim [build]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Args:
    """Which build's trouble."""

    target: Target


def parse(words: str) -> Args:
    """Read the words after `claim`. Raises UsageError."""
    return Args(target=read(words).only_target(USAGE))


async def resolve(args: Args, context: Context) -> BuildMatch:
    """Return the build named, else the last failed one."""
    return await resolve_build(args.target, context, acting=True, verb="claim", default="failed")


def authorize(_args: Args, _match: BuildMatch, _context: Context) -> Sequence[Requirement]:
    """Require a person who may act in the channel."""
    return (Requirement(role=Role.VIEW, doing="Claiming builds"),)


async def run(_args: Args, match: BuildMatch, context: Context) -> Answer:
    """Show on the build's cards, else in public, who looks after a red build; the first one counts."""
    before = await context.store.claims.holder(context.team, match.build.key)
    holder = await context.store.claims.add(context.team, match.build.key, context.user)
    if before is not None or holder != context.user:
        raise UsageError(f"{'You are' if holder == context.user else f'<@{holder}> is'} on {match.name} already.")
    await actions.redraw_cards(match, context)
    return await actions.answered(match, context, line=f"{actions.actor(context)} is on it: {escape(match.name)}")


COMMAND = Command(
    verb="claim",
    usage=USAGE,
    summary="Say that you are on it",
    role=Role.VIEW,
    group="Follow",
    parse=parse,
    resolve=resolve,
    authorize=authorize,
    run=run,
    acts=lambda _args: True,
    examples=("claim", "claim web#412"),
    inferred="the last failed build",
)
