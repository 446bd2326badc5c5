"""The form to connect a CI system: its fields come from the provider's options, and a real call checks them."""

import re
import secrets
from collections.abc import Iterator, Mapping
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import SecretStr, ValidationError
from pydantic.fields import FieldInfo
from typing_extensions import override

from bot.blocks.message import Block, Message, View, checkboxes, context, input_block, section, select, text_field
from bot.blocks.text import code, escape, harmless, plural, when
from bot.core.errors import AuthFailed, BotError, NotFound, ProviderError, Unavailable, UsageError
from bot.core.models import Account
from bot.providers import PROVIDERS
from bot.providers.base.capabilities import Capability
from bot.providers.base.options import Options
from bot.providers.base.provider import AnyProvider
from commands.core.context import Answer, Request, Services
from commands.core.forms import FieldError, Form, Values, renewed, text
from commands.core.resolve import refresh
from commands.setup.connect import must_be_admin

KIND, NAME = "kind", "name"
PREFIX = "o:"
OURS = frozenset({"webhook_secret", "workspaces", "private_network"})
DOING = "Connecting a CI system"
OPENLY = (
    "Slack has no fields that hide what you type: look who sees your screen. It is kept sealed, and shown to nobody."
)
WORDS = {"url": "Address", "api_version": "API version"}
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")


class ConnectForm(Form):
    """Connect a CI system."""

    name = "connect"
    title = "Connect a CI system"
    submit_label = "Connect"

    @override
    async def fill(self, arguments: Mapping[str, str], request: Request, services: Services) -> View:
        """Return the form for an admin; the fields follow once the system is known. Raises NotAllowed, UsageError."""
        await must_be_admin(DOING, request, services)
        _must_seal(services)
        return self._drawn(arguments.get(KIND, ""), arguments, request, services)

    def _drawn(self, kind: str, arguments: Mapping[str, str], request: Request, services: Services) -> View:
        kinds = [(provider.label, name) for name, provider in PROVIDERS.items()]
        system = input_block("CI system", select(kinds, initial=kind, placeholder="Choose"), name=KIND, dispatch=True)
        if kind not in PROVIDERS:
            return self.view([system], arguments)
        fields = [
            input_block(
                "Name",
                text_field(initial=_free_name(kind, request, services)),
                name=NAME,
                hint="How it is called in commands, as in name:pipeline.",
            ),
            *(_field(name, field, PROVIDERS[kind].default_url) for name, field in _asked(PROVIDERS[kind].options_type)),
        ]
        note = "The account is asked who it is before anything is kept."
        return self.view([system, *renewed(fields, kind), context(OPENLY, note)], {**arguments, KIND: kind})

    @override
    async def changed(
        self, field: str, values: Values, arguments: Mapping[str, str], request: Request, services: Services
    ) -> View | None:
        """Return the fields of another system."""
        return self._drawn(text(values, KIND), arguments, request, services) if field == KIND else None

    @override
    async def submit(
        self, values: Values, arguments: Mapping[str, str], request: Request, services: Services
    ) -> Answer:
        """Check the account by a real call, keep it sealed, and say what it lacks and where webhooks go."""
        await must_be_admin(DOING, request, services)
        _must_seal(services)
        kind = text(values, KIND)
        if kind != arguments.get(KIND):
            raise FieldError(KIND, "Its fields were still on their way. Fill them in and press Connect again.")
        name = text(values, NAME).lower()
        if not _NAME.fullmatch(name):
            raise FieldError(NAME, "Small letters, figures, - and _, at most 40.")
        if services.connections.get(request.team, name) is not None:
            raise FieldError(NAME, "There is a connection of that name already.")
        system = PROVIDERS[kind]
        settings = _settings(values, system.options_type)
        secret = ""
        if Capability.WEBHOOK in system.capabilities and services.public_url:
            secret = secrets.token_urlsafe(24)
            settings["webhook_secret"] = secret
        _validated(system.options_type, settings)
        try:
            provider = await services.connections.add(
                team=request.team, name=name, kind=kind, settings=settings, user=request.user
            )
        except ProviderError as exc:
            raise _blamed(exc, system.options_type, settings) from exc
        except UsageError as exc:
            raise FieldError(NAME, exc.message) from exc
        account = await _account(provider)
        trouble = (await refresh([provider], request, services)).get(name, "")
        listed = await services.store.pipelines.all(connection=name)
        message = _connected(provider, account, len(listed), trouble, secret, services)
        return Answer(message=message, connection=name)


def _must_seal(services: Services) -> None:
    if not services.can_seal:
        raise UsageError(
            "I have no key to seal tokens with, so I can't keep any.",
            hint="Whoever runs me makes one with `buildbell doctor --new-key`, sets it as BUILDBELL_KEYS and starts me "
            "again; or adds the connection to buildbell.toml.",
        )


