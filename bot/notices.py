"""Who hears about a build, and why or why not: pure decisions, and the rows that say so.

A round's end makes at most one decision for each channel: post, hold, or stay silent, with the reason kept.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from fnmatch import fnmatchcase
from zoneinfo import ZoneInfo

import msgspec

from bot.errors import UsageError
from bot.models import Build, Change, Conclusion, IssueCounts, Starter, Transition, Trigger
from bot.store import Recorded
from bot.store.tables import LinkRow, MuteRow, NoticeRow, RoundRow, WatchRow
from bot.transitions import PastRound, compare

LATE_AFTER = timedelta(minutes=10)
BEFORE_THE_LINK = timedelta(minutes=2)
COUNTS_PATIENCE = timedelta(seconds=30)
FAILURES_PATIENCE = timedelta(seconds=5)
MOST_LATE = 5


class Event(StrEnum):
    """What a notice row is about; part of its key, so each is told once."""

    STARTED = "started"
    FINISHED = "finished"
    BLOCKED = "blocked"
    SUMMARY = "summary"
    OUTAGE = "outage"
    OUTAGE_OVER = "outage-over"
    DIGEST = "digest"


RESULTS = ("passed", "failed", "cancelled", "timeout", "skipped", "partial", "unknown")
EDGES = ("broken", "fixed", "still-failing", "worse", "better")
EVENTS = (*RESULTS, *EDGES, "blocked")
PRESETS: dict[str, tuple[str, ...]] = {
    "all": (*RESULTS, "blocked"),
    "edges": ("broken", "fixed", "blocked"),
    "failures": ("failed", "timeout", "partial"),
    "release": ("broken", "fixed", "blocked", "tags"),
    "quiet": (),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """What a link wants to hear: an AND of conditions, each an OR of its values; an empty one admits everything."""

    preset: str = "all"
    events: tuple[str, ...] = ()
    branches: tuple[str, ...] = ()
    triggers: tuple[str, ...] = ()
    by: tuple[str, ...] = ()
    min_streak: int = 0
    min_delta: tuple[tuple[str, int], ...] = ()
    mention: str = ""

    @property
    def wanted(self) -> tuple[str, ...]:
        """Return the events that pass."""
        return self.events or PRESETS[self.preset]

    def words(self) -> str:
        """Return the filter as a person would type it."""
        parts = [f"--on {','.join(self.events) if self.events else self.preset}"]
        for name, values in (("branch", self.branches), ("trigger", self.triggers), ("by", self.by)):
            if values:
                parts.append(f"--{name} {','.join(values)}")
        if self.min_streak:
            parts.append(f"--min-streak {self.min_streak}")
        parts += [f"--min-delta {name}:{least}" for name, least in self.min_delta]
        if self.mention:
            parts.append(f"--mention {self.mention}")
        return " ".join(parts)

    def in_words(self, default_branch: str) -> str:
        """Return the filter as a sentence's part: `every finished build on main`."""
        match self.preset if not self.events else "":
            case "all":
                what = "every finished build"
            case "edges":
                what = "changes only (broken, fixed, waiting for approval)"
            case "failures":
                what = "failures only"
            case "release":
                what = "releases (broken, fixed, waiting, tags that passed)"
            case "quiet":
                what = "nothing (digests only)"
            case _:
                what = ", ".join(self.events)
        where = ", ".join(self.branches) or default_branch
        extra = "".join(
            (
                f", triggered by {', '.join(self.triggers)}" if self.triggers else "",
                f", by {', '.join(self.by)}" if self.by else "",
                f", from the {self.min_streak}th failure in a row" if self.min_streak else "",
                "".join(f", {name} up by {least} or more" for name, least in self.min_delta),
            )
        )
        return f"{what}{f' on {where}' if where else ''}{extra}"


def read_filter(words: str) -> Filter:
    """Return the filter that `Filter.words` wrote. Raises UsageError for words that are none."""
    tokens = words.split()
    found: dict[str, list[str]] = {}
    while tokens:
        name = tokens.pop(0)
        if not name.startswith("--") or not tokens:
            raise UsageError(f"I don't understand the filter at `{name}`.")
        found.setdefault(name[2:], []).extend(part for part in tokens.pop(0).split(",") if part)
    return make_filter(found)


