"""Digests that a channel gets."""

from collections.abc import Callable
from datetime import UTC, datetime

from sqlalchemy import delete, update
from sqlmodel import col, select

from bot.store.database import Repository, put
from bot.store.tables import DigestRow

PUT_DIGEST = put("digest", key=("team", "channel", "period"), keep=("sent_for",))


class Digests(Repository):
    """Digests that a channel gets."""

    async def of_channel(self, team: str, channel: str) -> list[DigestRow]:
        """Return a channel's digests, oldest first."""
        asked = select(DigestRow).where(DigestRow.team == team, DigestRow.channel == channel)
        async with self._read() as db:
            return list(await db.exec(asked.order_by(col(DigestRow.id))))

    async def set(self, row: DigestRow) -> None:
        """Write a digest, instead of the one that the channel had for this period."""
        async with self._write() as db:
            await self._put(db, PUT_DIGEST, [row])

    async def remove(self, team: str, channel: str, period: str | None = None) -> bool:
        """Forget a channel's digest for a period, or all of its digests, and return whether there was any."""
        gone = delete(DigestRow).where(col(DigestRow.team) == team, col(DigestRow.channel) == channel)
        if period is not None:
            gone = gone.where(col(DigestRow.period) == period)
        async with self._write() as db:
            return bool((await db.exec(gone.execution_options(synchronize_session=False))).rowcount)

    async def claim(self, now: datetime, limit: int, next_at: Callable[[DigestRow], datetime]) -> list[DigestRow]:
        """Move the digests that are due on to `next_at`, and return those not yet sent for that time.

        They come as they were when they came due, except that `sent_for` names the time they are sent for.
        """
        due = (
            select(DigestRow)
            .where(DigestRow.next_at <= now)
            .order_by(col(DigestRow.next_at), col(DigestRow.id))
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
        claimed = []
        async with self._write() as db:
            rows = list(await db.exec(due))
            db.expunge_all()
            for row in rows:
                period = row.next_at.isoformat()
                if row.sent_for != period:
                    row.sent_for = period
                    claimed.append(row)
                moved = update(DigestRow).where(col(DigestRow.id) == row.id)
                moved = moved.values(next_at=next_at(row), sent_for=period)
                await db.exec(moved.execution_options(synchronize_session=False))
        return claimed

    async def claimed_after(self, instant: datetime) -> list[DigestRow]:
        """Return the digests sent for a time later than an instant: asked about now, those of a clock that ran ahead."""
        ahead = select(DigestRow).where(col(DigestRow.sent_for) > instant.astimezone(UTC).isoformat())
        async with self._read() as db:
            return list(await db.exec(ahead.order_by(col(DigestRow.id))))

    async def reschedule(self, digest_id: int, next_at: datetime, *, instead_of: datetime) -> None:
        """Set when a digest is due next, unless it was moved on meanwhile."""
        moved = update(DigestRow).where(col(DigestRow.id) == digest_id, col(DigestRow.next_at) == instead_of)
        moved = moved.values(next_at=next_at)
        async with self._write() as db:
            await db.exec(moved.execution_options(synchronize_session=False))
