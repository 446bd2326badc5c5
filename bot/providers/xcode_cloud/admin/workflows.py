"""Workflow definitions: Apple's resources to ours and back. Pure.

What Apple sends and we do not model (a new member of an action, an odd one) is kept in `Origin` and sent back with the
rest, so that a change of one thing changes nothing else. Facts: Apple's OpenAPI document 4.4.1, checked 2026-11.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from bot.core.text import read_json
from bot.core.workflows import (
    ActionKind,
    ConditionKind,
    FileMatcher,
    FilesRule,
    Patterns,
    StartCondition,
    Timetable,
    WorkflowAction,
    WorkflowDefinition,
)
from bot.providers.base.times import parse_time
from bot.providers.xcode_cloud.wire import (
    ActionBody,
    DefinitionAttributes,
    DeviceBody,
    FilesRuleBody,
    PatternsBody,
    Resource,
    StartConditionBody,
    TestConfigurationBody,
    TestDestinationBody,
)

CONDITIONS: Mapping[ConditionKind, str] = {
    ConditionKind.BRANCH: "branchStartCondition",
    ConditionKind.TAG: "tagStartCondition",
    ConditionKind.PULL_REQUEST: "pullRequestStartCondition",
    ConditionKind.SCHEDULE: "scheduledStartCondition",
    ConditionKind.MANUAL_BRANCH: "manualBranchStartCondition",
    ConditionKind.MANUAL_TAG: "manualTagStartCondition",
    ConditionKind.MANUAL_PULL_REQUEST: "manualPullRequestStartCondition",
}
PLAIN: Mapping[str, str] = {
    "name": "name",
    "description": "description",
    "enabled": "isEnabled",
    "locked": "isLockedForEditing",
    "clean": "clean",
    "container": "containerFilePath",
}
"""The settings that are one attribute each, by our name."""

RELATIONS = ("product", "repository", "xcodeVersion", "macOsVersion")
FIELDS = ",".join((*PLAIN.values(), *CONDITIONS.values(), "actions", "lastModifiedDate", *RELATIONS))
EXCLUDES = "DO_NOT_START_IF_ALL_FILES_MATCH"
INCLUDES = "START_IF_ANY_FILE_MATCHES"
SCHEME_SETTINGS = "USE_SCHEME_SETTINGS"
TEST_PLANS = "SPECIFIC_TEST_PLANS"
UNREADABLE = "UNKNOWN"


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """What a definition needs to become a request: ids, the attributes as Apple sent them, devices by their label."""

    id: str = ""
    product: str = ""
    repository: str = ""
    repository_name: str = ""
    xcode: str = ""
    xcode_name: str = ""
    macos: str = ""
    macos_name: str = ""
    members: Mapping[str, Any] = field(default_factory=dict)
    devices: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def origin_of(definition: WorkflowDefinition) -> Origin:
    """Return what the provider keeps with a definition; an empty one for a definition of somebody else's."""
    return definition.origin if isinstance(definition.origin, Origin) else Origin()


def definition(
    workflow: Resource, *, product: str, repository: str, xcode: str, macos: str, web_url: str | None
) -> WorkflowDefinition:
    """Return a ciWorkflow as a definition, with the names of what it refers to."""
    attributes = workflow.read(DefinitionAttributes)
    members = read_json(bytes(workflow.attributes), dict[str, Any])
    raw_actions = [raw for raw in members.get("actions") or () if isinstance(raw, dict)]
    devices = {
        label: raw
        for action in raw_actions
        for raw in _raw_devices(action)
        if (label := device_label(_converted(raw, TestDestinationBody)))
    }
    return WorkflowDefinition(
        name=attributes.name or workflow.id,
        product=product,
        repository=repository,
        description=attributes.description or "",
        enabled=attributes.is_enabled is not False,
        locked=attributes.is_locked_for_editing is True,
        clean=attributes.clean is True,
        container=attributes.container_file_path or "",
        xcode=xcode,
        macos=macos,
        conditions={
            kind: _condition(members[name]) for kind, name in CONDITIONS.items() if isinstance(members.get(name), dict)
        },
        actions=tuple(_action(raw) for raw in raw_actions),
        modified_at=parse_time(attributes.last_modified_date),
        web_url=web_url,
        origin=Origin(
            id=workflow.id,
            product=workflow.to("product") or "",
            repository=workflow.to("repository") or "",
            repository_name=repository,
            xcode=workflow.to("xcode_version") or "",
            xcode_name=xcode,
            macos=workflow.to("mac_os_version") or "",
            macos_name=macos,
            members=members,
            devices=devices,
        ),
    )