def _free_name(kind: str, request: Request, services: Services) -> str:
    taken = services.connections.labels(request.team)
    return next(name for name in (kind, *(f"{kind}-{n}" for n in range(2, 1000))) if name not in taken)


def _asked(options: type[Options]) -> Iterator[tuple[str, FieldInfo]]:
    """Yield the options a person is asked for: the needed ones first, the address last."""
    fields = [(name, field) for name, field in options.model_fields.items() if name not in OURS]
    yield from sorted(fields, key=lambda one: (one[0] == "url", not one[1].is_required()))


def _plain_type(field: FieldInfo) -> Any:
    """Return an option's type without its `| None`."""
    if get_origin(field.annotation) in {Union, UnionType}:
        return next(one for one in get_args(field.annotation) if one is not NoneType)
    return field.annotation


def _field(name: str, field: FieldInfo, default_url: str) -> Block:
    kind = _plain_type(field)
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


def _settings(values: Values, options: type[Options]) -> dict[str, object]:
    given: dict[str, object] = {}
    for name, field in _asked(options):
        value = text(values, f"{PREFIX}{name}")
        kind = _plain_type(field)
        if kind is bool:
            given[name] = value == "true"
        elif value and get_origin(kind) in {tuple, list, frozenset}:
            given[name] = [part.strip() for part in value.split(",") if part.strip()]
        elif value:
            given[name] = value
    return given


def _validated(options: type[Options], settings: Mapping[str, object]) -> None:
    """Raise FieldError with every problem at its field; one that has no field of its own stands at the system."""
    try:
        options.model_validate(settings)
    except ValidationError as exc:
        asked = {name for name, _field in _asked(options)}
        said: dict[str, str] = {}
        for error in exc.errors():
            name = str(error["loc"][0]) if error["loc"] else ""
            words = str(error["msg"]).removeprefix("Value error, ").rstrip(".")
            said[f"{PREFIX}{name}" if name in asked else KIND] = f"{words}."
        raise FieldError(next(iter(said)), next(iter(said.values())), others=said) from exc


def _blamed(error: ProviderError, options: type[Options], settings: Mapping[str, object]) -> BotError:
    """Return what the CI system said at the field it is about, so that nothing has to be typed again."""
    said = f"{error.message} {error.hint or ''}".strip()
    given = [name for name, _field in _asked(options) if name in settings]
    hidden = [name for name in given if _plain_type(options.model_fields[name]) is SecretStr]
    shown = [name for name in given if name not in hidden]
    if isinstance(error, AuthFailed) and hidden:
        return FieldError(f"{PREFIX}{hidden[-1]}", said)
    if isinstance(error, NotFound) and shown:
        return FieldError(f"{PREFIX}{shown[0]}", said)
    if isinstance(error, Unavailable) and "url" in given:
        return FieldError(f"{PREFIX}url", said)
    return FieldError(KIND, said)


async def _account(provider: AnyProvider) -> Account:
    """Return whose account it is; it is kept already, so a hiccup now is only told."""
    try:
        return await provider.check()
    except ProviderError as exc:
        return Account(name="this account", warnings=(str(exc),))


def _connected(
    provider: AnyProvider,
    account: Account,
    pipelines: int,
    trouble: str,
    secret: str,
    services: Services,
) -> Message:
    name = provider.connection
    whose = f"{escape(account.name)}{f' ({escape(account.detail)})' if account.detail else ''}"
    lines = [f"✓ Connected {code(name)}: {escape(provider.label)} as {whose}."]
    if account.missing:
        lacks = ", ".join(code(scope) for scope in account.missing)
        lines.append(f"⚠ It lacks {lacks}; what needs that will not work.")
    lines += [f"⚠ {harmless(warning)}" for warning in account.warnings]
    if account.expires_at:
        lines.append(f"The token ends {when(account.expires_at)}.")
    lines.append(f"⚠ {harmless(trouble)}" if trouble else f"I see {plural(pipelines, 'pipeline')}.")
    webhook = _webhook(name, secret, services) if secret else ()
    following = (
        f"Next: `{services.command} link {escape(name)}:…` in a channel, or `{services.command} link` for a form."
    )
    said = "\n".join(lines)
    return Message(text=said, blocks=(section(said), *webhook, context(following)))


def _webhook(name: str, secret: str, services: Services) -> tuple[Block, ...]:
    address = f"{services.public_url}/hooks/{name}"
    return (
        section(
            f"*Webhook*, so that news come at once: {code(address)}\n"
            f"Its secret (or token): {code(secret)}\n"
            f"Where the CI system has no field for a secret: {code(f'{address}/{secret}')}"
        ),
        context("Only you see this, and only now. Without a webhook I ask the system regularly."),
    )
