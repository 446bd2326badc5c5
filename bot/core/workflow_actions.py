"""Actions of a workflow as people type and read them: `test name='Test - iOS' platform=ios scheme=Aurora`. Pure."""

import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from bot.core.errors import UsageError
from bot.core.text import among_names, same_name
from bot.core.workflow_values import read_switch
from bot.core.workflows import ActionKind, Platform, WorkflowAction

W = TypeVar("W", bound=str)

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


def read_actions(text: str, existing: Sequence[WorkflowAction]) -> tuple[WorkflowAction, ...]:
    """Return actions written one a line. Raises UsageError for none, too many, and two of one name."""
    return checked_actions([read_action(line, existing) for line in text.splitlines() if line.strip()])


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