def make_filter(found: dict[str, list[str]]) -> Filter:
    """Return the filter that flags with their values ask for. Raises UsageError naming what is not known."""
    made = Filter()
    on = [event.lower() for event in found.pop("on", [])]
    if len(on) == 1 and on[0] in PRESETS:
        made = replace(made, preset=on[0])
    elif on:
        unknown = [event for event in on if event not in EVENTS]
        if unknown:
            raise UsageError(
                f"I know no event `{unknown[0]}`.", hint=f"Events: {', '.join(EVENTS)}. Presets: {', '.join(PRESETS)}."
            )
        made = replace(made, events=tuple(on))
    triggers = [trigger.lower() for trigger in found.pop("trigger", [])]
    if unknown := [trigger for trigger in triggers if trigger not in set(Trigger)]:
        raise UsageError(f"I know no trigger `{unknown[0]}`.", hint=f"Triggers: {', '.join(Trigger)}.")
    streak = found.pop("min-streak", ["0"])[-1]
    if not streak.isdigit():
        raise UsageError(f"`--min-streak` takes a number, not `{streak}`.")
    deltas: list[tuple[str, int]] = []
    for pair in found.pop("min-delta", []):
        name, _, least = pair.partition(":")
        if name not in COUNT_NAMES or not least.isdigit():
            raise UsageError(
                f"`--min-delta` takes NAME:NUMBER, not `{pair}`.", hint=f"Names: {', '.join(COUNT_NAMES)}."
            )
        deltas.append((name, int(least)))
    made = replace(
        made,
        branches=tuple(found.pop("branch", [])),
        triggers=tuple(triggers),
        by=tuple(found.pop("by", [])),
        min_streak=int(streak),
        min_delta=tuple(deltas),
        mention=(found.pop("mention", [""]) or [""])[-1],
    )
    if found:
        raise UsageError(f"I know no filter `--{next(iter(found))}`.")
    return made


COUNT_NAMES = ("errors", "warnings", "analyzer_warnings", "test_failures")


class Verdict(StrEnum):
    """What becomes of a notice."""

    POST = "post"
    HOLD = "hold"
    SILENT = "silent"


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What becomes of a notice, and why, in a person's words."""

    verdict: Verdict
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Extra:
    """What the renderer needs beside the build; kept with the row, because history moves on."""

    transition: Transition = field(default_factory=Transition)
    late: bool = False
    mention: str = ""
    headline: str = ""
    response_url: str = ""
    builds: tuple[tuple[str, str, str], ...] = ()
    text: str = ""
    lines: tuple[str, ...] = ()

    def as_json(self) -> str:
        """Return the text for `NoticeRow.extra`."""
        return msgspec.json.encode(self).decode()

    @classmethod
    def of(cls, text: str) -> "Extra":
        """Return what `as_json` wrote."""
        return msgspec.json.decode(text, type=cls)


def events_of(build: Build, transition: Transition) -> frozenset[str]:
    """Return the event words that a finished round stands for."""
    words = {build.conclusion.value if build.conclusion else "unknown"}
    if transition.change in {Change.BROKEN, Change.FIXED, Change.STILL_FAILING}:
        words.add(transition.change.value)
    if transition.change is Change.FIRST and build.conclusion is not None and build.conclusion.is_red:
        words.add("broken")
    if transition.worse:
        words.add("worse")
    if transition.better:
        words.add("better")
    if build.tag and build.conclusion is Conclusion.PASSED:
        words.add("tags")
    return frozenset(words)


def on_branch(build: Build, wanted: Sequence[str], default: str) -> bool:
    """Return whether a build's branch (or tag, as `tag:NAME`) is one a link hears; without a word, the default's."""
    if not wanted:
        if build.tag and not build.branch:
            return False
        if build.pull_request and default:
            return False
        return not default or build.branch is None or build.branch == default
    names = [
        build.branch or "",
        f"tag:{build.tag}" if build.tag else "",
        f"pr:{build.pull_request}" if build.pull_request else "",
    ]
    plus = [glob for glob in wanted if not glob.startswith("!")]
    minus = [glob[1:] for glob in wanted if glob.startswith("!")]
    admitted = not plus or any(fnmatchcase(name, glob) for name in names if name for glob in plus)
    return admitted and not any(fnmatchcase(name, glob) for name in names if name for glob in minus)


