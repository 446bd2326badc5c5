"""The tables. Rows leave the store detached and are read only; all access goes through `Store`.

Times are aware UTC. `team` is Slack's team id, `connection` a connection's name, `pipeline` and `build` the ids that
the provider's calls take. Rows are not validators: what goes in has been checked before.
"""

from datetime import UTC, datetime
from enum import StrEnum
from typing import ClassVar

from sqlalchemy import BigInteger, DateTime, Dialect, Index, MetaData, UniqueConstraint
from sqlalchemy.types import TypeDecorator
from sqlmodel import Field, SQLModel
from typing_extensions import override

NAMES = {
    "ix": "ix_%(column_0_N_label)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}


class UtcDateTime(TypeDecorator[datetime]):
    """A time: stored in UTC, aware when it comes back (SQLite forgets zones)."""

    impl = DateTime(timezone=True)
    cache_ok = True

    @override
    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            message = "a time without a zone must not reach the store"
            raise ValueError(message)
        return value.astimezone(UTC)

    @override
    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Row(SQLModel):
    """What every table shares: one metadata with a naming convention."""

    metadata: ClassVar[MetaData] = MetaData(naming_convention=NAMES)


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
    SUMMARY = "summary"
    OUTAGE = "outage"
    OUTAGE_OVER = "outage-over"
    DIGEST = "digest"
    BRANCH_CHANGED = "branch-changed"
    UNDRAWABLE = "undrawable"
    CORRECTED = "corrected"


class NoteKind(StrEnum):
    """What a note on a card says: somebody acted, somebody cancelled it, or something else stands in the build's place."""

    ACT = "act"
    CANCELLED = "cancelled"
    REPLACED = "replaced"


class InstallRow(Row, table=True):
    """The bot in one workspace (or one organization: `team` is then empty). Tokens are sealed."""

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


class ConnectionRow(Row, table=True):
    """A connection made in Slack (`settings` sealed), or the health of one from the configuration file."""

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


class PipelineRow(Row, table=True):
    """What can be built, as last listed; names are searched here and not at the vendor."""

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


class LinkRow(Row, table=True):
    """A channel follows a pipeline.

    `filters` is the filter in the words a person would type (`--on failures --branch main,release/*`); `branch` is
    the pinned branch. A paused link posts nothing; `paused_reason` says why.
    """

    __tablename__ = "link"
    __table_args__ = (UniqueConstraint("team", "channel", "connection", "pipeline"),)

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


class BuildRow(Row, table=True):
    """A build as last polled. `data` is the whole `Build` as JSON; `attempt_no` counts its runs to the end, from 1.

    `built_at` is when the build was created, as well as is known, and never changes. `began_at` is when an attempt after
    the first one began. `waiting_since` is when the open approval was first seen, `approval_seconds` how long earlier
    approvals of this attempt kept it waiting.
    """

    __tablename__ = "build"
    __table_args__ = (
        UniqueConstraint("connection", "pipeline", "build"),
        Index("ix_build_open", "connection", "completed"),
        Index("ix_build_commit_sha", "commit_sha"),
        Index("ix_build_started_by", "started_team", "started_by"),
        Index("ix_build_number", "connection", "pipeline", "number"),
    )

    id: int | None = Field(default=None, primary_key=True)
    connection: str
    pipeline: str
    build: str
    number: int | None = Field(default=None, sa_type=BigInteger)
    branch: str = ""
    commit_sha: str = ""
    completed: bool = False
    attempt_no: int = 1
    data: str
    started_by: str = ""
    started_team: str = ""
    started_channel: str = ""
    created_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    completed_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    seen_at: datetime = Field(sa_type=UtcDateTime, index=True)
    built_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    began_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    waiting_since: datetime | None = Field(default=None, sa_type=UtcDateTime)
    approval_seconds: float = Field(default=0.0, sa_column_kwargs={"server_default": "0"})


class AttemptRow(Row, table=True):
    """One run of a build to its end.

    `counts` is `IssueCounts` as JSON, empty while unknown; `failures` the first `Issue`s as a JSON list, and
    `failures_total` how many there are. `ref_kind` and `ref_name` say whose history it belongs to; both are empty where
    it belongs to none. In a history builds stand by `commit_at` (when the ref first built the commit), `built_at` (when
    the build was created) and number. `seconds` is how long it ran, without the `approval_seconds` it waited for people.
    """

    __tablename__ = "attempt"
    __table_args__ = (
        UniqueConstraint("connection", "pipeline", "build", "attempt_no"),
        Index("ix_attempt_history", "connection", "pipeline", "branch", "completed_at"),
        Index("ix_attempt_ref", "connection", "pipeline", "ref_kind", "ref_name", "commit_at"),
        Index("ix_attempt_counts_due_at", "counts_due_at"),
        Index("ix_attempt_ended", "connection", "pipeline", "completed_at"),
    )

    id: int | None = Field(default=None, primary_key=True)
    connection: str
    pipeline: str
    build: str
    attempt_no: int
    number: int | None = Field(default=None, sa_type=BigInteger)
    branch: str = ""
    commit_sha: str = ""
    author: str = ""
    conclusion: str = ""
    counts: str = ""
    counts_due_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    counts_tries: int = 0
    failures: str = ""
    failures_total: int = 0
    seconds: float | None = None
    completed_at: datetime = Field(sa_type=UtcDateTime)
    seen_at: datetime = Field(sa_type=UtcDateTime)
    ref_kind: str = Field(default="", sa_column_kwargs={"server_default": ""})
    ref_name: str = Field(default="", sa_column_kwargs={"server_default": ""})
    commit_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    built_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    approval_seconds: float = Field(default=0.0, sa_column_kwargs={"server_default": "0"})


class NotificationRow(Row, table=True):
    """A message to a channel or a person that is delivered once.

    `link` is 0 where no link but a watch or a start asked for it. `state` is a `NotificationState`, `event` a
    `NotificationEvent`; `turn` counts the approvals of one attempt, each of which is a notification. `reason` says why
    it was posted or not, in a person's words. `extra` is JSON for the renderer.
    `moved` says that the build has changed while the notification was being posted. In a channel notifications go out
    by `ordered_at` (the end of the build; None: `created_at`), then by the build's `number`. `first_tried_at` is when
    the first delivery was tried, `lost_leases` how often a delivery ended without a word of how.
    """

    __tablename__ = "notification"
    __table_args__ = (
        UniqueConstraint(
            "team",
            "channel",
            "link",
            "connection",
            "pipeline",
            "build",
            "attempt_no",
            "event",
            "turn",
            name="uq_notification_once",
        ),
        Index("ix_notification_due", "state", "due_at"),
        Index("ix_notification_channel_order", "team", "channel", "state", "id"),
        Index("ix_notification_build", "connection", "pipeline", "build"),
    )

    id: int | None = Field(default=None, primary_key=True)
    team: str
    channel: str
    link: int = 0
    connection: str
    pipeline: str
    build: str
    attempt_no: int
    event: str
    state: str = NotificationState.PENDING.value
    reason: str = ""
    extra: str = "{}"
    thread: str = ""
    user: str = ""
    due_at: datetime = Field(sa_type=UtcDateTime)
    lease_owner: str = ""
    lease_until: datetime | None = Field(default=None, sa_type=UtcDateTime)
    tries: int = 0
    unsure: bool = False
    moved: bool = False
    ts: str = ""
    created_at: datetime = Field(sa_type=UtcDateTime)
    sent_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    ordered_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    number: int | None = Field(default=None, sa_type=BigInteger)
    first_tried_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    lost_leases: int = Field(default=0, sa_column_kwargs={"server_default": "0"})
    turn: int = Field(default=1, sa_column_kwargs={"server_default": "1"})


class CardRow(Row, table=True):
    """A message that shows a build in a channel and follows it. `live` until its attempt has ended."""

    __tablename__ = "card"
    __table_args__ = (
        UniqueConstraint("team", "channel", "ts"),
        Index("ix_card_build", "connection", "pipeline", "build"),
        Index("ix_card_edit_due_at", "edit_due_at"),
    )

    id: int | None = Field(default=None, primary_key=True)
    team: str
    channel: str
    ts: str
    connection: str
    pipeline: str
    build: str
    attempt_no: int
    notification: int = 0
    live: bool = True
    edit_due_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    edited_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    lease_until: datetime | None = Field(default=None, sa_type=UtcDateTime)
    shown: str = ""


class CardNoteRow(Row, table=True):
    """A line on the cards of one attempt of a build in one workspace: what a person did about it, or what replaced it.

    `text` goes after the person's name ("retried the failed jobs"); without a `user` it stands alone. `url` is the page
    of what replaced the build.
    """

    __tablename__ = "card_note"
    __table_args__ = (Index("ix_card_note_build", "connection", "pipeline", "build"),)

    id: int | None = Field(default=None, primary_key=True)
    team: str
    connection: str
    pipeline: str
    build: str
    attempt_no: int
    kind: str = NoteKind.ACT.value
    user: str = ""
    text: str
    url: str = Field(default="", sa_column_kwargs={"server_default": ""})
    at: datetime = Field(sa_type=UtcDateTime, index=True)


class PollTargetRow(Row, table=True):
    """One poll: a connection, or its part that needs a poll of its own. `hints` is JSON: builds that webhook events named."""

    __tablename__ = "poll_target"
    __table_args__ = (UniqueConstraint("connection", "part"), Index("ix_poll_target_due_at", "due_at"))

    id: int | None = Field(default=None, primary_key=True)
    connection: str
    part: str = ""
    cursor: str = ""
    hints: str = "[]"
    due_at: datetime = Field(sa_type=UtcDateTime)
    poll_at: datetime = Field(sa_type=UtcDateTime)
    interval_seconds: float = 0.0
    lease_owner: str = ""
    lease_until: datetime | None = Field(default=None, sa_type=UtcDateTime)
    fence: int = 0
    last_error: str = ""
    failing_since: datetime | None = Field(default=None, sa_type=UtcDateTime)
    notified_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    polled_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class WatchRow(Row, table=True):
    """Somebody wants to be notified of the end of one build (`build` set), or follows a pipeline in person (`build` empty).

    `channel` is where to post: a channel, or a person's id for a direct message. `thread` answers in a thread.
    """

    __tablename__ = "watch"
    __table_args__ = (
        UniqueConstraint("team", "channel", "user", "connection", "pipeline", "build"),
        Index("ix_watch_build", "connection", "pipeline", "build"),
    )

    id: int | None = Field(default=None, primary_key=True)
    team: str
    channel: str
    user: str
    connection: str
    pipeline: str
    build: str = ""
    thread: str = ""
    filters: str = ""
    why: str = ""
    created_at: datetime = Field(sa_type=UtcDateTime)


class PersonRow(Row, table=True):
    """What the bot knows of a Slack user. `settings` is JSON: mentions, hours, plain text, last parameters."""

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


class IdentityRow(Row, table=True):
    """An e-mail address or a handle at a CI system, and whose it is; `user` is empty where Slack knows nobody."""

    __tablename__ = "identity"
    __table_args__ = (UniqueConstraint("team", "kind", "value"),)

    id: int | None = Field(default=None, primary_key=True)
    team: str
    kind: str
    value: str
    user: str = ""
    manual: bool = False
    looked_at: datetime = Field(sa_type=UtcDateTime)


class GrantRow(Row, table=True):
    """A role given to somebody. `subject` is `user:U…`, `group:S…` or `channel:C…`; globs narrow it."""

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


class MuteRow(Row, table=True):
    """Quiet: a mute until a time, or quiet hours that come back (`hours`). `target`: all, a pipeline, a person."""

    __tablename__ = "mute"
    __table_args__ = (UniqueConstraint("team", "channel", "target"),)

    id: int | None = Field(default=None, primary_key=True)
    team: str
    channel: str
    target: str = "all"
    until: datetime | None = Field(default=None, sa_type=UtcDateTime)
    hours: str = ""
    tz: str = ""
    made_by: str
    made_at: datetime = Field(sa_type=UtcDateTime)


class ScheduleRow(Row, table=True):
    """A command that runs on a schedule.

    `words` are what the person typed, `cron` the rule they mean, as `bot.core.recurrence` stores it (`30 7 * * mon,fri`
    in `tz`, `@every 45m`). `next_at` is when it is due, `last_at` when it was claimed last.
    """

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


class DigestRow(Row, table=True):
    """A channel's regular summary; `sent_for` is the last period that was claimed, so that none goes out twice."""

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


class AuditRow(Row, table=True):
    """Who did what, when, with what outcome; refusals too."""

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


class TokenRow(Row, table=True):
    """A short-lived mark, or a state that may be used once; without effect after `until`."""

    __tablename__ = "token"

    key: str = Field(primary_key=True)
    until: datetime = Field(sa_type=UtcDateTime, index=True)
    value: str = ""


class PresetRow(Row, table=True):
    """Parameter values that a channel keeps under a name for a pipeline. `parameters` is a JSON object of texts."""

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


class LastValueRow(Row, table=True):
    """The parameters with which somebody last started a pipeline from a form, as a JSON object of texts."""

    __tablename__ = "last_value"
    __table_args__ = (UniqueConstraint("team", "user", "connection", "pipeline"),)

    id: int | None = Field(default=None, primary_key=True)
    team: str
    user: str
    connection: str
    pipeline: str
    parameters: str = "{}"
    used_at: datetime = Field(sa_type=UtcDateTime, index=True)


class SwitchRow(Row, table=True):
    """Something that a channel has switched on."""

    __tablename__ = "switch"
    __table_args__ = (UniqueConstraint("team", "channel", "name"),)

    id: int | None = Field(default=None, primary_key=True)
    team: str
    channel: str
    name: str


class ClaimRow(Row, table=True):
    """Somebody has claimed a red build, until a time."""

    __tablename__ = "claim"
    __table_args__ = (UniqueConstraint("team", "connection", "pipeline", "build"),)

    id: int | None = Field(default=None, primary_key=True)
    team: str
    connection: str
    pipeline: str
    build: str
    user: str
    until: datetime = Field(sa_type=UtcDateTime, index=True)


class WorkspaceRow(Row, table=True):
    """Which organization a workspace belongs to, as named by its requests."""

    __tablename__ = "workspace"

    team: str = Field(primary_key=True)
    enterprise: str = ""
    seen_at: datetime = Field(sa_type=UtcDateTime)


class BindingRow(Row, table=True):
    """Which workspace a connection of the configuration belongs to that names none; decided once.

    `team` is empty where several workspaces had the bot at that time: the connection then belongs to nobody.
    """

    __tablename__ = "binding"

    connection: str = Field(primary_key=True)
    team: str = ""
    bound_at: datetime = Field(sa_type=UtcDateTime)


class InboxRow(Row, table=True):
    """Something that Slack or the clock asked for, written before Slack is answered.

    `key` is the same whenever the same thing is delivered again. `kind` and `state` are of `InboxKind` and
    `InboxState`. `body` is what is needed to do it and `answer` what is about to be said; both are emptied at the end,
    for they hold addresses and words that are secrets. `fence` grows with each claim, so that a process that lost its
    lease can change nothing any more.
    """

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
