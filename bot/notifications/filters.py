"""What a link wants to hear: filters in the words a person types, and whether a build passes one. Pure."""

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from bot.blocks.text import ordinal
from bot.core.errors import UsageError
from bot.core.models import ISSUE_COUNTS, Build, Change, Conclusion, Starter, Transition, Trigger
from bot.core.text import fits_glob, folded
from bot.notifications.notification import AUTHOR, Decision, Event, post, silent
from bot.store.tables import LinkRow

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
NOBODY = frozenset({"none", "nobody", "off"})
PERSON = re.compile(r"<@([UW][A-Z0-9]+)(?:\|[^>]*)?>|@?([UW][A-Z]*\d[A-Z0-9]*)")
GROUP = re.compile(r"<!subteam\^(S[A-Z0-9]+)(?:\|[^>]*)?>|@?(S[A-Z]*\d[A-Z0-9]*)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """What a link wants to hear: an AND of conditions, each an OR of its values; an empty one admits everything.

    `mention` is who is told when a build newly breaks: a Slack id, `none`, or empty for the commit's author.
    """

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

    @property
    def needs_counts(self) -> bool:
        """Whether it takes an attempt's issue counts to say if the filter admits it."""
        return bool(self.min_delta) or bool({"worse", "better"} & set(self.wanted))

    @property
    def told(self) -> str:
        """Return whom a newly broken build is to be told by name: a Slack id, `AUTHOR`, or nobody."""
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
                f", by {', '.join(_spoken(name) for name in self.by)}" if self.by else "",
                f", from the {ordinal(self.min_streak)} failure in a row" if self.min_streak else "",
                "".join(f", {name.replace('_', ' ')} up by {least} or more" for name, least in self.min_delta),
            )
        )
        return f"{what}{f' on {where}' if where else ''}{extra}"


def read_filter(words: str) -> Filter:
    """Return the filter that `Filter.words` wrote. Raises UsageError for words that are none."""
    try:
        tokens = shlex.split(words)
    except ValueError as exc:
        raise UsageError(f"I don't understand the filter `{words}`.", hint="A quotation mark is open.") from exc
    found: dict[str, list[str]] = {}
    while tokens:
        name = tokens.pop(0)
        if not name.startswith("--") or not tokens:
            raise UsageError(f"I don't understand the filter at `{name}`.")
        found.setdefault(name[2:], []).extend(part for part in tokens.pop(0).split(",") if part)
    return make_filter(found)


def filter_of(link: LinkRow) -> Filter:
    """Return a link's filter; words that this version can't read admit what a new link would hear."""
    try:
        return read_filter(link.filters)
    except UsageError:
        return Filter()


def make_filter(given: Mapping[str, Sequence[str]]) -> Filter:
    """Return the filter that flags with their values ask for. Raises UsageError naming what is not known."""
    found = {name: list(values) for name, values in given.items()}
    made = _heard([event.lower() for event in found.pop("on", [])])
    triggers = [trigger.lower() for trigger in found.pop("trigger", [])]
    if unknown := [trigger for trigger in triggers if trigger not in set(Trigger)]:
        raise UsageError(f"I know no trigger `{unknown[0]}`.", hint=f"Triggers: {', '.join(Trigger)}.")
    streak = (found.pop("min-streak", []) or ["0"])[-1]
    if not (streak.isascii() and streak.isdigit() and len(streak) < 6):
        raise UsageError(f"`--min-streak` takes a number, not `{streak}`.")
    made = replace(
        made,
        branches=tuple(found.pop("branch", [])),
        triggers=tuple(triggers),
        by=tuple(_person(name) for name in found.pop("by", [])),
        min_streak=int(streak),
        min_delta=tuple(_delta(pair) for pair in found.pop("min-delta", [])),
        mention=_mention(found.pop("mention", [])),
    )
    if found:
        raise UsageError(f"I know no filter `--{next(iter(found))}`.")
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


