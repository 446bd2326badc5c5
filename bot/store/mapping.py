"""How rows of a table become the values of `bot.store.rows`: by the names that the two share."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import fields
from enum import Enum
from functools import cached_property
from typing import Any, ClassVar, Generic, Protocol, TypeVar, get_type_hints

from sqlalchemy import ColumnElement, Delete, Executable, Select, Table, Update, delete, select, update
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.sql.base import ReadOnlyColumnCollection

from bot.store import rows
from bot.store.tables import table


class Dataclass(Protocol):
    """Any dataclass."""

    __dataclass_fields__: ClassVar[dict[str, Any]]


R = TypeVar("R", bound=Dataclass)


class RowMap(Generic[R]):
    """A table and the dataclass that its rows leave the store as.

    The table is made on first use, and compared with the dataclass then: TypeError where their names differ.
    """

    def __init__(self, row: type[R], table: str) -> None:
        self._row = row
        self._name = table
        self._names = tuple(field.name for field in fields(row))

    @cached_property
    def table(self) -> Table:
        """Return the table."""
        made = table(self._name)
        if set(self._names) != set(made.c.keys()):
            raise TypeError(f"{self._row.__name__} and `{self._name}` differ: {set(self._names) ^ set(made.c.keys())}")
        return made

    @cached_property
    def c(self) -> ReadOnlyColumnCollection[str, ColumnElement[Any]]:
        """Return the table's columns by name."""
        return self.table.c

    @cached_property
    def columns(self) -> tuple[ColumnElement[Any], ...]:
        """Return the columns in the order of the dataclass."""
        return tuple(self.c[name] for name in self._names)

    @cached_property
    def _enums(self) -> dict[str, Callable[[Any], Any]]:
        hints = get_type_hints(self._row)
        return {
            name: hints[name] for name in self._names if isinstance(hints[name], type) and issubclass(hints[name], Enum)
        }

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


INSTALL = RowMap(rows.InstallRow, "install")
CONNECTION = RowMap(rows.ConnectionRow, "connection")
CONNECTION_HEALTH = RowMap(rows.ConnectionHealthRow, "connection_health")
PIPELINE = RowMap(rows.PipelineRow, "pipeline")
LINK = RowMap(rows.LinkRow, "link")
BUILD = RowMap(rows.BuildRow, "build")
ATTEMPT = RowMap(rows.AttemptRow, "attempt")
NOTIFICATION = RowMap(rows.NotificationRow, "notification")
CARD = RowMap(rows.CardRow, "card")
CARD_NOTE = RowMap(rows.CardNoteRow, "card_note")
POLL_TARGET = RowMap(rows.PollTargetRow, "poll_target")
BUDGET = RowMap(rows.BudgetRow, "budget")
WATCH = RowMap(rows.WatchRow, "watch")
PERSON = RowMap(rows.PersonRow, "person")
IDENTITY = RowMap(rows.IdentityRow, "identity")
GRANT = RowMap(rows.GrantRow, "grant")
MUTE = RowMap(rows.MuteRow, "mute")
SCHEDULE = RowMap(rows.ScheduleRow, "schedule")
DIGEST = RowMap(rows.DigestRow, "digest")
AUDIT = RowMap(rows.AuditRow, "audit")
CHAIN = RowMap(rows.ChainRow, "chain")
LOG_FOLLOW = RowMap(rows.LogFollowRow, "log_follow")
FEED = RowMap(rows.FeedRow, "feed")
HOLD = RowMap(rows.HoldRow, "hold")
HOLD_WAIT = RowMap(rows.HoldWaitRow, "hold_wait")
BISECTION = RowMap(rows.BisectionRow, "bisection")
COMMIT_ROW = RowMap(rows.CommitRow, "commit_row")
CLAIM = RowMap(rows.ClaimRow, "claim")
RED_BRANCH = RowMap(rows.RedBranchRow, "red_branch")
FAILURE = RowMap(rows.FailureRow, "failure")
APPROVAL_POLICY = RowMap(rows.ApprovalPolicyRow, "approval_policy")
VOTE = RowMap(rows.VoteRow, "vote")
PERSONAL_TOKEN = RowMap(rows.PersonalTokenRow, "personal_token")
