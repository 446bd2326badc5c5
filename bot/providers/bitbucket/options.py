"""A connection's options: a workspace, and an access token or a person's API token."""

from pydantic import Field, SecretStr

from bot.core.models import Scope
from bot.providers.base.options import Options

LABEL = "Bitbucket"

READ_USER = Scope(
    name="read:user:bitbucket",
    purpose="naming the owner of an API token, and finding a start again that was not answered",
    optional=True,
)
SCOPES = (
    Scope(
        name="repository or read:repository:bitbucket",
        purpose="repositories, branches, commits, the pipelines' file",
        also=(
            "repository",
            "read:repository:bitbucket",
            "repository:write",
            "repository:admin",
        ),
    ),
    Scope(
        name="pipeline or read:pipeline:bitbucket",
        purpose="builds, steps, logs, tests, notifications",
        also=(
            "pipeline",
            "read:pipeline:bitbucket",
            "pipeline:write",
        ),
    ),
    Scope(
        name="pipeline:write or write:pipeline:bitbucket",
        purpose="start and cancel",
        also=(
            "pipeline:write",
            "write:pipeline:bitbucket",
        ),
    ),
    Scope(
        name="pullrequest or read:pullrequest:bitbucket",
        purpose="starting builds of pull requests",
        also=(
            "pullrequest",
            "read:pullrequest:bitbucket",
            "pullrequest:write",
        ),
        optional=True,
    ),
    READ_USER,
)
"""What an access token needs, or an API token, which spells it differently."""


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
