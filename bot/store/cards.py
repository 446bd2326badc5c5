"""The messages that show a build and follow it."""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Integer, and_, bindparam, case, insert, not_, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.core.models import BuildKey
from bot.store.commit_rows import OF_BUILDS
from bot.store.database import Repository, chosen
from bot.store.lookups import CARDS, keys_of, of_build
from bot.store.lookups import run as run_statement
from bot.store.mapping import CARD, CARD_NOTE, COMMIT_ROW
from bot.store.recorded import card_key
from bot.store.redraws import mark_moved
from bot.store.rows import CardNoteRow, CardRow
from bot.store.statements import Statement
from bot.store.states import NoteKind
from bot.store.tables import UtcDateTime

PAUSE = timedelta(seconds=15)
NOW, UNTIL = bindparam("now", type_=UtcDateTime), bindparam("until", type_=UtcDateTime)
CLAIM = Statement(
    CARD.update()
    .where(
        CARD.c.id.in_(
            chosen(
                select(CARD.c.id)
                .where(CARD.c.edit_due_at <= NOW, or_(CARD.c.lease_until.is_(None), CARD.c.lease_until <= NOW))
                .order_by(CARD.c.edit_due_at, CARD.c.id)
                .limit(bindparam("limit", type_=Integer))
                .with_for_update(skip_locked=True)
            )
        )
    )
    .values(edit_due_at=UNTIL, edited_at=NOW, lease_until=UNTIL)
    .returning(*CARD.columns)
)


