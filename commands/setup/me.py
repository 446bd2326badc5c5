"""Who I am to the bot: /build me [link gh:handle | email A | mentions on|off | hours 9-18 | plain on|off]."""

import json
import re
from dataclasses import dataclass

from bot.blocks.message import Message, sections
from bot.blocks.text import code, escape
from bot.core.errors import UsageError
from bot.slack.people import own_settings
from bot.store.tables import IdentityRow, PersonRow
from commands.core.context import Answer, Command, Request, Role, Services
from commands.core.forms import can_open, opening
from commands.core.grammar import split

USAGE = "me [email ADDRESS | link KIND:HANDLE | forget VALUE | mentions on|off | broken on|off | hours 9-18|off | plain on|off | --form]"
SWITCHES = {
    "mentions": "mentions in channels",
    "broken": "a direct message when your commit breaks a build",
    "plain": "plain text instead of coloured cards",
}


@dataclass(frozen=True, slots=True)
class Me:
    """What to change, or nothing to look."""

    act: str
    value: str


def parse(words: str) -> Me:
    """Read the words after `me`. Raises UsageError."""
    parts = split(words)
    if not parts:
        return Me(act="", value="")
    if parts == ["--form"]:
        return Me(act="form", value="")
    act, value = parts[0].lower(), " ".join(parts[1:]).strip()
    if act in SWITCHES and value.lower() in {"on", "off"}:
        return Me(act=act, value=value.lower())
    if act == "email" and re.fullmatch(r"[^@\s]+@[^@\s]+\.[^@\s]+", value):
        return Me(act="email", value=value.lower())
    if act == "link" and re.fullmatch(r"[a-z_]+:[^\s:]+", value):
        return Me(act="link", value=value)
    if act == "forget" and value:
        return Me(act="forget", value=value)
    if act == "hours" and (value == "off" or re.fullmatch(r"\d{1,2}-\d{1,2}", value)):
        if value != "off" and not all(0 <= int(hour) <= 24 for hour in value.split("-")):
            raise UsageError("Hours go from 0 to 24.", usage=USAGE)
        return Me(act="hours", value=value)
    raise UsageError("I did not understand that.", usage=USAGE)


def settings_of(person: PersonRow | None) -> dict[str, str]:
    """Return a person's own settings."""
    return own_settings(person) if person else {}


async def run(ask: Me, request: Request, services: Services) -> Answer:
    """Show or change what the bot knows of the person."""
    if ask.act == "form" and can_open(request):
        return Answer(form=opening("me", request))
    match ask.act:
        case "email" | "link":
            kind, _, value = ("email", "", ask.value) if ask.act == "email" else ask.value.partition(":")
            taken = await services.store.people.identity(request.team, kind, value)
            if taken is not None and taken.manual and taken.user not in {"", request.user}:
                raise UsageError(f"{value} belongs to <@{taken.user}> already.")
            if kind == "email" and await services.people.user_for(request.team, value) not in {None, request.user}:
                raise UsageError(f"{value} is somebody else's address in this workspace.")
            await services.store.people.save_identity(
                IdentityRow(
                    team=request.team, kind=kind, value=value, user=request.user, manual=True, looked_at=request.now
                )
            )
        case "forget":
            kind, colon, value = ask.value.partition(":")
            kind, value = (kind, value) if colon else ("email", ask.value.lower())
            known = await services.store.people.identity(request.team, kind, value)
            if known is None or known.user != request.user:
                raise UsageError(f"I know no `{ask.value}` of yours.")
            await services.store.people.delete_identity(request.team, kind, value)
        case "" | "form":
            pass
        case _:
            await services.people.person(request.team, request.user)
            person = await services.store.people.get(request.team, request.user) or PersonRow(
                team=request.team, user=request.user, seen_at=request.now
            )
            person.settings = json.dumps({**settings_of(person), ask.act: ask.value})
            await services.store.people.save(person)
    return Answer(message=await _shown(request, services))


async def _shown(request: Request, services: Services) -> Message:
    person = await services.people.person(request.team, request.user)
    own = settings_of(await services.store.people.get(request.team, request.user))
    identities = await services.store.people.identities(request.team, request.user)
    lines = [f"*You* are {escape(person.name or request.user)}, time zone {escape(person.tz or 'UTC')}."]
    known = sorted(
        {row.value if row.kind == "email" else f"{row.kind}:{row.value}" for row in identities}
        | ({person.email} if person.email else set())
    )
    lines.append(
        f"Known to CI systems as {', '.join(code(value) for value in known)}."
        if known
        else "I know no address or handle of yours."
    )
    lines += [
        f"• {words}: {own.get(name, 'off' if name in {'plain', 'broken'} else 'on')}"
        for name, words in SWITCHES.items()
    ]
    lines.append(f"• working hours for direct messages: {own.get('hours', 'off')}")
    return Message(text=f"{escape(person.name or request.user)}: {', '.join(known)}", blocks=sections(lines))


COMMAND = Command(
    verb="me",
    usage=USAGE,
    summary="Your addresses, mentions and hours",
    role=Role.VIEW,
    group="Set up",
    parse=parse,
    run=run,
    acts=lambda ask: ask.act not in {"", "form"},
    examples=("me", "me email ana@acme.example", "me mentions off", "me hours 9-18"),
)
