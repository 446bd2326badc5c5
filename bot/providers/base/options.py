"""A connection's options: what every provider has; each adds its own."""

from typing import TypeVar

from pydantic import BaseModel, ConfigDict, Field, SecretStr


class Options(BaseModel):
    """A connection's settings; each provider adds its own. Bad or unknown names are an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True, hide_input_in_errors=True)

    url: str = Field(default="", description="Base URL of the CI system, where it is not the vendor's own.")
    webhook_secret: SecretStr | None = Field(
        default=None, description="What webhooks are signed with, or the last part of their address."
    )
    workspaces: tuple[str, ...] = Field(
        default=(), description="Slack workspaces (team ids) that may see this connection."
    )
    private_network: bool = Field(default=False, description="Allow loopback and private addresses.")


O = TypeVar("O", bound=Options)  # noqa: E741 - the usual letter for options
