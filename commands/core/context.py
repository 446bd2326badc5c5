"""What a verb gets and gives: the request, the services behind it, the answer, and the description of a verb."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum, StrEnum
from typing import Generic, Protocol, TypeVar

from bot.blocks.message import Message
from bot.core.clock import Clock
from bot.core.errors import NotFound, NotLinked
from bot.core.models import Build, BuildKey, Person
from bot.providers.base.provider import AnyProvider
from bot.store import Store
from bot.store.tables import PersonRow

A = TypeVar("A")


class Role(IntEnum):
    """What a person may do; each role holds the ones below it."""

    VIEW = 0
    RUN = 1
    APPROVE = 2
    ADMIN = 3

    @property
    def word(self) -> str:
        """Return the role as people call it."""
        return {Role.VIEW: "viewer", Role.RUN: "runner", Role.APPROVE: "approver", Role.ADMIN: "admin"}[self]


class Source(StrEnum):
    """How the words came in."""

    SLASH = "slash"
    BUTTON = "button"
    MENTION = "mention"
    DIRECT = "direct"
    SHORTCUT = "shortcut"
    MODAL = "modal"
    SCHEDULE = "schedule"
    TERMINAL = "terminal"


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """Who asks, where, and when. Ids only: names are for people.

    `thread` is the ts of the thread's parent, `message` that of the message whose button was pressed. `confirmed`
    says that the person has answered a confirmation dialog.
    """

    team: str
    channel: str
    user: str
    now: datetime
    enterprise: str = ""
    is_enterprise_install: bool = False
    channel_name: str = ""
    source: Source = Source.SLASH
    text: str = ""
    thread: str = ""
    message: str = ""
    trigger: str = ""
    response_url: str = ""
    confirmed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """A form to open, and what it is about."""

    form: str
    arguments: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a verb says back.

    Reads answer for the person only; an act says one public line. `replace` rewrites the message whose button was
    pressed (an ephemeral one). `silent` says that the channel already shows the effect (a card was posted or edited).
    `form` opens a modal, where the request carries a trigger.
    """

    message: Message | None = None
    public: bool = False
    replace: bool = False
    silent: bool = False
    form: Opening | None = None
    file: "File | None" = None
    connection: str = ""
    pipeline: str = ""
    build: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """A file to put beside an answer."""

    name: str
    content: bytes
    title: str


class Connections(Protocol):
    """The connections, as the roof hands them down."""

    def visible(self, team: str) -> Sequence[AnyProvider]:
        """Return the connections a workspace may see, by name."""
        ...

    def get(self, team: str, name: str) -> AnyProvider | None:
        """Return one connection if the workspace may see it."""
        ...

    def labels(self, team: str) -> Mapping[str, str]:
        """Return each visible connection's name with its CI system's."""
        ...

    async def add(self, *, team: str, name: str, kind: str, settings: Mapping[str, object], user: str) -> AnyProvider:
        """Keep a connection made in Slack, sealed."""
        ...

    async def remove(self, *, team: str, name: str) -> None:
        """Forget a connection made in Slack."""
        ...

    def from_slack(self, name: str) -> bool:
        """Return whether a connection was made in Slack (and can be removed there)."""
        ...


class People(Protocol):
    """Who is who in Slack."""

    async def person(self, team: str, user: str) -> PersonRow:
        """Return what is known of a user."""
        ...

    async def is_admin(self, team: str, user: str) -> bool:
        """Return whether a person administers the workspace."""
        ...

    async def name(self, team: str, user: str) -> str:
        """Return a person's name."""
        ...

    async def zone(self, team: str, user: str) -> str:
        """Return a person's time zone, `UTC` where unknown."""
        ...

    async def groups(self, team: str, user: str) -> frozenset[str]:
        """Return the user groups a person is in."""
        ...

    async def is_member(self, team: str, channel: str, user: str) -> bool:
        """Return whether a person is in a channel."""
        ...

    async def user_for(self, team: str, email: str) -> str | None:
        """Return the Slack user with an e-mail address; None where there is none or the account is deactivated."""
        ...

    async def author(self, team: str, author: Person, kind: str) -> str | None:
        """Return the Slack user that a commit's author is, by address or by their handle at a kind of CI system."""
        ...

    async def may_mention(self, team: str, user: str) -> bool:
        """Return whether somebody wants to be told by name."""
        ...


class Slack(Protocol):
    """What verbs may ask of Slack themselves; cards and notifications go through the outbox."""

    async def post(self, team: str, channel: str, message: Message, *, thread: str = "") -> str:
        """Post a message and return its ts."""
        ...

    async def ephemeral(self, team: str, channel: str, user: str, message: Message, *, thread: str = "") -> None:
        """Show a message to one person only."""
        ...

    async def upload(self, team: str, channel: str, file: File, *, thread: str = "") -> None:
        """Put a file into a channel."""
        ...

    async def call(self, team: str, method: str, arguments: Mapping[str, object]) -> Mapping[str, object]:
        """Call a Web API method that has no method of its own here."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """The operator's word on who may do what: `[access]` of the configuration."""

    admins: frozenset[str] = frozenset()
    members: Role = Role.RUN
    protected: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """What verbs work with. `wake_outbox` and `wake_watcher` make them look now rather than at their next tick."""

    store: Store
    connections: Connections
    people: People
    slack: Slack
    clock: Clock
    access: Access = field(default_factory=Access)
    command: str = "/build"
    public_url: str = ""
    can_seal: bool = False
    wake_outbox: Callable[[], None] = lambda: None
    wake_poller: Callable[[], None] = lambda: None

    def provider(self, team: str, connection: str) -> AnyProvider:
        """Return a connection of the workspace. Raises NotLinked where it is gone."""
        found = self.connections.get(team, connection)
        if found is None:
            raise NotLinked(
                f"The connection `{connection}` is not there any more, or this workspace may not see it.",
                hint=f"`{self.command} list connections` shows what there is.",
            )
        return found

    async def latest(self, provider: AnyProvider, key: BuildKey) -> Build:
        """Return a build as the CI system has it now."""
        build = await provider.build_or_none(key)
        if build is None:
            raise NotFound(f"{provider.label} no longer has that build.", provider=provider.label)
        return build


@dataclass(frozen=True, slots=True, kw_only=True)
class Command(Generic[A]):
    """A verb. `acts` says whether what a viewer may ask for changes something (their own watch, a mute, a claim)."""

    verb: str
    usage: str
    summary: str
    role: Role
    group: str
    parse: Callable[[str], A]
    run: Callable[[A, Request, Services], Awaitable[Answer]]
    aliases: tuple[str, ...] = ()
    flags: tuple[tuple[str, str], ...] = ()
    examples: tuple[str, ...] = ()
    inferred: str = ""
    acts: Callable[[A], bool] | None = None

    @property
    def reads(self) -> bool:
        """Whether the verb only looks; a unique beginning stands for such a one."""
        return self.role is Role.VIEW and self.acts is None

    def changes(self, ask: A) -> bool:
        """Return whether what is asked for changes something, and is written down."""
        return self.acts(ask) if self.acts is not None else self.role is not Role.VIEW
