"""Tables of people, of what they may do and did."""

from datetime import datetime

from sqlalchemy import Index, UniqueConstraint
from sqlmodel import Field

from bot.store.tables.base import TableBase, UtcDateTime


class PersonTable(TableBase, table=True):
    """Rows of `person`."""

    __tablename__ = "person"
    __table_args__ = (UniqueConstraint("team", "user"),)

    id: int | None = Field(default=None, primary_key=True)
    team: str
    user: str
    name: str = ""
    email: str = Field(default="", index=True)
    tz: str = ""
    is_admin: bool = False
    deleted: bool = False
    settings: str = "{}"
    seen_at: datetime = Field(sa_type=UtcDateTime)


class IdentityTable(TableBase, table=True):
    """Rows of `identity`."""

    __tablename__ = "identity"
    __table_args__ = (UniqueConstraint("team", "kind", "value"), Index("ix_identity_user", "team", "user"))

    id: int | None = Field(default=None, primary_key=True)
    team: str
    kind: str
    value: str
    user: str = ""
    manual: bool = False
    looked_at: datetime = Field(sa_type=UtcDateTime)


class GrantTable(TableBase, table=True):
    """Rows of `grant`."""

    __tablename__ = "grant"
    __table_args__ = (UniqueConstraint("team", "channel", "role", "subject", "pipelines", "refs"),)

    id: int | None = Field(default=None, primary_key=True)
    team: str = Field(index=True)
    channel: str = ""
    role: str
    subject: str
    pipelines: str = "*"
    refs: str = "*"
    granted_by: str
    granted_at: datetime = Field(sa_type=UtcDateTime)


class ApprovalPolicyTable(TableBase, table=True):
    """Rows of `approval_policy`."""

    __tablename__ = "approval_policy"
    __table_args__ = (UniqueConstraint("team", "pipelines", "refs"),)

    id: int | None = Field(default=None, primary_key=True)
    team: str
    pipelines: str = "*"
    refs: str = "*"
    no_self: bool = False
    people: int = 1
    needs_comment: bool = False
    set_by: str
    set_at: datetime = Field(sa_type=UtcDateTime)


class VoteTable(TableBase, table=True):
    """Rows of `vote`."""

    __tablename__ = "vote"
    __table_args__ = (
        UniqueConstraint("connection", "pipeline", "build", "attempt_no", "team", "approval", "user"),
        Index("ix_vote_at", "at"),
    )

    id: int | None = Field(default=None, primary_key=True)
    team: str
    connection: str
    pipeline: str
    build: str
    attempt_no: int
    approval: str
    name: str = ""
    user: str
    approve: bool
    comment: str = ""
    salt: str = ""
    digest: str = ""
    at: datetime = Field(sa_type=UtcDateTime)


class LastValueTable(TableBase, table=True):
    """Rows of `last_value`."""

    __tablename__ = "last_value"
    __table_args__ = (UniqueConstraint("team", "user", "connection", "pipeline"),)

    id: int | None = Field(default=None, primary_key=True)
    team: str
    user: str
    connection: str
    pipeline: str
    parameters: str = "{}"
    used_at: datetime = Field(sa_type=UtcDateTime, index=True)


class AuditTable(TableBase, table=True):
    """Rows of `audit`."""

    __tablename__ = "audit"
    __table_args__ = (Index("ix_audit_team_at", "team", "at"),)

    id: int | None = Field(default=None, primary_key=True)
    at: datetime = Field(sa_type=UtcDateTime, index=True)
    team: str
    channel: str = ""
    user: str
    verb: str
    words: str = ""
    connection: str = ""
    pipeline: str = ""
    build: str = ""
    outcome: str = ""
    detail: str = ""
    source: str = ""


class PersonalTokenTable(TableBase, table=True):
    """Rows of `personal_token`."""

    __tablename__ = "personal_token"
    __table_args__ = (UniqueConstraint("team", "user", "name"), UniqueConstraint("digest"))

    id: int | None = Field(default=None, primary_key=True)
    team: str
    user: str
    enterprise: str = ""
    is_enterprise_install: bool = False
    name: str
    scope: str
    digest: str
    created_at: datetime = Field(sa_type=UtcDateTime)
    used_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
