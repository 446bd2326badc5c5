"""A connection's options: an organization, and a personal access token or an application of Microsoft Entra."""

from typing import Self

from pydantic import Field, SecretStr, model_validator

from bot.core.models import Scope
from bot.providers.base.options import Options

LABEL = "Azure DevOps"
SERVICES = "https://dev.azure.com"

BUILD = Scope(name="Build (read & execute)", purpose="builds, logs, artifacts, notifications; start, cancel, retry")
SCOPES = (
    BUILD,
    Scope(name="Project and Team (read)", purpose="finding projects"),
    Scope(name="Test Management (read)", purpose="tests and failed tests", optional=True),
    Scope(name="Code (read)", purpose="branches and tags of Azure Repos", optional=True),
    Scope(name="Pipeline Resources (use)", purpose="approvals", optional=True),
)


class AzureOptions(Options):
    """What a connection to Azure DevOps needs."""

    organization: str = Field(
        min_length=1,
        pattern=r"^[^/\\\s.][^/\\\s]*$",
        description="The organization, as in dev.azure.com/ORGANIZATION; on a server of one's own the collection.",
    )
    project: str = Field(
        default="", pattern=r"^[^/\\]*$", description="The only project of the connection; all projects where left out."
    )
    token: SecretStr | None = Field(
        default=None,
        min_length=1,
        description="Personal access token: Build (read & execute), Test (read), Code (read), Project and Team (read).",
    )
    tenant_id: str = Field(
        default="", pattern=r"^([^/\\\s.][^/\\\s]*)?$", description="The Entra tenant, instead of a token."
    )
    client_id: str = Field(default="", description="The Entra application's client id.")
    client_secret: SecretStr | None = Field(default=None, description="The Entra application's secret.")
    api_version: str = Field(
        default="7.1",
        pattern=r"^\d+\.\d+$",
        description="The API's version: 7.0 for Azure DevOps Server 2022, 6.0 for Server 2020.",
    )

    @model_validator(mode="after")
    def _check_credentials(self) -> Self:
        entra = (self.tenant_id, self.client_id, self.client_secret)
        if self.token is not None and any(entra):
            message = "`token` and `client_secret` exclude each other: take one of them out."
            raise ValueError(message)
        if self.token is None and not all(entra):
            message = "`token` is missing, or all of `tenant_id`, `client_id` and `client_secret`."
            raise ValueError(message)
        return self

    @property
    def is_services(self) -> bool:
        """Whether the connection is to Microsoft's own servers rather than to an Azure DevOps Server."""
        return not self.url or self.url.rstrip("/").lower() == SERVICES
