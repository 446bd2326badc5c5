"""Who did what: /build audit."""

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from bot.blocks.message import Message, sections
from bot.blocks.text import code, markup, when
from bot.core.errors import UsageError
from bot.store.rows import AuditRow
from commands.core.context import Answer, Context, File, Role, Source
from commands.core.durations import parse_duration
from commands.core.grammar import mentioned_user, read
from commands.core.permissions import Requirement, role_of
from commands.core.registry import Command

USAGE = "audit [--since 7d] [--by @user] [--csv]"
SHOWN = 40
EXPORTED = 5000
COLUMNS = ("at", "user", "channel", "source", "verb", "words", "connection", "pipeline", "build", "outcome", "detail")
_MENTION = re.compile(r"<([@#!])(?:subteam\^)?([A-Z0-9]+)(?:\|([^<>]*))?>")


@dataclass(frozen=True, slots=True, kw_only=True)
class Args:
    """Whose acts, since how long ago, and whether as a file."""

    since: timedelta
    user: str | None = None
    csv: bool = False


def parse(words: str) -> Args:
    """Read the words after `audit`. Raises UsageError."""
    parsed = read(words, values=("since", "by"), switches=("csv",))
    by = parsed.flag("by")
    user = mentioned_user(by) if by else None
    if by and user is None:
        raise UsageError(f"`{by}` is no person.", hint="Mention one: `--by @ana`.")
    return Args(since=parse_duration(parsed.flag("since") or "7d"), user=user, csv=parsed.has("csv"))


async def resolve(_args: Args, _context: Context) -> None:
    """Resolve nothing."""


def authorize(_args: Args, _resolved: None, _context: Context) -> Sequence[Requirement]:
    """Require an admin."""
    return (Requirement(role=Role.ADMIN, doing="Reading the audit log"),)


async def run(args: Args, _resolved: None, context: Context) -> Answer:
    """Show who did what, newest first, refusals too; an admin of one channel sees that channel's."""
    since = context.now - args.since
    limit = EXPORTED if args.csv else SHOWN
    everywhere = await role_of(context.in_channel("")) >= Role.ADMIN
    rows = await context.store.audit.since(
        context.team, since=since, user=args.user, limit=limit if everywhere else EXPORTED
    )
    rows = [row for row in rows if everywhere or row.channel == context.channel][:limit]
    if args.csv:
        return Answer(file=File(name="buildbell-audit.csv", content=_as_csv(rows), title="Audit", private=True))
    names = await _names(rows, context)
    lines = [_line(row, names) for row in rows] or ["Nothing was done in that time."]
    return Answer(message=Message(text="\n".join(lines), blocks=sections(lines)))


def _line(row: AuditRow, names: dict[str, str]) -> str:
    who = f"<@{row.user}>" if row.user else "The terminal"
    who += " by mcp" if row.source == Source.MCP else ""
    words = _named(row.words or row.verb, names)
    detail = f" ({markup(row.detail, 120)})" if row.detail else ""
    return f"{when(row.at)} {who} {code(words, 80)} · {row.outcome}{detail}"


async def _names(rows: Sequence[AuditRow], context: Context) -> dict[str, str]:
    """Return the names of the people that typed words mention without a label."""
    bare = {found[2] for row in rows for found in _MENTION.finditer(row.words) if found[1] == "@" and not found[3]}
    return {user: await context.services.people.name(context.team, user) for user in sorted(bare)}


def _named(words: str, names: dict[str, str]) -> str:
    """Return typed words with mentions as people read them: inside a code span Slack shows none."""

    def name(found: re.Match[str]) -> str:
        sign = "#" if found[1] == "#" else "@"
        return f"{sign}{(found[3] or names.get(found[2]) or found[2]).removeprefix('@')}"

    return _MENTION.sub(name, words)


def _as_csv(rows: Sequence[AuditRow]) -> bytes:
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(COLUMNS)
    for row in rows:
        cells = [row.at.isoformat(), *(str(getattr(row, name)) for name in COLUMNS[1:])]
        # A cell that begins like a formula would be run by a spreadsheet.
        writer.writerow([f"'{cell}" if cell[:1] in {"=", "+", "-", "@", "\t", "\r"} else cell for cell in cells])
    return out.getvalue().encode()


COMMAND = Command(
    verb="audit",
    usage=USAGE,
    summary="Who did what",
    role=Role.ADMIN,
    group="Set up",
    parse=parse,
    resolve=resolve,
    authorize=authorize,
    run=run,
    flags=(("--since 7d", "how far back"), ("--by @user", "only one person"), ("--csv", "as a file, sent to you")),
    examples=("audit", "audit --since 2d --by @ana", "audit --csv"),
)
