"""The filters of `subscribe` and `follow`, read from what is typed."""

from collections.abc import Mapping, Sequence

from bot.core.errors import UsageError
from bot.notifications.filters import PRESETS, Filter, make_filter
from commands.core.grammar import ParsedArgs, Target, mentioned_group, mentioned_user, unexpected

FILTERS = ("on", "branch", "trigger", "by", "min-streak", "min-delta", "mention")
CHANNEL_FILTERS = (*FILTERS, "thread", "escalate", "group")
"""What a channel's link takes: a person who follows a pipeline has no threads, and nobody to call."""
Conditions = Mapping[str, Sequence[str]]
"""A filter's conditions by flag, as typed; one that is empty ends what stood there."""


def conditions_given(parsed: ParsedArgs, usage: str) -> tuple[Conditions, Target]:
    """Return the filter that flags and a preset's name among the words ask for, and the target. Raises UsageError."""
    conditions: dict[str, Sequence[str]] = {
        name: [part for value in parsed.flags[name] for part in value.split(",") if part]
        for name in CHANNEL_FILTERS
        if parsed.has(name)
    }
    words = list(parsed.words)
    if "escalate" in conditions:  # `--escalate 30m @user`: nothing else in these commands is a person or a group
        people = [word for word in words if mentioned_user(word) or mentioned_group(word)]
        conditions["escalate"] = [*conditions["escalate"], *people]
        words = [word for word in words if word not in people]
    presets = [word for word in words if word.lower() in PRESETS]
    if presets:
        conditions.setdefault("on", [presets[-1].lower()])
    rest = [word for word in words if word.lower() not in PRESETS]
    if len(rest) > 1:
        raise unexpected(rest[1], rest[0], usage)
    filter_from(conditions)
    return conditions, ParsedArgs(words=tuple(rest), flags=parsed.flags).target()


def filter_from(conditions: Conditions) -> Filter:
    """Return the filter that conditions make. Raises UsageError."""
    return make_filter({name: list(values) for name, values in conditions.items()})


def merged(before: Filter, conditions: Conditions) -> Filter:
    """Return a filter with some conditions replaced; an empty one is dropped. Raises UsageError."""
    kept: dict[str, list[str]] = {
        "on": list(before.events) or [before.preset],
        "branch": list(before.branches),
        "trigger": list(before.triggers),
        "by": list(before.by),
        "min-delta": [f"{name}:{least}" for name, least in before.min_delta],
        "min-streak": [str(before.min_streak)],
        "mention": [before.mention] if before.mention else [],
        "thread": [before.thread] if before.thread else [],
        "group": [before.group] if before.group else [],
        "escalate": before.escalation_words.split(",") if before.escalate_minutes else [],
    }
    kept.update({name: list(values) for name, values in conditions.items()})
    return make_filter({name: values for name, values in kept.items() if values})


def check_switch(value: str | None, flag: str, usage: str) -> None:
    """Raise UsageError unless a flag's value is `on` or `off`."""
    if value not in {"on", "off"}:
        raise UsageError(f"`--{flag}` is `on` or `off`.", usage=usage)
