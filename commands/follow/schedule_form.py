"""The form for a command that runs on a schedule: when in words, with the next three times shown."""

from collections.abc import Mapping

from typing_extensions import override

from bot.blocks.message import View, context, divider, input_block, section, text_field
from bot.blocks.text import harmless, when
from bot.core.errors import Ambiguous, BotError, NotFound, NotLinked, UsageError
from bot.core.recurrence import upcoming, zone_of
from bot.core.recurrence_words import parse_recurrence
from commands.core.context import Answer, Request, Services
from commands.core.forms import FieldError, Form, Values, text
from commands.core.grammar import clean
from commands.follow.schedule import SHOWN_TIMES, Schedule, listed
from commands.follow.schedule import run as schedule
from commands.follow.schedule_checks import ALLOWED, parse_command

WORDS, COMMAND = "words", "command"
SHOWN = 20


class ScheduleForm(Form):
    """Run a command on a schedule."""

    name = "schedule"
    title = "Schedule a command"
    submit_label = "Schedule"

    @override
    async def fill(self, arguments: Mapping[str, str], request: Request, services: Services) -> View:
        """Return the form, with what is scheduled already."""
        return await self._drawn("weekdays 7:00", arguments, request, services)

    async def _drawn(self, words: str, arguments: Mapping[str, str], request: Request, services: Services) -> View:
        zone = await services.people.zone(request.team, request.user)
        links = await services.store.links.of_channel(request.team, request.channel)
        usual = next((link for link in links if link.is_default), links[0] if links else None)
        named = (usual.alias or usual.name.lower()) if usual else "nightly"
        rows = await services.store.schedules.of_channel(request.team, request.channel)
        known = [listed(row) for row in rows]
        blocks = [
            input_block(
                "When",
                text_field(initial=words, placeholder="weekdays 7:00"),
                name=WORDS,
                dispatch=True,
                hint=f"weekdays 7:00, mon,wed 18:30, daily 9:00, hourly, every 45 minutes. In your time zone, {zone}. Enter shows the next times.",
            ),
            input_block(
                "Command",
                text_field(placeholder=f"run {named}"),
                name=COMMAND,
                hint=f"As typed after {services.command}: {', '.join(ALLOWED)}. It acts with your rights when it runs.",
            ),
            section(_preview(words, zone, request)),
            *([divider(), context("\n".join(known[:SHOWN]))] if known else []),
        ]
        return self.view(blocks, arguments)

    @override
    async def changed(
        self, field: str, values: Values, arguments: Mapping[str, str], request: Request, services: Services
    ) -> View | None:
        """Return the form with the next times that the words mean."""
        return await self._drawn(text(values, WORDS), arguments, request, services)

    @override
    async def submit(
        self, values: Values, arguments: Mapping[str, str], request: Request, services: Services
    ) -> Answer:
        """Schedule it, as `schedule` does."""
        words = text(values, WORDS)
        command = clean(text(values, COMMAND)).removeprefix(services.command).strip()
        errors: dict[str, str] = {}
        try:
            parse_recurrence(words)
        except UsageError as exc:
            errors[WORDS] = _whole(exc)
        try:
            parse_command(command)
        except UsageError as exc:
            errors[COMMAND] = _whole(exc)
        if errors:
            raise FieldError(next(iter(errors)), next(iter(errors.values())), others=errors)
        try:
            return await schedule(Schedule(act="add", words=words, command=command), request, services)
        except (UsageError, NotLinked, NotFound, Ambiguous) as exc:
            raise FieldError(COMMAND, _whole(exc)) from exc


def _preview(words: str, zone: str, request: Request) -> str:
    try:
        times = upcoming(parse_recurrence(words), zone_of(zone), request.now, SHOWN_TIMES)
    except UsageError as exc:
        return f"✕ {harmless(_whole(exc))}"
    return f"Next: {', '.join(when(time) for time in times)}"


def _whole(exc: BotError) -> str:
    choices = ", ".join(label for label, _words in exc.choices) if isinstance(exc, Ambiguous) else ""
    return " ".join(filter(None, (exc.message, choices, exc.hint)))
