"""Values of a workflow's settings as people type and read them: switches, patterns, files, timetables. Pure."""

import re
from dataclasses import replace
from zoneinfo import ZoneInfo

from bot.core.errors import UsageError
from bot.core.workflows import ConditionKind, FileMatcher, FilesRule, Patterns, StartCondition, Timetable

ANY, OFF = "any", "off"
YES = frozenset({"yes", "true", "on", "1"})
NO = frozenset({"no", "false", "off", "0"})
DAYS = ("MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY", "SATURDAY", "SUNDAY")

_ARROW = re.compile(r"->|→|=>")
_GAP = re.compile(r"[,\s]+")
_CLOCK = re.compile(r"(\d{0,2}):(\d{2})", re.ASCII)


def read_switch(name: str, text: str) -> bool:
    """Return a yes or a no. Raises UsageError for anything else."""
    word = text.casefold()
    if word not in YES | NO:
        raise UsageError(f"`{name}` is yes or no, not `{text}`.")
    return word in YES


def write_switch(value: bool | None) -> str:  # noqa: FBT001 - the value to write
    """Return yes or no; unknown counts as no."""
    return "yes" if value else "no"


def read_patterns(text: str) -> Patterns:
    """Return names of branches or tags; `any`, `all` and `*` stand for all. Raises UsageError for `*` inside a name."""
    names = tuple(name for name in _GAP.split(text.strip()) if name)
    if not names:
        raise UsageError("Which names?", hint="Write `any`, or names such as `main, release/*`.")
    if len(names) == 1 and names[0].casefold() in {ANY, "all", "*"}:
        return Patterns()
    for name in names:
        if "*" in name[:-1] or name == "*":
            raise UsageError(f"`{name}` has a `*` before its end.", hint="A `*` stands at the end only: `release/*`.")
    return Patterns(names=tuple(dict.fromkeys(names)))


def write_patterns(patterns: Patterns) -> str:
    """Return names as they are typed."""
    return ", ".join(patterns.names) or ANY


def read_files(text: str) -> FilesRule | None:
    """Return `only Sources/*.swift, docs/` or `except *.md`; None for `any`. Raises UsageError."""
    if text.casefold() in {ANY, OFF, ""}:
        return None
    word, _, listed = text.strip().partition(" ")
    word = word.casefold().removesuffix(":")
    matchers = tuple(_matcher(part.strip()) for part in listed.split(",") if part.strip())
    if word not in {"only", "except"} or not matchers:
        raise UsageError(
            f"I don't understand the files `{text}`.",
            hint="Write `any`, `only Sources/*.swift, Config/` or `except *.md`.",
        )
    return FilesRule(is_exclusion=word == "except", matchers=matchers)


def _matcher(text: str) -> FileMatcher:
    directory, _, file = text.rpartition("/")
    name, dot, extension = file.rpartition(".")
    if not dot:
        name, extension = file, ""
    return FileMatcher(directory=directory, name="" if name == "*" else name, extension=extension)


def write_files(rule: FilesRule | None) -> str:
    """Return a rule about files as it is typed."""
    if rule is None or not rule.matchers:
        return ANY
    files = ", ".join(_written_matcher(matcher) for matcher in rule.matchers)
    return f"{'except' if rule.is_exclusion else 'only'} {files}"


def _written_matcher(matcher: FileMatcher) -> str:
    folder = f"{matcher.directory.rstrip('/')}/" if matcher.directory else ""
    if not matcher.name and not matcher.extension:
        return folder or "*"
    ending = f".{matcher.extension}" if matcher.extension else ""
    return f"{folder}{matcher.name or '*'}{ending}"


