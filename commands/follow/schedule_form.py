"""The form for a command typed by the clock: when in words, with the next three times shown."""

from collections.abc import Mapping

from typing_extensions import override

from bot.blocks.message import View, context, divider, input_block, section, text_field
from bot.blocks.text import code, escape, harmless, when
from bot.core.errors import UsageError
from bot.scheduler import cron_of, next_times
from commands.core.context import Answer, Request, Services
from commands.core.forms import FieldError, Form, Values, text
from commands.core.grammar import clean
from commands.follow.schedule import ALLOWED, Schedule, check_command
from commands.follow.schedule import run as schedule

WORDS, COMMAND = "words", "command"
SHOWN = 20


class ScheduleForm(Form):
    """Have a command typed by the clock."""

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
        known = [f"{row.id} · {escape(row.words)} · {code(row.command)} · next {when(row.next_at)}" for row in rows]
        blocks = [
            input_block(
                "When",
                text_field(initial=words, placeholder="weekdays 7:00"),
                name=WORDS,
                dispatch=True,
                hint=f"weekdays 7:00, mon,wed 18:30, daily 9:00, hourly, every 2 hours. In your time zone, {zone}. Enter shows the next times.",
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
        said: dict[str, str] = {}
        try:
            cron_of(words)
        except UsageError as exc:
            said[WORDS] = _whole(exc)
        try:
            check_command(command)
        except UsageError as exc:
            said[COMMAND] = _whole(exc)
        if said:
            raise FieldError(next(iter(said)), next(iter(said.values())), others=said)
        return await schedule(Schedule(act="add", words=words, command=command), request, services)


def _preview(words: str, zone: str, request: Request) -> str:
    try:
        times = next_times(cron_of(words), zone, request.now, 3)
    except UsageError as exc:
        return f"✕ {harmless(_whole(exc))}"
    return f"Next: {', '.join(when(time) for time in times)}"


def _whole(exc: UsageError) -> str:
    return f"{exc.message} {exc.hint or ''}".strip()
