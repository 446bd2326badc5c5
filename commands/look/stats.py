"""How builds have been doing: /build stats, /build changes, /build digest."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median

from bot.blocks.message import Message, section, sections
from bot.blocks.text import bold, code, duration, escape, link, plural, when
from bot.core.errors import UsageError
from bot.core.models import Build, IssueCounts
from bot.core.recurrence import zone_of
from bot.core.recurrence_words import parse_recurrence
from bot.store import unpack_counts
from bot.store.tables import AttemptRow, DigestRow, LinkRow
from commands.core import actions as acting
from commands.core.context import Answer, Command, Request, Role, Services
from commands.core.grammar import ParsedArgs, Target, parse_duration, read
from commands.core.permissions import require
from commands.core.resolve import BuildMatch, build, build_before, place
from commands.look.builds import with_counts

STATS_USAGE = "stats [target] [--since 30d]"
CHANGES_USAGE = "changes [target]"
DIGEST_USAGE = "digest daily 9:00 | weekly mon 9:00 | now | off"
COUNTS = (
    ("errors", "errors"),
    ("warnings", "warnings"),
    ("analyzer_warnings", "analyzer warnings"),
    ("test_failures", "failed tests"),
)


@dataclass(frozen=True, slots=True)
class Stats:
    """Which pipeline, since when."""

    target: Target
    since: timedelta
    ask: ParsedArgs


def parse_stats(words: str) -> Stats:
    """Read the words after `stats`. Raises UsageError."""
    ask = read(words, values=("since",), switches=("public",))
    if len(ask.words) > 1:
        raise UsageError("I count one pipeline at a time.", usage=STATS_USAGE)
    return Stats(target=ask.target(), since=parse_duration(ask.flag("since") or "30d"), ask=ask)


async def stats(ask: Stats, request: Request, services: Services) -> Answer:
    """Count the stored attempts of a pipeline: how many, how red, how long, how flaky."""
    where = await place(ask.target, request, services, acting=False, verb="stats")
    since = request.now - ask.since
    attempts = await services.store.attempts.since(where.connection, where.pipeline, since)
    branch = ask.target.ref.name if ask.target.ref else ""
    kept = [one for one in attempts if not branch or one.branch == branch]
    if not kept:
        raise UsageError(f"I have seen no build of {where.label} end in that time.")
    title = f"{where.label}{f' on {branch}' if branch else ''} since {when(since)}"
    lines = [bold(where.label), *summary_lines(kept)]
    by_branch: dict[str, list[AttemptRow]] = {}
    for one in kept:
        by_branch.setdefault(one.branch or "(none)", []).append(one)
    for name, group in sorted(by_branch.items(), key=lambda pair: -len(pair[1]))[:8]:
        lines.append(f"• {code(name)}: {plural(len(group), 'build')}, {_share(group)} passed")
    return Answer(
        message=Message(text=f"{title}: {_share(kept)} passed", blocks=sections(lines)), public=ask.ask.has("public")
    )


def summary_lines(attempts: Sequence[AttemptRow]) -> list[str]:
    """Return how many attempts there were, how they ended and how long they took."""
    passed = [one for one in attempts if one.conclusion == "passed"]
    red = [one for one in attempts if one.conclusion in {"failed", "timeout", "partial"}]
    seconds = [one.seconds for one in passed if one.seconds is not None]
    commits: dict[tuple[str, str], set[str]] = {}
    for one in attempts:
        if one.commit_sha and one.conclusion in {"passed", "failed", "timeout"}:
            commits.setdefault((one.branch, one.commit_sha), set()).add(
                "passed" if one.conclusion == "passed" else "red"
            )
    flaky = sum(1 for ends in commits.values() if len(ends) > 1)
    lines = [f"{plural(len(attempts), 'build')} · {len(passed)} passed · {len(red)} failed · {_share(attempts)} green"]
    if seconds:
        lines.append(f"Usually {duration(median(seconds))}, at most {duration(max(seconds))}")
    if flaky:
        lines.append(f"{plural(flaky, 'commit')} both passed and failed: flaky")
    return lines


def _share(attempts: Sequence[AttemptRow]) -> str:
    judged = [one for one in attempts if one.conclusion in {"passed", "failed", "timeout", "partial"}]
    if not judged:
        return "none"
    return f"{100 * sum(1 for one in judged if one.conclusion == 'passed') // len(judged)} %"


@dataclass(frozen=True, slots=True)
class Changes:
    """Which build to compare with the one before."""

    target: Target


def parse_changes(words: str) -> Changes:
    """Read the words after `changes`. Raises UsageError."""
    ask = read(words, switches=("public",))
    if len(ask.words) > 1:
        raise UsageError("I compare a build with the one before it.", usage=CHANGES_USAGE)
    return Changes(target=ask.target())


async def changes(ask: Changes, request: Request, services: Services) -> Answer:
    """Return commits and count deltas between a build and the finished one before it on the same branch."""
    found = await build(ask.target, request, services, acting=False, verb="changes")
    now = await with_counts(found)
    before = await build_before(found)
    if before is None:
        raise UsageError(
            f"{_number(now)} is the first build of {found.place.label} on {now.ref or 'its branch'} that I can see."
        )
    before = await with_counts(BuildMatch(place=found.place, build=before))
    lines = [
        bold(f"{found.place.label}: {_number(before)} → {_number(now)}"),
        f"{_state(before)} → {_state(now)}",
        f"{code((before.commit or '?')[:8])} {escape(before.subject or '')} → {code((now.commit or '?')[:8])} {escape(now.subject or '')}",
        *_deltas(before.issues, now.issues),
    ]
    if before.web_url and now.web_url:
        lines.append(f"{link(before.web_url, _number(before))} · {link(now.web_url, _number(now))}")
    return Answer(message=Message(text=lines[0], blocks=sections(lines)))


def _number(build_: Build) -> str:
    return f"#{build_.number}" if build_.number is not None else build_.id


def _state(build_: Build) -> str:
    return build_.conclusion.value if build_.conclusion else build_.status.value.replace("_", " ")


def _deltas(before: IssueCounts, now: IssueCounts) -> list[str]:
    lines: list[str] = []
    for name, words in COUNTS:
        old, new = getattr(before, name), getattr(now, name)
        if old is not None and new is not None and (old or new):
            moved = f" ({new - old:+d})" if new != old else ""
            lines.append(f"• {new} {words}{moved}")
    return lines


@dataclass(frozen=True, slots=True)
class Digest:
    """`off`, `now`, or a period with its time."""

    act: str
    words: str = ""


def parse_digest(words: str) -> Digest:
    """Read the words after `digest`. Raises UsageError."""
    text = " ".join(words.lower().split())
    if text in {"off", "now"}:
        return Digest(act=text)
    period = text.partition(" ")[0]
    if period not in {"daily", "weekly"}:
        raise UsageError("When?", usage=DIGEST_USAGE)
    parse_recurrence(text)
    return Digest(act=period, words=text)


async def digest(ask: Digest, request: Request, services: Services) -> Answer:
    """Show the channel's digest, or have it posted regularly."""
    if ask.act == "now":
        return Answer(message=await digest_message(request, services, timedelta(days=1)), public=True)
    await require(Role.RUN, "Setting the digest", request, services)
    if ask.act == "off":
        if not await services.store.digests.remove(request.team, request.channel):
            raise UsageError("This channel has no digest.")
        return acting.public_line(f"{acting.who(request)} ended the digest here")
    zone = zone_of(await services.people.zone(request.team, request.user))
    rule = parse_recurrence(ask.words)
    first = rule.next_after(request.now, zone)
    await services.store.digests.set(
        DigestRow(
            team=request.team,
            channel=request.channel,
            period=ask.act,
            cron=str(rule),
            tz=zone.key,
            next_at=first,
            made_by=request.user,
            made_at=request.now,
        )
    )
    return acting.public_line(
        f"{acting.who(request)} set a digest here: {escape(ask.words)} ({escape(zone.key)}). The first comes {when(first)}."
    )


