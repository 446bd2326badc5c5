"""A connection's options: an owner at GitHub, and a personal access token or a GitHub App's installation."""

from typing import Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator

from bot.providers.base.options import Options
from bot.providers.github_actions.auth import signing_key

VERSION = "2022-11-28"


class GitHubOptions(Options):
    """An owner at GitHub, and a personal access token or a GitHub App's installation."""

    owner: str = Field(
        min_length=1, pattern=r"^[^/\s]+$", description="The organization or user, as in github.com/OWNER."
    )
    token: SecretStr | None = Field(
        default=None, min_length=1, description="Personal access token: classic with `repo`, or fine-grained."
    )
    app_id: str = Field(
        default="", coerce_numbers_to_str=True, description="A GitHub App's id or client id, instead of a token."
    )
    installation_id: str = Field(
        default="",
        pattern=r"^\d*$",
        coerce_numbers_to_str=True,
        description="The number of the App's installation, the last part of its settings page's address.",
    )
    private_key: SecretStr | None = Field(
        default=None,
        description="The App's .pem file's text; line breaks may be written as \\n, or all of it as base64.",
    )
    api_version: str = Field(
        default=VERSION, pattern=r"^\d{4}-\d\d-\d\d$", description="The REST API's version, sent with each request."
    )

    @field_validator("private_key")
    @classmethod
    def _is_an_rsa_key(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            signing_key(value.get_secret_value())
        return value

    @field_validator("url")
    @classmethod
    def _is_an_api(cls, value: str) -> str:
        if urlsplit(value).hostname in {"github.com", "www.github.com"}:
            message = "`url` is the API's address. Leave it out for github.com; it is https://HOST/api/v3 for a server."
            raise ValueError(message)
        return value

    @model_validator(mode="after")
    def _has_one_kind_of_credentials(self) -> Self:
        app = (self.app_id, self.installation_id, self.private_key)
        if self.token is not None and any(app):
            message = "`token` and an App's `app_id`, `installation_id` and `private_key` exclude each other."
            raise ValueError(message)
        if self.token is None and not all(app):
            message = "Give `token`, or a GitHub App's `app_id`, `installation_id` and `private_key`."
            raise ValueError(message)
        return self

    @property
    def is_app(self) -> bool:
        """Whether the connection is a GitHub App's installation."""
        return self.token is None
