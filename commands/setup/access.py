"""Who may do what here: /build access [grant|revoke …], and who did: /build audit."""

import csv
import io
from dataclasses import dataclass, replace
from datetime import timedelta

from bot.blocks.message import Message, sections
from bot.blocks.text import code, escape, when
from bot.core.errors import UsageError
from bot.core.text import same_name
from bot.store.tables import AuditRow, GrantRow
from commands.core import actions as acting
from commands.core.context import Answer, Command, File, Request, Role, Services
from commands.core.grammar import ParsedArgs, mentioned_channel, mentioned_group, mentioned_user, parse_duration, read
from commands.core.permissions import require, role_of

ACCESS_USAGE = "access [grant|revoke ROLE @user|@group|#channel [pipeline-glob] [--refs GLOB] [--everywhere]]"
AUDIT_USAGE = "audit [--since 7d] [--by @user] [--csv]"
SHOWN = 40
EXPORTED = 5000
ROLES = {role.word: role for role in Role}


@dataclass(frozen=True, slots=True)
class Access:
    """What to change, or nothing to look."""

    act: str
    role: str = ""
    subject: str = ""
    pipelines: str = "*"
    refs: str = "*"
    everywhere: bool = False


def parse(words: str) -> Access:
    """Read the words after `access`. Raises UsageError."""
    ask = read(words, values=("refs",), switches=("everywhere",))
    if not ask.words:
        return Access(act="")
    act = ask.words[0].lower()
    if act not in {"grant", "revoke"} or len(ask.words) not in {3, 4}:
        raise UsageError("I did not understand that.", usage=ACCESS_USAGE)
    role = ask.words[1].lower()
    if role not in ROLES:
        raise UsageError(f"I know no role `{role}`.", hint=f"Roles: {', '.join(ROLES)}.", usage=ACCESS_USAGE)
    return Access(
        act=act,
        role=role,
        subject=_subject(ask.words[2]),
        pipelines=ask.words[3] if len(ask.words) == 4 else "*",
        refs=ask.flag("refs") or "*",
        everywhere=ask.has("everywhere"),
    )


def _subject(word: str) -> str:
    for kind, found in (
        ("user", mentioned_user(word)),
        ("channel", mentioned_channel(word)),
        ("group", mentioned_group(word)),
    ):
        if found:
            return f"{kind}:{found}"
    raise UsageError(f"`{word}` is no person, group or channel.", hint="Mention one: @ana, @mobile-team or #ios.")


async def access(ask: Access, request: Request, services: Services) -> Answer:
    """Show the grants that count here and the person's own role, or change them."""
    if not ask.act:
        return await _shown(request, services)
    # Who administers one channel only may give nothing that counts in others.
    scope = replace(request, channel="") if ask.everywhere else request
    await require(Role.ADMIN, "Changing who may do what", scope, services)
    ask = replace(ask, pipelines=await _unaliased(ask.pipelines, request, services))
    channel = "" if ask.everywhere else request.channel
    narrowed = "" if ask.pipelines == "*" else f" for {code(ask.pipelines)}"
    narrowed += "" if ask.refs == "*" else f" on {code(ask.refs)}"
    where = "everywhere" if ask.everywhere else "in this channel"
    if ask.act == "revoke":
        gone = await services.store.grants.remove(
            team=request.team,
            channel=channel,
            role=ask.role,
            subject=ask.subject,
            pipelines=ask.pipelines,
            refs=ask.refs,
        )
        if not gone:
            raise UsageError("There is no such grant.", hint=f"`{services.command} access` shows which there are.")
        return acting.public_line(
            f"{acting.who(request)} took the {ask.role} role from {_who(ask.subject)}{narrowed} {where}"
        )
    await services.store.grants.add(
        GrantRow(
            team=request.team,
            channel=channel,
            role=ask.role,
            subject=ask.subject,
            pipelines=ask.pipelines,
            refs=ask.refs,
            granted_by=request.user,
            granted_at=request.now,
        )
    )
    return acting.public_line(f"{acting.who(request)} gave {_who(ask.subject)} the {ask.role} role{narrowed} {where}")


