"""The messages that show a build and follow it."""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, case, delete, or_, update
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from bot.core.models import BuildKey
from bot.store.database import Repository
from bot.store.recording import mark_moved, of_build
from bot.store.tables import CardNoteRow, CardRow, NoteKind


class Cards(Repository):
    """The messages that show a build and follow it."""

    async def claim(self, *, now: datetime, lease_seconds: float, limit: int) -> list[CardRow]:
        """Lease the cards that are to be edited now.

        A leased card is due when its lease ends, for others to take over. What makes it due at another time while it
        is being edited is not lost with that edit.
        """
        lease_until = now + timedelta(seconds=lease_seconds)
        due = (
            select(CardRow.id)
            .where(
                col(CardRow.edit_due_at) <= now,
                or_(col(CardRow.lease_until).is_(None), col(CardRow.lease_until) <= now),
            )
            .order_by(col(CardRow.edit_due_at), col(CardRow.id))
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
        claim = (
            update(CardRow)
            .where(col(CardRow.id).in_(due))
            .values(edit_due_at=lease_until, edited_at=now, lease_until=lease_until)
            .returning(CardRow)
            .execution_options(synchronize_session=False)
        )
        async with self._write() as db:
            rows: list[CardRow] = list((await db.exec(claim)).scalars())
        return sorted(rows, key=lambda card: card.id or 0)

    async def set_edited(
        self, card_id: int, *, shown: str, live: bool, now: datetime, again_at: datetime | None = None
    ) -> None:
        """Remember what a card shows now, and whether it still follows its build.

        `again_at` is when to draw it anew if nothing happens before, for time moves on a card as well.
        """
        async with self._write() as db:
            untouched = col(CardRow.edit_due_at) == col(CardRow.lease_until)
            due = case((untouched, again_at), else_=col(CardRow.edit_due_at))
            await self._set_card(db, card_id, shown=shown, live=live, edited_at=now, edit_due_at=due, lease_until=None)

    async def touch(self, card_id: int, due_at: datetime) -> None:
        """Make a card due at a time, whoever had it."""
        async with self._write() as db:
            await self._set_card(db, card_id, edit_due_at=due_at, lease_until=None)

    async def note(
        self,
        key: BuildKey,
        attempt_no: int,
        *,
        team: str,
        text: str,
        user: str = "",
        kind: NoteKind = NoteKind.ACT,
        url: str = "",
        at: datetime,
    ) -> bool:
        """Write on a build's cards in a workspace what somebody did about it, and return whether there is any card.

        `text` goes after the person's name ("retried the failed jobs"); without a `user` it stands alone. A `REPLACED`
        note takes the buttons from the cards; `url` is the page of what replaced the build.
        """
        row = CardNoteRow(
            team=team,
            connection=key.connection,
            pipeline=key.pipeline,
            build=key.id,
            attempt_no=attempt_no,
            kind=kind.value,
            user=user,
            text=text,
            url=url,
            at=at,
        )
        async with self._write() as db:
            db.add(row)
            await mark_moved(db, {key})
            return bool(await self._redraw(db, team, key, at))

    async def redraw(self, key: BuildKey, *, team: str, at: datetime) -> bool:
        """Have the cards of a build in a workspace drawn anew (its claim changed), and return whether there is any."""
        async with self._write() as db:
            await mark_moved(db, {key})
            return bool(await self._redraw(db, team, key, at))

    async def notes(self, key: BuildKey, attempt_no: int, team: str) -> list[CardNoteRow]:
        """Return what stands on the cards of an attempt in a workspace, oldest first."""
        asked = select(CardNoteRow).where(
            *of_build(CardNoteRow, key), CardNoteRow.attempt_no == attempt_no, CardNoteRow.team == team
        )
        async with self._read() as db:
            return list(await db.exec(asked.order_by(col(CardNoteRow.id))))

    async def _redraw(self, db: AsyncSession, team: str, key: BuildKey, at: datetime) -> int:
        due = update(CardRow).where(*of_build(CardRow, key), col(CardRow.team) == team).values(edit_due_at=at)
        return (await db.exec(due.execution_options(synchronize_session=False))).rowcount

    async def delete(self, card_id: int) -> None:
        """Forget a card whose message is gone."""
        gone = delete(CardRow).where(col(CardRow.id) == card_id)
        async with self._write() as db:
            await db.exec(gone.execution_options(synchronize_session=False))

    async def of_build(self, key: BuildKey) -> list[CardRow]:
        """Return the cards of a build, oldest first."""
        async with self._read() as db:
            return list(await db.exec(select(CardRow).where(*of_build(CardRow, key)).order_by(col(CardRow.id))))

    async def at(self, team: str, channel: str, ts: str) -> CardRow | None:
        """Return the card that a message is, or None."""
        asked = select(CardRow).where(CardRow.team == team, CardRow.channel == channel, CardRow.ts == ts)
        async with self._read() as db:
            return (await db.exec(asked)).first()

    async def _set_card(
        self, db: AsyncSession, card_id: int, **fields: str | bool | datetime | ColumnElement[Any] | None
    ) -> None:
        changed = update(CardRow).where(col(CardRow.id) == card_id).values(**fields)
        await db.exec(changed.execution_options(synchronize_session=False))
