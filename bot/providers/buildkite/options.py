"""What a connection to Buildkite needs."""

from pydantic import Field, SecretStr

from bot.core.models import Scope
from bot.providers.base.options import Options

SCOPES = (
    Scope(name="read_pipelines", purpose="finding pipelines and their default branch"),
    Scope(name="read_builds", purpose="builds, jobs, annotations, notifications"),
    Scope(name="write_builds", purpose="start, cancel, rebuild, retry, unblock"),
    Scope(name="read_build_logs", purpose="logs"),
    Scope(name="read_artifacts", purpose="artifacts"),
    Scope(name="read_suites", purpose="tests and failed tests (Test Engine)", optional=True),
)


class BuildkiteOptions(Options):
    """One organization and a token for it."""

    organization: str = Field(
        min_length=1, description="The organization's slug, as in buildkite.com/SLUG.", pattern=r"^[^/\s]+$"
    )
    token: SecretStr = Field(
        min_length=1,
        description=f"API access token with the scopes {', '.join(scope.name for scope in SCOPES)}.",
    )
