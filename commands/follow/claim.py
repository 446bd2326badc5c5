"""I'm on it: /build claim [build], /build unclaim [build]."""

from dataclasses import dataclass

from bot.blocks.text import escape
from bot.core.errors import UsageError
from commands.core import actions as acting
from commands.core.context import Answer, Command, Request, Role, Services
from commands.core.grammar import Target, read
from commands.core.resolve import build


@dataclass(frozen=True, slots=True)
class Claim:
    """Which build's trouble."""

    target: Target


def parse(words: str) -> Claim:
    """Read the words after `claim` or `unclaim`. Raises UsageError."""
    ask = read(words)
    if len(ask.words) > 1:
        raise UsageError("One build at a time.")
    return Claim(target=ask.target())


async def claim(ask: Claim, request: Request, services: Services) -> Answer:
    """Say in public that the person looks after a red build; the first one counts."""
    found = await build(ask.target, request, services, acting=True, verb="claim", default="failed")
    name = found.name
    was = await services.store.claims.holder(request.team, found.build.key)
    holder = await services.store.claims.add(request.team, found.build.key, request.user)
    if was is not None or holder != request.user:
        raise UsageError(f"{'You are' if holder == request.user else f'<@{holder}> is'} on {name} already.")
    return acting.public_line(f"{acting.who(request)} is on it: {escape(name)}", found.build, found.place)


async def unclaim(ask: Claim, request: Request, services: Services) -> Answer:
    """Give it back."""
    found = await build(ask.target, request, services, acting=True, verb="unclaim", default="failed")
    name = found.name
    if not await services.store.claims.remove(request.team, found.build.key, request.user):
        raise UsageError(f"You are not on {name}.")
    return acting.public_line(f"{acting.who(request)} is no longer on {escape(name)}", found.build, found.place)


CLAIM = Command(
    verb="claim",
    usage="claim [build]",
    summary="Say that you are on it",
    role=Role.VIEW,
    group="Follow",
    parse=parse,
    run=claim,
    acts=lambda _ask: True,
    examples=("claim", "claim web#412"),
    inferred="the last failed build",
)
UNCLAIM = Command(
    verb="unclaim",
    usage="unclaim [build]",
    summary="Give it back",
    role=Role.VIEW,
    group="Follow",
    parse=parse,
    run=unclaim,
    acts=lambda _ask: True,
    examples=("unclaim",),
)
