"""Tables of what is polled: targets, watches, and what is left of limits."""

from datetime import datetime

from sqlalchemy import Index, UniqueConstraint
from sqlmodel import Field

from bot.store.tables.base import TableBase, UtcDateTime


class PollTargetTable(TableBase, table=True):
    """Rows of `poll_target`."""

    __tablename__ = "poll_target"
    __table_args__ = (UniqueConstraint("connection", "part"), Index("ix_poll_target_due_at", "due_at"))

    id: int | None = Field(default=None, primary_key=True)
    connection: str
    part: str = ""
    cursor: str = ""
    hints: str = "[]"
    due_at: datetime = Field(sa_type=UtcDateTime)
    poll_at: datetime = Field(sa_type=UtcDateTime)
    interval_seconds: float = 0.0
    lease_owner: str = ""
    lease_until: datetime | None = Field(default=None, sa_type=UtcDateTime)
    fence: int = 0
    last_error: str = ""
    failing_since: datetime | None = Field(default=None, sa_type=UtcDateTime)
    notified_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    polled_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class WatchTable(TableBase, table=True):
    """Rows of `watch`."""

    __tablename__ = "watch"
    __table_args__ = (
        UniqueConstraint("team", "channel", "user", "connection", "pipeline", "build"),
        Index("ix_watch_build", "connection", "pipeline", "build"),
        Index("ix_watch_user", "team", "user"),
        Index("ix_watch_created_at", "created_at"),
    )

    id: int | None = Field(default=None, primary_key=True)
    team: str
    channel: str
    user: str
    connection: str
    pipeline: str
    build: str = ""
    thread: str = ""
    filters: str = ""
    why: str = ""
    created_at: datetime = Field(sa_type=UtcDateTime)


class BudgetTable(TableBase, table=True):
    """Rows of `budget`."""

    __tablename__ = "budget"
    __table_args__ = (UniqueConstraint("subject", "owner"),)

    id: int | None = Field(default=None, primary_key=True)
    subject: str
    owner: str
    calls: int = 0
    a_minute: float | None = None
    pause: float = 0.0
    quota: int = 0
    remaining: int = 0
    resets_in: float = 0.0
    learned_ago: float = 0.0
    short: str = ""
    short_ago: float = 0.0
    at: datetime = Field(sa_type=UtcDateTime, index=True)
