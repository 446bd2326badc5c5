"""Accounts at CI systems, made in Slack: /build connect [provider], /build disconnect NAME."""

from dataclasses import dataclass

from bot.blocks.text import code, escape, plural
from bot.core.errors import NotAllowed, UsageError
from bot.providers import PROVIDERS
from commands.core import actions as acting
from commands.core.context import Answer, Command, Request, Role, Services
from commands.core.forms import can_open, opening
from commands.core.grammar import read
from commands.core.permissions import require

CONNECT_USAGE = "connect [provider]"
DISCONNECT_USAGE = "disconnect NAME"


@dataclass(frozen=True, slots=True)
class Connect:
    """Which CI system; "" to choose in the form."""

    kind: str


@dataclass(frozen=True, slots=True)
class Disconnect:
    """Which connection; `sure` once the person has been asked."""

    name: str
    sure: bool


def parse_connect(words: str) -> Connect:
    """Read the words after `connect`. Raises UsageError for a system that is not there."""
    given = "_".join(words.lower().replace("-", " ").split())
    fits = [kind for kind in PROVIDERS if kind.startswith(given) or kind.replace("_", "") == given]
    if given and len(fits) != 1:
        known = ", ".join(f"`{kind}`" for kind in PROVIDERS)
        raise UsageError(f"I don't know the CI system `{words.strip()}`.", hint=f"I know {known}.", usage=CONNECT_USAGE)
    return Connect(kind=fits[0] if given else "")


async def connect(ask: Connect, request: Request, services: Services) -> Answer:
    """Open the form: tokens never stand in a command line."""
    if not can_open(request):
        await must_be_admin("Connecting a CI system", request, services)
        raise UsageError(
            "Connecting needs a form, and none can be opened from here.",
            hint=f"Type `{services.command} connect` in Slack, or add the connection to buildbell.toml.",
        )
    return Answer(form=opening("connect", request, kind=ask.kind))


async def must_be_admin(doing: str, request: Request, services: Services) -> None:
    """Raise NotAllowed unless the person is an admin."""
    await require(Role.ADMIN, doing, request, services)


def parse_disconnect(words: str) -> Disconnect:
    """Read the words after `disconnect`. Raises UsageError."""
    ask = read(words, switches=("yes",))
    if len(ask.words) != 1:
        raise UsageError("Which connection? `list connections` shows their names.", usage=DISCONNECT_USAGE)
    return Disconnect(name=ask.words[0], sure=ask.has("yes"))


async def disconnect(ask: Disconnect, request: Request, services: Services) -> Answer:
    """Forget a connection made in Slack, its links with it; asks first."""
    await must_be_admin("Disconnecting a CI system", request, services)
    provider = services.connections.get(request.team, ask.name)
    if provider is None:
        known = ", ".join(f"`{name}`" for name in services.connections.labels(request.team))
        raise UsageError(
            f"There is no connection `{ask.name}`.", hint=f"There are {known}." if known else "There are none."
        )
    if not services.connections.from_slack(ask.name):
        raise NotAllowed(
            f"`{ask.name}` stands in the configuration, so I can't disconnect it here.",
            hint="Whoever runs me can take it out of buildbell.toml.",
        )
    links = [link for link in await services.store.links.all(request.team) if link.connection == ask.name]
    channels = {link.channel for link in links}
    effect = (
        f"{plural(len(links), 'link')} in {plural(len(channels), 'channel')} will end, and the token is forgotten."
        if links
        else "Nothing is linked to it; the token is forgotten."
    )
    if not ask.sure:
        return acting.asks_first(
            f"Disconnect {ask.name} ({provider.label})?", effect, f"disconnect {ask.name}", yes="Disconnect"
        )
    for link in links:
        if link.id is not None:
            await services.store.links.delete(link.id)
    await services.connections.remove(team=request.team, name=ask.name)
    told = f"{acting.who(request)} disconnected {code(ask.name)} ({escape(provider.label)})"
    return acting.public_line(f"{told}; {plural(len(links), 'link')} ended." if links else f"{told}.")


CONNECT = Command(
    verb="connect",
    usage=CONNECT_USAGE,
    summary="Connect a CI system",
    role=Role.ADMIN,
    group="Set up",
    parse=parse_connect,
    run=connect,
    examples=("connect", "connect gitlab"),
    inferred="opens a form; tokens are never typed in a command",
)
DISCONNECT = Command(
    verb="disconnect",
    usage=DISCONNECT_USAGE,
    summary="Forget a connection made in Slack",
    role=Role.ADMIN,
    group="Set up",
    parse=parse_disconnect,
    run=disconnect,
    examples=("disconnect gitlab",),
)