def _converted(raw: object, kind: type[Any]) -> Any:
    """Return a part of an answer as `kind`, an empty one where it cannot be read."""
    try:
        return msgspec.convert(raw, kind, strict=False)
    except msgspec.ValidationError:
        return kind()


def _raw_devices(action: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    configuration = action.get("testConfiguration")
    destinations = configuration.get("testDestinations") if isinstance(configuration, dict) else None
    return [raw for raw in destinations or () if isinstance(raw, dict)]


def _condition(raw: object) -> StartCondition:
    body: StartConditionBody = _converted(raw, StartConditionBody)
    schedule = body.schedule
    return StartCondition(
        source=_patterns(body.source),
        target=_patterns(body.destination),
        files=_files(body.files_and_folders_rule),
        cancels=body.auto_cancel,
        timetable=Timetable(
            frequency=schedule.frequency or "DAILY",
            days=schedule.days or (),
            hour=schedule.hour or 0,
            minute=schedule.minute or 0,
            zone=schedule.timezone or "UTC",
        )
        if schedule is not None
        else None,
    )


def _patterns(body: PatternsBody | None) -> Patterns:
    if body is None or body.is_all_match:
        return Patterns()
    return Patterns(
        names=tuple(
            f"{pattern.pattern}*" if pattern.is_prefix else pattern.pattern
            for pattern in body.patterns or ()
            if pattern.pattern
        )
    )


def _files(body: FilesRuleBody | None) -> FilesRule | None:
    if body is None or not body.matchers:
        return None
    return FilesRule(
        is_exclusion=body.mode == EXCLUDES,
        matchers=tuple(
            FileMatcher(
                directory=matcher.directory or "",
                name=matcher.file_name or "",
                extension=matcher.file_extension or "",
            )
            for matcher in body.matchers
        ),
    )


def _action(raw: Mapping[str, Any]) -> WorkflowAction:
    body: ActionBody = _converted(raw, ActionBody)
    kind = body.action_type or UNREADABLE
    tests = body.test_configuration if body.test_configuration is not None else TestConfigurationBody()
    devices = (device_label(device) for device in tests.test_destinations or ())
    return WorkflowAction(
        kind=kind,
        name=body.name or kind,
        platform=body.platform,
        scheme=body.scheme,
        destination=body.destination,
        plan=(tests.test_plan_name or None) if tests.kind != SCHEME_SETTINGS else None,
        devices=tuple(label for label in devices if label),
        audience=body.build_distribution_audience,
        required=body.is_required_to_pass is not False,
    )


def device_label(device: TestDestinationBody) -> str:
    """Return a test device as people read it: its name and the system it runs."""
    name = device.device_type_name or ""
    return f"{name} ({device.runtime_name})" if name and device.runtime_name else name


def devices_of(offered: Sequence[DeviceBody]) -> dict[str, dict[str, Any]]:
    """Return what an Xcode version can test on, by label, as a test action names it."""
    devices: dict[str, dict[str, Any]] = {}
    for device in offered:
        own = {
            "deviceTypeName": device.device_type_name,
            "deviceTypeIdentifier": device.device_type_identifier,
            "kind": device.kind,
        }
        for runtime in device.available_runtimes or (None,):
            system = (
                {"runtimeName": runtime.runtime_name, "runtimeIdentifier": runtime.runtime_identifier}
                if runtime is not None
                else {}
            )
            raw = {name: value for name, value in {**own, **system}.items() if value is not None}
            if label := device_label(_converted(raw, TestDestinationBody)):
                devices.setdefault(label, raw)
    return devices


# back to Apple


def attributes_of(new: WorkflowDefinition) -> dict[str, object]:
    """Return the attributes of a new workflow: those that Apple requires, and the start conditions there are."""
    origin = origin_of(new)
    conditions = {
        CONDITIONS[kind]: condition_body(kind, condition, origin.members.get(CONDITIONS[kind]))
        for kind, condition in new.conditions.items()
    }
    plain = {attribute: getattr(new, name) for name, attribute in PLAIN.items()}
    return {**plain, **conditions, "actions": action_bodies(new.actions, origin)}


def changed_attributes(new: WorkflowDefinition, old: WorkflowDefinition) -> dict[str, object]:
    """Return the attributes that differ; a start condition that goes is null."""
    origin = origin_of(new)
    changed: dict[str, object] = {
        attribute: getattr(new, name) for name, attribute in PLAIN.items() if getattr(new, name) != getattr(old, name)
    }
    for kind, attribute in CONDITIONS.items():
        condition = new.conditions.get(kind)
        if condition != old.conditions.get(kind):
            before = origin.members.get(attribute)
            changed[attribute] = condition_body(kind, condition, before) if condition is not None else None
    if new.actions != old.actions:
        changed["actions"] = action_bodies(new.actions, origin)
    return changed


def condition_body(kind: ConditionKind, condition: StartCondition, before: object) -> dict[str, object]:
    """Return a start condition as Apple takes it, with what stood in it before and is not ours."""
    body: dict[str, object] = dict(before) if isinstance(before, dict) else {}
    body["source"] = _patterns_body(condition.source)
    if kind.has_target:
        body["destination"] = _patterns_body(condition.target)
    if kind.follows_changes:
        if condition.files is None:
            body.pop("filesAndFoldersRule", None)
        else:
            body["filesAndFoldersRule"] = _files_body(condition.files)
        body["autoCancel"] = condition.cancels is True
    table = condition.timetable
    if table is not None:
        schedule: dict[str, object] = {
            "frequency": table.frequency,
            "hour": table.hour,
            "minute": table.minute,
            "timezone": table.zone,
        }
        body["schedule"] = {**schedule, "days": list(table.days)} if table.days else schedule
    return body


def _patterns_body(patterns: Patterns) -> dict[str, object]:
    return {
        "isAllMatch": not patterns.names,
        "patterns": [{"pattern": name.removesuffix("*"), "isPrefix": name.endswith("*")} for name in patterns.names],
    }


def _files_body(rule: FilesRule) -> dict[str, object]:
    matchers = [
        {
            key: value
            for key, value in {
                "directory": matcher.directory,
                "fileName": matcher.name,
                "fileExtension": matcher.extension,
            }.items()
            if value
        }
        for matcher in rule.matchers
    ]
    return {"mode": EXCLUDES if rule.is_exclusion else INCLUDES, "matchers": matchers}


def action_bodies(actions: Sequence[WorkflowAction], origin: Origin) -> list[dict[str, object]]:
    """Return actions as Apple takes them. One that is as it was goes back as it came, the others with what they had."""
    raw_actions = [raw for raw in origin.members.get("actions") or () if isinstance(raw, dict)]
    old_actions = [_action(raw) for raw in raw_actions]
    names = {action.name for action in actions}
    bodies: list[dict[str, object]] = []
    for place, action in enumerate(actions):
        at = next((index for index, old in enumerate(old_actions) if old.name == action.name), None)
        if (
            at is None
            and place < len(old_actions)
            and old_actions[place].kind == action.kind
            and old_actions[place].name not in names
        ):
            at = place
        raw = dict(raw_actions[at]) if at is not None else {}
        bodies.append(raw if at is not None and old_actions[at] == action else _action_body(action, raw, origin))
    return bodies


def _action_body(action: WorkflowAction, raw: dict[str, Any], origin: Origin) -> dict[str, object]:
    body: dict[str, object] = {
        **raw,
        "name": action.name,
        "actionType": action.kind,
        "isRequiredToPass": action.required,
    }
    own: Mapping[str, object] = {
        "platform": action.platform,
        "scheme": action.scheme,
        "destination": action.destination,
        "buildDistributionAudience": action.audience,
    }
    for name, value in own.items():
        if value is None:
            body.pop(name, None)
        else:
            body[name] = value
    if action.kind == ActionKind.TEST:
        body["testConfiguration"] = _test_configuration(action, raw.get("testConfiguration"), origin)
    else:
        body.pop("testConfiguration", None)
    return body


def _test_configuration(action: WorkflowAction, raw: object, origin: Origin) -> dict[str, object]:
    before: dict[str, object] = dict(raw) if isinstance(raw, dict) else {}
    before.pop("testPlanName", None)
    plan: dict[str, object] = (
        {"kind": TEST_PLANS, "testPlanName": action.plan} if action.plan else {"kind": SCHEME_SETTINGS}
    )
    return {**before, **plan, "testDestinations": [dict(origin.devices[label]) for label in action.devices]}