def read_timetable(text: str, zone: str) -> tuple[Timetable, Patterns]:
    """Return `hourly :15`, `daily 3:00 [ZONE]` or `weekly mon,thu 7:30 [ZONE]`, each with ` on BRANCHES` if not all.

    Raises UsageError. Without a zone the person's own is taken.
    """
    when, on, branches = " ".join(text.split()).partition(" on ")
    words = [word for word in when.replace(" at ", " ").split() if word]
    frequency = words[0].upper() if words else ""
    hint = "Write `hourly`, `daily 3:00 Europe/Berlin` or `weekly mon,thu 7:30 UTC`, then `on main` if not on all."
    trouble = UsageError(f"I don't understand the schedule `{text}`.", hint=hint)
    if frequency not in {"HOURLY", "DAILY", "WEEKLY"}:
        raise trouble
    days: tuple[str, ...] = ()
    clock: tuple[int, int] | None = None
    named_zone = ""
    for word in words[1:]:
        if (read := _CLOCK.fullmatch(word)) is not None:
            clock = (int(read[1] or 0), int(read[2]))
        elif frequency == "WEEKLY" and (named := _days(word)):
            days += named
        elif not named_zone and _is_zone(word):
            named_zone = word
        else:
            raise trouble
    if (clock is None and frequency != "HOURLY") or (frequency == "WEEKLY" and not days):
        raise trouble
    hour, minute = clock or (0, 0)
    if hour > 23 or minute > 59:
        raise trouble
    ordered = tuple(day for day in DAYS if day in days)
    table = Timetable(frequency=frequency, days=ordered, hour=hour, minute=minute, zone=named_zone or zone or "UTC")
    return table, read_patterns(branches) if on else Patterns()


def _days(word: str) -> tuple[str, ...]:
    named: list[str] = []
    for part in word.upper().split(","):
        day = next((day for day in DAYS if len(part) >= 3 and day.startswith(part)), None)
        if part and day is None:
            return ()
        if day is not None:
            named.append(day)
    return tuple(named)


def _is_zone(word: str) -> bool:
    try:
        ZoneInfo(word)
    except (ValueError, OSError, KeyError):
        return False
    return True


def write_timetable(condition: StartCondition) -> str:
    """Return a schedule as it is typed."""
    table = condition.timetable
    if table is None:
        return OFF
    on_refs = "" if not condition.source.names else f" on {write_patterns(condition.source)}"
    if table.frequency == "HOURLY":
        return f"hourly :{table.minute:02} {table.zone}{on_refs}"
    days = f" {','.join(day[:3].lower() for day in table.days)}" if table.days else ""
    return f"{table.frequency.lower()}{days} {table.hour:02}:{table.minute:02} {table.zone}{on_refs}"


def write_condition(kind: ConditionKind, condition: StartCondition | None) -> str:
    """Return what starts the workflow as it is typed; `off` where nothing of the kind does."""
    if condition is None:
        return OFF
    if kind is ConditionKind.SCHEDULE:
        return write_timetable(condition)
    source = write_patterns(condition.source)
    if not kind.has_target:
        return source
    target = write_patterns(condition.target)
    return ANY if source == target == ANY else f"{source} -> {target}"


def read_condition(kind: ConditionKind, text: str, old: StartCondition | None, zone: str) -> StartCondition | None:
    """Return a start condition; None for `off`. What the text does not say stays as it was. Raises UsageError."""
    if text.casefold() in {OFF, "none", "no"}:
        return None
    kept = old or StartCondition(cancels=True if kind.follows_changes else None)
    if kind is ConditionKind.SCHEDULE:
        table, source = read_timetable(text, zone)
        return replace(kept, timetable=table, source=source)
    if not kind.has_target:
        return replace(kept, source=read_patterns(text))
    parts = [part.strip() for part in _ARROW.split(text)]
    if len(parts) == 1 and parts[0].casefold() in {ANY, "all", "*"}:
        return replace(kept, source=Patterns(), target=Patterns())
    if len(parts) != 2:
        raise UsageError(
            f"`{text}` does not say which branches pull requests come from and go to.",
            hint="Write `any`, or SOURCE -> TARGET: `any -> main`.",
        )
    return replace(kept, source=read_patterns(parts[0]), target=read_patterns(parts[1]))
