"""What the local Slack consists of: users, channels, messages, views, response URLs, files; and its refusals."""

from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]


class SlackError(Exception):
    """What Slack answers as `ok: false`, with its short code and any further members of the answer."""

    def __init__(self, code: str, **more: Any) -> None:
        super().__init__(code)
        self.code = code
        self.more = more


@dataclass(slots=True, kw_only=True)
class User:
    """Someone in the workspace, or the bot."""

    id: str
    name: str
    real_name: str
    email: str
    tz: str
    tz_label: str
    tz_offset: int
    color: str
    is_admin: bool = False
    is_owner: bool = False
    is_bot: bool = False
    deleted: bool = False

    @property
    def initials(self) -> str:
        """Up to two capitals for the avatar."""
        return "".join(word[0] for word in self.real_name.split()[:2]).upper()


@dataclass(slots=True, kw_only=True)
class Channel:
    """A public or private channel, or a direct message when `user` is set."""

    id: str
    name: str
    members: set[str]
    created: int
    creator: str
    is_private: bool = False
    is_archived: bool = False
    user: str = ""
    topic: str = ""

    @property
    def is_im(self) -> bool:
        """A direct message between one person and the bot."""
        return bool(self.user)


@dataclass(slots=True, kw_only=True)
class Message:
    """One message, with everything the bot sent to make it what it is."""

    channel: str
    ts: str
    user: str
    text: str = ""
    blocks: list[Json] = field(default_factory=list)
    attachments: list[Json] = field(default_factory=list)
    files: list[Json] = field(default_factory=list)
    metadata: Json | None = None
    thread_ts: str = ""
    broadcast: bool = False
    subtype: str = ""
    edited_ts: str = ""
    ephemeral_to: str = ""
    username: str = ""
    icon_emoji: str = ""
    reactions: dict[str, list[str]] = field(default_factory=dict)
    unfurls: dict[str, Json] = field(default_factory=dict)
    unfurl_ids: dict[str, list[str]] = field(default_factory=dict)
    sent: list[Json] = field(default_factory=list)

    @property
    def is_root(self) -> bool:
        """Shown in the channel itself, not only in a thread."""
        return not self.thread_ts or self.thread_ts == self.ts or self.broadcast


@dataclass(slots=True, kw_only=True)
class View:
    """A modal or an App Home as the bot last described it, and what was typed into it."""

    id: str
    user: str
    spec: Json
    hash: str
    root_id: str
    previous_id: str | None = None
    values: Json = field(default_factory=dict)


@dataclass(slots=True, kw_only=True)
class ResponseUrl:
    """Where the bot may answer one interaction: five times within half an hour."""

    channel: str
    user: str
    issued_at: float
    message_ts: str = ""
    thread_ts: str = ""
    uses: int = 0


@dataclass(slots=True, kw_only=True)
class Upload:
    """A file between its three upload steps, or shared."""

    id: str
    name: str
    length: int
    title: str = ""
    content: bytes | None = None
    channels: list[str] = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class Scheduled:
    """A message for later."""

    id: str
    channel: str
    post_at: int
    args: Json
