"""Tables of what a channel follows."""

from datetime import datetime

from sqlalchemy import Index, UniqueConstraint
from sqlmodel import Field

from bot.store.tables.base import TableBase, UtcDateTime


class LinkTable(TableBase, table=True):
    """Rows of `link`."""

    __tablename__ = "link"
    __table_args__ = (
        UniqueConstraint("team", "channel", "connection", "pipeline"),
        Index("ix_link_pipeline", "connection", "pipeline"),
    )

    id: int | None = Field(default=None, primary_key=True)
    team: str = Field(index=True)
    channel: str = Field(index=True)
    connection: str = Field(index=True)
    pipeline: str
    path: str
    name: str
    alias: str = ""
    is_default: bool = False
    default_branch: str = ""
    branch: str = ""
    filters: str = ""
    subscribed: bool = True
    protected: str = ""
    created_by: str
    created_at: datetime = Field(sa_type=UtcDateTime)
    paused_reason: str = ""


class MuteTable(TableBase, table=True):
    """Rows of `mute`."""

    __tablename__ = "mute"
    __table_args__ = (UniqueConstraint("team", "channel", "target"),)

    id: int | None = Field(default=None, primary_key=True)
    team: str
    channel: str
    target: str = "all"
    until: datetime | None = Field(default=None, sa_type=UtcDateTime)
    hours: str = ""
    tz: str = ""
    exceptions: str = Field(default="", sa_column_kwargs={"server_default": ""})
    people: str = Field(default="", sa_column_kwargs={"server_default": ""})
    made_by: str
    made_at: datetime = Field(sa_type=UtcDateTime)
