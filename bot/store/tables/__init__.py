"""The tables, one for each kind of row in `bot.store.rows`, which says what the columns mean.

They serve migrations and Core statements; no object of these classes is ever made.
"""

from bot.store.tables.base import TableBase, UtcDateTime
from bot.store.tables.builds import (
    AttemptTable,
    BuildTable,
    CardNoteTable,
    CardTable,
    ChainTable,
    ClaimTable,
    LogFollowTable,
    NotificationTable,
    PollTargetTable,
    WatchTable,
)
from bot.store.tables.channels import (
    BindingTable,
    BudgetTable,
    ConnectionTable,
    DigestTable,
    FeedTable,
    HoldTable,
    LinkTable,
    MuteTable,
    PipelineTable,
    PresetTable,
    ScheduleTable,
    SwitchTable,
)
from bot.store.tables.failures import FailureTable, RedBranchTable
from bot.store.tables.people import (
    AuditTable,
    GrantTable,
    IdentityTable,
    InboxTable,
    InstallTable,
    LastValueTable,
    PersonTable,
    TokenTable,
    WorkspaceTable,
)

__all__ = [
    "AttemptTable",
    "AuditTable",
    "BindingTable",
    "BudgetTable",
    "BuildTable",
    "CardNoteTable",
    "CardTable",
    "ChainTable",
    "ClaimTable",
    "ConnectionTable",
    "DigestTable",
    "FailureTable",
    "FeedTable",
    "GrantTable",
    "HoldTable",
    "IdentityTable",
    "InboxTable",
    "InstallTable",
    "LastValueTable",
    "LinkTable",
    "LogFollowTable",
    "MuteTable",
    "NotificationTable",
    "PersonTable",
    "PipelineTable",
    "PollTargetTable",
    "PresetTable",
    "RedBranchTable",
    "ScheduleTable",
    "SwitchTable",
    "TableBase",
    "TokenTable",
    "UtcDateTime",
    "WatchTable",
    "WorkspaceTable",
]
