"""Find the thread of a red branch that a notification goes into, when it is about to be posted."""

from dataclasses import replace

from bot.core.clock import Clock
from bot.core.models import BuildKey, Conclusion
from bot.notifications.notification import Extra
from bot.notifications.red_threads import ref_of
from bot.store import Store
from bot.store.rows import NotificationRow, RedBranchRow


class ThreadFinder:
    """Decides, as late as possible, where a notification about a red branch is posted.

    Its root is posted before it (a channel's notifications go out in order), and by now it is known what failed.
    """

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def placed(self, notification: NotificationRow) -> NotificationRow:
        """Return a notification with the thread it goes into, stored as such; one without a thread as it is.

        Where something broke that had not been broken while the branch was red, it goes to the channel. Where the root
        was never posted (it was held back, say), it becomes the root.
        """
        extra = Extra.of(notification.extra)
        if not extra.in_thread or notification.thread or extra.is_new_breakage:
            return notification
        key = BuildKey(connection=notification.connection, pipeline=notification.pipeline, id=notification.build)
        red = await self._store.red_branches.last_of(notification.team, notification.channel, key)
        if red is None or (red.build, red.attempt_no) == (notification.build, notification.attempt_no):
            return notification
        if await self._is_new_breakage(red, key, notification.attempt_no):
            broken = replace(notification, extra=replace(extra, is_new_breakage=True).as_json())
            await self._store.notifications.revise(broken.id, broken.extra, self._clock())
            return broken
        root = await self._store.red_branches.root_of(red)
        if root is None:
            await self._store.red_branches.move_root(red.id, notification.build, notification.attempt_no)
            return notification
        await self._store.red_branches.put_in_thread(notification.id, root.ts)
        return replace(notification, thread=root.ts)

    async def _is_new_breakage(self, red: RedBranchRow, key: BuildKey, attempt_no: int) -> bool:
        """Return whether an attempt failed in a way in which no other build did since the branch is red."""
        attempt = await self._store.attempts.get(key, attempt_no)
        if attempt is None or not attempt.conclusion or not Conclusion(attempt.conclusion).is_red:
            return False
        mine = {failure.signature for failure in await self._store.failures.of_attempt(key, attempt_no)}
        if not mine:
            return False
        before = await self._store.failures.signatures(
            red.connection, red.pipeline, ref_of(red), since=red.opened_at, but=key
        )
        return bool(before) and not mine <= before
