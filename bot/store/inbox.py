"""What Slack and the clock asked for: written once before it is acknowledged, claimed before it is done, closed after.

Its rows are written by every slash command, so its statements are prepared; on SQLite many go in one transaction and
one trip to the database's thread.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Integer, and_, bindparam, delete, func, literal, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.store.database import Database, Repository, Sessions, chosen
from bot.store.group_commit import GroupCommit
from bot.store.statements import Run, Statement, insert_into
from bot.store.tables import UtcDateTime, table

INBOX = table("inbox")


class InboxKind(StrEnum):
    """What was delivered."""

    COMMAND = "command"
    CLICK = "click"
    FORM = "form"
    SHORTCUT = "shortcut"
    EVENT = "event"
    SCHEDULE = "schedule"
    DIGEST = "digest"
    CHAIN = "chain"


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

COLUMNS = INBOX.c
_TIME = UtcDateTime
_NEW = {
    "key": bindparam("new_key"),
    "kind": bindparam("new_kind"),
    "state": literal(InboxState.CLAIMED.value),
    "body": bindparam("new_body"),
    "answer": literal(""),
    "outcome": literal(""),
    "lease_owner": bindparam("owner"),
    "lease_until": bindparam("until", type_=_TIME),
    "fence": literal(1),
    "received_at": bindparam("now", type_=_TIME),
}
INSERT = Statement(
    lambda dialect: (
        insert_into(dialect, INBOX).values(_NEW).on_conflict_do_nothing(index_elements=["key"]).returning(COLUMNS.id)
    )
)
FIND = Statement(select(COLUMNS.id, COLUMNS.state).where(COLUMNS.key == bindparam("of_key")))
_mine = and_(COLUMNS.id == bindparam("of_id"), COLUMNS.fence == bindparam("of_fence"), COLUMNS.closed_at.is_(None))
_change = update(INBOX).where(_mine).returning(COLUMNS.id)
ADVANCE = Statement(_change.values(state=bindparam("to_state"), answer=bindparam("to_answer")))
CLOSE = Statement(
    _change.values(
        state=bindparam("to_state"),
        body="",
        answer="",
        outcome=bindparam("to_outcome"),
        closed_at=bindparam("at", type_=_TIME),
    )
)
RELEASE = Statement(_change.values(lease_until=bindparam("until", type_=_TIME)))
DELETE = Statement(delete(INBOX).where(_mine).returning(COLUMNS.id))
_waiting = select(COLUMNS.id).where(COLUMNS.closed_at.is_(None), COLUMNS.lease_until <= bindparam("now", type_=_TIME))
IS_WAITING = Statement(_waiting.limit(1))
CLAIM = Statement(
    update(INBOX)
    .where(
        COLUMNS.id.in_(
            chosen(
                _waiting.order_by(COLUMNS.id).limit(bindparam("limit", type_=Integer)).with_for_update(skip_locked=True)
            )
        )
    )
    .values(lease_owner=bindparam("owner"), lease_until=bindparam("until", type_=_TIME), fence=COLUMNS.fence + 1)
    .returning(
        COLUMNS.id,
        COLUMNS.key,
        COLUMNS.kind,
        COLUMNS.state,
        COLUMNS.body,
        COLUMNS.answer,
        COLUMNS.fence,
        COLUMNS.received_at,
    )
)


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
            await db.execute(held.values(lease_until=lease_until))

    async def claim_abandoned(
        self, owner: str, *, now: datetime, lease_until: datetime, limit: int
    ) -> list[OpenDelivery]:
        """Claim what is open and whose lease has ended, the oldest first."""
        rows = await self._fetch(CLAIM, writes=True, owner=owner, now=now, until=lease_until, limit=limit)
        return [
            OpenDelivery(
                id=number,
                key=key,
                kind=InboxKind(kind),
                state=InboxState(state),
                body=body,
                answer=answer,
                fence=fence,
                received_at=received_at,
            )
            for number, key, kind, state, body, answer, fence, received_at in sorted(rows)
        ]

    async def is_waiting(self, now: datetime) -> bool:
        """Return whether something is open whose lease has ended; cheaper than a claim."""
        return bool(await self._fetch(IS_WAITING, now=now))

    async def count_open(self) -> int:
        """Return how many deliveries are not closed."""
        async with self._read() as db:
            return int(await db.scalar(select(func.count()).where(INBOX.c.closed_at.is_(None))) or 0)

    async def oldest_open(self) -> datetime | None:
        """Return when the oldest delivery that is not closed came, None where all are."""
        async with self._read() as db:
            oldest: datetime | None = await db.scalar(
                select(func.min(INBOX.c.received_at)).where(INBOX.c.closed_at.is_(None))
            )
        return oldest

    async def drain(self) -> None:
        """Wait until every write that was asked for is committed."""
        await self._group.drain()

    async def _write_change(self, change: Change) -> Result:
        """Write a change with those of others, or within the transaction that this repository belongs to."""
        if isinstance(self._sessions, Database):
            return await self._group.add(change)
        return (await self._commit([change]))[0]

    async def _commit(self, changes: Sequence[Change]) -> Sequence[Result]:
        if isinstance(self._sessions, Database):
            if self.dialect == "sqlite":
                return await self._sessions.in_one_trip(lambda run: [_apply(run, change) for change in changes])
            if len(changes) > 1:
                return await self._commit_together(changes)
        return [await self._apply(change) for change in changes]

    async def _apply(self, change: Change) -> Result:
        statement, parameters = _statement(change)
        while True:
            rows = await self._fetch(statement, writes=True, **parameters)
            if isinstance(change, Step):
                return bool(rows)
            if rows:
                return Received(id=rows[0][0], is_new=True, state=InboxState.CLAIMED)
            # Between the two statements the row may have been deleted: then the first succeeds the next time.
            for number, state in await self._fetch(FIND, of_key=change.key):
                return Received(id=number, is_new=False, state=InboxState(state))

    async def _commit_together(self, changes: Sequence[Change]) -> Sequence[Result]:
        """Write changes in one transaction, all that is new by one statement."""
        async with self._write() as db:
            received = await self._insert(db, [change for change in changes if isinstance(change, NewDelivery)])
            results: list[Result] = []
            for change in changes:
                if isinstance(change, NewDelivery):
                    results.append(received.pop(0))
                else:
                    statement, parameters = _statement(change)
                    changed = await db.execute(statement.core(self.dialect), parameters)
                    results.append(changed.first() is not None)
            return results

    async def _insert(self, db: AsyncConnection, deliveries: Sequence[NewDelivery]) -> list[Received]:
        """Write deliveries by one statement; a second one finds those that were there."""
        if not deliveries:
            return []
        rows = {delivery.key: _values(delivery) for delivery in reversed(deliveries)}
        insert = insert_into(self.dialect, INBOX).on_conflict_do_nothing(index_elements=["key"])
        written = insert.returning(INBOX.c.key, INBOX.c.id)
        new = {row.key: int(row.id) for row in await db.execute(written, list(rows.values()))}
        missing = select(INBOX.c.key, INBOX.c.id, INBOX.c.state).where(INBOX.c.key.in_(rows.keys() - new.keys()))
        old: dict[str, tuple[int, InboxState]] = {}
        if len(new) < len(rows):
            old = {row.key: (int(row.id), InboxState(row.state)) for row in await db.execute(missing)}
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


def _apply(run: Run, change: Change) -> Result:
    statement, parameters = _statement(change)
    rows = run(statement, **parameters)
    if isinstance(change, Step):
        return bool(rows)
    if rows:
        return Received(id=rows[0][0], is_new=True, state=InboxState.CLAIMED)
    ((number, state),) = run(FIND, of_key=change.key)
    return Received(id=number, is_new=False, state=InboxState(state))


def _statement(change: Change) -> tuple[Statement, dict[str, Any]]:
    """Return the statement that makes a change, and its parameters."""
    if isinstance(change, NewDelivery):
        return INSERT, {
            "new_key": change.key,
            "new_kind": change.kind,
            "new_body": change.body,
            "owner": change.owner,
            "until": change.lease_until,
            "now": change.now,
        }
    mine = {"of_id": change.id, "of_fence": change.fence}
    if change.is_gone:
        return DELETE, mine
    if change.closed_at is not None:
        return CLOSE, {**mine, "to_state": change.state, "to_outcome": change.outcome, "at": change.closed_at}
    if change.lease_until is not None:
        return RELEASE, {**mine, "until": change.lease_until}
    return ADVANCE, {**mine, "to_state": change.state, "to_answer": change.answer}
