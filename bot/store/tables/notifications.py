"""Tables of notifications, and of the cards that they became."""

from datetime import datetime

from sqlalchemy import BigInteger, Index, UniqueConstraint
from sqlmodel import Field

from bot.store.states import NoteKind, NotificationState
from bot.store.tables.base import TableBase, UtcDateTime


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
