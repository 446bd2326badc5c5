"""The form of a workflow, new or changed: what it is, when it starts, its actions, and what it is built with."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from typing_extensions import override

from bot.blocks.message import (
    Block,
    View,
    checkboxes,
    divider,
    input_block,
    multi_select,
    section,
    select,
    text_field,
)
from bot.blocks.message import context as small_print
from bot.core.errors import ProviderError, UsageError
from bot.core.workflow_actions import (
    ACTION_KEYS,
    AUDIENCES,
    DESTINATIONS,
    PLATFORM_NAMES,
    default_name,
    spelled,
    write_action,
    write_actions,
)
from bot.core.workflow_values import write_switch
from bot.core.workflow_words import BY_NAME
from bot.core.workflows import (
    ActionKind,
    ConditionKind,
    Environments,
    Platform,
    StartCondition,
    WorkflowAction,
    WorkflowDefinition,
)
from bot.providers.base.capabilities import Capability
from bot.providers.base.provider import AnyProvider
from commands.core import actions as acting
from commands.core.context import Context
from commands.core.fields import LONGEST_CHOICE, LONGEST_TEXT, MOST_CHOICES, target_of
from commands.core.forms import FieldError, Form, Submission, Values, picked, renewed, text
from commands.core.matches import PipelineMatch
from commands.core.resolve import resolve_pipeline
from commands.setup.workflow import Act, Args, provider_for

PIPELINE, LIKE, CONNECTION, SEEN, KEPT = "pipeline", "like", "connection", "seen", "kept"
PRODUCT, ADD, SWITCHES, CANCELS = "product", "add", "switches", "cancels"
TEXTS = ("name", "description", "container")
SWITCHED = ("enabled", "clean", "locked")
CONDITIONS = (
    ConditionKind.BRANCH,
    ConditionKind.TAG,
    ConditionKind.PULL_REQUEST,
)
MANUAL = (ConditionKind.MANUAL_BRANCH, ConditionKind.MANUAL_TAG, ConditionKind.MANUAL_PULL_REQUEST)
MOST_ACTIONS = 8
"""How many actions the form shows: each takes up to eight of the hundred blocks that Slack allows."""
REQUIRED, REMOVE = "required", "remove"
ALL_CONDITIONS = WorkflowDefinition(name="", conditions={kind: StartCondition() for kind in ConditionKind})


class WorkflowForm(Form):
    """Make or change a workflow. What comes of it is shown before anything is sent."""

    name = "workflow"
    title = "Workflow"
    submit_label = "Review"

    @override
    async def fill(self, arguments: Mapping[str, str], context: Context) -> View:
        """Return the form of a workflow that there is, or of one to be made. Asks for what can be chosen."""
        return await self._drawn(arguments, None, context)

    @override
    async def changed(self, field: str, values: Values, arguments: Mapping[str, str], context: Context) -> View | None:
        """Return the form with another action, with the fields of an action's kind, or for another product."""
        return await self._drawn(arguments, values, context)

    async def _drawn(self, arguments: Mapping[str, str], values: Values | None, context: Context) -> View:
        provider, match = await _subject(arguments, context)
        admin = provider.pipeline_admin()
        product = text(values or {}, PRODUCT) or arguments.get(PRODUCT, "")
        seen = arguments.get(SEEN, "")
        is_new = not arguments.get(PIPELINE)
        if match is not None and not is_new:
            definition = await admin.definition(match.id)
            seen = seen or definition.revision
        else:
            products = (await admin.environments()).products if not product and match is None else ()
            named = product or (products[0] if products else None)
            definition = await admin.draft(product=named, like=match.id if match is not None else None)
            definition = replace(definition, name=arguments.get("name", ""))
        offered = await _offered(provider, definition)
        shown = _actions_of(values) if values is not None else list(definition.actions)
        kept = definition.actions[MOST_ACTIONS:] if values is None else ()
        if not shown:
            shown = [_fresh(ActionKind.BUILD, shown)]
        blocks = [
            *_general(definition, offered, is_new=is_new),
            *_conditions(definition),
            divider(),
            section("*Actions*"),
        ]
        for place, action in enumerate(shown[:MOST_ACTIONS]):
            blocks += _action_fields(place, action, offered)
        blocks += _more(len(shown), len(kept))
        held = arguments.get(KEPT, "") or write_actions(kept)
        packed = {**arguments, SEEN: seen, CONNECTION: provider.connection, KEPT: held}
        return self.view(blocks, packed)

    @override
    async def submitted(self, values: Values, arguments: Mapping[str, str], context: Context) -> Submission:
        """Return `workflow create` or `workflow update` with what stands in the fields."""
        zone = await context.zone()
        settings = _settings(values)
        lines = [_action_line(place, values) for place in _places(values) if not _is_removed(place, values)]
        lines += [line for line in arguments.get(KEPT, "").splitlines() if line]
        settings["actions"] = "\n".join(lines)
        _check(settings, zone)
        for place in _places(values):
            try:
                BY_NAME["actions"].read(ALL_CONDITIONS, _action_line(place, values), zone)
            except UsageError as exc:
                raise FieldError(_key(place, "name"), f"{exc.message} {exc.hint or ''}".strip()) from exc
        if not lines:
            raise FieldError(ADD, "A workflow needs at least one action.")
        named, like = arguments.get(PIPELINE, ""), arguments.get(LIKE, "")
        if named:
            args = Args(act=Act.UPDATE, target=target_of(named), settings=settings, seen=arguments.get(SEEN, ""))
            return Submission(verb="workflow", args=args)
        args = Args(
            act=Act.CREATE,
            name=settings.pop("name", ""),
            product=settings.pop(PRODUCT, "") or arguments.get(PRODUCT, ""),
            like=target_of(like) if like else None,
            connection=arguments.get(CONNECTION, ""),
            settings=settings,
        )
        return Submission(verb="workflow", args=args)


