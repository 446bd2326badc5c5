"""What is forgotten by its age."""

from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Table, and_, case, delete, select

from bot.store import retention
from bot.store.database import Repository
from bot.store.tables import table


class Pruning(Repository):
    """What is older than it is kept."""

    async def run(self, now: datetime, *, keep_days: int, batch: int) -> int:
        """Forget what is older than `keep_days` or has run out, in transactions of `batch` rows; return how many rows that is."""
        oldest = now - timedelta(days=keep_days)
        card, mute, notification, watch = table("card"), table("mute"), table("notification"), table("watch")
        # As a CASE, so that SQLite goes by the time of the edit: nearly every card is due for none.
        is_still = case((card.c.edit_due_at.is_(None), 1), else_=0) == 1
        old: tuple[tuple[Table, ColumnElement[bool]], ...] = (
            (notification, notification.c.created_at < oldest),
            (card, and_(card.c.edited_at < oldest, is_still)),
            (
                card,
                and_(
                    card.c.edited_at.is_(None),
                    ~select(notification.c.id).where(card.c.notification == notification.c.id).exists(),
                ),
            ),
            (watch, and_(watch.c.build != "", watch.c.created_at < min(oldest, now - retention.WATCHES))),
            (table("card_note"), table("card_note").c.at < oldest),
            (table("attempt"), table("attempt").c.seen_at < oldest),
            (table("build"), table("build").c.seen_at < oldest),
            (table("red_branch"), table("red_branch").c.opened_at < oldest),
            (table("failure"), table("failure").c.at < oldest),
            (table("audit"), table("audit").c.at < oldest),
            (table("vote"), table("vote").c.at < oldest),
            (mute, mute.c.until <= now),
            (table("budget"), table("budget").c.at < now - retention.BUDGETS),
            (table("token"), table("token").c.until <= now),
            (table("claim"), table("claim").c.until <= now),
            (table("commit_row"), table("commit_row").c.built_at < oldest),
            (table("bisection"), and_(table("bisection").c.running.is_(None), table("bisection").c.made_at < oldest)),
            (table("hold_wait"), table("hold_wait").c.at < oldest),
            (table("last_value"), table("last_value").c.used_at <= now - retention.LAST_VALUES),
            (table("inbox"), table("inbox").c.closed_at < now - retention.INBOX),
        )
        return sum([await self._forget(rows, condition, batch) for rows, condition in old])

    async def _forget(self, rows: Table, condition: ColumnElement[bool], batch: int) -> int:
        (key,) = rows.primary_key
        deletion = delete(rows).where(key.in_(select(key).where(condition).limit(batch)))
        total = 0
        while True:
            async with self._write() as db:
                count = (await db.execute(deletion)).rowcount
            total += count
            if count < batch:
                return total
