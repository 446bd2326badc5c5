"""What the store holds, as values: frozen, with every column a named field, and with the id that the database gave.

`New…` is what a caller writes, `…Row` what comes back. Times are aware UTC. `team` is Slack's team id, `connection` a
connection's name, `pipeline` and `build` the ids that the provider's calls take.
"""

from dataclasses import dataclass
from datetime import datetime

from bot.store.states import BisectionState, BuildPurpose, NoteKind, NotificationEvent, NotificationState, TokenScope


@dataclass(frozen=True, slots=True, kw_only=True)
class NewInstall:
    """The bot in one workspace (or one organization: `team` is then empty). Tokens are sealed."""

    enterprise: str = ""
    team: str = ""
    team_name: str = ""
    app_id: str = ""
    bot_user: str = ""
    bot_id: str = ""
    bot_token: str = ""
    refresh_token: str = ""
    token_expires_at: datetime | None = None
    scopes: str = ""
    installed_by: str = ""
    is_enterprise_install: bool = False
    active: bool = True
    installed_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class InstallRow(NewInstall):
    """An install as stored."""

    id: int


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
class NewBuild:
    """A build as last polled. `data` is the whole `Build` as JSON; `attempt_no` counts its runs to the end, from 1.

    `built_at` is when the build was created, as well as is known, and never changes. `began_at` is when an attempt after
    the first one began. `waiting_since` is when the open approval was first seen, `approval_seconds` how long earlier
    approvals of this attempt kept it waiting.
    """

    connection: str
    pipeline: str
    build: str
    number: int | None = None
    branch: str = ""
    commit_sha: str = ""
    completed: bool = False
    attempt_no: int = 1
    data: str
    started_by: str = ""
    started_team: str = ""
    started_channel: str = ""
    created_at: datetime | None = None
    completed_at: datetime | None = None
    seen_at: datetime
    built_at: datetime | None = None
    began_at: datetime | None = None
    waiting_since: datetime | None = None
    approval_seconds: float = 0.0
    purpose: BuildPurpose = BuildPurpose.NORMAL


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildRow(NewBuild):
    """A build as stored."""

    id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NewAttempt:
    """One run of a build to its end.

    `counts` is `IssueCounts` as JSON, empty while unknown; `failures` the first `Issue`s as a JSON list, and
    `failures_total` how many there are. `ref_kind` and `ref_name` say whose history it belongs to; both are empty where
    it belongs to none; `ref_job` narrows it to one job. In a history builds stand by `commit_at` (when the ref first built the commit), `built_at` (when
    the build was created) and number. `seconds` is how long it ran, without the `approval_seconds` it waited for people.
    """

    connection: str
    pipeline: str
    build: str
    attempt_no: int
    number: int | None = None
    branch: str = ""
    commit_sha: str = ""
    author: str = ""
    conclusion: str = ""
    counts: str = ""
    counts_due_at: datetime | None = None
    counts_tries: int = 0
    upload_reads: int = 0
    failures: str = ""
    failures_total: int = 0
    seconds: float | None = None
    completed_at: datetime
    seen_at: datetime
    ref_kind: str = ""
    ref_name: str = ""
    ref_job: str = ""
    commit_at: datetime | None = None
    built_at: datetime | None = None
    approval_seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptRow(NewAttempt):
    """An attempt as stored."""

    id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NewNotification:
    """A message to a channel or a person that is delivered once.

    `link` is 0 where no link but a watch or a start asked for it. `state` is a `NotificationState`, `event` a
    `NotificationEvent`; `turn` counts the approvals of one attempt, each of which is a notification. `reason` says why
    it was posted or not, in a person's words. `extra` is JSON for the renderer.
    `moved` says that the build has changed while the notification was being posted. In a channel notifications go out
    by `ordered_at` (the end of the build; None: `created_at`), then by the build's `number`. `first_tried_at` is when
    the first delivery was tried, `lost_leases` how often a delivery ended without a word of how.
    """

    team: str
    channel: str
    link: int = 0
    connection: str
    pipeline: str
    build: str
    attempt_no: int
    event: NotificationEvent
    state: NotificationState = NotificationState.PENDING
    reason: str = ""
    extra: str = "{}"
    thread: str = ""
    user: str = ""
    due_at: datetime
    lease_owner: str = ""
    lease_until: datetime | None = None
    tries: int = 0
    unsure: bool = False
    moved: bool = False
    ts: str = ""
    created_at: datetime
    sent_at: datetime | None = None
    ordered_at: datetime | None = None
    number: int | None = None
    first_tried_at: datetime | None = None
    lost_leases: int = 0
    turn: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class NotificationRow(NewNotification):
    """A notification as stored."""

    id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NewCard:
    """A message that shows a build in a channel and follows it. `live` until its attempt has ended."""

    team: str
    channel: str
    ts: str
    connection: str
    pipeline: str
    build: str
    attempt_no: int
    notification: int = 0
    live: bool = True
    edit_due_at: datetime | None = None
    edited_at: datetime | None = None
    lease_until: datetime | None = None
    shown: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CardRow(NewCard):
    """A card as stored."""

    id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CardNoteRow:
    """A line on the cards of one attempt of a build in one workspace: what a person did about it, or what replaced it.

    `text` goes after the person's name ("retried the failed jobs"); without a `user` it stands alone. `url` is the page of
    what replaced the build.
    """

    id: int
    team: str
    connection: str
    pipeline: str
    build: str
    attempt_no: int
    kind: NoteKind = NoteKind.ACT
    user: str = ""
    text: str
    url: str = ""
    at: datetime


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
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetRow(NewBudget):
    """A budget as stored."""

    id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PollTargetRow:
    """One poll: a connection, or its part that needs a poll of its own. `hints` is JSON: builds that webhook events named."""

    id: int
    connection: str
    part: str = ""
    cursor: str = ""
    hints: str = "[]"
    due_at: datetime
    poll_at: datetime
    interval_seconds: float = 0.0
    lease_owner: str = ""
    lease_until: datetime | None = None
    fence: int = 0
    last_error: str = ""
    failing_since: datetime | None = None
    notified_at: datetime | None = None
    polled_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NewWatch:
    """Somebody wants to be notified of the end of one build (`build` set), or follows a pipeline in person (`build` empty).

    `channel` is where to post: a channel, or a person's id for a direct message. `thread` answers in a thread.
    """

    team: str
    channel: str
    user: str
    connection: str
    pipeline: str
    build: str = ""
    thread: str = ""
    filters: str = ""
    why: str = ""
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchRow(NewWatch):
    """A watch as stored."""

    id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NewPerson:
    """What the bot knows of a Slack user. `settings` is JSON: mentions, hours, plain text, last parameters."""

    team: str
    user: str
    name: str = ""
    email: str = ""
    tz: str = ""
    is_admin: bool = False
    deleted: bool = False
    settings: str = "{}"
    seen_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonRow(NewPerson):
    """A person as stored."""

    id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NewIdentity:
    """An e-mail address or a handle at a CI system, and whose it is; `user` is empty where Slack knows nobody."""

    team: str
    kind: str
    value: str
    user: str = ""
    manual: bool = False
    looked_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentityRow(NewIdentity):
    """An identity as stored."""

    id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NewGrant:
    """A role given to somebody. `subject` is `user:U…`, `group:S…` or `channel:C…`; globs narrow it."""

    team: str
    channel: str = ""
    role: str
    subject: str
    pipelines: str = "*"
    refs: str = "*"
    granted_by: str
    granted_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class GrantRow(NewGrant):
    """A grant as stored."""

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
class NewAudit:
    """Who did what, when, with what outcome; refusals too."""

    at: datetime
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


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditRow(NewAudit):
    """An audit entry as stored."""

    id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NewPersonalToken:
    """A secret by which a program acts as a person; only its digest is kept. `name` is unique for the person."""

    team: str
    user: str
    enterprise: str = ""
    is_enterprise_install: bool = False
    name: str
    scope: TokenScope
    digest: str
    created_at: datetime
    used_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonalTokenRow(NewPersonalToken):
    """A personal token as stored."""

    id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimRow:
    """Somebody has claimed a red build, until a time."""

    id: int
    team: str
    connection: str
    pipeline: str
    build: str
    user: str
    until: datetime


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
class NewBisection:
    """A search for the commit that broke a pipeline, and its one card, the message `ts`.

    `running` names the channel and the pipeline as long as it lasts: it is unique. `data` is the search as JSON. `ended_by`
    is who stopped it, "" where nobody did. After `due_at` whichever process claims it takes the next step.
    """

    team: str
    channel: str
    user: str
    connection: str
    pipeline: str
    label: str
    state: BisectionState = BisectionState.RUNNING
    ended_by: str = ""
    running: str | None
    data: str
    ts: str = ""
    due_at: datetime
    made_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class BisectionRow(NewBisection):
    """A search for a commit as stored."""

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


