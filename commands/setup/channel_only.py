"""Commands that are about a channel's set-up."""

from bot.core.errors import UsageError
from commands.core.context import Context


def must_be_in_channel(context: Context) -> None:
    """Raise UsageError where the conversation is the person's own with the bot."""
    if context.is_direct:
        raise UsageError("That is about a channel's set-up.", hint="Type it in the channel.")
