"""A channel's set-up as a YAML file: /build export."""

from collections.abc import Sequence
from dataclasses import dataclass

from commands.core.context import Answer, Context, File, Role
from commands.core.grammar import read, unexpected
from commands.core.permissions import Requirement
from commands.core.registry import Command
from commands.setup.channel_only import must_be_in_channel
from commands.setup.config import written
from commands.setup.plan import stored

USAGE = "export"


@dataclass(frozen=True, slots=True, kw_only=True)
class Args:
    """Nothing to choose."""


def parse(words: str) -> Args:
    """Read the words after `export`. Raises UsageError."""
    if extra := read(words).words:
        raise unexpected(extra[0], "", USAGE)
    return Args()


def authorize(_args: Args, _resolved: None, _context: Context) -> Sequence[Requirement]:
    """Require an admin."""
    return (Requirement(role=Role.ADMIN, doing="Exporting this channel's set-up"),)


async def run(_args: Args, _resolved: None, context: Context) -> Answer:
    """Send the links with their filters and presets, the roles and the schedules of the channel as a file."""
    must_be_in_channel(context)
    text = written((await stored(context)).document)
    name = f"buildbell-{context.channel_name or context.channel}.yaml"
    return Answer(file=File(name=name, content=text.encode(), title=f"Set-up of {context.here}", private=True))


COMMAND = Command(
    verb="export",
    usage=USAGE,
    summary="This channel's links, filters, presets, roles and schedules as YAML",
    role=Role.ADMIN,
    group="Set up",
    parse=parse,
    authorize=authorize,
    run=run,
    examples=("export",),
    inferred="the file comes to you by direct message",
)