class Cards(Repository):
    """The messages that show a build and follow it."""

    async def claim(self, *, now: datetime, lease_seconds: float, limit: int) -> list[CardRow]:
        """Lease the cards that are to be edited now.

        A leased card is due when its lease ends, for others to take over. What makes it due at another time while it
        is being edited is not lost with that edit.
        """
        rows = await self._fetch(CLAIM, writes=True, now=now, until=now + timedelta(seconds=lease_seconds), limit=limit)
        return sorted(CARD.made(rows), key=lambda card: card.id)

    async def claim_of_build(
        self, key: BuildKey, *, team: str, channel: str, now: datetime, lease_seconds: float
    ) -> list[CardRow]:
        """Lease the cards of one build in one channel that are to be edited now or soon, as `claim` does."""
        until = now + timedelta(seconds=lease_seconds)
        leasing = (
            CARD.update()
            .where(*of_build(CARD.c, key), CARD.c.team == team, CARD.c.channel == channel)
            .where(CARD.c.edit_due_at.is_not(None), or_(CARD.c.lease_until.is_(None), CARD.c.lease_until <= now))
            .values(edit_due_at=until, edited_at=now, lease_until=until)
            .returning(*CARD.columns)
        )
        async with self._write() as db:
            return sorted(await CARD.all(db, leasing), key=lambda card: card.id)

    async def set_edited(
        self, leased: CardRow, *, shown: str, live: bool, now: datetime, again_at: datetime | None = None
    ) -> None:
        """Remember what a leased card shows now, and whether it still follows its build.

        Where somebody else has leased it since, this edit may have replaced theirs: the card is due once more.
        `again_at` is when to draw it anew if nothing happens before, for time moves on a card as well.
        """
        async with self._write() as db:
            untouched = CARD.c.edit_due_at == CARD.c.lease_until
            due = case((untouched, again_at), else_=CARD.c.edit_due_at)
            edited = CARD.update().where(_fenced(leased))
            changed = await db.execute(
                edited.values(shown=shown, live=live, edited_at=now, edit_due_at=due, lease_until=None)
            )
            if not changed.rowcount:
                await self._set_card(db, leased.id, edit_due_at=now)

    async def redraw_at(self, key: BuildKey, *, team: str, channel: str, now: datetime, at_once: bool) -> None:
        """Have a card drawn anew in one channel: at once, else not sooner than 15 seconds after its last edit."""
        due = CARD.update().where(*of_build(CARD.c, key), CARD.c.team == team, CARD.c.channel == channel)
        async with self._write() as db:
            await mark_moved(db, {key})
            if not at_once:
                recent = and_(CARD.c.edited_at.is_not(None), CARD.c.edited_at > now - PAUSE)
                await db.execute(due.where(recent).values(edit_due_at=now + PAUSE))
                due = due.where(not_(recent))
            await db.execute(due.values(edit_due_at=now))

    async def postpone(self, leased: CardRow, due_at: datetime) -> None:
        """Give a leased card back, to be edited at a time. One that somebody else has leased since stays theirs."""
        given_back = CARD.update().where(_fenced(leased)).values(edit_due_at=due_at, lease_until=None)
        async with self._write() as db:
            await db.execute(given_back)

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
        row = {
            "team": team,
            "connection": key.connection,
            "pipeline": key.pipeline,
            "build": key.id,
            "attempt_no": attempt_no,
            "kind": kind,
            "user": user,
            "text": text,
            "url": url,
            "at": at,
        }
        async with self._write() as db:
            await db.execute(insert(CARD_NOTE.table), row)
            return await self._redraw(db, team, key, at)

    async def redraw(self, key: BuildKey, *, team: str, at: datetime) -> bool:
        """Have the cards of a build in a workspace drawn anew (its claim changed), and return whether there is any."""
        async with self._write() as db:
            return await self._redraw(db, team, key, at)

    async def notes(self, key: BuildKey, attempt_no: int, team: str) -> list[CardNoteRow]:
        """Return what stands on the cards of an attempt in a workspace, oldest first."""
        query = CARD_NOTE.select().where(
            *of_build(CARD_NOTE.c, key), CARD_NOTE.c.attempt_no == attempt_no, CARD_NOTE.c.team == team
        )
        async with self._read() as db:
            return await CARD_NOTE.all(db, query.order_by(CARD_NOTE.c.id))

    async def _redraw(self, db: AsyncConnection, team: str, key: BuildKey, at: datetime) -> bool:
        """Have the build's own cards and that of its commit drawn anew, and return whether there is any."""
        keys = await _shown_as(db, key)
        await mark_moved(db, keys)
        count = 0
        for shown in keys:
            due = CARD.update().where(*of_build(CARD.c, shown), CARD.c.team == team).values(edit_due_at=at)
            count += (await db.execute(due)).rowcount
        return bool(count)

    async def delete(self, leased: CardRow) -> None:
        """Forget a leased card whose message is gone."""
        deletion = CARD.delete().where(_fenced(leased))
        async with self._write() as db:
            await db.execute(deletion)

    async def of_build(self, key: BuildKey) -> list[CardRow]:
        """Return the cards of a build, oldest first."""
        async with self._read() as db:
            return await CARD.all(db, CARD.select().where(*of_build(CARD.c, key)).order_by(CARD.c.id))

    async def showing(self, key: BuildKey) -> list[CardRow]:
        """Return the cards that show a build, oldest first: its own, and that of its commit."""
        async with self._read() as db:
            keys = await _shown_as(db, key)
            return CARD.made(await run_statement(db, CARDS, keys=keys_of(keys)))

    async def at(self, team: str, channel: str, ts: str) -> CardRow | None:
        """Return the card that a message is, or None."""
        query = CARD.select().where(CARD.c.team == team, CARD.c.channel == channel, CARD.c.ts == ts)
        async with self._read() as db:
            return await CARD.first(db, query)

    async def _set_card(
        self, db: AsyncConnection, card_id: int, **fields: str | bool | datetime | ColumnElement[Any] | None
    ) -> None:
        changed = CARD.update().where(CARD.c.id == card_id).values(**fields)
        await db.execute(changed)


def _fenced(leased: CardRow) -> ColumnElement[bool]:
    """Return the condition that nobody has leased a card since."""
    return and_(CARD.c.id == leased.id, CARD.c.lease_until == leased.lease_until)


async def _shown_as(db: AsyncConnection, key: BuildKey) -> set[BuildKey]:
    """Return what the cards that show a build have for its key."""
    rows = COMMIT_ROW.made(await run_statement(db, OF_BUILDS, keys=keys_of([key])))
    return {key, *(card_key(row.card) for row in rows)}
