"""Commands that run on a schedule: /build schedule "weekdays 7:00" run nightly@main."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

import msgspec

from bot.blocks.message import Message, button, section, sections
from bot.blocks.message import actions as row_of
from bot.blocks.text import Markup, code, escape, when
from bot.core.acting import begin_act
from bot.core.errors import UsageError
from bot.core.recurrence import parse_rule, upcoming, zone_of
from bot.core.recurrence_words import parse_recurrence
from bot.store.rows import NewSchedule, ScheduleRow
from commands.core import actions, memory
from commands.core.context import Answer, Context, Opening, Role
from commands.core.forms import opening
from commands.core.grammar import split
from commands.core.permissions import Requirement, is_admin
from commands.core.registry import Command
from commands.follow.schedule_checks import check_scheduled, parse_command

USAGE = 'schedule "weekdays 7:00" <command> | list | remove N | restore N | --form'
MOST = 50
SHOWN_TIMES = 3
KEPT = ("user", "words", "cron", "tz", "command", "next_at", "created_at")


class NotRun(StrEnum):
    """Why a schedule's last run did not take place, as its `last_outcome`."""

    PAUSED = "paused"
    MISSED = "missed"


class Act(StrEnum):
    """What to do about schedules."""

    ADD = "add"
    LIST = "list"
    REMOVE = "remove"
    RESTORE = "restore"
    FORM = "form"


@dataclass(frozen=True, slots=True, kw_only=True)
class Args:
    """What to do: add a command at times as typed, or list, remove or restore one by its number."""

    act: Act
    times: str = ""
    command: str = ""
    number: int = 0
    confirmed: bool = False


def parse(words: str) -> Args:
    """Read the words after `schedule`. Raises UsageError."""
    parts = split(words)
    verb = parts[0].lower() if parts else "list"
    if verb == "list":
        return Args(act=Act.LIST)
    if verb == "--form" and len(parts) == 1:
        return Args(act=Act.FORM)
    if verb in {Act.REMOVE, Act.RESTORE}:
        confirmed = parts[2:] == ["--yes"]
        if len(parts) != (3 if confirmed else 2) or not parts[1].isdigit():
            raise UsageError("Which one? `/build schedule list` shows their numbers.", usage=USAGE)
        return Args(act=Act(verb), number=int(parts[1]), confirmed=confirmed)
    times, command = _divided(words.strip())
    parse_recurrence(times)
    parse_command(command)
    return Args(act=Act.ADD, times=times, command=command)


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


def spoken(args: Args) -> str:
    """Return arguments as one would type them."""
    return f'"{args.times}" {args.command}' if args.act is Act.ADD else f"{args.act.value} {args.number}"


def opens(args: Args, context: Context) -> Opening | None:
    """Return the form where it was asked for."""
    return opening("schedule", context) if args.act is Act.FORM else None


async def resolve(args: Args, context: Context) -> None:
    """Check a new schedule's command as its run would: the pipeline, the ref, the person's rights."""
    if args.act is Act.ADD:
        await check_scheduled(args.command, args.times, context)


def authorize(args: Args, _resolved: None, _context: Context) -> Sequence[Requirement]:
    """Require the runner's role for changes."""
    if args.act in {Act.LIST, Act.FORM}:
        return ()
    return (Requirement(role=Role.RUN, doing="Scheduling"),)


async def run(args: Args, _resolved: None, context: Context) -> Answer:
    """Add, list, remove or restore; a scheduled command acts with the rights of who scheduled it, checked when it runs."""
    match args.act:
        case Act.FORM:
            raise UsageError("No form can be opened from here.", usage=USAGE)
        case Act.REMOVE:
            return await _remove(args, context)
        case Act.RESTORE:
            return await _restore(args, context)
        case Act.ADD:
            return await _add(args, context)
        case Act.LIST:
            return await _list(context)


async def _list(context: Context) -> Answer:
    rows = await context.store.schedules.of_channel(context.team, context.channel)
    lines = [listed(row) for row in rows]
    text = "\n".join(lines) or "Nothing is scheduled in this channel."
    new = row_of(button("New schedule", "schedule --form"))
    return Answer(message=Message(text=text, blocks=(*sections(lines or [text]), new)))