def judge(build: Build, transition: Transition, link: LinkRow, event: Event) -> Decision:
    """Return whether a link wants this, mutes aside, and why."""
    if link.paused_reason:
        return _silent(f"the link is paused: {link.paused_reason}")
    if not link.subscribed:
        return _silent("this channel unsubscribed from the pipeline")
    wanted = read_filter(link.filters) if link.filters else Filter()
    default = link.branch or link.default_branch
    events = frozenset({"blocked"}) if event is Event.BLOCKED else events_of(build, transition)
    is_release = wanted.preset == "release" and not wanted.events and "tags" in events
    if not is_release and not on_branch(build, wanted.branches, default):
        heard = ", ".join(wanted.branches) or default
        return _silent(f"{build.ref or 'its branch'} is not among the branches this channel hears ({heard})")
    if not events & set(wanted.wanted):
        return _silent(
            f"{' and '.join(sorted(events - {'tags'}))} is not among what this channel hears ({wanted.in_words(default)})"
        )
    if wanted.triggers and build.trigger.value not in wanted.triggers:
        return _silent(f"it was triggered by {build.trigger.value}")
    if wanted.by and not _by(build, wanted.by):
        return _silent(f"it was started by {build.triggered_by or 'somebody unknown'}")
    if wanted.min_streak and transition.change is Change.STILL_FAILING and transition.streak < wanted.min_streak:
        return _silent(f"it is failure {transition.streak} in a row, and the link waits for {wanted.min_streak}")
    if wanted.min_delta and not any(
        (transition.delta(build.issues, name) or 0) >= least for name, least in wanted.min_delta
    ):
        return _silent("its counts moved less than the link asks for")
    return Decision(verdict=Verdict.POST, reason=f"this channel hears {wanted.in_words(default)}")


def _by(build: Build, wanted: Sequence[str]) -> bool:
    names = {(build.triggered_by or "").lower(), (build.author.name or "").lower() if build.author else ""}
    if build.triggered_by_type is Starter.BOT:
        names.add("bot")
    plus = [name.lower().removeprefix("@") for name in wanted if not name.startswith("!")]
    minus = [name[1:].lower().removeprefix("@") for name in wanted if name.startswith("!")]
    return (not plus or bool(names & set(plus))) and not names & set(minus)


def _silent(reason: str) -> Decision:
    return Decision(verdict=Verdict.SILENT, reason=reason)


def muted(mutes: Sequence[MuteRow], link: LinkRow | None, channel: str, now: datetime) -> str | None:
    """Return why a channel is quiet now, or None."""
    for mute in mutes:
        if mute.channel != channel:
            continue
        names = {"all", "hours"} | (
            {link.alias, link.name, link.path, f"{link.connection}:{link.pipeline}"} if link else set()
        )
        if mute.target not in names:
            continue
        if mute.until is not None and mute.until > now:
            return f"muted by <@{mute.made_by}> until {mute.until:%Y-%m-%d %H:%M} UTC"
        if mute.hours and in_quiet_hours(mute.hours, mute.tz, now):
            return f"quiet hours ({mute.hours})"
    return None


def in_quiet_hours(hours: str, tz: str, now: datetime) -> bool:
    """Return whether a time lies in quiet hours such as `22:00-07:00 mon-fri` in a time zone."""
    span, _, days = hours.partition(" ")
    start, _, end = span.partition("-")
    here = now.astimezone(_zone(tz))
    clock = here.strftime("%H:%M")
    over_midnight = start > end
    inside = clock >= start or clock < end if over_midnight else start <= clock < end
    if not inside or not days:
        return inside
    day = here - timedelta(days=1) if over_midnight and clock < end else here
    return _DAYS[day.weekday()] in _span_of_days(days)


_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def _span_of_days(words: str) -> frozenset[str]:
    found: set[str] = set()
    for part in words.lower().split(","):
        first, dash, last = part.partition("-")
        if first not in _DAYS or (dash and last not in _DAYS):
            raise UsageError(f"I don't know the days `{words}`.", hint="Write `mon-fri` or `sat,sun`.")
        start, end = _DAYS.index(first), _DAYS.index(last if dash else first)
        found.update(_DAYS[index % 7] for index in range(start, (end if end >= start else end + 7) + 1))
    return frozenset(found)


def check_hours(hours: str) -> None:
    """Raise UsageError unless the text reads as quiet hours."""
    span, _, days = hours.partition(" ")
    start, dash, end = span.partition("-")
    for clock in (start, end):
        hour, colon, minute = clock.partition(":")
        if not (
            dash
            and colon
            and len(clock) == 5
            and hour.isdigit()
            and minute.isdigit()
            and int(hour) < 24
            and int(minute) < 60
        ):
            raise UsageError(
                f"I don't understand the hours `{hours}`.", hint="Write `22:00-07:00` or `22:00-07:00 mon-fri`."
            )
    if days:
        _span_of_days(days)


