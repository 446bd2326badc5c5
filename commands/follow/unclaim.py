"""Give a claim back: /build unclaim [build]."""

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

USAGE = "unclaim [build]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Args:
    """Which build's trouble."""

    target: Target


def parse(words: str) -> Args:
    """Read the words after `unclaim`. Raises UsageError."""
    return Args(target=read(words).only_target(USAGE))


async def resolve(args: Args, context: Context) -> BuildMatch:
    """Return the build named, else the last failed one."""
    return await resolve_build(args.target, context, acting=True, verb="unclaim", default="failed")


def authorize(_args: Args, _match: BuildMatch, _context: Context) -> Sequence[Requirement]:
    """Require a person who may act in the channel."""
    return (Requirement(role=Role.VIEW, doing="Claiming builds"),)


async def run(_args: Args, match: BuildMatch, context: Context) -> Answer:
    """Give the claim back; only its holder can."""
    if not await context.store.claims.remove(context.team, match.build.key, context.user):
        raise UsageError(f"You are not on {match.name}.")
    text = f"{actions.actor(context)} is no longer on {escape(match.name)}"
    await actions.redraw_cards(match, context)
    return await actions.answered(match, context, line=text)


COMMAND = Command(
    verb="unclaim",
    usage=USAGE,
    summary="Give it back",
    role=Role.VIEW,
    group="Follow",
    parse=parse,
    resolve=resolve,
    authorize=authorize,
    run=run,
    acts=lambda _args: True,
    examples=("unclaim",),
    inferred="the last failed build",
)
