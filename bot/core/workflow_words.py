"""The settings of a workflow as people type and read them: `branch=main, release/*`, `schedule=daily 03:00 UTC`. Pure.

Every setting is read from and written to one text, which typed commands, forms and the difference before a change
share. What is read back as it was written leaves the definition as it is.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from bot.core.errors import UsageError
from bot.core.workflow_actions import read_actions, write_action, write_actions
from bot.core.workflow_values import (
    ANY,
    OFF,
    read_condition,
    read_files,
    read_switch,
    write_condition,
    write_files,
    write_switch,
)
from bot.core.workflows import ConditionKind, StartCondition, WorkflowAction, WorkflowDefinition


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
