"""Rows about builds: attempts, notifications, cards, and who follows them."""

from dataclasses import dataclass
from datetime import datetime

from bot.store.states import BisectionState, BuildPurpose, NoteKind, NotificationEvent, NotificationState


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
class NewCommitRow:
    """A build is a row on the card of its commit; `card` is what that card has for its build.

    `pull` names the pull request by repository and number (`acme/web#7`), where the build is one's. `head_sha` is its
    newest commit where the system reports it: `commit_sha` may be a merge of that one.
    """

    connection: str
    pipeline: str
    build: str
    card: str
    pull: str
    commit_sha: str
    head_sha: str
    built_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitRow(NewCommitRow):
    """A row on the card of a commit as the database keeps it."""

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
class NewBisection:
    """A search for the commit that broke a pipeline, and its one card, the message `ts`.

    `running` names the channel and the pipeline as long as it lasts: it is unique. `data` is the search as JSON. `ended_by`
    is who stopped it, "" where nobody did. After `due_at` whichever process claims it takes the next step; each claim counts
    `fence` up.
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
    fence: int = 0
    made_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class BisectionRow(NewBisection):
    """A search for a commit as stored."""

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
