"""What `claim` and `unclaim` share: the build they name and who may name it."""

from collections.abc import Sequence
from dataclasses import dataclass

from commands.core.context import Context, Role
from commands.core.grammar import Target, read
from commands.core.matches import BuildMatch
from commands.core.permissions import Requirement
from commands.core.resolve import resolve_build

INFERRED = "the last failed build"


@dataclass(frozen=True, slots=True, kw_only=True)
class Args:
    """Which build's trouble."""

    target: Target


def parse_claim(words: str, usage: str) -> Args:
    """Read the words after the verb. Raises UsageError."""
    return Args(target=read(words).only_target(usage))


async def resolve_claim(args: Args, context: Context, *, verb: str) -> BuildMatch:
    """Return the build named, else the last failed one."""
    return await resolve_build(args.target, context, acting=True, verb=verb, default="failed")


def authorize(_args: Args, _match: BuildMatch, _context: Context) -> Sequence[Requirement]:
    """Require a person who may act in the channel."""
    return (Requirement(role=Role.VIEW, doing="Claiming builds"),)