def past(rows: Iterable[RoundRow]) -> tuple[PastRound, ...]:
    """Return stored rounds as `transitions` takes them."""
    return tuple(
        PastRound(
            number=row.number,
            conclusion=Conclusion(row.conclusion) if row.conclusion else None,
            counts=msgspec.json.decode(row.counts, type=IssueCounts) if row.counts else IssueCounts(),
            completed_at=row.completed_at,
            seconds=row.seconds,
        )
        for row in rows
    )


def transition_of(recorded: Recorded) -> Transition:
    """Return how a finished round compares with its history."""
    build = recorded.build
    return compare(
        build.conclusion,
        build.issues,
        recorded.finished.completed_at if recorded.finished else recorded.row.seen_at,
        build.number,
        past(recorded.history),
    )


def decide(batch: Sequence[Recorded], *, now: datetime, can_count: bool, can_list: bool = False) -> list[NoticeRow]:
    """Return the notices that a batch of changed builds makes; late ones beyond five a channel become one summary.

    `can_count` says that the CI system may tell issue counts later: such notices wait for them, at most 30 s. `can_list` says
    that it lists issues: a red build's notice waits for the first of them, at most 5 s.
    """
    rows = [row for recorded in batch for row in _decide_one(recorded, now=now, can_count=can_count, can_list=can_list)]
    return list(_collapse(rows, now))


def _decide_one(recorded: Recorded, *, now: datetime, can_count: bool, can_list: bool) -> Iterator[NoticeRow]:
    if recorded.finished is None and not recorded.blocked:
        return
    event = Event.FINISHED if recorded.finished is not None else Event.BLOCKED
    build = recorded.build
    transition = transition_of(recorded) if recorded.finished else Transition()
    late = event is Event.FINISHED and build.completed_at is not None and now - build.completed_at > LATE_AFTER
    patience = _patience(build, can_count=can_count, can_list=can_list) if event is Event.FINISHED else timedelta()
    told: set[tuple[str, str]] = set()
    asked = {(watch.team, watch.channel): watch for watch in recorded.watches if watch.build}
    for link in recorded.links:
        where = (link.team, link.channel)
        decision = judge(build, transition, link, event)
        watch = asked.get(where)
        if watch is not None and decision.verdict is Verdict.SILENT and not link.paused_reason:
            decision = Decision(verdict=Verdict.POST, reason=_asked(watch))
        elif _before_the_link(recorded, link):
            decision = _silent("it finished before the pipeline was linked here")
        quiet = muted(recorded.mutes, link, link.channel, now)
        if decision.verdict is Verdict.POST and quiet and watch is None:
            decision = Decision(verdict=Verdict.HOLD, reason=quiet)
        if decision.verdict is not Verdict.SILENT:
            told.add(where)
        yield _row(
            recorded,
            event,
            where,
            now,
            decision,
            due_at=now + patience,
            link=link.id or 0,
            extra=Extra(transition=transition, late=late, mention=_mention(link, transition, watch)),
        )
    for where, watch in asked.items():
        if where not in told:
            told.add(where)
            yield _row(
                recorded,
                event,
                where,
                now,
                Decision(verdict=Verdict.POST, reason=_asked(watch)),
                due_at=now + patience,
                thread=watch.thread,
                extra=Extra(
                    transition=transition, late=late, mention=watch.user if watch.channel != watch.user else ""
                ),
            )
    for watch in recorded.watches:
        where = (watch.team, watch.channel)
        if watch.build or where in told:
            continue
        follow = LinkRow(
            team=watch.team,
            channel=watch.channel,
            connection=watch.connection,
            pipeline=watch.pipeline,
            path="",
            name="",
            created_by=watch.user,
            created_at=watch.created_at,
            filters=watch.filters,
        )
        if _before_the_link(recorded, follow):
            continue
        decision = judge(build, transition, follow, event)
        if decision.verdict is Verdict.POST:
            told.add(where)
            yield _row(
                recorded,
                event,
                where,
                now,
                Decision(verdict=Verdict.POST, reason="you follow this pipeline"),
                due_at=now + patience,
                extra=Extra(transition=transition, late=late),
            )


def _patience(build: Build, *, can_count: bool, can_list: bool) -> timedelta:
    if can_count and not build.issues.known:
        return COUNTS_PATIENCE
    is_red = build.conclusion is not None and build.conclusion.is_red
    return FAILURES_PATIENCE if is_red and can_list else timedelta()


