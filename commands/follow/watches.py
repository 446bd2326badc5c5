"""What `unwatch` and `unfollow` share: arguments that name one thing or all of them; and how watches end."""

from collections.abc import Callable
from dataclasses import dataclass

from bot.store.rows import WatchRow
from commands.core.context import Context
from commands.core.grammar import Target, read


@dataclass(frozen=True, slots=True, kw_only=True)
class Args:
    """Which build or pipeline; without one, all that the person watches or follows."""

    target: Target

    @property
    def everything(self) -> bool:
        """Whether all of them are meant."""
        return self.target.empty or (self.target.pipeline or "").lower() == "all"


def parse_ending(words: str, usage: str) -> Args:
    """Read the words after the verb. Raises UsageError."""
    return Args(target=read(words).only_target(usage))


async def end_watches(context: Context, fits: Callable[[WatchRow], bool]) -> int:
    """Delete the person's own watches that fit, and return how many these were."""
    rows = [row for row in await context.store.watches.of_user(context.team, context.user) if fits(row)]
    for row in rows:
        await context.store.watches.delete(row.id)
    return len(rows)