def described(row: ScheduleRow) -> Markup:
    """Return what a schedule does and when, its time zone named."""
    return Markup(f"{code(row.command)} · {escape(row.words)} ({escape(row.tz)})")


def listed(row: ScheduleRow) -> str:
    """Return a schedule as one line of a list."""
    paused = " · paused: their Slack account is deactivated" if row.last_outcome == NotRun.PAUSED else ""
    return f"*{row.id}* · {described(row)} · next {when(row.next_at)} · by <@{row.user}>{paused}"


async def _add(args: Args, context: Context) -> Answer:
    if len(await context.store.schedules.of_channel(context.team, context.channel)) >= MOST:
        raise UsageError(f"This channel has {MOST} schedules already.")
    zone = zone_of(await context.zone())
    rule = parse_recurrence(args.times)
    times = upcoming(rule, zone, context.now, SHOWN_TIMES)
    await begin_act()
    row = await context.store.schedules.add(
        NewSchedule(
            team=context.team,
            channel=context.channel,
            user=context.user,
            words=args.times,
            cron=str(rule),
            tz=zone.key,
            command=args.command,
            next_at=times[0],
            created_at=context.now,
        )
    )
    nexts = ", ".join(when(time) for time in times)
    return actions.public_line(
        f"{actions.actor(context)} scheduled {code(args.command)}: {escape(args.times)} ({escape(zone.key)}). "
        f"Next: {nexts}. `{context.command} schedule remove {row.id}` ends it."
    )


async def _remove(args: Args, context: Context) -> Answer:
    rows = await context.store.schedules.of_channel(context.team, context.channel)
    row = next((row for row in rows if row.id == args.number), None)
    if row is None:
        raise UsageError(f"There is no schedule {args.number} in this channel.")
    if row.user != context.user and not args.confirmed and not await is_admin(context):
        return actions.asks_first(
            f"Remove schedule {args.number}?",
            Markup(f"<@{row.user}> made it: {described(row)}, next {when(row.next_at)}."),
            f"schedule remove {args.number}",
            yes="Remove it",
        )
    kept = msgspec.json.encode({name: getattr(row, name) for name in KEPT}).decode()
    await memory.keep_removed_schedule(args.number, kept, context)
    if not await context.store.schedules.remove(args.number, context.team, context.channel):
        await memory.take_removed_schedule(args.number, context)
        raise UsageError(f"There is no schedule {args.number} in this channel.")
    text = f"{actions.actor(context)} removed schedule {args.number} of <@{row.user}>: {described(row)}"
    undo = row_of(button("Undo", f"schedule restore {args.number}"))
    return Answer(message=Message(text=text, blocks=(section(text), undo)), public=True)


async def _restore(args: Args, context: Context) -> Answer:
    """Write a removed schedule again as it was: its maker's, in its maker's time zone."""
    fields: dict[str, Any] | None = await memory.take_removed_schedule(args.number, context)
    if fields is None:
        raise UsageError(
            f"No removed schedule {args.number} is left to restore.", hint="A removed schedule is kept for a day."
        )
    due, created_at = (datetime.fromisoformat(fields.pop(name)) for name in ("next_at", "created_at"))
    next_at = parse_rule(fields["cron"]).next_after(context.now, zone_of(fields["tz"]), due=due)
    row = NewSchedule(team=context.team, channel=context.channel, next_at=next_at, created_at=created_at, **fields)
    await begin_act()
    added = await context.store.schedules.add(row)
    return actions.public_line(
        f"{actions.actor(context)} restored schedule {args.number} of <@{row.user}> as {added.id}: {described(added)}. "
        f"Next: {when(added.next_at)}."
    )


COMMAND = Command(
    verb="schedule",
    usage=USAGE,
    summary="Run a command on a schedule",
    role=Role.RUN,
    group="Follow",
    parse=parse,
    opens=opens,
    resolve=resolve,
    authorize=authorize,
    run=run,
    spoken=spoken,
    flags=(("--form", "fill in a form; it shows the next times"),),
    acts=lambda args: args.act in {Act.ADD, Act.REMOVE, Act.RESTORE},
    examples=(
        'schedule "weekdays 7:00" run nightly@main',
        'schedule "every 45 minutes" status',
        "schedule list",
        "schedule remove 3",
    ),
    inferred="your time zone",
)
