"""Tables of workspaces, and of marks that end by themselves."""

from datetime import datetime

from sqlalchemy import UniqueConstraint
from sqlmodel import Field

from bot.store.tables.base import TableBase, UtcDateTime


class InstallTable(TableBase, table=True):
    """Rows of `install`."""

    __tablename__ = "install"
    __table_args__ = (UniqueConstraint("enterprise", "team"),)

    id: int | None = Field(default=None, primary_key=True)
    enterprise: str = ""
    team: str = ""
    team_name: str = ""
    app_id: str = ""
    bot_user: str = ""
    bot_id: str = ""
    bot_token: str = ""
    refresh_token: str = ""
    token_expires_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    scopes: str = ""
    installed_by: str = ""
    is_enterprise_install: bool = False
    active: bool = True
    installed_at: datetime = Field(sa_type=UtcDateTime)


class WorkspaceTable(TableBase, table=True):
    """Rows of `workspace`."""

    __tablename__ = "workspace"

    team: str = Field(primary_key=True)
    enterprise: str = ""
    seen_at: datetime = Field(sa_type=UtcDateTime)


class TokenTable(TableBase, table=True):
    """Rows of `token`."""

    __tablename__ = "token"

    key: str = Field(primary_key=True)
    until: datetime = Field(sa_type=UtcDateTime, index=True)
    value: str = ""
