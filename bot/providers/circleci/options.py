"""What a connection to CircleCI needs."""

from pydantic import Field, SecretStr

from bot.providers.base.options import Options


class CircleCIOptions(Options):
    """One organization and a personal token."""

    organization: str = Field(
        pattern=r"^(?:gh|github|bb|bitbucket|circleci)/[^/\s]+$",
        description="The organization's slug: gh/NAME, bb/NAME, or circleci/ID for the GitHub App and GitLab.",
    )
    token: SecretStr = Field(min_length=1, description="Personal API token; project tokens can't use API v2.")
