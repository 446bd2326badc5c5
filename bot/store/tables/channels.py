"""Tables of what a channel has set up, and of what it has planned."""

from datetime import datetime

from sqlalchemy import Index, UniqueConstraint
from sqlmodel import Field

from bot.store.tables.base import TableBase, UtcDateTime


class ScheduleTable(TableBase, table=True):
    """Rows of `schedule`."""

    __tablename__ = "schedule"

    id: int | None = Field(default=None, primary_key=True)
    team: str
    channel: str = Field(index=True)
    user: str
    words: str
    cron: str
    tz: str
    command: str
    next_at: datetime = Field(sa_type=UtcDateTime, index=True)
    last_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    last_outcome: str = ""
    created_at: datetime = Field(sa_type=UtcDateTime)


class DigestTable(TableBase, table=True):
    """Rows of `digest`."""

    __tablename__ = "digest"
    __table_args__ = (UniqueConstraint("team", "channel", "period"),)

    id: int | None = Field(default=None, primary_key=True)
    team: str
    channel: str
    period: str
    cron: str
    tz: str
    next_at: datetime = Field(sa_type=UtcDateTime, index=True)
    sent_for: str = ""
    made_by: str
    made_at: datetime = Field(sa_type=UtcDateTime)


class PresetTable(TableBase, table=True):
    """Rows of `preset`."""

    __tablename__ = "preset"
    __table_args__ = (UniqueConstraint("team", "channel", "connection", "pipeline", "name"),)

    id: int | None = Field(default=None, primary_key=True)
    team: str
    channel: str
    connection: str
    pipeline: str
    name: str
    parameters: str = "{}"
    made_at: datetime = Field(sa_type=UtcDateTime)


class SwitchTable(TableBase, table=True):
    """Rows of `switch`."""

    __tablename__ = "switch"
    __table_args__ = (UniqueConstraint("team", "channel", "name"),)

    id: int | None = Field(default=None, primary_key=True)
    team: str
    channel: str
    name: str


class ChannelSettingTable(TableBase, table=True):
    """Rows of `channel_setting`."""

    __tablename__ = "channel_setting"
    __table_args__ = (UniqueConstraint("team", "channel", "name"),)

    id: int | None = Field(default=None, primary_key=True)
    team: str
    channel: str
    name: str
    value: str


class FeedTable(TableBase, table=True):
    """Rows of `feed`."""

    __tablename__ = "feed"
    __table_args__ = (UniqueConstraint("name"), Index("ix_feed_channel", "team", "channel"))

    id: int | None = Field(default=None, primary_key=True)
    team: str
    channel: str = ""
    name: str
    digest: str
    made_by: str
    made_at: datetime = Field(sa_type=UtcDateTime)
