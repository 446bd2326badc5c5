"""Rows about red branches and remembered failures."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class NewRedBranch:
    """A time during which a ref is red in a channel that has one thread for it.

    `build` and `attempt_no` are those of the notification that the thread hangs on (the root), `link` the link that it
    was posted for. `streak` is how many red builds in a row there are up to the newest one, `since` the number of the
    first of them. `claimed_by` is who is on it. `escalate_at` is when somebody is to be called unless it is fixed,
    `escalate_minutes` after which time and `escalate_to` whom (a Slack id; empty: the author of the change).
    `closed_at` is the end of the green build `closed_by`, after `red_seconds`.
    """

    team: str
    channel: str
    link: int
    connection: str
    pipeline: str
    ref_kind: str
    ref_name: str
    ref_job: str = ""
    build: str
    attempt_no: int
    streak: int = 1
    since: int | None = None
    opened_at: datetime
    claimed_by: str = ""
    claimed_at: datetime | None = None
    escalate_minutes: int = 0
    escalate_to: str = ""
    escalate_at: datetime | None = None
    closed_at: datetime | None = None
    closed_by: int | None = None
    red_seconds: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RedBranchRow(NewRedBranch):
    """A red time of a ref as stored."""

    id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NewFailure:
    """One way in which an attempt failed. `signature` is its message without what differs from run to run."""

    connection: str
    pipeline: str
    build: str
    attempt_no: int
    number: int | None = None
    commit_sha: str = ""
    ref_kind: str = ""
    ref_name: str = ""
    signature: str
    message: str
    job: str = ""
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureRow(NewFailure):
    """A failure as stored."""

    id: int
