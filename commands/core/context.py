"""What a command works with and what it returns: `Context` (who, where, when, services) and `Answer`."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import IntEnum, StrEnum
from typing import TYPE_CHECKING

from bot.blocks.message import Message
from bot.connections import Connections
from bot.core.clock import Clock
from bot.core.errors import NotLinked
from bot.core.policies import Policy
from bot.providers.base.provider import AnyProvider
from bot.slack.people import People
from bot.slack.sender import Sender
from bot.store import Store
from commands.core.catalogue import Catalogue

if TYPE_CHECKING:  # the registry holds commands, whose functions take a Context
    from commands.core.registry import Registry


class Role(IntEnum):
    """What a person may do; each role includes the ones below it."""

    VIEW = 0
    RUN = 1
    APPROVE = 2
    ADMIN = 3

    @property
    def word(self) -> str:
        """Return the role as people type it."""
        return {Role.VIEW: "viewer", Role.RUN: "runner", Role.APPROVE: "approver", Role.ADMIN: "admin"}[self]


class Source(StrEnum):
    """The way a command came in."""

    SLASH = "slash"
    BUTTON = "button"
    MENTION = "mention"
    DIRECT = "direct"
    SHORTCUT = "shortcut"
    MODAL = "modal"
    SCHEDULE = "schedule"
    TERMINAL = "terminal"
    MCP = "mcp"


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """A form to open, and its arguments (short strings that travel in the view's private metadata)."""

    form: str
    arguments: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """A file that goes with an answer. `private` sends it to the person by direct message, not to the channel."""

    name: str
    content: bytes
    title: str
    private: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a command returns to the person.

    Reads answer the person only; an act posts one `public` line. `replace` rewrites the message whose button was
    pressed (an ephemeral one). `silent` says that the channel already shows the effect (a card was posted or edited).
    `form` opens a modal where the context has a trigger. `is_question` says that nothing was done yet: the answer is a
    question. `connection`, `pipeline` and `build` are what the audit row names.
    """

    message: Message | None = None
    public: bool = False
    replace: bool = False
    silent: bool = False
    is_question: bool = False
    form: Opening | None = None
    file: File | None = None
    connection: str = ""
    pipeline: str = ""
    build: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """Roles as the operator configured them: `[access]`."""

    admins: frozenset[str] = frozenset()
    members: Role = Role.RUN
    protected: tuple[str, ...] = ()
    policies: tuple[Policy, ...] = ()


async def _release_nothing() -> None:
    """Release nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """The parts of the bot that commands use. `wake_outbox` and `wake_poller` make those act before their next tick.

    `release_held` posts now what was held back from channels that are not quiet any more.
    """

    store: Store
    connections: Connections
    people: People
    sender: Sender
    clock: Clock
    registry: "Registry"
    catalogue: Catalogue
    access: Access = field(default_factory=Access)
    command: str = "/build"
    public_url: str = ""
    can_seal: bool = False
    has_mcp: bool = False
    internal_addresses: bool = False
    wake_outbox: Callable[[], None] = lambda: None
    release_held: Callable[[], Awaitable[None]] = _release_nothing
    wake_poller: Callable[[], None] = lambda: None


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """Who runs a command, where, when, and with which services. Ids only: names are for people.

    `thread` is the ts of the thread's parent, `message` that of the message whose button was pressed. `trigger` opens
    one form within three seconds. Without `may_act` the executor refuses whatever changes something: a program holds a token
    that only reads.
    """

    services: Services
    team: str
    channel: str
    user: str
    now: datetime
    enterprise: str = ""
    is_enterprise_install: bool = False
    channel_name: str = ""
    source: Source = Source.SLASH
    thread: str = ""
    message: str = ""
    trigger: str = ""
    response_url: str = ""
    may_act: bool = True

    @property
    def store(self) -> Store:
        """Return the store."""
        return self.services.store

    @property
    def command(self) -> str:
        """Return the slash command in use, such as `/build`."""
        return self.services.command

    @property
    def here(self) -> str:
        """Return the channel as a sentence names it."""
        return f"#{self.channel_name}" if self.channel_name else "this channel"

    @property
    def can_open_form(self) -> bool:
        """Whether the answer may be a form: somebody typed or pressed something, not inside a form."""
        return bool(self.trigger) and self.source is not Source.MODAL

    @property
    def is_direct(self) -> bool:
        """Whether the conversation is the person's own with the bot: a direct message, App Home, a shortcut."""
        return not self.channel or self.channel == self.user or self.channel.startswith("D")

    def providers(self) -> list[AnyProvider]:
        """Return the connections the workspace may see, by name."""
        return list(self.services.connections.visible(self.team))

    def provider(self, connection: str) -> AnyProvider:
        """Return a connection of the workspace. Raises NotLinked where it is gone."""
        provider = self.services.connections.get(self.team, connection)
        if provider is None:
            raise NotLinked(
                f"The connection `{connection}` is not there any more, or this workspace may not see it.",
                hint=f"`{self.command} list connections` shows what there is.",
            )
        return provider

    async def zone(self) -> str:
        """Return the person's time zone."""
        return await self.services.people.zone(self.team, self.user)

    async def name(self) -> str:
        """Return the person's name."""
        return await self.services.people.name(self.team, self.user) if self.user else ""

    async def email(self) -> str:
        """Return the person's e-mail address, "" where it is not known."""
        if not self.user:
            return ""
        return (await self.services.people.person(self.team, self.user)).email or ""

    def in_channel(self, channel: str) -> "Context":
        """Return this context in another channel of the workspace; "" stands for all of them."""
        return replace(self, channel=channel, channel_name="")
