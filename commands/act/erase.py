"""Erase a build's logs and artifacts: /build erase <build>."""

from dataclasses import dataclass

from bot.blocks.text import escape
from bot.core.errors import UsageError
from bot.providers.base.capabilities import Capability
from commands.core import actions as acting
from commands.core.context import Answer, Command, Request, Role, Services
from commands.core.grammar import ParsedArgs, Target, read
from commands.core.permissions import require
from commands.core.resolve import build

USAGE = "erase <build>"


@dataclass(frozen=True, slots=True)
class Erase:
    """Which build."""

    target: Target
    ask: ParsedArgs


def parse(words: str) -> Erase:
    """Read the words after `erase`. Raises UsageError."""
    ask = read(words, switches=("yes",))
    target = ask.target()
    if len(ask.words) > 1 or (target.build is None and target.id is None and target.url is None):
        raise UsageError("Which build? Its logs and artifacts will be gone.", usage=USAGE)
    return Erase(target=target, ask=ask)


async def run(ask: Erase, request: Request, services: Services) -> Answer:
    """Erase after asking; there is no way back."""
    found = await build(ask.target, request, services, acting=True, verb="erase")
    acting.must_be_able(found.place, Capability.ERASE, found.build)
    await require(
        Role.APPROVE,
        f"Erasing builds of *{escape(found.place.label)}*",
        request,
        services,
        found.place,
        found.build.branch or found.build.tag,
    )
    name = found.name
    if not ask.ask.has("yes"):
        words = f"erase {found.spoken}"
        return acting.asks_first(f"Erase {name}?", "Its logs and artifacts will be gone for good.", words, yes="Erase")
    if not await acting.first_click(f"erase {found.build.key}", request, services):
        return Answer(silent=True)
    after = await found.provider.erase(found.build.pipeline, found.build.id)
    await acting.look_again(after, found.place, services, request)
    return acting.public_line(
        f"{acting.who(request)} erased the logs and artifacts of {escape(name)}", after, found.place
    )


COMMAND = Command(
    verb="erase",
    usage=USAGE,
    summary="Delete a build's logs and artifacts",
    role=Role.APPROVE,
    group="Act",
    parse=parse,
    run=run,
    examples=("erase #412", "erase backend#412"),
)
