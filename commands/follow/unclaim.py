"""Give a claim back: /build unclaim [build]."""

from bot.blocks.text import escape
from bot.core.errors import UsageError
from commands.core import actions
from commands.core.context import Answer, Context, Role
from commands.core.matches import BuildMatch
from commands.core.registry import Command
from commands.follow.claims import INFERRED, Args, authorize, parse_claim, resolve_claim

USAGE = "unclaim [build]"


def parse(words: str) -> Args:
    """Read the words after `unclaim`. Raises UsageError."""
    return parse_claim(words, USAGE)


async def resolve(args: Args, context: Context) -> BuildMatch:
    """Return the build named, else the last failed one."""
    return await resolve_claim(args, context, verb="unclaim")


async def run(_args: Args, match: BuildMatch, context: Context) -> Answer:
    """Give the claim back; only its holder can."""
    if not await context.store.claims.remove(context.team, match.build.key, context.user):
        raise UsageError(f"You are not on {match.name}.")
    text = f"{actions.actor(context)} is no longer on {escape(match.name)}"
    await context.store.red_branches.unclaim(context.team, match.build.key, context.user, context.now)
    await actions.redraw_cards(match, context)
    return await actions.answered(match, context, line=text)


COMMAND = Command(
    verb="unclaim",
    names_target=True,
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
    inferred=INFERRED,
)