def _asked(watch: WatchRow) -> str:
    if watch.why == "started":
        return f"<@{watch.user}> started it here" if watch.channel != watch.user else "you started it"
    return f"<@{watch.user}> asked to hear its end" if watch.channel != watch.user else "you asked to hear its end"


def _mention(link: LinkRow, transition: Transition, watch: WatchRow | None) -> str:
    if watch is not None and watch.channel != watch.user:
        return watch.user
    wanted = read_filter(link.filters).mention if link.filters else ""
    return wanted if transition.change in {Change.BROKEN, Change.FIRST} else ""


def _before_the_link(recorded: Recorded, link: LinkRow) -> bool:
    if not recorded.first_seen and recorded.before is not None and not recorded.before.completed:
        return False
    finished = recorded.build.completed_at
    if finished is None:
        return recorded.first_seen
    return finished < link.created_at - BEFORE_THE_LINK or (recorded.first_seen and finished < link.created_at)


def _row(
    recorded: Recorded,
    event: Event,
    where: tuple[str, str],
    now: datetime,
    decision: Decision,
    *,
    due_at: datetime,
    extra: Extra,
    link: int = 0,
    thread: str = "",
) -> NoticeRow:
    states = {Verdict.POST: "pending", Verdict.HOLD: "held", Verdict.SILENT: "silent"}
    build = recorded.build
    return NoticeRow(
        team=where[0],
        channel=where[1],
        link=link,
        connection=build.connection,
        pipeline=build.pipeline,
        build=build.id,
        round=recorded.round,
        event=event.value,
        state=states[decision.verdict],
        reason=decision.reason,
        extra=extra.as_json(),
        thread=thread,
        due_at=due_at,
        created_at=now,
    )


def _collapse(rows: Sequence[NoticeRow], now: datetime) -> Iterator[NoticeRow]:
    late: dict[tuple[str, str], list[NoticeRow]] = {}
    for row in rows:
        if row.state == "pending" and row.event == Event.FINISHED.value and Extra.of(row.extra).late:
            late.setdefault((row.team, row.channel), []).append(row)
    for row in rows:
        group = late.get((row.team, row.channel), [])
        if len(group) > MOST_LATE and any(row is member for member in group):
            row.state = "silent"
            row.reason = f"told in one summary with {len(group) - 1} others that finished while I was away"
        yield row
    for (team, channel), group in late.items():
        if len(group) > MOST_LATE:
            last = group[-1]
            yield NoticeRow(
                team=team,
                channel=channel,
                connection=last.connection,
                pipeline=last.pipeline,
                build=last.build,
                round=last.round,
                event=Event.SUMMARY.value,
                state="pending",
                reason=f"{len(group)} builds finished while I was away",
                extra=Extra(builds=tuple((row.connection, row.pipeline, row.build) for row in group)).as_json(),
                due_at=now,
                created_at=now,
            )


def started_row(
    build: Build,
    *,
    team: str,
    channel: str,
    user: str,
    round_: int,
    headline: str,
    response_url: str,
    thread: str,
    now: datetime,
) -> NoticeRow:
    """Return the notice that posts a live card for a build somebody started here."""
    return NoticeRow(
        team=team,
        channel=channel,
        connection=build.connection,
        pipeline=build.pipeline,
        build=build.id,
        round=round_,
        event=Event.STARTED.value,
        reason="somebody started it here",
        user=user,
        thread=thread,
        due_at=now,
        created_at=now,
        extra=Extra(headline=headline, response_url=response_url).as_json(),
    )


def outage_rows(
    channels: Iterable[tuple[str, str]], connection: str, since: datetime, error: str, *, over: bool, now: datetime
) -> list[NoticeRow]:
    """Return one notice for each affected channel that a connection has failed for a while, or works again."""
    return [
        NoticeRow(
            team=team,
            channel=channel,
            connection=connection,
            pipeline="",
            build=since.isoformat(),
            round=1,
            event=(Event.OUTAGE_OVER if over else Event.OUTAGE).value,
            reason="a connection fails or works again",
            extra=Extra(text=error).as_json(),
            due_at=now,
            created_at=now,
        )
        for team, channel in channels
    ]


def _zone(tz: str) -> ZoneInfo:
    try:
        return ZoneInfo(tz or "UTC")
    except (KeyError, ValueError, OSError):
        return ZoneInfo("UTC")
