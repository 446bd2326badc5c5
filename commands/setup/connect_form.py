"""The form to connect a CI system: its fields come from the provider's options, and a real call checks them."""

import asyncio
from collections.abc import Iterator, Mapping
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import SecretStr, ValidationError
from pydantic.fields import FieldInfo
from typing_extensions import override

from bot.blocks.credentials import scope_list
from bot.blocks.message import Block, View, checkboxes, input_block, select, text_field
from bot.blocks.message import context as small_print
from bot.core.errors import AuthFailed, BotError, NotFound, ProviderError, Unavailable, UsageError
from bot.providers import PROVIDERS
from bot.providers.base.options import Options
from commands.core.context import Context
from commands.core.forms import FieldError, Form, Submission, Values, renewed, text
from commands.setup.connect import NAME as NAMES
from commands.setup.connect import Args, must_seal

KIND, NAME = "kind", "name"
PREFIX = "o:"
INTERNAL = "internal"
OURS = frozenset({"webhook_secret", "workspaces", "private_network"})
OPENLY = (
    "Slack has no fields that hide what you type: look who sees your screen. It is kept sealed, and shown to nobody."
)
WORDS = {"url": "Address", "api_version": "API version"}


class ConnectForm(Form):
    """Connect a CI system."""

    name = "connect"
    title = "Connect a CI system"
    submit_label = "Connect"

    @override
    async def fill(self, arguments: Mapping[str, str], context: Context) -> View:
        """Return the form; the fields follow once the system is known. Raises UsageError where nothing can be sealed."""
        must_seal(context)
        await asyncio.to_thread(list, PROVIDERS.values())  # imported when first asked for: acks must not wait
        return self._drawn(arguments.get(KIND, ""), arguments, context)

    def _drawn(self, kind: str, arguments: Mapping[str, str], context: Context) -> View:
        kinds = [(provider.label, name) for name, provider in PROVIDERS.items()]
        system = input_block("CI system", select(kinds, initial=kind, placeholder="Choose"), name=KIND, dispatch=True)
        if kind not in PROVIDERS:
            return self.view([system], arguments)
        fields = [
            input_block(
                "Name",
                text_field(initial=_free_name(kind, context)),
                name=NAME,
                hint="How it is called in commands, as in name:pipeline.",
            ),
            *(
                option_field(name, field, PROVIDERS[kind].default_url)
                for name, field in options_to_fill(PROVIDERS[kind].options_type)
            ),
        ]
        if context.services.internal_addresses:
            inside = checkboxes([("The server has an internal address", "true")])
            hint = "For a server in your own network, which the bot reaches and the internet does not."
            fields.append(input_block("Network", inside, name=INTERNAL, hint=hint, optional=True))
        needs = [f"The credentials need {scope_list(scopes)}."] if (scopes := PROVIDERS[kind].scopes) else []
        note = "We test the credentials before saving them."
        return self.view([system, *renewed(fields, kind), small_print(*needs, OPENLY, note)], {**arguments, KIND: kind})

    @override
    async def changed(self, field: str, values: Values, arguments: Mapping[str, str], context: Context) -> View | None:
        """Return the fields of another system."""
        return self._drawn(text(values, KIND), arguments, context) if field == KIND else None

    @override
    async def submitted(self, values: Values, arguments: Mapping[str, str], context: Context) -> Submission:
        """Return `connect` with the settings of the fields. Raises FieldError with every problem at its field."""
        kind = text(values, KIND)
        if kind != arguments.get(KIND):
            raise FieldError(KIND, "Its fields were still on their way. Fill them in and press Connect again.")
        name = text(values, NAME).lower()
        if not NAMES.fullmatch(name):
            raise FieldError(NAME, "Small letters, figures, - and _, at most 40.")
        options = PROVIDERS[kind].options_type
        settings = settings_from(values, options)
        validate(options, settings)
        if context.services.internal_addresses and text(values, INTERNAL) == "true":
            settings["private_network"] = True
        return Submission(verb="connect", args=Args(kind=kind, name=name, settings=settings))

    @override
    def at_field(self, error: BotError, values: Values) -> BotError:
        """Say at its field what the CI system refused, so that nothing has to be typed again."""
        if isinstance(error, ProviderError):
            options = PROVIDERS[text(values, KIND)].options_type
            return blamed(error, options, settings_from(values, options))
        if isinstance(error, UsageError) and "of that name" in error.message:
            return FieldError(NAME, error.message)
        return error


