"""The form for new credentials of a connection made in Slack: what is left empty stays as it is."""

from collections.abc import Mapping

from pydantic import SecretStr
from typing_extensions import override

from bot.blocks.message import View, section
from bot.blocks.message import context as small_print
from bot.blocks.text import code, escape
from bot.core.errors import BotError, ProviderError, UsageError
from bot.providers.base.options import Options
from bot.providers.base.provider import AnyProvider
from commands.core.context import Context
from commands.core.forms import FieldError, Form, Submission, Values
from commands.setup.connect import must_seal
from commands.setup.connect_form import OPENLY, PREFIX, option_field, options_to_fill, plain_type, settings_from
from commands.setup.credentials import CONNECTION, Args


class CredentialsForm(Form):
    """New credentials."""

    name = "credentials"
    title = "New credentials"
    submit_label = "Save"

    @override
    async def fill(self, arguments: Mapping[str, str], context: Context) -> View:
        """Return the fields of the secrets, and of the options that come with them. Raises UsageError, NotLinked."""
        must_seal(context)
        provider = _renewable(arguments.get(CONNECTION, ""), context)
        fields = [
            {**option_field(name, info, provider.default_url), "optional": True}
            for name, info in options_to_fill(type(provider.options))
            if name in _names(provider)
        ]
        head = section(f"{code(provider.connection)}: {escape(provider.label)}")
        note = "What you leave empty stays as it is. We test the credentials before saving them."
        return self.view([head, *fields, small_print(OPENLY, note)], arguments)

    @override
    async def submitted(self, values: Values, arguments: Mapping[str, str], context: Context) -> Submission:
        """Return `credentials` with what was typed. Raises FieldError where nothing was."""
        provider = _renewable(arguments.get(CONNECTION, ""), context)
        names = _names(provider)
        typed = settings_from(values, type(provider.options))
        settings = {name: value for name, value in typed.items() if name in names}
        if not settings:
            raise FieldError(f"{PREFIX}{names[0]}", "Type the new one here.")
        return Submission(verb="credentials", args=Args(name=provider.connection, settings=settings))

    @override
    def at_field(self, error: BotError, values: Values) -> BotError:
        """Say at the field of the secret what the CI system refused."""
        if not isinstance(error, ProviderError):
            return error
        typed = [name for name in values if name.startswith(PREFIX)]
        return FieldError(typed[-1], f"{error.message} {error.hint or ''}".strip()) if typed else error


def _renewable(name: str, context: Context) -> AnyProvider:
    provider = context.provider(name)
    if not context.services.connections.from_slack(name):
        raise UsageError(
            f"`{name}` stands in the operator's configuration.", hint="Whoever runs me puts the new credentials there."
        )
    return provider


def _names(provider: AnyProvider) -> list[str]:
    """Return the options that hold credentials: the secrets, and the ids of keys that go with them."""
    options: type[Options] = type(provider.options)
    return [
        name
        for name, info in options_to_fill(options)
        if plain_type(info) is SecretStr
        or name in {"key_id", "issuer_id", "client_id", "app_id", "installation_id", "user"}
    ]
