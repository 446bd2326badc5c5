"""What a channel hears of a pipeline: /build subscribe [target] [filters], /build unsubscribe [target]."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bot.blocks.text import escape, harmless, plural
from bot.core.errors import UsageError
from bot.notifications.filters import PRESETS, Filter, filter_of, make_filter
from bot.store.switches import Switch
from bot.store.tables import LinkRow
from commands.core import actions as acting
from commands.core.context import Answer, Command, Request, Role, Services
from commands.core.forms import can_open, opening
from commands.core.grammar import ParsedArgs, Target, read
from commands.core.permissions import require
from commands.core.resolve import PipelineMatch, place
from commands.follow.replay import posted, replayed

USAGE = "subscribe [target] [all|edges|failures|release|quiet] [--on EVENTS] [--branch GLOBS] [--preview]"
FILTERS = ("on", "branch", "trigger", "by", "min-streak", "min-delta", "mention")


@dataclass(frozen=True, slots=True)
class Subscribe:
    """Which pipeline, heard how."""

    target: Target
    ask: ParsedArgs
    given: dict[str, list[str]]


def parse(words: str) -> Subscribe:
    """Read the words after `subscribe`. Raises UsageError."""
    ask = read(words, values=(*FILTERS, "reactions"), switches=("preview",))
    if ask.has("reactions") and ask.flag("reactions") not in {"on", "off"}:
        raise UsageError("`--reactions` is `on` or `off`.", usage=USAGE)
    given, rest = filters_given(ask)
    if len(rest) > 1:
        raise UsageError(f"I don't know what `{rest[1]}` should be.", usage=USAGE)
    make_filter({name: list(values) for name, values in given.items()})
    return Subscribe(target=ParsedArgs(words=tuple(rest), flags=ask.flags).target(), ask=ask, given=given)


def filters_given(ask: ParsedArgs) -> tuple[dict[str, list[str]], list[str]]:
    """Return the filter that flags and a preset's name among the words ask for, and the words that are left."""
    given = {
        name: [part for value in ask.flags[name] for part in value.split(",") if part]
        for name in FILTERS
        if ask.has(name)
    }
    presets = [word for word in ask.words if word.lower() in PRESETS]
    if presets:
        given.setdefault("on", [presets[-1].lower()])
    return given, [word for word in ask.words if word.lower() not in PRESETS]


async def run(ask: Subscribe, request: Request, services: Services) -> Answer:
    """Change what the channel hears; without filters a form opens, or where none can, say what it hears now."""
    if ask.ask.has("reactions"):
        return await _reactions(ask.ask.flag("reactions") == "on", request, services)
    if not ask.given and not ask.ask.has("preview") and can_open(request):
        return Answer(form=opening("subscribe", request, pipeline=ask.target.pipeline or ask.target.url or ""))
    where, row = await _linked(ask.target, request, services, "subscribe")
    await require(Role.RUN, "Choosing what this channel hears", request, services, where)
    before = filter_of(row)
    wanted = merged(before, ask.given)
    default = row.branch or row.default_branch
    count = len(posted(await replayed(row, request, services, starters=bool(wanted.by)), row, wanted))
    if ask.ask.has("preview"):
        return acting.public_line(
            f"{escape(where.label)} with this filter: {harmless(wanted.in_words(default), styles=False)}. It would have posted {plural(count, 'time')} in the last 7 days.",
            place=where,
        )
    await services.store.links.update(row.id or 0, filters=wanted.words(), subscribed=True)
    return acting.public_line(
        f"{acting.who(request)} set what this channel hears of {escape(where.label)}: {harmless(wanted.in_words(default), styles=False)}. "
        f"It would have posted {plural(count, 'time')} in the last 7 days.",
        place=where,
    )


async def _reactions(wanted: bool, request: Request, services: Services) -> Answer:  # noqa: FBT001
    await require(Role.RUN, "Choosing what reactions do here", request, services)
    await services.store.switches.set(request.team, request.channel, Switch.REACTIONS, on=wanted)
    if not wanted:
        return acting.public_line(f"{acting.who(request)} made reactions on cards mean nothing here")
    return acting.public_line(
        f"{acting.who(request)} made reactions on cards act here: :repeat: retries, :eyes: watches, :no_bell: mutes for 2 h"
    )


def merged(before: Filter, given: Mapping[str, Sequence[str]]) -> Filter:
    """Return a filter with some conditions replaced; an empty one is dropped. Raises UsageError."""
    kept: dict[str, list[str]] = {
        "on": list(before.events) or [before.preset],
        "branch": list(before.branches),
        "trigger": list(before.triggers),
        "by": list(before.by),
        "min-delta": [f"{name}:{least}" for name, least in before.min_delta],
        "min-streak": [str(before.min_streak)],
        "mention": [before.mention] if before.mention else [],
    }
    kept.update({name: list(values) for name, values in given.items()})
    return make_filter({name: values for name, values in kept.items() if values})


async def unsubscribe(ask: Subscribe, request: Request, services: Services) -> Answer:
    """Hear nothing more of a pipeline; the link stays, so that commands still find it."""
    where, row = await _linked(ask.target, request, services, "unsubscribe")
    await require(Role.RUN, "Choosing what this channel hears", request, services, where)
    await services.store.links.update(row.id or 0, subscribed=False)
    return acting.public_line(
        f"{acting.who(request)} unsubscribed this channel from {escape(where.label)}. It is still linked.", place=where
    )


async def _linked(target: Target, request: Request, services: Services, verb: str) -> tuple[PipelineMatch, LinkRow]:
    where = await place(target, request, services, acting=True, verb=verb)
    if where.link is None:
        raise UsageError(
            f"{where.label} is not linked to this channel.", hint=f"First: `{services.command} link {where.spoken()}`."
        )
    return where, where.link


SUBSCRIBE = Command(
    verb="subscribe",
    usage=USAGE,
    summary="Choose what this channel hears",
    role=Role.RUN,
    group="Follow",
    parse=parse,
    run=run,
    aliases=("sub", "settings"),
    flags=(
        ("--on EVENTS", "a preset or events: passed, failed, broken, fixed, blocked, …"),
        ("--branch GLOBS", "branches such as main,release/*; !glob leaves out"),
        ("--trigger WORDS", "push, merge_request, api, cron, web"),
        ("--by NAMES", "who started it; bot; !name leaves out"),
        ("--min-streak N", "still failing: only from the n-th failure in a row"),
        ("--min-delta NAME:N", "only when a count grew, such as warnings:1"),
        ("--mention WHO", "whom to mention when it newly breaks: author (the usual), @user, @group, none"),
        ("--reactions on|off", "whether :repeat: :eyes: :no_bell: on a card retry, watch and mute here (off)"),
        ("--preview", "only say how often it would have posted"),
    ),
    examples=(
        "subscribe web edges",
        "subscribe nightly --on failed,fixed --branch main,release/*",
        "subscribe web all --preview",
    ),
    inferred="the channel's default pipeline; without filters a form opens",
)
UNSUBSCRIBE = Command(
    verb="unsubscribe",
    usage="unsubscribe [target]",
    summary="Hear nothing more of a pipeline",
    role=Role.RUN,
    group="Follow",
    parse=parse,
    run=unsubscribe,
    examples=("unsubscribe web",),
)
