"""What a connection to a Jenkins server needs."""

from pydantic import Field, SecretStr

from bot.core.models import Scope
from bot.providers.base.options import Options

SCOPES = (
    Scope(name="Overall/Read", purpose="signing in"),
    Scope(name="Job/Read", purpose="jobs, builds, logs, artifacts, tests, warnings, notifications"),
    Scope(name="Job/Build", purpose="start, rebuild, input steps"),
    Scope(name="Job/Cancel", purpose="cancel, taking items out of the queue, aborting input steps"),
    Scope(name="Run/Replay", purpose="rebuilding pipelines by replay", optional=True),
)


class JenkinsOptions(Options):
    """A server, and an API token of one of its users."""

    url: str = Field(
        min_length=1, pattern=r"^https?://[^/\s]+", description="Address of the server, as in the browser."
    )
    user: str = Field(min_length=1, pattern=r"^[^:\s]+$", description="Id of the user whose token it is.")
    token: SecretStr = Field(min_length=1, description="API token of that user (user menu, Security, API Token).")
