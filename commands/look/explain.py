"""Why something was posted or not: /build explain [build]."""

from dataclasses import dataclass

from bot.blocks.message import Message, section, sections
from bot.blocks.text import bold, harmless, when
from bot.store.rows import NotificationRow
from commands.core.context import Answer, Context, Role
from commands.core.grammar import Target, read
from commands.core.matches import BuildMatch
from commands.core.registry import Command, anyone
from commands.core.resolve import resolve_build

USAGE = "explain [build]"
EVENTS = {
    "started": "the live card",
    "finished": "its end",
    "blocked": "its open approval",
    "reminder": "the reminder of its approval",
    "decided": "the decision about its approval",
    "summary": "a summary",
    "digest": "a digest",
    "corrected": "a correction of what was posted",
    "stuck": "that it is stuck",
    "slow": "that it is slow",
    "queued-long": "that it waits long for a machine",
    "escalated": "the call for somebody to look after it",
    "unfixed": "the call that it is not fixed",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Args:
    """Which build."""

    target: Target
    public: bool = False


def parse(words: str) -> Args:
    """Read the words after `explain`. Raises UsageError."""
    parsed = read(words, switches=("public",))
    return Args(target=parsed.only_target(USAGE), public=parsed.public)


async def resolve(args: Args, context: Context) -> BuildMatch:
    """Return the build named, else the last one."""
    return await resolve_build(args.target, context, acting=False, verb="explain")


async def run(args: Args, match: BuildMatch, context: Context) -> Answer:
    """Return every decision that was made about a build in this workspace, with its reason."""
    rows = [
        row
        for row in await context.store.notifications.of_build(match.build.key, context.team)
        if row.channel in {context.channel, context.user} or not row.channel.startswith(("D", "U", "W"))
    ]
    lines = [_line(row, context) for row in rows] or [await _nothing_decided(match, context)]
    text = f"Why {match.name} was (not) posted"
    message = Message(text=text, blocks=(section(bold(match.name)), *sections(lines)))
    return Answer(message=message, public=args.public)


def _line(row: NotificationRow, context: Context) -> str:
    what = EVENTS.get(row.event, row.event)
    if row.channel == context.channel:
        place = "here"
    else:
        place = f"in <#{row.channel}>" if row.channel.startswith(("C", "G")) else "by direct message"
    return f"• {what} (attempt {row.attempt_no}) {place}: {_fate(row)}, because {harmless(row.reason, styles=False)}"


def _fate(row: NotificationRow) -> str:
    match row.state:
        case "sent":
            return f"posted {when(row.sent_at)}" if row.sent_at else "posted"
        case "silent":
            return "not posted"
        case "held":
            return "held back"
        case "failed":
            return "could not be posted"
        case _:
            return "about to be posted"


async def _nothing_decided(match: BuildMatch, context: Context) -> str:
    stored = await context.store.builds.get(match.build.key)
    links = await context.store.links.of_pipeline(match.build.connection, match.build.pipeline)
    if not any(link.team == context.team for link in links):
        return "Nothing was decided: no channel of this workspace follows the pipeline."
    if stored is None or not stored[0].completed:
        return "Nothing has been decided yet: I have not seen its end."
    return "Nothing was decided: it ended before the pipeline was linked."


COMMAND = Command(
    verb="explain",
    names_target=True,
    usage=USAGE,
    summary="Why something was posted, or not",
    role=Role.VIEW,
    group="Look",
    parse=parse,
    resolve=resolve,
    authorize=anyone,
    run=run,
    examples=("explain #412", "explain web#last"),
    inferred="the last build",
)