async def _subject(arguments: Mapping[str, str], context: Context) -> tuple[AnyProvider, PipelineMatch | None]:
    """Return the connection, and the workflow that is changed or copied."""
    named = arguments.get(PIPELINE) or arguments.get(LIKE)
    if not named:
        return await provider_for(arguments.get(CONNECTION, ""), context), None
    match = await resolve_pipeline(target_of(named), context, acting=True, verb="workflow update")
    acting.must_be_able(match, Capability.PIPELINE_ADMIN)
    return match.provider, match


async def _offered(provider: AnyProvider, definition: WorkflowDefinition) -> Environments:
    """Return what can be chosen; nothing where it cannot be read now: then the fields take text."""
    try:
        return await provider.pipeline_admin().environments(product=definition.product, xcode=definition.xcode)
    except ProviderError:
        return Environments()


# what is drawn


def _general(definition: WorkflowDefinition, offered: Environments, *, is_new: bool) -> list[Block]:
    fields = [_text("name", definition, optional=False)]
    if is_new:
        fields.append(_choice(PRODUCT, definition.product, offered.products, dispatch=True))
        fields += renewed([_choice("repository", definition.repository, offered.repositories)], definition.product)
    ticked = tuple(name for name in SWITCHED if getattr(definition, name))
    labels = {
        "enabled": "Enabled",
        "clean": "Clean: build without cached files",
        "locked": "Restrict editing to admins",
    }
    return [
        *fields,
        _text("description", definition, optional=True, multiline=True),
        _text("container", definition, optional=False),
        _choice("xcode", definition.xcode, offered.xcodes),
        _choice("macos", definition.macos, offered.macoses),
        input_block(
            "Options",
            checkboxes([(labels[name], name) for name in SWITCHED], initial=ticked),
            name=SWITCHES,
            optional=True,
        ),
    ]


def _conditions(definition: WorkflowDefinition) -> list[Block]:
    blocks: list[Block] = [divider(), section("*Start conditions*")]
    for kind in CONDITIONS:
        blocks += [
            _text(kind.value, definition, optional=True),
            _text(f"{kind.value}_files", definition, optional=True),
        ]
    held = [kind.value for kind in CONDITIONS if (one := definition.conditions.get(kind)) is not None and one.cancels]
    cancels = [(BY_NAME[kind.value].label, kind.value) for kind in CONDITIONS]
    blocks.append(
        input_block(
            "Cancel older builds when these change", checkboxes(cancels, initial=held), name=CANCELS, optional=True
        )
    )
    blocks.append(_text(ConditionKind.SCHEDULE.value, definition, optional=True))
    return [*blocks, *(_text(kind.value, definition, optional=True) for kind in MANUAL)]


def _text(name: str, definition: WorkflowDefinition, *, optional: bool, multiline: bool = False) -> Block:
    setting = BY_NAME[name]
    written = setting.write(definition)
    shown = "" if written == "off" else written
    return input_block(
        setting.label,
        text_field(initial=shown or None, multiline=multiline),
        name=name,
        optional=optional,
        hint=setting.help.replace("`", ""),
    )


