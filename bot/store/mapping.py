"""How rows of a table become the values of `bot.store.rows`: by the names that the two share, checked at import."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import fields
from enum import Enum
from typing import Any, ClassVar, Generic, Protocol, TypeVar, get_type_hints

from sqlalchemy import Delete, Executable, Select, Table, Update, delete, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.store import rows, tables
from bot.store.tables import TableBase


class Dataclass(Protocol):
    """Any dataclass."""

    __dataclass_fields__: ClassVar[dict[str, Any]]


R = TypeVar("R", bound=Dataclass)


class RowMap(Generic[R]):
    """A table and the dataclass that its rows leave the store as. Raises TypeError where their names differ."""

    def __init__(self, row: type[R], table: type[TableBase]) -> None:
        self.table: Table = TableBase.metadata.tables[str(table.__tablename__)]
        self.c = self.table.c
        self._row = row
        self._names = tuple(field.name for field in fields(row))
        if set(self._names) != set(self.c.keys()):
            raise TypeError(f"{row.__name__} and `{self.table.name}` differ: {set(self._names) ^ set(self.c.keys())}")
        hints = get_type_hints(row)
        self._enums: dict[str, Callable[[Any], Any]] = {
            name: hints[name] for name in self._names if isinstance(hints[name], type) and issubclass(hints[name], Enum)
        }
        self.columns = tuple(self.c[name] for name in self._names)

    def select(self) -> Select[Any]:
        """Return a query of whole rows."""
        return select(*self.columns)

    def update(self) -> Update:
        """Return a change of the table."""
        return update(self.table)

    def delete(self) -> Delete:
        """Return a deletion from the table."""
        return delete(self.table)

    def make(self, values: Sequence[Any]) -> R:
        """Return the value of one row; `values` are in the order of `columns`."""
        named = dict(zip(self._names, values, strict=True))
        for name, enum in self._enums.items():
            named[name] = enum(named[name])
        return self._row(**named)

    def made(self, fetched: Iterable[Sequence[Any]]) -> list[R]:
        """Return the values of rows that hold `columns`."""
        return [self.make(values) for values in fetched]

    async def all(self, db: AsyncConnection, statement: Executable) -> list[R]:
        """Run a query of whole rows, or a change that returns `columns`, and return them."""
        return self.made(await db.execute(statement))

    async def first(self, db: AsyncConnection, statement: Executable) -> R | None:
        """Run a query of whole rows and return the first, or None."""
        values = (await db.execute(statement)).first()
        return self.make(values) if values is not None else None


def values(row: Dataclass) -> dict[str, Any]:
    """Return what an insert of a row takes: all but the id, which is the database's to give."""
    return {name: getattr(row, name) for name in row.__dataclass_fields__ if name != "id"}


INSTALL = RowMap(rows.InstallRow, tables.InstallTable)
CONNECTION = RowMap(rows.ConnectionRow, tables.ConnectionTable)
CONNECTION_HEALTH = RowMap(rows.ConnectionHealthRow, tables.ConnectionHealthTable)
PIPELINE = RowMap(rows.PipelineRow, tables.PipelineTable)
LINK = RowMap(rows.LinkRow, tables.LinkTable)
BUILD = RowMap(rows.BuildRow, tables.BuildTable)
ATTEMPT = RowMap(rows.AttemptRow, tables.AttemptTable)
NOTIFICATION = RowMap(rows.NotificationRow, tables.NotificationTable)
CARD = RowMap(rows.CardRow, tables.CardTable)
CARD_NOTE = RowMap(rows.CardNoteRow, tables.CardNoteTable)
POLL_TARGET = RowMap(rows.PollTargetRow, tables.PollTargetTable)
BUDGET = RowMap(rows.BudgetRow, tables.BudgetTable)
WATCH = RowMap(rows.WatchRow, tables.WatchTable)
PERSON = RowMap(rows.PersonRow, tables.PersonTable)
IDENTITY = RowMap(rows.IdentityRow, tables.IdentityTable)
GRANT = RowMap(rows.GrantRow, tables.GrantTable)
MUTE = RowMap(rows.MuteRow, tables.MuteTable)
SCHEDULE = RowMap(rows.ScheduleRow, tables.ScheduleTable)
DIGEST = RowMap(rows.DigestRow, tables.DigestTable)
AUDIT = RowMap(rows.AuditRow, tables.AuditTable)
CHAIN = RowMap(rows.ChainRow, tables.ChainTable)
LOG_FOLLOW = RowMap(rows.LogFollowRow, tables.LogFollowTable)
FEED = RowMap(rows.FeedRow, tables.FeedTable)
HOLD = RowMap(rows.HoldRow, tables.HoldTable)
HOLD_WAIT = RowMap(rows.HoldWaitRow, tables.HoldWaitTable)
BISECTION = RowMap(rows.BisectionRow, tables.BisectionTable)
COMMIT_ROW = RowMap(rows.CommitRow, tables.CommitRowTable)
CLAIM = RowMap(rows.ClaimRow, tables.ClaimTable)
RED_BRANCH = RowMap(rows.RedBranchRow, tables.RedBranchTable)
FAILURE = RowMap(rows.FailureRow, tables.FailureTable)
APPROVAL_POLICY = RowMap(rows.ApprovalPolicyRow, tables.ApprovalPolicyTable)
VOTE = RowMap(rows.VoteRow, tables.VoteTable)
PERSONAL_TOKEN = RowMap(rows.PersonalTokenRow, tables.PersonalTokenTable)
