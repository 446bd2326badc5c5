"""Addresses under which build monitors, badges and calendars read a channel: /build feeds [new | revoke N]."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from bot.blocks.message import Message, actions, button, sections
from bot.blocks.text import Markup, code, escape, when
from bot.core.errors import UsageError
from bot.store.rows import NewFeed
from bot.web.feeds import new_token
from commands.core.actions import asks_first
from commands.core.context import Answer, Context, Role, Source
from commands.core.grammar import read
from commands.core.permissions import Requirement
from commands.core.registry import Command

USAGE = "feeds [list | new | revoke N]"
MOST = 20
PAGES = (
    ("cctray.xml", "CCTray, for build monitors"),
    ("status.json", "the same as JSON"),
    ("badge.svg?pipeline=NAME", "a badge of one pipeline"),
    ("schedules.ics", "scheduled commands, for calendars"),
)


class Act(StrEnum):
    """What to do about feeds."""

    LIST = "list"
    NEW = "new"
    REVOKE = "revoke"


@dataclass(frozen=True, slots=True, kw_only=True)
class Args:
    """What to do: list, make a new one, or revoke one by its number."""

    act: Act = Act.LIST
    number: int = 0
    confirmed: bool = False


def parse(words: str) -> Args:
    """Read the words after `feeds`. Raises UsageError."""
    parsed = read(words, switches=("yes",))
    if not parsed.words:
        return Args()
    act, *rest = (word.lower() for word in parsed.words)
    if act in {Act.LIST, Act.NEW} and not rest:
        return Args(act=Act(act))
    if act == Act.REVOKE and len(rest) == 1 and rest[0].isdecimal() and len(rest[0]) <= 9:
        return Args(act=Act.REVOKE, number=int(rest[0]), confirmed=parsed.has("yes"))
    raise UsageError("I did not understand that.", usage=USAGE)


async def resolve(_args: Args, _context: Context) -> None:
    """Resolve nothing."""


def authorize(_args: Args, _resolved: None, context: Context) -> Sequence[Requirement]:
    """Require an admin: of the channel, or of the workspace for what all of it follows."""
    return (Requirement(role=Role.ADMIN, doing="Managing feeds", everywhere=context.is_direct),)


async def run(args: Args, _resolved: None, context: Context) -> Answer:
    """List a channel's feeds, make one (its address is shown once, to the person alone), or revoke one."""
    match args.act:
        case Act.LIST:
            return await _list(context)
        case Act.NEW:
            return await _new(context)
        case Act.REVOKE:
            return await _revoke(args, context)


def _scope(context: Context) -> str:
    """Return the channel a feed belongs to, "" for the workspace: what is made in App Home or a direct message."""
    return "" if context.is_direct else context.channel


def _of(context: Context) -> str:
    return "this workspace" if context.is_direct else context.here


async def _list(context: Context) -> Answer:
    rows = await context.store.feeds.of_channel(context.team, _scope(context))
    lines = [f"*{row.id}* · made by <@{row.made_by}> {when(row.made_at)}" for row in rows]
    lines = lines or [escape(f"There is no feed of {_of(context)}.")]
    new = actions(
        button("New feed", "feeds new"), *(button(f"Revoke {row.id}", f"feeds revoke {row.id}") for row in rows)
    )
    return Answer(message=Message(text="\n".join(lines), blocks=(*sections(lines), new)))


async def _new(context: Context) -> Answer:
    if not context.services.public_url:
        raise UsageError("Feeds need the bot's public address.", hint="The operator sets `public_url`.")
    if context.source is Source.SCHEDULE or not context.user:
        raise UsageError("The address of a feed is shown to a person, once.")
    if len(await context.store.feeds.of_channel(context.team, _scope(context))) >= MOST:
        raise UsageError(f"There are {MOST} feeds of {_of(context)} already.", hint="Revoke one that nobody reads.")
    token = new_token()
    row = await context.store.feeds.add(
        NewFeed(
            team=context.team,
            channel=_scope(context),
            name=token.name,
            digest=token.digest,
            made_by=context.user,
            made_at=context.now,
        )
    )
    base = f"{context.services.public_url.rstrip('/')}/feeds/{token.text}"
    head = f"Feed *{row.id}* of {escape(_of(context))}. Who has these addresses can read it; they are shown only now."
    lines = [head, *(f"• {code(f'{base}/{page}', 400)}: {what}" for page, what in PAGES)]
    end = actions(button("Revoke", f"feeds revoke {row.id}", style="danger"))
    return Answer(message=Message(text="\n".join(lines), blocks=(*sections(lines), end)))


async def _revoke(args: Args, context: Context) -> Answer:
    if not args.confirmed:
        effect = Markup("Whoever reads it gets nothing more. This can't be undone.")
        return asks_first(f"Revoke feed {args.number}?", effect, f"feeds revoke {args.number}", yes="Revoke it")
    if not await context.store.feeds.remove(args.number, context.team, _scope(context)):
        raise UsageError(f"There is no feed {args.number} of {_of(context)}.")
    text = f"Feed {args.number} is revoked."
    return Answer(message=Message(text=text, blocks=sections([text])), replace=True)


COMMAND = Command(
    verb="feeds",
    usage=USAGE,
    summary="CCTray, JSON, badges and a calendar, behind an address",
    role=Role.ADMIN,
    group="Set up",
    parse=parse,
    resolve=resolve,
    authorize=authorize,
    run=run,
    acts=lambda args: args.act is not Act.LIST,
    examples=("feeds", "feeds new", "feeds revoke 3"),
    inferred="the feeds of this channel; in a direct message and App Home those of the whole workspace",
    is_dangerous=True,
)
