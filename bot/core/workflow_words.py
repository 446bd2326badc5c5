"""The settings of a workflow as people type and read them: `branch=main, release/*`, `schedule=daily 03:00 UTC`. Pure.

Every setting is read from and written to one text, which typed commands, forms and the difference before a change
share. What is read back as it was written leaves the definition as it is.
"""

import re
import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar
from zoneinfo import ZoneInfo

from bot.core.errors import UsageError
from bot.core.text import among_names, same_name
from bot.core.workflows import (
    ActionKind,
    ConditionKind,
    FileMatcher,
    FilesRule,
    Patterns,
    Platform,
    StartCondition,
    Timetable,
    WorkflowAction,
    WorkflowDefinition,
)

W = TypeVar("W", bound=str)

ANY, OFF = "any", "off"
YES = frozenset({"yes", "true", "on", "1"})
NO = frozenset({"no", "false", "off", "0"})
DAYS = ("MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY", "SATURDAY", "SUNDAY")
MOST_ACTIONS = 30
DESTINATIONS: Mapping[str, tuple[str, ...]] = {
    Platform.IOS: ("ANY_IOS_DEVICE", "ANY_IOS_SIMULATOR"),
    Platform.MACOS: ("ANY_MAC", "ANY_MAC_CATALYST"),
    Platform.TVOS: ("ANY_TVOS_DEVICE", "ANY_TVOS_SIMULATOR"),
    Platform.WATCHOS: ("ANY_WATCHOS_DEVICE", "ANY_WATCHOS_SIMULATOR"),
    Platform.VISIONOS: ("ANY_VISIONOS_DEVICE", "ANY_VISIONOS_SIMULATOR"),
}
AUDIENCES: Mapping[str, str] = {"app-store": "APP_STORE_ELIGIBLE", "internal": "INTERNAL_ONLY"}
PLATFORM_NAMES: Mapping[str, str] = {
    Platform.IOS: "iOS",
    Platform.MACOS: "macOS",
    Platform.TVOS: "tvOS",
    Platform.WATCHOS: "watchOS",
    Platform.VISIONOS: "visionOS",
}

