"""Tables of connections and their pipelines."""

from datetime import datetime

from sqlalchemy import UniqueConstraint
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
