"""What the bot knows of builds beside what their CI system reports: the times of their attempt, the wait for people."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from bot.blocks.lines import NO_FACTS, Facts
from bot.core.models import Build, BuildKey
from bot.store.rows import BuildRow
from bot.store.times import of_attempt
from commands.core.context import Context


@dataclass(frozen=True, slots=True, kw_only=True)
class Stories:
    """Builds with the times of their present attempt, in the order given, and the facts about each."""

    builds: tuple[Build, ...] = ()
    facts: dict[BuildKey, Facts] = field(default_factory=dict)

    def of(self, build: Build) -> Facts:
        """Return the facts about a build."""
        return self.facts.get(build.key, NO_FACTS)


async def stories_of(builds: Sequence[Build], context: Context) -> Stories:
    """Return builds as a person is to read them. Costs one query.

    Systems report a retried build's first creation and start, and count the wait for an approval as running time.
    """
    rows = await context.store.builds.rows({build.key for build in builds})
    shown = [_story(build, rows.get(build.key), context) for build in builds]
    return Stories(
        builds=tuple(build for build, _facts in shown),
        facts={build.key: facts for build, facts in shown if facts != NO_FACTS},
    )


def _story(build: Build, row: BuildRow | None, context: Context) -> tuple[Build, Facts]:
    if row is None or (row.completed and not build.completed):  # the row is still about the attempt before
        return build, NO_FACTS
    facts = Facts(
        starter=row.started_by if row.started_team == context.team else "",
        waiting_since=row.waiting_since if build.waiting else None,
        approval_seconds=row.approval_seconds + _just_waited(build, row, context.now),
    )
    return of_attempt(build, row.began_at), facts


def _just_waited(build: Build, row: BuildRow, now: datetime) -> float:
    """Return how long the approval was open that the build has left since its row was written."""
    if row.waiting_since is None or build.waiting:
        return 0.0
    return max((min(build.completed_at or now, now) - row.waiting_since) / timedelta(seconds=1), 0.0)
