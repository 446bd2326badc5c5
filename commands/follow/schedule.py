"""Commands typed by the clock: /build schedule "weekdays 7:00" run nightly@main."""

from dataclasses import dataclass

from bot.blocks.message import Message, actions, button, sections
from bot.blocks.text import code, escape, when
from bot.core.errors import UsageError
from bot.scheduler import cron_of, next_times
from bot.store.tables import ScheduleRow
from commands.core import actions as acting
from commands.core.context import Answer, Command, Request, Role, Services
from commands.core.forms import can_open, opening
from commands.core.grammar import split
from commands.core.permissions import require

USAGE = 'schedule "weekdays 7:00" <command> | list | remove N | --form'
ALLOWED = ("run", "rebuild", "retry", "status", "last", "stats", "digest")
MOST = 50


@dataclass(frozen=True, slots=True)
class Schedule:
    """What to do: `add` with words and a command, `list`, `remove` with a number, or `form`."""

    act: str
    words: str = ""
    command: str = ""
    number: int = 0


def parse(words: str) -> Schedule:
    """Read the words after `schedule`. Raises UsageError."""
    parts = split(words)
    if not parts or parts[0].lower() == "list":
        return Schedule(act="list")
    if parts[0].lower() == "--form":
        return Schedule(act="form")
    if parts[0].lower() == "remove":
        if len(parts) != 2 or not parts[1].isdigit():
            raise UsageError("Which one? `/build schedule list` shows their numbers.", usage=USAGE)
        return Schedule(act="remove", number=int(parts[1]))
    if " " not in parts[0] and parts[0].lower() != "hourly":
        raise UsageError("Put the time in quotes.", usage=USAGE)
    cron_of(parts[0])
    rest = words.strip()[1:]
    quoted = words.strip()[:1] in "\"'"
    command = rest.partition(words.strip()[0])[2].strip() if quoted else words.strip().partition(" ")[2].strip()
    check_command(command)
    return Schedule(act="add", words=parts[0], command=command)


def check_command(command: str) -> None:
    """Raise UsageError unless a command may be typed by the clock."""
    verb = command.partition(" ")[0].lower()
    if verb not in ALLOWED:
        raise UsageError(
            f"I can't schedule `{verb or 'nothing'}`.", hint=f"I can schedule {', '.join(ALLOWED)}.", usage=USAGE
        )


async def run(ask: Schedule, request: Request, services: Services) -> Answer:
    """Add, list or remove; a scheduled command acts with the rights of who scheduled it, asked when it runs."""
    if ask.act == "form" and can_open(request):
        return Answer(form=opening("schedule", request))
    if ask.act == "form":
        raise UsageError("No form can be opened from here.", usage=USAGE)
    if ask.act == "list":
        rows = await services.store.schedules.of_channel(request.team, request.channel)
        lines = [
            f"*{row.id}* · {escape(row.words)} · {code(row.command)} · next {when(row.next_at)} · by <@{row.user}>"
            for row in rows
        ]
        text = "\n".join(lines) or "Nothing is scheduled in this channel."
        new = actions(button("New schedule", "schedule --form"))
        return Answer(message=Message(text=text, blocks=(*sections(lines or [text]), new)))
    await require(Role.RUN, "Scheduling", request, services)
    if ask.act == "remove":
        if not await services.store.schedules.remove(ask.number, request.team, request.channel):
            raise UsageError(f"There is no schedule {ask.number} in this channel.")
        return acting.public_line(f"{acting.who(request)} removed schedule {ask.number}")
    if len(await services.store.schedules.of_channel(request.team, request.channel)) >= MOST:
        raise UsageError(f"This channel has {MOST} schedules already.")
    zone = await services.people.zone(request.team, request.user)
    cron = cron_of(ask.words)
    times = next_times(cron, zone, request.now, 3)
    row = await services.store.schedules.add(
        ScheduleRow(
            team=request.team,
            channel=request.channel,
            user=request.user,
            words=ask.words,
            cron=cron,
            tz=zone,
            command=ask.command,
            next_at=times[0],
            created_at=request.now,
        )
    )
    nexts = ", ".join(when(time) for time in times)
    return acting.public_line(
        f"{acting.who(request)} scheduled {code(ask.command)}: {escape(ask.words)} ({escape(zone)}). Next: {nexts}. "
        f"`{services.command} schedule remove {row.id}` ends it."
    )


COMMAND = Command(
    verb="schedule",
    usage=USAGE,
    summary="Have a command typed by the clock",
    role=Role.RUN,
    group="Follow",
    parse=parse,
    run=run,
    acts=lambda ask: ask.act in {"add", "remove"},
    examples=('schedule "weekdays 7:00" run nightly@main', "schedule list", "schedule remove 3"),
    inferred="your time zone",
)
