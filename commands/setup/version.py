"""Which Buildbell this is: /build version."""

import importlib.metadata
from dataclasses import dataclass
from functools import cache

from bot.blocks.message import Message, section
from commands.core.context import Answer, Context, Role
from commands.core.registry import Command, anyone


@dataclass(frozen=True, slots=True)
class Args:
    """Nothing: the version takes no words."""


def parse(_words: str) -> Args:
    """Read nothing."""
    return Args()


async def resolve(_args: Args, _context: Context) -> None:
    """Resolve nothing."""


@cache
def installed_version() -> str:
    """Return the version of the installed package; its metadata are a file, read once."""
    return importlib.metadata.version("buildbell")


async def run(_args: Args, _resolved: None, _context: Context) -> Answer:
    """Return the version."""
    text = f"Buildbell {installed_version()}"
    return Answer(message=Message(text=text, blocks=(section(text),)))


COMMAND = Command(
    verb="version",
    usage="version",
    summary="Which Buildbell this is",
    role=Role.VIEW,
    group="Set up",
    parse=parse,
    resolve=resolve,
    authorize=anyone,
    run=run,
    examples=("version",),
)
