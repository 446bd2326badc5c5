"""Commands that run on a schedule: /build schedule "weekdays 7:00" run nightly@main."""

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from bot.blocks.message import Message, actions, button, section, sections
from bot.blocks.text import Markup, code, escape, when
from bot.core.acting import begin_act
from bot.core.errors import UsageError
from bot.core.recurrence import parse_rule, upcoming, zone_of
from bot.core.recurrence_words import parse_recurrence
from bot.store.tables import ScheduleRow
from commands.core import actions as acting
from commands.core.context import Answer, Command, Request, Role, Services
from commands.core.forms import can_open, opening
from commands.core.grammar import split
from commands.core.permissions import is_admin, require
from commands.follow.schedule_checks import check_command, parse_command

USAGE = 'schedule "weekdays 7:00" <command> | list | remove N | restore N | --form'
MOST = 50
SHOWN_TIMES = 3
UNDO = timedelta(days=1)
"""How long a removed schedule can be restored."""


class NotRun(StrEnum):
    """Why a schedule's last run did not take place, as its `last_outcome`."""

    PAUSED = "paused"
    MISSED = "missed"


@dataclass(frozen=True, slots=True)
class Schedule:
    """What to do: `add` with words and a command, `list`, `remove` or `restore` with a number, or `form`."""

    act: str
    words: str = ""
    command: str = ""
    number: int = 0
    confirmed: bool = False


def parse(words: str) -> Schedule:
    """Read the words after `schedule`. Raises UsageError."""
    parts = split(words)
    verb = parts[0].lower() if parts else "list"
    if verb == "list":
        return Schedule(act="list")
    if verb == "--form":
        return Schedule(act="form")
    if verb in {"remove", "restore"}:
        confirmed = parts[2:] == ["--yes"]
        if len(parts) != (3 if confirmed else 2) or not parts[1].isdigit():
            raise UsageError("Which one? `/build schedule list` shows their numbers.", usage=USAGE)
        return Schedule(act=verb, number=int(parts[1]), confirmed=confirmed)
    times, command = _divided(words.strip())
    parse_recurrence(times)
    parse_command(command)
    return Schedule(act="add", words=times, command=command)


def _divided(words: str) -> tuple[str, str]:
    """Return the time and the command. One word needs no quotes; more are asked to have some."""
    quote = words[0]
    if quote in "\"'":
        times, _, command = words[1:].partition(quote)
        return " ".join(times.split()), command.strip()
    parts = words.split()
    for length in range(len(parts), 0, -1):
        times, command = " ".join(parts[:length]), " ".join(parts[length:])
        try:
            parse_recurrence(times)
        except UsageError:
            continue
        if length == 1:
            return times, words[len(parts[0]) :].strip()
        raise UsageError("Put the time in quotes.", hint=f'Write `schedule "{times}" {command}`.', usage=USAGE)
    if ":" in parts[0]:
        parse_recurrence(parts[0])
    raise UsageError(
        "I don't understand that time. It stands in quotes.",
        hint='Write `schedule "weekdays 7:00" run nightly@main`.',
        usage=USAGE,
    )


async def run(ask: Schedule, request: Request, services: Services) -> Answer:
    """Add, list, remove or restore; a scheduled command acts with the rights of who scheduled it, asked when it runs."""
    if ask.act == "form" and can_open(request):
        return Answer(form=opening("schedule", request))
    if ask.act == "form":
        raise UsageError("No form can be opened from here.", usage=USAGE)
    if ask.act == "list":
        rows = await services.store.schedules.of_channel(request.team, request.channel)
        lines = [listed(row) for row in rows]
        text = "\n".join(lines) or "Nothing is scheduled in this channel."
        new = actions(button("New schedule", "schedule --form"))
        return Answer(message=Message(text=text, blocks=(*sections(lines or [text]), new)))
    await require(Role.RUN, "Scheduling", request, services)
    match ask.act:
        case "remove":
            return await _remove(ask, request, services)
        case "restore":
            return await _restore(ask, request, services)
        case _:
            return await _add(ask, request, services)


def described(row: ScheduleRow) -> Markup:
    """Return what a schedule does and when, its time zone named."""
    return Markup(f"{code(row.command)} · {escape(row.words)} ({escape(row.tz)})")


