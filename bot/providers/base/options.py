"""A connection's options: what every provider has; each adds its own."""

from collections.abc import Mapping
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from bot.core.errors import UsageError


class Options(BaseModel):
    """A connection's settings; each provider adds its own. Bad or unknown names are an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True, hide_input_in_errors=True)

    url: str = Field(default="", description="Base URL of the CI system, where it is not the vendor's own.")
    web_url: str = Field(
        default="",
        pattern=r"^(https?://\S+)?$",
        description="Where its pages for people lie, for links; by default the vendor's site, or beside `url`.",
    )
    webhook_secret: SecretStr | None = Field(
        default=None, description="What webhooks are signed with, or the last part of their address."
    )
    workspaces: tuple[str, ...] = Field(
        default=(),
        description="Slack workspaces (team ids) that may see this connection; without any, the one that was alone when it was first seen.",
    )
    private_network: bool = Field(default=False, description="Allow loopback and private addresses.")


O = TypeVar("O", bound=Options)  # noqa: E741 - the usual letter for options


def names_option(name: str, options: Mapping[str, str]) -> bool:
    """Return whether `name` is one of a provider's `start_options`; one that ends with `.` takes any name after it."""
    return any(
        (name.startswith(option) and len(name) > len(option)) if option.endswith(".") else name == option
        for option in options
    )


def check_options(given: Mapping[str, str], options: Mapping[str, str], label: str) -> None:
    """Raise UsageError for the first option that is none of `options`, naming it and those that there are."""
    for name in given:
        if not names_option(name, options):
            known = ", ".join(f"`{option}NAME`" if option.endswith(".") else f"`{option}`" for option in options)
            raise UsageError(
                f"{label} has no option `{name}`.", hint=f"There are {known}." if known else "It has none."
            )
