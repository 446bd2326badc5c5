"""Tables of builds, of the notifications and cards about them, and of their polling."""

from datetime import datetime

from sqlalchemy import BigInteger, Index, UniqueConstraint
from sqlmodel import Field

from bot.store.states import NoteKind, NotificationState
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


class NotificationTable(TableBase, table=True):
    """Rows of `notification`."""

    __tablename__ = "notification"
    __table_args__ = (
        UniqueConstraint(
            "team",
            "channel",
            "link",
            "connection",
            "pipeline",
            "build",
            "attempt_no",
            "event",
            "turn",
            name="uq_notification_once",
        ),
        Index("ix_notification_due", "state", "due_at"),
        Index("ix_notification_channel_order", "team", "channel", "state", "id"),
        Index("ix_notification_build", "connection", "pipeline", "build"),
        Index("ix_notification_created_at", "created_at"),
    )

    id: int | None = Field(default=None, primary_key=True)
    team: str
    channel: str
    link: int = 0
    connection: str
    pipeline: str
    build: str
    attempt_no: int
    event: str
    state: str = NotificationState.PENDING.value
    reason: str = ""
    extra: str = "{}"
    thread: str = ""
    user: str = ""
    due_at: datetime = Field(sa_type=UtcDateTime)
    lease_owner: str = ""
    lease_until: datetime | None = Field(default=None, sa_type=UtcDateTime)
    tries: int = 0
    unsure: bool = False
    moved: bool = False
    ts: str = ""
    created_at: datetime = Field(sa_type=UtcDateTime)
    sent_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    ordered_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    number: int | None = Field(default=None, sa_type=BigInteger)
    first_tried_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    lost_leases: int = Field(default=0, sa_column_kwargs={"server_default": "0"})
    turn: int = Field(default=1, sa_column_kwargs={"server_default": "1"})


class CardTable(TableBase, table=True):
    """Rows of `card`."""

    __tablename__ = "card"
    __table_args__ = (
        UniqueConstraint("team", "channel", "ts"),
        Index("ix_card_build", "connection", "pipeline", "build"),
        Index("ix_card_edit_due_at", "edit_due_at"),
        Index("ix_card_notification", "notification"),
        Index("ix_card_edited_at", "edited_at"),
    )

    id: int | None = Field(default=None, primary_key=True)
    team: str
    channel: str
    ts: str
    connection: str
    pipeline: str
    build: str
    attempt_no: int
    notification: int = 0
    live: bool = True
    edit_due_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    edited_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    lease_until: datetime | None = Field(default=None, sa_type=UtcDateTime)
    shown: str = ""


class CardNoteTable(TableBase, table=True):
    """Rows of `card_note`."""

    __tablename__ = "card_note"
    __table_args__ = (Index("ix_card_note_build", "connection", "pipeline", "build"),)

    id: int | None = Field(default=None, primary_key=True)
    team: str
    connection: str
    pipeline: str
    build: str
    attempt_no: int
    kind: str = NoteKind.ACT.value
    user: str = ""
    text: str
    url: str = Field(default="", sa_column_kwargs={"server_default": ""})
    at: datetime = Field(sa_type=UtcDateTime, index=True)


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


class CommitRowTable(TableBase, table=True):
    """Rows of `commit_row`."""

    __tablename__ = "commit_row"
    __table_args__ = (
        UniqueConstraint("connection", "pipeline", "build"),
        Index("ix_commit_row_card", "card"),
        Index("ix_commit_row_pull", "pull"),
        Index("ix_commit_row_built_at", "built_at"),
    )

    id: int | None = Field(default=None, primary_key=True)
    connection: str
    pipeline: str
    build: str
    card: str
    pull: str = ""
    commit_sha: str
    head_sha: str = ""
    built_at: datetime = Field(sa_type=UtcDateTime)


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
    made_at: datetime = Field(sa_type=UtcDateTime)
