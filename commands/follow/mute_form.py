"""The forms for being quiet: for a while, and at regular hours."""

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta

from typing_extensions import override

from bot.blocks.message import View, input_block, multi_select, person_select, select, text_field
from bot.blocks.message import context as small_print
from bot.blocks.text import duration, escape, when
from bot.core.errors import BotError, UsageError
from bot.core.recurrence import DAY_NAMES, parse_days
from bot.notifications.quiet_hours import parse_exceptions
from commands.core.context import Context
from commands.core.durations import parse_duration
from commands.core.fields import target_of
from commands.core.forms import FieldError, Form, Submission, Values, picked, text
from commands.core.grammar import Target
from commands.core.resolve import resolve_pipeline
from commands.follow import mute, quiet

TARGET, PERSON, SPAN, UNTIL = "target", "person", "for", "until"
HOURS, WEEKDAYS, EXCEPT = "hours", "days", "except"
ALL, OTHER = "all", "until"
SPANS = (
    ("30 minutes", "30m"),
    ("1 hour", "1h"),
    ("2 hours", "2h"),
    ("4 hours", "4h"),
    ("8 hours", "8h"),
    ("1 day (admins)", "1d"),
    ("until the time below", OTHER),
)
MINUTES = frozenset({30, 60, 120, 240, 480, 1440})
"""The lengths that are offered, in minutes."""
DAY_LABELS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


class MuteForm(Form):
    """Hold notifications for a while."""

    name = "mute"
    title = "Mute notifications"
    submit_label = "Mute"

    @override
    async def fill(self, arguments: Mapping[str, str], context: Context) -> View:
        """Return the form with the channel's pipelines, and what is muted already."""
        links = await context.store.links.of_channel(context.team, context.channel)
        listed = [("Everything in this channel", ALL)]
        listed += [(link.alias or link.name, f"{link.connection}:{link.pipeline}") for link in links]
        zone = await context.zone()
        mutes = await context.store.mutes.of_channel(context.team, context.channel)
        names = {value: label for label, value in listed} | {ALL: "everything"}
        now = [
            f"Muted now: {_muted(row.target, names)} until {when(row.until)}"
            for row in mutes
            if row.until is not None and row.until > context.now
        ]
        span, until = arguments.get(SPAN) or "2h", arguments.get(UNTIL, "")
        offered = [
            *SPANS[:-1],
            *([(duration(minutes * 60), span)] if (minutes := _minutes(span)) not in MINUTES else []),
        ]
        spans = [*offered, SPANS[-1]]
        blocks = [
            input_block("What", select(listed, initial=await _named(arguments, context) or ALL), name=TARGET),
            input_block(
                "Or a person",
                person_select(initial=arguments.get(PERSON, "")),
                name=PERSON,
                optional=True,
                hint="Whose builds nobody here is notified of: started by them, or with their commit.",
            ),
            input_block("How long", select(spans, initial=OTHER if until else _offered(span)), name=SPAN),
            input_block(
                "Until",
                text_field(initial=until or None, placeholder="fri 9:00, tomorrow 9:00, 18:00"),
                name=UNTIL,
                optional=True,
                hint=f"In your time zone, {zone}. What happens meanwhile comes as one summary.",
            ),
            *([small_print(*now)] if now else []),
        ]
        return self.view(blocks, arguments)

    @override
    async def submitted(self, values: Values, arguments: Mapping[str, str], context: Context) -> Submission:
        """Return `mute` with the target and the time."""
        span, until, what = text(values, SPAN), text(values, UNTIL), text(values, TARGET)
        if span == OTHER and not until:
            raise FieldError(UNTIL, "Until when?")
        if span != OTHER and until:
            raise FieldError(SPAN, "Choose “until the time below”, or leave the time out.")
        person = text(values, PERSON)
        if person and what != ALL:
            raise FieldError(PERSON, "A pipeline or a person, not both.")
        args = mute.Args(
            target=Target() if person or what == ALL else Target(pipeline=what),
            everything=what == ALL and not person,
            person=person,
            span=None if span == OTHER else parse_duration(span),
            until=until,
        )
        return Submission(verb="mute", args=args)

    @override
    def at_field(self, error: BotError, values: Values) -> BotError:
        """Say at the time what is wrong with it."""
        if isinstance(error, UsageError):
            return FieldError(UNTIL if text(values, SPAN) == OTHER else SPAN, _whole(error))
        return error


