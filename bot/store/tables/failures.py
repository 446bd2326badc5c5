"""Tables of what is broken: red times of refs, and the ways in which attempts failed."""

from datetime import datetime

from sqlalchemy import Index, UniqueConstraint
from sqlmodel import Field

from bot.store.tables.base import TableBase, UtcDateTime


class RedBranchTable(TableBase, table=True):
    """Rows of `red_branch`."""

    __tablename__ = "red_branch"
    __table_args__ = (
        UniqueConstraint("team", "channel", "connection", "pipeline", "build"),
        Index("ix_red_branch_ref", "connection", "pipeline", "ref_kind", "ref_name"),
        Index("ix_red_branch_root", "connection", "pipeline", "build"),
    )

    id: int | None = Field(default=None, primary_key=True)
    team: str
    channel: str
    link: int
    connection: str
    pipeline: str
    ref_kind: str
    ref_name: str
    ref_job: str = Field(default="", sa_column_kwargs={"server_default": ""})
    build: str
    attempt_no: int
    streak: int = 1
    since: int | None = None
    opened_at: datetime = Field(sa_type=UtcDateTime, index=True)
    claimed_by: str = ""
    claimed_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    escalate_minutes: int = 0
    escalate_to: str = ""
    escalate_at: datetime | None = Field(default=None, sa_type=UtcDateTime, index=True)
    closed_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    closed_by: int | None = None
    red_seconds: float | None = None


class FailureTable(TableBase, table=True):
    """Rows of `failure`."""

    __tablename__ = "failure"
    __table_args__ = (
        UniqueConstraint("connection", "pipeline", "build", "attempt_no", "signature"),
        Index("ix_failure_signature", "connection", "pipeline", "signature"),
    )

    id: int | None = Field(default=None, primary_key=True)
    connection: str
    pipeline: str
    build: str
    attempt_no: int
    number: int | None = None
    commit_sha: str = ""
    ref_kind: str = ""
    ref_name: str = ""
    signature: str
    message: str
    job: str = ""
    at: datetime = Field(sa_type=UtcDateTime, index=True)
