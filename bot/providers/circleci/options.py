"""What a connection to CircleCI needs."""

from pydantic import Field, SecretStr

from bot.core.models import Scope
from bot.providers.base.options import Options

SCOPES = (
    Scope(name="read access to the project", purpose="builds, logs, artifacts, tests, notifications"),
    Scope(name="write access to the project", purpose="start, cancel, rerun, approve"),
)


class CircleCIOptions(Options):
    """One organization and a personal token."""

    organization: str = Field(
        pattern=r"^(?:gh|github|bb|bitbucket|circleci)/[^/\s]+$",
        description="The organization's slug: gh/NAME, bb/NAME, or circleci/ID for the GitHub App and GitLab.",
    )
    token: SecretStr = Field(min_length=1, description="Personal API token; project tokens can't use API v2.")
