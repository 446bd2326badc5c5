"""The CI systems behind Truto, and a connection's options, checked by what its system requires."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Self

from pydantic import Field, SecretStr, field_validator, model_validator

from bot.core.models import Scope
from bot.providers.base.options import Options

LABEL = "Truto"

SCOPES = (
    Scope(name="builds: list", purpose="lists of builds and notifications"),
    Scope(name="builds: get", purpose="one build with its state"),
)


class Integration(StrEnum):
    """A CI system whose builds Truto unifies."""

    AZURE = "azure_devops"
    BITBUCKET = "bitbucket"
    CIRCLECI = "circleci"
    GITHUB = "github"
    JENKINS = "jenkins"
    TRAVIS = "travis_ci"


LABELS: Mapping[Integration, str] = {
    Integration.AZURE: "Azure DevOps",
    Integration.BITBUCKET: "Bitbucket",
    Integration.CIRCLECI: "CircleCI",
    Integration.GITHUB: "GitHub",
    Integration.JENKINS: "Jenkins",
    Integration.TRAVIS: "Travis CI",
}
_ALIASES: Mapping[str, Integration] = {
    "azure": Integration.AZURE,
    "githubactions": Integration.GITHUB,
    "travis": Integration.TRAVIS,
}
_BY_NAME: Mapping[str, Integration] = {**{name.value.replace("_", ""): name for name in Integration}, **_ALIASES}

REQUIRED: Mapping[Integration, tuple[str, ...]] = {
    Integration.AZURE: ("workspace_id",),
    Integration.BITBUCKET: ("workspace_id", "repo"),
    Integration.CIRCLECI: ("repo_id",),
    Integration.GITHUB: ("owner", "repo_id"),
    Integration.JENKINS: ("workflow_id",),
    Integration.TRAVIS: ("repo_id",),
}
"""What Truto requires to list builds, besides the account."""


def integration_of(name: str) -> Integration | None:
    """Return the integration that a name means, however it is written (`Azure DevOps`, `azuredevops`)."""
    return _BY_NAME.get("".join(c for c in name.lower() if c.isalnum()))


class TrutoOptions(Options):
    """What a connection through Truto needs. Which of the last five depends on the integration."""

    token: SecretStr = Field(min_length=1, description="API token of the Truto environment.")
    integrated_account_id: str = Field(
        min_length=1, pattern=r"^[^/\s?#]+$", description="Id of the integrated account: the connection at Truto."
    )
    integration: Integration = Field(
        description=f"The CI system behind it: one of {', '.join(Integration)}.",
    )
    workspace_id: str = Field(default="", description="Workspace; needed for azure_devops and bitbucket.")
    repo: str = Field(default="", description="Repository; needed for bitbucket, narrows the others.")
    repo_id: str = Field(
        default="", description="Repository as github and travis_ci name it, project slug (gh/org/repo) for circleci."
    )
    owner: str = Field(default="", description="Owner of the repository; needed for github.")
    workflow_id: str = Field(default="", description="Job; needed for jenkins.")

    @field_validator("integration", mode="before")
    @classmethod
    def _read_integration(cls, value: object) -> object:
        return integration_of(value) or value if isinstance(value, str) else value

    @model_validator(mode="after")
    def _check_complete(self) -> Self:
        values = self._values()
        missing = [name for name in REQUIRED[self.integration] if not values[name]]
        if missing:
            names = " and ".join(f"`{name}`" for name in missing)
            raise ValueError(f"{LABELS[self.integration]} needs {names}")
        return self

    def _values(self) -> Mapping[str, str]:
        return {
            "workspace_id": self.workspace_id,
            "repo": self.repo,
            "repo_id": self.repo_id,
            "owner": self.owner,
            "workflow_id": self.workflow_id,
        }

    @property
    def home(self) -> str:
        """Return the pipeline that the options name; at Azure DevOps without `repo` the whole workspace."""
        match self.integration:
            case Integration.AZURE:
                return self.repo or self.workspace_id
            case Integration.BITBUCKET:
                return self.repo
            case Integration.JENKINS:
                return self.workflow_id
            case _:
                return self.repo_id

    @property
    def group(self) -> str:
        """Return the owner or the workspace that repositories lie in."""
        return self.owner or self.workspace_id
