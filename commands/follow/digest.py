"""A regular summary of a channel's builds: /build digest daily 9:00 | weekly mon 9:00 | now | off."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from bot.blocks.message import Message, button, section, sections
from bot.blocks.message import actions as buttons
from bot.blocks.text import bold, code, escape, when
from bot.core.errors import UsageError
from bot.core.models import Ref, RefKind
from bot.core.recurrence import zone_of
from bot.core.recurrence_words import parse_recurrence
from bot.notifications.decisions import past
from bot.notifications.transitions import state_of
from bot.store.rows import LinkRow, NewDigest
from commands.core import actions
from commands.core.context import Answer, Context, Role
from commands.core.permissions import Requirement
from commands.core.registry import Command
from commands.look.changes import COUNTS
from commands.look.statistics import is_of_branch
from commands.look.stats import summary_lines

USAGE = "digest daily 9:00 | weekly mon 9:00 | now | off"
SPAN = timedelta(days=1)


class Act(StrEnum):
    """What to do about the digest."""

    OFF = "off"
    NOW = "now"
    DAILY = "daily"
    WEEKLY = "weekly"


@dataclass(frozen=True, slots=True, kw_only=True)
class Args:
    """What to do; `times` is the recurrence as typed."""

    act: Act
    times: str = ""


def parse(words: str) -> Args:
    """Read the words after `digest`. Raises UsageError."""
    text = " ".join(words.lower().split())
    if text in {Act.OFF, Act.NOW}:
        return Args(act=Act(text))
    period = text.partition(" ")[0]
    if period not in {Act.DAILY, Act.WEEKLY}:
        raise UsageError("When?", usage=USAGE)
    parse_recurrence(text)
    return Args(act=Act(period), times=text)


async def resolve(_args: Args, _context: Context) -> None:
    """Resolve nothing: a digest is the channel's."""


def authorize(args: Args, _resolved: None, _context: Context) -> Sequence[Requirement]:
    """Require the runner's role to post a digest or to set one."""
    doing = "Posting the digest" if args.act is Act.NOW else "Setting the digest"
    return (Requirement(role=Role.RUN, doing=doing),)


async def run(args: Args, _resolved: None, context: Context) -> Answer:
    """Show the channel's digest, or have it posted regularly."""
    if args.act is Act.NOW:
        return Answer(message=await digest_message(context, SPAN), public=True)
    if args.act is Act.OFF:
        if not await context.store.digests.remove(context.team, context.channel):
            raise UsageError("This channel has no digest.")
        return actions.public_line(f"{actions.actor(context)} ended the digest here")
    zone = zone_of(await context.zone())
    rule = parse_recurrence(args.times)
    first = rule.next_after(context.now, zone)
    await context.store.digests.set(
        NewDigest(
            team=context.team,
            channel=context.channel,
            period=args.act.value,
            cron=str(rule),
            tz=zone.key,
            next_at=first,
            made_by=context.user,
            made_at=context.now,
        )
    )
    return actions.public_line(
        f"{actions.actor(context)} set a digest here: {escape(args.times)} ({escape(zone.key)}). "
        f"The first comes {when(first)}."
    )


async def digest_message(context: Context, span: timedelta) -> Message:
    """Return what the channel's pipelines did in a span of time."""
    since = context.now - span
    lines: list[str] = []
    for link in await context.store.links.of_channel(context.team, context.channel):
        lines += await _link_lines(link, since, context)
    title = f"Builds since {when(since)}"
    tune = buttons(button("Tune noise", "stats --noise"))
    return Message(
        text=title, blocks=(section(bold("Digest") + f" · {title}"), *sections(lines or ["Nothing was built."]), tune)
    )


async def _link_lines(link: LinkRow, since: datetime, context: Context) -> list[str]:
    """Return one pipeline's part: how its branch stands now, and what ended in the span.

    The state is that of the branch's newest build: an old build that was retried in the span does not count as news.
    """
    attempts = await context.store.attempts.since(link.connection, link.pipeline, since)
    branch = link.branch or link.default_branch
    attempts = [attempt for attempt in attempts if not branch or is_of_branch(attempt, branch)]
    name = bold(link.alias or link.name)
    if not attempts:
        return [f"{name} · nothing was built"]
    jobs = sorted({attempt.ref_job for attempt in attempts})
    if jobs == [""]:
        return [f"{name}{await _state(link, branch, '', context)}", *_indented(summary_lines(attempts))]
    lines: list[str] = [name]
    for job in jobs:  # a build is no more than one job there: each has a history of its own
        label = f"   {code(job, 80)}" if job else "   other builds"
        lines.append(f"{label}{await _state(link, branch, job, context)}")
        lines += _indented(summary_lines([attempt for attempt in attempts if attempt.ref_job == job]), 2)
    return lines


def _indented(lines: Sequence[str], depth: int = 1) -> list[str]:
    return [f"{'   ' * depth}{line}" for line in lines]


async def _state(link: LinkRow, branch: str, job: str, context: Context) -> str:
    """Return how the pipeline's branch, or one job of it, stands, with its issue counts; nothing where no branch is followed."""
    if not branch:
        return ""
    ref = Ref(kind=RefKind.BRANCH, name=branch, job=job or None)
    state = state_of(past(await context.store.attempts.of_ref(link.connection, link.pipeline, ref)))
    if state is None:
        return ""
    newest = state.newest
    issues = [f"{count} {words}" for field, words in COUNTS if (count := getattr(newest.counts, field))]
    conclusion = newest.conclusion.value if newest.conclusion else "ended"
    return f" · now {conclusion}" + (f" · {', '.join(issues)}" if issues else "")


COMMAND = Command(
    verb="digest",
    usage=USAGE,
    summary="A regular summary of this channel's builds",
    role=Role.RUN,
    group="Follow",
    parse=parse,
    resolve=resolve,
    authorize=authorize,
    run=run,
    examples=("digest daily 9:00", "digest weekly mon 9:00", "digest now"),
)
