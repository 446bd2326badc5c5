"""Remove a connection made in Slack: /build disconnect NAME."""

from collections.abc import Sequence
from dataclasses import dataclass

from bot.blocks.text import code, escape, plural
from bot.core.errors import NotAllowed, UsageError
from bot.providers.base.provider import AnyProvider
from commands.core import actions
from commands.core.context import Answer, Context, Role
from commands.core.grammar import read
from commands.core.permissions import Requirement
from commands.core.registry import Command

USAGE = "disconnect NAME"


@dataclass(frozen=True, slots=True, kw_only=True)
class Args:
    """Which connection; `confirmed` once the person has been asked."""

    name: str
    confirmed: bool = False


def parse(words: str) -> Args:
    """Read the words after `disconnect`. Raises UsageError."""
    parsed = read(words, switches=("yes",))
    if len(parsed.words) != 1:
        raise UsageError("Which connection? `list connections` shows their names.", usage=USAGE)
    return Args(name=parsed.words[0], confirmed=parsed.has("yes"))


async def resolve(_args: Args, _context: Context) -> None:
    """Resolve nothing: which connections there are is for admins."""


def authorize(_args: Args, _resolved: None, _context: Context) -> Sequence[Requirement]:
    """Require an admin."""
    return (Requirement(role=Role.ADMIN, doing="Disconnecting a CI system"),)


async def run(args: Args, _resolved: None, context: Context) -> Answer:
    """Remove a connection made in Slack, its links with it; asks first."""
    provider = _connection(args.name, context)
    links = [link for link in await context.store.links.all(context.team) if link.connection == args.name]
    channels = {link.channel for link in links}
    effect = (
        f"{plural(len(links), 'link')} in {plural(len(channels), 'channel')} will end, and the token is deleted."
        if links
        else "Nothing is linked to it; the token is deleted."
    )
    if not args.confirmed:
        question = f"Disconnect {args.name} ({provider.label})?"
        return actions.asks_first(question, effect, f"disconnect {args.name}", yes="Disconnect")
    for link in links:
        if link.id is not None:
            await context.store.links.delete(link.id)
    await context.services.connections.remove(team=context.team, name=args.name)
    line = f"{actions.actor(context)} disconnected {code(args.name)} ({escape(provider.label)})"
    return actions.public_line(f"{line}; {plural(len(links), 'link')} ended." if links else f"{line}.")


def _connection(name: str, context: Context) -> AnyProvider:
    provider = context.services.connections.get(context.team, name)
    if provider is None:
        names = ", ".join(f"`{known}`" for known in context.services.connections.labels(context.team))
        raise UsageError(
            f"There is no connection `{name}`.", hint=f"There are {names}." if names else "There are none."
        )
    if not context.services.connections.from_slack(name):
        raise NotAllowed(
            f"`{name}` stands in the configuration, so I can't disconnect it here.",
            hint="Whoever runs me can take it out of buildbell.toml.",
        )
    return provider


COMMAND = Command(
    verb="disconnect",
    usage=USAGE,
    summary="Remove a connection made in Slack",
    role=Role.ADMIN,
    group="Set up",
    parse=parse,
    resolve=resolve,
    authorize=authorize,
    run=run,
    examples=("disconnect gitlab",),
    is_dangerous=True,
)
