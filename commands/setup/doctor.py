"""What is wrong, and how to mend it: /build doctor."""

from collections.abc import Sequence
from dataclasses import dataclass

from bot.blocks.message import Message, sections
from bot.blocks.text import harmless
from commands.core.checkup import Level, checkup, database, keys, verdict
from commands.core.context import Answer, Context, Role
from commands.core.grammar import read, unexpected
from commands.core.permissions import Requirement
from commands.core.registry import Command

USAGE = "doctor"
MARKS = {Level.FINE: "✓", Level.WARNING: "⚠", Level.PROBLEM: "✕"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Args:
    """Nothing: everything is checked."""


def parse(words: str) -> Args:
    """Read the words after `doctor`. Raises UsageError."""
    parsed = read(words)
    if parsed.words:
        raise unexpected(parsed.words[0], "", USAGE)
    return Args()


async def resolve(_args: Args, _context: Context) -> None:
    """Resolve nothing."""


def authorize(_args: Args, _resolved: None, _context: Context) -> Sequence[Requirement]:
    """Require an admin of the whole workspace: the checks name every linked channel."""
    return (Requirement(role=Role.ADMIN, doing="Checking the bot", everywhere=True),)


async def run(_args: Args, _resolved: None, context: Context) -> Answer:
    """Check Slack, the linked channels, the connections and what waits; the worst first, one line at the end."""
    services = context.services
    findings = [await database(services), *keys(services)]
    findings += await checkup(services, [context.team], context.providers())
    lines = [
        f"{MARKS[finding.level]} *{harmless(finding.what, styles=False)}*: {harmless(finding.message)}"
        f"{f' → {harmless(finding.fix)}' if finding.fix else ''}"
        for finding in sorted(findings, key=lambda finding: -finding.level)
    ]
    end = verdict(findings)
    return Answer(message=Message(text=end, blocks=sections([*lines, f"*{harmless(end, styles=False)}*"])))


COMMAND = Command(
    verb="doctor",
    usage=USAGE,
    summary="What is wrong, and how to mend it",
    role=Role.ADMIN,
    group="Set up",
    parse=parse,
    resolve=resolve,
    authorize=authorize,
    run=run,
    acts=lambda _args: False,
    examples=("doctor",),
)
