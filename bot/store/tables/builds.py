"""Tables of builds and their attempts."""

from datetime import datetime

from sqlalchemy import BigInteger, Index, UniqueConstraint
from sqlmodel import Field

from bot.store.tables.base import TableBase, UtcDateTime


class BuildTable(TableBase, table=True):
    """Rows of `build`."""

    __tablename__ = "build"
    __table_args__ = (
        UniqueConstraint("connection", "pipeline", "build"),
        Index("ix_build_open", "connection", "completed"),
        Index("ix_build_commit_sha", "commit_sha"),
        Index("ix_build_started_by", "started_team", "started_by", "built_at"),
        Index("ix_build_newest", "connection", "pipeline", "built_at"),
        Index("ix_build_branch", "connection", "pipeline", "branch", "built_at"),
        Index("ix_build_number", "connection", "pipeline", "number"),
    )

    id: int | None = Field(default=None, primary_key=True)
    connection: str
    pipeline: str
    build: str
    number: int | None = Field(default=None, sa_type=BigInteger)
    branch: str = ""
    commit_sha: str = ""
    completed: bool = False
    attempt_no: int = 1
    data: str
    started_by: str = ""
    started_team: str = ""
    started_channel: str = ""
    created_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    completed_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    seen_at: datetime = Field(sa_type=UtcDateTime, index=True)
    built_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    began_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    waiting_since: datetime | None = Field(default=None, sa_type=UtcDateTime)
    approval_seconds: float = Field(default=0.0, sa_column_kwargs={"server_default": "0"})
    purpose: str = Field(default="", sa_column_kwargs={"server_default": ""})


class AttemptTable(TableBase, table=True):
    """Rows of `attempt`."""

    __tablename__ = "attempt"
    __table_args__ = (
        UniqueConstraint("connection", "pipeline", "build", "attempt_no"),
        Index("ix_attempt_history", "connection", "pipeline", "branch", "completed_at"),
        Index("ix_attempt_ref", "connection", "pipeline", "ref_kind", "ref_name", "commit_at"),
        Index("ix_attempt_counts_due_at", "counts_due_at"),
        Index("ix_attempt_ended", "connection", "pipeline", "completed_at"),
        Index("ix_attempt_seen_at", "seen_at"),
    )

    id: int | None = Field(default=None, primary_key=True)
    connection: str
    pipeline: str
    build: str
    attempt_no: int
    number: int | None = Field(default=None, sa_type=BigInteger)
    branch: str = ""
    commit_sha: str = ""
    author: str = ""
    conclusion: str = ""
    counts: str = ""
    counts_due_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    counts_tries: int = 0
    upload_reads: int = Field(default=0, sa_column_kwargs={"server_default": "0"})
    failures: str = ""
    failures_total: int = 0
    seconds: float | None = None
    completed_at: datetime = Field(sa_type=UtcDateTime)
    seen_at: datetime = Field(sa_type=UtcDateTime)
    ref_kind: str = Field(default="", sa_column_kwargs={"server_default": ""})
    ref_name: str = Field(default="", sa_column_kwargs={"server_default": ""})
    ref_job: str = Field(default="", sa_column_kwargs={"server_default": ""})
    commit_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    built_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    approval_seconds: float = Field(default=0.0, sa_column_kwargs={"server_default": "0"})
