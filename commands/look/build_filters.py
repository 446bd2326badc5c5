"""By what lists of builds are narrowed: read from what a person typed, and turned into a provider's filter."""

import shlex
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from bot.core.errors import UsageError
from bot.core.models import BuildFilter, FilterField
from bot.core.text import folded
from bot.providers.base.options import check_options, names_option
from bot.providers.base.provider import AnyProvider
from commands.act.options import names_of, options_given
from commands.core.context import Context
from commands.core.durations import parse_moment
from commands.core.grammar import TARGET_FLAGS, ParsedArgs, mentioned_user

STATES = (
    "queued",
    "in_progress",
    "running",
    "blocked",
    "passed",
    "failed",
    "cancelled",
    "timeout",
    "skipped",
    "partial",
    "unknown",
)
META = "meta_data."
VALUES = (*(name.value for name in FilterField), "meta", "option", "skip", "n")
"""The flags of a list of builds that take a value."""
FLAGS = (
    ("--state failed,running", "builds in these states; the CI system's own words are taken, too"),
    ("--branch main", "builds of a branch"),
    ("--commit 1a2b3c4", "builds of a commit"),
    ("--by @ana", "started or written by somebody: a person here, a name, an address, `me`"),
    ("--since 3d", "made since then; also `2026-08-01`, `2026-08-01T10:30`"),
    ("--until 1d", "made before then"),
    ("--finished-since 2h", "ended since then"),
    ("--finished-until 1h", "ended before then"),
    ("--meta KEY=VALUE", "with this meta-data (Buildkite)"),
    ("--option NAME=VALUE", "what else the CI system's list takes; see its page in the documentation"),
)
ALIASES: Mapping[str, str] = {
    "author": "by",
    "created-from": "since",
    "created-to": "until",
    "created_from": "since",
    "created_to": "until",
    "creator": "by",
    "finished-from": "finished-since",
    "finished_from": "finished-since",
    "meta-data": "meta",
    "meta_data": "meta",
    "ref": "branch",
    "scope": "state",
    "sha": "commit",
    "started_at": "since",
    "completed_at": "finished-since",
    "status": "state",
}
"""What CI systems call these filters."""
_KEPT_IN_PAGES = (*VALUES, "all", "public")


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """What a list of builds is narrowed by, as typed. Times are spans before now, or points in time.

    `words` are the flags as they are typed again for the next page.
    """

    states: frozenset[str] = frozenset()
    branch: str | None = None
    commit: str | None = None
    by: str = ""
    since: timedelta | datetime | None = None
    until: timedelta | datetime | None = None
    finished_since: timedelta | datetime | None = None
    finished_until: timedelta | datetime | None = None
    options: Mapping[str, str] = field(default_factory=dict)
    words: str = ""


def read_filters(parsed: ParsedArgs, usage: str) -> Filters:
    """Return the filters among a command's flags. Raises UsageError."""
    states = frozenset(
        word.strip().lower() for part in parsed.flags.get("state", ()) for word in part.split(",") if word.strip()
    )
    times = {
        name: parse_moment(value)
        for name in ("since", "until", "finished-since", "finished-until")
        if (value := parsed.flag(name)) is not None
    }
    return Filters(
        states=frozenset("in_progress" if state == "running" else state for state in states),
        branch=parsed.flag("branch"),
        commit=parsed.flag("commit"),
        by=parsed.flag("by") or "",
        since=times.get("since"),
        until=times.get("until"),
        finished_since=times.get("finished-since"),
        finished_until=times.get("finished-until"),
        options={**options_given(parsed, usage), **_meta(parsed)},
        words=_again(parsed),
    )


def _meta(parsed: ParsedArgs) -> dict[str, str]:
    pairs = [(pair, *pair.partition("=")) for pair in parsed.flags.get("meta", ())]
    for pair, name, equals, _value in pairs:
        if not name or not equals:
            raise UsageError(f"`--meta` takes KEY=VALUE, not `{pair}`.")
    return {f"{META}{name}": value for _pair, name, _equals, value in pairs}


def _again(parsed: ParsedArgs) -> str:
    """Return the flags as a person would type them again, but for what names the target and the page."""
    words: list[str] = []
    for name, values in parsed.flags.items():
        if name in TARGET_FLAGS or name == "skip" or name not in _KEPT_IN_PAGES:
            continue
        words += [f"--{name}"] if not values else [f"--{name}={shlex.quote(value)}" for value in values]
    return " ".join(words)


async def build_filter(filters: Filters, context: Context, limit: int) -> BuildFilter:
    """Return the filter as providers take it, at most `limit` builds. Costs a look at a person where one is named."""
    zone = ZoneInfo(await context.zone())

    def at(moment: timedelta | datetime | None) -> datetime | None:
        if isinstance(moment, timedelta):
            return context.now - moment
        return moment.replace(tzinfo=zone) if moment is not None and moment.tzinfo is None else moment

    return BuildFilter(
        branch=filters.branch,
        commit=filters.commit,
        states=filters.states,
        by=await _names(filters.by, context) if filters.by else frozenset(),
        since=at(filters.since),
        until=at(filters.until),
        finished_since=at(filters.finished_since),
        finished_until=at(filters.finished_until),
        options=filters.options,
        limit=limit,
    )


async def _names(word: str, context: Context) -> frozenset[str]:
    """Return the names by which CI systems may know somebody: a mention's, one's own, else the word as it is."""
    user = context.user if word.lower() == "me" else mentioned_user(word)
    if user is not None:
        return await names_of(user, context)
    return frozenset({folded(word.removeprefix("@"))})


def check_states(states: Collection[str], providers: Sequence[AnyProvider]) -> None:
    """Raise UsageError for a word that is neither a state of ours nor one of a provider's own."""
    own = {word.lower() for provider in providers for word in provider.states}
    for state in sorted(set(states) - set(STATES) - own):
        hint = f"States: {', '.join(STATES)}."
        if len(providers) == 1 and own:
            hint += f" {providers[0].label}'s own: {', '.join(sorted(own - set(STATES)))}."
        raise UsageError(f"There is no state `{state}`.", hint=hint)


def check_list_options(options: Mapping[str, str], provider: AnyProvider) -> None:
    """Raise UsageError for the first option that the provider's lists of builds do not take."""
    for name in options:
        if name.startswith(META) and not names_option(name, provider.list_options):
            raise UsageError(f"Builds of {provider.label} carry no meta-data that I could filter by.")
    check_options(options, provider.list_options, provider.label)


def narrowed_here(query: BuildFilter, provider: AnyProvider) -> str:
    """Return a sentence on what the bot looks for itself among the newest builds, "" where the vendor does all."""
    flags = [f"--{name}" for name in FilterField if name in query.fields - provider.narrows(query)]
    return (
        f"{provider.label} does not filter by {', '.join(flags)}: I looked through its newest builds." if flags else ""
    )