def _choice(name: str, chosen: str, offered: Sequence[str], *, dispatch: bool = False) -> Block:
    """Return a list of what there is, with what is chosen; a text where nothing is offered."""
    setting = BY_NAME[name]
    options = _fitting([*([chosen] if chosen and chosen not in offered and chosen != "latest" else []), *offered])
    initial = offered[0] if chosen == "latest" and offered else chosen
    element = select(options, initial=initial) if options else text_field(initial=chosen or None)
    return input_block(setting.label, element, name=name, dispatch=dispatch and bool(options))


def _fitting(names: Iterable[str]) -> list[tuple[str, str]]:
    return [(name, name) for name in dict.fromkeys(names) if 0 < len(name) <= LONGEST_CHOICE][:MOST_CHOICES]


def _action_fields(place: int, action: WorkflowAction, offered: Environments) -> list[Block]:
    platform = action.platform or Platform.IOS
    kinds = [(kind.value.capitalize(), kind.value) for kind in ActionKind]
    if action.kind not in {kind.value for kind in ActionKind}:
        kinds.append((action.kind, action.kind))
    platforms = [(PLATFORM_NAMES[known], known.value) for known in Platform]
    number = place + 1
    fields = [
        input_block(f"Action {number}", select(kinds, initial=action.kind), name=_key(place, "kind"), dispatch=True),
        input_block("Platform", select(platforms, initial=platform), name=_key(place, "platform"), dispatch=True),
        input_block("Scheme", text_field(initial=action.scheme), name=_key(place, "scheme"), optional=True),
    ]
    named = input_block("Name", text_field(initial=action.name or None), name=_key(place, "name"), optional=True)
    fields[1:1] = renewed([named], action.kind, platform)
    fields += renewed(_where_it_runs(place, action, offered), action.kind, platform)
    if action.kind == ActionKind.ARCHIVE:
        audiences = [("TestFlight and App Store", "app-store"), ("Internal testing only", "internal")]
        held = next((word for word, raw in AUDIENCES.items() if raw == action.audience), None)
        fields.append(
            input_block("Prepared for", select(audiences, initial=held), name=_key(place, "audience"), optional=True)
        )
    ticked = (REQUIRED,) if action.required else ()
    ticks = [("Required to pass", REQUIRED), ("Remove this action", REMOVE)]
    fields.append(input_block("Options", checkboxes(ticks, initial=ticked), name=_key(place, "flags"), optional=True))
    return fields


def _where_it_runs(place: int, action: WorkflowAction, offered: Environments) -> list[Block]:
    platform = action.platform or Platform.IOS
    if action.kind != ActionKind.TEST:
        destinations = [(spelled(word) or word, word) for word in DESTINATIONS.get(platform, ())]
        if action.destination and action.destination not in {value for _, value in destinations}:
            destinations = [*destinations, (spelled(action.destination) or "", action.destination)]
        element = select(destinations, initial=action.destination) if destinations else text_field()
        return [input_block("Destination", element, name=_key(place, "destination"), optional=True)]
    own = f"({PLATFORM_NAMES.get(platform, '')} "
    fitting = [device for device in offered.devices if own in device] or list(offered.devices)
    options = _fitting([*action.devices, *fitting])
    devices: Block = (
        multi_select(options, initial=action.devices)
        if options
        else text_field(initial="\n".join(action.devices) or None, multiline=True)
    )
    return [
        input_block(
            "Test plan",
            text_field(initial=action.plan),
            name=_key(place, "plan"),
            optional=True,
            hint="Empty: the scheme's settings.",
        ),
        input_block("Test devices", devices, name=_key(place, "device"), optional=True),
    ]


def _more(count: int, left: int) -> list[Block]:
    if count >= MOST_ACTIONS:
        more = f"{left} more actions stay as they are" if left else "No further action fits here"
        return [small_print(f"{more}; a typed command changes and adds any.")]
    kinds = [(kind.value.capitalize(), kind.value) for kind in ActionKind]
    field = input_block("Add an action", select(kinds), name=ADD, optional=True, dispatch=True)
    return renewed([field], str(count))


# what the fields hold


def _key(place: int, part: str) -> str:
    return f"action{place}.{part}"


def _places(values: Values) -> list[int]:
    """Return the numbers of the actions that the form shows."""
    return [place for place in range(MOST_ACTIONS) if text(values, _key(place, "kind"))]


def _is_removed(place: int, values: Values) -> bool:
    return REMOVE in picked(values, _key(place, "flags"))