def _mention(given: Sequence[str]) -> str:
    if not given:
        return ""
    who = given[-1]
    if who.lower().removeprefix("@") == "author":
        return ""
    if who.lower() in NOBODY:
        return "none"
    found = PERSON.fullmatch(who) or GROUP.fullmatch(who)
    if found is None:
        raise UsageError(
            f"`--mention` takes a person, a user group, `author` or `none`, not `{who}`.",
            hint="Write the person as `@name` and choose one from Slack's list.",
        )
    return found[1] or found[2]


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
    """Return the event words that a finished attempt stands for."""
    words = {build.conclusion.value if build.conclusion else "unknown"}
    if transition.change in {Change.BROKEN, Change.FIXED, Change.STILL_FAILING}:
        words.add(transition.change.value)
    if newly_broken(build, transition):
        words.add("broken")
    if transition.worse:
        words.add("worse")
    if transition.better:
        words.add("better")
    if build.tag and build.conclusion is Conclusion.PASSED:
        words.add("tags")
    return frozenset(words)


def newly_broken(build: Build, transition: Transition) -> bool:
    """Return whether an attempt is red and the one before it was not, or was not there."""
    is_red = build.conclusion is not None and build.conclusion.is_red
    return is_red and transition.change in {Change.BROKEN, Change.FIRST}


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
    admitted = not plus or any(fits_glob(name, glob) for name in names if name for glob in plus)
    return admitted and not any(fits_glob(name, glob) for name in names if name for glob in minus)


def judge(
    build: Build,
    transition: Transition,
    link: LinkRow,
    event: Event,
    *,
    started_by: str = "",
    counts_to_come: bool = False,
) -> Decision:
    """Return whether a link wants this, mutes aside, and why. `started_by` is who started it through the bot.

    Where its `counts_to_come`, an attempt passes as if they moved as far as the link asks for.
    """
    if link.paused_reason:
        return silent(f"the link is paused: {link.paused_reason}")
    if not link.subscribed:
        return silent("this channel unsubscribed from the pipeline")
    wanted = filter_of(link)
    default = link.branch or link.default_branch
    events = frozenset({"blocked"}) if event is Event.BLOCKED else events_of(build, transition)
    if counts_to_come and event is Event.FINISHED:
        events |= {"worse", "better"} & set(wanted.wanted)
    is_release = wanted.preset == "release" and not wanted.events and "tags" in events
    if not is_release and not on_branch(build, wanted.branches, default):
        heard = ", ".join(wanted.branches) or default
        return silent(f"{build.ref or 'its branch'} is not among the branches this channel hears ({heard})")
    if not events & set(wanted.wanted):
        return silent(
            f"{' and '.join(sorted(events - {'tags'}))} is not among what this channel hears ({wanted.in_words(default)})"
        )
    if wanted.triggers and build.trigger.value not in wanted.triggers:
        return silent(f"it was triggered by {build.trigger.value}")
    if wanted.by and not _by(build, started_by, wanted.by):
        return silent(f"it was started by {build.triggered_by or 'somebody unknown'}")
    if event is Event.FINISHED and (small := _too_small(build, transition, wanted, counts_to_come)):
        return silent(small)
    return post(f"this channel hears {wanted.in_words(default)}")


def _too_small(build: Build, transition: Transition, wanted: Filter, counts_to_come: bool) -> str:  # noqa: FBT001
    """Return why an attempt matters too little for a link that waits for more, or an empty text."""
    red = build.conclusion is not None and build.conclusion.is_red
    failures = transition.streak if transition.change in {Change.STILL_FAILING, Change.FIXED} else 1 if red else None
    if wanted.min_streak and failures is not None and failures < wanted.min_streak:
        said = f"it ended {failures} failures in a row" if not red else f"it is failure {failures} in a row"
        return f"{said}, and the link waits for {wanted.min_streak}"
    if counts_to_come or not wanted.min_delta:
        return ""
    moved = any((transition.delta(build.issues, name) or 0) >= least for name, least in wanted.min_delta)
    return "" if moved else "its counts moved less than the link asks for"


def _by(build: Build, started_by: str, wanted: Sequence[str]) -> bool:
    author = build.author
    names = {folded(build.triggered_by or ""), folded(started_by)}
    if author is not None:
        names |= {folded(name or "") for name in (author.name, author.login, author.email)}
    if build.triggered_by_type is Starter.BOT:
        names.add("bot")
    names.discard("")
    plus = {folded(name).removeprefix("@") for name in wanted if not name.startswith("!")}
    minus = {folded(name[1:]).removeprefix("@") for name in wanted if name.startswith("!")}
    return (not plus or bool(names & plus)) and not names & minus
