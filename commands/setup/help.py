"""What can be typed: /build help [verb]."""

from dataclasses import dataclass

from bot.blocks.help import help_message, verb_help
from bot.blocks.message import Message, section
from bot.core.errors import UsageError
from commands.core.context import Answer, Context, Role
from commands.core.permissions import role_of
from commands.core.registry import Command, anyone

GROUPS = ("Look", "Act", "Follow", "Set up")


@dataclass(frozen=True, slots=True, kw_only=True)
class Args:
    """Help with which verb ("" for all); `dismiss` answers the Never mind button."""

    verb: str = ""
    dismiss: bool = False


def parse(words: str) -> Args:
    """Read the words after `help`."""
    if words.strip() == "--dismiss":
        return Args(dismiss=True)
    return Args(verb=words.strip().lower().lstrip("/"))


async def resolve(_args: Args, _context: Context) -> None:
    """Resolve nothing."""


async def run(args: Args, _resolved: None, context: Context) -> Answer:
    """Return the help of the channel, with the verbs that the person may use, or all there is about one verb."""
    if args.dismiss:
        text = "All right, nothing was done."
        return Answer(message=Message(text=text, blocks=(section(text),)), replace=True)
    if args.verb:
        return Answer(message=_of_verb(args.verb, context))
    role = await role_of(context)
    links = await context.store.links.of_channel(context.team, context.channel)
    shown = next((link for link in links if link.is_default), links[0] if links else None)
    groups = [
        (
            group,
            [
                (command.usage, command.summary)
                for command in context.services.registry.commands
                if command.group == group and command.role <= role
            ],
        )
        for group in GROUPS
    ]
    return Answer(
        message=help_message(
            [(group, verbs) for group, verbs in groups if verbs],
            channel_name=context.channel_name,
            example_pipeline=(shown.alias or shown.name) if shown else "",
            branch=(shown.branch or shown.default_branch) if shown else "",
            command=context.command,
        )
    )


def _of_verb(verb: str, context: Context) -> Message:
    command = context.services.registry.find(verb)
    if command is None:
        raise UsageError(f"I don't know `{verb}`.", hint=f"`{context.command} help` lists everything.")
    return verb_help(
        f"{context.command} {command.usage}",
        command.summary,
        command.flags,
        tuple(f"{context.command} {example}" for example in command.examples),
        aliases=command.aliases,
        inferred=command.inferred,
    )


COMMAND = Command(
    verb="help",
    usage="help [verb]",
    summary="What can be typed",
    role=Role.VIEW,
    group="Set up",
    parse=parse,
    resolve=resolve,
    authorize=anyone,
    run=run,
    aliases=("?", "h"),
    examples=("help", "help run"),
)
