"""Follow a pipeline in person: /build follow [target] [filters], /build unfollow [target]."""

from dataclasses import dataclass

from bot.blocks.message import Message, section
from bot.blocks.text import escape, harmless
from bot.core.errors import UsageError
from bot.notifications.filters import make_filter, read_filter
from bot.store.tables import WatchRow
from commands.core.context import Answer, Command, Request, Role, Services
from commands.core.grammar import ParsedArgs, Target, read
from commands.core.resolve import place
from commands.follow.subscribe import FILTERS, filters_given

FOLLOW_USAGE = "follow [target] [all|edges|failures] [--on EVENTS] [--branch GLOBS]"
UNFOLLOW_USAGE = "unfollow [target|all]"


@dataclass(frozen=True, slots=True)
class Follow:
    """Which pipeline, heard how."""

    target: Target
    given: dict[str, list[str]]
    everything: bool = False


def parse(words: str) -> Follow:
    """Read the words after `follow` or `unfollow`. Raises UsageError."""
    ask = read(words, values=FILTERS)
    given, rest = filters_given(ask)
    make_filter({name: list(values) for name, values in given.items()})
    if len(rest) > 1:
        raise UsageError(f"I don't know what `{rest[1]}` should be.", usage=FOLLOW_USAGE)
    everything = bool(rest) and rest[0].lower() == "all"
    target = Target() if everything else ParsedArgs(words=tuple(rest), flags=ask.flags).target()
    return Follow(target=target, given=given, everything=everything)


async def follow(ask: Follow, request: Request, services: Services) -> Answer:
    """Tell the person by direct message what they chose of a pipeline; without a filter, changes only."""
    where = await place(ask.target, request, services, acting=False, verb="follow")
    wanted = make_filter({name: list(values) for name, values in (ask.given or {"on": ["edges"]}).items()})
    if not wanted.branches and where.branch:
        wanted = read_filter(f"{wanted.words()} --branch {where.branch}")
    mine = await services.store.watches.of_user(request.team, request.user)
    for row in mine:
        if (row.connection, row.pipeline, row.build) == (where.connection, where.pipeline, ""):
            await services.store.watches.delete(row.id or 0)
    await services.store.watches.add(
        WatchRow(
            team=request.team,
            channel=request.user,
            user=request.user,
            connection=where.connection,
            pipeline=where.pipeline,
            filters=wanted.words(),
            why="follow",
            created_at=request.now,
        )
    )
    await services.store.polling.ensure(where.connection, where.provider.poll_target(where.pipeline), now=request.now)
    services.wake_poller()
    return _said(
        f"You follow {escape(where.label)}: I'll tell you {harmless(wanted.in_words(''), styles=False)} by direct message."
    )


async def unfollow(ask: Follow, request: Request, services: Services) -> Answer:
    """Stop following a pipeline, or everything."""
    mine = [row for row in await services.store.watches.of_user(request.team, request.user) if not row.build]
    if ask.everything or ask.target.empty:
        gone = mine
        label = "anything"
    else:
        where = await place(ask.target, request, services, acting=False, verb="unfollow")
        gone = [row for row in mine if (row.connection, row.pipeline) == (where.connection, where.pipeline)]
        label = where.label
    for row in gone:
        await services.store.watches.delete(row.id or 0)
    return _said(f"You no longer follow {escape(label)}." if gone else f"You did not follow {escape(label)}.")


def _said(text: str) -> Answer:
    return Answer(message=Message(text=text, blocks=(section(text),)))


FOLLOW = Command(
    verb="follow",
    usage=FOLLOW_USAGE,
    summary="Hear of a pipeline by direct message",
    role=Role.VIEW,
    group="Follow",
    parse=parse,
    run=follow,
    acts=lambda _ask: True,
    examples=("follow web", "follow nightly failures --branch main"),
    inferred="changes only, on the default branch",
)
UNFOLLOW = Command(
    verb="unfollow",
    usage=UNFOLLOW_USAGE,
    summary="Stop following",
    role=Role.VIEW,
    group="Follow",
    parse=parse,
    run=unfollow,
    acts=lambda _ask: True,
    examples=("unfollow web", "unfollow all"),
)
