"""The states and kinds that rows have."""

from enum import StrEnum


class NotificationState(StrEnum):
    """How far a notification has come. HELD waits for quiet to end, SILENT is never posted, FAILED was given up."""

    PENDING = "pending"
    LEASED = "leased"
    SENT = "sent"
    HELD = "held"
    SILENT = "silent"
    FAILED = "failed"


class NotificationEvent(StrEnum):
    """What a notification is about; part of its key, so each is delivered once."""

    STARTED = "started"
    FINISHED = "finished"
    BLOCKED = "blocked"
    REMINDER = "reminder"
    DEADLINE = "deadline"
    DECIDED = "decided"
    SUMMARY = "summary"
    OUTAGE = "outage"
    OUTAGE_OVER = "outage-over"
    DIGEST = "digest"
    BRANCH_CHANGED = "branch-changed"
    UNDRAWABLE = "undrawable"
    CORRECTED = "corrected"
    ESCALATED = "escalated"
    UNFIXED = "unfixed"
    STUCK = "stuck"
    SLOW = "slow"
    QUEUED_LONG = "queued-long"
    COMMIT = "commit"


class TokenScope(StrEnum):
    """What the holder of a personal token may do: read only, or also act as the person."""

    READ = "read"
    ACT = "act"


class NoteKind(StrEnum):
    """What a note on a card says: somebody acted, somebody cancelled it, or something else stands in the build's place."""

    ACT = "act"
    CANCELLED = "cancelled"
    REPLACED = "replaced"


class BuildPurpose(StrEnum):
    """What a build is for: one of a BISECTION is no news to anybody but its search, and no part of its branch's history."""

    NORMAL = ""
    BISECTION = "bisection"


class BisectionState(StrEnum):
    """How far a search for a commit has come."""

    RUNNING = "running"
    STOPPING = "stopping"
    ENDED = "ended"


class Switch(StrEnum):
    """What can be switched on in a channel."""

    REACTIONS = "reactions"


class Setting(StrEnum):
    """What a channel may set. REMIND is in seconds; 0 is never."""

    REMIND = "remind"
