"""What a connection through Truto needs, checked by what its CI system requires."""

from collections.abc import Mapping
from typing import Self

from pydantic import Field, SecretStr, field_validator, model_validator

from bot.providers.base.options import Options
from bot.providers.truto.integrations import LABELS, REQUIRED, Integration, integration_of


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
    def _named(cls, value: object) -> object:
        return integration_of(value) or value if isinstance(value, str) else value

    @model_validator(mode="after")
    def _complete(self) -> Self:
        given = self._given()
        missing = [name for name in REQUIRED[self.integration] if not given[name]]
        if missing:
            named = " and ".join(f"`{name}`" for name in missing)
            raise ValueError(f"{LABELS[self.integration]} needs {named}")
        return self

    def _given(self) -> Mapping[str, str]:
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
