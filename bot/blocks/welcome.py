"""The first words to the person who installed the bot."""

from bot.blocks.message import Message, section
from bot.blocks.text import code


def welcome(command: str) -> Message:
    """Return a checklist of three steps, each with what to type."""
    steps = (
        f"1. Connect a CI system: {code(f'{command} connect')}, or name it in the configuration file.",
        f"2. Invite me to a channel, and link a pipeline there: {code(f'{command} link <any page of it>')}",
        f"3. Start a build: {code(f'{command} run <pipeline>@main')}. {code(f'{command} help')} shows the rest.",
    )
    head = "Thank you for installing Buildbell. Three steps until your channels follow their builds:"
    return Message(text=" ".join((head, *steps)), blocks=(section("\n".join((head, *steps))),))
