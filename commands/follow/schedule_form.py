"""The form for a command that runs on a schedule: when in words, with the next three times shown."""

from collections.abc import Mapping

from typing_extensions import override

from bot.blocks.message import View, divider, input_block, section, text_field
from bot.blocks.message import context as small_print
from bot.blocks.text import harmless, when
from bot.core.errors import Ambiguous, BotError, NotFound, NotLinked, UsageError
from bot.core.recurrence import upcoming, zone_of
from bot.core.recurrence_words import parse_recurrence
from commands.core.context import Context
from commands.core.forms import FieldError, Form, Submission, Values, text
from commands.core.grammar import clean
from commands.follow.schedule import SHOWN_TIMES, Act, Args, listed
from commands.follow.schedule_checks import ALLOWED, parse_command

WORDS, COMMAND = "words", "command"
SHOWN = 20


class ScheduleForm(Form):
    """Run a command on a schedule."""

    name = "schedule"
    title = "Schedule a command"
    submit_label = "Schedule"

    @override
    async def fill(self, arguments: Mapping[str, str], context: Context) -> View:
        """Return the form, with what is scheduled already."""
        return await self._drawn("weekdays 7:00", arguments, context)

    async def _drawn(self, words: str, arguments: Mapping[str, str], context: Context) -> View:
        zone = await context.zone()
        links = await context.store.links.of_channel(context.team, context.channel)
        usual = next((link for link in links if link.is_default), links[0] if links else None)
        named = (usual.alias or usual.name.lower()) if usual else "nightly"
        rows = await context.store.schedules.of_channel(context.team, context.channel)
        listed_now = [listed(row) for row in rows]
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
                hint=f"As typed after {context.command}: {', '.join(ALLOWED)}. It acts with your rights when it runs.",
            ),
            section(_preview(words, zone, context)),
            *([divider(), small_print("\n".join(listed_now[:SHOWN]))] if listed_now else []),
        ]
        return self.view(blocks, arguments)

    @override
    async def changed(self, field: str, values: Values, arguments: Mapping[str, str], context: Context) -> View | None:
        """Return the form with the next times that the words mean."""
        return await self._drawn(text(values, WORDS), arguments, context)

    @override
    async def submitted(self, values: Values, arguments: Mapping[str, str], context: Context) -> Submission:
        """Return `schedule` with the times and the command. Raises FieldError where one can't be read."""
        times = text(values, WORDS)
        command = clean(text(values, COMMAND)).removeprefix(context.command).strip()
        errors: dict[str, str] = {}
        try:
            parse_recurrence(times)
        except UsageError as exc:
            errors[WORDS] = _whole(exc)
        try:
            parse_command(command)
        except UsageError as exc:
            errors[COMMAND] = _whole(exc)
        if errors:
            raise FieldError(next(iter(errors)), next(iter(errors.values())), others=errors)
        return Submission(verb="schedule", args=Args(act=Act.ADD, times=times, command=command))

    @override
    def at_field(self, error: BotError, values: Values) -> BotError:
        """Say at the command what would refuse it."""
        if isinstance(error, UsageError | NotLinked | NotFound | Ambiguous):
            return FieldError(COMMAND, _whole(error))
        return error


def _preview(words: str, zone: str, context: Context) -> str:
    try:
        times = upcoming(parse_recurrence(words), zone_of(zone), context.now, SHOWN_TIMES)
    except UsageError as exc:
        return f"✕ {harmless(_whole(exc))}"
    return f"Next: {', '.join(when(time) for time in times)}"


def _whole(exc: BotError) -> str:
    choices = ", ".join(label for label, _words in exc.choices) if isinstance(exc, Ambiguous) else ""
    return " ".join(filter(None, (exc.message, choices, exc.hint)))
