"""The tables, one for each kind of row in `bot.store.rows`, which says what the columns mean.

They serve migrations and Core statements; no object of these classes is ever made.
"""

from bot.store.tables.base import TableBase, UtcDateTime
from bot.store.tables.builds import (
    AttemptTable,
    BuildTable,
    CardNoteTable,
    CardTable,
    ClaimTable,
    NotificationTable,
    PollTargetTable,
    WatchTable,
)
from bot.store.tables.channels import (
    BindingTable,
    ConnectionTable,
    DigestTable,
    LinkTable,
    MuteTable,
    PipelineTable,
    PresetTable,
    ScheduleTable,
    SwitchTable,
)
from bot.store.tables.people import (
    ApprovalPolicyTable,
    AuditTable,
    GrantTable,
    IdentityTable,
    InboxTable,
    InstallTable,
    LastValueTable,
    PersonTable,
    TokenTable,
    VoteTable,
    WorkspaceTable,
)

__all__ = [
    "ApprovalPolicyTable",
    "AttemptTable",
    "AuditTable",
    "BindingTable",
    "BuildTable",
    "CardNoteTable",
    "CardTable",
    "ClaimTable",
    "ConnectionTable",
    "DigestTable",
    "GrantTable",
    "IdentityTable",
    "InboxTable",
    "InstallTable",
    "LastValueTable",
    "LinkTable",
    "MuteTable",
    "NotificationTable",
    "PersonTable",
    "PipelineTable",
    "PollTargetTable",
    "PresetTable",
    "ScheduleTable",
    "SwitchTable",
    "TableBase",
    "TokenTable",
    "UtcDateTime",
    "VoteTable",
    "WatchTable",
    "WorkspaceTable",
]