def _muted(target: str, names: Mapping[str, str]) -> str:
    """Return what is muted as the form names it, mrkdwn."""
    person = target.removeprefix("user:") if target.startswith("user:") else ""
    return mute.label_of(None, person) if person else escape(names.get(target, target))


def _offered(span: str) -> str:
    """Return the value that the list has for a length: its own of the usual ones, else the length as typed."""
    return next((value for _label, value in SPANS[:-1] if _minutes(value) == _minutes(span)), span)


def _minutes(span: str) -> int:
    return int(parse_duration(span) / timedelta(minutes=1))


async def _named(arguments: Mapping[str, str], context: Context) -> str:
    """Return the key of the linked pipeline that was typed, "" where none was. Raises UsageError for another."""
    target = target_of(arguments.get(TARGET, ""))
    if target.empty:
        return ""
    pipeline = await resolve_pipeline(target, context, acting=True, verb="mute")
    if pipeline.link is None:
        raise UsageError(f"{pipeline.name} is not linked to {context.here}.")
    return pipeline.key


class QuietForm(Form):
    """Quiet hours."""

    name = "quiet"
    title = "Quiet hours"
    submit_label = "Save"

    @override
    async def fill(self, arguments: Mapping[str, str], context: Context) -> View:
        """Return the form with the hours as they are."""
        mutes = await context.store.mutes.of_channel(context.team, context.channel)
        set_now = next((mute for mute in mutes if mute.hours), None)
        hours = arguments.get(HOURS) or (set_now.hours if set_now else "")
        exceptions = arguments.get("exceptions") or (set_now.exceptions if set_now else "")
        span, _, days = hours.partition(" ")
        zone = await context.zone()
        blocks = [
            input_block(
                "Hours",
                text_field(initial=span or None, placeholder="22:00-07:00"),
                name=HOURS,
                optional=True,
                hint=f"In your time zone, {zone}. Left empty, there are none.",
            ),
            input_block(
                "Days",
                multi_select(
                    list(zip(DAY_LABELS, DAY_NAMES, strict=True)), initial=_days(days), placeholder="every day"
                ),
                name=WEEKDAYS,
                optional=True,
                hint="A night belongs to the day it begins on.",
            ),
            input_block(
                "Post all the same",
                text_field(initial=exceptions or None, placeholder="broken@main, blocked"),
                name=EXCEPT,
                optional=True,
                hint="Events, each with a branch after @ if you like.",
            ),
        ]
        return self.view(blocks, arguments)

    @override
    async def submitted(self, values: Values, arguments: Mapping[str, str], context: Context) -> Submission:
        """Return `quiet` with the hours, or without any to end them."""
        hours = re.sub(r"(?<!\s)\s*+[-–—]++\s*+", "-", text(values, HOURS))
        days = [day for day in DAY_NAMES if day in picked(values, WEEKDAYS)]
        exceptions = re.sub(r"[\s,]+", ",", text(values, EXCEPT)).strip(",")
        if exceptions:
            try:
                parse_exceptions(exceptions)
            except UsageError as exc:
                raise FieldError(EXCEPT, _whole(exc)) from exc
        if not hours and (days or exceptions):
            raise FieldError(HOURS, "From when to when?")
        if not hours:
            return Submission(verb="quiet", args=quiet.Args(hours=""))
        every = f" {','.join(days)}" if days and len(days) < len(DAY_NAMES) else ""
        try:
            return Submission(verb="quiet", args=replace(quiet.parse(f"{hours}{every}"), exceptions=exceptions))
        except UsageError as exc:
            raise FieldError(HOURS, _whole(exc)) from exc


def _days(words: str) -> list[str]:
    """Return the days that `mon-fri` or `sat,sun` names."""
    return [DAY_NAMES[day] for day in sorted(parse_days(words))] if words else []


def _whole(exc: UsageError) -> str:
    return f"{exc.message} {exc.hint or ''}".strip()
