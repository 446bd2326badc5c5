"""The form for who one is to the bot: addresses, handles, mentions, hours."""

import re
from collections.abc import Mapping

from typing_extensions import override

from bot.blocks.message import View, checkboxes, input_block, text_field
from bot.blocks.message import context as small_print
from bot.blocks.text import escape
from bot.core.errors import BotError, UsageError
from bot.core.recurrence import DEFAULT_ZONE
from commands.core.context import Context
from commands.core.forms import FieldError, Form, Submission, Values, picked, text
from commands.setup.me import SWITCHES, Act, Args, Change, ChangeError, parse, settings_of

EMAILS, HANDLES, SWITCH, HOURS = "emails", "handles", "switches", "hours"
FIELDS = {Act.EMAIL: EMAILS, Act.LINK: HANDLES, Act.HOURS: HOURS}
ON_AT_FIRST = frozenset({"mentions"})


class MeForm(Form):
    """Who I am."""

    name = "me"
    title = "You and your builds"
    submit_label = "Save"

    @override
    async def fill(self, arguments: Mapping[str, str], context: Context) -> View:
        """Return the form with what is known."""
        person = await context.services.people.person(context.team, context.user)
        emails, handles, settings = await _own_settings(context)
        own = f"Slack tells me {person.email}; only others are needed here." if person.email else None
        ticked = [name for name in SWITCHES if _is_on(settings, name)]
        blocks = [
            input_block(
                "E-mail addresses you commit with",
                text_field(initial="\n".join(emails) or None, multiline=True, placeholder="one a line"),
                name=EMAILS,
                optional=True,
                hint=own,
            ),
            input_block(
                "Your names at CI systems",
                text_field(initial="\n".join(handles) or None, multiline=True, placeholder="github:ana"),
                name=HANDLES,
                optional=True,
                hint="One a line, as kind:name.",
            ),
            input_block(
                "I want",
                checkboxes([(words, name) for name, words in SWITCHES.items()], initial=ticked),
                name=SWITCH,
                optional=True,
            ),
            input_block(
                "Working hours for direct messages",
                text_field(initial=_hours(settings) or None, placeholder="9-18"),
                name=HOURS,
                optional=True,
                hint="Left empty, at any time.",
            ),
            small_print(f"Your time zone: {escape(person.tz or DEFAULT_ZONE)}, as in your Slack profile."),
        ]
        return self.view(blocks, arguments)

    @override
    async def submitted(self, values: Values, arguments: Mapping[str, str], context: Context) -> Submission:
        """Return `me` with what differs; nothing is changed where a field can't be read."""
        emails, handles, settings = await _own_settings(context)
        new_emails = [word.lower() for word in re.split(r"[,;\s]+", text(values, EMAILS)) if word]
        new_handles = [word for word in re.split(r"[,;\s]+", text(values, HANDLES)) if word]
        ticked = picked(values, SWITCH)
        hours = re.sub(r"(?<!\s)\s*+[-–—]++\s*+", "-", text(values, HOURS))
        typed: list[tuple[str, str]] = [
            *((EMAILS, f"email {word}") for word in new_emails if word not in emails),
            *((HANDLES, f"link {word}") for word in new_handles if word not in handles),
            *(
                (SWITCH, f"{name} {'on' if name in ticked else 'off'}")
                for name in SWITCHES
                if _is_on(settings, name) != (name in ticked)
            ),
            *([(HOURS, f"hours {hours or 'off'}")] if hours != _hours(settings) else []),
        ]
        changes = [change for field, words in typed for change in _read(field, words)]
        ended = [word for word in (*emails, *handles) if word not in (*new_emails, *new_handles)]
        changes += [Change(act=Act.FORGET, value=word) for word in ended]
        return Submission(verb="me", args=Args(changes=tuple(changes)))

    @override
    def at_field(self, error: BotError, values: Values) -> BotError:
        """Say at its field which change was refused."""
        if isinstance(error, ChangeError):
            return FieldError(FIELDS.get(error.change.act, EMAILS), error.message)
        return error


def _read(field: str, words: str) -> tuple[Change, ...]:
    try:
        return parse(words).changes
    except UsageError as exc:
        value = words.partition(" ")[2]
        like = {EMAILS: "ana@acme.example", HANDLES: "github:ana", HOURS: "9-18"}.get(field, "on or off")
        raise FieldError(field, f"“{value}” does not read as {like}.") from exc


async def _own_settings(context: Context) -> tuple[list[str], list[str], dict[str, str]]:
    """Return a person's own addresses, handles and settings."""
    rows = [row for row in await context.store.people.identities(context.team, context.user) if row.manual]
    emails = sorted(row.value for row in rows if row.kind == "email")
    handles = sorted(f"{row.kind}:{row.value}" for row in rows if row.kind != "email")
    return emails, handles, settings_of(await context.store.people.get(context.team, context.user))


def _is_on(settings: Mapping[str, str], name: str) -> bool:
    return settings.get(name, "on" if name in ON_AT_FIRST else "off") == "on"


def _hours(settings: Mapping[str, str]) -> str:
    hours = settings.get("hours", "off")
    return "" if hours == "off" else hours
