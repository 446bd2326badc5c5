"""A connection's options: a workspace, and an access token or a person's API token."""

from pydantic import Field, SecretStr

from bot.providers.base.options import Options

LABEL = "Bitbucket"


class BitbucketOptions(Options):
    """What a connection to Bitbucket needs."""

    workspace: str = Field(
        min_length=1, description="The workspace's slug, as in bitbucket.org/SLUG.", pattern=r"^[^/\\\s.][^/\\\s]*$"
    )
    email: str = Field(
        default="",
        description="E-mail address of the Atlassian account, where the token is an API token.",
        pattern=r"^([^@\s:]+@[^@\s]+)?$",
    )
    token: SecretStr = Field(
        min_length=1,
        description="Access token of a workspace, project or repository; or, with `email`, a person's API token.",
    )


NO_ARTIFACTS = (
    "Bitbucket's API does not hand out the artifacts of steps.",
    "Open the build: they are kept there for 14 days.",
)
"""Why artifacts can neither be listed nor downloaded, and where they are."""
