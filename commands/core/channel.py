"""Channels as commands need them: whether the bot can post there, and in which one an act from elsewhere is judged."""

import logging
from collections.abc import Iterable, Mapping
from typing import Any

from bot.blocks.message import Block
from bot.core.errors import UsageError
from bot.core.models import Build
from bot.core.refs import refs_of_build
from bot.slack.sender import GONE, SlackError
from bot.store.rows import LinkRow
from commands.core.context import Context, Role, Source
from commands.core.permissions import role_of
from commands.core.resolve import match_of_link

log = logging.getLogger(__name__)

_JUDGED_IN = "in:"
MOST_CHANNELS = 8
"""In how many channels of a pipeline a person's role is looked up."""


async def must_be_reachable(context: Context, again: str) -> None:
    """Raise UsageError, with the invitation to type, where the bot is not in a private channel (one request).

    `again` is the command that the button repeats after the invitation. Public channels and direct messages are
    reachable without one. Where Slack does not answer, nothing is refused.
    """
    if context.is_direct or context.source is Source.TERMINAL:
        return
    try:
        info = await context.services.sender.call(context.team, "conversations.info", {"channel": context.channel})
    except SlackError as exc:
        if exc.code not in GONE:
            log.info("Slack did not describe a channel", extra={"code": exc.code})
            return
    else:
        channel = info.get("channel")
        if not isinstance(channel, dict) or not channel.get("is_private") or channel.get("is_member", True):
            return
    raise UsageError(
        "I am not in this private channel, so I could post nothing here. Nothing was set up.",
        hint="Type `/invite @Buildbell` here first.",
        choices=(("Try again", again),),
    )


async def channel_to_decide_in(build: Build, links: Iterable[LinkRow], role: Role, context: Context) -> str | None:
    """Return the channel in which a person holds a role on a build: the present one, else one that follows its pipeline.

    None where they hold it nowhere. `links` are those of the workspace. Costs what `role_of` costs for each channel.
    """
    refs = refs_of_build(build)
    following = [link for link in links if (link.connection, link.pipeline) == (build.connection, build.pipeline)]
    pipeline = match_of_link(following[0], context) if following else None
    if await role_of(context, pipeline, refs) >= role:
        return context.channel
    for link in following[:MOST_CHANNELS]:
        if await role_of(context.in_channel(link.channel), match_of_link(link, context), refs) >= role:
            return link.channel
    return None


def judged_in(row: Block, channel: str, mark: str) -> Block:
    """Return a row of buttons whose acts are judged in a channel, wherever it is shown; `mark` is unique in its view."""
    return {**row, "block_id": f"{_JUDGED_IN}{channel}:{mark}"[:255]} if channel else row


def channel_of_row(action: Mapping[str, Any]) -> str:
    """Return the channel that a pressed button's row is judged in, "" for one that says none."""
    block = str(action.get("block_id") or "")
    return block.removeprefix(_JUDGED_IN).partition(":")[0] if block.startswith(_JUDGED_IN) else ""
