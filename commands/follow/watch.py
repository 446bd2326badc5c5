"""Hear the end of one build: /build watch [target], /build unwatch [target]."""

from dataclasses import dataclass

from bot.blocks.message import Message, section
from bot.blocks.text import escape
from bot.core.errors import UsageError
from bot.store.tables import WatchRow
from commands.core.context import Answer, Command, Request, Role, Services
from commands.core.grammar import ParsedArgs, Target, read
from commands.core.resolve import BuildMatch, build

WATCH_USAGE = "watch [target] [--here]"
UNWATCH_USAGE = "unwatch [target|all]"


@dataclass(frozen=True, slots=True)
class Watch:
    """Which build, and where to tell."""

    target: Target
    ask: ParsedArgs


def parse(words: str) -> Watch:
    """Read the words after `watch` or `unwatch`. Raises UsageError."""
    ask = read(words, switches=("here",))
    if len(ask.words) > 1:
        raise UsageError("I watch one build at a time.", usage=WATCH_USAGE)
    everything = bool(ask.words) and ask.words[0].lower() == "all"
    return Watch(target=Target(scope="all") if everything else ask.target(), ask=ask)


async def watch(ask: Watch, request: Request, services: Services) -> Answer:
    """Remember to tell the person by direct message (or here) when the build ends."""
    found = await build(ask.target, request, services, acting=False, verb="watch", default="running")
    if found.build.completed:
        word = found.build.conclusion.value if found.build.conclusion else "over"
        raise UsageError(f"{_name(found)} is already {word}.")
    channel = request.channel if ask.ask.has("here") else request.user
    await services.store.recording.record([found.build], lambda _batch: (), now=request.now, counts_after=None)
    added = await services.store.watches.add(
        WatchRow(
            team=request.team,
            channel=channel,
            user=request.user,
            connection=found.build.connection,
            pipeline=found.build.pipeline,
            build=found.build.id,
            why="asked",
            created_at=request.now,
        )
    )
    await services.store.polling.ensure(
        found.place.connection, found.provider.poll_target(found.build.pipeline), now=request.now
    )
    services.wake_poller()
    where = "here" if ask.ask.has("here") else "by direct message"
    said = (
        f"I'll tell you {where} when {escape(_name(found))} ends."
        if added
        else f"You watch {escape(_name(found))} already."
    )
    return _answer(said, found)


async def unwatch(ask: Watch, request: Request, services: Services) -> Answer:
    """Forget a watch, or all of the person's."""
    mine = [row for row in await services.store.watches.of_user(request.team, request.user) if row.build]
    if ask.target.scope == "all" or ask.target.empty:
        for row in mine:
            await services.store.watches.delete(row.id or 0)
        said = f"You watch nothing any more ({len(mine)} forgotten)." if mine else "You watched nothing."
        return Answer(message=Message(text=said, blocks=(section(said),)))
    found = await build(ask.target, request, services, acting=False, verb="unwatch", default="running")
    gone = [
        row
        for row in mine
        if (row.connection, row.pipeline, row.build) == (found.build.connection, found.build.pipeline, found.build.id)
    ]
    for row in gone:
        await services.store.watches.delete(row.id or 0)
    return _answer(f"You {'no longer' if gone else 'did not'} watch {escape(_name(found))}.", found)


def _answer(said: str, found: BuildMatch) -> Answer:
    return Answer(
        message=Message(text=said, blocks=(section(said),)),
        connection=found.build.connection,
        pipeline=found.build.pipeline,
        build=found.build.id,
    )


def _name(found: BuildMatch) -> str:
    return f"{found.place.label} #{found.build.number}" if found.build.number is not None else found.place.label


WATCH = Command(
    verb="watch",
    usage=WATCH_USAGE,
    summary="Tell me when a build ends",
    role=Role.VIEW,
    group="Follow",
    parse=parse,
    run=watch,
    flags=(("--here", "tell the channel, not me alone"),),
    acts=lambda _ask: True,
    examples=("watch", "watch #412", "watch web#running --here"),
    inferred="the newest running build",
)
UNWATCH = Command(
    verb="unwatch",
    usage=UNWATCH_USAGE,
    summary="Forget a watch",
    role=Role.VIEW,
    group="Follow",
    parse=parse,
    run=unwatch,
    acts=lambda _ask: True,
    examples=("unwatch #412", "unwatch all"),
)
