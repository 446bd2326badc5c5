"""What a filter would have made of the last days: the stored attempts, judged again as if they had just ended."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from bot.core.models import NO_RESULT, Build, BuildKey, Conclusion, Status, Transition
from bot.notifications.decisions import past, past_attempt
from bot.notifications.filters import Filter, judge
from bot.notifications.notification import Decision, Event, Verdict
from bot.notifications.transitions import compare
from bot.store.rows import AttemptRow, LinkRow, NewLink
from commands.core.context import Context

WINDOW = timedelta(days=7)
BASELINE = timedelta(days=14)
HISTORY = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """An attempt that ended in the last days, as it stood then."""

    build: Build
    attempt: AttemptRow
    transition: Transition
    started_by: str = ""


async def replayed(link: LinkRow, context: Context, *, starters: bool = False) -> list[Past]:
    """Return the attempts of a link's pipeline that ended in the last seven days, oldest first.

    With `starters` each says who started it through the bot, for filters that ask; that is a question for each.
    """
    attempts = await context.store.attempts.since(link.connection, link.pipeline, context.now - WINDOW - BASELINE)
    listed = await context.store.builds.of_pipeline(link.connection, link.pipeline, limit=len(attempts) + 1)
    builds = {build.id: build for build in listed}
    earlier: dict[tuple[str, str, str], list[AttemptRow]] = {}
    pasts: list[Past] = []
    for attempt in attempts:
        before = earlier.setdefault((attempt.ref_kind, attempt.ref_name, attempt.ref_job), [])
        if attempt.completed_at >= context.now - WINDOW:
            build, starter = builds.get(attempt.build), ""
            if build is None or starters:
                build, starter = await _stored(attempt, context)
            if build is not None:
                pasts.append(_past(build, attempt, before[-HISTORY:] if attempt.ref_kind else [], starter))
        if attempt.conclusion not in NO_RESULT:
            before.append(attempt)
    return pasts


async def _stored(attempt: AttemptRow, context: Context) -> tuple[Build | None, str]:
    key = BuildKey(connection=attempt.connection, pipeline=attempt.pipeline, id=attempt.build)
    known = await context.store.builds.get(key)
    return (known[0], known[1].started_by) if known else (None, "")


def _past(build: Build, attempt: AttemptRow, before: Sequence[AttemptRow], started_by: str) -> Past:
    conclusion = Conclusion(attempt.conclusion) if attempt.conclusion else None
    counts = past([attempt])[0].counts
    then = replace(build, status=Status.COMPLETED, conclusion=conclusion, issues=counts)
    transition = compare(past_attempt(attempt), past(before))
    return Past(build=then, attempt=attempt, transition=transition, started_by=started_by)


def judged(attempt: Past, link: NewLink, link_filter: Filter) -> Decision:
    """Return what a filter would have decided about an attempt, mutes aside."""
    trial = replace(link, filters=link_filter.words(), subscribed=True, paused_reason="")
    return judge(attempt.build, attempt.transition, trial, Event.FINISHED, started_by=attempt.started_by)


def posted(pasts: Sequence[Past], link: NewLink, link_filter: Filter) -> list[Past]:
    """Return the attempts that a filter would have posted, oldest first."""
    return [attempt for attempt in pasts if judged(attempt, link, link_filter).verdict is Verdict.POST]
