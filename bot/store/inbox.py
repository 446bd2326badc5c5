"""What Slack and the clock asked for: written once before it is acknowledged, claimed before it is done, closed after.

Its rows are written by every slash command, so on SQLite they go through statements of its own, many in one
transaction and one trip to the database's thread.
"""

import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import and_, delete, func, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel.ext.asyncio.session import AsyncSession

from bot.store.database import Database, Repository, Sessions, table
from bot.store.group_commit import GroupCommit

KEPT_FOR = timedelta(days=2)
"""How long a closed row is kept: Slack delivers late events for a day."""

INBOX = table("inbox")
TIME_FORMAT = "%Y-%m-%d %H:%M:%S.%f"  # as SQLAlchemy writes times into SQLite


class InboxKind(StrEnum):
    """What was delivered."""

    COMMAND = "command"
    CLICK = "click"
    FORM = "form"
    SHORTCUT = "shortcut"
    EVENT = "event"
    SCHEDULE = "schedule"
    DIGEST = "digest"


class InboxState(StrEnum):
    """How far it is.

    Not begun; its act may have taken effect; its answer may have been delivered; its answer was not delivered, and is
    to be; at its end.
    """

    CLAIMED = "claimed"
    ACTING = "acting"
    ANSWERING = "answering"
    UNANSWERED = "unanswered"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True, kw_only=True)
