"""Who I am to the bot: /build me [link gh:handle | email A | mentions on|off | hours 9-18 | plain on|off | token …]."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from bot.blocks.message import Message, section, sections
from bot.blocks.text import code, escape
from bot.core.errors import UsageError
from bot.core.recurrence import DEFAULT_ZONE
from bot.slack.people import own_settings
from bot.store.rows import NewIdentity, NewPerson
from commands.core.context import Answer, Context, Opening, Role
from commands.core.forms import opening
from commands.core.grammar import Target, read, split
from commands.core.matches import PipelineMatch
from commands.core.registry import Command, anyone
from commands.core.resolve import resolve_pipeline
from commands.setup import personal_tokens
from commands.setup.personal_tokens import TokenRequest

USAGE = "me [email ADDRESS | link KIND:HANDLE | forget VALUE | mentions on|off | broken on|off | hours 9-18|off | plain on|off | favourite PIPELINE [off] | token [new NAME [--act] | revoke NAME] | --form]"
SWITCHES = {
    "mentions": "mentions in channels",
    "broken": "a direct message when your commit breaks a build",
    "plain": "plain text instead of coloured cards",
}


MOST_FAVOURITES = 30


class Act(StrEnum):
    """What to change about oneself."""

    EMAIL = "email"
    LINK = "link"
    FORGET = "forget"
    MENTIONS = "mentions"
    BROKEN = "broken"
    PLAIN = "plain"
    HOURS = "hours"
    FAVOURITE = "favourite"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One thing to change, and to what."""

    act: Act
    value: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Args:
    """What to change, in order; empty to show the settings.

    `favourite` is a pipeline to keep in App Home, or to take away. `token` is about personal tokens and nothing else.
    """

    favourite: Target = field(default_factory=Target)
    keep: bool = True
    changes: tuple[Change, ...] = ()
    token: TokenRequest | None = None


def parse(words: str) -> Args:
    """Read the words after `me`. Raises UsageError."""
    parts = split(words)
    if not parts:
        return Args()
    if parts[0].lower() in {Act.FAVOURITE, "favorite", "star"}:
        return _favourite(words.split(maxsplit=1)[1:])
    if parts[0].lower() == "token":
        return Args(token=personal_tokens.parse_request(parts[1:]))
    return Args(changes=(_change(parts[0].lower(), " ".join(parts[1:]).strip()),))


def _favourite(rest: Sequence[str]) -> Args:
    """Read what follows `favourite`: a pipeline, and `on` or `off`. Raises UsageError."""
    parsed = read(rest[0] if rest else "")
    keeps = [word.lower() for word in parsed.words[1:]]
    if parsed.target().empty or keeps not in ([], ["on"], ["off"]):
        raise UsageError("Which pipeline?", usage=USAGE)
    return Args(favourite=parsed.target().of_pipeline("me favourite"), keep=keeps != ["off"])


def _change(word: str, value: str) -> Change:
    act = next((act for act in Act if act == word), None)
    match act:
        case Act.MENTIONS | Act.BROKEN | Act.PLAIN if value.lower() in {"on", "off"}:
            return Change(act=act, value=value.lower())
        case Act.EMAIL if re.fullmatch(r"[^@\s]+@[^@\s]+\.[^@\s]+", value):
            return Change(act=act, value=value.lower())
        case Act.LINK if re.fullmatch(r"[a-z_]+:[^\s:]+", value):
            return Change(act=act, value=value)
        case Act.FORGET if value:
            return Change(act=act, value=value)
        case Act.HOURS if value == "off" or re.fullmatch(r"\d{1,2}-\d{1,2}", value):
            if value != "off" and not all(0 <= int(hour) <= 24 for hour in value.split("-")):
                raise UsageError("Hours go from 0 to 24.", usage=USAGE)
            return Change(act=act, value=value)
        case _:
            raise UsageError("I did not understand that.", usage=USAGE)


def spoken(args: Args) -> str:
    """Return arguments as one would type them."""
    if not args.favourite.empty:
        return f"favourite {args.favourite.pipeline or args.favourite.url or ''}{'' if args.keep else ' off'}"
    if args.token is not None:
        return args.token.spoken
    return ", ".join(f"{change.act.value} {change.value}" for change in args.changes)


def form(args: Args, context: Context) -> Opening:
    """Return the form. Raises UsageError where a change was typed."""
    if args != Args():
        raise UsageError("The form asks for everything: leave the other words out.", usage=USAGE)
    return opening("me", context)


async def resolve(args: Args, context: Context) -> PipelineMatch | None:
    """Return the pipeline that becomes a favourite, or was one; None where none is named."""
    if args.favourite.empty:
        return None
    return await resolve_pipeline(args.favourite, context, acting=True, verb="me favourite")


def settings_of(person: NewPerson | None) -> dict[str, str]:
    """Return a person's own settings."""
    return own_settings(person) if person else {}


