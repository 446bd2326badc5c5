"""The forms for being quiet: for a while, and at regular hours."""

import re
from collections.abc import Mapping

from typing_extensions import override

from bot.blocks.message import View, context, input_block, multi_select, select, text_field
from bot.blocks.text import escape, when
from bot.core.errors import UsageError
from bot.core.recurrence import DAY_NAMES, parse_days
from commands.core.context import Answer, Request, Services
from commands.core.forms import FieldError, Form, Values, picked, text
from commands.core.grammar import ParsedArgs, Target
from commands.follow.mute import Mute, Quiet, mute, parse_quiet, quiet

TARGET, SPAN, UNTIL, HOURS, WEEKDAYS = "target", "for", "until", "hours", "days"
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
DAY_LABELS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


class MuteForm(Form):
    """Be quiet for a while."""

    name = "mute"
    title = "Be quiet for a while"
    submit_label = "Mute"

    @override
    async def fill(self, arguments: Mapping[str, str], request: Request, services: Services) -> View:
        """Return the form with the channel's pipelines, and what is muted already."""
        links = await services.store.links.of_channel(request.team, request.channel)
        listed = [("Everything in this channel", ALL)]
        listed += [(link.alias or link.name, f"{link.connection}:{link.pipeline}") for link in links]
        zone = await services.people.zone(request.team, request.user)
        mutes = await services.store.mutes.of_channel(request.team, request.channel)
        names = {value: label for label, value in listed} | {ALL: "everything"}
        now = [
            f"Muted now: {escape(names.get(one.target, one.target))} until {when(one.until)}"
            for one in mutes
            if one.until is not None and one.until > request.now
        ]
        blocks = [
            input_block("What", select(listed, initial=ALL), name=TARGET),
            input_block("How long", select(SPANS, initial="2h"), name=SPAN),
            input_block(
                "Until",
                text_field(placeholder="fri 9:00, tomorrow 9:00, 18:00"),
                name=UNTIL,
                optional=True,
                hint=f"In your time zone, {zone}. What happens meanwhile comes as one summary.",
            ),
            *([context(*now)] if now else []),
        ]
        return self.view(blocks, arguments)

    @override
    async def submit(
        self, values: Values, arguments: Mapping[str, str], request: Request, services: Services
    ) -> Answer:
        """Mute, as `mute` does."""
        span, until, what = text(values, SPAN), text(values, UNTIL), text(values, TARGET)
        if span == OTHER and not until:
            raise FieldError(UNTIL, "Until when?")
        if span != OTHER and until:
            raise FieldError(SPAN, "Choose “until the time below”, or leave the time out.")
        flags = {"until": (until,)} if span == OTHER else {"for": (span,)}
        target = Target() if what == ALL else Target(pipeline=what)
        try:
            return await mute(
                Mute(target=target, everything=what == ALL, ask=ParsedArgs(flags=flags)), request, services
            )
        except UsageError as exc:
            raise FieldError(UNTIL if span == OTHER else SPAN, _whole(exc)) from exc


class QuietForm(Form):
    """Quiet hours."""

    name = "quiet"
    title = "Quiet hours"
    submit_label = "Save"

    @override
    async def fill(self, arguments: Mapping[str, str], request: Request, services: Services) -> View:
        """Return the form with the hours as they are."""
        mutes = await services.store.mutes.of_channel(request.team, request.channel)
        hours = next((one.hours for one in mutes if one.hours), "")
        span, _, days = hours.partition(" ")
        zone = await services.people.zone(request.team, request.user)
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
        ]
        return self.view(blocks, arguments)

    @override
    async def submit(
        self, values: Values, arguments: Mapping[str, str], request: Request, services: Services
    ) -> Answer:
        """Set the hours or end them, as `quiet` does."""
        hours = re.sub(r"(?<!\s)\s*+[-–—]++\s*+", "-", text(values, HOURS))
        days = [day for day in DAY_NAMES if day in picked(values, WEEKDAYS)]
        if not hours and days:
            raise FieldError(HOURS, "From when to when?")
        if not hours:
            return await quiet(Quiet(hours=""), request, services)
        every = f" {','.join(days)}" if days and len(days) < len(DAY_NAMES) else ""
        try:
            asked = parse_quiet(f"{hours}{every}")
        except UsageError as exc:
            raise FieldError(HOURS, _whole(exc)) from exc
        return await quiet(asked, request, services)


def _days(words: str) -> list[str]:
    """Return the days that `mon-fri` or `sat,sun` names."""
    return [DAY_NAMES[day] for day in sorted(parse_days(words))] if words else []


def _whole(exc: UsageError) -> str:
    return f"{exc.message} {exc.hint or ''}".strip()
