"""Tables of connections and pipelines, and of what channels follow and have set up."""

from datetime import datetime

from sqlalchemy import Index, UniqueConstraint
from sqlmodel import Field

from bot.store.tables.base import TableBase, UtcDateTime


class ConnectionTable(TableBase, table=True):
    """Rows of `connection`."""

    __tablename__ = "connection"

    name: str = Field(primary_key=True)
    kind: str
    team: str = ""
    settings: str = ""
    created_by: str = ""
    created_at: datetime = Field(sa_type=UtcDateTime)
    down_since: datetime | None = Field(default=None, sa_type=UtcDateTime)
    notified_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    last_error: str = ""


class ConnectionHealthTable(TableBase, table=True):
    """Rows of `connection_health`."""

    __tablename__ = "connection_health"

    connection: str = Field(primary_key=True)
    webhook_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    expires_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class PipelineTable(TableBase, table=True):
    """Rows of `pipeline`."""

    __tablename__ = "pipeline"
    __table_args__ = (UniqueConstraint("connection", "pipeline"),)

    id: int | None = Field(default=None, primary_key=True)
    connection: str = Field(index=True)
    pipeline: str
    path: str
    name: str
    group: str = ""
    default_branch: str = ""
    repository: str = ""
    web_url: str = ""
    enabled: bool = True
    seen_at: datetime = Field(sa_type=UtcDateTime)


class BindingTable(TableBase, table=True):
    """Rows of `binding`."""

    __tablename__ = "binding"

    connection: str = Field(primary_key=True)
    team: str = ""
    bound_at: datetime = Field(sa_type=UtcDateTime)


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
    at: datetime = Field(sa_type=UtcDateTime, index=True)


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
