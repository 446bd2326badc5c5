"""Connect a CI system: /build connect [provider]. Secrets are typed into the form, never into a command line."""

import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from bot.blocks.credentials import scope_lines
from bot.blocks.message import Block, Message, section
from bot.blocks.message import context as small_print
from bot.blocks.text import code, escape, harmless, plural, when
from bot.core.errors import ProviderError, UsageError
from bot.core.models import Account
from bot.providers import PROVIDERS
from bot.providers.base.capabilities import Capability
from bot.providers.base.provider import AnyProvider
from commands.core.context import Answer, Context, Opening, Role
from commands.core.forms import opening
from commands.core.permissions import Requirement
from commands.core.registry import Command

USAGE = "connect [provider]"
NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Args:
    """Which CI system ("" to choose in the form); from the form also the connection's name and settings."""

    kind: str = ""
    name: str = ""
    settings: Mapping[str, object] = field(default_factory=dict, repr=False)


def parse(words: str) -> Args:
    """Read the words after `connect`. Raises UsageError for a system that is not there."""
    name = "_".join(words.lower().replace("-", " ").split())
    fits = [kind for kind in PROVIDERS if kind.startswith(name) or kind.replace("_", "") == name]
    if name and len(fits) != 1:
        kinds = ", ".join(f"`{kind}`" for kind in PROVIDERS)
        raise UsageError(f"There is no CI system `{words.strip()}`.", hint=f"There are {kinds}.", usage=USAGE)
    return Args(kind=fits[0] if name else "")


def spoken(args: Args) -> str:
    """Return the kind and the name; settings hold secrets."""
    return f"{args.kind} {args.name}".strip()


def opens(args: Args, context: Context) -> Opening | None:
    """Return the form: a typed command has no settings."""
    return form(args, context) if not args.name else None


def form(args: Args, context: Context) -> Opening:
    """Return the form of a kind, or of one to choose."""
    return opening("connect", context, kind=args.kind)


async def resolve(_args: Args, _context: Context) -> None:
    """Resolve nothing."""


def authorize(_args: Args, _resolved: None, _context: Context) -> Sequence[Requirement]:
    """Require an admin."""
    return (Requirement(role=Role.ADMIN, doing="Connecting a CI system"),)


async def run(args: Args, _resolved: None, context: Context) -> Answer:
    """Test the credentials by a real call, keep them sealed, and say what they lack and where webhooks go."""
    if not args.name:
        raise UsageError(
            "Connecting needs a form, and none can be opened from here.",
            hint=f"Type `{context.command} connect` in Slack, or add the connection to buildbell.toml.",
        )
    must_seal(context)
    if context.services.connections.get(context.team, args.name) is not None:
        raise UsageError("There is a connection of that name already.")
    settings = dict(args.settings)
    secret = ""
    if Capability.WEBHOOK in PROVIDERS[args.kind].capabilities and context.services.public_url:
        secret = secrets.token_urlsafe(24)
        settings["webhook_secret"] = secret
    provider = await context.services.connections.add(
        team=context.team, name=args.name, kind=args.kind, settings=settings, user=context.user
    )
    account = await _account(provider)
    troubles = await context.services.catalogue.refresh([provider], requested=True)
    rows = await context.services.catalogue.rows([provider])
    message = _connected(provider, account, len(rows), troubles.get(args.name, ""), secret, context)
    return Answer(message=message, connection=args.name)


def must_seal(context: Context) -> None:
    """Raise UsageError where there is no key to seal secrets with."""
    if not context.services.can_seal:
        raise UsageError(
            "There is no key to seal tokens with, so none can be kept.",
            hint="Whoever runs me makes one with `buildbell doctor --new-key`, sets it as BUILDBELL_KEYS and starts me "
            "again; or adds the connection to buildbell.toml.",
        )


async def _account(provider: AnyProvider) -> Account:
    """Return whose account it is; it is saved already, so a failure now is only reported."""
    try:
        return await provider.check()
    except ProviderError as exc:
        return Account(name="this account", warnings=(str(exc),))


def _connected(
    provider: AnyProvider, account: Account, pipelines: int, trouble: str, secret: str, context: Context
) -> Message:
    name = provider.connection
    whose = f"{escape(account.name)}{f' ({escape(account.detail)})' if account.detail else ''}"
    lines = [f"✓ Connected {code(name)}: {escape(provider.label)} as {whose}."]
    lines += scope_lines(account, provider.label, provider.scopes)
    lines += [f"⚠ {harmless(warning)}" for warning in account.warnings]
    if account.expires_at:
        lines.append(f"The token expires {when(account.expires_at)}.")
    lines.append(f"⚠ {harmless(trouble)}" if trouble else f"I see {plural(pipelines, 'pipeline')}.")
    webhook = _webhook(name, secret, context) if secret else ()
    following = f"Next: `{context.command} link {escape(name)}:…` in a channel, or `{context.command} link` for a form."
    text = "\n".join(lines)
    return Message(text=text, blocks=(section(text), *webhook, small_print(following)))


def _webhook(name: str, secret: str, context: Context) -> tuple[Block, ...]:
    address = f"{context.services.public_url}/hooks/{name}"
    # Put together of two spans: an address that carries a secret is masked as one everywhere else.
    with_secret = f"{code(address)[:-1]}/{code(secret)[1:]}"
    return (
        section(
            f"*Webhook*, so that changes arrive at once: {code(address)}\n"
            f"Its secret (or token): {code(secret)}\n"
            f"Where the CI system has no field for a secret: {with_secret}"
        ),
        small_print("Only you see this, and only now. Without a webhook the system is polled regularly."),
    )


COMMAND = Command(
    verb="connect",
    usage=USAGE,
    summary="Connect a CI system",
    role=Role.ADMIN,
    group="Set up",
    parse=parse,
    opens=opens,
    form=form,
    resolve=resolve,
    authorize=authorize,
    run=run,
    spoken=spoken,
    examples=("connect", "connect gitlab"),
    inferred="opens a form; tokens are never typed in a command",
)
