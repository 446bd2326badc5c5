"""What waits for a build to pass: /build chains [list | remove N]."""

from collections.abc import Sequence
from dataclasses import dataclass

from bot.blocks.message import Message, sections
from bot.blocks.text import Markup, code, escape
from bot.core.errors import UsageError
from commands.core import actions
from commands.core.context import Answer, Context, Role
from commands.core.grammar import read
from commands.core.permissions import Requirement
from commands.core.registry import Command

USAGE = "chains [list | remove N]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Args:
    """Which chained command to remove; None lists them."""

    number: int | None = None
    confirmed: bool = False


def parse(words: str) -> Args:
    """Read the words after `chains`. Raises UsageError."""
    parsed = read(words, switches=("yes",))
    match [word.lower() for word in parsed.words]:
        case [] | ["list"]:
            return Args()
        case ["remove", number] if number.isdecimal() and len(number) <= 9:
            return Args(number=int(number), confirmed=parsed.has("yes"))
        case _:
            raise UsageError("Which one? `/build chains` shows their numbers.", usage=USAGE)


def authorize(args: Args, _resolved: None, _context: Context) -> Sequence[Requirement]:
    """Require the runner's role to remove one."""
    return () if args.number is None else (Requirement(role=Role.RUN, doing="Removing chained commands"),)


async def run(args: Args, _resolved: None, context: Context) -> Answer:
    """List what waits for builds in this conversation, or remove one; somebody else's after a question."""
    channel = context.channel or context.user
    rows = await context.store.chains.of_channel(context.team, channel)
    if args.number is None:
        lines = [
            f"*{row.id}* · {code(row.command)} when {escape(row.label)} has passed · by <@{row.user}>" for row in rows
        ]
        text = "\n".join(lines) or "No command waits for a build here."
        return Answer(message=Message(text=text, blocks=sections(lines or [text])))
    row = next((row for row in rows if row.id == args.number), None)
    if row is None:
        raise UsageError(f"No command {args.number} waits for a build here.")
    if row.user != context.user and not args.confirmed:
        effect = Markup(f"<@{row.user}> chained {code(row.command)} to {escape(row.label)}.")
        return actions.asks_first(f"Remove {row.id}?", effect, f"chains remove {row.id}", yes="Remove it")
    if not await context.store.chains.remove(row.id, context.team, channel):
        raise UsageError(f"{args.number} does not wait any more: its build has ended.")
    return actions.public_line(
        f"{actions.actor(context)} removed {code(row.command)} of <@{row.user}>, which waited for {escape(row.label)}"
    )


COMMAND = Command(
    verb="chains",
    usage=USAGE,
    summary="Commands that wait for a build to pass",
    role=Role.RUN,
    group="Act",
    parse=parse,
    authorize=authorize,
    run=run,
    acts=lambda args: args.number is not None,
    examples=("chains", "chains remove 3"),
    inferred="the list; `run … --then` and `run … --when green` add to it",
    is_dangerous=True,
)
