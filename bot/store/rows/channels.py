"""Rows about connections and pipelines, and about what channels have set up."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionRow:
    """A connection made in Slack (`settings` sealed), or the health of one from the configuration file."""

    name: str
    kind: str
    team: str = ""
    settings: str = ""
    created_by: str = ""
    created_at: datetime
    down_since: datetime | None = None
    notified_at: datetime | None = None
    last_error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionHealthRow:
    """When a webhook of a connection came last, and when its credentials end, as last checked."""

    connection: str
    webhook_at: datetime | None = None
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineRow:
    """What can be built, as last listed; names are searched here and not at the vendor."""

    id: int
    connection: str
    pipeline: str
    path: str
    name: str
    group: str = ""
    default_branch: str = ""
    repository: str = ""
    web_url: str = ""
    enabled: bool = True
    seen_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class NewLink:
    """A channel follows a pipeline.

    `filters` is the filter in the words a person would type (`--on failures --branch main,release/*`); `branch` is
    the pinned branch. A paused link posts nothing; `paused_reason` says why.
    """

    team: str
    channel: str
    connection: str
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
    created_at: datetime
    paused_reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkRow(NewLink):
    """A link as stored."""

    id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NewBudget:
    """What a process (`owner`) knew at a time of a budget that processes share (`subject`), as `BudgetState` says it."""

    subject: str
    owner: str
    calls: int = 0
    a_minute: float | None = None
    pause: float = 0.0
    quota: int = 0
    remaining: int = 0
    resets_in: float = 0.0
    learned_ago: float = 0.0
    short: str = ""
    short_ago: float = 0.0
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetRow(NewBudget):
    """A budget as stored."""

    id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NewMute:
    """Quiet: a mute until a time, or quiet hours that come back (`hours`). `target`: all, a pipeline, a person.

    `exceptions` is what is posted all the same, as typed (`broken@main,blocked`). `people` are the names of the person
    that a mute is about, in Slack and in CI systems, a line each.
    """

    team: str
    channel: str
    target: str = "all"
    until: datetime | None = None
    hours: str = ""
    tz: str = ""
    exceptions: str = ""
    people: str = ""
    made_by: str
    made_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class MuteRow(NewMute):
    """A mute as stored."""

    id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NewSchedule:
    """A command that runs on a schedule.

    `words` are what the person typed, `cron` the rule they mean, as `bot.core.recurrence` stores it (`30 7 * * mon,fri`
    in `tz`, `@every 45m`). `next_at` is when it is due, `last_at` when it was claimed last.
    """

    team: str
    channel: str
    user: str
    words: str
    cron: str
    tz: str
    command: str
    next_at: datetime
    last_at: datetime | None = None
    last_outcome: str = ""
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleRow(NewSchedule):
    """A schedule as stored."""

    id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NewDigest:
    """A channel's regular summary; `sent_for` is the last period that was claimed, so that none goes out twice."""

    team: str
    channel: str
    period: str
    cron: str
    tz: str
    next_at: datetime
    sent_for: str = ""
    made_by: str
    made_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class DigestRow(NewDigest):
    """A digest as stored."""

    id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NewHold:
    """Somebody keeps others from starting and approving builds of a pipeline in a workspace.

    `environment` is folded (`bot.core.text.folded`); empty, the whole pipeline is held. `user` is empty where the
    terminal holds it. Without `until` it lasts until it is released.
    """

    team: str
    connection: str
    pipeline: str
    environment: str = ""
    user: str
    reason: str = ""
    until: datetime | None = None
    made_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldRow(NewHold):
    """A hold as stored."""

    id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NewHoldWait:
    """Somebody whose act a hold refused, and what they wanted to do: they are notified when it ends."""

    team: str
    connection: str
    pipeline: str
    environment: str = ""
    user: str
    what: str = ""
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldWaitRow(NewHoldWait):
    """A wait for a hold's end as stored."""

    id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NewFeed:
    """A token under which a channel's pipelines and schedules are read over HTTP; without a channel the workspace's.

    `name` is the part of the token that finds the row, `digest` the SHA-256 of the whole token in hexadecimal.
    """

    team: str
    channel: str = ""
    name: str
    digest: str
    made_by: str
    made_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedRow(NewFeed):
    """A feed as stored."""

    id: int