async def _shown(request: Request, services: Services) -> Answer:
    own = await role_of(request, services)
    members = services.access.members.word
    lines = [f"You are {_article(own.word)} here. Members of this channel are {members}s by default."]
    for grant in await services.store.grants.all(request.team):
        if grant.channel and grant.channel != request.channel:
            continue
        narrowed = "" if grant.pipelines == "*" else f" for {code(grant.pipelines)}"
        narrowed += "" if grant.refs == "*" else f" on {code(grant.refs)}"
        where = " everywhere" if not grant.channel else ""
        lines.append(
            f"• {_who(grant.subject)} is {_article(grant.role)}{narrowed}{where} (granted by <@{grant.granted_by}>)"
        )
    if services.access.protected:
        lines.append(f"Protected refs: {', '.join(code(glob) for glob in services.access.protected)}")
    return Answer(message=Message(text="\n".join(lines), blocks=sections(lines)))


async def _unaliased(glob: str, request: Request, services: Services) -> str:
    """Return what a glob says, an alias of this channel's as the pipeline it stands for now: aliases can be moved."""
    links = await services.store.links.of_channel(request.team, request.channel)
    fits = (f"{link.connection}:{link.path}" for link in links if same_name(link.alias, glob))
    return next(fits, glob)


def _article(word: str) -> str:
    return f"an {word}" if word[0] in "aeiou" else f"a {word}"


def _who(subject: str) -> str:
    kind, _, found = subject.partition(":")
    match kind:
        case "user":
            return f"<@{found}>"
        case "group":
            return f"<!subteam^{found}>"
        case _:
            return f"the members of <#{found}>"


@dataclass(frozen=True, slots=True)
class Audit:
    """Whose acts, since when, in which form."""

    ask: ParsedArgs
    since: timedelta
    user: str | None


def parse_audit(words: str) -> Audit:
    """Read the words after `audit`. Raises UsageError."""
    ask = read(words, values=("since", "by"), switches=("csv",))
    by = ask.flag("by")
    user = mentioned_user(by) if by else None
    if by and user is None:
        raise UsageError(f"`{by}` is no person.", hint="Mention one: `--by @ana`.")
    return Audit(ask=ask, since=parse_duration(ask.flag("since") or "7d"), user=user)


async def audit(ask: Audit, request: Request, services: Services) -> Answer:
    """Show who did what, newest first, refusals too."""
    await require(Role.ADMIN, "Reading the audit log", request, services)
    since = request.now - ask.since
    limit = EXPORTED if ask.ask.has("csv") else SHOWN
    everywhere = await role_of(replace(request, channel=""), services) >= Role.ADMIN
    rows = await services.store.audit.since(
        request.team, since=since, user=ask.user, limit=limit if everywhere else EXPORTED
    )
    rows = [row for row in rows if everywhere or row.channel == request.channel][:limit]
    if ask.ask.has("csv"):
        return Answer(file=File(name="buildbell-audit.csv", content=_as_csv(rows), title="Audit"))
    lines = [
        f"{when(row.at)} <@{row.user}> {code(row.words or row.verb, 80)} · {row.outcome}{f' ({escape(row.detail[:80])})' if row.detail else ''}"
        for row in rows
    ]
    lines = lines or ["Nothing was done in that time."]
    return Answer(message=Message(text="\n".join(lines), blocks=sections(lines)))


COLUMNS = ("at", "user", "channel", "source", "verb", "words", "connection", "pipeline", "build", "outcome", "detail")


def _as_csv(rows: list[AuditRow]) -> bytes:
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(COLUMNS)
    for row in rows:
        cells = [row.at.isoformat(), *(str(getattr(row, name)) for name in COLUMNS[1:])]
        # A cell that begins like a formula would be run by a spreadsheet.
        writer.writerow([f"'{cell}" if cell[:1] in {"=", "+", "-", "@", "\t", "\r"} else cell for cell in cells])
    return out.getvalue().encode()


ACCESS = Command(
    verb="access",
    usage=ACCESS_USAGE,
    summary="Who may do what here",
    role=Role.VIEW,
    group="Set up",
    parse=parse,
    run=access,
    flags=(("--refs GLOB", "only on these branches or tags"), ("--everywhere", "in every channel, not only this one")),
    acts=lambda ask: bool(ask.act),
    examples=("access", "access grant approver @ana deploy", "access revoke runner #random"),
)
AUDIT = Command(
    verb="audit",
    usage=AUDIT_USAGE,
    summary="Who did what",
    role=Role.ADMIN,
    group="Set up",
    parse=parse_audit,
    run=audit,
    flags=(("--since 7d", "how far back"), ("--by @user", "only one person"), ("--csv", "as a file")),
    examples=("audit", "audit --since 2d --by @ana", "audit --csv"),
)
