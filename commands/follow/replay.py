"""What a filter would have made of the last days: the stored attempts, judged again as if they had just ended."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from bot.core.models import Build, BuildKey, Conclusion, Status, Transition
from bot.notifications.decisions import past
from bot.notifications.filters import Filter, judge
from bot.notifications.notification import Decision, Event, Verdict
from bot.notifications.transitions import compare
from bot.store.tables import AttemptRow, LinkRow
from commands.core.context import Request, Services

WINDOW = timedelta(days=7)
BASELINE = timedelta(days=14)
HISTORY = 20
NO_RESULT = frozenset({"cancelled", "skipped", "retried"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """An attempt that ended in the last days, as it stood then."""

    build: Build
    attempt_no: AttemptRow
    transition: Transition
    started_by: str = ""


async def replayed(link: LinkRow, request: Request, services: Services, *, starters: bool = False) -> list[Past]:
    """Return the attempts of a link's pipeline that ended in the last seven days, oldest first.

    With `starters` each says who started it through the bot, for filters that ask; that is a question for each.
    """
    attempts = await services.store.attempts.since(link.connection, link.pipeline, request.now - WINDOW - BASELINE)
    listed = await services.store.builds.of_pipeline(link.connection, link.pipeline, limit=len(attempts) + 1)
    builds = {build.id: build for build in listed}
    earlier: dict[str, list[AttemptRow]] = {}
    found: list[Past] = []
    for one in attempts:
        before = earlier.setdefault(one.branch, [])
        if one.completed_at >= request.now - WINDOW:
            build, starter = builds.get(one.build), ""
            if build is None or starters:
                build, starter = await _stored(one, services)
            if build is not None:
                found.append(_past(build, one, before[-HISTORY:], starter))
        if one.conclusion not in NO_RESULT:
            before.append(one)
    return found


async def _stored(one: AttemptRow, services: Services) -> tuple[Build | None, str]:
    known = await services.store.builds.get(BuildKey(connection=one.connection, pipeline=one.pipeline, id=one.build))
    return (known[0], known[1].started_by) if known else (None, "")


def _past(build: Build, one: AttemptRow, before: Sequence[AttemptRow], started_by: str) -> Past:
    conclusion = Conclusion(one.conclusion) if one.conclusion else None
    counts = past([one])[0].counts
    then = replace(build, status=Status.COMPLETED, conclusion=conclusion, issues=counts)
    transition = compare(conclusion, counts, one.completed_at, one.number, past(before))
    return Past(build=then, attempt_no=one, transition=transition, started_by=started_by)


def judged(one: Past, link: LinkRow, wanted: Filter) -> Decision:
    """Return what a filter would have decided about an attempt, mutes aside."""
    trial = LinkRow(**{**link.model_dump(), "filters": wanted.words(), "subscribed": True, "paused_reason": ""})
    return judge(one.build, one.transition, trial, Event.FINISHED, started_by=one.started_by)


def posted(pasts: Sequence[Past], link: LinkRow, wanted: Filter) -> list[Past]:
    """Return the attempts that a filter would have posted, oldest first."""
    return [one for one in pasts if judged(one, link, wanted).verdict is Verdict.POST]