def listed(row: ScheduleRow) -> str:
    """Return a schedule as one line of a list."""
    paused = " · paused: their Slack account is deactivated" if row.last_outcome == NotRun.PAUSED else ""
    return f"*{row.id}* · {described(row)} · next {when(row.next_at)} · by <@{row.user}>{paused}"


async def _add(ask: Schedule, request: Request, services: Services) -> Answer:
    if len(await services.store.schedules.of_channel(request.team, request.channel)) >= MOST:
        raise UsageError(f"This channel has {MOST} schedules already.")
    await check_command(ask.command, ask.words, request, services)
    zone = zone_of(await services.people.zone(request.team, request.user))
    rule = parse_recurrence(ask.words)
    times = upcoming(rule, zone, request.now, SHOWN_TIMES)
    await begin_act()
    row = await services.store.schedules.add(
        ScheduleRow(
            team=request.team,
            channel=request.channel,
            user=request.user,
            words=ask.words,
            cron=str(rule),
            tz=zone.key,
            command=ask.command,
            next_at=times[0],
            created_at=request.now,
        )
    )
    nexts = ", ".join(when(time) for time in times)
    return acting.public_line(
        f"{acting.who(request)} scheduled {code(ask.command)}: {escape(ask.words)} ({escape(zone.key)}). Next: {nexts}. "
        f"`{services.command} schedule remove {row.id}` ends it."
    )


async def _remove(ask: Schedule, request: Request, services: Services) -> Answer:
    rows = await services.store.schedules.of_channel(request.team, request.channel)
    row = next((row for row in rows if row.id == ask.number), None)
    if row is None:
        raise UsageError(f"There is no schedule {ask.number} in this channel.")
    if row.user != request.user and not ask.confirmed and not await is_admin(request, services):
        return acting.asks_first(
            f"Remove schedule {ask.number}?",
            Markup(f"<@{row.user}> made it: {described(row)}, next {when(row.next_at)}."),
            f"schedule remove {ask.number}",
            yes="Remove it",
        )
    kept = row.model_dump_json(include={"user", "words", "cron", "tz", "command", "next_at", "created_at"})
    await services.store.tokens.add(_key(request, ask.number), seconds=UNDO.total_seconds(), value=kept)
    if not await services.store.schedules.remove(ask.number, request.team, request.channel):
        await services.store.tokens.take(_key(request, ask.number))
        raise UsageError(f"There is no schedule {ask.number} in this channel.")
    text = f"{acting.who(request)} removed schedule {ask.number} of <@{row.user}>: {described(row)}"
    undo = actions(button("Undo", f"schedule restore {ask.number}"))
    return Answer(message=Message(text=text, blocks=(section(text), undo)), public=True)


async def _restore(ask: Schedule, request: Request, services: Services) -> Answer:
    """Write a removed schedule again as it was: its maker's, in its maker's time zone."""
    kept = await services.store.tokens.take(_key(request, ask.number))
    if kept is None:
        raise UsageError(
            f"No removed schedule {ask.number} is left to restore.", hint="A removed schedule is kept for a day."
        )
    fields: dict[str, Any] = json.loads(kept)
    due, created_at = (datetime.fromisoformat(fields.pop(name)) for name in ("next_at", "created_at"))
    next_at = parse_rule(fields["cron"]).next_after(request.now, zone_of(fields["tz"]), due=due)
    row = ScheduleRow(team=request.team, channel=request.channel, next_at=next_at, created_at=created_at, **fields)
    await begin_act()
    added = await services.store.schedules.add(row)
    return acting.public_line(
        f"{acting.who(request)} restored schedule {ask.number} of <@{row.user}> as {added.id}: {described(added)}. "
        f"Next: {when(added.next_at)}."
    )


def _key(request: Request, number: int) -> str:
    return f"removed schedule:{request.team}:{request.channel}:{number}"


COMMAND = Command(
    verb="schedule",
    usage=USAGE,
    summary="Run a command on a schedule",
    role=Role.RUN,
    group="Follow",
    parse=parse,
    run=run,
    acts=lambda ask: ask.act in {"add", "remove", "restore"},
    examples=(
        'schedule "weekdays 7:00" run nightly@main',
        'schedule "every 45 minutes" status',
        "schedule list",
        "schedule remove 3",
    ),
    inferred="your time zone",
)
