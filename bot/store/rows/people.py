"""Rows about workspaces and people: installs, identities, rights, and what they did."""

from dataclasses import dataclass
from datetime import datetime

from bot.store.states import TokenScope


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
