"""The filters of links in the words a person types, and whether a build passes one. Pure."""

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from bot.blocks.text import ordinal, roughly
from bot.core.errors import UsageError
from bot.core.models import (
    ISSUE_COUNTS,
    Build,
    Change,
    Conclusion,
    RefKind,
    Starter,
    Transition,
    Trigger,
)
from bot.core.text import composed, fits_glob, folded
from bot.notifications.notification import AUTHOR, Decision, Event, post, silent
from bot.store.rows import NewLink

RESULTS = ("passed", "failed", "cancelled", "timeout", "skipped", "partial", "unknown")
EDGES = ("broken", "fixed", "still-failing", "worse", "better")
SIGNALS = ("stuck", "slow", "queued-long")
EVENTS = (*RESULTS, *EDGES, "blocked", *SIGNALS)
THREADED_PRESETS = frozenset({"edges", "failures"})
PRESETS: dict[str, tuple[str, ...]] = {
    "all": (*RESULTS, "blocked"),
    "edges": ("broken", "fixed", "blocked", "stuck"),
    "failures": ("failed", "timeout", "partial"),
    "release": ("broken", "fixed", "blocked", "tags"),
    "quiet": (),
}
ONLY = {event: event.value for event in (Event.BLOCKED, Event.STUCK, Event.SLOW, Event.QUEUED_LONG)}
"""The notifications that stand for one event word each."""
NOBODY = frozenset({"none", "nobody", "off"})
PERSON = re.compile(r"<@([UW][A-Z0-9]+)(?:\|[^>]*)?>|@?([UW][A-Z]*\d[A-Z0-9]*)")
SPAN = re.compile(r"([0-9]{1,5})([mhdMHD])")
SPAN_MINUTES = {"m": 1, "h": 60, "d": 24 * 60}
LONGEST_ESCALATION = 7 * 24 * 60
GROUP = re.compile(r"<!subteam\^(S[A-Z0-9]+)(?:\|[^>]*)?>|@?(S[A-Z]*\d[A-Z0-9]*)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pending:
    """What of a finished attempt is still to be read: its issue counts, the history of its ref."""

    counts: bool = False
    history: bool = False

    @property
    def events(self) -> frozenset[str]:
        """Return the events that may still turn out to be true."""
        moved = {"worse", "better"} if self.counts else set()
        return frozenset(moved | ({"broken", "fixed", "still-failing"} if self.history else set()))


NOTHING_PENDING = Pending()


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """What a link is notified of: an AND of conditions, each an OR of its values; an empty one admits everything.

    `mention` is who is mentioned when a build newly breaks: a Slack id, `none`, or empty for the commit's author.
    `thread` is `branch` (one thread for each red branch), `build` (a post for each build), or empty: as the preset has
    it. A branch that is red and that nobody is on for `escalate_minutes` is escalated to `escalate_to`, a Slack id
    (empty: to the author of the change that broke it); 0 is never. With `group` at `commit` the builds of one commit, of
    all links of the channel that say so, are rows of one card.
    """

    preset: str = "all"
    events: tuple[str, ...] = ()
    branches: tuple[str, ...] = ()
    triggers: tuple[str, ...] = ()
    by: tuple[str, ...] = ()
    min_streak: int = 0
    min_delta: tuple[tuple[str, int], ...] = ()
    mention: str = ""
    thread: str = ""
    escalate_minutes: int = 0
    escalate_to: str = ""
    group: str = ""

    @property
    def is_by_commit(self) -> bool:
        """Whether the builds of one commit are rows of one card."""
        return self.group == "commit"

    @property
    def has_branch_thread(self) -> bool:
        """Whether the channel has one thread for each red branch; not where one card has the builds of a commit."""
        if self.is_by_commit:
            return False
        return (self.thread or ("branch" if not self.events and self.preset in THREADED_PRESETS else "")) == "branch"

    @property
    def escalation_words(self) -> str:
        """Return the value of `--escalate`, empty for never."""
        if not self.escalate_minutes:
            return ""
        return f"{self.escalate_minutes}m{f',{self.escalate_to}' if self.escalate_to else ''}"

    @property
    def passing_events(self) -> tuple[str, ...]:
        """Return the events that pass."""
        return self.events or PRESETS[self.preset]

    def needs(self, pending: Pending) -> bool:
        """Whether what is still to be read decides if the filter admits an attempt."""
        if pending.counts and self.min_delta:
            return True
        if pending.history and self.min_streak:
            return True
        return bool(pending.events & set(self.passing_events))

    @property
    def mention_target(self) -> str:
        """Return who is mentioned when a build newly breaks: a Slack id, `AUTHOR`, or nobody."""
        return "" if self.mention in NOBODY else self.mention or AUTHOR

    def words(self) -> str:
        """Return the filter as a person would type it."""
        parts = [f"--on {','.join(self.events) if self.events else self.preset}"]
        for name, values in (("branch", self.branches), ("trigger", self.triggers), ("by", self.by)):
            if values:
                parts.append(f"--{name} {_quoted(','.join(values))}")
        if self.min_streak:
            parts.append(f"--min-streak {self.min_streak}")
        parts += [f"--min-delta {name}:{least}" for name, least in self.min_delta]
        if self.mention:
            parts.append(f"--mention {self.mention}")
        if self.thread:
            parts.append(f"--thread {self.thread}")
        if self.escalate_minutes:
            parts.append(f"--escalate {self.escalation_words}")
        if self.group:
            parts.append(f"--group {self.group}")
        return " ".join(parts)

    def in_words(self, default_branch: str) -> str:
        """Return the filter as a sentence's part: `every finished build on main`."""
        match self.preset if not self.events else "":
            case "all":
                what = "every finished build"
            case "edges":
                what = "changes only (broken, fixed, waiting for approval, stuck)"
            case "failures":
                what = "failures only"
            case "release":
                what = "releases (broken, fixed, waiting, tags that passed)"
            case "quiet":
                what = "nothing (digests only)"
            case _:
                what = ", ".join(self.events)
        branches = ", ".join(self.branches) or default_branch
        extra = "".join(
            (
                f", triggered by {', '.join(self.triggers)}" if self.triggers else "",
                f", by {', '.join(_spoken(name) for name in self.by)}" if self.by else "",
                f", from the {ordinal(self.min_streak)} failure in a row" if self.min_streak else "",
                "".join(f", {name.replace('_', ' ')} up by {least} or more" for name, least in self.min_delta),
                ", one thread for each red branch" if self.thread == "branch" else "",
                ", each build in the channel" if self.thread == "build" else "",
                self._escalation_in_words(),
                ", one card for each commit" if self.is_by_commit else "",
            )
        )
        return f"{what}{f' on {branches}' if branches else ''}{extra}"

    def _escalation_in_words(self) -> str:
        if not self.escalate_minutes:
            return ""
        who = _spoken(self.escalate_to) if self.escalate_to else "the author"
        return f", calls {who} when nobody is on it for {roughly(self.escalate_minutes * 60)}"


def read_filter(words: str) -> Filter:
    """Return the filter that `Filter.words` wrote. Raises UsageError for words that are none."""
    try:
        tokens = shlex.split(words)
    except ValueError as exc:
        raise UsageError(f"I don't understand the filter `{words}`.", hint="A quotation mark is open.") from exc
    flags: dict[str, list[str]] = {}
    while tokens:
        name = tokens.pop(0)
        if not name.startswith("--") or not tokens:
            raise UsageError(f"I don't understand the filter at `{name}`.")
        flags.setdefault(name[2:], []).extend(part for part in tokens.pop(0).split(",") if part)
    return make_filter(flags)


def filter_of(link: NewLink) -> Filter:
    """Return a link's filter; words that this version cannot read admit what a new link is notified of."""
    try:
        return read_filter(link.filters)
    except UsageError:
        return Filter()


def make_filter(flags: Mapping[str, Sequence[str]]) -> Filter:
    """Build the filter of flags and their values. Raises UsageError naming what is not known."""
    rest = {name: list(values) for name, values in flags.items()}
    made = _heard([event.lower() for event in rest.pop("on", [])])
    triggers = [trigger.lower() for trigger in rest.pop("trigger", [])]
    if unknown := [trigger for trigger in triggers if trigger not in set(Trigger)]:
        raise UsageError(f"I know no trigger `{unknown[0]}`.", hint=f"Triggers: {', '.join(Trigger)}.")
    streak = (rest.pop("min-streak", []) or ["0"])[-1]
    if not (streak.isascii() and streak.isdigit() and len(streak) < 6):
        raise UsageError(f"`--min-streak` takes a number, not `{streak}`.")
    made = replace(
        made,
        branches=tuple(rest.pop("branch", [])),
        triggers=tuple(triggers),
        by=tuple(_person(name) for name in rest.pop("by", [])),
        min_streak=int(streak),
        min_delta=tuple(_delta(pair) for pair in rest.pop("min-delta", [])),
        mention=_mention(rest.pop("mention", [])),
        thread=_one_of("thread", rest.pop("thread", []), ("branch", "build")),
        group=_one_of("group", rest.pop("group", []), ("commit", "build")).replace("build", ""),
    )
    minutes, whom = _escalation(rest.pop("escalate", []))
    made = replace(made, escalate_minutes=minutes, escalate_to=whom)
    if rest:
        raise UsageError(f"I know no filter `--{next(iter(rest))}`.")
    return made


def _heard(on: Sequence[str]) -> Filter:
    if len(on) == 1 and on[0] in PRESETS:
        return Filter(preset=on[0])
    if unknown := [event for event in on if event not in EVENTS]:
        raise UsageError(
            f"I know no event `{unknown[0]}`.", hint=f"Events: {', '.join(EVENTS)}. Presets: {', '.join(PRESETS)}."
        )
    return Filter(events=tuple(on))


def _delta(pair: str) -> tuple[str, int]:
    name, _, least = pair.partition(":")
    if name not in ISSUE_COUNTS or not (least.isascii() and least.isdigit() and len(least) < 9):
        raise UsageError(f"`--min-delta` takes NAME:NUMBER, not `{pair}`.", hint=f"Names: {', '.join(ISSUE_COUNTS)}.")
    return name, int(least)


def _mention(values: Sequence[str]) -> str:
    if not values:
        return ""
    who = values[-1]
    if who.lower().removeprefix("@") == "author":
        return ""
    if who.lower() in NOBODY:
        return "none"
    match = PERSON.fullmatch(who) or GROUP.fullmatch(who)
    if match is None:
        raise UsageError(
            f"`--mention` takes a person, a user group, `author` or `none`, not `{who}`.",
            hint="Write the person as `@name` and choose one from Slack's list.",
        )
    return match[1] or match[2]


def _one_of(flag: str, values: Sequence[str], choices: tuple[str, str]) -> str:
    choice = values[-1].lower() if values else ""
    if choice and choice not in choices:
        raise UsageError(f"`--{flag}` is `{choices[0]}` or `{choices[1]}`, not `{values[-1]}`.")
    return choice


def _escalation(values: Sequence[str]) -> tuple[int, str]:
    """Return after how many minutes to escalate and to whom, of `30m`, `30m,@user` or `off`."""
    if not values or values[0].lower() in NOBODY:
        return 0, ""
    span = SPAN.fullmatch(values[0])
    minutes = int(span[1]) * SPAN_MINUTES[span[2].lower()] if span else 0
    if not 0 < minutes <= LONGEST_ESCALATION or len(values) > 2:
        raise UsageError(
            f"`--escalate` takes a time such as `30m`, not `{','.join(values)}`.",
            hint="Up to 7d; after it, if you like, whom to call: `--escalate 30m @user`.",
        )
    whom = _mention(values[1:])
    return minutes, "" if whom in NOBODY else whom


def _person(name: str) -> str:
    """Return a name to compare with; somebody mentioned in Slack becomes their id."""
    bare = name.removeprefix("!")
    found = PERSON.fullmatch(bare)
    return f"{'!' if bare != name else ''}{(found[1] or found[2]) if found else bare}"


def _spoken(name: str) -> str:
    bare = name.removeprefix("!")
    said = f"<@{bare}>" if PERSON.fullmatch(bare) else bare
    return f"not {said}" if bare != name else said


def _quoted(words: str) -> str:
    return shlex.quote(words) if re.search(r"[\s'\"\\]", words) else words


def events_of(build: Build, transition: Transition) -> frozenset[str]:
    """Return the event words that a finished attempt stands for.

    A build that a newer one of its ref has overtaken (a late end, a retry of an old build) changes nothing of how the
    ref stands: it stands for its result alone.
    """
    words = {build.conclusion.value if build.conclusion else "unknown"}
    if build.tag and build.conclusion is Conclusion.PASSED:
        words.add("tags")
    if transition.is_outdated:
        return frozenset(words)
    if transition.change in {Change.BROKEN, Change.FIXED, Change.STILL_FAILING}:
        words.add(transition.change.value)
    if newly_broken(build, transition):
        words.add("broken")
    if transition.worse:
        words.add("worse")
    if transition.better:
        words.add("better")
    return frozenset(words)


def newly_broken(build: Build, transition: Transition) -> bool:
    """Return whether an attempt is red, the one before it was not, or was not there, and no newer build has ended."""
    is_red = build.conclusion is not None and build.conclusion.is_red
    return is_red and not transition.is_outdated and transition.change in {Change.BROKEN, Change.FIRST}


def on_branch(build: Build, globs: Sequence[str], default: str) -> bool:
    """Return whether a build belongs to a ref that a link follows: `main`, `tag:v1`, `pr:7`; globs, `!` excludes.

    Without any, the default branch's builds pass; where no default branch is known, every build does. The builds of
    pull requests and forks never belong to a branch, whatever their branch is called. A build without a ref passes
    unless refs are named.
    """
    ref = build.history_ref
    if not globs:
        if not default:
            return True
        if ref is None:
            return not (build.from_fork or build.branch or build.trigger is Trigger.MERGE_REQUEST)
        return ref.kind is RefKind.BRANCH and composed(ref.name) == composed(default)
    name = str(ref) if ref is not None and ref.kind is not RefKind.BRANCH else ref.name if ref is not None else ""
    plus = [glob for glob in globs if not glob.startswith("!")]
    minus = [glob[1:] for glob in globs if glob.startswith("!")]
    admitted = not plus or (bool(name) and any(fits_glob(name, glob) for glob in plus))
    return admitted and not (name and any(fits_glob(name, glob) for glob in minus))


def judge(
    build: Build,
    transition: Transition,
    link: NewLink,
    event: Event,
    *,
    started_by: str = "",
    pending: Pending = NOTHING_PENDING,
) -> Decision:
    """Return whether a link is notified of this, mutes aside, and why. `started_by` is who started it through the bot.

    What is `pending` passes as if it turned out the way the link asks for.
    """
    if link.paused_reason:
        return silent(f"the link is paused: {link.paused_reason}")
    if not link.subscribed:
        return silent("this channel unsubscribed from the pipeline")
    link_filter = filter_of(link)
    default = link.branch or link.default_branch
    events = frozenset({ONLY[event]}) if event in ONLY else events_of(build, transition)
    if event is Event.FINISHED:
        events |= pending.events & set(link_filter.passing_events)
    is_release = link_filter.preset == "release" and not link_filter.events and "tags" in events
    if not is_release and not on_branch(build, link_filter.branches, default):
        followed = ", ".join(link_filter.branches) or default
        return silent(f"{_ref_words(build)} is not among the branches this channel follows ({followed})")
    if not events & set(link_filter.passing_events):
        return silent(
            f"{' and '.join(sorted(events - {'tags'}))} is not among what this channel is notified of ({link_filter.in_words(default)})"
        )
    if link_filter.triggers and build.trigger.value not in link_filter.triggers:
        return silent(f"it was triggered by {build.trigger.value}")
    if link_filter.by and not is_by(build, started_by, link_filter.by):
        return silent(f"it was started by {build.triggered_by or 'somebody unknown'}")
    if event is Event.FINISHED and (small := _too_small(build, transition, link_filter, pending)):
        return silent(small)
    return post(f"this channel gets a post for {link_filter.in_words(default)}")


def _ref_words(build: Build) -> str:
    if build.pull_request:
        return f"the pull request !{build.pull_request}"
    return f"a fork's {build.ref}" if build.from_fork and build.ref else build.ref or "its branch"


def _too_small(build: Build, transition: Transition, link_filter: Filter, pending: Pending) -> str:
    """Return why an attempt matters too little for a link that waits for more, or an empty text."""
    red = build.conclusion is not None and build.conclusion.is_red
    failures = transition.streak if transition.change in {Change.STILL_FAILING, Change.FIXED} else 1 if red else None
    if link_filter.min_streak and not pending.history and failures is not None and failures < link_filter.min_streak:
        ended = f"it ended {failures} failures in a row" if not red else f"it is failure {failures} in a row"
        return f"{ended}, and the link waits for {link_filter.min_streak}"
    if pending.counts or not link_filter.min_delta:
        return ""
    moved = any((transition.delta(build.issues, name) or 0) >= least for name, least in link_filter.min_delta)
    return "" if moved else "its counts moved less than the link asks for"


def is_by(build: Build, started_by: str, people: Sequence[str]) -> bool:
    """Return whether a build was started by one of some people, or is their commit's; `!name` leaves somebody out."""
    author = build.author
    names = {folded(build.triggered_by or ""), folded(started_by)}
    if author is not None:
        names |= {folded(name or "") for name in (author.name, author.login, author.email)}
    if build.triggered_by_type is Starter.BOT:
        names.add("bot")
    names.discard("")
    plus = {folded(name).removeprefix("@") for name in people if not name.startswith("!")}
    minus = {folded(name[1:]).removeprefix("@") for name in people if name.startswith("!")}
    return (not plus or bool(names & plus)) and not names & minus
