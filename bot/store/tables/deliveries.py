"""Tables of what Slack delivers."""

from datetime import datetime

from sqlalchemy import Index, UniqueConstraint
from sqlmodel import Field

from bot.store.tables.base import TableBase, UtcDateTime


class InboxTable(TableBase, table=True):
    """Rows of `inbox`."""

    __tablename__ = "inbox"
    __table_args__ = (UniqueConstraint("key"), Index("ix_inbox_open", "closed_at", "lease_until"))

    id: int | None = Field(default=None, primary_key=True)
    key: str
    kind: str
    state: str
    body: str = ""
    answer: str = ""
    outcome: str = ""
    lease_owner: str = ""
    lease_until: datetime = Field(sa_type=UtcDateTime)
    fence: int = 1
    received_at: datetime = Field(sa_type=UtcDateTime)
    closed_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