class NewDelivery:
    """Something to write into the inbox, claimed at once by `owner` until `lease_until`."""

    key: str
    kind: InboxKind
    body: str
    owner: str
    now: datetime
    lease_until: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """What came of writing a delivery: its row, and whether it was there before."""

    id: int
    is_new: bool
    state: InboxState


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenDelivery:
    """A delivery that was claimed after the lease of its process had ended. `state` is how far that one had come."""

    id: int
    key: str
    kind: InboxKind
    state: InboxState
    body: str
    answer: str
    fence: int
    received_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A change of a row, made only while its fence is the one of the claim; the result is whether it was made.

    With `lease_until` nothing but the lease changes.
    """

    id: int
    fence: int
    state: InboxState
    answer: str = ""
    outcome: str = ""
    closed_at: datetime | None = None
    is_gone: bool = False
    lease_until: datetime | None = None


Change = NewDelivery | Step
Result = Received | bool

_INSERT = (
    "INSERT INTO inbox (key, kind, state, body, answer, outcome, lease_owner, lease_until, fence, received_at)"
    " VALUES (?, ?, 'claimed', ?, '', '', ?, ?, 1, ?) ON CONFLICT (key) DO NOTHING RETURNING id"
)
_FIND = "SELECT id, state FROM inbox WHERE key = ?"
_STEP = "UPDATE inbox SET state = ?, answer = ? WHERE id = ? AND fence = ? AND closed_at IS NULL"
_CLOSE = (
    "UPDATE inbox SET state = ?, body = '', answer = '', outcome = ?, closed_at = ?"
    " WHERE id = ? AND fence = ? AND closed_at IS NULL"
)
_RELEASE = "UPDATE inbox SET lease_until = ? WHERE id = ? AND fence = ? AND closed_at IS NULL"
_DELETE = "DELETE FROM inbox WHERE id = ? AND fence = ? AND closed_at IS NULL"


class Inbox(Repository):
    """What Slack and the clock asked for."""

    def __init__(self, sessions: Sessions) -> None:
        super().__init__(sessions)
        self._group: GroupCommit[Change, Result] = GroupCommit(self._commit)

    async def receive(self, delivery: NewDelivery) -> Received:
        """Write a delivery, claimed, unless one of the same key is there; return its row."""
        result = await self._write_change(delivery)
        assert isinstance(result, Received)  # noqa: S101 - what a delivery gives
        return result

    async def advance(self, step: Step) -> bool:
        """Write how far a claimed delivery is; return False where another process has claimed it since."""
        return bool(await self._write_change(step))

    async def renew(self, owner: str, ids: Iterable[int], lease_until: datetime) -> None:
        """Prolong the leases of what a process is at work on."""
        held = update(INBOX).where(INBOX.c.id.in_(list(ids)), INBOX.c.lease_owner == owner, INBOX.c.closed_at.is_(None))
        async with self._write() as db:
            await db.exec(held.values(lease_until=lease_until))

    async def claim_abandoned(
        self, owner: str, *, now: datetime, lease_until: datetime, limit: int
    ) -> list[OpenDelivery]:
        """Claim what is open and whose lease has ended, the oldest first."""
        due = (
            select(INBOX.c.id)
            .where(INBOX.c.closed_at.is_(None), INBOX.c.lease_until <= now)
            .order_by(INBOX.c.id)
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
        claim = (
            update(INBOX)
            .where(INBOX.c.id.in_(due))
            .values(lease_owner=owner, lease_until=lease_until, fence=INBOX.c.fence + 1)
            .returning(*INBOX.c)
        )
        async with self._write() as db:
            rows = (await db.exec(claim)).all()
        return [
            OpenDelivery(
                id=row.id,
                key=row.key,
                kind=InboxKind(row.kind),
                state=InboxState(row.state),
                body=row.body,
                answer=row.answer,
                fence=row.fence,
                received_at=row.received_at,
            )
            for row in sorted(rows, key=lambda row: row.id)
        ]

    async def is_waiting(self, now: datetime) -> bool:
        """Return whether something is open whose lease has ended; cheaper than a claim."""
        due = select(INBOX.c.id).where(INBOX.c.closed_at.is_(None), INBOX.c.lease_until <= now).limit(1)
        async with self._read() as db:
            return await db.scalar(due) is not None

    async def count_open(self) -> int:
        """Return how many deliveries are not closed."""
        async with self._read() as db:
            return int(await db.scalar(select(func.count()).where(INBOX.c.closed_at.is_(None))) or 0)

    async def drain(self) -> None:
        """Wait until every write that was asked for is committed."""
        await self._group.drain()

    async def _write_change(self, change: Change) -> Result:
        """Write a change with those of others, or within the transaction that this repository belongs to."""
        if isinstance(self._sessions, Database):
            return await self._group.add(change)
        return (await self._commit([change]))[0]

    async def _commit(self, changes: Sequence[Change]) -> Sequence[Result]:
        if isinstance(self._sessions, Database) and self.dialect == "sqlite":
            return await self._sessions.in_one_trip(
                lambda connection: [_apply(connection, change) for change in changes]
            )
        async with self._write() as db:
            received = await self._insert(db, [change for change in changes if isinstance(change, NewDelivery)])
            return [
                received.pop(0) if isinstance(change, NewDelivery) else await self._apply_step(db, change)
                for change in changes
            ]

    async def _insert(self, db: AsyncSession, deliveries: Sequence[NewDelivery]) -> list[Received]:
        """Write deliveries by one statement; a second one finds those that were there."""
        if not deliveries:
            return []
        rows = {delivery.key: _values(delivery) for delivery in reversed(deliveries)}
        insert = (sqlite if self.dialect == "sqlite" else postgresql).insert(INBOX)
        written = insert.on_conflict_do_nothing(index_elements=["key"]).returning(INBOX.c.key, INBOX.c.id)
        new = {row.key: int(row.id) for row in await db.exec(written, params=list(rows.values()))}
        found = select(INBOX.c.key, INBOX.c.id, INBOX.c.state).where(INBOX.c.key.in_(rows.keys() - new.keys()))
        old: dict[str, tuple[int, InboxState]] = {}
        if len(new) < len(rows):
            known = await (await db.connection()).execute(found)
            old = {row.key: (int(row.id), InboxState(row.state)) for row in known}
        received = []
        for delivery in deliveries:
            number = new.pop(delivery.key, None)
            if number is not None:
                old[delivery.key] = (number, InboxState.CLAIMED)
                received.append(Received(id=number, is_new=True, state=InboxState.CLAIMED))
            else:
                row_id, state = old[delivery.key]
                received.append(Received(id=row_id, is_new=False, state=state))
        return received

    async def _apply_step(self, db: AsyncSession, step: Step) -> bool:
        mine = and_(INBOX.c.id == step.id, INBOX.c.fence == step.fence, INBOX.c.closed_at.is_(None))
        if step.is_gone:
            return bool((await db.exec(delete(INBOX).where(mine))).rowcount)
        values: dict[str, Any] = {"state": step.state.value, "answer": step.answer}
        if step.closed_at is not None:
            values |= {"body": "", "outcome": step.outcome, "closed_at": step.closed_at}
        elif step.lease_until is not None:
            values = {"lease_until": step.lease_until}
        return bool((await db.exec(update(INBOX).where(mine).values(**values))).rowcount)


def _values(delivery: NewDelivery) -> dict[str, Any]:
    return {
        "key": delivery.key,
        "kind": delivery.kind.value,
        "state": InboxState.CLAIMED.value,
        "body": delivery.body,
        "answer": "",
        "outcome": "",
        "lease_owner": delivery.owner,
        "lease_until": delivery.lease_until,
        "fence": 1,
        "received_at": delivery.now,
    }


def _apply(connection: sqlite3.Connection, change: Change) -> Result:
    if isinstance(change, Step):
        return connection.execute(*_step_statement(change)).rowcount > 0
    parameters = (
        change.key,
        change.kind.value,
        change.body,
        change.owner,
        _time(change.lease_until),
        _time(change.now),
    )
    row = connection.execute(_INSERT, parameters).fetchone()
    if row is not None:
        return Received(id=row[0], is_new=True, state=InboxState.CLAIMED)
    number, state = connection.execute(_FIND, (change.key,)).fetchone()
    return Received(id=number, is_new=False, state=InboxState(state))


def _step_statement(step: Step) -> tuple[str, tuple[Any, ...]]:
    mine = (step.id, step.fence)
    if step.is_gone:
        return _DELETE, mine
    if step.closed_at is not None:
        return _CLOSE, (step.state.value, step.outcome, _time(step.closed_at), *mine)
    if step.lease_until is not None:
        return _RELEASE, (_time(step.lease_until), *mine)
    return _STEP, (step.state.value, step.answer, *mine)


def _time(value: datetime) -> str:
    return value.astimezone(UTC).strftime(TIME_FORMAT)
