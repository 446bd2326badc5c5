"""Tables of what people have under way: claims, chains, logs, bisections and holds."""

from datetime import datetime

from sqlalchemy import Index, UniqueConstraint
from sqlmodel import Field

from bot.store.tables.base import TableBase, UtcDateTime


class ClaimTable(TableBase, table=True):
    """Rows of `claim`."""

    __tablename__ = "claim"
    __table_args__ = (UniqueConstraint("team", "connection", "pipeline", "build"),)

    id: int | None = Field(default=None, primary_key=True)
    team: str
    connection: str
    pipeline: str
    build: str
    user: str
    until: datetime = Field(sa_type=UtcDateTime, index=True)


class ChainTable(TableBase, table=True):
    """Rows of `chain`."""

    __tablename__ = "chain"
    __table_args__ = (Index("ix_chain_channel", "team", "channel"),)

    id: int | None = Field(default=None, primary_key=True)
    team: str
    channel: str
    user: str
    connection: str
    pipeline: str
    build: str
    label: str
    command: str
    until: datetime = Field(sa_type=UtcDateTime)
    made_at: datetime = Field(sa_type=UtcDateTime)


class LogFollowTable(TableBase, table=True):
    """Rows of `log_follow`."""

    __tablename__ = "log_follow"

    id: int | None = Field(default=None, primary_key=True)
    team: str
    channel: str
    ts: str
    user: str
    connection: str
    pipeline: str
    build: str
    job: str
    label: str
    due_at: datetime = Field(sa_type=UtcDateTime, index=True)
    until: datetime = Field(sa_type=UtcDateTime)


class BisectionTable(TableBase, table=True):
    """Rows of `bisection`."""

    __tablename__ = "bisection"
    __table_args__ = (UniqueConstraint("running"), Index("ix_bisection_due", "state", "due_at"))

    id: int | None = Field(default=None, primary_key=True)
    team: str
    channel: str
    user: str
    connection: str
    pipeline: str
    label: str
    state: str
    ended_by: str = ""
    running: str | None = None
    data: str
    ts: str = ""
    due_at: datetime = Field(sa_type=UtcDateTime)
    fence: int = Field(default=0, sa_column_kwargs={"server_default": "0"})
    made_at: datetime = Field(sa_type=UtcDateTime)


class HoldTable(TableBase, table=True):
    """Rows of `hold`."""

    __tablename__ = "hold"
    __table_args__ = (UniqueConstraint("team", "connection", "pipeline", "environment"),)

    id: int | None = Field(default=None, primary_key=True)
    team: str
    connection: str
    pipeline: str
    environment: str = ""
    user: str
    reason: str = ""
    until: datetime | None = Field(default=None, sa_type=UtcDateTime, index=True)
    made_at: datetime = Field(sa_type=UtcDateTime)


class HoldWaitTable(TableBase, table=True):
    """Rows of `hold_wait`."""

    __tablename__ = "hold_wait"
    __table_args__ = (UniqueConstraint("team", "connection", "pipeline", "environment", "user"),)

    id: int | None = Field(default=None, primary_key=True)
    team: str
    connection: str
    pipeline: str
    environment: str = ""
    user: str
    what: str = ""
    at: datetime = Field(sa_type=UtcDateTime)