async def digest_message(request: Request, services: Services, span: timedelta) -> Message:
    """Return what the channel's pipelines did in a span of time."""
    links = await services.store.links.of_channel(request.team, request.channel)
    since = request.now - span
    lines: list[str] = []
    for one in links:
        lines += await _digest_lines(one, since, services)
    title = f"Builds since {when(since)}"
    return Message(
        text=title, blocks=(section(bold("Digest") + f" · {title}"), *sections(lines or ["Nothing was built."]))
    )


async def _digest_lines(one: LinkRow, since: datetime, services: Services) -> list[str]:
    attempts = await services.store.attempts.since(one.connection, one.pipeline, since)
    wanted = one.branch or one.default_branch
    kept = [r for r in attempts if not wanted or r.branch == wanted]
    if not kept:
        return [f"*{escape(one.alias or one.name)}* · nothing was built"]
    newest = max(kept, key=lambda r: r.completed_at)
    counts = unpack_counts(newest.counts)
    now = ", ".join(f"{getattr(counts, name)} {words}" for name, words in COUNTS if getattr(counts, name))
    state = newest.conclusion or "ended"
    return [
        f"*{escape(one.alias or one.name)}* · now {state}{f' · {now}' if now else ''}",
        *(f"   {line}" for line in summary_lines(kept)),
    ]


STATS = Command(
    verb="stats",
    usage=STATS_USAGE,
    summary="How often it is green, and how long it takes",
    role=Role.VIEW,
    group="Look",
    parse=parse_stats,
    run=stats,
    flags=(("--since 30d", "how far back"), ("--public", "show it to the channel")),
    examples=("stats", "stats web@main --since 7d"),
    inferred="the channel's default pipeline",
)
CHANGES = Command(
    verb="changes",
    usage=CHANGES_USAGE,
    summary="What moved since the build before",
    role=Role.VIEW,
    group="Look",
    parse=parse_changes,
    run=changes,
    aliases=("diff",),
    examples=("changes", "changes web#412"),
    inferred="the last build",
)
DIGEST = Command(
    verb="digest",
    usage=DIGEST_USAGE,
    summary="A regular summary of this channel's builds",
    role=Role.RUN,
    group="Follow",
    parse=parse_digest,
    run=digest,
    examples=("digest daily 9:00", "digest weekly mon 9:00", "digest now"),
)
