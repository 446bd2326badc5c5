"""A connection's options: an API key of App Store Connect, or a ready-made token.

Facts: Apple's "Creating API Keys" and "Generating Tokens for API Requests", checked 2026-11.
"""

from typing import Self

from pydantic import Field, SecretStr, field_validator, model_validator

from bot.core.models import Scope
from bot.providers.base.options import Options
from bot.providers.xcode_cloud.auth import ReadyToken, signing_key

LABEL = "Xcode Cloud"

SCOPES = (
    Scope(name="a key of any role", purpose="builds, jobs, logs, artifacts, tests, issues, notifications"),
    Scope(
        name="role Admin",
        purpose="start, rebuild, and changes of workflows (Apple does not document which smaller role is enough)",
    ),
)


class XcodeCloudOptions(Options):
    """A key of App Store Connect (team or individual), or a ready-made token that can only read."""

    key_id: str = Field(default="", description="The API key's id, ten letters and digits.")
    issuer_id: str = Field(default="", description="The issuer id of a team key; leave it out for an individual key.")
    private_key: SecretStr | None = Field(
        default=None, description="The .p8 file's text; line breaks may be written as \\n, or the whole as base64."
    )
    team: str = Field(default="", description="The team's id in App Store Connect's addresses, for links to builds.")
    token: SecretStr | None = Field(
        default=None, description="A ready-made scoped token instead of a key. It can list builds and nothing else."
    )

    @field_validator("private_key")
    @classmethod
    def _is_a_p8_key(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            signing_key(value.get_secret_value())
        return value

    @field_validator("token")
    @classmethod
    def _is_a_usable_token(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            ReadyToken.of(value.get_secret_value())
        return value

    @model_validator(mode="after")
    def _has_one_kind_of_credentials(self) -> Self:
        if self.token is not None and self.private_key is not None:
            message = "`token` and `private_key` exclude each other. The key can do everything; take `token` out."
            raise ValueError(message)
        if self.token is None and not (self.key_id and self.private_key):
            message = "`key_id` and `private_key` are missing: an API key made in App Store Connect under Integrations."
            raise ValueError(message)
        return self

    @property
    def ready(self) -> "ReadyToken | None":
        """Return the ready-made token with its claims, or None where the connection has a key."""
        return ReadyToken.of(self.token.get_secret_value()) if self.token is not None else None

    @property
    def link_team(self) -> str | None:
        """Return the team for links: the setting, else the issuer id, which is the same for team keys as far as seen."""
        return self.team or self.issuer_id or None