@dataclass(frozen=True, slots=True, kw_only=True)
class NewChain:
    """A command that runs once when a build has passed, with the rights its author has then.

    `label` is the build as people read it. After `until` nobody waits any more.
    """

    team: str
    channel: str
    user: str
    connection: str
    pipeline: str
    build: str
    label: str
    command: str
    until: datetime
    made_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainRow(NewChain):
    """A chained command as stored."""

    id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NewLogFollow:
    """A message that shows the end of a running job's log and is edited until the job ends, at the latest `until`.

    `label` is the pipeline as people read it; `due_at` is when the message may be edited next.
    """

    team: str
    channel: str
    ts: str
    user: str
    connection: str
    pipeline: str
    build: str
    job: str
    label: str
    due_at: datetime
    until: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class LogFollowRow(NewLogFollow):
    """A followed log as stored."""

    id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NewApprovalPolicy:
    """What approvals of some pipelines and refs (globs) need in a workspace, beyond the approver's role."""

    team: str
    pipelines: str = "*"
    refs: str = "*"
    no_self: bool = False
    people: int = 1
    needs_comment: bool = False
    set_by: str
    set_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalPolicyRow(NewApprovalPolicy):
    """An approval policy as stored."""

    id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NewVote:
    """One person's decision about one approval of one attempt of a build, taken in Slack.

    `name` is the approval's own. `salt` and `digest` stand for the values of its fields: two people approve the same.
    """

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
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class VoteRow(NewVote):
    """A vote as stored."""

    id: int