class ChangeError(UsageError):
    """One of several changes was refused: `change` says which."""

    def __init__(self, change: Change, message: str) -> None:
        super().__init__(message)
        self.change = change


def favourites_of(settings: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return a person's favourite pipelines as (connection, pipeline), in the order they were chosen."""
    keys = [line.partition(":") for line in settings.get(Act.FAVOURITE, "").split("\n")]
    return [(connection, pipeline) for connection, colon, pipeline in keys if colon]


async def _keep_favourite(args: Args, pipeline: PipelineMatch, context: Context) -> Answer:
    settings = settings_of(await context.store.people.get(context.team, context.user))
    key = (pipeline.connection, pipeline.id)
    kept = [other for other in favourites_of(settings) if other != key]
    kept += [key] if args.keep else []
    if len(kept) > MOST_FAVOURITES:
        raise UsageError(
            f"You have {MOST_FAVOURITES} favourites already.",
            hint=f"Take one away: `{context.command} me favourite NAME off`.",
        )
    lines = "\n".join(":".join(other) for other in kept)
    await _changed(Change(act=Act.FAVOURITE, value=lines), context)
    text = f"{escape(pipeline.name)} is {'one' if args.keep else 'none'} of your favourites now: see App Home."
    return Answer(message=Message(text=text, blocks=(section(text),)))


async def run(args: Args, pipeline: PipelineMatch | None, context: Context) -> Answer:
    """Show or change what the bot knows of the person."""
    if pipeline is not None:
        return await _keep_favourite(args, pipeline, context)
    if args.token is not None:
        return Answer(message=await personal_tokens.answer(args.token, context))
    for change in args.changes:
        await _changed(change, context)
    return Answer(message=await _shown(context))


async def _changed(change: Change, context: Context) -> None:
    match change.act:
        case Act.EMAIL | Act.LINK:
            await _identify(change, context)
        case Act.FORGET:
            kind, colon, value = change.value.partition(":")
            kind, value = (kind, value) if colon else ("email", change.value.lower())
            known = await context.store.people.identity(context.team, kind, value)
            if known is None or known.user != context.user:
                raise ChangeError(change, f"I know no `{change.value}` of yours.")
            await context.store.people.delete_identity(context.team, kind, value)
        case _:
            await context.services.people.person(context.team, context.user)
            person = await context.store.people.get(context.team, context.user) or NewPerson(
                team=context.team, user=context.user, seen_at=context.now
            )
            settings = json.dumps({**settings_of(person), change.act.value: change.value})
            await context.store.people.save(replace(person, settings=settings))


async def _identify(change: Change, context: Context) -> None:
    """Remember an address or a handle as the person's own. Raises ChangeError where it is somebody else's."""
    kind, _, value = ("email", "", change.value) if change.act is Act.EMAIL else change.value.partition(":")
    taken = await context.store.people.identity(context.team, kind, value)
    if taken is not None and taken.manual and taken.user not in {"", context.user}:
        raise ChangeError(change, f"{value} belongs to <@{taken.user}> already.")
    if kind == "email":
        owner = await context.services.people.user_for(context.team, value)
        if owner not in {None, context.user}:
            raise ChangeError(change, f"{value} is somebody else's address in this workspace.")
    await context.store.people.save_identity(
        NewIdentity(team=context.team, kind=kind, value=value, user=context.user, manual=True, looked_at=context.now)
    )


async def _shown(context: Context) -> Message:
    person = await context.services.people.person(context.team, context.user)
    own = settings_of(await context.store.people.get(context.team, context.user))
    identities = await context.store.people.identities(context.team, context.user)
    name = escape(person.name or context.user)
    lines = [f"*You* are {name}, time zone {escape(person.tz or DEFAULT_ZONE)}."]
    identifiers = sorted(
        {row.value if row.kind == "email" else f"{row.kind}:{row.value}" for row in identities}
        | ({person.email} if person.email else set())
    )
    lines.append(
        f"Known to CI systems as {', '.join(code(value) for value in identifiers)}."
        if identifiers
        else "I know no address or handle of yours."
    )
    lines += [
        f"• {words}: {own.get(setting, 'off' if setting in {'plain', 'broken'} else 'on')}"
        for setting, words in SWITCHES.items()
    ]
    lines.append(f"• working hours for direct messages: {own.get('hours', 'off')}")
    return Message(text=f"{name}: {', '.join(identifiers)}", blocks=sections(lines))


COMMAND = Command(
    verb="me",
    usage=USAGE,
    summary="Your addresses, mentions and hours",
    role=Role.VIEW,
    group="Set up",
    parse=parse,
    form=form,
    resolve=resolve,
    authorize=anyone,
    run=run,
    spoken=spoken,
    acts=lambda args: bool(args.changes) or not args.favourite.empty or (args.token is not None and args.token.changes),
    flags=(("--form", "fill in a form"),),
    examples=(
        "me",
        "me email ana@acme.example",
        "me mentions off",
        "me hours 9-18",
        "me favourite web",
        "me token",
    ),
)
