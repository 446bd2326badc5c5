"""What can be typed: /build help [verb], /build version."""

import importlib.metadata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from bot.blocks.help import help_message, verb_help
from bot.blocks.message import Message, section
from bot.core.errors import UsageError
from commands.core.context import Answer, Command, Request, Role, Services
from commands.core.permissions import role_of

GROUPS = ("Look", "Act", "Follow", "Set up")


@dataclass(frozen=True, slots=True)
class Help:
    """Help with which verb; "" for all."""

    verb: str
    dismiss: bool = False


def parse(words: str) -> Help:
    """Read the words after `help`."""
    return Help(verb=words.strip().lower().lstrip("/"), dismiss=words.strip() == "--dismiss")


def make(table: Callable[[], Sequence[Command[Any]]], find: Callable[[str], Command[Any] | None]) -> Command[Help]:
    """Return the help verb for a table of verbs."""

    async def run(ask: Help, request: Request, services: Services) -> Answer:
        if ask.dismiss:
            said = "All right, nothing was done."
            return Answer(message=Message(text=said, blocks=(section(said),)), replace=True)
        if ask.verb:
            command = find(ask.verb)
            if command is None:
                raise UsageError(f"I don't know `{ask.verb}`.", hint=f"`{services.command} help` lists everything.")
            return Answer(
                message=verb_help(
                    f"{services.command} {command.usage}",
                    command.summary,
                    command.flags,
                    tuple(f"{services.command} {example}" for example in command.examples),
                    aliases=command.aliases,
                    inferred=command.inferred,
                )
            )
        role = await role_of(request, services)
        links = await services.store.links.of_channel(request.team, request.channel)
        shown = next((link for link in links if link.is_default), links[0] if links else None)
        groups = [
            (
                group,
                [
                    (command.usage, command.summary)
                    for command in table()
                    if command.group == group and command.role <= role
                ],
            )
            for group in GROUPS
        ]
        return Answer(
            message=help_message(
                [(group, verbs) for group, verbs in groups if verbs],
                channel_name=request.channel_name,
                example_pipeline=(shown.alias or shown.name) if shown else "",
                branch=(shown.branch or shown.default_branch) if shown else "",
                command=services.command,
            )
        )

    return Command(
        verb="help",
        usage="help [verb]",
        summary="What can be typed",
        role=Role.VIEW,
        group="Set up",
        parse=parse,
        run=run,
        aliases=("?", "h"),
        examples=("help", "help run"),
    )


async def _version(_ask: str, _request: Request, _services: Services) -> Answer:
    said = f"Buildbell {importlib.metadata.version('buildbell')}"
    return Answer(message=Message(text=said, blocks=(section(said),)))


VERSION: Command[str] = Command(
    verb="version",
    usage="version",
    summary="Which Buildbell this is",
    role=Role.VIEW,
    group="Set up",
    parse=lambda words: words,
    run=_version,
    examples=("version",),
)
