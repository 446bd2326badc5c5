"""Build the same again as a new build: /build rebuild [target] [KEY=VALUE …]."""

from dataclasses import dataclass

from bot.blocks.text import escape
from bot.core.errors import UsageError
from bot.core.models import StartRequest
from bot.providers.base.capabilities import Capability
from commands.core import actions as acting
from commands.core.context import Answer, Command, Request, Role, Services
from commands.core.grammar import ParsedArgs, Target, read
from commands.core.resolve import build

USAGE = "rebuild [target] [KEY=VALUE …]"


@dataclass(frozen=True, slots=True)
class Rebuild:
    """Which build, and the values to replace."""

    target: Target
    ask: ParsedArgs


def parse(words: str) -> Rebuild:
    """Read the words after `rebuild`. Raises UsageError."""
    ask = read(words, switches=("yes",), parameters=True)
    if len(ask.words) > 1:
        raise UsageError(f"I don't know what `{ask.words[1]}` should be.", usage=USAGE)
    return Rebuild(target=ask.target(), ask=ask)


async def run(ask: Rebuild, request: Request, services: Services) -> Answer:
    """Start the new build and post its card; says so where it builds another commit than the old one."""
    found = await build(ask.target, request, services, acting=True, verb="rebuild")
    acting.must_be_able(found.place, Capability.REBUILD, found.build)
    await acting.may_act_on(found, f"Rebuilding *{escape(found.place.label)}*", request, services)
    if not await acting.first_click(f"rebuild {found.build.key}", request, services):
        return Answer(silent=True)
    name = await services.people.name(request.team, request.user)
    wanted = StartRequest(parameters=dict(ask.ask.parameters), requested_by=name)
    after = await found.provider.rebuild(found.build.pipeline, found.build.id, wanted)
    old = f"#{found.build.number}" if found.build.number is not None else "a build"
    new = f" as #{after.number}" if after.number is not None and after.number != found.build.number else ""
    headline = f"{acting.who(request)} rebuilt {old} of {escape(found.place.label)}{new}"
    if after.commit and found.build.commit and after.commit != found.build.commit:
        headline += f" - at the branch's present commit {after.commit[:8]}, not {found.build.commit[:8]}"
    return await acting.announce(after, found.place, request, services, headline=headline)


COMMAND = Command(
    verb="rebuild",
    usage=USAGE,
    summary="Build the same again, as a new build",
    role=Role.RUN,
    group="Act",
    parse=parse,
    run=run,
    examples=("rebuild", "rebuild #412", "rebuild web#last DEPLOY=false"),
    inferred="the last build",
)