def _actions_of(values: Values) -> list[WorkflowAction]:
    """Return the actions as the fields hold them, for the form drawn anew; an added one comes last."""
    shown = [
        WorkflowAction(
            kind=text(values, _key(place, "kind")),
            name=_name_of(place, values),
            platform=text(values, _key(place, "platform")) or None,
            scheme=text(values, _key(place, "scheme")) or None,
            destination=text(values, _key(place, "destination")) or None,
            plan=text(values, _key(place, "plan")) or None,
            devices=_devices(place, values),
            audience=AUDIENCES.get(text(values, _key(place, "audience"))),
            required=REQUIRED in picked(values, _key(place, "flags")),
        )
        for place in _places(values)
    ]
    added = text(values, ADD)
    return [*shown, _fresh(added, shown)] if added and len(shown) < MOST_ACTIONS else shown


def _name_of(place: int, values: Values) -> str:
    """Return an action's name; one that only says another kind or platform follows what was chosen."""
    name = text(values, _key(place, "name"))
    kind, platform = text(values, _key(place, "kind")), text(values, _key(place, "platform"))
    made = {default_name(known, other) for known in ActionKind for other in Platform}
    return default_name(kind, platform) if name in made else name


def _fresh(kind: str, others: Sequence[WorkflowAction]) -> WorkflowAction:
    """Return a new action like those that there are: for their platform and scheme."""
    platform = others[0].platform if others else Platform.IOS.value
    scheme = next((action.scheme for action in others if action.scheme), None)
    name = default_name(kind, platform or "")
    taken = {action.name for action in others}
    number = next(count for count in range(1, MOST_ACTIONS + 2) if _numbered(name, count) not in taken)
    return WorkflowAction(kind=kind, name=_numbered(name, number), platform=platform, scheme=scheme)


def _numbered(name: str, count: int) -> str:
    return name if count == 1 else f"{name} {count}"


def _devices(place: int, values: Values) -> tuple[str, ...]:
    held = values.get(_key(place, "device"), ())
    return tuple(held.splitlines()) if isinstance(held, str) else tuple(held)


def _action_line(place: int, values: Values) -> str:
    """Return an action as one would type it, every part said, so that an emptied field empties it."""
    kind = text(values, _key(place, "kind"))
    parts = {key: text(values, _key(place, key)) for key in ACTION_KEYS if key not in {"device", "required"}}
    is_test, is_archive = kind == ActionKind.TEST, kind == ActionKind.ARCHIVE
    action = WorkflowAction(
        kind=kind,
        name=parts["name"],
        platform=parts["platform"] or None,
        scheme=parts["scheme"] or None,
        destination=(parts["destination"] or None) if not is_test else None,
        plan=(parts["plan"] or "scheme") if is_test else None,
        devices=(_devices(place, values) or ("",)) if is_test else (),
        audience=AUDIENCES.get(parts["audience"]) if is_archive else None,
    )
    emptied = "" if action.scheme else " scheme="
    devices = " device=" if action.devices == ("",) else ""
    required = write_switch(REQUIRED in picked(values, _key(place, "flags")))
    return f"{write_action(action)}{emptied}{devices} required={required}"


def _settings(values: Values) -> dict[str, str]:
    """Return the settings that the fields hold, as they are typed; an empty start condition is off."""
    switches, cancels = picked(values, SWITCHES), picked(values, CANCELS)
    settings = {name: text(values, name) for name in (*TEXTS, "xcode", "macos")}
    settings = {name: value for name, value in settings.items() if value or name == "description"}
    settings |= {name: value for name in (PRODUCT, "repository") if (value := text(values, name))}
    settings |= {name: write_switch(name in switches) for name in SWITCHED}
    for kind in ConditionKind:
        settings[kind.value] = text(values, kind.value) or "off"
        if kind.follows_changes and settings[kind.value] != "off":
            settings[f"{kind.value}_files"] = text(values, f"{kind.value}_files") or "any"
            settings[f"{kind.value}_cancel"] = write_switch(kind.value in cancels)
    return settings


def _check(settings: Mapping[str, str], zone: str) -> None:
    """Raise FieldError for a setting that cannot be read."""
    for name, value in settings.items():
        setting = BY_NAME[name]
        if name == "actions" or name.endswith("_cancel") or value == setting.write(ALL_CONDITIONS):
            continue
        try:
            setting.read(ALL_CONDITIONS, value, zone)
        except UsageError as exc:
            raise FieldError(name, f"{exc.message} {exc.hint or ''}".strip().replace("`", "")) from exc
        if len(value) > LONGEST_TEXT:
            raise FieldError(name, "That is too long for a form.")
