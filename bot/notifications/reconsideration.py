"""Judge a notification again when it is about to be posted: counts came meanwhile, or a correction."""

from dataclasses import replace

from bot.core.models import Build, BuildKey, Conclusion, IssueCounts
from bot.notifications.decisions import BROKE_IT, link_of
from bot.notifications.filters import judge, newly_broken
from bot.notifications.notification import Event, Extra, Verdict
from bot.store import Store, unpack_counts
from bot.store.rows import NewLink, NewNotification, NotificationRow


async def unwanted(store: Store, notification: NotificationRow) -> str:
    """Return why a notification is not wanted, now that the counts and results it waited for are known, if it is not."""
    if not Extra.of(notification.extra).undecided:
        return ""
    key = BuildKey(connection=notification.connection, pipeline=notification.pipeline, id=notification.build)
    entry, attempt = await store.builds.get(key), await store.attempts.get(key, notification.attempt_no)
    is_for_author = notification.reason == BROKE_IT
    link = None if is_for_author else await _link_of(store, notification, key)
    if entry is None or attempt is None or (link is None and not is_for_author):
        return ""
    build = replace(entry[0], conclusion=Conclusion(attempt.conclusion) if attempt.conclusion else None)
    counts = unpack_counts(attempt.counts)
    return reconsidered(notification, link, build, counts, started_by=entry[1].started_by)


async def _link_of(store: Store, notification: NotificationRow, key: BuildKey) -> NewLink | None:
    """Return the link that a notification is for, or how a person follows the pipeline; None where that is over."""
    if notification.link:
        return await store.links.get(notification.link)
    watch = await store.watches.follow(notification.team, notification.channel, key)
    return link_of(watch) if watch is not None else None


def reconsidered(
    row: NewNotification, link: NewLink | None, build: Build, counts: IssueCounts, *, started_by: str
) -> str:
    """Return why a notification that waited for counts, or was corrected, is not to be posted after all, or an empty text.

    Without a link it is the direct message for the author of what broke.
    """
    transition = Extra.of(row.extra).transition.with_counts(counts)
    if link is None:
        return "" if newly_broken(build, transition) else "the commit did not break it after all"
    decision = judge(build.with_issues(counts), transition, link, Event(row.event), started_by=started_by)
    return decision.reason if decision.verdict is Verdict.SILENT else ""
