"""Test the credentials of a connection, or put new ones in their place: /build credentials NAME [--test]."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from bot.blocks.credentials import scope_lines
from bot.blocks.message import Message, section
from bot.blocks.text import code, escape, when
from bot.core.errors import UsageError
from bot.core.models import Account
from bot.providers.base.provider import AnyProvider
from commands.core.context import Answer, Context, Opening, Role
from commands.core.forms import opening
from commands.core.grammar import read, unexpected
from commands.core.permissions import Requirement
from commands.core.registry import Command

USAGE = "credentials NAME [--test]"
CONNECTION = "connection"


@dataclass(frozen=True, slots=True, kw_only=True)
class Args:
    """Which connection; `settings` are the new ones, from the form. With `test` nothing is changed."""

    name: str
    test: bool = False
    settings: Mapping[str, object] = field(default_factory=dict, repr=False)


def parse(words: str) -> Args:
    """Read the words after `credentials`. Raises UsageError."""
    parsed = read(words, switches=("test",))
    if not parsed.words:
        raise UsageError("Which connection? `list connections` shows their names.", usage=USAGE)
    if len(parsed.words) > 1:
        raise unexpected(parsed.words[1], parsed.words[0], USAGE)
    return Args(name=parsed.words[0], test=parsed.has("test"))


def spoken(args: Args) -> str:
    """Return the name; settings hold secrets."""
    return f"{args.name} --test" if args.test else args.name


def opens(args: Args, context: Context) -> Opening | None:
    """Return the form for new credentials: a typed command holds none."""
    return None if args.test or args.settings else form(args, context)


def form(args: Args, context: Context) -> Opening:
    """Return the form of a connection. Raises UsageError where a test was asked for."""
    if args.test:
        raise UsageError("`--test` goes without a form.", usage=USAGE)
    return opening("credentials", context, connection=args.name)


async def resolve(args: Args, context: Context) -> AnyProvider:
    """Return the connection. Raises NotLinked where the workspace has none of that name."""
    return context.provider(args.name)


def authorize(_args: Args, _provider: AnyProvider, _context: Context) -> Sequence[Requirement]:
    """Require an admin."""
    return (Requirement(role=Role.ADMIN, doing="Changing the credentials of a CI system"),)


async def run(args: Args, provider: AnyProvider, context: Context) -> Answer:
    """Test the present credentials, or the new ones, which are kept only where they work."""
    if not args.test:
        if not args.settings:
            raise UsageError(
                "New credentials need a form, and none can be opened from here.",
                hint=f"Type `{context.command} credentials {args.name}` in Slack.",
            )
        provider = await context.services.connections.renew(team=context.team, name=args.name, settings=args.settings)
    account = await provider.check()
    await context.store.health.was_checked(args.name, expires_at=account.expires_at)
    done = "answers to its credentials" if args.test else "has new credentials"
    return Answer(message=_described(provider, account, done), connection=args.name)


def _described(provider: AnyProvider, account: Account, done: str) -> Message:
    whose = f"{escape(account.name)}{f' ({escape(account.detail)})' if account.detail else ''}"
    lines = [f"✓ {code(provider.connection)} ({escape(provider.label)}) {done}: {whose}."]
    lines += scope_lines(account, provider.label, provider.scopes)
    lines += [f"⚠ {escape(warning)}" for warning in account.warnings]
    if account.expires_at is not None:
        lines.append(f"They end {when(account.expires_at)}.")
    text = "\n".join(lines)
    return Message(text=text, blocks=(section(text),))


COMMAND = Command(
    verb="credentials",
    usage=USAGE,
    summary="Test or renew the credentials of a CI system",
    role=Role.ADMIN,
    group="Set up",
    parse=parse,
    opens=opens,
    form=form,
    resolve=resolve,
    authorize=authorize,
    run=run,
    spoken=spoken,
    flags=(
        ("--test", "ask the CI system whose they are, and change nothing"),
        ("--form", "the form for new ones, which opens by itself"),
    ),
    examples=("credentials gitlab --test", "credentials gitlab"),
    inferred="opens a form; tokens are never typed in a command",
)