_ARROW = re.compile(r"->|→|=>")
_GAP = re.compile(r"[,\s]+")
_CLOCK = re.compile(r"(\d{0,2}):(\d{2})", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One setting: its name, its label in forms, what it takes, and how it is written and read.

    `read` returns the definition with the setting changed; `zone` is the person's time zone. Raises UsageError.
    """

    name: str
    label: str
    help: str
    write: Callable[[WorkflowDefinition], str]
    read: Callable[[WorkflowDefinition, str, str], WorkflowDefinition]
    only_new: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A setting that changes, with its text before and after. `before` is empty for a new workflow."""

    label: str
    before: str
    after: str


def apply(definition: WorkflowDefinition, texts: Mapping[str, str], *, zone: str, is_new: bool) -> WorkflowDefinition:
    """Return a definition with settings changed. Raises UsageError for a setting or a value that there is not."""
    texts_by_setting: dict[str, str] = {}
    for name, text in texts.items():
        setting = BY_NAME.get(name.lower().replace("-", "_"))
        if setting is None or (setting.only_new and not is_new):
            offered = [known.name for known in SETTINGS if is_new or not known.only_new]
            raise UsageError(
                f"A workflow's `{name}` cannot be changed." if setting else f"A workflow has no setting `{name}`.",
                hint=f"There are: {', '.join(f'`{known}`' for known in offered)}.",
            )
        texts_by_setting[setting.name] = text.strip()
    for setting in SETTINGS:
        if setting.name in texts_by_setting and texts_by_setting[setting.name] != setting.write(definition):
            definition = setting.read(definition, texts_by_setting[setting.name], zone)
    return definition


def differences(before: WorkflowDefinition | None, after: WorkflowDefinition) -> list[Difference]:
    """Return the settings that differ, in the order people read them; of a new workflow those that say something."""
    changes: list[Difference] = []
    for setting in SETTINGS:
        old, new = setting.write(before) if before is not None else "", setting.write(after)
        if before is None and new in {"", "no", OFF}:
            continue
        if old == new or (setting.name.endswith("_files") and {old, new} <= {"", ANY}):
            continue
        if setting.name == "actions":
            changes += _action_differences(before.actions if before is not None else (), after.actions)
        else:
            changes.append(Difference(label=setting.label, before=old, after=new))
    return changes


def _action_differences(before: Sequence[WorkflowAction], after: Sequence[WorkflowAction]) -> list[Difference]:
    old = {action.name: write_action(action) for action in before}
    new = {action.name: write_action(action) for action in after}
    changed = [
        Difference(label=f"Action {name}", before=old.get(name, ""), after=new.get(name, ""))
        for name in dict.fromkeys((*old, *new))
        if old.get(name) != new.get(name)
    ]
    return changed or [Difference(label="Order of actions", before=", ".join(old), after=", ".join(new))]


# words for values


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


# actions

ACTION_KEYS = ("name", "platform", "scheme", "destination", "plan", "device", "audience", "required")


def write_action(action: WorkflowAction) -> str:
    """Return an action as it is typed: `test name='Test - iOS' platform=ios scheme=Aurora`."""
    pairs: list[tuple[str, str | None]] = [
        ("name", action.name),
        ("platform", spelled(action.platform)),
        ("scheme", action.scheme),
        ("destination", spelled(action.destination)),
        ("plan", action.plan),
        *(("device", device) for device in action.devices),
        ("audience", _audience(action.audience)),
        ("required", None if action.required else "no"),
    ]
    return " ".join([action.kind.lower(), *(f"{key}={_quoted(value)}" for key, value in pairs if value)])


def _quoted(value: str) -> str:
    """Return a value in quotes where it needs them; a bracket or an umlaut needs none."""
    return shlex.quote(value) if any(char.isspace() or char in "'\"\\" for char in value) else value


def spelled(word: str | None) -> str | None:
    """Return a word of the CI system's as it is typed: `any-ios-device`."""
    return word.lower().replace("_", "-") if word else None


def _audience(audience: str | None) -> str | None:
    return next((word for word, raw in AUDIENCES.items() if raw == audience), spelled(audience))


def read_action(line: str, existing: Sequence[WorkflowAction] = ()) -> WorkflowAction:
    """Return an action; one whose name is existing begins with what it has. Raises UsageError for what is no action."""
    try:
        words = shlex.split(line)
    except ValueError as exc:
        raise UsageError(f"A quote in the action `{line}` is not closed.") from exc
    pairs: dict[str, list[str]] = {}
    plain: list[str] = []
    for word in words:
        key, equals, value = word.partition("=")
        if not equals:
            plain.append(word)
        elif key.lower() not in ACTION_KEYS:
            keys = ", ".join(f"`{name}`" for name in ACTION_KEYS)
            raise UsageError(f"An action has no `{key}`.", hint=f"It has {keys}.")
        else:
            pairs.setdefault(key.lower(), []).append(value)
    kind = _one_of(ActionKind, plain[0], "kind of action") if plain else None
    if len(plain) > 1:
        raise UsageError(f"Unexpected `{plain[1]}` in an action.", hint="Quote a value that holds spaces.")
    name = pairs.get("name", [""])[-1]
    old = next((action for action in existing if same_name(action.name, name)), None)
    if kind is None and old is None:
        raise UsageError("What does the action do?", hint="Begin with build, analyze, test or archive.")
    started = kind if kind is not None else (old.kind if old is not None else "")
    action = old if old is not None and old.kind == started else WorkflowAction(kind=started, name=name)
    return _completed(_with_pairs(action, pairs))


def _with_pairs(action: WorkflowAction, pairs: Mapping[str, Sequence[str]]) -> WorkflowAction:
    last = {key: values[-1] for key, values in pairs.items()}
    if "platform" in last:
        platform = _one_of(Platform, last["platform"], "platform")
        keeps = action.destination is None or action.destination in DESTINATIONS[platform]
        action = replace(action, platform=platform, destination=action.destination if keeps else None)
    if "scheme" in last:
        action = replace(action, scheme=last["scheme"].strip() or None)
    if "destination" in last:
        every = [word for words in DESTINATIONS.values() for word in words]
        action = replace(action, destination=_among(every, last["destination"], "destination"))
    if "plan" in last:
        plan = last["plan"].strip()
        action = replace(action, plan=plan if plan and plan.casefold() != "scheme" else None)
    if "device" in pairs:
        devices = tuple(dict.fromkeys(device.strip() for device in pairs["device"] if device.strip()))
        action = replace(action, devices=devices)
    if "audience" in last:
        word = last["audience"].casefold()
        if word not in AUDIENCES:
            raise UsageError(f"An archive is for `app-store` or `internal`, not for `{last['audience']}`.")
        action = replace(action, audience=AUDIENCES[word])
    if "required" in last:
        action = replace(action, required=read_switch("required", last["required"]))
    return action


def _completed(action: WorkflowAction) -> WorkflowAction:
    """Return an action with what was not said as the CI system itself would fill it in. Raises UsageError for a misfit."""
    platform = action.platform or Platform.IOS
    is_test = action.kind == ActionKind.TEST
    if is_test and action.destination:
        raise UsageError("A test has devices, no destination.", hint="Write `device='iPhone 17 (iOS 26.1)'`.")
    if not is_test and (action.plan or action.devices):
        raise UsageError("Only a test has a test plan and devices.", hint="The others have a `destination`.")
    if action.audience and action.kind != ActionKind.ARCHIVE:
        raise UsageError("Only an archive has an audience.")
    offered = DESTINATIONS.get(platform, ())
    destination = action.destination
    if not is_test and offered:
        if destination and destination not in offered:
            words = " or ".join(f"`{spelled(word)}`" for word in offered)
            raise UsageError(
                f"`{spelled(destination)}` is no destination for {PLATFORM_NAMES[platform]}.", hint=f"Take {words}."
            )
        first = 1 if action.kind == ActionKind.ANALYZE and len(offered) > 1 and platform != Platform.MACOS else 0
        destination = destination or offered[first]
    name = action.name or default_name(action.kind, platform)
    return replace(action, name=name, platform=platform, destination=destination)


def default_name(kind: str, platform: str) -> str:
    """Return the name that App Store Connect gives an action: `Test - iOS`."""
    return f"{kind.capitalize()} - {PLATFORM_NAMES.get(platform, platform)}"


def _one_of(words: type[W], text: str, what: str) -> W:
    return words(_among([str(word) for word in words], text, what))  # type: ignore[attr-defined]


def _among(offered: Iterable[str], text: str, what: str) -> str:
    raw = text.strip().upper().replace("-", "_")
    if raw not in offered:
        words = ", ".join(f"`{spelled(word)}`" for word in offered)
        raise UsageError(f"There is no {what} `{text}`.", hint=f"There are: {words}.")
    return raw


def read_actions(text: str, known: Sequence[WorkflowAction]) -> tuple[WorkflowAction, ...]:
    """Return actions written one a line. Raises UsageError for none, too many, and two of one name."""
    return checked_actions([read_action(line, known) for line in text.splitlines() if line.strip()])


def write_actions(actions: Iterable[WorkflowAction]) -> str:
    """Return actions one a line."""
    return "\n".join(write_action(action) for action in actions)


def with_actions(
    actions: Sequence[WorkflowAction], lines: Sequence[str], without: Sequence[str]
) -> tuple[WorkflowAction, ...]:
    """Return a list of actions with some added or changed (by name) and some left out. Raises UsageError."""
    kept = list(actions)
    for name in without:
        left = [action for action in kept if not same_name(action.name, name)]
        if len(left) == len(kept):
            offered = ", ".join(f"`{action.name}`" for action in kept)
            raise UsageError(f"There is no action `{name}`.", hint=f"There are: {offered}." if offered else None)
        kept = left
    for line in lines:
        action = read_action(line, kept)
        place = next((at for at, other in enumerate(kept) if same_name(other.name, action.name)), None)
        if place is None:
            kept.append(action)
        else:
            kept[place] = replace(action, name=kept[place].name)
    return checked_actions(kept)


def checked_actions(actions: Sequence[WorkflowAction]) -> tuple[WorkflowAction, ...]:
    """Return a whole list of actions. Raises UsageError for none, too many, and two of one name."""
    if not actions:
        raise UsageError("A workflow needs at least one action.", hint="Such as `test scheme=NAME platform=ios`.")
    if len(actions) > MOST_ACTIONS:
        raise UsageError(f"That are more than {MOST_ACTIONS} actions.")
    for place, action in enumerate(actions):
        if among_names(action.name, (other.name for other in actions[:place])):
            raise UsageError(f"Two actions are called `{action.name}`.", hint="Give one another `name=…`.")
    return tuple(actions)


# the settings


def _text(name: str, label: str, about: str, *, only_new: bool = False) -> Setting:
    def read(definition: WorkflowDefinition, text: str, _zone: str) -> WorkflowDefinition:
        if not text and name != "description":
            raise UsageError(f"`{name}` may not be empty.")
        return replace(definition, **{name: text})  # type: ignore[arg-type]

    def write(definition: WorkflowDefinition) -> str:
        return str(getattr(definition, name))

    return Setting(name=name, label=label, help=about, write=write, read=read, only_new=only_new)


def _switch(name: str, label: str, about: str) -> Setting:
    def read(definition: WorkflowDefinition, text: str, _zone: str) -> WorkflowDefinition:
        return replace(definition, **{name: read_switch(name, text)})  # type: ignore[arg-type]

    def write(definition: WorkflowDefinition) -> str:
        return write_switch(getattr(definition, name))

    return Setting(name=name, label=label, help=about, write=write, read=read)


def _with_condition(
    definition: WorkflowDefinition, kind: ConditionKind, condition: StartCondition | None
) -> WorkflowDefinition:
    others = {known: old for known, old in definition.conditions.items() if known is not kind}
    return replace(definition, conditions=others if condition is None else {**others, kind: condition})


def _condition(kind: ConditionKind, label: str, about: str) -> Setting:
    def read(definition: WorkflowDefinition, text: str, zone: str) -> WorkflowDefinition:
        return _with_condition(definition, kind, read_condition(kind, text, definition.conditions.get(kind), zone))

    def write(definition: WorkflowDefinition) -> str:
        return write_condition(kind, definition.conditions.get(kind))

    return Setting(name=kind.value, label=label, help=about, write=write, read=read)


def _part(
    kind: ConditionKind,
    suffix: str,
    label: str,
    about: str,
    change: Callable[[StartCondition, str], StartCondition],
    shown: Callable[[StartCondition], str],
) -> Setting:
    def read(definition: WorkflowDefinition, text: str, _zone: str) -> WorkflowDefinition:
        condition = definition.conditions.get(kind)
        if condition is None:
            if text.casefold() in {ANY, OFF, "no"}:
                return definition
            raise UsageError(f"`{kind.value}_{suffix}` needs a start condition.", hint=f"Give `{kind.value}=any`, too.")
        return _with_condition(definition, kind, change(condition, text))

    def write(definition: WorkflowDefinition) -> str:
        condition = definition.conditions.get(kind)
        return shown(condition) if condition is not None else ""

    return Setting(name=f"{kind.value}_{suffix}", label=label, help=about, write=write, read=read)


def _parts(kind: ConditionKind, what: str) -> tuple[Setting, Setting]:
    return (
        _part(
            kind,
            "files",
            f"{what}: files",
            "changed files that matter: `any`, `only Sources/*.swift, Config/` or `except *.md`",
            lambda condition, text: replace(condition, files=read_files(text)),
            lambda condition: write_files(condition.files),
        ),
        _part(
            kind,
            "cancel",
            f"{what}: cancel older builds",
            "yes to cancel builds that a newer one overtakes",
            lambda condition, text: replace(condition, cancels=read_switch(f"{kind.value}_cancel", text)),
            lambda condition: write_switch(condition.cancels),
        ),
    )


def _read_actions(definition: WorkflowDefinition, text: str, _zone: str) -> WorkflowDefinition:
    return replace(definition, actions=read_actions(text, definition.actions))


SETTINGS: tuple[Setting, ...] = (
    _text("name", "Name", "the workflow's name"),
    _text("product", "Product", "the product it belongs to", only_new=True),
    _text("repository", "Repository", "the repository it builds, as `owner/name`", only_new=True),
    _text("description", "Description", "what it is for"),
    _switch("enabled", "Enabled", "yes to let it build, no to switch it off"),
    _switch("locked", "Restrict editing", "yes to let only admins edit it in App Store Connect"),
    _switch("clean", "Clean", "yes to build without cached files"),
    _text(
        "container",
        "Project or workspace",
        "the path of the project or workspace in the repository: `Aurora.xcodeproj`",
    ),
    _text("xcode", "Xcode", "the Xcode version: `26.1` or `latest`"),
    _text("macos", "macOS", "the macOS version: `26.1` or `latest`"),
    _condition(
        ConditionKind.BRANCH, "Branch changes", "branches whose changes start it: `any`, `main, release/*` or `off`"
    ),
    *_parts(ConditionKind.BRANCH, "Branch changes"),
    _condition(ConditionKind.TAG, "Tag changes", "tags that start it: `any`, `v*` or `off`"),
    *_parts(ConditionKind.TAG, "Tag changes"),
    _condition(
        ConditionKind.PULL_REQUEST,
        "Pull request changes",
        "pull requests that start it: `any`, `any -> main` (source -> target) or `off`",
    ),
    *_parts(ConditionKind.PULL_REQUEST, "Pull request changes"),
    _condition(
        ConditionKind.SCHEDULE, "Schedule", "`daily 3:00`, `weekly mon,thu 7:30 UTC on main`, `hourly` or `off`"
    ),
    _condition(
        ConditionKind.MANUAL_BRANCH,
        "Started by hand: branches",
        "branches that may be built by hand, and by this bot: `any`, names or `off`",
    ),
    _condition(
        ConditionKind.MANUAL_TAG, "Started by hand: tags", "tags that may be built by hand: `any`, names or `off`"
    ),
    _condition(
        ConditionKind.MANUAL_PULL_REQUEST,
        "Started by hand: pull requests",
        "pull requests that may be built by hand: `any`, `any -> main` or `off`",
    ),
    Setting(
        name="actions",
        label="Actions",
        help="one a line: `test scheme=Aurora platform=ios device='iPhone 17 (iOS 26.1)' required=no`",
        write=lambda definition: write_actions(definition.actions),
        read=_read_actions,
    ),
)
"""Every setting, in the order they are read and shown: a condition before what belongs to it."""

BY_NAME: Mapping[str, Setting] = {setting.name: setting for setting in SETTINGS} | {
    alias: setting
    for setting in SETTINGS
    for alias in {
        "container": ("project", "workspace"),
        "pull_request": ("pr",),
        "pull_request_files": ("pr_files",),
        "pull_request_cancel": ("pr_cancel",),
        "manual_pull_request": ("manual_pr",),
    }.get(setting.name, ())
}
