"""Whether the bot can post into a channel, asked before something is set up there."""

import logging

from bot.core.errors import UsageError
from bot.slack.sender import GONE, SlackError
from commands.core.context import Context, Source

log = logging.getLogger(__name__)


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
