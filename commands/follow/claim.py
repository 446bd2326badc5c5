"""I'm on it: /build claim [build]."""

from bot.blocks.text import escape
from bot.core.errors import UsageError
from commands.core import actions
from commands.core.context import Answer, Context, Role
from commands.core.matches import BuildMatch
from commands.core.registry import Command
from commands.follow.claims import INFERRED, Args, authorize, parse_claim, resolve_claim

USAGE = "claim [build]"


def parse(words: str) -> Args:
    """Read the words after `claim`. Raises UsageError."""
    return parse_claim(words, USAGE)


async def resolve(args: Args, context: Context) -> BuildMatch:
    """Return the build named, else the last failed one."""
    return await resolve_claim(args, context, verb="claim")


async def run(_args: Args, match: BuildMatch, context: Context) -> Answer:
    """Show on the build's cards, else in public, who looks after a red build; the first one counts."""
    before = await context.store.claims.holder(context.team, match.build.key)
    holder = await context.store.claims.add(context.team, match.build.key, context.user)
    if before is not None or holder != context.user:
        raise UsageError(f"{'You are' if holder == context.user else f'<@{holder}> is'} on {match.name} already.")
    await context.store.red_branches.claim(context.team, match.build.key, context.user, context.now)
    await actions.redraw_cards(match, context)
    return await actions.answered(match, context, line=f"{actions.actor(context)} is on it: {escape(match.name)}")


COMMAND = Command(
    verb="claim",
    names_target=True,
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
    inferred=INFERRED,
)
