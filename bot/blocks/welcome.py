"""The checklist of the person who installed the bot: three steps, ticked off as they are done."""

from collections.abc import Collection
from enum import StrEnum

from bot.blocks.message import Message, section
from bot.blocks.message import context as small_print
from bot.blocks.text import code


class Step(StrEnum):
    """What has to be done once until a workspace's channels follow their builds."""

    CONNECT = "connect"
    LINK = "link"
    RUN = "run"


def checklist_lines(command: str, done: Collection[Step]) -> list[str]:
    """Return the three steps as mrkdwn, each with what to type."""
    words = {
        Step.CONNECT: f"Connect a CI system: {code(f'{command} connect')}, or name it in the configuration file.",
        Step.LINK: f"Invite me to a channel, and link a pipeline there: {code(f'{command} link <any page of it>')}",
        Step.RUN: f"Start a build: {code(f'{command} run <pipeline>@main')}",
    }
    return [f"{'✓' if step in done else '◌'} {words[step]}" for step in Step]


def welcome(command: str, done: Collection[Step] = ()) -> Message:
    """Return the checklist with the steps that are done ticked off."""
    lines = checklist_lines(command, done)
    if set(done) >= set(Step):
        head = "All three steps are done: your channels follow their builds."
    else:
        head = "Thank you for installing Buildbell. Three steps until your channels follow their builds:"
    text = "\n".join((head, *lines))
    more = small_print(f"This list ticks itself off. {code(f'{command} help')} shows the rest.")
    return Message(text=text, blocks=(section(text), more))