def _free_name(kind: str, context: Context) -> str:
    taken = context.services.connections.labels(context.team)
    return next(name for name in (kind, *(f"{kind}-{n}" for n in range(2, 1000))) if name not in taken)


def options_to_fill(options: type[Options]) -> Iterator[tuple[str, FieldInfo]]:
    """Yield the options a person is asked for: the needed ones first, the address last."""
    fields = [(name, field) for name, field in options.model_fields.items() if name not in OURS]
    yield from sorted(fields, key=lambda pair: (pair[0] == "url", not pair[1].is_required()))


def plain_type(field: FieldInfo) -> Any:
    """Return an option's type without its `| None`."""
    if get_origin(field.annotation) in {Union, UnionType}:
        return next(one for one in get_args(field.annotation) if one is not NoneType)
    return field.annotation


def option_field(name: str, field: FieldInfo, default_url: str) -> Block:
    """Return the input of an option, with its description as the hint."""
    kind = plain_type(field)
    hint = (field.description or "").replace("`", "")
    needed = field.is_required() or (name == "url" and not default_url)
    initial = field.default if isinstance(field.default, str) and field.default else None
    if get_origin(kind) is Literal:
        element = select([(str(one), str(one)) for one in get_args(kind)], initial=initial)
    elif kind is bool:
        element, needed = checkboxes([("on", "true")], initial=("true",) if field.default is True else ()), False
    elif kind is SecretStr:
        element = text_field(multiline=name.endswith("private_key"))
        hint = f"{hint} It stays readable while you type."
    else:
        element = text_field(initial=initial, placeholder=default_url if name == "url" and default_url else None)
    label = WORDS.get(name) or name.replace("_", " ").capitalize()
    return input_block(label, element, name=f"{PREFIX}{name}", hint=hint, optional=not needed)


def settings_from(values: Values, options: type[Options]) -> dict[str, object]:
    """Return the settings that the options' inputs hold; those left empty are not among them, switches always are."""
    settings: dict[str, object] = {}
    for name, field in options_to_fill(options):
        value = text(values, f"{PREFIX}{name}")
        kind = plain_type(field)
        if kind is bool:
            settings[name] = value == "true"
        elif value and get_origin(kind) in {tuple, list, frozenset}:
            settings[name] = [part.strip() for part in value.split(",") if part.strip()]
        elif value:
            settings[name] = value
    return settings


def validate(options: type[Options], settings: Mapping[str, object]) -> None:
    """Raise FieldError with every problem at its field; one that has no field of its own stands at the system."""
    try:
        options.model_validate(settings)
    except ValidationError as exc:
        names = {name for name, _info in options_to_fill(options)}
        messages: dict[str, str] = {}
        for error in exc.errors():
            name = str(error["loc"][0]) if error["loc"] else ""
            words = str(error["msg"]).removeprefix("Value error, ").rstrip(".")
            messages[f"{PREFIX}{name}" if name in names else KIND] = f"{words}."
        raise FieldError(next(iter(messages)), next(iter(messages.values())), others=messages) from exc


def blamed(error: ProviderError, options: type[Options], settings: Mapping[str, object]) -> BotError:
    """Return the CI system's refusal at the field it is about, so that nothing has to be typed again."""
    message = f"{error.message} {error.hint or ''}".strip()
    names = [name for name, _info in options_to_fill(options) if name in settings]
    hidden = [name for name in names if plain_type(options.model_fields[name]) is SecretStr]
    shown = [name for name in names if name not in hidden]
    if isinstance(error, AuthFailed) and hidden:
        return FieldError(f"{PREFIX}{hidden[-1]}", message)
    if isinstance(error, NotFound) and shown:
        return FieldError(f"{PREFIX}{shown[0]}", message)
    if isinstance(error, Unavailable) and "url" in names:
        return FieldError(f"{PREFIX}url", message)
    return FieldError(KIND, message)
