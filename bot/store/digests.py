"""Digests that a channel gets."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

from bot.store.database import Repository, put
from bot.store.mapping import DIGEST
from bot.store.rows import DigestRow, NewDigest

PUT_DIGEST = put("digest", key=("team", "channel", "period"), keep=("sent_for",))


class Digests(Repository):
    """Digests that a channel gets."""

    async def of_channel(self, team: str, channel: str) -> list[DigestRow]:
        """Return a channel's digests, oldest first."""
        query = DIGEST.select().where(DIGEST.c.team == team, DIGEST.c.channel == channel)
        async with self._read() as db:
            return await DIGEST.all(db, query.order_by(DIGEST.c.id))

    async def set(self, row: NewDigest) -> None:
        """Write a digest, instead of the one that the channel had for this period."""
        async with self._write() as db:
            await self._put(db, PUT_DIGEST, [row])

    async def remove(self, team: str, channel: str, period: str | None = None) -> bool:
        """Forget a channel's digest for a period, or all of its digests, and return whether there was any."""
        deletion = DIGEST.delete().where(DIGEST.c.team == team, DIGEST.c.channel == channel)
        if period is not None:
            deletion = deletion.where(DIGEST.c.period == period)
        async with self._write() as db:
            return bool((await db.execute(deletion)).rowcount)

    async def claim(self, now: datetime, limit: int, next_at: Callable[[DigestRow], datetime]) -> list[DigestRow]:
        """Move the digests that are due on to `next_at`, and return those not yet sent for that time.

        They come as they were when they came due, except that `sent_for` names the time they are sent for.
        """
        due = (
            DIGEST.select()
            .where(DIGEST.c.next_at <= now)
            .order_by(DIGEST.c.next_at, DIGEST.c.id)
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
        claimed = []
        async with self._write() as db:
            for row in await DIGEST.all(db, due):
                period = row.next_at.isoformat()
                if row.sent_for != period:
                    claimed.append(replace(row, sent_for=period))
                moved = DIGEST.update().where(DIGEST.c.id == row.id)
                moved = moved.values(next_at=next_at(row), sent_for=period)
                await db.execute(moved)
        return claimed

    async def claimed_after(self, instant: datetime) -> list[DigestRow]:
        """Return the digests sent for a time later than an instant: asked about now, those of a clock that ran ahead."""
        ahead = DIGEST.select().where(DIGEST.c.sent_for > instant.astimezone(UTC).isoformat())
        async with self._read() as db:
            return await DIGEST.all(db, ahead.order_by(DIGEST.c.id))

    async def reschedule(self, digest_id: int, next_at: datetime, *, instead_of: datetime) -> None:
        """Set when a digest is due next, unless it was moved on meanwhile."""
        moved = DIGEST.update().where(DIGEST.c.id == digest_id, DIGEST.c.next_at == instead_of)
        moved = moved.values(next_at=next_at)
        async with self._write() as db:
            await db.execute(moved)
